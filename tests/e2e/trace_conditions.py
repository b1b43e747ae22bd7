"""Every kind of condition, on a program that knows which calls each holds for (tests/go/conditions), and what is still
refused."""

import json
import re
import subprocess

from calls import Trace, caret_under, no_losses, nothing_left, refused
from earshot import and_patched, need_earshot, planter
from proc import BIN, EARSHOT, Process, Skip, run_once, until
from target import MINORS
from testing import Test

import os

AT_ONCE = 40  # questions of one run

# What a condition cannot ask: the question's rest, and what the sentence must say.
REFUSED = [
    ("main.Wide", "w.F64 * 2 > 3", ["floating-point values can be compared and converted, not calculated with"]),
    ("main.Strings", 's + t == "ab"', ["texts cannot be joined"]),
    ("main.Strings", "contains(s, t)", ["contains looks for a constant text"]),
    ("main.Strings", "p.Lines == nil && &s != nil", ["addresses cannot be taken"]),
    ("main.Strings", 'strings.ToUpper(s) == "A"', ["functions and methods of the program cannot be called", "hasprefix"]),
    ("main.Lookups", "m.Int[k.ID] == name", ["the map's keys are of type int"]),
    ("main.Anything", "x.(Shape) != nil", ["only a concrete type can be asked for"]),
    ("main.Answer", "user == text", ["known at the entry", "tested at the return"]),
    ("main.Given", "pid == 1", ["-p and -x"]),
    ("main.Anything", "x < 42", ["can be compared with == and != only"]),
]

# Mistakes, by the same rule as Go's compiler: a sentence, a caret.
WRONG = [
    ("main.Integers", "i == 40.5", "40.5 is no int", "40.5"),
    ("main.Integers", "i8 == 300", "300 does not fit into an int8", "300"),
    ("main.Integers", "i == u64", "mismatched types int and uint64", "=="),
    ("main.Integers", 'i == "x"', "i is an int", "=="),
    ("main.Integers", "i.x == 1", "i is an int, which has no fields", "x"),
    ("main.Integers", "i[0] == 1", "i is an int, which cannot be indexed", "["),
    ("main.Integers", "b > true", "can be compared with == and != only", ">"),
    ("main.Integers", "i", "i is an int; a condition is expected here", "i"),
    ("main.Integers", "i / 0 == 1", "this divides by zero", "/"),
    ("main.Integers", "i == limits", "limits is not known here", "limits"),
    ("main.Integers", "s == sleeping", "sleeping is not known here", "sleeping"),
    ("main.Integers", "i $ 2", "this character has no meaning", "$"),
    ("main.Strings", "s[5:2:1] == t", "a slice's capacity has no meaning here", ":1"),
    ("main.Strings", "k[:2] == 1", "k is an int, of which no part can be taken", "["),
    ("main.Strings", 'caller == "main.nobody"', "no function of", "=="),
    ("main.Strings", 'b == "x"', "write string(b)", "=="),
    ("main.Deeply", "d.Words == e.Words", "cannot be compared", "=="),
    ("main.Deeply", "d.At == Point{1, 2}", "stand in brackets", "{"),
    ("main.Deeply", "(d.At == Point{1})", "has 2 fields; this literal has 1", "Point"),
    ("main.Given", "e <= io.EOF", "can be compared with == and != only", "<="),
]


class Conditions(Process):
    """The program; of its conditions those that it has been asked for."""

    def __init__(self, minor, mode="plain"):
        path = BIN / f"conditions-go{minor}-{mode}"
        if not os.access(path, os.X_OK):
            raise Skip(f"{path.name} was not built")
        super().__init__([path], stdin=subprocess.PIPE)
        self.lines = 0
        self.conditions = until("the program is ready", self._line)["conditions"]

    def _line(self):
        if not self.alive():
            raise AssertionError(f"the program ended: {self.describe()}")
        lines = self.out().split("\n")[:-1]
        if len(lines) <= self.lines:
            return None
        self.lines += 1
        return json.loads(lines[self.lines - 1])

    def go(self):
        self.popen.stdin.write(b"go\n")
        self.popen.stdin.flush()
        assert until("the calls are made", self._line)["done"]


