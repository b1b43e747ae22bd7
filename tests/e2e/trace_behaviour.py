"""Calls however they come and go: recursion, growing stacks, switched goroutines,
panics, Goexit. And what limits the asking: time, number, rate, budget, names."""

import json
import os
import re
import signal
import time

from calls import (MODES, UNSAVED, Calls, Trace, binary, compare, newest, no_losses, nothing_left, refused)
from earshot import and_patched, need_earshot
from probed import changed_text
from proc import EARSHOT, json_lines, run_once, until
from target import MINORS
from testing import Test

DEEP = 5000


def _observe(path, functions, scenario, count=1, options=(), seconds=60, procs=0):
    """(calls by function, the done line): nothing may be lost, nothing be left."""
    with Calls(path, procs) as program:
        with Trace(program.pid, *(program.question(f) for f in functions), options=options) as t:
            _, done = program.ask(scenario, count, seconds)
            seen = t.end()
            no_losses(t)
        nothing_left(program)
    by = {f: [] for f in functions}
    for c in seen:
        by[c["func"]].append(c)
    return by, done


def _same(function, got, want):
    got, want = sorted(got, key=repr), sorted(want, key=repr)
    assert got == want, f"{function}: {len(got)} calls, not {len(want)}; " \
        f"too many: {[g for g in got if g not in want][:5]}, missing: {[w for w in want if w not in got][:5]}"


def _ends(calls, name):
    """(first argument, first result or "panicked") of calls."""
    return [(c["args"][name], "panicked" if c.get("panicked") else next(iter(c["returns"].values()))) for c in calls]


