"""Programs that were built with their probes: nothing is planted, what is seen is the same; no privileges, any moment."""

import os
import re
import signal
import subprocess
import time

from earshot import Earshot, losses, need_earshot, planter
from proc import BIN, EARSHOT, ROOT, Process, Skip, clean_env, json_lines, public_copy, run_once, until
from target import MINORS
from testing import Test

PACK = ROOT / "tests" / "go" / "recorded" / "recorded.yaml"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]


class Recorded(Process):
    """tests/go/recorded: does its work when told to, and says how much of it it has recorded."""

    def __init__(self, name, prefix=(), path=None, setting=None):
        path = path or BIN / name
        if not os.access(path, os.X_OK):
            raise Skip(f"{path.name} is not built")
        env = clean_env(**({"EARSHOT_RECORD": setting} if setting else {}))
        super().__init__([*prefix, path], env=env, stdin=subprocess.PIPE)

    def tell(self, line):
        """Returns how many lines it will have answered with."""
        n = self.out().count("\n")
        self.popen.stdin.write(f"{line}\n".encode())
        self.popen.stdin.flush()
        return n + 1

    def ask(self, line, seconds=30.0):
        n = self.tell(line)
        until(f"it answers {line}", lambda: self.out().count("\n") >= n, seconds)
        return self.out().splitlines()[n - 1]

    def run(self, workers, each):
        return {k: int(n) for k, n in re.findall(r"(\w+) (\d+)", self.ask(f"run {workers} {each}"))}


def _attach(pid, *args, seen=1, **kw):
    need_earshot()
    e = Earshot("attach", "-p", str(pid), "--packs", str(kw.pop("pack", PACK)), "-o", "json", *args, **kw)
    until("it is observed", lambda: e.check_alive() and e.err().count("observing ") >= seen, 30)
    return e


def _spans(e):
    return [o for o in e.objects() if o.get("pack") == "recorded"]


def _key(span):
    return span["attributes"]["worker"], span["attributes"]["n"]


def _what(span):
    """All of a span that is not its own."""
    left_out = ("trace_id", "span_id", "start_unix_ns", "duration_ns", "pid", "goid", "service")
    return {k: v for k, v in span.items() if k not in left_out}


def _work(program, workers, each, e):
    """The spans of that, by worker and number."""
    before = len(_spans(e))
    told = program.run(workers, each)
    until("its spans are out", lambda: len(_spans(e)) >= before + workers * each, 10)
    spans = _spans(e)[before:]
    assert len(spans) == workers * each, (len(spans), told)
    return told, {_key(s): s for s in spans}


def _same(minor):
    """Woven and planted, a span is the same."""
    seen = {}
    for setting in (None, "never"):
        program = Recorded(f"recorded-go{minor}", setting=setting)
        with _attach(program.pid) as e:
            told, seen[setting] = _work(program, 3, 300, e)
            _, summary = e.finish()
            assert not any(losses(summary).values()), e.describe()
            assert ("probes are planted" in e.err()) == bool(setting), e.err()
            assert bool(told["written"]) == (setting is None), told
        program.kill()
    assert seen[None].keys() == seen["never"].keys()
    for key, span in seen[None].items():
        assert _what(span) == _what(seen["never"][key]), (span, seen["never"][key])
    return f"{len(seen[None])} spans"


def _parents(minor):
    """Work on a goroutine that was created within work is below it; on one that was there before it is not."""
    seen = {}
    for setting in (None, "never"):
        program = Recorded(f"recorded-go{minor}", setting=setting)
        with _attach(program.pid) as e:
            program.ask("nested 20")
            until("its spans are out", lambda: len(_spans(e)) >= 100, 10)
            by_id = {s["span_id"]: s for s in _spans(e)}
            e.finish()
        program.kill()
        assert len(by_id) == 100, len(by_id)
        seen[setting] = {}
        for s in by_id.values():
            worker, parent = s["attributes"]["worker"], by_id.get(s["parent_span_id"])
            within = worker % 10 in (1, 2, 3)
            assert bool(parent) == within, s
            assert not within or parent["attributes"]["worker"] == worker // 10 * 10, (s, parent)
            assert not within or parent["trace_id"] == s["trace_id"], (s, parent)
            seen[setting][worker] = s["attributes"]["earshot.parent.source"]
    assert seen[None] == seen["never"], seen


