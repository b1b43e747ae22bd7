"""earshot record: what a program did until it died is in the dump, and dumps come when they should."""

import json
import os
import pathlib
import re
import signal
import threading
import time

from earshot import Earshot, need_earshot, one_sentence, patched, planter
from otlp import FakeCollector
from proc import BIN, EARSHOT, Skip, run_once, scratch, until
from target import Httpd, get, newest
from testing import Test, scaled

DEATHS = ("panic", "crash", "kill", "oom")
OOM_BYTES = 96 << 20


class Group:
    """A control group of either version whose processes share so much memory."""

    def __init__(self, limit):
        roots = (("memory.limit_in_bytes", "/sys/fs/cgroup/memory"), ("memory.max", "/sys/fs/cgroup"))
        for name, root in roots:
            self.path = pathlib.Path(root) / f"earshot-test-{os.getpid()}"
            try:
                self.path.mkdir()
                (self.path / name).write_text(str(limit))
                swap = self.path / "memory.swap.max"
                if swap.exists():
                    swap.write_text("0")
                return
            except OSError:
                self.close()
        raise Skip("no control group with a limit of memory can be made here")

    def close(self):
        try:
            self.path.rmdir()
        except OSError:
            pass


def _numbers(spans):
    return {int(s["attributes"]["url.path"].split("/")[2]) for s in spans if s.get("kind") == "server"}


def _read(path):
    """(about, spans, summary) of a dump as JSON lines."""
    lines = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
    assert "dump" in lines[0] and "summary" in lines[-1], (path, lines[0], lines[-1])
    return lines[0]["dump"], lines[1:-1], lines[-1]["summary"]


def _dumps(folder, cause=""):
    return sorted(p for p in pathlib.Path(folder).glob(f"earshot-*Z-{cause}*.json"))


def _child(e):
    """The program that it has started."""
    for pid in pathlib.Path(f"/proc/{e.pid}/task/{e.pid}/children").read_text().split():
        if os.readlink(f"/proc/{pid}/exe") != os.path.realpath(EARSHOT):
            return int(pid)
    raise AssertionError(f"no program runs: {e.describe()}")


def _die(how, group):
    """One death. All that the program spoke of is there, and nothing that it did not do."""
    folder, path = scratch(), BIN / "lastwords"
    command = [path, "-die", {"kill": "wait"}.get(how, how)]
    if how == "oom":
        command += ["-group", group.path]
    chosen = ["--planter", planter()] if planter() else []
    e = Earshot("record", *chosen, "--packs", "net-http", "--packs", "go-runtime", "--dump-on", "exit_signal || exit_code == 2",
                "--dump-to", folder, "--", *command)
    until("requests are answered", lambda: e.out().count("\n") > 50 or not e.alive(), 30)
    if how == "kill":
        os.kill(_child(e), signal.SIGKILL)
    code = e.wait(30)
    assert code == (2 if how in ("panic", "crash") else 137), f"{how}: {code}: {e.describe()}"
    found = _dumps(folder, "exit")
    assert len(found) == 1 and not list(folder.glob(".*")), (found, e.describe())
    about, spans, summary = _read(found[0])
    assert not any(summary["losses"][k] for k in ("ring_full", "bad_record", "scratch_busy")), summary
    spoken, seen = {int(n) for n in e.out().split()}, _numbers(spans)
    assert spoken <= seen, f"{how}: {len(spoken - seen)} of {len(spoken)} are missing: {sorted(spoken - seen)[:9]}"
    assert max(seen) <= max(spoken) + 4 and len(seen - spoken) <= 4, (how, sorted(seen - spoken))
    assert len(seen) == sum(s["kind"] == "server" for s in spans), f"{how}: a request is there twice"
    ended = sum(s["status"] == "error" for s in spans if s["kind"] == "server")
    assert ended <= 4, f"{how}: {ended} requests were cut off, of 4 at once"
    word = "code 2" if how in ("panic", "crash") else "signal 9"
    assert word in about["reason"] and about["from_start"], about
    return len(spoken)


