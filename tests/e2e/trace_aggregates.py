"""Aggregates: exact at any rate where the program keeps them itself, whatever ends
meanwhile; values without a sign; what was lost stands beside the numbers."""

import json
import os
import re
import signal
import subprocess
import time

from calls import Trace
from earshot import and_patched, patched, planter
from probed import changed_text
from proc import BIN, Process, Skip, until
from target import MINORS
from testing import Test, scaled

WORK = "main.Work"


def _binary(minor=None):
    for m in [minor] if minor else reversed(MINORS):
        path = BIN / f"tally-go{m}-plain"
        if os.access(path, os.X_OK):
            return path
    raise Skip("no tally was built")


class Tally(Process):
    """The program, running; call() has it make calls and returns what it says of them."""

    def __init__(self, path, procs=None):
        env = {**os.environ, **({"GOMAXPROCS": str(procs)} if procs else {})}
        super().__init__([path], stdin=subprocess.PIPE, env=env)
        self.rounds = 0
        until("the program is ready", lambda: self._line(0))

    def _line(self, n):
        assert self.alive(), self.describe()
        lines = self.out().split("\n")
        return json.loads(lines[n]) if len(lines) > n + 1 else None

    def begin(self, calls, goroutines):
        self.popen.stdin.write(f"{calls} {goroutines}\n".encode())
        self.popen.stdin.flush()
        self.rounds += 1

    def finish(self, seconds=60):
        return until("the calls are made", lambda: self._line(self.rounds), seconds)

    def call(self, calls, goroutines, seconds=60):
        self.begin(calls, goroutines)
        return self.finish(seconds)


def _groups(t, text):
    """{key: the object} of an aggregate; numbers of several rounds are added."""
    found = {}
    for o in t.aggregates():
        if o["aggregate"] != text:
            continue
        key = tuple(o["key"].values())
        same = found.setdefault(key, {"count": 0, "sum": 0, "buckets": {}})
        same["count"] += o["count"]
        same["sum"] += o.get("sum", 0)
        same["min"] = min(same.get("min", 1 << 70), o.get("min", 1 << 70))
        same["max"] = max(same.get("max", -1 << 70), o.get("max", -1 << 70))
        for b in o.get("buckets", []):
            at = (b.get("from"), b.get("to"))
            same["buckets"][at] = same["buckets"].get(at, 0) + b["count"]
    return found


def _lossless(t):
    summary = t.objects()[-1]["summary"]
    lost = {k: n for k, n in summary["losses"].items() if n}
    assert not lost, lost
    assert not [o for o in t.objects() if "lost" in o], "losses are told where there are none"


QUESTIONS = (f"{WORK} {{ count(); count() by name; max(n) by id; hist(n) }}", f"{WORK} {{ sum(r) by name; hist(latency) by id }}",
             f"{WORK} if n & 1 == 0 {{ count() }}", f"{WORK} {{ count() }}")


def _check(t, said, calls, goroutines):
    by_name = {(k,): n for k, n in said["by_name"].items()}
    assert {k: g["count"] for k, g in _groups(t, "count() by name").items()} == by_name
    assert {k: g["count"] for k, g in _groups(t, "sum(r) by name").items()} == by_name
    assert sum(g["sum"] for g in _groups(t, "sum(r) by name").values()) == said["sum"]
    assert {k: g["max"] for k, g in _groups(t, "max(n) by id").items()} == {(i,): calls - 1 for i in range(goroutines)}
    whole = _groups(t, "hist(n)")[()]
    assert whole["count"] == said["calls"] == sum(whole["buckets"].values())
    assert {k: g["count"] for k, g in _groups(t, "hist(latency) by id").items()} == {(i,): calls for i in range(goroutines)}
    # all calls twice (two questions), and those with an even number
    assert _groups(t, "count()")[()]["count"] == 2 * said["calls"] + (calls + 1) // 2 * goroutines


