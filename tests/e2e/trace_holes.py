"""Values of which a part cannot be read: up to there they are shown, the rest says why and is counted. And calls that
end by a panic, of functions with and without a return instruction."""

import os
import re
import subprocess

from calls import Trace, no_losses, nothing_left, refused
from earshot import and_patched, planter
from proc import BIN, Process, Skip, clean_env, until
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


def _observe(minor, scenario, *questions, options=(), env=None):
    with Holes(minor) as program:
        with Trace(program.pid, *questions, options=options, env=env) as t:
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


# ---- memory ----

FUNCTIONS = ("main.Text", "main.Bytes", "main.Slice", "main.Struct", "main.Texts")
NOT_THERE = {"unreadable": UNREADABLE}
# What lies around the middle page, which is there, and what of it is said where the others are not.
TEXT = bytes(ord("a") + i % 26 for i in range(PAGE, 2 * PAGE)).decode()
WORDS = list(range(PAGE, 2 * PAGE, 8))


def _part(value, whole):
    return {"value": value, "truncated": True, "unreadable": UNREADABLE, "len": whole} if value else \
        {"unreadable": UNREADABLE, "len": whole}


UNREAD = [
    ("main.Text", 1, _part(TEXT[-10:], 30)), ("main.Text", 2, _part("", 30)), ("main.Text", 3, _part("", 30)),
    ("main.Bytes", 1, _part(TEXT[-10:], 30)), ("main.Bytes", 3, _part("", 20)),
    ("main.Slice", 1, _part(WORDS[-4:], 12)), ("main.Slice", 2, [NOT_THERE] * 4 + WORDS[:8]),
    ("main.Slice", 3, _part([], 12)), ("main.Slice", 4, _part(WORDS[-4:], 400)),
    ("main.Struct", 1, {"Head": WORDS[-8:], "Tail": _part([], 8)}),
    ("main.Struct", 2, {"Head": _part([], 8), "Tail": WORDS[:8]}), ("main.Struct", 3, NOT_THERE),
    ("main.Texts", 1, ["here", _part("", 5), "there"]),
]
ZEROS = [
    ("main.Text", 1, TEXT[-10:] + "\0" * 20), ("main.Text", 2, "\0" * 10 + TEXT[:20]), ("main.Text", 3, "\0" * 30),
    ("main.Bytes", 1, TEXT[-10:] + "\0" * 20), ("main.Bytes", 3, "\0" * 20),
    ("main.Slice", 1, WORDS[-4:] + [0] * 8), ("main.Slice", 2, [0] * 4 + WORDS[:8]), ("main.Slice", 3, [0] * 12),
    ("main.Slice", 4, {"value": WORDS[-4:] + [0] * 12, "truncated": True, "len": 400}),
    ("main.Struct", 1, {"Head": WORDS[-8:], "Tail": [0] * 8}), ("main.Struct", 2, {"Head": [0] * 8, "Tail": WORDS[:8]}),
    ("main.Struct", 3, {"Head": [0] * 8, "Tail": [0] * 8}), ("main.Texts", 1, ["here", "\0" * 5, "there"]),
]


def _without_address(value):
    """A pointer to what cannot be read says where it leads."""
    if isinstance(value, dict) and "at" in value:
        assert re.fullmatch("0x[0-9a-f]+", value.pop("at")), value
    return value


def _values(minor, scenario, want, env=None):
    """Each value as far as it can be read; each part that cannot be says why, and is counted."""
    seen, t = _observe(minor, scenario, *FUNCTIONS, env=env)
    got = [(c["func"], c["args"].pop("n"), *map(_without_address, c["args"].values())) for c in seen]
    if planter() == "patch":  # some are too short for it: then it says so
        want = [w for w in want if w[0] not in t.refused()]
    assert got == want, "\n".join(f"{g} instead of {w}" for g, w in zip(got, want) if g != w) or (got, want)
    lost = {k: n for k, n in t.summary()["losses"].items() if n}
    told = t.out().count(UNREADABLE)
    assert lost == ({"value_unreadable": told} if told else {}), (lost, told)


