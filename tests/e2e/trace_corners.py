"""Values at the edges of what can be shown (go/corners): without bytes, nil and empty, too deep, where no memory is, in
C's way, of other time zones. As text and as JSON, with both planters."""

import json
import re
import subprocess

from earshot import Earshot, and_patched, need_earshot
from proc import BIN, Process, Skip, json_lines, until
from target import MINORS
from testing import Test

AT = r"0x[0-9a-f]+"
ADDRESS = "an address"
NOWHERE = {"unreadable": "unreadable memory", "at": "0x10000"}
LONG = "y" * 256

# Function: what the text must match, and the arguments of JSON, call by call in the order of the program.
SHOWN = {
    "zero": [(r"zero\(a=1, e=\{\}, z=\[\], s=\{\}\) → ret0=\{\}, ret1=1", {"a": 1, "e": {}, "z": [], "s": {}})],
    "nils": [
        (r"nils\(s=<nil>, m=<nil>, b=<nil>\)", {"s": None, "m": None, "b": None}),
        (r'nils\(s=\[\], m=map\[\], b=""\)', {"s": [], "m": {}, "b": ""}),
        (r'nils\(s=\[1\], m=map\["a":1\], b="b"\)', {"s": [1], "m": {"a": 1}, "b": "b"}),
    ],
    "far": [
        (rf"far\(d=&\{{A:int\(at {AT}\) P:{AT} E:\{{\}} Z:\[\] S:<nil> B:<nil> Q:{AT}\}}, "
         rf"a=&main\.deep\{{A:int\(at {AT}\) P:{AT} E:\{{\}} Z:\[\] S:<nil> B:<nil> Q:{AT}\}}, p=&5\)",
         {"d": {"A": {"type": "int", "at": ADDRESS}, "P": {"at": ADDRESS}, "E": {}, "Z": [], "S": None, "B": None,
                "Q": ADDRESS},
          "a": {"type": "*main.deep", "value": {"A": {"type": "int", "at": ADDRESS}, "P": {"at": ADDRESS}, "E": {},
                                                "Z": [], "S": None, "B": None, "Q": ADDRESS}}, "p": 5}),
        (r"far\(d=<nil>, a=300, p=<nil>\)", {"d": None, "a": {"type": "int", "value": 300}, "p": None}),
        (r"far\(d=<nil>, a=main\.empty\{\}, p=<nil>\)", {"d": None, "a": {"type": "main.empty", "value": {}}, "p": None}),
        (r"far\(d=<nil>, a=\*int\(<nil>\), p=<nil>\)", {"d": None, "a": {"type": "*int", "value": None}, "p": None}),
    ],
    "nowhere": [(rf'nowhere\(p=0x10000 <unreadable: unreadable memory>, h=&\{{T:"in a struct" P:0x20000\}}\)',
                 {"p": NOWHERE, "h": {"T": "in a struct", "P": {"at": ADDRESS}}})],
    "ctext": [
        (r'ctext\(s="hällo \\"C\\""\)', {"s": 'hällo "C"'}),
        (r'ctext\(s=""\)', {"s": ""}),
        (r"ctext\(s=<nil>\)", {"s": None}),
        (r"ctext\(s=0x10000 <unreadable: unreadable memory>\)", {"s": NOWHERE}),
        (rf'ctext\(s="{LONG}"…\)', {"s": {"value": LONG, "truncated": True}}),
    ],
    "hidden": [(r"hidden\(m=map\[\]\)", {"m": {}}), (r"hidden\(m=<nil>\)", {"m": None})],
}
SHALLOW = {
    "far": [(rf"far\(d={AT}, a=\*main\.deep\({AT}\), p={AT}\)",
             {"d": {"at": ADDRESS}, "a": {"type": "*main.deep", "value": {"at": ADDRESS}}, "p": {"at": ADDRESS}}),
            (rf"far\(d=<nil>, a=int\(at {AT}\), p=<nil>\)", {"d": None, "a": {"type": "int", "at": ADDRESS}, "p": None}),
            *SHOWN["far"][2:]],
    "ctext": SHOWN["ctext"],
}


def _addresses(value):
    """The value with each address that nobody can foresee replaced."""
    if isinstance(value, dict):
        return {k: _addresses(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_addresses(v) for v in value]
    return ADDRESS if isinstance(value, str) and re.fullmatch(AT, value) and value != "0x10000" else value


def _corners(minor, mode):
    need_earshot()
    path = BIN / f"corners-go{minor}-{mode}"
    if not path.exists():
        raise Skip(f"{path.name} was not built")
    program = Process([path], stdin=subprocess.PIPE)
    want = until("the program calls", lambda: next(json_lines(program.out()), None), 30)
    return program, want


def _observe(program, names, *options):
    functions = [f"main.{n}" for n in names]
    with Earshot("trace", "-p", program.pid, "--for", "700ms", *options, *functions) as earshot:
        earshot.wait(30)
        return earshot


def _compare(program, expected, *options):
    earshot, objects = _observe(program, expected, *options), _observe(program, expected, *options, "--json").objects()
    lines = {name: {l.split("main.", 1)[1] for l in earshot.out().splitlines() if f"main.{name}(" in l} for name in expected}
    args = {name: [_addresses(o["args"]) for o in objects if o.get("func") == f"main.{name}"] for name in expected}
    wrong = []
    for name, calls in expected.items():
        if f"main.{name} cannot be patched" in earshot.err():
            continue
        for text, want in calls:
            if not any(re.search("^" + text, line) for line in lines[name]):
                wrong.append(f"no line fits {text}; there is {sorted(lines[name])[:6]}")
            if want not in args[name]:
                wrong.append(f"{name}: no call has {want}; there is {args[name][:6]}")
    assert not wrong, "\n  ".join(wrong[:8])


def _values(minor, mode):
    program, _ = _corners(minor, mode)
    with program:
        _compare(program, SHOWN)
        _compare(program, SHALLOW, "--depth", "0")


def _times(minor):
    """By the clock of their own location, as the program itself formats them."""
    program, want = _corners(minor, "plain")
    with program:
        lines = _observe(program, ["when"]).out()
        objects = _observe(program, ["when"], "--json").objects()
    wrong = []
    got = {o["args"]["name"]: o["args"]["t"] for o in objects if "args" in o}
    for name, text in want.items():
        if got.get(name) != text:
            wrong.append(f"{name}: {got.get(name)} instead of {text}")
        if f'when(name="{name}", t={text})' not in lines:
            wrong.append(f"{name}: no line has {text}")
    assert not wrong and len(want) == 10, "\n  ".join(wrong)
    return json.dumps(got["berlin"])


def tests():
    everywhere = []
    for minor in MINORS:
        everywhere += [Test(f"values-go{minor}", lambda m=minor: _values(m, "plain")),
                       Test(f"times-go{minor}", lambda m=minor: _times(m))]
    everywhere.append(Test(f"values-go{MINORS[-1]}-cgo", lambda: _values(MINORS[-1], "cgo")))
    yield from and_patched(everywhere, [t.name for t in everywhere])
