"""Whether a value of `trace --json` is the one the Go program had.

The program (tests/go/calls/expect.go) writes a value as ["kind", …]; fits()
says in sentences what of Earshot's value differs from it, nothing where all is
right. Cuts are accepted only beyond the limits Earshot was started with."""

import datetime
import math
import re
import struct
from dataclasses import dataclass

from earshot import planter


@dataclass(frozen=True)
class Limits:
    depth: int = 1
    string: int = 256
    items: int = 16
    room: int = 5000      # bytes of a value above which a record may have no room left

    def options(self):
        return ["--depth", str(self.depth), "--max-string", str(self.string), "--max-items", str(self.items)]


# The defaults, and what shows everything that a record has room for.
DEFAULT = Limits()
ALL = Limits(depth=8, string=4096, items=2000)

REGISTER = re.compile(r"XMM|register", re.I)


@dataclass(frozen=True)
class Place:
    """Where in a value we are."""
    path: str
    limits: Limits
    depth: int = 0        # pointers and interfaces on the way here
    registers: bool = True  # may lie in registers: nothing was followed
    tight: bool = False   # the record may have had no room

    def into(self, step, followed=0, memory=False):
        return Place(self.path + step, self.limits, self.depth + followed,
                     self.registers and not memory and not followed, self.tight)

    def wrong(self, got, want):
        text = repr(got)
        return [f"{self.path}: {text[:160]}{'…' if len(text) > 160 else ''} instead of {str(want)[:160]}"]


def fits(node, got, path="value", limits=ALL):
    """All that is wrong with a value, as a list of sentences."""
    place = Place(path, limits, tight=size_of(node) > limits.room)
    return _fits(node, got, place)


def size_of(node):
    """About how many bytes of memory a value is, all that it leads to included."""
    kind = node[0]
    if kind == "string":
        return 16 + node[2]
    if kind == "list":
        return 24 + sum(map(size_of, node[1]))
    if kind == "bytes":
        return 24 + len(node[1])
    if kind == "struct":
        return sum(map(size_of, node[2].values()))
    if kind == "map":
        # Groups and buckets are at most half empty, and have room for as many again.
        return 48 + 3 * sum(size_of(k) + size_of(v) for k, v in node[1])
    if kind in ("ptr", "iface", "error"):
        return 24 + size_of(node[-1])
    return 16


def _fits(node, got, place):
    if isinstance(got, dict) and "unreadable" in got and set(got) <= {"unreadable", "at", "len"}:
        return _unreadable(node, got["unreadable"], place)
    return KINDS[node[0]](node, got, place)


def _unreadable(node, reason, place):
    # A uprobe does not see the XMM registers.
    if node[0] in ("float", "complex") and place.registers and REGISTER.search(str(reason)) and planter() != "patch":
        return []
    if place.tight and re.search(r"room|large|full|record", str(reason), re.I):
        return []
    return place.wrong({"unreadable": reason}, node)


def _is_cut(got):
    return isinstance(got, dict) and got.get("truncated") is True and "value" in got


def _plain(node, got, place):
    if type(got) is type(node[1]) and got == node[1]:
        return []
    return place.wrong(got, node)


def _nil(node, got, place):
    return [] if got is None else place.wrong(got, "nil")


def _from_bits(bits, text):
    return struct.unpack(">f" if bits == 32 else ">d", bytes.fromhex(text))[0]


def _same_float(want, got, bits):
    if isinstance(got, str):
        names = {"NaN": math.nan, "Infinity": math.inf, "+Inf": math.inf, "-Infinity": -math.inf, "-Inf": -math.inf}
        if got not in names:
            return False
        got = names[got]
    if isinstance(got, bool) or not isinstance(got, (int, float)):
        return False
    if math.isnan(want) or math.isnan(got):
        return math.isnan(want) and math.isnan(got)
    if bits == 32 and math.isfinite(got):
        got = struct.unpack("f", struct.pack("f", got))[0]
    return want == got


