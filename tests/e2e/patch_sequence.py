"""Probes from inside the program: numbers without a gap, nothing left behind
however Earshot ends, no privileges needed."""

import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

from earshot import Earshot, agent, attach, need_earshot
from probed import changed_text
from proc import EARSHOT, ROOT, Skip, public_copy, until
from privileges import NOBODY, UserHttpd
from services import SERVICES
from target import Httpd, built, get, newest
from testing import Test, scaled

BUILD = os.path.dirname(EARSHOT)
PATCH = ("--planter", "patch")


def _sequence(minor, mode):
    """tests/unit/patch_sequence_test for longer."""
    test = os.path.join(BUILD, "tests/unit/patch_sequence_test")
    if not os.access(test, os.X_OK):
        subprocess.run(["make", "-s", f"BUILD={BUILD}", test], cwd=ROOT, check=True, capture_output=True)
    cycles = scaled(30, 10, "PATCH_CYCLES")
    env = {**os.environ, "EARSHOT_PATCH_BINARIES": f"bin/seq-go{minor}-{mode}",
           "EARSHOT_PATCH_CYCLES": str(cycles), "EARSHOT_PATCH_MS": "30"}
    done = subprocess.run([test], env=env, capture_output=True, text=True, check=False,
                          timeout=30 + 3 * cycles)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"\d+ cycles, \d+ events", done.stdout)
    if not found:
        raise Skip(f"no seq-go{minor}-{mode}")
    return found.group()


def _left(pid):
    return open(f"/proc/{pid}/maps").read().count("memfd:earshot-patch")


def _helper(pid):
    """Earshot's own child that patches."""
    return int(subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True,
                              check=True).stdout.split()[0])


def _spans(httpd, count=5):
    with attach(httpd.pid, options=PATCH, observe=[httpd.where["http"]]) as e:
        for i in range(count):
            httpd.get("/plain", agent=f"n{i}")
        e.wait_spans(count)
        spans, _ = e.finish()
        assert sorted(agent(s) for s in spans) == sorted(f"n{i}" for i in range(count)), e.describe()


def _killed_with_helper():
    """Nobody is there to clean up: the program goes on, the next earshot takes it out."""
    need_earshot(root=False)
    with Httpd(newest()) as httpd:
        e = attach(httpd.pid, options=PATCH, observe=[httpd.where["http"]])
        helper = _helper(e.pid)
        os.kill(e.pid, signal.SIGSTOP)
        os.kill(helper, signal.SIGKILL)
        os.kill(e.pid, signal.SIGKILL)
        e.kill()
        assert changed_text(httpd.pid), "no patch is left: this tests nothing"
        for _ in range(20000 // 100):  # the rings fill up, and fall silent
            assert httpd.get("/plain") == (200, b"hello")
        _spans(httpd)
        assert not changed_text(httpd.pid) and not _left(httpd.pid)
        assert httpd.get("/plain") == (200, b"hello")


def _killed():
    """kill -9 at any moment: the helper restores everything."""
    need_earshot(root=False)
    rounds, dice, caught = scaled(20, 10, "PATCH_KILLS"), random.Random(5), 0
    with Httpd(newest()) as httpd:
        for _ in range(rounds):
            e = Earshot("attach", *PATCH, "-p", str(httpd.pid), "-o", "json")
            time.sleep(dice.uniform(0, 0.4))
            caught += bool(changed_text(httpd.pid))
            os.kill(e.pid, signal.SIGKILL)
            e.kill()
            until("everything is restored", lambda: not changed_text(httpd.pid) and not _left(httpd.pid), 20)
            assert httpd.get("/plain") == (200, b"hello")
            shutil.rmtree(e.dir, ignore_errors=True)
        _spans(httpd)
        return f"{rounds} kills, {caught} with patches in place"


def _unprivileged():
    """The same user, no capability at all."""
    need_earshot()
    with UserHttpd() as httpd:
        user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]
        with attach(httpd.pid, options=PATCH, observe=[httpd.where["http"]], prefix=user,
                    binary=public_copy(EARSHOT)) as e:
            for i in range(5):
                httpd.get("/plain", agent=f"n{i}")
            spans = e.wait_spans(5)
            e.finish()
            assert len(spans) >= 5, e.describe()
        assert not changed_text(httpd.pid) and not _left(httpd.pid)


# Why a function may be refused (docs: earshot-attach(1)); a few have no free address space within their jump's reach.
_REASONS = ("no instruction before", "it has no stack check", "a jump leads into", "signal handler may run",
            "without a stack check", "between fork and exec", "frame is so large", "jump table", "no free address space",
            "jumps back to its own entry", "too close together", "assembly", "not Go code", "ABI0 wrapper", "plain ret",
            "stack check is too long")


def _refusals(text):
    """{reason: probes}, as it tells them when there are many."""
    found = {}
    for more, reason in re.findall(r"(?: and (\d+) more probes)? cannot be patched in the process: (.+)", text):
        known = [r for r in _REASONS if r in reason]
        assert known, reason
        found[known[0]] = found.get(known[0], 0) + int(more or 0) + 1
    return found


