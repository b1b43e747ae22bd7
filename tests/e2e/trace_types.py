"""Types that only a call's dictionary tells (generic functions), and types that a stripped program does not describe
(declared with the question): each value is what the program passed, or says why not, and is never a wrong one."""

import json
import os
import re

from earshot import Earshot, and_patched, need_earshot, planter
from proc import BIN, Skip
from target import MINORS
from testing import Test

ADDRESS = re.compile(r"0x[0-9a-f]+")
DURATIONS = {"1s": 10**9, "1m0s": 60 * 10**9}  # as what they are: numbers
DEEP, TWO = {"X": 1, "Only": 2}, {"a": "x", "b": "y"}


class Either:
    """One of these."""

    def __init__(self, *values):
        self.values = values


ANY = object()
CHAN = {"chan": ADDRESS, "len": 1, "cap": 2}
NO_CHAN = Either(None, {"value": None, "truncated": True, "len": 0})
UNREADABLE = {"unreadable": ANY}


def _arg(number, value):
    return ("main.Arg[...]", {"id": Either(number, UNREADABLE), "a": value}, {"ret0": value})


def _all(v, pointer, **more):
    """Its dictionary is in a register that the function does not use: it may be unknown."""
    value = Either(v, ADDRESS) if pointer else v
    args = {"v": value, "f": None, "m": Either({"k": v if pointer else 7}, UNREADABLE), **more}
    return ("main.all[...].Get", {"a": args}, {"ret0": value})


# What tests/go/typed/generics.go calls, by function in the order of the calls.
CALLS = [
    _arg(1, 3), _arg(2, "s"), _arg(3, DEEP), _arg(4, TWO), _arg(5, {"X": 6, "Only": 7}), _arg(6, [{"X": 8, "Only": 9}]),
    _arg(7, {"k": DEEP}), _arg(8, {"type": "*main.deep", "value": DEEP}), _arg(9, None), _arg(10, "1s"),
    _arg(11, "2024-05-06T07:08:09Z"), _arg(12, 3), _arg(13, [1, 2]), _arg(14, [DEEP, None]), _arg(15, "abc"),
    _arg(16, True), _arg(17, {'{a:"x" b:"y"}': [4]}),
    ("main.List[...]", {"xs": [DEEP, None]}, {"ret0": 2}), ("main.List[...]", {"xs": [TWO]}, {"ret0": 1}),
    ("main.List[...]", {"xs": ["a"]}, {"ret0": 1}), ("main.List[...]", {"xs": ["1m0s"]}, {"ret0": 1}),
    ("main.MapOf[...]", {"m": {"k": DEEP}}, {"ret0": 1}),
    ("main.MapOf[...]", {"m": {"{X:1 Only:2}": TWO}}, {"ret0": 1}),
    ("main.MapOf[...]", {"m": {"t": TWO}}, {"ret0": 1}),
    ("main.ChanOf[...]", {"c": CHAN}, {"ret0": 1}),
    ("main.PtrTo[...]", {"p": Either(ADDRESS, DEEP)}, {"ret0": DEEP}),
    ("main.PtrTo[...]", {"p": Either(ADDRESS, TWO)}, {"ret0": TWO}),
    ("main.Variadic[...]", {"xs": [DEEP, DEEP]}, {"ret0": "dd"}),
    ("main.Variadic[...]", {"xs": [TWO]}, {"ret0": "t"}),
    ("main.(*tree[...]).Put", {"t": {"val": 1, "left": ADDRESS, "right": None}, "v": 2}, {"ret0": 2}),
    ("main.(*tree[...]).Put", {"t": {"val": DEEP, "left": None, "right": None}, "v": DEEP}, {"ret0": DEEP}),
    ("main.(*tree[...]).Put", {"t": {"val": TWO, "left": None, "right": None}, "v": TWO}, {"ret0": TWO}),
    ("main.(*pair[...]).Put", {"p": {"key": "k", "val": 1, "next": None}, "k": "a", "v": 5}, {"ret0": 5}),
    ("main.(*pair[...]).Put", {"p": {"key": 7, "val": ["v"], "next": None}, "k": 9, "v": None}, {"ret0": None}),
    ("main.(*bag[...]).Put", {"b": {"vals": [DEEP]}, "v": DEEP}, {"ret0": [DEEP, DEEP]}),
    ("main.(*bag[...]).Put", {"b": {"vals": [TWO]}, "v": TWO}, {"ret0": [TWO, TWO]}),
    ("main.table[...].Get", {"t": {"m": {"q": DEEP}}, "k": "q"}, {"ret0": DEEP}),
    ("main.table[...].Get", {"t": {"m": {"q": TWO}}, "k": "q"}, {"ret0": TWO}),
    _all(DEEP, True, c=CHAN, arr=[Either(DEEP, ADDRESS)] * 2, held=None),
    _all(TWO, True, c=NO_CHAN, arr=[Either(TWO, ADDRESS)] * 2, held={"type": "*main.two", "value": TWO}),
    _all(5, False, c=NO_CHAN, arr=[1, 2], held={"type": "main.level", "value": 1}),
    ("main.Keeper[...]", {"keep": DEEP}, {"ret0": ANY}), ("main.Keeper[...]", {"keep": TWO}, {"ret0": ANY}),
    # before Go 1.23 DWARF does not mark what a closure captured, its dictionary neither
    *(("main.Keeper[...].func1", {"x": Either(v, ADDRESS), "keep": Either(v, ADDRESS)}, {"ret0": Either(v, ADDRESS)})
      for v in (DEEP, TWO)),
    ("main.Outer[...]", {"xs": [DEEP]}, {"ret0": ANY}), ("main.Outer[...]", {"xs": [TWO]}, {"ret0": ANY}),
    ("main.Inlined[...]", {"xs": [Either(DEEP, ADDRESS)], "one": Either(DEEP, ADDRESS)}, {"ret0": ANY}),
]
PLAIN = ["main.Arg", "main.List", "main.MapOf", "main.ChanOf", "main.PtrTo", "main.Variadic", "main.*.Put",
         "main.*.Get", "main.Keeper*", "main.Outer", "main.Inlined"]
