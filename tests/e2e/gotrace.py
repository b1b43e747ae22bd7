"""`earshot convert`: execution traces of Go become spans, with what their goroutines waited for.

The truth is what the program (`go/gotrace`) says that it did, by its own clock, and what Go's own reader makes of the file.
"""

import collections
import contextlib
import functools
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import tempfile

from collector import Collector
from earshot import Earshot, need_earshot
from proc import BIN, CACHE, EARSHOT, ROOT, Process, Skip, clean_env, scratch, until
from target import MINORS
from testing import Test, scaled

DUMP = os.environ.get("EARSHOT_GOTRACE_DUMP", str(ROOT / "build" / "tools" / "gotrace-dump"))
TRACED = [m for m in MINORS if float(m) >= 1.215]
FLIGHT = [m for m in TRACED if float(m) >= 1.245]
ENDS = list(dict.fromkeys(TRACED[:1] + TRACED[-1:]))
FORMATS = [m for m in TRACED if m in ("1.22", "1.23", "1.25", MINORS[-1])]  # one Go of each; EARSHOT_DAMAGED: of all
DAMAGED = scaled(30, 20, "DAMAGED")
TICK = 64  # ns, of the trace's clock
GO = "earshot.go."
_traces = tempfile.TemporaryDirectory(prefix="earshot-traces-")  # for several tests
NO_TIMES = (GO + "longest_ns", GO + "within.")


def _program(minor):
    program = BIN / f"gotrace-go{minor}"
    if not program.exists():
        raise Skip(f"{program.name} was not built")
    return program


@functools.lru_cache(maxsize=None)
def _writing(minor, mode):
    path = pathlib.Path(_traces.name) / f"{minor}-{mode}.trace"
    return path, subprocess.Popen([_program(minor), path, "1", mode], stdout=subprocess.PIPE, text=True, env=clean_env())


@functools.lru_cache(maxsize=None)
def _trace(minor, mode="stop"):
    """A trace, and what the program says of it."""
    path, program = _writing(minor, mode)
    try:
        said = program.communicate(timeout=60)[0]
    finally:
        program.kill()
    assert program.returncode == 0, program.returncode
    return path, [json.loads(line) for line in said.splitlines()]


def _convert(*args, stdin=None):
    """(exit code, spans, summary, standard error)"""
    need_earshot(root=False)
    done = subprocess.run([EARSHOT, "convert", "-o", "json", *args], capture_output=True, timeout=60, env=clean_env(),
                          check=False, input=stdin)
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    summary = lines.pop()["summary"] if lines and "summary" in lines[-1] else None
    return done.returncode, lines, summary, done.stderr.decode()


def _times(span):
    """What its goroutine did, by name; sums up to its duration."""
    return {key[len(GO):-3]: value for key, value in span["attributes"].items()
            if key.startswith(GO) and key.endswith("_ns") and not key.startswith(NO_TIMES)}


def _check_said(said, spans):
    """Each region and task that the program tells of is one span, as long as it says, below what it says."""
    by_name = collections.defaultdict(list)
    by_id = {span["span_id"]: span for span in spans}
    for span in spans:
        by_name[span["name"]].append(span)
    for s in said:
        if s["kind"] == "log":
            continue
        assert len(by_name[s["name"]]) == 1, (s, by_name[s["name"]])
        span = by_name[s["name"]][0]
        assert span["goid"] == s["goid"] and span["attributes"][GO + "kind"] == s["kind"], (s, span)
        assert s["inner_ns"] - TICK <= span["duration_ns"] <= s["outer_ns"] + TICK, (s, span)
        parent = by_id.get(span["parent_span_id"], {"name": "", "trace_id": span["trace_id"]})
        assert parent["name"] == s["parent"] and parent["trace_id"] == span["trace_id"], (s, span, parent)
        times = _times(span)
        assert sum(times.values()) == span["duration_ns"], (span, times)
        if s["wait"]:
            longest = s["wait"] if s["wait"] in times else "wait." + s["wait"]
            assert max(times, key=times.get) == longest, (s, times)
            if longest != "running":
                assert span["attributes"][GO + "longest"] == s["wait"], span
                assert "main." in span["attributes"][GO + "longest_at"], span
    for s in said:
        if s["kind"] == "log":
            events = by_name[s["span"]][0]["events"]
            assert [e["attributes"]["message"] for e in events if e["name"] == s["name"]] == [s["text"]], (s, events)


