"""Executables that are overwritten, cut or replaced while they are inspected and observed; processes that execute
themselves anew; code in memory that is not the file's. Never a wrong name, never a probe in other code."""

import json
import os
import re
import shutil
import subprocess
import threading
import time

from calls import Trace
from earshot import Earshot, and_patched, need_earshot
from proc import BIN, EARSHOT, Process, Skip, clean_env, run_once, scratch, until
from target import get
from testing import Test

LOOK = "main.look(version int, n int, isbn string) (title string)"
STACKS = "main.look { count() by stack }"
CHANGED = "(its file has changed)"


def _built(kind):
    path = BIN / f"renew-{kind}"
    if not os.access(path, os.X_OK):
        raise Skip(f"{path.name} was not built")
    return path


def _copy(kind, name="renewed"):
    path = scratch() / name
    shutil.copy(_built(kind), path)
    return path


class Renew(Process):
    """The program, running."""

    def __init__(self, path):
        self.report = scratch() / "port"
        super().__init__([path, "-port-file", self.report])
        self.wait_version()

    def wait_version(self, version=None):
        """It listens; as this version, when it became another."""
        def ready():
            if not self.report.exists():
                return False
            _, self.version, self.port = map(int, self.report.read_text().split())
            return version in (None, self.version)

        until(f"the program is ready: {self.describe()}", ready)

    def become(self, path, ready=True):
        self.report.unlink()
        get(self.port, f"/become?file={path}")
        if ready:
            self.wait_version()


def _end(e, expect=0):
    e.finish(expect=expect)
    assert "Sanitizer" not in e.err(), e.err()
    assert e.summary(), f"no summary: {e.describe()}"
    return e


def _calls(e):
    return [o for o in e.objects() if o.get("func") and "aggregate" not in o]


def _versions(e):
    return {c["args"]["version"] for c in _calls(e)}


def _watch(*questions, options=()):
    """earshot trace of what is called renewed, from now on."""
    need_earshot()
    e = Earshot("trace", "-x", "renewed", "--json", *options, *questions)
    until("it waits", lambda: e.check_alive() and "waiting for it" in e.err())
    return e


def _observed(e, times=1):
    until("the probes are in place", lambda: e.check_alive() and e.err().count("observing ") >= times, 20)


# ---- inspect ----

def _cut(path, _):
    os.truncate(path, 100)


def _overwrite(path, other):
    """As cp does: the same file, cut and filled again."""
    with open(path, "r+b") as f:
        f.truncate(0)
        f.write(other.read_bytes())


def _grow(path, other):
    with open(path, "r+b") as f:
        f.write(other.read_bytes() + bytes(1 << 20))


CHANGES = {"cut": _cut, "overwritten": _overwrite, "grown": _grow}


def _inspect(change):
    """It is held up half-way by whoever reads its output, and goes on when the file is another."""
    need_earshot(root=False)
    path, other = _copy("sw"), _built("v2")
    argv = [EARSHOT, "inspect", "--functions", "*", path]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_env()) as p:
        first = os.read(p.stdout.fileno(), 1000)
        CHANGES[change](path, other)
        out, err = p.communicate(timeout=30)
    shutil.copy(_built("sw"), path)
    whole = run_once(argv).out()
    text = (first + out).decode()
    assert p.returncode == 1, f"exit code {p.returncode}: {err!r}"
    assert re.fullmatch(r"earshot: \S+ was overwritten or cut while it was read; try again\n", err.decode()), err
    assert whole.startswith(text) and len(text) < len(whole), "what was printed is not what is in the file"


def _inspect_often():
    """Whatever moment it is overwritten at: what is printed is that of one of the two versions, or nothing."""
    need_earshot(root=False)
    path, versions, stop = _copy("sw"), [_built("sw"), _built("v2")], threading.Event()
    argv = [EARSHOT, "inspect", "--json", path]
    want = []
    for v in versions:
        shutil.copy(v, path)
        want.append(run_once(argv).out())

    def write():
        while not stop.is_set():
            for v in versions:
                _overwrite(path, v)
                time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(100):
            p = run_once(argv)
            assert p.code in (0, 1), f"exit code {p.code}: {p.err()}"
            assert p.code or p.out() in want, "what was printed is of neither version"
            assert not p.code or (not p.out() and len(p.err().splitlines()) == 1), p.describe()
    finally:
        stop.set()
        writer.join()


# ---- results that are shown later ----

