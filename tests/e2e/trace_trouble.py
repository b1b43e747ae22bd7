"""One order, one trace (one_trace.py), with Earshot in trouble: it comes and goes under load, is killed, has no room for
what it is told, sees two services of three, is there twice. Spans may be missing then, and are counted or have a reason;
none is in a wrong trace, none comes twice, and no order fails."""

import collections
import contextlib
import random
import signal
import time

from earshot import Earshot, losses, need_earshot
from probed import changed_text
from proc import until
from testing import Test, scaled
from trio import Orders, Traces, Trio

NEWEST = "go1.27-sw"
BREATH = 0.7
SMALL = ("--ring-size", "65536")


def _begin(pids, planter, *args):
    chosen = [a for pid in pids for a in ("-p", str(pid))]
    return Earshot("attach", "--planter", planter, *chosen, "-o", "json", "--sql", "full", *args)


def _attach(pids, planter, *args):
    e = _begin(pids, planter, *args)
    until("all are observed", lambda: e.check_alive() and e.err().count("observing ") >= len(pids), 30)
    return e


def _end(e):
    code = e.stop(signal.SIGINT, 20)
    assert code == 0, f"exit code {code}: {e.describe()}"


def _checked(e, needed=1, lossy=False):
    """What an Earshot has seen, which must be right as far as it goes."""
    objects = e.objects()
    if lossy:
        lost = losses(objects[-1]["summary"])
        assert lost["ring_full"], f"nothing was lost: {lost}"
    traces = Traces([o for o in objects if "trace_id" in o])
    wrong = [*traces.wrong(), *traces.doubled()]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(traces.spans)} spans", *wrong[:10], e.err()])
    assert len(traces.spans) >= needed, f"{len(traces.spans)} spans: {e.describe()}"
    return traces


@contextlib.contextmanager
def _busy(build=NEWEST, threads=64, **env):
    """Three services that are at work all the time."""
    need_earshot()
    with Trio(build, GOGC=5, **env) as trio:
        trio.order(1)
        orders = Orders(trio, threads, first=2)
        try:
            yield trio
        finally:
            placed = orders.stop()
        assert placed
        for pid in trio.pids:
            until("no probe is left", lambda p=pid: not changed_text(p), 10)


def _comes_and_goes(trio, planter):
    """It comes, and goes, in the middle of it all."""
    e = _attach(trio.pids, planter)
    time.sleep(BREATH)
    _end(e)
    return _checked(e)


def _killed(trio, planter):
    e = _attach(trio.pids, planter)
    time.sleep(BREATH)
    e.send_signal(signal.SIGKILL)
    e.popen.wait(20)
    return _checked(e, 0)


def _held_up(e):
    for _ in range(2):
        e.send_signal(signal.SIGSTOP)
        time.sleep(BREATH)
        e.send_signal(signal.SIGCONT)
        time.sleep(BREATH)


def _small_ring(trio, planter):
    """It is held up, and has no room for what comes meanwhile."""
    e = _attach(trio.pids, planter, *SMALL)
    _held_up(e)
    _end(e)
    return _checked(e, lossy=True)


def _two_of_three(trio, planter, left_out=1):
    e = _attach([p for i, p in enumerate(trio.pids) if i != left_out], planter)
    time.sleep(BREATH)
    _end(e)
    return _checked(e)


def _two_at_once(trio, planter):
    """Both are there together for a while; who comes first goes first. The second has no room."""
    first = _attach(trio.pids, planter)
    second = _attach(trio.pids, "uprobe", *SMALL)
    _held_up(second)
    _end(first)
    time.sleep(BREATH)
    _end(second)
    _checked(first)
    return _checked(second, lossy=True)


def _short():
    """Attaching by uprobes takes the kernel seconds where there is load, so here one does."""
    notes = []
    with _busy(threads=6) as trio:
        for what in (_killed, _comes_and_goes, _small_ring, _two_of_three, _two_at_once):
            notes.append(f"{what.__name__[1:]} {len(what(trio, 'patch').spans)}")
    return f"spans: {', '.join(notes)}"


def _soak(build, seconds):
    """All of it again and again, in any order. The dice fall the same way each time."""
    dice, end, done, spans = random.Random(12), time.monotonic() + seconds, collections.Counter(), 0
    with _busy(build) as trio:
        while time.monotonic() < end:
            what = dice.choice((_comes_and_goes, _killed, _small_ring, _two_of_three, _two_at_once))
            planter = dice.choice(("patch", "uprobe"))
            args = (dice.randrange(3),) if what is _two_of_three else ()
            spans += len(what(trio, planter, *args).spans)
            done[f"{what.__name__[1:]} {planter}"] += 1
            print(f"# {build}: {sum(done.values())} done, {spans} spans", flush=True)
    return f"{spans} spans; {', '.join(f'{n} {what}' for what, n in sorted(done.items()))}"


def tests():
    yield Test("short", _short, 180)
    seconds = scaled(0, 0, "TRACE_SOAK")
    for build in (NEWEST, "go1.21-sw") if seconds else ():
        yield Test(f"soak-{build.split('-')[0]}", lambda b=build: _soak(b, seconds), seconds + 600)
