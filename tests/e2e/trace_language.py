"""Each line of the language, and what is said of questions that are wrong."""

import json
import re
import shutil
import signal
import time

from calls import (MODES, UNSAVED, Calls, Trace, binary, caret_under, compare, newest, no_losses, nothing_left, refused,
                   trace)
from earshot import Earshot, and_patched, need_earshot, patched, planter
from govalue import DEFAULT, simple
from proc import BIN, EARSHOT, Process, Skip, run_once, scratch, until
from target import MINORS
from testing import Test

LOGINS = 60
LOGIN = "main.Login"

# A condition, and the same in Python over what the program says. Where Python fails
# (nil, no such key, index out of range), the condition is false.
CONDITIONS = [
    ('user == "alice"', lambda c: c["user"] == "alice"),
    ('user != "alice"', lambda c: c["user"] != "alice"),
    ('user == ""', lambda c: c["user"] == ""),
    ('n > 3 && vip', lambda c: c["n"] > 3 and c["vip"]),
    ('!vip', lambda c: not c["vip"]),
    ('vip == true && n < 0x1f', lambda c: c["vip"] and c["n"] < 31),
    ('n == 7 || user == "bob"', lambda c: c["n"] == 7 or c["user"] == "bob"),
    ('len(items) > 3', lambda c: len(c["items"] or []) > 3),
    ('len(user) == 5', lambda c: len(c["user"].encode()) == 5),
    ('len(attrs) == 2', lambda c: len(c["attrs"]) == 2),
    ('user == "alice" && len(items) >= 2', lambda c: c["user"] == "alice" and len(c["items"] or []) >= 2),
    ('p == nil', lambda c: c["p"] is None),
    ('p != nil && p.Name == "alice"', lambda c: c["p"]["Name"] == "alice"),
    ('p.Name == "alice"', lambda c: c["p"]["Name"] == "alice"),
    ('p.Addr.Zip >= 10030', lambda c: c["p"]["Addr"]["Zip"] >= 10030),
    ('p.Addr != nil && p.Addr.Geo != nil && p.Age > 40', lambda c: c["p"]["Addr"]["Geo"] and c["p"]["Age"] > 40),
    ('p.inner.secret == 7', lambda c: c["p"]["inner"]["secret"] == 7),
    ('p.inner.flag', lambda c: c["p"]["inner"]["flag"]),
    ('p.Tags[1] == "bob"', lambda c: c["p"]["Tags"][1] == "bob"),
    ('attrs["role"] == "admin"', lambda c: c["attrs"]["role"] == "admin"),
    ('p.Notes["k"] == "carol"', lambda c: c["p"]["Notes"]["k"] == "carol"),
    ('items[0].SKU == "sku-1"', lambda c: c["items"][0]["SKU"] == "sku-1"),
    ('items[2].Count == 2', lambda c: c["items"][2]["Count"] == 2),
    ('hasprefix(user, "al")', lambda c: c["user"].startswith("al")),
    ('hassuffix(user, "ice")', lambda c: c["user"].endswith("ice")),
    ('contains(user, "li")', lambda c: "li" in c["user"]),
    ('n & 1 == 0', lambda c: c["n"] & 1 == 0),
    ('n * 2 + 1 > 50', lambda c: c["n"] * 2 + 1 > 50),
    ('n - 10 < -3', lambda c: c["n"] - 10 < -3),
    ('(n == 1 || n == 2) && user == "bob"', lambda c: c["n"] == 1),
    ('any.(string) == "bob"', lambda c: c["any"] == "bob"),
    ('any.(int) > 20', lambda c: isinstance(c["any"], int) and c["any"] > 20),
    ('any.(*Point).X == 5', lambda c: c["any"]["X"] == 5),
    # At the return.
    ('err != nil', lambda c: c["err"] is not None),
    ('err == nil && user == "bob"', lambda c: c["err"] is None and c["user"] == "bob"),
    ('id > 2000', lambda c: c["id"] > 2000),
    ('id < 0 || n == 5', lambda c: c["id"] < 0 or c["n"] == 5),
    ('err != nil && vip && id == 0', lambda c: c["err"] is not None and c["vip"] and c["id"] == 0),
    ('latency > 1h || err != nil', lambda c: c["err"] is not None),
    ('latency >= 0 && n == 3', lambda c: c["n"] == 3),
]