def _float(node, got, place):
    return [] if _same_float(_from_bits(node[1], node[2]), got, node[1]) else \
        place.wrong(got, _from_bits(node[1], node[2]))


_COMPLEX = re.compile(r"\(?([+-]?(?:NaN|Inf(?:inity)?|[\d.]+(?:e[+-]?\d+)?))([+-](?:NaN|Inf(?:inity)?|[\d.]+(?:e[+-]?\d+)?))i\)?$")


def _complex(node, got, place):
    found = _COMPLEX.match(str(got))
    want = [_from_bits(node[1], part) for part in node[2:4]]
    if found and all(_same_float(w, float(g), node[1]) for w, g in zip(want, found.groups())):
        return []
    return place.wrong(got, f"complex {want}")


def _string(node, got, place):
    _, text, length = node
    if _is_cut(got):
        if got.get("len") != length or not (length > place.limits.string or place.tight):
            return place.wrong(got, f"a string of {length} bytes")
        # The last character may have been cut in two.
        return [] if text.startswith(got["value"].rstrip("\ufffd")) else place.wrong(got, text)
    if got == text and (length <= place.limits.string or place.tight):
        return []
    return place.wrong(got, text)


def _bytes(node, got, place):
    want = bytes(node[1])
    value, length = (got["value"], got.get("len")) if _is_cut(got) else (got, len(want))
    if length != len(want):
        return place.wrong(got, want)
    have = _read_bytes(value)
    if have is None:
        return place.wrong(got, want)
    if _is_cut(got):
        fine = want.startswith(have) and (len(want) > place.limits.string or place.tight)
    else:
        fine = have == want
    return [] if fine else place.wrong(got, want)


def _read_bytes(value):
    """Text where they are text, else {"hex": …}."""
    if isinstance(value, dict) and set(value) == {"hex"}:
        return bytes.fromhex(value["hex"])
    return value.encode() if isinstance(value, str) else None


def _items(got, total, place):
    """(the items that are there, problems): a cut one must have been too long."""
    if _is_cut(got):
        if got.get("len") != total or not (total > place.limits.items or place.tight):
            return None, place.wrong(got, f"{total} items")
        return got["value"], []
    return got, []


def _list(node, got, place):
    items, wrong = _items(got, len(node[1]), place)
    if wrong or not isinstance(items, list) or (not _is_cut(got) and len(items) != len(node[1])):
        return wrong or place.wrong(got, node)
    return [w for i, (n, g) in enumerate(zip(node[1], items)) for w in _fits(n, g, place.into(f"[{i}]"))]


def _struct(node, got, place):
    if not isinstance(got, dict) or set(got) != set(node[2]):
        return place.wrong(got, f"{node[1]} with {sorted(node[2])}")
    return [w for name, n in node[2].items() for w in _fits(n, got[name], place.into("." + name))]


def _map(node, got, place):
    items, wrong = _items(got, len(node[1]), place)
    if wrong or not isinstance(items, dict):
        return wrong or place.wrong(got, "a map")
    # A key whose text had no room says so, and so may others.
    items = {k: v for k, v in items.items() if not (place.tight and k.startswith("<unreadable: "))}
    if not _is_cut(got) and len(items) != len(node[1]) and not place.tight:
        return place.wrong(got, f"{len(node[1])} entries")
    known = {_key(k): (k, v) for k, v in node[1]}
    problems = []
    for key, value in items.items():
        found = known.pop(key, None)
        if found is None:
            problems += place.wrong(key, f"one of the keys {list(known)[:5]}")
        else:
            problems += _fits(found[1], value, place.into(f"[{key}]", memory=True))
    return problems


def _key(node):
    """A key's text as a JSON object would have it."""
    kind = node[0]
    if kind in ("string", "int", "uint"):
        return str(node[1])
    if kind == "struct":
        return "{" + " ".join(f"{name}:{_key(n)}" for name, n in node[2].items()) + "}"
    return _key(node[2]) if kind == "iface" else repr(node)