def _deaths(how):
    need_earshot()
    if not (BIN / "lastwords").exists():
        raise Skip("lastwords was not built")
    times = scaled(1, 1, "DEATHS")
    group = Group(OOM_BYTES) if how == "oom" else None
    try:
        spoken = [_die(how, group) for _ in range(times)]
    finally:
        if group:
            group.close()
    return f"{times} of {times}, {min(spoken)} to {max(spoken)} requests"


class Recorder:
    """A server, and a recorder that observes it."""

    def __init__(self, *options, to=None):
        need_earshot()
        self.folder = to or scratch()
        self.httpd = Httpd(newest())
        chosen = ["--planter", planter()] if planter() else []
        self.e = Earshot("record", *chosen, "-p", str(self.httpd.pid), "--dump-to", self.folder, *options)
        until("the program is observed", lambda: self.e.check_alive() and "observing " in self.e.err(), 30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.e.kill()
        self.httpd.close()

    def get(self, path):
        try:
            get(self.httpd.where["http"], path, agent="test")
        except Exception:  # the server closes the connection
            pass

    def dumps(self, cause, count):
        until(f"{count} dumps by {cause}; earshot says {self.e.err()!r}",
              lambda: len(_dumps(self.folder, cause)) >= count, 20)
        found = _dumps(self.folder, cause)
        assert len(found) == count, found
        return [_read(p) for p in found]


def _paths(spans):
    return [s["attributes"]["url.path"] for s in spans]


def _rules():
    """A rule dumps once for a burst, with what comes after the span that it holds for; then not for a while."""
    with Recorder("--dump-on", "panicked", "--dump-on", 'url.query == "again"', "--dump-every", "3s", "--dumps", "2",
                  "--last", "1h") as r:
        r.get("/plain")
        for _ in range(5):
            r.get("/panic/before")
        r.get("/plain")
        (about, spans, summary), = r.dumps("rule", 1)
        assert _paths(spans) == ["/plain"] + 5 * ["/panic/before"] + ["/plain"], _paths(spans)
        assert "panicked" in about["reason"] and "(and 4 more)" in about["reason"] and about["from_start"], about
        assert about["spans"] == summary["spans"] == 7 and not any(summary["losses"].values()), summary
        r.get("/plain?again")
        time.sleep(1.2)
        assert len(_dumps(r.folder)) == 1, "the second one came at once"
        assert len(r.dumps("rule", 2)[1][1]) == 8
        r.get("/plain?again")
        until("it says that there are no more", lambda: "as many as --dumps allows" in r.e.err(), 20)
        assert r.e.stop(signal.SIGINT) == 0 and len(_dumps(r.folder)) == 2, r.e.describe()


def _requests():
    """Signals and requests, at once: each has its dump, whole."""
    with Recorder("--name", f"e2e-{os.getpid()}", "-o", "json") as r:
        for i in range(20):
            r.get(f"/alloc?{i}")
        until("spans are recorded", lambda: "20 spans" in run_once(
            [EARSHOT, "record", "--dump", str(r.httpd.pid)]).out(), 10)
        before = len(_dumps(r.folder, "request"))
        done = []
        asking = [threading.Thread(target=lambda w=w: done.append(run_once([EARSHOT, "record", "--dump", w])))
                  for w in 3 * [f"e2e-{os.getpid()}"] + [str(r.e.pid)]]
        for t in asking:
            t.start()
        os.kill(r.e.pid, signal.SIGUSR1)
        for t in asking:
            t.join()
        assert all(d.code == 0 and "20 spans" in d.out() and " → " in d.out() for d in done), [d.out() for d in done]
        assert len(r.dumps("signal", 1)[0][1]) == 20
        for about, spans, _ in r.dumps("request", before + 4):
            assert about["spans"] == len(spans), about
        assert oct(os.stat(f"/run/earshot/e2e-{os.getpid()}.record").st_mode)[-3:] == "600"
        other = run_once([EARSHOT, "record", "--dump", "1"])
        assert other.code == 3 and f"e2e-{os.getpid()}" in other.err() and one_sentence(other.err()), other.describe()
        r.e.stop(signal.SIGINT)
        assert run_once([EARSHOT, "record", "--dump", f"e2e-{os.getpid()}"]).code == 3


def _unfinished():
    """What is open when a dump is made is in it as such, and ends all the same."""
    with Recorder() as r:
        def slow():
            out = pathlib.Path(run_once([EARSHOT, "record", "--dump", str(r.e.pid)]).out().split(" → ")[1].strip())
            return [s for s in _read(out)[1] if s["attributes"]["url.path"] == "/slow"]

        t = threading.Thread(target=lambda: r.get("/slow?ms=3000"))
        t.start()
        first = until("the slow request is there", slow, 10)
        again = slow()
        assert [s["attributes"].get("earshot.unfinished") for s in first + again] == [True, True], first
        assert first[0]["span_id"] == again[0]["span_id"] and first[0]["duration_ns"] < again[0]["duration_ns"], again
        t.join()
        (last,) = slow()
        assert last["span_id"] == first[0]["span_id"] and "earshot.unfinished" not in last["attributes"], last
        assert last["attributes"]["http.response.status_code"] == 200 and last["duration_ns"] >= 3e9, last


def _collections():
    """Cycles of the garbage collector, where they are asked for: as many as the program counts, beside the requests."""
    need_earshot()
    folder = scratch()
    e = Earshot("record", "--packs", "*", "--packs", "go-gc", "--dump-on", "exit", "--dump-to", folder, "--",
                BIN / "lastwords", "-die", "exit", "-collect", "40")
    assert e.wait(60) == 3, e.describe()
    spans = _read(_dumps(folder, "exit")[0])[1]
    cycles = [s for s in spans if s["name"] == "GC"]
    whole = [s for s in cycles if s["status"] == "unset" and not s["parent_span_id"] and s["pack"] == "go-gc"]
    counted = int(re.search(r"^collected (\d+)$", e.err(), re.M)[1])
    assert counted >= 40 and counted <= len(whole) <= len(cycles) <= counted + 1, (counted, len(whole), len(cycles))
    assert set(int(n) for n in e.out().split()) <= _numbers(spans)


def _killed():
    """The recorder is killed: what it had written to its file is there, and is not overwritten by the next one."""
    ring = scratch() / "ring"

    def read(path, *options):
        return run_once([EARSHOT, "record", "--read", path, *options])

    with Recorder("--file", ring, "--last", "2MB") as r:
        for i in range(10):
            r.get(f"/alloc?{i}")
        until("the file has them", lambda: read(ring, "-q").out().count('"url.path":"/alloc"') >= 10, 10)
        os.kill(r.e.pid, signal.SIGKILL)
        r.e.wait(10)
        lines = [json.loads(line) for line in read(ring, "-q").out().splitlines()]
        assert lines[0]["dump"]["spans"] == 10 and len(lines) == 12, lines
        tree = read(ring, "-o", "tree")
        assert tree.out().count("/alloc?") == 10 and tree.out().startswith("# what is in "), tree.describe()
        assert isinstance(json.loads(read(ring, "-o", "perfetto", "-q").out()), list)
    with Recorder("--file", ring) as r:
        assert f"{ring} was there already and is now {ring}.old" in r.e.err(), r.e.err()
        assert "10 spans" in read(f"{ring}.old").err()
    for bad in ("/etc/passwd", "/nonexistent", "/dev/null", "/"):
        done = read(bad)
        assert done.code == 1 and one_sentence(done.err()) and not done.out(), done.describe()


def _over():
    """When its time is over, and its command goes on, there is nobody to ask any more."""
    need_earshot()
    name = f"e2e-over-{os.getpid()}"
    e = Earshot("record", "--for", "200ms", "--name", name, "--dump-to", scratch(), "--", "sleep", "3")
    until("it is over", lambda: "0 spans from" in e.err(), 20)
    asked = run_once([EARSHOT, "record", "--dump", name])
    assert asked.code == 3 and "no recorder is named" in asked.err(), asked.describe()
    os.kill(e.pid, signal.SIGUSR1)
    assert e.wait(20) == 0 and "dump:" not in e.err(), e.describe()


def _full_disk():
    """A dump that has no room is said once, tried again, and comes when there is room: nothing recorded is lost."""
    small = scratch()
    if run_once(["mount", "-t", "tmpfs", "-o", "size=16k", "earshot-test", small]).code:
        raise Skip("nothing can be mounted here")
    try:
        with Recorder("--dump-on", "panicked", "--dump-every", "500ms", to=small) as r:
            for i in range(200):
                r.get(f"/alloc?{i}")
            r.get("/panic/before")
            until("it fails", lambda: "failed" in r.e.err(), 20)
            time.sleep(1.5)
            said = [line for line in r.e.err().splitlines() if "failed" in line]
            assert len(said) == 1 and "space" in said[0] and not list(small.iterdir()), (said, list(small.iterdir()))
            assert run_once(["mount", "-o", "remount,size=8m", small]).code == 0
            (about, spans, _), = r.dumps("rule", 1)
            assert len(spans) == 201 and "panicked" in about["reason"], about
    finally:
        run_once(["umount", "-l", small])


def _sent():
    """A dump goes to a collector, which has nothing of it before, with its reason beside each span."""
    with FakeCollector() as fake, Recorder("--otlp", fake.url, "-o", "none") as r:
        for i in range(300):
            r.get(f"/alloc?{i}")
        done = run_once([EARSHOT, "record", "--dump", str(r.e.pid)])
        assert done.code == 0 and " spans of " in done.out(), done.describe()
        got = [s for s in fake.spans if s["attributes"].get("url.path") == "/alloc"]
        assert sorted(int(s["attributes"]["url.query"]) for s in got) == list(range(300)), len(got)
        assert {s["resource"].get("earshot.dump.reason", "")[:20] for s in got} == {"asked for by process"}, got[0]
        assert not _dumps(r.folder)


def _usage():
    need_earshot(root=False)
    for args, words in ((["-p", "1", "--last", "soon"], "--last expects"), (["-p", "1", "--last", "5kB"], "--last expects"),
                        ([], "say what to observe"), (["--"], "which program"), (["./x"], "-- ./x"),
                        (["-p", "1", "-o", "xml"], "-o expects"), (["-p", "1", "--dump-to", "/nonexistent/x"], "--dump-to"),
                        (["-p", "1", "--dump-to", "/dev/null"], "- for standard output"),
                        (["-p", "1", "-x", "y", "--", "true"], "--port")):
        done = run_once([EARSHOT, "record", *args])
        assert done.code == 2 and words in done.err() and one_sentence(done.err()), (args, done.describe())
    done = run_once([EARSHOT, "record", "-p", "1", "--dump-on", "status = error"])
    assert done.code == 2 and "--dump-on: " in done.err() and "^" in done.err(), done.describe()


def tests():
    yield Test("usage", _usage)
    yield Test("rules", _rules)
    yield Test("requests", _requests)
    yield Test("unfinished", _unfinished)
    yield Test("collections", _collections)
    yield Test("recorder-killed", _killed)
    yield Test("sent", _sent)
    yield Test("over", _over)
    yield Test("full-disk", _full_disk)
    for how in DEATHS:
        test = Test(how, lambda h=how: _deaths(h), 60 + 5 * scaled(1, 1, "DEATHS"))
        yield test
        yield patched(test)