COMPARED = [
    ('w.I8 < -15', lambda c: c["w"]["I8"] < -15), ('w.U8 > 250', lambda c: c["w"]["U8"] > 250),
    ('w.I16 == -1000', lambda c: c["w"]["I16"] == -1000), ('w.U16 >= 61200', lambda c: c["w"]["U16"] >= 61200),
    ('w.I32 < 0', lambda c: c["w"]["I32"] < 0), ('w.U32 > 4000000000', lambda c: c["w"]["U32"] > 4000000000),
    ('w.I64 < 0', lambda c: c["w"]["I64"] < 0),
    ('w.U64 > 9223372036854775807', lambda c: c["w"]["U64"] > 9223372036854775807),
    ('large >= 0x8000000000000000', lambda c: c["large"] >= 1 << 63), ('small <= -20', lambda c: c["small"] <= -20),
    ('w.F64 < -1.5', lambda c: c["w"]["F64"] < -1.5), ('w.F32 >= 2.25', lambda c: c["w"]["F32"] >= 2.25),
    ('w.F64 == 0.0', lambda c: c["w"]["F64"] == 0), ('w.B', lambda c: c["w"]["B"]),
    ('w.S == "malice" && !w.B', lambda c: c["w"]["S"] == "malice" and not c["w"]["B"]),
]


def _holds(condition, call):
    values = {k: simple(v) for part in ("args", "returns") for k, v in call[part].items()}
    try:
        return bool(condition(values))
    except (TypeError, KeyError, IndexError):
        return False


def _selected(path, function, scenario, conditions, options=()):
    """A Trace for each condition, all at once, on the same calls."""
    wrong = []
    with Calls(path) as program:
        traces = [(text, condition, Trace(program.pid, program.question(function, "if " + text), options=options, wait=False))
                  for text, condition in conditions]
        for text, _, t in traces:
            t.wait_planted(60)
        said, _ = program.ask(scenario, LOGINS)
        for text, condition, t in traces:
            seen = t.end()
            want = [c["args"]["n"][1] for c in said if _holds(condition, c)]
            have = [c["args"]["n"] for c in seen]
            if sorted(want) != sorted(have):
                wrong.append(f"{text}: n = {have} instead of {want}")
            no_losses(t)
            if not wrong:
                compare([c for c in said if c["args"]["n"][1] in want], seen, limits=DEFAULT)
        nothing_left(program)
    assert not wrong, "\n".join(wrong)
    return f"{len(conditions)} conditions on {LOGINS} calls"


def _conditions(path, function, scenario, conditions):
    need_earshot()
    at_once = 1 if planter() == "patch" else 10  # only one can patch a program
    for i in range(0, len(conditions), at_once):
        _selected(path, function, scenario, conditions[i:i + at_once])
    return f"{len(conditions)} conditions on {LOGINS} calls"


# ---- names and built-ins ----

def _default_prints_all():
    said, seen, t = trace(newest(), [LOGIN], [("login", 20)])
    compare(said, seen)
    assert all({"ts_unix_ns", "pid", "goid", "func", "args", "returns", "duration_ns"} <= set(c) for c in seen), seen[0]
    no_losses(t)


def _positional_names():
    """Without DWARF and without a declaration, what is known is counted, and arguments have positions."""
    with Calls(newest("sw")) as program, Trace(program.pid, LOGIN) as t:
        program.ask("login", 10)
        seen = t.end()
    assert len(seen) == 10 and all("duration_ns" in c for c in seen), seen[:2]
    assert all(re.fullmatch(r"arg\d+|recv", k) for c in seen for k in c["args"]), seen[0]


