"""Attach and detach again and again under load: nothing fails, nothing grows,
nothing is left behind, however Earshot ends."""

import os
import random
import shutil
import signal
import time

from earshot import Earshot, attach, need_earshot
from load import Wrk
from probed import changed_text
from proc import EARSHOT, fd_count, rss_kib, scratch, until
from target import Httpd, built, newest
from testing import Test, scaled

GROWTH_KIB = 12 * 1024  # what a Go heap may breathe


class Load:
    """wrk slice after slice in the background, all results kept."""

    def __init__(self, httpd):
        self.url, self.results, self.wrk = httpd.base("http") + "/alloc", [], None
        self.turn()

    def turn(self):
        """Start the next slice when one has ended."""
        if self.wrk is None or not self.wrk.alive():
            self.collect()
            self.wrk = Wrk(self.url, 5, 4)

    def collect(self):
        if self.wrk:
            self.results.append(self.wrk.result())
            self.wrk.kill()

    def end(self):
        self.collect()
        failed = sum(r["failed"] for r in self.results)
        assert failed == 0, f"{failed} requests failed: {self.results}"
        return sum(r["requests"] for r in self.results)


def _detached(httpd):
    changed = changed_text(httpd.pid)
    assert not changed, f"{len(changed)} bytes of code still differ, the first at {min(changed):#x}: " \
                        f"{changed[min(changed)]}"


def _cycle(httpd, load):
    """Attach until a span comes, look at the probes, detach."""
    e = Earshot("attach", "-p", str(httpd.pid), "-o", "json")

    def observed():
        load.turn()
        return e.check_alive() and e.out_path.stat().st_size > 0

    until("a span comes", observed, 20)
    probes, rss = len(changed_text(httpd.pid)), rss_kib(e.pid)
    code = e.stop(signal.SIGINT, 10)
    assert code == 0, f"exit code {code}: {e.describe()}"
    assert probes, "no probe is to be seen in the program's code while attached"
    shutil.rmtree(e.dir, ignore_errors=True)
    return rss


def _cycles(path, cycles):
    need_earshot()
    with Httpd(path) as httpd:
        load, sizes, before = Load(httpd), [], None
        for i in range(cycles):
            sizes.append(_cycle(httpd, load))
            _detached(httpd)
            if i == min(20, cycles // 4):
                before = rss_kib(httpd.pid), fd_count(httpd.pid)
        after = rss_kib(httpd.pid), fd_count(httpd.pid)
        served = load.end()
        assert after[0] - before[0] < GROWTH_KIB, f"the program's memory grew: {before} KiB, now {after}"
        # The load's own connections come and go between two slices.
        assert after[1] <= before[1] + 8, f"the program's descriptors grew: {before}, now {after}"
        third = max(1, len(sizes) // 3)
        early, late = sum(sizes[:third]) / third, sum(sizes[-third:]) / third
        assert late < early * 1.2 + 1024, f"earshot grew from run to run: {early:.0f} to {late:.0f} KiB"
        return f"{cycles} cycles, {served} requests, program {before[0]} to {after[0]} KiB, earshot {late:.0f} KiB"


def _comes_and_goes():
    """One earshot, many programs: its memory and descriptors stay."""
    need_earshot()
    rounds = scaled(24, 16, "PROGRAMS")
    copy = scratch() / "mayfly"
    shutil.copy(newest(), copy)
    with Earshot("attach", "-x", "mayfly", "-o", "json") as e:
        before = None
        for i in range(rounds):
            with Httpd(copy) as httpd:
                e.wait_observing(httpd.where["http"])
            if i == rounds // 4:
                before = rss_kib(e.pid), fd_count(e.pid)
        time.sleep(0.5)
        after = rss_kib(e.pid), fd_count(e.pid)
        assert after[0] - before[0] < 4096, f"memory: {before} KiB, later {after}"
        assert after[1] <= before[1] + 2, f"descriptors: {before}, later {after}"
        _, summary = e.finish()
        assert summary["processes"] == rounds, summary
        return f"{rounds} programs, {before} to {after} (KiB, descriptors)"


def _long_run():
    """One earshot under steady load: its memory stays."""
    need_earshot()
    with Httpd(newest()) as httpd, attach(httpd.pid, observe=[httpd.where["http"]]) as e:
        Wrk(httpd.base("http") + "/alloc", 3).result()
        before = rss_kib(e.pid), fd_count(e.pid)
        for _ in range(scaled(2, 2, "LONG_RUN")):
            Wrk(httpd.base("http") + "/alloc", 5).result()
        after = rss_kib(e.pid), fd_count(e.pid)
        assert after[0] - before[0] < 2048, f"memory: {before} KiB, later {after}"
        assert after[1] <= before[1], f"descriptors: {before}, later {after}"
        return f"{before} to {after} (KiB, descriptors)"


def _killed(path):
    """kill -9 at any moment, also amid attaching."""
    need_earshot()
    rounds = scaled(10, 10, "KILLS")
    dice = random.Random(11)
    with Httpd(path) as httpd:
        load = Load(httpd)
        caught = 0
        for i in range(rounds):
            load.turn()
            e = Earshot("attach", "-p", str(httpd.pid), "-o", "json")
            if i % 3 == 0:
                until("a probe is in place", lambda: changed_text(httpd.pid), 20, 0.001)
            time.sleep(dice.uniform(0, 0.5))
            caught += bool(changed_text(httpd.pid))
            e.send_signal(signal.SIGKILL)
            e.kill()
            until(f"no probe is left {i}", lambda: not changed_text(httpd.pid), 5)
            assert httpd.get("/plain") == (200, b"hello")
            shutil.rmtree(e.dir, ignore_errors=True)
        served = load.end()
        _detached(httpd)
        assert caught, "never killed while attached"
        return f"{rounds} kills, {caught} with probes in place, {served} requests"


def _run_killed():
    """kill -9 of `earshot run`: the program goes on."""
    need_earshot()
    with Httpd(newest(), prefix=[EARSHOT, "run", "-o", "none", "--"]) as httpd:
        assert changed_text(httpd.pid)
        os.kill(httpd.process.pid, signal.SIGKILL)
        httpd.process.popen.wait(5)
        until("no probe is left", lambda: not changed_text(httpd.pid), 5)
        assert httpd.get("/plain") == (200, b"hello")
        os.kill(httpd.pid, signal.SIGKILL)


def tests():
    yield Test("attach-detach", lambda: _cycles(newest(), scaled(20, 20, "CYCLES")), 900)
    yield Test("attach-detach-go1.19", lambda: _cycles(built("1.19"), scaled(12, 12, "CYCLES")), 300)
    yield Test("attach-detach-cgo", lambda: _cycles(newest("cgo"), scaled(12, 12, "CYCLES")), 300)
    yield Test("programs-come-and-go", _comes_and_goes, 300)
    yield Test("long-run", _long_run, 120)
    yield Test("killed", lambda: _killed(newest()), 180)
    yield Test("killed-go1.19", lambda: _killed(built("1.19")), 180)
    yield Test("run-killed", _run_killed)