# The same of a stripped program: the shapes in the functions' names tell what they tell.
STRIPPED = ["main.Arg[T any](id int, a T) T", "main.List[T](xs []T) int", "main.MapOf[K, V](m map[K]V) int",
            "main.ChanOf[T](c chan T) int", "main.PtrTo[T](p *T) T", "main.(*tree[V]).Put(v V) V",
            "main.(*pair[K, V]).Put(k K, v V) V", "main.Keeper[T](keep T) func(T) T"]


def _binary(minor, mode):
    path = BIN / f"typed-go{minor}-{mode}"
    if not os.access(path, os.X_OK):
        raise Skip(f"{path.name} was not built")
    return path


def _run(path, questions, expect=0):
    """The calls, and Earshot when it has ended."""
    need_earshot()
    e = Earshot("trace", "--json", *questions, "--", str(path))
    code = e.wait(60)
    e.kill()
    assert code == expect, f"exit code {code}: {e.describe()}"
    assert "Sanitizer" not in e.err() and "runtime error" not in e.err(), e.err()
    # an inlined instance has no return
    return [o for o in e.objects() if "func" in o and (o["func"] != "main.Inlined[...]" or o.get("returns"))], e


def _is(want, got):
    if want is ANY:
        return True
    if isinstance(want, Either):
        return any(_is(v, got) for v in want.values)
    if want is ADDRESS:
        at = got["at"] if isinstance(got, dict) and set(got) == {"at"} else got  # a pointer that is not followed
        return isinstance(at, str) and ADDRESS.fullmatch(at) is not None
    if isinstance(want, dict):
        return isinstance(got, dict) and set(want) == set(got) and all(_is(v, got[k]) for k, v in want.items())
    if isinstance(want, list):
        return isinstance(got, list) and len(want) == len(got) and all(map(_is, want, got))
    return type(want) is type(got) and want == got


def _certain(want, got):
    """What a shape tells: the value, an address for a pointer, or a reason."""
    if _is(want, got) or _is(UNREADABLE, got) or (isinstance(want, str) and DURATIONS.get(want) == got):
        return True
    if isinstance(want, dict) and _is(ADDRESS, got):
        return True
    if isinstance(want, list):
        return isinstance(got, list) and len(want) == len(got) and all(map(_certain, want, got))
    return isinstance(want, Either) and any(_certain(v, got) for v in want.values)