def _built_ins():
    with Calls(newest()) as program, \
            Trace(program.pid, f"{LOGIN} {{ print(n, goid, pid, func, caller, latency, panicked, err) }}") as t:
        said, _ = program.ask("callers", 9)
        seen = t.end()
        assert len(seen) == 9, len(seen)
        for want, have in zip(said, seen):
            v, n = {**have["args"], **have["returns"], **have["values"]}, want["args"]["n"][1]
            assert v["n"] == n and v["pid"] == program.pid and v["func"] == LOGIN, v
            assert v["goid"] == have["goid"] > 0 and re.fullmatch(r"[\d.]+(ns|µs|ms|s)", v["latency"]), v
            assert v["caller"].startswith("main.login "), v
            assert v["panicked"] is False, v
            assert (v["err"] is None) == (want["returns"]["err"][0] == "nil"), v


def _expressions():
    text = f'{LOGIN} if n == 9 {{ print(p.Name, len(items), items[1].SKU, attrs["n"], *p.Addr.Geo, n + 1) }}'
    with Calls(newest()) as program, Trace(program.pid, text) as t:
        program.ask("login", 12)
        (seen,) = t.end()
    v = seen["values"]
    assert v["p.Name"] == "carol" or v["p.Name"] in ("malice", "al", "bob", "alice", ""), v
    assert v["len(items)"] == 3 and v["items[1].SKU"] == "sku-2" and v['attrs["n"]'] == "9" and v["n + 1"] == 10, v
    assert list(v) == ["p.Name", "len(items)", "items[1].SKU", 'attrs["n"]', "*p.Addr.Geo", "n + 1"], v


def _stack():
    with Calls(newest()) as program, Trace(program.pid, f"{LOGIN} {{ print(n); stack }}") as t:
        program.ask("callers", 6)
        seen = t.end()
    for c in seen:
        via = "main.viaFirst" if {**c["args"], **c.get("values", {})}["n"] % 3 == 0 else "main.viaSecond"
        names = [f.split(" ")[0] for f in c["stack"]]
        assert names[:2] == ["main.login", via] and names[-1] == "runtime.goexit", names
    assert len(seen) == 6
    return f"{len(seen[0]['stack'])} frames"


def _aggregate(text, scenario, count, options=()):
    with Calls(newest()) as program, Trace(program.pid, text, options=options) as t:
        said, _ = program.ask(scenario, count)
        seen = t.end()
        return [{k: {n: simple(v) for n, v in c[k].items()} for k in ("args", "returns")} for c in said], \
            seen, t.aggregates()


def _key(group):
    keys = list(group["key"].values())
    return keys[0] if len(keys) == 1 else tuple(keys)


def _aggregates():
    said, seen, groups = _aggregate(
        f"{LOGIN} {{ count() by user; sum(n) by vip; min(n); max(n) by user, vip; avg(n) }}", "login", 60)
    assert not seen, f"calls were printed though only aggregates were asked for: {seen[0]}"
    by = {}
    for g in groups:
        by.setdefault(g["aggregate"].split("(")[0], {})[_key(g) if g.get("key") else ()] = g
    users = {c["args"]["user"] for c in said}
    assert {k: g["count"] for k, g in by["count"].items()} == \
        {u: sum(c["args"]["user"] == u for c in said) for u in users}, by["count"]
    assert {k: g["sum"] for k, g in by["sum"].items()} == \
        {v: sum(c["args"]["n"] for c in said if c["args"]["vip"] == v) for v in (True, False)}, by["sum"]
    assert [g["min"] for g in by["min"].values()] == [0], by["min"]
    pairs = {(c["args"]["user"], c["args"]["vip"]) for c in said}
    assert {k: g["max"] for k, g in by["max"].items()} == \
        {(u, v): max(c["args"]["n"] for c in said if (c["args"]["user"], c["args"]["vip"]) == (u, v)) for u, v in pairs}
    assert [g["avg"] for g in by["avg"].values()] == [29.5], by["avg"]
    return f"{len(groups)} groups"


def _buckets(group):
    return [(b.get("from"), b.get("to"), b["count"]) for b in group["buckets"]]


