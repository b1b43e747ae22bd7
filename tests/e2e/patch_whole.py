"""All of a function's calls or none: one end of it cannot be patched, or many calls come at once."""

import os
import re
import signal
import subprocess
import time

from calls import Trace
from earshot import Earshot, losses, need_earshot
from probed import changed_text
from proc import BIN, EARSHOT, Process, Skip, clean_env, scratch, until
from testing import Test

PATCH = ("--planter", "patch")
HALF = ("main.answer", "main.constants")

# A span that begins where a patch is possible and ends where it is not, and one that is whole.
PACK = """pack: halves
about: spans of tests/go/halves
packages: [runtime]
spans:
- name: half
  kind: internal
  titles: [half]
  points:
  - {name: begin, role: start, variants: [{func: "main.answer() (n uint8, v any)"}]}
  - {name: end, role: end, variants: [{func: "main.answer() (n uint8, v any)", at: return}]}
- name: whole
  kind: internal
  titles: [whole]
  points:
  - {name: begin, role: start, variants: [{func: "main.whole(n int, text string) int"}]}
  - {name: end, role: end, variants: [{func: "main.whole(n int, text string) int", at: return}]}
"""


class Program(Process):
    """One that says when it is ready, and ends with its standard input."""

    def __init__(self, name, *args, prefix=()):
        path = BIN / name
        if not os.access(path, os.X_OK):
            raise Skip(f"{name} was not built")
        super().__init__([*prefix, path, *args], env=clean_env(), stdin=subprocess.PIPE)

    def ready(self):
        until("it is ready", lambda: "ready " in self.out() or not self.alive(), 30)
        return int(re.search(r"ready (\d+)", self.out()).group(1))

    def close(self, seconds=30):
        self.popen.stdin.close()
        return self.wait(seconds)


def _halves(*args):
    return Program("halves", "100", "2ms", *args)


def _refused(text):
    """One sentence of each function that cannot be patched, and not two."""
    said = re.findall(r"(main\.\w+) cannot be patched in the process: no instruction before one of its returns", text)
    assert sorted(said) == sorted(HALF), f"refused: {said}; {text}"


def _half_refused(form):
    """Calls of functions that are refused are told by nobody, whatever is asked of them, from the first one on."""
    need_earshot()
    trace = [EARSHOT, "trace", *PATCH, *(["--json"] if form == "json" else []), *HALF, "main.answer if n != 9",
             "main.constants if latency > 0 { count() }", "main.whole { count() }", "--"]
    with Program("halves", "100", "2ms", prefix=trace) as e:
        e.ready()
        until("it is observed", lambda: "observing" in e.err(), 20)
        assert e.close() == 0, e.describe()
        text, out = e.err(), e.out()
    assert not re.search(r"main\.(answer|constants)\b|panicked|running|exited", out), out[:2000]
    assert "main.whole" in out and "none lost; 2 probes planted, 8 refused" in text, text + out[:2000]
    _refused(text)


def _half_alone():
    """Nothing is left to plant: the process is not even touched."""
    need_earshot()
    with _halves() as program:
        pid = program.ready()
        with Earshot("trace", *PATCH, "-p", str(pid), "--for", "1s", *HALF) as e:
            assert e.wait(30) == 3, e.describe()
            assert not re.search(r"panicked|running|exited", e.out() + e.err()), e.describe()
            assert "no instruction before one of its returns" in e.err(), e.err()
        assert not changed_text(pid)
        assert program.close() == 0, program.describe()


def _half_spans(verb):
    """A span whose end is refused never begins."""
    need_earshot()
    pack = scratch() / "halves.yaml"
    pack.write_text(PACK)
    options = [*PATCH, "--packs", str(pack), "-o", "json"]
    if verb == "run":
        with Program("halves", "20", "10ms", prefix=[EARSHOT, "run", *options, "--"]) as e:
            e.ready()
            until("spans come", lambda: '"name":"whole"' in e.out(), 20)
            assert e.close() == 0, e.describe()
            text, out = e.err(), e.out()
    else:
        with _halves() as program, Earshot("attach", *options, "-p", str(program.ready()), "--for", "1s") as e:
            assert e.wait(30) == 0, e.describe()
            text, out = e.err(), e.out()
    assert '"name":"half"' not in out and '"name":"whole"' in out, out[:2000]
    assert text.count("main.answer cannot be patched") == 1, text
    assert "none lost; 4 probes planted, 2 refused" in text, text
    assert "may not be traced" not in text, text


def _ended(verb):
    """The program ends with the probes in place: nothing is said of rights, which nobody lacks."""
    need_earshot()
    pack = scratch() / "halves.yaml"
    pack.write_text(PACK)
    what = {"run": ["run", "-o", "json", "--packs", str(pack)], "trace": ["trace", "--json", "main.whole"]}[verb]
    for _ in range(5):
        with Program("halves", "1", "1ms", prefix=[EARSHOT, what[0], *PATCH, *what[1:], "--"]) as e:
            e.ready()
            assert e.close() == 0, e.describe()
            assert "may not be traced" not in e.err() and "observing" in e.err(), e.err()


CALLS = 100000


class Burst(Program):
    def __init__(self, goroutines, **kw):
        super().__init__("burst", "-goroutines", str(goroutines), **kw)
        self.ready()

    def call(self, n):
        before = self.out().count("done ")
        self.popen.stdin.write(f"{n}\n".encode())
        self.popen.stdin.flush()
        until(f"{n} calls are made", lambda: self.out().count("done ") > before, 60)