class _Load:
    """Requests, one after the other, until it is left; all are to succeed."""

    def __init__(self, port):
        self.port, self.served, self.failed, self.stop = port, 0, [], threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.stop.is_set():
            try:
                self.served += bool(get(self.port, "/metrics"))
            except OSError as e:
                self.failed.append(e)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stop.set()
        self.thread.join()


def _large(release, cycles):
    """All functions of a stripped server of Debian, under load."""
    need_earshot(root=False)
    with SERVICES["prometheus"](release) as service, _Load(service.port) as load:
        for _ in range(cycles):
            before = load.served
            with Earshot("trace", *PATCH, "--yes", "-p", str(service.pid), "--for", "2s", "-o", "/dev/null",
                         "* if latency > 1000s") as e:
                assert e.wait(300) == 0, e.err()[-2000:]
                text = e.err()
            planted, pause = (re.search(p, text).group(1) for p in (r"(\d+) probes planted", r"stopped for ([\d.]+ \S+)"))
            assert int(planted) > 50000, text[-2000:]
            assert not changed_text(service.pid) and not _left(service.pid)
            assert load.served > before and not load.failed, load.failed[:3]
        service.unharmed()
    refused = ", ".join(f"{n} {r!r}" for r, n in sorted(_refusals(text).items(), key=lambda x: -x[1]))
    return f"{cycles} cycles, {planted} probes planted, stopped for {pause}, {load.served} requests; refused: {refused}"


def _two():
    """A second one is refused with the reason, and the first is none the worse."""
    need_earshot(root=False)
    with Httpd(newest()) as httpd, attach(httpd.pid, options=PATCH, observe=[httpd.where["http"]]) as first:
        with Earshot("attach", *PATCH, "-p", str(httpd.pid)) as second:
            until("the second one ends", lambda: not second.alive(), 10)
            assert "another earshot" in second.err(), second.describe()
        httpd.get("/plain", agent="still")
        first.wait_spans(1)
        spans, _ = first.finish()
        assert "still" in [agent(s) for s in spans]


# Ends the process for memfd_create, and for mmap of a file: what is done in the program, and Go never does.
_SECCOMP = """
import ctypes, os, sys
LOAD, EQUALS, RETURN, KILL, ALLOW = 0x20, 0x15, 0x06, 0x80000000, 0x7fff0000
filter = [(LOAD, 0, 0, 0), (EQUALS, 3, 0, 319), (EQUALS, 0, 3, 9), (LOAD, 0, 0, 48), (EQUALS, 1, 0, 0xffffffff),
          (RETURN, 0, 0, KILL), (RETURN, 0, 0, ALLOW)]
insns = (ctypes.c_uint64 * len(filter))(*(c | t << 16 | f << 24 | k << 32 for c, t, f, k in filter))
program = (ctypes.c_uint64 * 2)(len(filter), ctypes.addressof(insns))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(program)) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


def _refused(httpd, word, prefix=()):
    with Earshot("attach", *PATCH, "-p", str(httpd.pid), prefix=prefix) as e:
        until("earshot ends", lambda: not e.alive(), 10)
        assert word in e.err() and e.popen.returncode == 3, e.describe()
    assert not changed_text(httpd.pid) and not _left(httpd.pid)
    assert httpd.get("/plain") == (200, b"hello")


def _seccomp():
    """A filter that would end the program for what is done in it: suspended by root, else nothing is tried."""
    need_earshot(root=False)
    without = ["setpriv", "--inh-caps=-sys_admin", "--bounding-set=-sys_admin"]
    with Httpd(newest(), prefix=["python3", "-c", _SECCOMP]) as httpd:
        assert "Seccomp:\t2" in open(f"/proc/{httpd.pid}/status").read()
        for _ in range(3):
            _spans(httpd)
            assert not changed_text(httpd.pid) and not _left(httpd.pid)
        _refused(httpd, "seccomp filter", without)


def _traced():
    """Another tracer has it."""
    need_earshot(root=False)
    if not shutil.which("gdb") and not shutil.which("strace"):
        raise Skip("neither strace nor gdb")
    with Httpd(newest()) as httpd:
        argv = ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(httpd.pid)] if shutil.which("strace") else \
            ["gdb", "-q", "-batch", "-ex", "continue", "-p", str(httpd.pid)]
        tracer = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until("it is traced", lambda: "TracerPid:\t0" not in open(f"/proc/{httpd.pid}/status").read(), 10)
            _refused(httpd, "being traced")
        finally:
            tracer.terminate()
            tracer.wait(10)


def tests():
    for minor, mode in (("1.19", "sw"), ("1.21", "cgo"), ("1.22", "pie"), ("1.24", "race"), ("1.27", "sw"),
                        ("1.27", "cgo"), ("1.27", "race"), ("1.27", "plugin")):
        yield Test(f"sequence-go{minor}-{mode}", lambda m=minor, k=mode: _sequence(m, k), 300)
    yield Test("killed", _killed, 300)
    yield Test("killed-with-helper", _killed_with_helper, 60)
    yield Test("unprivileged", _unprivileged, 60)
    large = scaled(1, 1, "PATCH_LARGE")
    yield Test("large", lambda: _large("trixie", large), 200 + 100 * large)
    yield Test("two", _two, 60)
    yield Test("seccomp", _seccomp, 60)
    yield Test("traced", _traced, 60)
