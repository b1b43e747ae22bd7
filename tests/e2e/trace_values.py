"""Every kind of value, in every Go version, with DWARF and stripped with declared
signatures: each call is seen once, each value is what the program says."""

from calls import MODES, SIGNATURES, Calls, binary, compare, newest, no_losses, trace
from earshot import Earshot, and_patched, planter
from govalue import ALL, DEFAULT, fits
from proc import scratch, until
from target import MINORS
from testing import Test

# What is asked about, and the scenarios that call it.
GROUPS = {
    "scalars": (["main.Signed", "main.Unsigned", "main.Bools", "main.Floats", "main.FloatsBehind", "main.Complexes",
                 "main.FloatsThrough"], ["integers", "floats"]),
    "leaves": (["main.LeafSum", "main.LeafHalf", "main.Nothing"], ["leaves"]),
    "texts": (["main.Strings", "main.Bytes"], ["texts"]),
    "lists": (["main.Slices", "main.Arrays"], ["lists"]),
    "structs": (["main.Structs", "main.Point.Moved", "main.(*Person).Rename"], ["structs"]),
    "pointers": (["main.Pointers", "main.Cycles"], ["pointers"]),
    "maps": (["main.Maps", "main.MapsOfMore"], ["maps"]),
    "interfaces": (["main.Interfaces", "main.Errors"], ["interfaces", "errors"]),
    "others": (["main.Channels", "main.Funcs", "main.Times", "main.Named", "main.Variadic"], ["others"]),
    "many": (["main.Many", "main.Unnamed"], ["many"]),
}


def _all_kinds(minor, mode):
    """One run for all groups: a start and an analysis each would be most of the time."""
    # Before Go 1.22 DWARF says nothing of parameters without names.
    silent = ["main.Unnamed"] if mode == "plain" and minor in ("1.19", "1.21") else []
    questions = [f for functions, _ in GROUPS.values() for f in functions if f not in silent]
    scenarios = [s for _, scenarios in GROUPS.values() for s in scenarios]
    said, seen, t = trace(binary(minor, mode), questions, scenarios)
    said = [c for c in said if c["func"] not in silent]
    compare(said, seen)
    no_losses(t)
    assert t.summary()["calls"] == len(said), t.summary()
    short = t.refused()
    assert not short or (planter() == "patch" and set(short) <= set(GROUPS["leaves"][0])), t.err()
    return f"{len(said)} calls of {len(questions) - len(short)} functions{''.join(f', not {f}' for f in short)}"


def _group(mode, name):
    functions, scenarios = GROUPS[name]
    said, seen, t = trace(newest(mode), functions, scenarios)
    compare(said, seen)
    no_losses(t)
    return f"{len(said)} calls"


def _limits(mode):
    """Without options values are cut at the defaults, and say so."""
    said, seen, _ = trace(newest(mode), ["main.Strings", "main.Slices", "main.Maps", "main.Pointers"],
                          ["texts", "lists", "maps", "pointers"], limits=DEFAULT)
    others = ("main.Bytes", "main.Arrays", "main.Cycles", "main.MapsOfMore")
    compare([c for c in said if c["func"] not in others], seen, DEFAULT)
    cut = [v for c in seen for v in c["args"].values() if isinstance(v, dict) and v.get("truncated")]
    assert len(cut) > 10, f"only {len(cut)} values were cut"
    return f"{len(cut)} values cut"


def _instance(node, got):
    """A value of a type parameter: with its real type where the dictionary tells it. All pointers share one
    instance, in which a result's is an address."""
    if isinstance(got, dict) and set(got) == {"type", "value"}:
        return got["value"]
    return None if node[0] == "ptr" and isinstance(got, str) and got.startswith("0x") else got


def _generics(minor):
    """One question, all instantiations."""
    said, seen, t = trace(binary(minor), ["main.Generic[...]", "main.GenericPair[...]"], ["generics"])
    assert len(seen) == len(said), f"{len(seen)} calls instead of {len(said)}"
    wrong, types = [], set()
    for want, have in zip(said, seen):
        assert have["func"].split("[")[0] == want["func"].split("[")[0], (want, have)
        assert set(want["args"]) <= set(have["args"]) and set(want["returns"]) == set(have["returns"]), have
        for part in ("args", "returns"):
            for name, node in want[part].items():
                got = have[part][name]
                types.update([got["type"]] if isinstance(got, dict) and "type" in got else [])
                got = _instance(node, got)
                if got is not None or node[0] != "ptr":
                    wrong += fits(node, got, f"{want['func']}: {part}.{name}", ALL)
    assert not wrong, "\n".join(wrong)
    no_losses(t)
    return f"{len(said)} calls; of shared instances: {', '.join(sorted(types)) or 'no types'}"


def _closures(minor):
    said, seen, t = trace(binary(minor), ["main.makeCounter.func1"], ["closures"])
    assert len(seen) == len(said) == 5, f"{len(seen)} calls instead of {len(said)}"
    for want, have in zip(said, seen):
        assert have["args"]["by"] == want["args"]["by"][1], have
        assert list(have["returns"].values()) == [want["returns"]["ret0"][1]], have
    no_losses(t)
    captured = {k: v for k, v in seen[-1]["args"].items() if k != "by"}
    assert captured in ({}, {"start": 16, "name": "abc"}), captured
    return f"captured variables: {captured or 'not shown'}"