def _spans(minor, mode="stop"):
    path, said = _trace(minor, mode)
    code, spans, summary, err = _convert(path)
    assert code == 0, err
    _check_said(said, spans)
    names = collections.Counter(span["name"] for span in spans)
    assert names["busy"] == names["step"] == 160, names
    for span in spans:
        assert sum(_times(span).values()) == span["duration_ns"], span
    left = {span["name"] for span in spans if span["attributes"].get(GO + "unfinished")}
    assert left == {"unfinished", "unfinished region"} and summary["open"] == 2, (left, summary)
    assert {k: v for k, v in summary["losses"].items() if v} == {"unpaired_end": 1}, summary  # the task that had begun before
    assert ("time of day" in err) == (float(minor) < 1.245), err
    return f"{len(spans)} spans, {summary['events']} events"


# ---- Go's own reader ----

def _go_tool(form, path):
    go = CACHE / f"toolchains/go{MINORS[-1]}/bin/go"
    env = clean_env(GOCACHE=str(CACHE / "gocache"), GOMODCACHE=str(CACHE / "gomod"), GOTOOLCHAIN="local", GOFLAGS="")
    done = subprocess.run([go, "tool", "trace", "-d=" + form, path], capture_output=True, text=True, timeout=120, env=env,
                          check=False, cwd=scratch())
    assert done.returncode == 0, done.stderr[-1000:]
    return done.stdout.splitlines()