def _later(change, pause):
    """The program ends, its file changes, and only then is asked which functions the addresses are in."""
    path, other = _copy("sw"), _built("v2")
    with _watch(STACKS) as e:
        with Renew(path):
            _observed(e)
            time.sleep(0.3)
        if pause:
            until("it has noticed", lambda: "has exited" in e.err())
            time.sleep(0.5)
        CHANGES[change](path, other)
        time.sleep(0.3)
        _end(e)
    groups = [o for o in e.objects() if "aggregate" in o]
    assert groups and all(g["count"] > 0 and g["func"] == "main.look" for g in groups), e.out()
    names = [n for g in groups for n in g["key"]["stack"]]
    if pause:  # long enough for what is needed to be read
        assert not any(CHANGED in n for n in names), names
    for n in names:
        assert CHANGED in n or re.match(r"main\.outer |main\.main\.func\d |runtime\.goexit ", n), names


def _replaced():
    """The file gets another name and another file takes its place: nothing of it has changed."""
    path = _copy("sw")
    with Renew(path) as p, Trace(p.pid, LOOK, STACKS) as t:
        path.rename(path.parent / "old")
        shutil.copy(_built("v2"), path)
        (path.parent / "old").unlink()
        until("there are calls", lambda: t.calls())
        t.end()
    names = [n for o in t.aggregates() for n in o["key"]["stack"]]
    assert names and not any(CHANGED in n for n in names), t.out()


def _background():
    """A named question is not ended by it, and its results are in its file."""
    need_earshot()
    path, out, name = _copy("sw"), scratch() / "out", f"changed-{os.getpid()}"
    e = Earshot("trace", "-x", "renewed", "--json", "--name", name, "-o", str(out), STACKS)
    assert e.wait(20) == 0, e.describe()
    try:
        with Renew(path):
            time.sleep(1.5)
        _overwrite(path, _built("v2"))
        with Renew(path):
            time.sleep(1.5)
        os.truncate(path, 10)
    finally:
        run_once([e.argv[0], "probes", "remove", name])
    until("the results are there", lambda: out.exists() and '"summary"' in out.read_text())
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines[-1]["summary"]["processes"] == 2, lines[-1]
    assert {o["func"] for o in lines[:-1]} == {"main.look"}, lines


def _spans():
    """Spans of what was started from the old file, and from the new one in its place."""
    need_earshot()
    path = _copy("sw")
    with Earshot("attach", "-x", "renewed", "-o", "json") as e:
        for i, kind in enumerate(("sw", "v2", "pie")):
            if i:
                _overwrite(path, _built(kind))
            with Renew(path) as p:
                e.wait_observing(p.port)
                get(p.port, f"/of-{kind}", "span")
                until("the span is there", lambda: f"/of-{kind}" in e.out())
            os.truncate(path, 50 * i)
        _end(e)
    got = [s["attributes"]["url.path"] for s in e.spans() if s["attributes"]["url.path"].startswith("/of-")]
    assert got == ["/of-sw", "/of-v2", "/of-pie"], got


# ---- versions that look alike ----

def _alike():
    """Two builds of one size and time, one over the other: what is traced is the one that runs."""
    path, other = _copy("sw"), _copy("v2", "other")
    size = max(path.stat().st_size, other.stat().st_size)
    for p in (path, other):
        os.truncate(p, size)
        os.utime(p, (1000000000, 1000000000))
    inode = path.stat().st_ino
    with _watch(LOOK) as e:
        with Renew(path) as p:
            _observed(e)
            until("calls of the first", lambda: 1 in _versions(e))
        subprocess.run(["cp", "-p", other, path], check=True)
        st = path.stat()
        assert (st.st_ino, st.st_size, st.st_mtime) == (inode, size, 1000000000), st
        with Renew(path) as p:
            assert p.version == 2
            _observed(e, 2)
            until("calls of the second", lambda: 2 in _versions(e))
            assert get(p.port, "/")[0] == 200
        _end(e)
    calls = _calls(e)
    assert all(c["func"] == "main.look" and c["args"]["isbn"] == "beat" and c["args"]["version"] in (1, 2)
               for c in calls), calls
    assert e.summary()["processes"] == 2 and not e.summary()["refused"], e.summary()


# ---- code in memory ----

def _site_of(path, function):
    out = json.loads(run_once([EARSHOT, "inspect", "--json", "--functions", function, path]).out())
    return out["matches"][0]["sites"][0]["address"]


def _write_code(pid, addr, data):
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as f:
        f.seek(addr)
        old = f.read(len(data))
        f.seek(addr)
        f.write(data)
    return old