def _bounded(procs):
    """However many threads: what the program made is what was seen."""
    said, seen, t = trace(newest(), ["main.Signed", "main.Strings", "main.Switches"],
                          ["integers", "texts", ("switches", 200)], procs=procs)
    switches = [c for c in seen if c["func"] == "main.Switches"]
    compare([c for c in said if c["func"] in ("main.Signed", "main.Strings")],
            [c for c in seen if c["func"] != "main.Switches"])
    assert sorted(c["args"]["id"] for c in switches) == list(range(200)), f"{len(switches)} calls instead of 200"
    assert sum(c["returns"]["twice"] for c in switches) == 199 * 200
    no_losses(t)


PACK = """
pack: example-floats
about: floating-point parameters
packages: [main]
spans:
- name: through
  kind: internal
  titles: ["through"]
  points:
  - name: begin
    role: start
    variants:
    - func: main.FloatsThrough(n int, a float32, b float64, c complex64)
      capture:
        example.n: n
        example.a: {expr: a, optional: true}
        example.b: {expr: b, optional: true}
  - name: done
    role: end
    variants:
    - func: main.FloatsThrough
      at: return
      capture: {}
"""


ERRORS = """
pack: example-errors
about: the error of a call
packages: [main]
spans:
- name: call
  kind: internal
  titles: ["call"]
  error: error.type
  points:
  - name: begin
    role: start
    variants: [{func: "main.Errors(n int, given error) (err error)"}]
  - name: done
    role: end
    variants:
    - func: main.Errors(n int, given error) (err error)
      at: return
      capture:
        error.type: {expr: typeof(err), optional: true}
"""


def _pack_error():
    """A pack's `error` over an attribute: the spans of calls that returned one, and no others."""
    pack = scratch() / "errors.yaml"
    pack.write_text(ERRORS, encoding="ascii")
    with Calls(newest()) as program:
        with Earshot("attach", "-p", str(program.pid), "-o", "json", "--packs", str(pack)) as e:
            until("the probes are in place", lambda: e.check_alive() and "observing " in e.err())
            said, _ = program.ask("errors")
            said = [c["returns"]["err"] for c in said if c["func"] == "main.Errors"]
            until("all spans", lambda: len(e.spans("internal")) >= len(said))
            assert e.stop() == 0, e.describe()
            got = [(s["status"], s["attributes"].get("error.type")) for s in e.spans("internal")]
    got = [(s, t and t.replace("io/fs.", "fs.")) for s, t in got]  # reflect writes no paths
    want = [("unset", None) if c == ["nil"] else ("error", c[2]) for c in said]
    assert got == want and {s for s, _ in want} == {"unset", "error"}, f"{got} instead of {want}"
    return f"{len(got)} spans"


def _pack():
    """A pack's captures in floating-point registers are attributes, where the planter can read those."""
    pack = scratch() / "floats.yaml"
    pack.write_text(PACK, encoding="ascii")
    with Calls(newest()) as program:
        with Earshot("attach", "-p", str(program.pid), "-o", "json", "--packs", str(pack)) as e:
            until("the probes are in place", lambda: e.check_alive() and "observing " in e.err())
            said, _ = program.ask("floats")
            said = [c for c in said if c["func"] == "main.FloatsThrough"]
            until("all spans", lambda: len(e.spans("internal")) >= len(said))
            assert e.stop() == 0, e.describe()
            spans = [s["attributes"] for s in e.spans("internal")]
    assert [s["example.n"] for s in spans] == [c["args"]["n"][1] for c in said], spans
    for name in "ab":
        if planter() != "patch":
            assert not any(f"example.{name}" in s for s in spans), spans
            continue
        wrong = [w for c, s in zip(said, spans) for w in fits(c["args"][name], s.get(f"example.{name}"))]
        assert not wrong, "\n".join(wrong)
    return f"{len(spans)} spans"


def tests():
    """All with patches as well, but for the leaves: those are too short."""
    of_both = list(_tests())
    yield from and_patched(of_both, {t.name for t in of_both if not t.name.startswith("leaves-")})


def _tests():
    yield Test("pack", _pack)
    yield Test("pack-error", _pack_error)
    assert all(f in SIGNATURES for functions, _ in GROUPS.values() for f in functions)
    for mode in MODES:
        for name in GROUPS:
            yield Test(f"{name}-{mode}", lambda m=mode, n=name: _group(m, n))
    for minor in MINORS:
        for mode in MODES:
            yield Test(f"all-go{minor}-{mode}", lambda m=minor, k=mode: _all_kinds(m, k))
    for mode in MODES:
        yield Test(f"limits-{mode}", lambda m=mode: _limits(m))
    for minor in MINORS:
        yield Test(f"generics-go{minor}", lambda m=minor: _generics(m))
        yield Test(f"closures-go{minor}", lambda m=minor: _closures(m))
    for procs in (1, 2, 4, 8):
        yield Test(f"gomaxprocs-{procs}", lambda p=procs: _bounded(p))