def _full_speed(minor, goroutines, procs=None, options=()):
    """Every call counts in each group that it belongs to, with nothing between the calls."""
    calls = scaled(1_000_000, 200_000, "TALLY_CALLS")
    with Tally(_binary(minor), procs) as program:
        with Trace(program.pid, *QUESTIONS, options=options) as t:
            said = program.call(calls, goroutines)
            t.end()
        _check(t, said, calls, goroutines)
        _lossless(t)
        assert not changed_text(program.pid)
    return f"{said['calls'] / said['ns'] * 1e3:.1f} million calls a second"


def _small_bursts():
    """As many calls as in the issue's case: more than any ring holds, in some hundredths of a second."""
    with Tally(_binary()) as program, Trace(program.pid, f"{WORK} {{ count() }}") as t:
        said = [program.call(100_000, 1) for _ in range(5)]
        t.end()
        assert _groups(t, "count()")[()]["count"] == sum(s["calls"] for s in said)
        _lossless(t)


def _many_ps():
    """More Ps than have memory of their own here: the rest share some, and what finds none is told."""
    calls = scaled(300_000, 100_000, "TALLY_CALLS")
    with Tally(_binary(), 16) as program, Trace(program.pid, f"{WORK} {{ count() }}", f"{WORK} {{ count() by name }}") as t:
        said = program.call(calls, 8)
        t.end()
        lost = t.objects()[-1]["summary"]["losses"]["scratch_busy"]
        assert _groups(t, "count()")[()]["count"] == said["calls"]  # it needs no memory of its own
        assert sum(g["count"] for g in _groups(t, "count() by name").values()) + lost == said["calls"]


def _killed():
    """kill -9 in the middle: the program goes on as it was, and the next one counts all."""
    with Tally(_binary()) as program:
        for i in range(3):
            program.begin(scaled(2_000_000, 500_000, "TALLY_CALLS"), 2)
            with Trace(program.pid, *QUESTIONS, options=["--interval", "100ms"]) as t:
                time.sleep(0.1 * i)
                os.kill(t.pid, signal.SIGKILL)
                t.kill()
            program.finish()
        until("the code is as it was", lambda: not changed_text(program.pid))
        with Trace(program.pid, *QUESTIONS) as t:
            said = program.call(100_000, 2)
            t.end()
        _check(t, said, 100_000, 2)
        _lossless(t)


def _unsigned():
    """From 1<<63 on: no negative numbers, in no output; sums of more than 64 bits."""
    asked = ("main.Large { min(u); max(u); sum(u); avg(u); hist(u); hist(p, 0, 10, 5); max(b); min(i) }",
             "main.Large if u >= 1<<63 { count() }", "main.Large { sum(r) }")
    values = [1 << 63, 5, (1 << 64) - 1, (1 << 64) - 1]
    with Tally(_binary()) as program, Trace(program.pid, *asked) as t:
        program.call(1, 1)
        t.end()
        of = {a: _groups(t, a)[()] for a in ("min(u)", "max(u)", "sum(u)", "avg(u)", "hist(u)", "max(b)", "min(i)",
                                            "hist(p, 0, 10, 5)", "count()", "sum(r)")}
    assert of["min(u)"]["min"] == 5 and of["max(u)"]["max"] == max(values)
    assert of["sum(u)"]["sum"] == of["avg(u)"]["sum"] == of["hist(u)"]["sum"] == sum(values)
    assert of["hist(u)"]["buckets"] == {(4, 8): 1, (1 << 63, 1 << 64): 3}, of["hist(u)"]
    assert of["hist(p, 0, 10, 5)"]["buckets"] == {(0, 5): 2, (5, 10): 1, (10, None): 1}, of
    assert of["max(b)"]["max"] == 255 and of["min(i)"]["min"] == -1 << 63
    assert of["count()"]["count"] == 3
    assert of["sum(r)"]["sum"] == (1 << 63) + 1 + 6 + 0 + 0
    with Tally(_binary()) as program, Trace(program.pid, *asked, json=False) as t:
        program.call(1, 1)
        t.end()
        out = t.out()
    assert re.search(r"\b18446744073709551615\b", out) and re.search(rf"\b{sum(values)}\b", out), out
    assert re.search(r"8E…16E +3 ", out) and "< 0" not in out, out