class Held:
    """Earshot does not come to run: all that is written has to wait where it is."""

    def __init__(self, earshot):
        self.earshot = earshot

    def __enter__(self):
        os.kill(self.earshot.pid, signal.SIGSTOP)

    def __exit__(self, *exc):
        os.kill(self.earshot.pid, signal.SIGCONT)


def _burst(goroutines, form):
    """A burst is there whole, though nobody could read while it lasted, and once more though many were before."""
    need_earshot()
    with Burst(goroutines) as program:
        with Trace(program.pid, "main.work", options=PATCH, json=form == "json") as t:
            for _ in range(3):
                with Held(t):
                    program.call(CALLS)
                time.sleep(0.1)
            assert t.stop(signal.SIGINT, 60) == 0, t.describe()
        assert f"{3 * CALLS} calls from 1 process" in t.err() and "none lost" in t.err(), t.err()
        lines = t.calls() if form == "json" else re.findall(r"main\.work\(i=(\d+), name=.*\) → ", t.out())
        assert len(lines) == 3 * CALLS, f"{len(lines)} calls are printed"
        seen = sorted(c["args"]["i"] for c in lines) if form == "json" else sorted(map(int, lines))
        assert seen == [i // 3 for i in range(3 * CALLS)], "not each call once a burst"
        assert program.close() == 0, program.describe()


def _lost(form):
    """What does not fit is counted, one by one."""
    need_earshot()
    with Burst(1) as program:
        options = [*PATCH, "--ring-size", "1048576"]
        with Trace(program.pid, "main.work { print(i) }", options=options, json=form == "json") as t:
            with Held(t):
                program.call(CALLS)
            assert t.stop(signal.SIGINT, 60) == 0, t.describe()
        found = re.search(r"(\d+) calls from 1 process in .*; (\d+) ring_full; 1 probe planted", t.err())
        assert found and int(found.group(2)) > 0, t.err()
        seen, lost = int(found.group(1)), int(found.group(2))
        assert seen + lost == CALLS, f"{seen} seen and {lost} lost of {CALLS}"
        if form == "json":
            assert losses(t.summary())["ring_full"] == lost and len(t.calls()) == seen, t.describe()
        assert program.close() == 0, program.describe()


def _shared(earshot):
    """Bytes that exist of the memory that it shares with the program."""
    for fd in os.listdir(f"/proc/{earshot.pid}/fd"):
        path = f"/proc/{earshot.pid}/fd/{fd}"
        if "memfd:earshot-patch" in os.readlink(path):
            return 512 * os.stat(path).st_blocks
    raise AssertionError("it shares no memory")


def _memory():
    """While much waits, there is more memory for the next burst; when it is calm it is given back."""
    need_earshot()
    with Burst(1) as program:
        with Trace(program.pid, "main.work", options=PATCH) as t:
            floor = _shared(t)
            for i in range(2):
                program.call(1000)
                assert _shared(t) == floor, f"{_shared(t) - floor} bytes more, though nothing is hot"
                with Held(t):
                    program.call(200000)
                until("there is more memory", lambda: _shared(t) > floor + (8 << 20), 20, 0.005)
                until("it is given back", lambda: _shared(t) == floor, 30)
            assert t.stop(signal.SIGINT, 60) == 0, t.describe()
        assert "402000 calls from 1 process" in t.err() and "none lost" in t.err(), t.err()
        assert "memfd:earshot-patch" not in open(f"/proc/{program.pid}/maps").read()
        assert program.close() == 0, program.describe()


def _limited():
    """Little address space: a burst of the usual size is there all the same."""
    need_earshot()
    with Burst(1) as free:
        size = 1024 * int(re.search(r"VmSize:\s+(\d+) kB", open(f"/proc/{free.pid}/status").read()).group(1))
        assert free.close() == 0, free.describe()
    with Burst(1, prefix=["prlimit", f"--as={size + (256 << 20)}"]) as program:
        with Trace(program.pid, "main.work", options=PATCH) as t:
            with Held(t):
                program.call(CALLS)
            assert t.stop(signal.SIGINT, 60) == 0, t.describe()
        assert f"{CALLS} calls from 1 process" in t.err() and "none lost" in t.err(), t.err()
        assert program.close() == 0, program.describe()


def _core():
    """A core of the program has nothing of the rings, and to write it makes nothing exist."""
    need_earshot()
    with Burst(1) as program, Trace(program.pid, "main.work", options=PATCH) as t:
        floor, ours = _shared(t), []
        for line in open(f"/proc/{program.pid}/smaps"):
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                ours.append([line, ""] if "memfd:earshot-patch" in line and " rw-s " in line else None)
            elif ours[-1] and line.startswith("VmFlags:"):
                ours[-1][1] = line
        ours = [o for o in ours if o]
        assert len(ours) >= 2 and all(" dd" in flags for _, flags in ours), ours
        assert _shared(t) == floor
        assert t.stop(signal.SIGINT, 60) == 0, t.describe()
        assert program.close() == 0, program.describe()


def tests():
    for form in ("text", "json"):
        yield Test(f"half-refused-{form}", lambda f=form: _half_refused(f), 60)
    yield Test("half-alone", _half_alone, 60)
    for verb in ("run", "attach"):
        yield Test(f"half-spans-{verb}", lambda v=verb: _half_spans(v), 60)
    for verb in ("run", "trace"):
        yield Test(f"ended-{verb}", lambda v=verb: _ended(v), 60)
    for form in ("text", "json"):
        for goroutines in (1, 4):
            yield Test(f"burst-{form}-{goroutines}", lambda f=form, g=goroutines: _burst(g, f), 120)
        yield Test(f"lost-{form}", lambda f=form: _lost(f), 60)
    yield Test("memory", _memory, 120)
    yield Test("core", _core, 60)
    yield Test("limited", _limited, 60)