def _histograms():
    said, _, groups = _aggregate(f"{LOGIN} {{ hist(n); hist(n, 10, 50, 10); hist(id) by vip }}", "login", 60)
    log2 = next(g for g in groups if g["aggregate"] == "hist(n)")
    assert _buckets(log2) == [(0, 1, 1), (1, 2, 1), (2, 4, 2), (4, 8, 4), (8, 16, 8), (16, 32, 16), (32, 64, 28)], log2
    linear = next(g for g in groups if g["aggregate"].startswith("hist(n, "))
    assert _buckets(linear) == [(None, 10, 10), (10, 20, 10), (20, 30, 10), (30, 40, 10), (40, 50, 10),
                                (50, None, 10)], linear
    ids = [g for g in groups if g["aggregate"].startswith("hist(id)")]
    assert len(ids) == 2 and sum(b["count"] for g in ids for b in g["buckets"]) == 60, ids
    assert sum(b["count"] for g in ids for b in g["buckets"] if b.get("to", 1) <= 0) == \
        sum(c["returns"]["id"] < 0 for c in said), ids


def _aggregates_at_return():
    said, _, groups = _aggregate(f"{LOGIN} if err != nil {{ count() by user; hist(latency) by user; max(latency) }}",
                                 "login", 60)
    failed = [c for c in said if c["returns"]["err"] is not None]
    counts = {_key(g): g["count"] for g in groups if g["aggregate"].startswith("count")}
    assert counts == {u: sum(c["args"]["user"] == u for c in failed) for u in {c["args"]["user"] for c in failed}}
    hists = [g for g in groups if g["aggregate"].startswith("hist")]
    assert sum(b["count"] for g in hists for b in g["buckets"]) == len(failed), hists


def _by_stack():
    _, _, groups = _aggregate(f"{LOGIN} {{ count() by caller; count() by stack }}", "callers", 30)
    stacks = [g for g in groups if "by stack" in g["aggregate"]]
    counts = sorted(g["count"] for g in stacks)
    assert counts == [10, 20], stacks
    assert "main.viaFirst" in str(min(stacks, key=lambda g: g["count"])["key"]), stacks
    assert sum(g["count"] for g in groups if "by caller" in g["aggregate"]) == 30


def _glob(mode):
    """Counted by function over all of a package; the price is in --list."""
    with Calls(newest(mode)) as program, \
            Trace(program.pid, "main.* { count() by func }", options=["--yes"]) as t:
        program.ask("fib", 12)
        program.ask("recursive", 10)
        t.end()
        counts = {}
        for g in t.aggregates():
            counts[g["func"]] = counts.get(g["func"], 0) + g["count"]
    assert counts["main.Fib"] == 465 and counts["main.Recursive"] == 55, counts
    return f"{len(counts)} functions"


def _list():
    with Calls(newest()) as program:
        done = run_once([EARSHOT, "trace", "-p", str(program.pid), "-l", "main.Log*", "main.(*Person).*"])
        assert done.code == 0, done.describe()
        text = done.out()
        assert re.search(r"main\.Login\(n int, user string, vip bool, p \*(main\.)?Person, ", text), text
        assert "main.(*Person).Rename" in text and "main.Signed" not in text, text
        assert re.search(r"\d+(\.\d+)? ?(ns|µs)", text), f"no price: {text}"
        nothing_left(program)


def _list_stripped():
    with Calls(newest("sw")) as program:
        done = run_once([EARSHOT, "trace", "-p", str(program.pid), "-l", "main.Log*"])
        assert done.code == 0 and "main.Login" in done.out(), done.describe()


def _list_without():
    """What cannot be read is listed with its reason, by inspect and before anything is planted."""
    need_earshot()
    path = binary(MINORS[-1])
    for argv in (["inspect", path, "--functions", "main.Ignores"], ["trace", "-l", "main.Ignores", "--", path],
                 ["inspect", path, "--functions", "main.Unnamed"]):
        done = run_once([EARSHOT, *argv])
        names = "arg0, arg1" if argv[-1] == "main.Unnamed" else "n, text"
        assert done.code == 0 and re.search(rf"^ +without {names}: the function {UNSAVED}", done.out(), re.M), done.describe()
    done = run_once([EARSHOT, "inspect", path, "--json", "--functions", "main.Ignores"])
    (match,) = json.loads(done.out())["matches"]
    listed = json.loads(run_once([EARSHOT, "trace", "-l", "--json", "main.Ignores", "--", path]).out())
    for without in (match["without"], listed["without"]):
        assert list(without) == ["n", "text"] and all(UNSAVED in why for why in without.values()), without
    whole = run_once([EARSHOT, "inspect", path, "--functions", "main.Interfaces"]).out()
    assert "main.Interfaces(" in whole and "without" not in whole, whole