def _losses_beside():
    """In tables and histograms, at the end and with each interval, and in JSON: of the function that lost something."""
    asked = [f"{WORK} {{ count() by n }}", "main.Large { count() }"]
    with Tally(_binary()) as program:
        with Trace(program.pid, *asked) as t:
            said = program.call(200_000, 2)
            t.end()
        groups = [o for o in t.aggregates() if o["func"] == WORK]
        lost = t.objects()[-1]["summary"]["losses"]["groups_full"]
        assert lost and sum(o["count"] for o in groups) + lost == said["calls"], lost
        assert all(o["lost"] == {"groups_full": lost} for o in groups)
        assert not any("lost" in o for o in t.aggregates() if o["func"] != WORK)
        with Trace(program.pid, *asked, json=False) as t:
            program.call(200_000, 2)
            t.end()
        out = t.out()
        assert re.search(r"^  lost: \d+ groups_full \(an aggregate had too many groups\)$", out, re.M), out[-2000:]
        assert out.count("lost:") == 1, out
        with Trace(program.pid, f"{WORK} {{ hist(n) }}", json=False, options=["--every", "10", "--interval", "300ms"]) as t:
            for _ in range(3):
                program.call(1000, 1)
                time.sleep(0.4)
            t.end()
        assert t.out().count("lost: 900 not_sampled") >= 2, t.out()


def _limits():
    """--every and --rate, where the program itself counts."""
    with Tally(_binary()) as program:
        with Trace(program.pid, f"{WORK} {{ count(); sum(r) }}", options=["--every", "10"]) as t:
            program.call(50_000, 2)
            t.end()
        assert _groups(t, "count()")[()]["count"] == _groups(t, "sum(r)")[()]["count"] == 10_000
        assert t.objects()[-1]["summary"]["losses"]["not_sampled"] == 90_000
        with Trace(program.pid, f"{WORK} {{ count() }}", options=["--rate", "100"]) as t:
            program.call(50_000, 2)
            t.end()
        count = _groups(t, "count()")[()]["count"]
        assert count >= 100 and count % 100 == 0 and count < 50_000, count
        assert t.objects()[-1]["summary"]["losses"]["rate_limited"] == 100_000 - count


def _mixed():
    """Records that find no room are lost, and told; what is counted beside them is not."""
    with Tally(_binary()) as program:
        with Trace(program.pid, f"{WORK} {{ print(n, name); count(); count() by name }}",
                   options=["--ring-size", "1048576"]) as t:
            said = program.call(100_000, 2)
            t.end(60)
        assert _groups(t, "count()")[()]["count"] == said["calls"]
        assert {k[0]: g["count"] for k, g in _groups(t, "count() by name").items()} == said["by_name"]
        summary = t.objects()[-1]["summary"]
        lost = {k: n for k, n in summary["losses"].items() if n and k != "sink_queue_full"}
        assert summary["calls"] + summary["losses"]["ring_full"] == said["calls"], summary
        assert all(("lost" in o) == bool(lost) for o in t.aggregates()), lost


def tests():
    for minor in (MINORS[0], MINORS[-1]):
        yield patched(Test(f"full-speed-{minor}", lambda minor=minor: _full_speed(minor, 2)))
    yield patched(Test("interval", lambda: _full_speed(None, 2, options=["--interval", "100ms"])))
    yield patched(Test("more-goroutines", lambda: _full_speed(None, 6, 4)))
    yield patched(Test("small-bursts", _small_bursts))
    yield patched(Test("many-ps", _many_ps))
    yield patched(Test("killed", _killed, 120))
    yield patched(Test("mixed", _mixed, 120))
    yield from and_patched([Test("unsigned", _unsigned), Test("losses-beside", _losses_beside, 120),
                            Test("limits", _limits)], ("unsigned", "losses-beside", "limits"))
