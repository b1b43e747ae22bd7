"""One order, one trace, over three services that nobody instrumented, with PostgreSQL and Redis under them: no span in a
wrong trace, whatever runs at the same time. The order's number goes through every hop, so the test knows the truth."""

import time

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
    """A single order: each span is there, and is whose child it should be."""
    need_earshot()
    with Trio(NEWEST) as trio:
        trio.order(1)
        e = _attach(trio)
        for number in (2, 35, 77):
            trio.order(number)
        until("the last span is out", lambda: sum(word_of(s) == "server orders" for s in _spans(e)) == 3, 10)
        time.sleep(0.5)
        e.finish()
        traces = Traces(_spans(e))
        wrong = [*traces.wrong(), *traces.lost((2, 35, 77))]
        assert not wrong, "\n".join([*wrong[:20], e.err()])
        return f"{len(traces.spans)} spans"


def _crowd(build, seconds, threads=64):
    """Many at once while the garbage collector is busy."""
    need_earshot()
    with Trio(build, GOGC=5) as trio:
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
    seconds = scaled(6, 3, "ONE_TRACE_SECONDS")
    yield Test("one", _one)
    yield patched(Test("one", _one))
    for build in (NEWEST, "go1.21-sw"):
        crowd = Test(f"crowd-{build.split('-')[0]}", lambda b=build: _crowd(b, seconds), seconds + 120)
        yield crowd
        yield patched(crowd)