def _numbered(number):
    """What a question prints: the call's number, by a name that tells questions apart."""
    return f"n+0*{number}"


def _ask(program, conditions):
    """The conditions that did not give the calls they hold for, each in a line."""
    questions = [f"{c['func']} if {c['text']} {{ print({_numbered(i)}) }}" for i, c in enumerate(conditions)]
    with Trace(program.pid, *questions, wait=False) as t:
        t.wait_planted(90)
        program.go()
        seen = {}
        for call in t.end():
            for name, number in call["values"].items():
                seen.setdefault(name, []).append(number)
        losses = {k: v for k, v in t.summary()["losses"].items() if v}
    return [f"{c['func']} if {c['text']}: calls {sorted(seen.get(_numbered(i), []))} instead of {c['calls']}"
            for i, c in enumerate(conditions) if sorted(seen.get(_numbered(i), [])) != c["calls"]], losses


def _all(minor, part=slice(None)):
    need_earshot()
    wrong = []
    with Conditions(minor) as program:
        conditions = program.conditions[part]
        for i in range(0, len(conditions), AT_ONCE):
            found, _ = _ask(program, conditions[i:i + AT_ONCE])
            wrong += found
        nothing_left(program)
    assert not wrong, f"{len(wrong)} of {len(conditions)}:\n" + "\n".join(wrong)
    return f"{len(conditions)} conditions"


# For a stripped binary: what DWARF says otherwise.
SIGNATURES = {
    "main.Integers": "(n, i int, i8 int8, u8 uint8, i32 int32, u64 uint64, b bool, s State) (r int)",
    "main.Wide": "(n int, w *Numbers, x *Numbers) (r int)",
    "main.Strings": "(n int, s, t string, b []byte, p *Texts, k int) (r int)",
    "main.Lookups": "(n int, m *Maps, id int, name string, small int8, p Point, k *Key, q *Point) (r int)",
    "main.Anything": "(n int, x, y interface{}, s Shape) (r int)",
    "main.Deeply": "(n int, d, e *Deep, c chan int, f func(), i int) (r int)",
    "main.Answer": "(n int, user string, give error, count int) (id int, text string, at Point, err error)",
    "main.Custom": "(n int, code int) (err error)",
    "main.Given": "(n int, e error) (r int)",
}
GLOBALS = re.compile(r"limit|threshold|mask|narrow|enabled|history|idle|busy|current|main\.ready|ratio|small(?!\])|greeting|origin|"
                     r"somewhere|pointed|io\.EOF|errBusy|EACCES|time\.Second")


def _stripped():
    """Without DWARF and symbols, with the signatures declared: all but the names of packages."""
    need_earshot()
    wrong = []
    with Conditions(MINORS[-1], "sw") as program:
        conditions = [{**c, "func": c["func"] + SIGNATURES[c["func"]]} for c in program.conditions
                      if not GLOBALS.search(c["text"])]
        for i in range(0, len(conditions), AT_ONCE):
            wrong += _ask(program, conditions[i:i + AT_ONCE])[0]
    assert not wrong, f"{len(wrong)} of {len(conditions)}:\n" + "\n".join(wrong)
    return f"{len(conditions)} conditions"


def _refused():
    """What is still refused says what is so and, where there is a way, which; and nothing is planted."""
    with Conditions(MINORS[-1]) as program:
        for function, condition, mentions in REFUSED:
            refused(["-p", program.pid, f"{function} if {condition} {{ print(n) }}"], (1, 2, 3), mentions)
        for function, condition, mentions, caret in WRONG:
            question = f"{function} if {condition} {{ print(n) }}"
            said = refused(["-p", program.pid, question], (1, 2, 3), [mentions])
            assert caret_under(said, caret), said
        nothing_left(program)
    return f"{len(REFUSED)} refused of {len(program.conditions) + len(REFUSED)}, {len(WRONG)} mistakes"