def _declared_wins():
    """A declaration may name things as it likes."""
    with Calls(newest("sw")) as program, \
            Trace(program.pid, "main.Signed(first int8, second int16, c, d, e ?) (total int64) if first == 1") as t:
        program.ask("integers")
        (seen,) = t.end()
    assert seen["args"]["first"] == 1 and seen["args"]["second"] == 2 and seen["returns"] == {"total": 15}, seen


def _several_questions():
    said, seen, t = trace(newest(), [("main.Signed", "if e == 5"), "main.Bools"], ["integers"])
    compare([c for c in said if c["func"] == "main.Bools" or c["args"].get("e") == ["int", 5]], seen)


def _command():
    """-- CMD: from the program's first instruction."""
    t = run_once([EARSHOT, "trace", "--json", "main.main { print(func) }", "main.say", "--", newest()], 30)
    assert t.code == 0, t.describe()
    assert '"main.say"' in t.out() + t.err(), t.describe()


def _executable():
    """-x: programs that run already, and those that start."""
    copy = scratch() / "mayfly-calls"
    shutil.copy(newest(), copy)
    with Calls(copy) as first:
        with Earshot("trace", "--json", "-x", "mayfly-calls", "main.Bools") as t:
            until("the probes are in place", lambda: t.check_alive() and "observing " in t.err(), 20)
            first.ask("integers")
            with Calls(copy) as second:
                deadline = time.monotonic() + 15
                while time.monotonic() < deadline and not any(
                        o.get("pid") == second.pid for o in t.objects()):
                    second.ask("integers")
                    time.sleep(0.1)
            t.stop(signal.SIGINT)
            pids = {o["pid"] for o in t.objects() if "func" in o}
    assert pids == {first.pid, second.pid}, pids


def _inlined(mode):
    """Inlined instances are counted; nothing is made up of their ends."""
    with Calls(newest(mode)) as program, Trace(program.pid, "main.tiny") as t:
        said, _ = program.ask("tiny", 6)
        seen = t.end()
    assert all(c.get("inlined_into") == "main.Tinies" for c in seen), seen[:2]
    assert all("duration_ns" not in c and "returns" not in c for c in seen), seen[:2]
    # One for each turn of the loop, and one behind it.
    want = sum(c["args"]["n"][1] + 1 for c in said)
    assert len(seen) == want, f"{len(seen)} entries of inlined instances instead of {want}"


def _inlined_result():
    with Calls(newest()) as program:
        return refused(["-p", program.pid, "main.tiny if latency > 1ms"], (2, 3), ["inlined"])


def _inlined_stripped_arguments():
    with Calls(newest("sw")) as program:
        return refused(["-p", program.pid, "main.tiny(n int) (int) if n == 1"], (2, 3),
                       ["inlined into main.Tinies", "arguments of an inlined call"])


# ---- wrong questions ----

def _wrong(text, codes=(2, 3), mentions=(), caret=None, mode="plain", options=()):
    """A question is refused with these words, the caret under this part of it."""
    with Calls(newest(mode)) as program:
        said = refused(["-p", program.pid, *options, text], codes, mentions)
        assert caret is None or caret_under(said, caret), f"no caret under {caret!r}:\n{said}"
        nothing_left(program)
        return said.strip().splitlines()[0]


