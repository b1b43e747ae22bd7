"""Ask and leave again and again under load: nothing is left, nothing is harmed,
however it ends."""

import os
import random
import signal
import subprocess
import time

from calls import Calls, binary, newest, nothing_left
from earshot import need_earshot
from probed import changed_text
from proc import EARSHOT, PATIENCE, clean_env, fd_count, rss_kib, scratch, until
from testing import Test, scaled

QUESTIONS = ["main.Busy if id == 99", "main.Catches { count() }", "main.Grows if n == 100"]
TOGETHER = 4  # taking probes out is mostly waiting


class Load:
    """The program under load of its own, which checks every result."""

    def __init__(self, path):
        self.program = Calls(path)
        self.program.ask("load-on", 2)
        self.before = None

    def settled(self):
        self.before = rss_kib(self.program.pid), fd_count(self.program.pid)

    def end(self):
        after = rss_kib(self.program.pid), fd_count(self.program.pid)
        _, done = self.program.ask("load-off")
        nothing_left(self.program)
        self.program.kill()
        assert done["wrong"] == 0, f"{done['wrong']} calls gave a wrong result"
        assert done["calls"] > 0 and done["deep"] > 0, done
        if self.before:
            assert after[0] - self.before[0] < 12 * 1024, f"memory grew: {self.before} KiB, now {after}"
            assert after[1] <= self.before[1], f"descriptors grew: {self.before}, now {after}"
        return done["calls"]


class Asking:
    """One earshot, as bare as can be: a thousand of these are started."""

    def __init__(self, pid, directory, number=0):
        self.err_path = directory / f"err-{number}"
        with open(directory / f"out-{number}", "wb") as out, open(self.err_path, "wb") as err:
            self.popen = subprocess.Popen([EARSHOT, "trace", "-p", str(pid), "--json", *QUESTIONS],
                                          stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=clean_env())

    def planted(self):
        assert self.popen.poll() is None, f"earshot ended: {self.err_path.read_text()}"
        return "observing " in self.err_path.read_text()

    def end(self):
        self.popen.send_signal(signal.SIGINT)

    def ended(self):
        code = self.popen.wait(20 * PATIENCE)
        assert code == 0, f"exit code {code}: {self.err_path.read_text()}"


def _round(load, directory, look):
    """Several at once plant the same functions, and leave. Whether probes were seen."""
    asking = [Asking(load.program.pid, directory, n) for n in range(TOGETHER)]
    try:
        for a in asking:
            until("the probes are in place", a.planted, 20, 0.005)
        probed = look and bool(changed_text(load.program.pid))
        for a in asking:
            a.end()
        for a in asking:
            a.ended()
    finally:
        for a in asking:
            a.popen.kill()
            a.popen.wait(10)
    if look:
        nothing_left(load.program)
    return probed


def _cycles(path, cycles):
    need_earshot()
    load, directory, probed, rounds = Load(path), scratch(), 0, cycles // TOGETHER
    try:
        for i in range(rounds):
            probed += _round(load, directory, i % 5 == 0)
            if i == min(10, rounds // 4):
                load.settled()
        calls = load.end()
    finally:
        load.program.kill()
    assert probed == (rounds + 4) // 5, f"probes were to be seen in {probed} of {(rounds + 4) // 5} looks"
    return f"{rounds * TOGETHER} cycles, {calls} calls checked"


def _killed(path, rounds):
    """kill -9 at any moment, also amid planting."""
    need_earshot()
    load, directory, dice, caught = Load(path), scratch(), random.Random(7), 0
    try:
        for i in range(rounds):
            a = Asking(load.program.pid, directory)
            if i % 3 == 0:
                until("a probe is in place", lambda: changed_text(load.program.pid), 20, 0.001)
            time.sleep(dice.uniform(0, 0.25))
            caught += bool(changed_text(load.program.pid))
            a.popen.send_signal(signal.SIGKILL)
            a.popen.wait(10 * PATIENCE)
            until(f"no probe is left after kill {i}", lambda: not changed_text(load.program.pid), 5)
        calls = load.end()
    finally:
        load.program.kill()
    assert caught, "never killed while its probes were in place"
    return f"{rounds} kills, {caught} with probes in place, {calls} calls checked"


def _program_killed():
    """The other way round: the program ends at any moment, earshot says so and ends."""
    need_earshot()
    dice, codes, directory = random.Random(3), {}, scratch()
    for _ in range(scaled(20, 8, "VANISHING")):
        load = Load(newest())
        a = Asking(load.program.pid, directory)
        time.sleep(dice.uniform(0, 0.3))
        os.kill(load.program.pid, signal.SIGKILL)
        code = a.popen.wait(20 * PATIENCE)
        load.program.kill()
        assert code in (0, 3), f"exit code {code}: {a.err_path.read_text()}"
        codes[code] = codes.get(code, 0) + 1
    return f"exit codes {codes}"


def tests():
    yield Test("ask-and-leave", lambda: _cycles(newest(), scaled(70, 70, "TRACE_CYCLES")), 300)
    yield Test("ask-and-leave-go1.19", lambda: _cycles(binary("1.19"), scaled(30, 30, "TRACE_CYCLES")), 120)
    yield Test("killed", lambda: _killed(newest(), scaled(10, 10, "KILLS")), 120)
    yield Test("program-killed", _program_killed, 120)
