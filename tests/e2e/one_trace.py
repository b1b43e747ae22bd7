"""One order, one trace, over three services that nobody instrumented, with PostgreSQL and Redis under them: no span in a
wrong trace, whatever runs at the same time. The order's number goes through every hop, so the test knows the truth."""

import collections
import re
import time

from collector import Collector, same
from earshot import Earshot, losses, need_earshot, patched
from proc import until
from testing import Test, scaled
from trio import Orders, Traces, Trio, word_of

NEWEST = "go1.27-sw"


def _attach(trio, *args):
    pids = [a for pid in trio.pids for a in ("-p", str(pid))]
    e = Earshot("attach", *pids, "-o", "json", "--sql", "full", *args)
    until("all three are observed", lambda: e.check_alive() and e.err().count("observing ") >= 3, 30)
    return e


def _spans(e):
    return [o for o in e.objects() if "trace_id" in o]


def _one():
    """Single orders: each span is there, is whose child it should be, and reaches a real collector as it is printed."""
    need_earshot()
    with Trio(NEWEST) as trio, Collector() as collector:
        trio.order(1)
        e = _attach(trio, "--otlp", f"http://127.0.0.1:{collector.http}")
        for number in (2, 35, 77):
            trio.order(number)
        until("the last span is out", lambda: sum(word_of(s) == "server orders" for s in _spans(e)) == 3, 10)
        time.sleep(0.5)
        e.finish()
        traces = Traces(_spans(e))
        wrong = [*traces.wrong(), *traces.lost((2, 35, 77))]
        assert not wrong, "\n".join([*wrong[:20], e.err()])
        same(_spans(e), collector.spans())
        return f"{len(traces.spans)} spans"


def _drawn(text, service):
    """(what, what it is drawn below) of each row."""
    above = []
    for row in text.splitlines():
        rest = row[row.index(service) + len(service) + 2:]
        branch = re.match(r"[│├└─ ]*", rest).group(0)
        what = re.sub(r"\s.*", "", rest[len(branch):].replace("→ ", "→"))
        del above[len(branch) // 3:]
        yield what, above[-1] if above else None
        above.append(what)


def _tree():
    """-o tree: an order is one block, each row below the one that caused it, as a person would draw it."""
    need_earshot()
    with Trio(NEWEST) as trio:
        trio.order(1)
        pids = [a for pid in trio.pids for a in ("-p", str(pid))]
        e = Earshot("attach", *pids, "-o", "tree")
        until("all three are observed", lambda: e.check_alive() and e.err().count("observing ") >= 3, 30)
        trio.order(2)
        until("the trace is out", lambda: "SET" in e.out(), 20)
        e.finish()
        drawn = collections.Counter(_drawn(e.out(), f"trio-{NEWEST}"))
        assert drawn == collections.Counter({
            ("GET", None): 1, ("→GET", "GET"): 2, ("GET", "→GET"): 1, ("→POST", "GET"): 1, ("POST", "→POST"): 1,
            ("→shop.Stock/Check", "GET"): 1, ("shop.Stock/Check", "→shop.Stock/Check"): 1,
            ("→shop.Stock/Watch", "GET"): 1, ("shop.Stock/Watch", "→shop.Stock/Watch"): 1,
            ("→shop.Stock/Reserve", "GET"): 1, ("shop.Stock/Reserve", "→shop.Stock/Reserve"): 1,
            ("→SELECT", "shop.Stock/Check"): 1, ("→SELECT", "shop.Stock/Watch"): 3,
            ("→BEGIN", "shop.Stock/Reserve"): 1, ("→INSERT", "shop.Stock/Reserve"): 1,
            ("→COMMIT", "shop.Stock/Reserve"): 1, ("→SET", "POST"): 3}), f"{drawn}: {e.out()}"
        widest = max(len(row) for row in e.out().splitlines())
        assert widest < 140, e.out()
        return f"{widest} columns"


def crowd(build, seconds, threads=64, path=None):
    """Many at once while the garbage collector is busy. path: of another build of it."""
    need_earshot()
    with Trio(build, path=path, GOGC=5) as trio:
        trio.order(1)
        e = _attach(trio)
        orders = Orders(trio, threads, first=2)
        time.sleep(seconds)
        placed = orders.stop()
        time.sleep(1)
        e.finish()
        traces = Traces(_spans(e))
        lost = {k: n for k, n in losses(e.summary()).items() if n}
        wrong = list(traces.wrong())
        assert not wrong, "\n".join([f"{len(wrong)} of {len(traces.spans)} spans", *wrong[:10]])
        missing, unknown = list(traces.lost(placed)), traces.unknown()
        share = len(unknown) / max(len(traces.spans), 1)
        assert share < 0.01, f"{len(unknown)} of {len(traces.spans)} parents are unknown, such as {unknown[0]}"
        if not lost:
            assert len(missing) <= len(placed) // 100, "\n".join([f"{len(missing)} of {len(placed)}", *missing[:10]])
        return f"{len(placed)} orders, {len(traces.spans)} spans, {len(unknown)} unknown parents, lost: {lost}"


def tests():
    seconds = scaled(4, 2, "ONE_TRACE_SECONDS")
    yield Test("one", _one)
    yield patched(Test("one", _one))
    yield Test("tree", _tree)
    for build in (NEWEST, "go1.21-sw"):
        test = Test(f"crowd-{build.split('-')[0]}", lambda b=build: crowd(b, seconds), seconds + 120)
        yield test
        yield patched(test)