def _compare(seen, fits, skipped=()):
    """Each call that was made was seen, and nothing else; returns how many values are exactly right."""
    functions = {f for f, _, _ in CALLS if f in {c["func"] for c in seen}}
    wrong, exact = [], 0
    for function in sorted(functions):
        want = [c for c in CALLS if c[0] == function]
        have = [c for c in seen if c["func"] == function]
        if len(want) != len(have):
            if function not in skipped:
                wrong.append(f"{function}: {len(have)} calls instead of {len(want)}")
            continue
        for (_, args, returns), call in zip(want, have):
            for part, values in (("args", args), ("returns", returns)):
                got = dict(call.get(part) or {})
                if ".dict" in got:
                    wrong.append(f"{function}: .dict is shown")
                if "recv" in got:
                    got[next(iter(set(values) - set(got)))] = got.pop("recv")
                for name in set(values) & set(got):
                    exact += _is(values[name], got[name])
                    if not fits(values[name], got[name]):
                        wrong.append(f"{function} {part}.{name}: {json.dumps(got[name])}")
    assert not wrong, "\n".join(wrong)
    return exact


def _refused(e):
    return {re.sub(r"\[.*\]", "[...]", f) for f in re.findall(r"(main\.\S+) cannot be patched in the process", e.err())}


def _generics(minor):
    seen, e = _run(_binary(minor, "plain"), PLAIN)
    refused = _refused(e)
    assert not refused or planter() == "patch", e.err()
    missing = {f for f, _, _ in CALLS} - {c["func"] for c in seen} - refused
    assert not missing, f"not seen: {missing}"
    # of a function that is refused for some of its instances the calls do not come in the table's order
    exact = _compare([c for c in seen if c["func"] not in refused], _is)
    assert exact > (60 if planter() == "patch" else 90), f"only {exact} values"
    return f"{exact} values{', not ' + ', '.join(sorted(refused)) if refused else ''}"


def _generics_stripped(minor):
    seen, e = _run(_binary(minor, "sw"), STRIPPED)
    refused = _refused(e)
    exact = _compare([c for c in seen if c["func"] not in refused], _certain)
    assert exact > (25 if minor == "1.19" or planter() == "patch" else 40), f"only {exact} values"
    return f"{exact} values tell all"


def _generics_refused():
    """Without names for its type parameters a stripped generic function is refused: the types would be a guess."""
    path = _binary(MINORS[-1], "sw")
    _, e = _run(path, ["main.List(xs []*deep) int"])
    assert "Name its type parameters" in e.err(), e.err()
    _, e = _run(path, ["main.List[T, U](xs []T) int"])
    assert "2 type parameters, but has 1" in e.err(), e.err()
    seen, _ = _run(path, ["main.List[string](xs []string) int"])
    assert [c["args"] for c in seen] == [{"xs": ["a"]}], seen


ORDER = {"N": 7, "S": "seven"}
TYPES = "type spot struct { i, j int }; type order struct { N int; S string }; type node struct { V int; Next *node }; "
MIXED = ("type mixed struct { spot; *order; At time.Time; D []time.Duration; F func(int) string; C <-chan int; "
         "A [2]spot; M map[string]int; E error; X interface{ Get() int } }; ")
