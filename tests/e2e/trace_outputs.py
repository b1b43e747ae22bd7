"""What trace writes: aligned lines, tables, histograms, call trees, and files that
other programs open."""

import json
import os
import re
import signal
import subprocess
import time

from calls import Calls, Trace, newest
from proc import CACHE, EARSHOT, Process, Skip, clean_env, scratch, until
from testing import Test


def _text(scenario, count, *questions, options=(), before_end=None):
    """(standard output, standard error) of a trace without --json."""
    with Calls(newest()) as program, Trace(program.pid, *questions, options=options, json=False) as t:
        program.ask(scenario, count)
        if before_end:
            before_end(t)
        t.end()
        return t.out(), t.err()


def _lines():
    out, err = _text("login", 12, "main.Login")
    lines = out.splitlines()
    assert len(lines) >= 12, out
    calls = [l for l in lines if "main.Login" in l or "Login" in l]
    assert len(calls) == 12, out
    bob = next(l for l in calls if '"bob"' in l)
    assert re.search(r"\d(\.\d+)? ?(ns|µs|ms|s)\b", bob), f"no duration: {bob}"
    assert "denied" in calls[0] or any("denied" in l for l in calls), out
    assert all("\x1b" not in l for l in lines), "colours in a file"
    assert "12" in err.splitlines()[-1], f"no summary on standard error: {err}"


def _no_control_characters():
    out, _ = _text("texts", 1, "main.Strings", options=["--max-string", "100"])
    assert len(out.splitlines()) == 9 and not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", out), out
    assert all("main.Strings" in l for l in out.splitlines()), f"not one line a call: {out}"


def _quiet():
    with Calls(newest()) as program, Trace(program.pid, "main.Login", options=["-q"], json=False, wait=False) as t:

        def seen():
            program.ask("login", 5)
            return t.out()

        until("a call is seen", seen)
        t.end()
        assert not t.err(), t.err()


def _tables():
    out, _ = _text("login", 60, "main.Login { count() by user; hist(n); sum(n) by vip }")
    assert re.search(r'"?alice"?\s.*\b10\b', out) or re.search(r'\b10\b.*"?alice"?', out), out
    assert re.search(r"\b28\b", out) and re.search(r"[|█▇#@*]", out), f"no histogram: {out}"
    assert "count() by user" in out, out


def _interval():
    with Calls(newest()) as program, Trace(program.pid, "main.Login { count() by vip }",
                                           options=["--interval", "500ms"]) as t:
        rounds = 0

        def several():
            nonlocal rounds
            program.ask("login", 6)
            rounds += 1
            return len({g["ts_unix_ns"] for g in t.aggregates()}) >= 3

        until("three intervals are printed", several, 20, 0.2)
        t.end()
        total = max(sum(g["count"] for g in t.aggregates() if g["key"]["vip"] is v) for v in (True, False))
    assert total >= rounds * 2, (total, rounds)