def _dump(*args):
    if not os.access(DUMP, os.X_OK):
        raise Skip(f"{DUMP} is not built")
    done = subprocess.run([DUMP, *args], capture_output=True, text=True, timeout=60, env=clean_env(), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# What an event does to which goroutine: argument 0 or the one that runs ("g").
_STATES = {"GoCreate": (0, "Runnable"), "GoCreateBlocked": (0, "Waiting"), "GoCreateSyscall": (0, "Syscall"),
           "GoStart": (0, "Running"), "GoDestroy": ("g", "NotExist"), "GoDestroySyscall": ("g", "NotExist"),
           "GoStop": ("g", "Runnable"), "GoBlock": ("g", "Waiting"), "GoUnblock": (0, "Runnable"),
           "GoSyscallBegin": ("g", "Syscall"), "GoSyscallEnd": ("g", "Running"), "GoSyscallEndBlocked": ("g", "Runnable")}
_STATUS = ("", "Runnable", "Running", "Syscall", "Waiting")


def _our_states(lines):
    """goid → its states, one after the other"""
    states = collections.defaultdict(list)
    for line in lines:
        if line.startswith("generation"):
            continue
        _, _, g, name, *args = line.split(" ")
        if name in _STATES:
            who, state = _STATES[name]
            states[g if who == "g" else args[who]].append(state)
        elif name in ("GoStatus", "GoStatusStack"):
            states[args[0]].append(_STATUS[int(args[2])])
        elif name in ("GoSwitch", "GoSwitchDestroy"):  # three in one
            states[args[0]] += ["Runnable", "Running"]
            states[g].append("Waiting" if name == "GoSwitch" else "NotExist")
    return states


def _their_states(lines):
    states = collections.defaultdict(list)
    for line in lines:
        match = re.search(r"StateTransition .*GoID=(\d+) \w+->(\w+)", line)
        if match:
            states[match[1]].append(match[2])
    return states


def _events(minor, mode):
    path, _ = _trace(minor, mode)
    ours, theirs = _our_states(_dump(path)), _their_states(_go_tool("parsed", path))
    assert ours == theirs, [(g, ours.get(g), theirs.get(g)) for g in ours.keys() | theirs.keys() if ours.get(g) != theirs.get(g)][:3]
    counts = {line.split()[1]: int(line.split()[0]) for line in _dump("-c", path)}
    wire = collections.Counter(line.split(" ")[0] for line in _go_tool("wire", path))
    for name, n in counts.items():
        assert wire[name] == n, (name, n, wire[name])
    missing = {name for name in wire if re.fullmatch(r"(Go|Proc|GC|STW|User|Heap)\w+", name)} - counts.keys()
    assert not missing, missing
    return f"{sum(counts.values())} events, {len(ours)} goroutines"


# ---- cut and damaged files ----

def _damaged(whole, rng):
    data, at = bytearray(whole), int(len(whole) * (1 - rng.random() ** 3))  # most bytes are of the first generation
    if rng.random() < 0.5:
        return bytes(data[:at])
    data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
    return bytes(data)


def _finished(spans):
    """Without what is not the same of every copy of a file: ids, and times of day of older traces."""
    return {json.dumps([span["name"], span["goid"], span["duration_ns"], span["attributes"]]) for span in spans
            if not span["attributes"].get(GO + "unfinished")}


def _cut(minor):
    """A damaged file: what is said of its first generations, as of the whole file; or one sentence."""
    for other in ENDS:
        _writing(other, "long")  # for some seconds: both at once
    path, _ = _trace(minor, "long")
    whole, outcomes = path.read_bytes(), collections.Counter()
    code, spans, _, err = _convert(path)
    assert code == 0 and re.search(r"[3-9] generations", err), err
    finished, rng, broken = _finished(spans), random.Random(int(float(minor) * 100)), scratch() / "broken.trace"
    for _ in range(DAMAGED):
        broken.write_bytes(_damaged(whole, rng))
        os.utime(broken, ns=(path.stat().st_mtime_ns,) * 2)
        code, spans, _, err = _convert(broken)
        told = [line for line in err.splitlines() if "no whole generation" in line or "is no execution trace" in line or
                "is empty" in line or "fewer than its header" in line]
        assert code in (0, 1) and len(told) <= 1, (code, err)
        assert code == 0 or (len(told) == 1 and not spans), err
        strange = _finished(spans) - finished
        assert len(strange) <= 1 or not told, (len(strange), err)  # a flipped bit of a text or a time is not to be known
        outcomes["refused" if code else "whole" if not told else "some"] += 1
    assert outcomes["some"] > DAMAGED / 5, outcomes
    return str(dict(outcomes))


def _kill(path, p):
    until("it has written a generation", lambda: path.exists() and _convert(path)[0] == 0 and _convert(path)[1], 20, 0.2)
    p.send_signal(signal.SIGKILL)
    p.wait(10)
    code, spans, summary, err = _convert(path)
    assert code == 0 and len(spans) > 300 and summary["open"] >= 2, (code, len(spans), summary, err)


def _killed():
    """What programs have written until they are killed, or end without an end of their traces."""
    paths = {minor: scratch() / "killed.trace" for minor in ENDS}
    with contextlib.ExitStack() as stack:
        programs = {minor: stack.enter_context(Process([_program(minor), path, "1", "wait"], env=clean_env()))
                    for minor, path in paths.items()}
        for minor, path in paths.items():
            _kill(path, programs[minor])
    for minor, path in paths.items():
        subprocess.run([_program(minor), path, "1", "exit"], capture_output=True, timeout=60, env=clean_env(), check=True)
        code, _, _, err = _convert(path)
        assert (code == 0 and "whole generation" not in err) or (code == 1 and "no whole generation" in err), (code, err)
    return f"{[path.stat().st_size for path in paths.values()]} bytes of those that exit"


# ---- with spans that Earshot saw ----

def _joined():
    need_earshot()
    trace, seen = scratch() / "joined.trace", scratch() / "seen.json"
    done = subprocess.run([EARSHOT, "run", "-o", "json", "--span", "main.spanned", "--", _program(MINORS[-1]), trace, "1"],
                          capture_output=True, text=True, timeout=60, env=clean_env(), check=False)
    assert done.returncode == 0, done.stderr
    seen.write_text("".join(line + "\n" for line in done.stdout.splitlines() if "span_id" in line or "summary" in line))
    code, spans, _, err = _convert("--with", seen, trace)
    assert code == 0 and "2 joined, 0 not" in err, err
    before = [json.loads(line) for line in seen.read_text().splitlines() if "span_id" in line]
    for was in before:
        span = next(s for s in spans if s["span_id"] == was["span_id"])
        assert {k: v for k, v in span.items() if k != "attributes"} == {k: v for k, v in was.items() if k != "attributes"}
        assert was["attributes"].items() <= span["attributes"].items(), (was, span)
        times = _times(span)
        assert sum(times.values()) == span["duration_ns"] and "unknown" not in times, (span, times)
        assert span["attributes"][GO + "longest"] == "chan_receive" and "main.spanned" in span["attributes"][GO + "longest_at"], span
        assert times["wait.sleep"] > 0, times
        inside = [s for s in spans if s["parent_span_id"] == span["span_id"]]
        assert [s["name"][:3] for s in inside] == ["in "] and inside[0]["trace_id"] == span["trace_id"], inside
        assert inside[0]["attributes"]["earshot.parent.source"] == "goroutine" and inside[0]["service"] == span["service"], inside
    assert len(before) == 2, before
    # Those of another process, and of another time.
    code, _, _, err = _convert("--with", seen, "--pid", "1", trace)
    assert code == 0 and "nothing is joined" in err, err
    code, spans, _, err = _convert("--with", seen, _trace(MINORS[-1])[0])
    assert code == 0 and re.search(r"no span of .*: the (last one ends|first one begins) \S.* (before|after) it", err), err
    assert {s["span_id"] for s in before} <= {s["span_id"] for s in spans}, err
    return ""


# ---- inputs and outputs ----

def _refused():
    where = scratch()
    (where / "old.trace").write_bytes(b"go 1.21 trace\0\0\0" + bytes(100))
    (where / "empty").write_bytes(b"")
    (where / "script").write_bytes(b"#!/bin/sh\nexit 0\nexit 0\n")
    (where / "spans.json").write_text("nonsense\n")
    trace = _trace(MINORS[-1])[0]
    for args, code, sentence in (
            ([], 2, "convert takes one file"), ([trace, trace], 2, "convert takes one file"),
            ([where / "none"], 1, "cannot be opened: No such file"), ([where], 1, "cannot be read: Is a directory"),
            ([where / "empty"], 1, "is empty"), ([where / "script"], 1, "is no execution trace of Go"),
            ([where / "old.trace"], 1, "is a go 1.21 trace, and formats from 1.22"),
            (["--pid", "5", trace], 2, "--pid says whose spans"), (["--with", where / "none", trace], 1, "none cannot be opened"),
            (["--with", where / "spans.json", trace], 1, "line 1 of"), (["-o", "xml", trace], 2, "-o expects")):
        got, _, _, err = _convert(*args)
        assert got == code and sentence in err and len(err.splitlines()) == 1, (args, got, err)
    got, _, _, err = _convert("-", stdin=trace.read_bytes()[:2000])  # nothing is told of what is not read
    assert got == 1 and "standard input has no whole generation" in err and len(err.splitlines()) == 1, err
    got, spans, _, _ = _convert("-", stdin=trace.read_bytes())
    assert got == 0 and len(spans) > 300, got
    got, _, _, err = _convert("-q", trace)
    assert got == 0 and not err, err
    return ""


def _outputs():
    """Nothing is lost on the way to a collector, a timeline, or a reader that is slow."""
    path, said = _trace(MINORS[-1])
    code, spans, _, err = _convert(path)
    assert code == 0, err
    timeline = scratch() / "timeline.json"
    with Collector() as collector:
        code, _, _, err = _convert("--otlp", f"http://127.0.0.1:{collector.http}", "--perfetto", timeline, path)
        assert code == 0 and "; none lost (1 unpaired_end)" in err, err
        until("all spans arrive", lambda: len(collector.spans()) >= len(spans), 20)
        arrived = {s["span_id"]: s for s in collector.spans()}
    assert arrived.keys() == {s["span_id"] for s in spans}, (len(arrived), len(spans))
    events = collections.Counter(e["ph"] for e in json.loads(timeline.read_text()))
    logs = sum(s["kind"] == "log" for s in said)
    assert events == {"M": 1, "b": len(spans), "e": len(spans), "n": logs}, events
    # What an output does not take is lost, and no success; a reader that has seen enough is one.
    with open("/dev/full", "wb") as full:
        done = subprocess.run([EARSHOT, "convert", "-q", path], stdout=full, stderr=subprocess.PIPE, env=clean_env(), timeout=60,
                              check=False, text=True)
        assert done.returncode == 1 and f"{len(spans)} spans did not come through" in done.stderr, done
        assert len(done.stderr.splitlines()) == 1, done.stderr
    closed = subprocess.Popen([EARSHOT, "convert", "-q", path], stdout=subprocess.PIPE, env=clean_env())
    closed.stdout.close()
    assert closed.wait(20) == 0
    for form, first in (("line", "busy"), ("tree", "waits")):
        slow = subprocess.Popen([EARSHOT, "convert", "-q", "-o", form, path], stdout=subprocess.PIPE, env=clean_env(), text=True)
        assert first in slow.stdout.read() and slow.wait(20) == 0
    return f"{len(spans)} spans"


def tests():
    for minor in TRACED:
        yield Test(f"spans-go{minor}", lambda minor=minor: _spans(minor))
    for minor in {FLIGHT[0], FLIGHT[-1]} if FLIGHT else ():
        yield Test(f"flight-go{minor}", lambda minor=minor: _spans(minor, "flight"))
    for minor in TRACED if "EARSHOT_DAMAGED" in os.environ else FORMATS:
        yield Test(f"events-go{minor}", lambda minor=minor: _events(minor, "stop"), 180)
    for minor in ENDS:
        yield Test(f"cut-go{minor}", lambda minor=minor: _cut(minor))
    yield Test("killed", _killed)
    yield Test("joined", _joined)
    yield Test("refused", _refused)
    yield Test("outputs", _outputs)