def _changed_in_memory():
    """Another tool has changed a function's code: that one is refused, the others are not."""
    need_earshot()
    path = _copy("sw")
    with Renew(path) as p:
        addr = _site_of(path, "main.never")
        old = _write_code(p.pid, addr + 1, b"\x90\x90\x90")
        with Trace(p.pid, LOOK, "main.never(n int) (s string)") as t:
            until("there are calls", lambda: t.calls())
            t.end()
        assert re.search(r"main\.never is not probed: the code of process \d+ at 0x[0-9a-f]+ is not that of the file "
                         r"that was analysed: it is another build, or another tool has changed it\n", t.err()), t.err()
        assert t.summary()["refused"] >= 1 and {c["func"] for c in t.calls()} == {"main.look"}, t.out()
        _write_code(p.pid, addr + 1, old)
        with Trace(p.pid, "main.never(n int) (s string)") as t:
            get(p.port, "/never")
            until("the call is seen", lambda: t.calls())
            t.end()


def _breakpoint():
    """A breakpoint of another tool: uprobes share it; a patch would move it, and is refused."""
    need_earshot()
    with Renew(_copy("sw")) as p, Trace(p.pid, LOOK, options=["--planter", "uprobe"]) as first:
        with Trace(p.pid, LOOK, options=["--planter", "uprobe"]) as second:
            until("both see calls", lambda: first.calls() and second.calls())
            second.end()
        with Trace(p.pid, LOOK, wait=False, options=["--planter", "patch"]) as second:
            assert second.wait(20) == 3, second.describe()
            assert "has a breakpoint of another tool (uprobes, as those of OBI, Datadog or bpftrace; or a debugger)" in second.err(), second.err()
        have = len(first.calls())
        until("the first goes on", lambda: len(first.calls()) > have)
        first.end()


# ---- execve ----

def _become(verb, first, then):
    """A process under -p executes a file: it is observed on."""
    need_earshot()
    path, other = _copy(first), _copy(then, "other")
    target = path if first == then else other
    with Renew(path) as p:
        e = Trace(p.pid, LOOK) if verb == "trace" else Earshot("attach", "-p", str(p.pid), "-o", "json")
        with e:
            if verb == "attach":
                e.wait_observing(p.port)
            else:
                until("there are calls", lambda: e.calls())
            for _ in range(2):  # and again
                p.become(target)
                seen = e.err().count("observing ")
                mark = len(e.out())
                if verb == "attach":
                    e.wait_observing(p.port)
                else:
                    until("its calls are seen", lambda: len(e.out()) > mark + 2000)
                assert seen <= e.err().count("observing ")
            _end(e)
        assert e.summary()["processes"] == 3, e.summary()
        if verb == "trace":
            want = {1, 2} if "v2" in (first, then) else {1}
            assert _versions(e) == want and all(c["args"]["isbn"] == "beat" for c in _calls(e)), e.out()[-2000:]


def _become_other(verb):
    """It executes what cannot be observed: that is said, and with nothing else to do it ends."""
    need_earshot()
    with Renew(_copy("sw")) as p:
        e = Trace(p.pid, LOOK) if verb == "trace" else Earshot("attach", "-p", str(p.pid), "-o", "json")
        with e:
            _observed(e)
            script = scratch() / "script"
            script.write_text("#!/bin/sh\nwhile :; do sleep 1; done\n")
            script.chmod(0o755)
            p.become(script, ready=False)
            assert e.wait(20) == 0, e.describe()
            said = [l for l in e.err().splitlines() if "has become" in l]
            assert len(said) == 1 and re.match(
                r"earshot: renewed \(pid \d+\) has become /(usr/)?bin/\w+ and is no longer observed: \S", said[0]), e.err()
            assert e.summary(), e.out()


def _tests():
    for change in CHANGES:
        yield Test(f"inspect-{change}", lambda c=change: _inspect(c))
    yield Test("inspect-at-any-moment", _inspect_often, 120)
    for change in CHANGES:
        yield Test(f"{change}-before-names", lambda c=change: _later(c, False))
        yield Test(f"{change}-after-names", lambda c=change: _later(c, True))
    yield Test("replaced", _replaced)
    yield Test("background", _background)
    yield Test("spans", _spans)
    yield Test("versions-alike", _alike)
    yield Test("changed-in-memory", _changed_in_memory)
    yield Test("breakpoint", _breakpoint)
    for verb in ("trace", "attach"):
        for first, then in (("sw", "sw"), ("pie", "pie"), ("sw", "v2"), ("sw", "pie"), ("pie", "v2")):
            yield Test(f"becomes-{verb}-{first}-{then}", lambda v=verb, a=first, b=then: _become(v, a, b))
        yield Test(f"becomes-{verb}-not-go", lambda v=verb: _become_other(v))


def tests():
    named = {t.name for t in _tests() if t.name.startswith("becomes")}
    yield from and_patched(_tests(), {"versions-alike", "changed-in-memory", "grown-before-names", *named})