WRONG = [
    # name, question, what must be mentioned, what the caret points at
    ("unknown-function", "main.Lgin", ["main.Lgin", "main.Login"], None),
    ("unknown-function-case", "main.login2", ["main.login"], None),
    ("unknown-package", "mian.Login", ["main.Login"], None),
    ("unknown-method", "main.(*Person).Renam", ["main.(*Person).Rename"], None),
    ("glob-without-match", "nothere.*", ["nothere"], None),
    ("ambiguous", "Get", ["ambiguous", "main.(*Inner).Get"], None),
    ("wrong-field", "main.Login if p.Nme == \"x\"", ["Nme", "Name", "Age", "Addr"], "Nme"),
    ("wrong-nested-field", "main.Login if p.Addr.Zipcode == 1", ["Zip"], "Zipcode"),
    ("wrong-parameter", "main.Login if usr == \"x\"", ["usr", "user"], "usr"),
    ("type-int-string", "main.Login if n == \"x\"", ["int", "text"], "=="),
    ("type-string-int", "main.Login if user > 3", ["text"], ">"),
    ("type-no-bool", "main.Login if n", ["int", "condition"], "n"),
    ("type-bool-and-int", "main.Login if vip && n", ["int", "condition"], "n"),
    ("type-len-of-int", "main.Login if len(n) > 3", ["len"], "len"),
    ("type-not-an-index", "main.Login if user.Name == \"x\"", ["string"], "Name"),
    ("type-hist-of-string", "main.Login { hist(user) }", ["hist"], None),
    ("nil-of-int", "main.Login if n == nil", ["nil"], "=="),
    ("unknown-call", "main.Login if frob(n)", ["frob"], "frob"),
    ("unknown-action", "main.Login { cnt() }", ["cnt", "count"], "cnt"),
    ("arguments-of-count", "main.Login { sum() }", ["sum"], "sum"),
    ("by-nothing", "main.Login { count() by }", [], None),
    ("too-many-keys", "main.Login { count() by n, n, n, n, n }", ["4"], None),
    ("not-closed", "main.Login { count()", [], None),
    ("half-a-condition", "main.Login if n ==", [], None),
    ("no-condition", "main.Login if", [], None),
    ("rubbish", "main.Login ???", ["?"], "?"),
    ("open-string", "main.Login if user == \"x", ["string"], None),
    ("bad-linear", "main.Login { hist(n, 10, 0, 1) }", ["hist"], None),
    ("empty", "", [], None),
    ("panicked", "main.Throws if panicked == true", ["panicked"], "=="),
    ("no-results", "main.Sleeper if err != nil", ["err"], "err"),
]


def _too_large():
    """A condition beyond what a kernel takes is refused, not half planted."""
    text = "||".join(f'contains(user,"{i}-")' for i in range(180))
    with Calls(newest()) as program:
        said = refused(["-p", program.pid, f"main.Login if {text}"], (2, 3), seconds=60)
        assert re.search(r"large|long|complex|instructions|verifier|registers|limit|many", said), said[-400:]
        nothing_left(program)
        program.ask("login", 3)
        return said.strip().splitlines()[-1][:200]


def _one_bad_of_two():
    """A question that is refused beside one that is not: it is said and counted, and the other is answered."""
    for bad, word in (("main.Login if p.Nme == 1", "Nme"), ("main.Nosuch", "main.Nosuch"),
                      ("main.Signed if sum == true", "sum")):
        with Calls(newest()) as program, Trace(program.pid, bad, "main.Bools") as t:
            program.ask("integers")
            seen = t.end()
            summary = t.summary()
        assert [c["func"] for c in seen] == ["main.Bools"] * len(seen) and seen, seen
        told = [l for l in t.err().splitlines() if word in l]
        assert len(told) >= 1 and ("is not traced" in t.err() or "has no function" in told[0]), t.err()
        assert summary["refused"] == 1, summary


def _all_bad():
    """Where no question is left, all reasons are told, and nothing was attached."""
    with Calls(newest()) as program:
        refused(["-p", program.pid, "main.Login if p.Nme == 1", "main.Nosuch"], (3,), ["Nme", "main.Nosuch"])
        nothing_left(program)


def _mismatched_declaration():
    """A declaration that the binary contradicts is refused."""
    return _wrong("main.Signed(a string) (b string)", mentions=["main.Signed"], mode="sw")


def _unknown_type():
    """A type that the binary does not have keeps its own parameter from being read, and no other."""
    text = "main.Login(n int, user string, vip bool, p *Persn, items []Item, attrs map[string]string, any any)"
    with Calls(newest("sw")) as program, Trace(program.pid, text) as t:
        said, _ = program.ask("login", 8)
        seen = t.end()
    assert [c["args"]["user"] for c in seen] == [c["args"]["user"][1] for c in said], seen[:1]
    assert all(not isinstance(c["args"]["p"], dict) or "unreadable" in c["args"]["p"] for c in seen), seen[1]