def _address(got):
    """What was not followed: where it lies."""
    return isinstance(got, dict) and set(got) == {"at"} and re.fullmatch(r"0x[0-9a-f]+", got["at"])


def _pointer(node, got, place):
    if _address(got):  # not followed any further; what was followed does not show
        levels, inner = 1, node[1]
        while inner[0] == "ptr":
            levels, inner = levels + 1, inner[1]
        return [] if place.depth + levels > place.limits.depth or place.tight else place.wrong(got, node)
    return _fits(node[1], got, place.into("", 1))


def _iface(node, got, place):
    _, type_name, inner = node
    if not isinstance(got, dict) or set(got) not in ({"type", "value"}, {"type", "at"}) or \
            not _same_type(type_name, got["type"]):
        return place.wrong(got, f"a {type_name}")
    if "at" in got or _address(got["value"]):
        return [] if place.depth >= place.limits.depth or place.tight else place.wrong(got, node)
    return _fits(inner, got["value"], place.into("", 1))


def _same_type(want, got):
    """reflect says main.Point, the binary may say the whole path."""
    return want == got or re.sub(r"[\w.\-/]+/", "", got) == re.sub(r"[\w.\-/]+/", "", want)


def _error(node, got, place):
    _, text, type_name, inner = node
    if got == text:
        return []
    if _is_cut(got) and isinstance(got["value"], str):
        return _string(["string", text, len(text.encode())], got, place)
    # What only its own code could tell is shown by its fields.
    return _iface(["iface", type_name, inner], got, place)


def _chan(node, got, place):
    if isinstance(got, dict) and (got.get("len"), got.get("cap")) == tuple(node[1:]):
        return []
    return place.wrong(got, f"a channel with {node[1]} of {node[2]}")


def _func(node, got, place):
    name = got.get("func", "") if isinstance(got, dict) else str(got)
    return [] if name.split(" ")[0] == node[1] else place.wrong(got, node[1])


_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?\s*(Z|UTC|[+-]\d\d:?\d\d)?")


def _instant(text):
    found = _TIME.match(text)
    if not found:
        return None
    day, clock, fraction, zone = found.groups()
    at = datetime.datetime.fromisoformat(f"{day}T{clock}")
    if zone and zone[0] in "+-":
        sign = 1 if zone[0] == "+" else -1
        at -= sign * datetime.timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return at, int((fraction or ".0")[1:].ljust(9, "0"))


def _time(node, got, place):
    return [] if isinstance(got, str) and _instant(got) == _instant(node[1]) else place.wrong(got, node[1])


def _cycle(node, got, place):
    return [] if isinstance(got, dict) and set(got) == {"cycle"} else place.wrong(got, "a cycle")


KINDS = {
    "nil": _nil, "bool": _plain, "int": _plain, "uint": _plain, "duration": _plain, "float": _float,
    "complex": _complex, "string": _string, "bytes": _bytes, "list": _list, "struct": _struct, "map": _map,
    "ptr": _pointer, "iface": _iface, "error": _error, "chan": _chan, "func": _func, "time": _time, "cycle": _cycle,
    "deep": lambda *_: [],
}


# ---- plain values, for conditions written in Python ----

def simple(node):
    """The value as Python has it: structs are dicts, pointers what they lead to."""
    kind = node[0]
    if kind in ("bool", "int", "uint", "string", "duration", "time"):
        return node[1]
    if kind == "float":
        return _from_bits(node[1], node[2])
    if kind == "list":
        return [simple(n) for n in node[1]]
    if kind == "struct":
        return {name: simple(n) for name, n in node[2].items()}
    if kind == "map":
        return {_key(k): simple(v) for k, v in node[1]}
    if kind == "ptr":
        return simple(node[1])
    if kind == "error":
        return node[1]
    return simple(node[2]) if kind == "iface" else None