def _unreadable():
    """A division by zero, and an error that nobody knows the text of: false, and counted, once for each call."""
    with Conditions(MINORS[-1]) as program:
        found, losses = _ask(program, [{"func": "main.Integers", "text": "1000 % i == 0", "calls": [1, 2]}])
        assert not found and losses == {"filter_unreadable": 1}, (found, losses)
        found, losses = _ask(program, [{"func": "main.Custom", "text": 'err != "x"', "calls": []}])
        assert not found and losses == {"filter_unreadable": 2}, (found, losses)


def _texts_of_errors():
    """Aggregates, --every, --rate and --limit come behind the condition, wherever it is tested."""
    text = 'main.Answer if contains(err, "found") { count() by user; sum(count); print(n) }'
    with Conditions(MINORS[-1]) as program, Trace(program.pid, text) as t:
        program.go()
        program.go()
        assert [c["values"]["n"] for c in t.end()] == [1, 2, 1, 2], t.calls()
        groups = {str(g.get("key")): g for g in t.aggregates()}
        counts = {g["key"]["user"]: g["count"] for g in groups.values() if g["aggregate"].startswith("count")}
        assert counts == {"bob": 2, "carol": 2}, counts
        assert [g["sum"] for g in groups.values() if g["aggregate"].startswith("sum")] == [6], groups
        no_losses(t)
    only = 'main.Answer if contains(err, "found") { count() }'
    with Conditions(MINORS[-1]) as program, Trace(program.pid, only) as t:
        program.go()
        assert not t.end() and [g["count"] for g in t.aggregates()] == [2], t.aggregates()
    with Conditions(MINORS[-1]) as program, Trace(program.pid, 'main.Given if contains(e, "o") { print(n) }',
                                                  options=["--every", "2"]) as t:
        program.go()
        assert [c["values"]["n"] for c in t.end()] == [1, 3, 8], t.calls()
        assert t.summary()["losses"]["not_sampled"] == 2, t.summary()
    with Conditions(MINORS[-1]) as program, Trace(program.pid, 'main.Answer if err == "EOF" { print(n) }',
                                                  options=["--limit", "2"]) as t:
        program.go()
        program.go()
        program.go()
        t.ended()
        assert [c["values"]["n"] for c in t.calls()] == [5, 5], t.calls()


def _names_of_values():
    """A value that the program has a name for is shown with it; JSON has the number."""
    with Conditions(MINORS[-1]) as program, Trace(program.pid, "main.Integers if n == 2 { print(s) }", json=False) as t:
        program.go()
        t.end()
        assert "s=busy (2)" in t.out(), t.out()
    with Conditions(MINORS[-1]) as program, Trace(program.pid, "main.Integers { count() by s }", json=False) as t:
        program.go()
        t.end()
        assert "busy (2)" in t.out() and re.search(r"\b9\b", t.out()), t.out()
    with Conditions(MINORS[-1]) as program, Trace(program.pid, "main.Integers if n == 2 { print(s) }") as t:
        program.go()
        (call,) = t.end()
        assert call["values"]["s"] == 2, call


def _symbols():
    """Without DWARF but with a symbol table: variables of the size of a number, as one."""
    with Conditions(MINORS[-1], "w") as program:
        function = "main.Integers(n, i int, i8 int8, u8 uint8, i32 int32, u64 uint64, b bool, s int8) (r int)"
        found, losses = _ask(program, [{"func": function, "text": "uint64(i) == threshold", "calls": [1]}])
        assert not found and not losses, (found, losses)
        refused(["-p", program.pid, f"{function} if i == history {{ print(n) }}"], (1, 2, 3),
                ["main.history is a variable of 24 bytes", "no DWARF"])
        refused(["-p", program.pid, f"{function} if i == limit {{ print(n) }}"], (1, 2, 3), ["limit is not known here"])


def tests():
    yield from and_patched(_tests(), {"all", "go1.19", "stripped", "unreadable", "texts-of-errors"})


def _tests():
    yield Test("all", lambda: _all(MINORS[-1]), 300)
    yield Test("go1.19", lambda: _all("1.19"), 300)
    yield Test("stripped", _stripped, 300)
    yield Test("refused", _refused, 120)
    yield Test("unreadable", _unreadable)
    yield Test("texts-of-errors", _texts_of_errors)
    yield Test("names-of-values", _names_of_values)
    yield Test("symbols", _symbols)