def _recursion(path):
    by, _ = _observe(path, ["main.Recursive"], "recursive", 30)
    _same("Recursive", _ends(by["main.Recursive"], "n"),
          [(k, k * (k + 1) // 2) for n in range(30) for k in range(n + 1)])
    return f"{len(by['main.Recursive'])} calls"


def _fib(path):
    by, done = _observe(path, ["main.Fib"], "fib", 15)
    fib = [0, 1]
    while len(fib) < 16:
        fib.append(fib[-1] + fib[-2])
    counts = {}
    for n, f in _ends(by["main.Fib"], "n"):
        assert f == fib[n], f"Fib({n}) = {f}"
        counts[n] = counts.get(n, 0) + 1
    assert len(by["main.Fib"]) == 1973 and counts[15] == 1 and counts[1] == 610, counts
    # What is inside a call took no longer than it.
    outer = max(by["main.Fib"], key=lambda c: c["args"]["n"])
    assert all(c["duration_ns"] <= outer["duration_ns"] for c in by["main.Fib"])
    assert done["result"] == 610


def _mutual(path):
    by, _ = _observe(path, ["main.Ping", "main.Pong"], "mutual", 8)
    for i, function in enumerate(("main.Ping", "main.Pong")):
        got = [(c["args"]["n"], c["args"]["id"], c["returns"]["r"]) for c in by[function]]
        _same(function, got, [(n, g * 1000, g * 1000 + n) for g in range(8) for n in range(11) if n % 2 == i])


def _deep(path):
    """Two goroutines go down 5,000 calls each; their stacks are copied ten times, and shrunk, while the collector runs."""
    by, _ = _observe(path, ["main.Deep"], "deep", DEEP, seconds=120)
    calls = by["main.Deep"]
    assert len(calls) == 2 * (DEEP + 1), f"{len(calls)} calls instead of {2 * (DEEP + 1)}"
    got = [(c["args"]["n"], c["returns"]["same"], c["returns"]["sum"]) for c in calls]
    _same("Deep", got, [(n, f"goroutine {g}", n * (n + 1) // 2) for g in range(2) for n in range(DEEP + 1)])
    wrong = [c for c in calls if c["args"]["text"] != c["returns"]["same"]]
    assert not wrong, f"{len(wrong)} calls were paired with another goroutine's end: {wrong[:2]}"
    return f"{len(calls)} calls"


def _switches(path, procs):
    by, done = _observe(path, ["main.Switches"], "switches", 300, procs=procs)
    calls = by["main.Switches"]
    _same("Switches", [c["args"]["id"] for c in calls], range(300))
    assert sum(c["returns"]["twice"] for c in calls) == done["sum"] == 299 * 300
    assert len({c["goid"] for c in calls}) == 300, "goroutines were mixed up"


def _recovers(path):
    with Calls(path) as program, Trace(program.pid, program.question("main.Recovers")) as t:
        said, _ = program.ask("recovers", 20)
        compare(said, t.end())
        no_losses(t)


def _catches(path):
    """A panic goes through two calls and is caught by a third, which returns."""
    by, _ = _observe(path, ["main.Throws", "main.Between", "main.Catches"], "catches", 12)
    _same("Throws", _ends(by["main.Throws"], "n"), [(n, "panicked" if n % 3 else n) for n in range(12)])
    _same("Between", _ends(by["main.Between"], "n"), [(n, "panicked" if n % 3 else n + 1) for n in range(12)])
    _same("Catches", _ends(by["main.Catches"], "n"), [(n, -1 if n % 3 else n + 2) for n in range(12)])
    assert all("returns" not in c or not c["returns"] for c in by["main.Throws"] if c.get("panicked"))


def _nested(path):
    by, _ = _observe(path, ["main.NestedPanic", "main.Deferred"], "nested", 6)
    _same("NestedPanic", _ends(by["main.NestedPanic"], "n"), [(n, "panicked") for n in range(6)])
    _same("Deferred", _ends(by["main.Deferred"], "n"), [(n, "panicked" if n else 0) for n in range(6)])


def _repanics(path):
    by, _ = _observe(path, ["main.Repanics"], "repanics", 5)
    _same("Repanics", _ends(by["main.Repanics"], "n"), [(n, "panicked") for n in range(5)])


def _ignores(path):
    """Arguments of a function that uses none are not kept when it is restarted: they are refused, the rest is told."""
    calls = _observe(path, ["main.Ignores"], "ignores", 5)[0]["main.Ignores"]
    assert len(calls) == 5 and all(c["returns"]["r"] > 1000 for c in calls), calls
    for value in (c["args"][name] for c in calls for name in ("n", "text")):
        assert UNSAVED in value["unreadable"], value
    with Calls(path) as program:
        refused(["-p", program.pid, program.question("main.Ignores", "if n == 1")], (2, 3), [UNSAVED])


def _goexit(path):
    """Goexit runs deferred calls, which are calls like any other, and unwinds the rest."""
    by, _ = _observe(path, ["main.Exits", "main.UnderExit", "main.Recursive"], "exits", 10)
    for function in ("main.Exits", "main.UnderExit"):
        _same(function, _ends(by[function], "n"), [(n, "panicked") for n in range(10)])
    _same("Recursive", _ends(by["main.Recursive"], "n"), [(k, k * (k + 1) // 2) for k in range(4)] * 10)


def _prints_panicked():
    with Calls(newest()) as program, Trace(program.pid, "main.Throws { print(n, panicked) }") as t:
        program.ask("catches", 12)
        seen = t.end()
    got = [{**c["args"], **c["values"]} for c in seen]
    assert [(v["n"], v["panicked"]) for v in got] == [(n, n % 3 != 0) for n in range(12)], seen


def _wrapper(path):
    """Behind an interface stands a wrapper that jumps rather than calls."""
    by, _ = _observe(path, ["main.(*Inner).Get"], "wrapper", 25)
    _same("Get", _ends(by["main.(*Inner).Get"], "by"), [(n, 1000 + n) for n in range(25)])


def _wrapper_itself():
    with Calls(newest()) as program, Trace(program.pid, "main.(*Outer).Get { count() }", "main.(*Inner).Get") as t:
        program.ask("wrapper", 25)
        seen = t.end()
        counted = sum(g["count"] for g in t.aggregates())
    assert counted == 25 and len(seen) == 25 and all("returns" in c for c in seen), (counted, seen[:2])


def _open_calls():
    """Calls that still run when it leaves are told as open; their end, later, harms nobody."""
    with Calls(newest()) as program:
        with Trace(program.pid, "main.Switches") as t:
            program.ask("open", 5)
            seen = t.end()
            assert len(seen) == 5 and all(c.get("open") and "returns" not in c for c in seen), seen
        program.ask("release", 5)
        nothing_left(program)


def _entered_before():
    """Calls that began before it came give no result: their arguments are not known."""
    with Calls(newest()) as program:
        program.ask("open", 5)
        with Trace(program.pid, "main.Switches") as t:
            program.ask("release", 5)
            assert t.end() == []
            no_losses(t)


def _latency():
    with Calls(newest()) as program, Trace(program.pid, "main.Sleeper if latency > 50ms", "main.Bools if latency > 1h") as t:
        said, _ = program.ask("sleep", 16)
        program.ask("integers")
        seen = t.end()
    slept = [c["args"]["n"][1] for c in said if c["returns"]["slept"][1]]
    assert set(slept) <= {c["args"]["n"] for c in seen}, seen
    assert all(c["duration_ns"] > 50e6 for c in seen), seen
    assert all(c["func"] == "main.Sleeper" for c in seen), seen


# ---- limits ----

def _for():
    with Calls(newest()) as program:
        t = Trace(program.pid, "main.Bools", options=["--for", "2s"])
        program.ask("integers")
        assert len(t.ended()) == 8
        nothing_left(program)


def _limit():
    with Calls(newest()) as program:
        t = Trace(program.pid, "main.Login", options=["--limit", "7"])
        program.tell("login", 50)
        seen = t.ended()
        assert [c["args"]["n"] for c in seen] == list(range(7)), f"{len(seen)} calls"
        nothing_left(program)


def _every():
    with Calls(newest()) as program, Trace(program.pid, "main.Login", options=["--every", "10"]) as t:
        program.ask("quiet", 1000)
        seen = t.end()
        skipped = {k: n for k, n in t.summary()["losses"].items() if n}
    assert len(seen) == 100, f"{len(seen)} calls of each 10th of 1000"
    assert sum(skipped.values()) == 900 and len(skipped) == 1, skipped


def _every_of_those_that_pass():
    with Calls(newest()) as program, \
            Trace(program.pid, 'main.Login if user == "bob"', options=["--every", "4"]) as t:
        program.ask("quiet", 600)  # a sixth are bob's
        seen = t.end()
    assert len(seen) == 25 and all(c["args"]["user"] == "bob" for c in seen), len(seen)


def _rate():
    with Calls(newest()) as program, Trace(program.pid, "main.Login", options=["--rate", "50"]) as t:
        for _ in range(3):
            program.ask("quiet", 2000)
            time.sleep(1.1)
        seen = t.end()
        limited = sum(n for k, n in t.summary()["losses"].items() if n)
    seconds = {}
    for c in seen:
        seconds[c["ts_unix_ns"] // 10**9] = seconds.get(c["ts_unix_ns"] // 10**9, 0) + 1
    # A second of ours may touch two of the limit's.
    assert 50 <= len(seen) and max(seconds.values()) <= 100, seconds
    assert len(seen) + limited == 6000, f"{len(seen)} seen, {limited} not, of 6000"


def _budget():
    """Called as often as it can be: it backs off, says so, and the program runs on."""
    with Calls(newest()) as program:
        with Trace(program.pid, "main.Busy", options=["--budget", "2%", "--json"], json=False) as t:
            program.ask("hot", 1)
            until("it says that it backs off", lambda: not t.alive() or re.search(r"budget", t.err()), 30)
            if t.alive():
                t.stop(signal.SIGINT)
            assert re.search(r"budget", t.err()), t.err()
        _, done = program.ask("load-off")
        assert done["calls"] > 0
        nothing_left(program)
        return t.err().strip().splitlines()[-1][:160]


def _within_budget():
    """A few calls a second are within any budget: none is left out."""
    with Calls(newest()) as program, Trace(program.pid, "main.Login", options=["--budget", "5%"]) as t:
        program.ask("pace", 20)
        time.sleep(3)
        _, done = program.ask("load-off")
        seen = t.end()
        no_losses(t)
    assert len(seen) == done["calls"] > 30, (len(seen), done)


def _many_sites_want_yes():
    with Calls(newest()) as program:
        said = refused(["-p", program.pid, "* { count() by func }"], (2, 3), ["--yes"], seconds=60)
        nothing_left(program)
        return said.strip().splitlines()[-1][:160]


def _price_is_shown():
    with Calls(newest()) as program, Trace(program.pid, "main.* { count() by func }", options=["--for", "1s"]) as t:
        t.ended()
        assert re.search(r"\d ?(ns|µs)", t.err()), f"no price before more than 100 sites: {t.err()!r}"


# ---- named questions ----

def _probes(*argv, codes=(0,)):
    done = run_once([EARSHOT, "probes", *argv], 20)
    assert done.code in codes, done.describe()
    return done.out() + done.err()


def _listed(name):
    return any(re.search(rf"\b{name}\b", line) for line in _probes("list").splitlines())


class _Named:
    """A named question in the background, and its end."""

    def __init__(self, program, name, ttl, question="main.Bools"):
        self.name = name
        done = run_once([EARSHOT, "trace", "-p", str(program.pid), "--json", "--name", name, "--ttl", ttl, question], 30)
        assert done.code == 0, done.describe()
        self.text = done.out() + done.err()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run_once([EARSHOT, "probes", "remove", self.name], 10)


def _dear():
    """Where the kernel single-steps returns, who asks for results is told of the planter that does not."""
    checks = json.loads(run_once([EARSHOT, "doctor", "--json"], 60).out())["checks"]
    stepped = not next(c["ok"] for c in checks if c["name"] == "returns")
    told = {}
    with Calls(newest()) as program:
        for name, question, options in (("results", "main.Login", []), ("entries", "main.Login { print(goid) }", []),
                                        ("patched", "main.Login", ["--planter", "patch"])):
            with Trace(program.pid, question, options=options) as t:
                t.end()
                told[name] = "single-steps" in t.err() and "--planter patch" in t.err()
    assert told == {"results": stepped, "entries": False, "patched": False}, told


def _named():
    need_earshot()
    with Calls(newest()) as program, _Named(program, "e2e-named", "2m"):
        assert _listed("e2e-named") and changed_text(program.pid), "it does not run in the background"
        assert "main.Bools" in _probes("list"), _probes("list")
        program.ask("integers")
        _probes("remove", "e2e-named")
        nothing_left(program)
        assert not _listed("e2e-named")


def _ttl():
    need_earshot()
    with Calls(newest()) as program, _Named(program, "e2e-ttl", "3s"):
        assert changed_text(program.pid)
        until("it ends by itself", lambda: not changed_text(program.pid), 15)
        until("it is no longer listed", lambda: not _listed("e2e-ttl"), 5)


def _extend():
    need_earshot()
    with Calls(newest()) as program, _Named(program, "e2e-extend", "4s"):
        _probes("extend", "e2e-extend", "--ttl", "60s")
        time.sleep(5)
        assert _listed("e2e-extend") and changed_text(program.pid), "it was not extended"
        _probes("remove", "e2e-extend")
        nothing_left(program)


def _apply_again():
    """The same definition only extends: the probes in place are not touched."""
    need_earshot()
    with Calls(newest()) as program, _Named(program, "e2e-again", "4s"):
        before = _probes("list")
        with _Named(program, "e2e-again", "60s") as second:
            assert "e2e-again was there already" in second.text, second.text
            time.sleep(5)
            assert _listed("e2e-again") and changed_text(program.pid)
            assert len(_probes("list").splitlines()) == len(before.splitlines())
        nothing_left(program)


def _other_definition():
    """Another question under a name that is taken is refused, in words."""
    need_earshot()
    with Calls(newest()) as program, _Named(program, "e2e-other", "30s"):
        done = run_once([EARSHOT, "trace", "-p", str(program.pid), "--name", "e2e-other", "--ttl", "30s", "main.Login"], 30)
        assert done.code == 1 and "e2e-other" in done.err() and "main.Bools" in done.err(), done.describe()


def _unknown_name():
    need_earshot()
    for verb in ("remove", "extend"):
        assert "e2e-none" in _probes(verb, "e2e-none", codes=(1,))
        _probes(verb, codes=(2,))
    _probes("frobnicate", codes=(2,))


def _killed(number):
    """Whatever ends it, the kernel removes the probes."""
    with Calls(newest()) as program:
        t = Trace(program.pid, "main.Bools", "main.Fib", "main.Login { count() by user; hist(latency) }")
        assert changed_text(program.pid), "no probe is to be seen"
        t.send_signal(number)
        t.popen.wait(20)
        nothing_left(program)
        assert program.ask("fib", 12)[1]["result"] == 144


def _named_killed():
    need_earshot()
    with Calls(newest()) as program, _Named(program, "e2e-killed", "1m"):
        (pid,) = (n["pid"] for n in json_lines(_probes("list", "--json")) if n["name"] == "e2e-killed")
        os.kill(pid, signal.SIGKILL)
        nothing_left(program)
        until("it is no longer listed", lambda: not _listed("e2e-killed"), 5)


def _named_output():
    """What it sees goes into a file that the list tells of."""
    need_earshot()
    with Calls(newest()) as program, _Named(program, "e2e-output", "1m", "main.Bools if a && b"):
        (path,) = (n["output"] for n in json_lines(_probes("list", "--json")) if n["name"] == "e2e-output")
        program.ask("integers")
        until("both calls are in the file", lambda: open(path).read().count('"func"') == 2, 5)
        _probes("remove", "e2e-output")


def tests():
    new = MINORS[-1]
    names = {f"{name}-{label}" for name in ("recursion", "fib", "mutual", "recovers", "nested-panics", "repanics",
                                         "ignores")
             for label in (*MODES, "go1.19")}
    names |= {f"{name}-go{minor}" for name in ("deep", "catches", "goexit") for minor in ("1.19", new)}
    names |= {"deep-sw", "switches-2", "switches-8", "panicked", "open-calls", "entered-before", "latency", "limit",
              "every", "every-that-passes", "rate", "within-budget", "ended-by-SIGKILL", "ended-by-SIGTERM"}
    return and_patched(_tests(), names)


def _tests():
    paths = [(f"{mode}", lambda m=mode: newest(m)) for mode in MODES] + [("go1.19", lambda: binary("1.19"))]
    for name, run in (("recursion", _recursion), ("fib", _fib), ("mutual", _mutual),
                      ("recovers", _recovers), ("nested-panics", _nested), ("repanics", _repanics),
                      ("ignores", _ignores), ("wrapper", _wrapper)):
        for label, path in paths:
            yield Test(f"{name}-{label}", lambda r=run, p=path: r(p()))
    # How a stack is unwound is the runtime's, and differs by version.
    for minor in MINORS:
        for name, run in (("deep", _deep), ("catches", _catches), ("goexit", _goexit)):
            yield Test(f"{name}-go{minor}", lambda r=run, m=minor: r(binary(m)), 150)
    for mode in MODES:
        yield Test(f"deep-{mode}", lambda m=mode: _deep(newest(m)), 150)
    for procs in (1, 2, 8):
        yield Test(f"switches-{procs}", lambda p=procs: _switches(newest(), p))
    for name, run in (("panicked", _prints_panicked), ("wrapper-itself", _wrapper_itself),
                      ("open-calls", _open_calls), ("entered-before", _entered_before), ("latency", _latency),
                      ("for", _for), ("limit", _limit), ("every", _every), ("every-that-passes", _every_of_those_that_pass),
                      ("rate", _rate), ("budget", _budget), ("within-budget", _within_budget),
                      ("many-sites-want-yes", _many_sites_want_yes), ("price-is-shown", _price_is_shown), ("dear", _dear),
                      ("named", _named), ("ttl", _ttl), ("extend", _extend), ("apply-again", _apply_again),
                      ("other-definition", _other_definition), ("unknown-name", _unknown_name),
                      ("named-killed", _named_killed), ("named-output", _named_output)):
        yield Test(name, run)
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV):
        yield Test(f"ended-by-{number.name}", lambda n=number: _killed(n))