def _graph():
    out, _ = _text("recursive", 6, "main.Recursive", options=["--graph"])
    calls = [l for l in out.splitlines() if "Recursive" in l]
    depth = [(l.index("main.") - calls[0].index("main.")) // 2 for l in calls]
    assert depth == [d for n in range(6) for d in range(n + 1)], f"not indented by depth: {out}"
    assert all(re.match(r"\s*[\d.]+ (ns|µs|ms)  ", l) for l in calls), out


def _graph_of_panics():
    out, _ = _text("catches", 6, "main.Throws", "main.Between", "main.Catches", options=["--graph"])
    assert out.count("main.Throws") >= 6 and "panic" in out, out


def _file(option, scenario, count, *questions):
    path = scratch() / "file"
    with Calls(newest()) as program, Trace(program.pid, *questions, options=[option, str(path)]) as t:
        said, _ = program.ask(scenario, count)
        seen = t.end()
    assert path.stat().st_size > 0, f"nothing in the file: {t.describe()}"
    return path, said, seen


def _durations(events):
    """(name, begin, end, tid) of complete events, of B and E pairs likewise."""
    spans, open_ = [], {}
    for e in events:
        key = (e["pid"], e["tid"])
        if e["ph"] == "X":
            spans.append((e["name"], e["ts"], e["ts"] + e["dur"], key))
        elif e["ph"] == "B":
            open_.setdefault(key, []).append(e)
        elif e["ph"] == "E":
            b = open_[key].pop()
            spans.append((b["name"], b["ts"], e["ts"], key))
    assert not any(open_.values()), "begun and not ended"
    return spans


def _perfetto():
    path, _, seen = _file("--perfetto", "fib", 10, "main.Fib")
    trace = json.loads(path.read_text())
    events = trace["traceEvents"] if isinstance(trace, dict) else trace
    assert all({"name", "ph", "pid", "tid"} <= set(e) for e in events if e["ph"] != "E"), events[:3]
    spans = _durations(events)
    assert len(spans) == len(seen) == 177, (len(spans), len(seen))
    assert {s[0] for s in spans} == {"main.Fib"}
    # In a track, one lies in the other or beside it.
    stack = []
    for _, begin, end, _ in sorted(spans, key=lambda s: (s[1], -s[2])):
        while stack and stack[-1] <= begin:
            stack.pop()
        assert not stack or end <= stack[-1] + 0.002, "two calls of a goroutine overlap"
        stack.append(end)
    assert any(e["ph"] == "M" for e in events), "processes and goroutines have no names"


def _folded():
    path, _, _ = _file("--folded", "callers", 30, "main.Login { stack }")
    counts = {}
    for line in path.read_text().splitlines():
        stack, _, n = line.rpartition(" ")
        frames = stack.split(";")
        assert n.isdigit() and frames[-1].startswith("main.Login") and not any(" " in f for f in frames), line
        assert frames[-2].startswith("main.login"), line
        via = next(f for f in frames if f.startswith("main.via"))
        counts[via] = counts.get(via, 0) + int(n)
    assert set(counts) == {"main.viaFirst", "main.viaSecond"}, counts
    assert counts["main.viaFirst"] * 2 == counts["main.viaSecond"] or sum(counts.values()) != 30, counts


def _go():
    for path in sorted((CACHE / "toolchains").glob("go1.*"), reverse=True):
        if os.access(path / "bin/go", os.X_OK):
            return path / "bin/go"
    raise Skip("no Go toolchain")


def _pprof_tool(*argv):
    env = clean_env(GOCACHE=CACHE / "gocache", GOTOOLCHAIN="local", GOFLAGS="-buildvcs=false", HOME=scratch())
    done = subprocess.run([_go(), "tool", "pprof", *map(str, argv)], capture_output=True, text=True, timeout=90,
                          env=env, check=False)
    assert done.returncode == 0, f"go tool pprof: {done.stderr}"
    return done.stdout


def _pprof():
    path, _, _ = _file("--pprof", "callers", 30, "main.Login { stack }")
    raw = _pprof_tool("-raw", path)
    assert "main.viaSecond" in raw and "main.Login" in raw, raw[:1500]
    top = _pprof_tool("-top", "-sample_index=0", path)
    assert re.search(r"\b30\b.*main\.Login|main\.Login", top), top
    assert "behaviour.go" in raw or "language.go" in raw, f"no source lines: {raw[:1500]}"


def _reader_goes_away():
    """Whoever reads the lines goes away: earshot ends, the program does not."""
    with Calls(newest()) as program:
        p = Process(["/bin/sh", "-c", f'"$0" trace -p {program.pid} --json main.Bools | head -n 1', EARSHOT])
        deadline = time.monotonic() + 20
        while p.alive() and time.monotonic() < deadline:
            program.ask("integers")
            time.sleep(0.05)
        assert not p.alive(), "earshot goes on though nobody reads"
        program.ask("integers")


def _full_disk():
    with Calls(newest()) as program:
        p = Process(["/bin/sh", "-c", f'"$0" trace -p {program.pid} --json --for 3s main.Bools >/dev/full', EARSHOT])
        while p.alive():
            program.ask("integers")
            time.sleep(0.05)
        assert "space left" in p.err(), f"a full disk went unnoticed: {p.err()!r}"


def _summary_is_last():
    with Calls(newest()) as program, Trace(program.pid, "main.Login", "main.Bools { count() }") as t:
        program.ask("login", 5)
        program.ask("integers")
        t.stop(signal.SIGTERM)
        last = json.loads(t.out().splitlines()[-1])
    s = last["summary"]
    assert s["calls"] == 5 and s["refused"] == 0 and s["planted"] >= 2 and "losses" in s, last


def tests():
    for name, run in (("lines", _lines), ("no-control-characters", _no_control_characters), ("quiet", _quiet),
                      ("tables", _tables), ("interval", _interval), ("graph", _graph), ("graph-panics", _graph_of_panics),
                      ("perfetto", _perfetto), ("folded", _folded), ("reader-goes-away", _reader_goes_away),
                      ("output-full", _full_disk), ("summary-is-last", _summary_is_last)):
        yield Test(name, run)
    yield Test("pprof", _pprof, 180)