def _from_the_beginning(name):
    """run: what it does before we can look at it is seen."""
    need_earshot()
    if not os.access(BIN / name, os.X_OK):
        raise Skip(f"{name} is not built")
    for _ in range(5):
        p = subprocess.run([EARSHOT, "run", "--packs", PACK, "-o", "json", "--", BIN / name], input=b"run 2 50\n",
                           env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=True)
        spans = [o for o in json_lines(p.stdout.decode()) if o.get("pack") == "recorded"]
        assert len(spans) == 100, (len(spans), p.stderr)


def _unprivileged():
    """Without any capability; what had to be planted is said to be missing."""
    path = public_copy(BIN / f"recorded-go{MINORS[-1]}") if (BIN / f"recorded-go{MINORS[-1]}").exists() else None
    if not path:
        raise Skip("recorded is not built")
    program = Recorded("", NOBODY, path=path)
    try:
        until("it is what it is", lambda: os.readlink(f"/proc/{program.pid}/exe") == path)
        with _attach(program.pid, prefix=NOBODY, binary=public_copy(EARSHOT), pack=public_copy(PACK)) as e:
            _work(program, 2, 100, e)
            _, summary = e.finish()
            assert not any(losses(summary).values()), e.describe()
            assert summary["refused"] == 0, summary
    finally:
        program.kill()


def _killed_readers():
    """kill -9 in the middle: the next one has all from its beginning on, and the program nothing of the old one."""
    program = Recorded(f"recorded-go{MINORS[-1]}")
    for _ in range(5):
        e = _attach(program.pid)
        n = program.tell("run 2 300000")
        time.sleep(0.05)
        e.popen.send_signal(signal.SIGKILL)
        e.popen.wait()
        until("it is through", lambda n=n: program.out().count("\n") >= n, 60)
    with _attach(program.pid) as e:
        _work(program, 2, 200, e)
        e.finish()
    assert program.run(2, 100)["written"] == 0
    program.kill()


def _turns():
    """The second one plants, and says why."""
    program = Recorded(f"recorded-go{MINORS[-1]}")
    with _attach(program.pid) as first, _attach(program.pid) as second:
        assert "another earshot listens" in second.err(), second.err()
        before = len(_spans(second))
        _work(program, 2, 100, first)
        until("both see it", lambda: len(_spans(second)) >= before + 200, 10)
    program.kill()


def _halted():
    """A program that stands still is switched on, and seen when it goes on."""
    program = Recorded(f"recorded-go{MINORS[-1]}")
    program.run(1, 1)
    os.kill(program.pid, signal.SIGSTOP)
    try:
        with _attach(program.pid) as e:
            n = program.tell("run 2 100")
            os.kill(program.pid, signal.SIGCONT)
            until("it answers", lambda: program.out().count("\n") >= n, 10)
            until("its spans are out", lambda: len(_spans(e)) == 200, 10)
    finally:
        os.kill(program.pid, signal.SIGCONT)
        program.kill()


def _under_load():
    """Spans and counted losses are what it did."""
    program = Recorded(f"recorded-go{MINORS[-1]}")
    with _attach(program.pid) as e:
        told = program.run(8, 100000)
        _, summary = e.finish(60)
    program.kill()
    lost = losses(summary)
    assert lost["ring_full"] == told["lost"] + told["ends_lost"], (told, lost)
    assert summary["spans"] + summary["open"] + lost["unpaired_start"] == told["written"], (told, summary)
    return f"{summary['spans']} spans, {told['lost']} lost"


def _inspect():
    """What it was built with; also stripped."""
    for name in (f"recorded-go{MINORS[-1]}", f"recorded-go{MINORS[-1]}-sw"):
        if not (BIN / name).exists():
            raise Skip(f"{name} is not built")
        text = run_once([EARSHOT, "inspect", BIN / name]).out()
        assert "It is woven: 3 points of its own" in text, text
        assert re.search(r"work/begin +entry +main\.work", text), text
    plain = run_once([EARSHOT, "inspect", BIN / "shop"]).out()
    assert "woven" not in plain, plain


def tests():
    if planter():
        return
    for minor in dict.fromkeys((MINORS[0], MINORS[-1])):
        yield Test(f"same-go{minor}", lambda m=minor: _same(m))
        yield Test(f"from-the-beginning-go{minor}", lambda m=minor: _from_the_beginning(f"recorded-go{m}"))
    yield Test(f"parents-go{MINORS[-1]}", lambda: _parents(MINORS[-1]))
    yield Test("unprivileged", _unprivileged)
    yield Test("killed-readers", _killed_readers, 120)
    yield Test("turns", _turns)
    yield Test("halted", _halted)
    yield Test("under-load", _under_load, 120)
    yield Test("inspect", _inspect)