def _forbidden(minor):
    """Pages that nobody may read."""
    _values(minor, "forbidden", UNREAD)


def _not_added_up(minor):
    """What cannot be read is in no sum, and counted beside it; a count needs no value."""
    asked = "main.Slice { sum(s[0]); count() }"
    _, t = _observe(minor, "forbidden", asked)
    if planter() == "patch" and t.refused():
        return
    told = {o["aggregate"]: o for o in t.aggregates()}
    assert (told["count()"]["count"], told["sum(s[0])"]["count"]) == (4, 2), told
    assert all(o["lost"] == {"aggregate_unreadable": 2} for o in told.values()), told
    assert t.summary()["losses"]["aggregate_unreadable"] == 2, t.summary()


def _brings_in():
    """Whether programs may bring pages in: the kernel's release, of which this is known."""
    return tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2]) >= (6, 6)


def _untouched(minor):
    """Pages that the program has not touched: brought in, as its own read would, where the kernel can."""
    if planter() != "patch" and not _brings_in():
        raise Skip("this kernel's programs on uprobes cannot bring pages in")
    _values(minor, "untouched", ZEROS)


def _not_brought_in(minor):
    """Likewise, on kernels that cannot."""
    _values(minor, "untouched", UNREAD, clean_env(EARSHOT_NO_FAULTS="1"))


def _fresh(minor, env=None):
    """Fresh maps and a fresh slice: no entry is missing without a reason, none is wrong, and the count is always told."""
    question = 'main.Map { print(round, len(m), m, m["k5"].A, m["k9"].B, m["k41"].A, m["k59"].B) }'
    seen, t = _observe(minor, "maps", question, options=["--max-items", "60"], env=env)
    assert [c["values"]["round"] for c in seen] == list(range(400)), len(seen)
    whole = 0
    for n, v in enumerate(c["values"] for c in seen):
        m, partly = v["m"], isinstance(v["m"], dict) and "len" in v["m"]
        entries = m.get("value", {}) if partly else m
        assert v["len(m)"] == 60 and (not partly or (m["len"] == 60 and m["unreadable"] == UNREADABLE)), v
        assert all(e == {"A": int(k[1:]), "B": n} for k, e in entries.items()), entries
        assert partly or len(entries) == 60, (len(entries), v)
        for got, want in ((v['m["k5"].A'], 5), (v['m["k9"].B'], n), (v['m["k41"].A'], 41), (v['m["k59"].B'], n)):
            assert got == want or got == NOT_THERE, v
        whole += not partly
    lost = sum(t.summary()["losses"].values())
    assert lost == t.out().count(UNREADABLE), (lost, t.out().count(UNREADABLE))
    seen, _ = _observe(minor, "slice", "main.Slice", env=env)
    assert [c["args"]["s"]["len"] for c in seen] == [4 << 20], seen
    return f"{whole} of 400 maps whole"


def _fresh_brought_in(minor):
    note = _fresh(minor)
    assert (planter() != "patch" and not _brings_in()) or note == "400 of 400 maps whole", note


def tests():
    new = MINORS[-1]
    names = {f"{name}-go{minor}" for name in ("panics", "no-result", "open", "forbidden", "untouched", "fresh", "not-added-up")
             for minor in ("1.19", new)}
    return and_patched(_tests(), names)


def _tests():
    for minor in MINORS:
        for name, run in (("panics", _panics), ("no-result", _no_result), ("open", _open)):
            if minor in ("1.19", MINORS[-1]) or name == "panics":
                yield Test(f"{name}-go{minor}", lambda r=run, m=minor: r(m))
    for minor in ("1.19", "1.23", MINORS[-1]):  # two kinds of maps
        for name, run in (("forbidden", _forbidden), ("not-added-up", _not_added_up), ("untouched", _untouched), ("not-brought-in", _not_brought_in),
                          ("fresh", _fresh_brought_in),
                          ("fresh-not-brought-in", lambda m: _fresh(m, clean_env(EARSHOT_NO_FAULTS="1")))):
            yield Test(f"{name}-go{minor}", lambda r=run, m=minor: r(m))