def _dotted(mode):
    """A package path that the linker escapes reads as its source has it, wherever a function is named."""
    need_earshot()
    path = BIN / f"dotted-{mode}"
    if not path.exists():
        raise Skip(f"{path.name} was not built")
    function, folded = "earshot.test/dotted/store.v2.count", scratch() / "folded"
    with Process([path]) as p:
        for argv in ([f"{function} {{ print(caller); stack }}", "--limit", "1"],
                     [f"{function} {{ print(func, caller); stack }}", "--limit", "1", "--json"],
                     [function.replace("v2", "v2.(*Shelf)").replace("count", "Put"), "--graph", function, "--limit", "2"],
                     [f"{function} {{ count() by func, caller }}", "--for", "300ms"],
                     [function.replace(".v2", "%2ev2"), "--limit", "1"],
                     [f"{function} {{ stack }}", "--limit", "1", "--folded", folded],
                     [function, "--planter", "patch", "--for", "100ms"],
                     ["-l", function]):
            done = run_once([EARSHOT, "trace", "-p", str(p.pid), *argv])
            text = done.out() + done.err() + (folded.read_text() if folded.exists() else "")
            assert "store.v2." in text and "%2e" not in text, f"{argv}: {text}"
    done = run_once([EARSHOT, "inspect", path, "--functions", "*store.v2*"])
    assert "store.v2.(*Shelf).Put" in done.out() and "%2e" not in done.out(), done.describe()


def _not_go():
    with Process(["/bin/sleep", "60"]) as sleeper:
        return refused(["-p", sleeper.pid, "main.main"], (3,), ["Go"])


