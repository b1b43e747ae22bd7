"""Values of which a part cannot be read: up to there they are shown, the rest says why and is counted. And calls that
end by a panic, of functions with and without a return instruction."""

import os
import re
import subprocess

from calls import Trace, no_losses, nothing_left, refused
from earshot import and_patched, planter
from proc import BIN, Process, Skip, until
from target import MINORS
from testing import Test

UNREADABLE = "unreadable memory"
PAGE = 4096


def _binary(minor):
    path = BIN / f"holes-go{minor}-plain"
    if not os.access(path, os.X_OK):
        raise Skip(f"{path.name} was not built")
    return path


class Holes(Process):
    """tests/go/holes, running."""

    def __init__(self, minor):
        super().__init__([_binary(minor)], stdin=subprocess.PIPE)
        until("the program is ready", lambda: "ready" in self.out())

    def ask(self, scenario):
        self.popen.stdin.write(f"{scenario}\n".encode())
        self.popen.stdin.flush()
        until(f"{scenario} is done", lambda: self.alive() and f"done {scenario}\n" in self.out(), 30)


def _observe(minor, scenario, *questions, options=()):
    with Holes(minor) as program:
        with Trace(program.pid, *questions, options=options) as t:
            program.ask(scenario)
            seen = t.end()
        nothing_left(program)
    return seen, t


# ---- panics ----

def _ends(calls):
    return [(c["func"], c["args"]["n"], "panicked" if c.get("panicked") else c["returns"]["~r0" if "~r0" in c["returns"] else "ret0"])
            for c in calls]


def _panics(minor):
    """Whether a function has a return instruction or none: `panicked` may be asked for, and is told."""
    seen, t = _observe(minor, "panics", "main.Reject", "main.Maybe")
    no_losses(t)
    assert _ends(seen) == [call for n in (1, 2, 3, 4) for call in (
        ("main.Reject", n, "panicked"), ("main.Maybe", n, "panicked" if n > 2 else n))], seen
    assert "never returns" not in t.err() and "?" not in t.err(), t.err()
    seen, t = _observe(minor, "panics", "main.Reject if panicked", "main.Maybe if panicked && n < 4")
    assert _ends(seen) == [("main.Reject", 1, "panicked"), ("main.Reject", 2, "panicked"),
                           ("main.Reject", 3, "panicked"), ("main.Maybe", 3, "panicked"),
                           ("main.Reject", 4, "panicked")], seen


def _no_result(minor):
    """A call that panicked has no results: a condition on one is not met, whatever it is."""
    seen, t = _observe(minor, "panics", "main.Maybe if ret0 < 100", "main.Reject if ret0 == 0 || panicked && n == 3")
    no_losses(t)
    assert _ends(seen) == [("main.Maybe", 1, 1), ("main.Maybe", 2, 2), ("main.Reject", 3, "panicked")], seen
    seen, _ = _observe(minor, "panics", "main.Maybe if !(ret0 == 1)", "main.Maybe if !panicked && n == 1")
    assert _ends(seen) == [("main.Maybe", 1, 1), ("main.Maybe", 2, 2)], seen
    seen, _ = _observe(minor, "panics", "main.Maybe if latency > 1h", "main.Reject if latency > 1h || n == 2")
    assert _ends(seen) == [("main.Reject", 2, "panicked")], seen
    seen, _ = _observe(minor, "panics", "main.Maybe if latency < 1h")
    assert _ends(seen) == [("main.Maybe", n, n if n < 3 else "panicked") for n in (1, 2, 3, 4)], seen
    with Holes(minor) as program:
        refused(["-p", program.pid, "main.Reject { hist(latency) }"], (3,), ["never returns"])


def _open(minor):
    """Likewise of a call that still runs when the observation ends."""
    seen, _ = _observe(minor, "forever", "main.Forever")
    assert len(seen) == 1 and seen[0].get("open") and seen[0]["args"]["n"] == 7, seen
    seen, _ = _observe(minor, "forever", "main.Forever if panicked")
    assert seen == [], seen
    seen, _ = _observe(minor, "forever", "main.Forever if panicked || latency > 1ns")
    assert len(seen) == 1 and seen[0].get("open"), seen


def tests():
    new = MINORS[-1]
    names = {f"{name}-go{minor}" for name in ("panics", "no-result", "open") for minor in ("1.19", new)}
    return and_patched(_tests(), names)


def _tests():
    for minor in MINORS:
        for name, run in (("panics", _panics), ("no-result", _no_result), ("open", _open)):
            if minor in ("1.19", MINORS[-1]) or name == "panics":
                yield Test(f"{name}-go{minor}", lambda r=run, m=minor: r(m))