DECLARED = [
    ("main.Take(r struct{ N int; S string }) struct{ N int; S string }", {"r": ORDER}, {"ret0": ORDER}),
    ("type order struct { N int; S string }; main.Take(r order) order", {"r": ORDER}, {"ret0": ORDER}),
    ("type main.order struct {\n\tN int\n\tS string\n}\nmain.Take(r order) (o order) if r.N == 7 && r.S == \"seven\"",
     {"r": ORDER}, {"o": ORDER}),
    ("main.Anonymous(r struct{ i, j int }) int", {"r": {"i": 1, "j": 2}}, {"ret0": 3}),
    ("type rank int8; main.Wait(d time.Duration, l rank) (time.Duration, rank) if d > 1s && l == 3",
     {"d": "1.5s", "l": 3}, {"ret0": "3s", "ret1": 4}),
    (TYPES + "main.When(t time.Time, n node) time.Time",
     {"t": "2024-05-06T07:08:09.00000001Z", "n": {"V": 1, "Next": {"V": 2, "Next": None}}},
     {"ret0": "2024-05-06T07:08:09.000000011Z"}),
    (TYPES + MIXED + "main.Mixed(m *mixed, rest ...spot) int",
     {"m": {"spot": {"i": 1, "j": 2}, "order": ORDER, "At": "2020-01-02T03:04:05Z", "D": ["1s", "3m0s"], "F": None,
            "C": NO_CHAN, "A": [{"i": 3, "j": 4}, {"i": 5, "j": 6}], "M": {"m": 1}, "E": None,
            "X": {"type": "main.five", "value": Either(9, ADDRESS)}}, "rest": [{"i": 8, "j": 9}]}, {"ret0": 2}),
    ("main.Face(x interface{ Get() int }, c chan<- int) int",
     {"x": {"type": "main.five", "value": 5}, "c": ANY}, {"ret0": 5}),
]


def _declared(minor):
    """Types that the stripped program does not describe: literals, declared with the question, and of the packs."""
    path = _binary(minor, "sw")
    notes = []
    for question, args, returns in DECLARED:
        seen, e = _run(path, [question, "--depth", "3"])
        refused = _refused(e)
        if refused and planter() == "patch":
            notes += sorted(refused)
            continue
        assert len(seen) == 1, (question, seen, e.err())
        for want, got in ((args, seen[0]["args"]), (returns, seen[0]["returns"])):
            assert _is(want, got), f"{question}: {json.dumps(got)}"
    return f"not {', '.join(notes)}" if notes else None


# What is wrong with it, and what is said of it.
# Without a process exit code 2; otherwise the program's, since what it starts would be observed.
WRONG = [
    ("main.Take(r struct{ N int, S string })", 2, 'the fields of a struct are separated by ";", not by ","'),
    ("main.Take(r struct{ i, j })", 2, "the type of the field"),
    ("main.Take(r map[string)", 2, "closes a different one"),
    ("main.Take(r [n]int)", 2, "an array's length is written as a number"),
    ("type order struct { N int, S string }; main.Take(r order)", 2, "separated by"),
    ("type order struct { N int }; main.Take(r order)", 0,
     "should be {8} bytes at offset 0, but the binary shows {8+8+8}"),
    ("type order struct { N [3]order }; main.Take(r order)", 0, "it contains itself, without a pointer between"),
    ("type time.Duration int32; main.Wait(d time.Duration, l int8)", 0,
     "the binary describes it differently (int64, 8 bytes)"),
    ("type order int; main.Take", 2, "a type is declared for a signature"),
]


def _wrong():
    path = _binary(MINORS[-1], "sw")
    for question, code, words in WRONG:
        seen, e = _run(path, [question], expect=code)
        assert not seen and words in e.err() and "^" in e.err(), f"{question}: {e.err()}"


def _unknown():
    """The type that nothing describes is named, with what to write; the other parameters are read."""
    seen, e = _run(_binary(MINORS[-1], "sw"), ["main.Wait(d time.Duration, l rank) (time.Duration, other)"])
    assert len(seen) == 1 and seen[0]["args"]["d"] == "1.5s" and seen[0]["returns"]["ret0"] == "3s", seen
    for value, name in ((seen[0]["args"]["l"], "rank"), (seen[0]["returns"]["ret1"], "other")):
        assert f'no "main.{name}"' in value["unreadable"] and f"`type {name} int32; …`" in value["unreadable"], value
    assert "declare the function" not in e.err(), e.err()


def tests():
    of_both = list(_tests())
    yield from and_patched(of_both, {t.name for t in of_both})


def _tests():
    for minor in MINORS:
        yield Test(f"generics-go{minor}", lambda m=minor: _generics(m))
        yield Test(f"generics-go{minor}-sw", lambda m=minor: _generics_stripped(m))
        yield Test(f"declared-go{minor}", lambda m=minor: _declared(m))
    yield Test("generics-refused", _generics_refused)
    yield Test("wrong", _wrong)
    yield Test("unknown", _unknown)