def _unreadable():
    """A program whose file is cut: packed and damaged ones alike are refused in words."""
    data = newest("sw").read_bytes()
    for name, part in (("half", data[:len(data) // 2]), ("header", data[:64]), ("empty", b"")):
        path = scratch() / name
        path.write_bytes(part)
        path.chmod(0o755)
        refused(["-l", "main.main", "--", path], (3,), [name])


def _gone():
    gone = Process(["/bin/true"])
    gone.wait()
    return refused(["-p", gone.pid, "main.main"], (3,), [str(gone.pid)])


def _vanishes():
    """The program ends while it is asked: so does earshot, with what it saw."""
    with Calls(newest()) as program, Trace(program.pid, "main.Bools", "main.Switches") as t:
        said, _ = program.ask("integers")
        program.tell("leave", 0)
        seen = t.ended()
        bools = [c for c in seen if c["func"] == "main.Bools"]
        compare([c for c in said if c["func"] == "main.Bools"], bools)
        switches = [c for c in seen if c["func"] == "main.Switches"]
        assert len(switches) <= 1 and all(c.get("exited") for c in switches), switches


def _options():
    need_earshot()
    for argv, word in (
            ([], "-p"), (["main.main"], "-p"), (["-p", "1"], "function"), (["-p", "abc", "x.y"], "abc"),
            (["-p", "0", "x.y"], "0"), (["-p"], "-p"), (["--frob", "-p", "1", "x.y"], "frob"),
            (["-p", "1", "--for", "soon", "x.y"], "soon"), (["-p", "1", "--limit", "-3", "x.y"], "-3"),
            (["-p", "1", "--limit", "many", "x.y"], "many"), (["-p", "1", "--rate", "fast", "x.y"], "fast"), (["-p", "1", "--budget", "200%", "x.y"], "200"),
            (["-p", "1", "--budget", "much", "x.y"], "much"), (["-p", "1", "--depth", "-1", "x.y"], "-1"),
            (["-p", "1", "--depth", "1000", "x.y"], "1000"), (["-p", "1", "--max-string", "x", "x.y"], "x"),
            (["-p", "1", "--interval", "0", "x.y"], "0"), (["-p", "1", "--ttl", "10m", "x.y"], "--name"),
            (["-p", "1", "--name", "a/b", "--ttl", "1m", "x.y"], "a/b"),
            (["-p", "1", "--json", "--graph", "x.y"], "--graph")):
        refused(argv, (2,), [word])
    done = run_once([EARSHOT, "trace", "--help"])
    assert done.code == 0 and "--budget" in done.out() and not done.err(), done.describe()
    done = run_once([EARSHOT, "probes", "--help"])
    assert done.code == 0 and done.out(), done.describe()


def _bad_files():
    for option in ("--perfetto", "--folded", "--pprof"):
        _wrong("main.Login", (1, 2, 3), ["/none/such/file"], options=[option, "/none/such/file"])


def _without_privileges():
    need_earshot()
    if not shutil.which("setpriv"):
        raise Skip("no setpriv")
    with Calls(newest()) as program:
        done = run_once(["setpriv", "--inh-caps=-all", "--bounding-set=-all", EARSHOT, "trace", "-p", str(program.pid),
                         "main.Login"])
        assert done.code in (1, 3) and "CAP_" in done.err(), done.describe()


def _inlined_in_the_middle():
    """A patch replaces a function's entry: there is none where a call is inlined."""
    with Calls(newest()) as program:
        refused(["--planter", "patch", "-p", program.pid, "main.tiny"], codes=(3,),
                mentions=["main.Tinies cannot be patched", "inlined"])
        nothing_left(program)


def tests():
    # One after the other, which takes its time: so some on one binary and some on the other.
    for minor, conditions in ((MINORS[-1], CONDITIONS[::3]), ("1.19", CONDITIONS[1::3])):
        yield patched(Test(f"conditions-go{minor}",
                           lambda m=minor, c=conditions: _conditions(binary(m), LOGIN, "login", c), 120))
    yield from and_patched(_tests(), {"default-prints-all", "positional-names", "built-ins",
                                  "expressions", "stack", "aggregates", "histograms", "aggregates-at-return",
                                  "by-stack", "glob-plain", "glob-sw", "one-bad-of-two", "all-bad"})


def _tests():
    for mode in MODES:
        yield Test(f"conditions-{mode}", lambda m=mode: _conditions(newest(m), LOGIN, "login", CONDITIONS), 120)
        yield Test(f"widths-{mode}", lambda m=mode: _conditions(newest(m), "main.Compared", "compared", COMPARED), 60)
    yield Test("conditions-go1.19", lambda: _conditions(binary("1.19"), LOGIN, "login", CONDITIONS), 120)
    yield Test("inlined-patch", _inlined_in_the_middle)
    for mode in MODES:
        yield Test(f"dotted-package-{mode}", lambda m=mode: _dotted(m))
    for name, run in (("default-prints-all", _default_prints_all), ("positional-names", _positional_names),
                      ("built-ins", _built_ins), ("expressions", _expressions), ("stack", _stack),
                      ("aggregates", _aggregates), ("histograms", _histograms),
                      ("aggregates-at-return", _aggregates_at_return), ("by-stack", _by_stack),
                      ("list", _list), ("list-stripped", _list_stripped), ("list-without", _list_without),
                      ("declared-wins", _declared_wins),
                      ("several-questions", _several_questions), ("command", _command), ("executable", _executable),
                      ("inlined", lambda: _inlined("plain")), ("inlined-stripped", lambda: _inlined("sw")),
                      ("inlined-latency", _inlined_result),
                      ("inlined-stripped-arguments", _inlined_stripped_arguments)):
        yield Test(name, run)
    for mode in MODES:
        yield Test(f"glob-{mode}", lambda m=mode: _glob(m))
    for name, text, mentions, caret in WRONG:
        yield Test(f"wrong-{name}", lambda t=text, m=mentions, c=caret: _wrong(t, mentions=m, caret=c))
    for name, run in (("condition-too-large", _too_large), ("one-bad-of-two", _one_bad_of_two),
                      ("all-bad", _all_bad),
                      ("mismatched-declaration", _mismatched_declaration), ("unknown-type", _unknown_type),
                      ("not-go", _not_go), ("unreadable-binary", _unreadable), ("program-gone", _gone),
                      ("program-ends", _vanishes), ("options", _options), ("files", _bad_files),
                      ("without-capabilities", _without_privileges)):
        yield Test(name, run, 90)
