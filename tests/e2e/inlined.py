"""Calls that the compiler inlined: how many there are, who makes them, on which stack. The same program built without
inlining (inlined-go1.XX-l) makes the same calls, where each has an entry of its own: what is asked of it is the truth."""

import json
import re

from earshot import need_earshot
from proc import BIN, EARSHOT, Skip, clean_env, json_lines, run_once, scratch
from target import MINORS
from testing import Test

MODES = ("plain", "sw", "pie", "pgo")
# Of these nothing may be left in some place: they are folded into the code around them.
DISSOLVE = {"main.plus"}


def _path(minor, mode):
    path = BIN / f"inlined-go{minor}-{mode}"
    if not path.exists():
        raise Skip(f"{path.name} was not built")
    return path


def _trace(path, *args, options=("--json",)):
    need_earshot()
    done = run_once([EARSHOT, "trace", *options, *args, "--", path], 60, env=clean_env())
    assert done.code == 0, done.describe()
    return done


def _counts(path, question="main.* { count() by caller }", options=()):
    """{(function, caller): calls}, and the functions whose numbers say that they are approximate."""
    done = _trace(path, question, options=("--json", *options))
    counts, approximate = {}, set()
    for o in json_lines(done.out()):
        if "summary" in o:
            lost = {k: v for k, v in o["summary"]["losses"].items() if v}
            assert not lost, lost
        if "aggregate" not in o:
            continue
        key = (o["func"], *o["key"].values())
        assert key not in counts, f"two groups of {key}"
        counts[key] = o["count"]
        if o.get("approximate"):
            approximate.add(o["func"])
    return counts, approximate


def _listed(path):
    """What -l says of each inlined call: (function, where it is called) → why it is approximate, or None."""
    done = _trace(path, "main.*", options=("-l", "--json"))
    calls = {}
    for o in json_lines(done.out()):
        why = o.get("approximate") or o.get("refused")
        at = re.search(r"inlined into (\S+ ?at \S+:\d+)", why or "")
        if "inlined_into" in o:
            calls.setdefault(o["func"], []).append(at.group(1).replace(" at ", " ") if at else None)
    return calls


def _count(minor, mode):
    """Each number is the truth, place by place, or says that it need not be."""
    truth, none = _counts(_path(minor, "l"))
    got, approximate = _counts(_path(minor, mode))
    listed = _listed(_path(minor, mode))
    uncertain = {(f, place) for f, places in listed.items() for place in places if place}
    assert not none, f"approximate where nothing is inlined: {none}"
    assert {f for f, _ in uncertain} == approximate & set(listed), (uncertain, approximate)
    wrong = {k: (n, truth.get(k)) for k, n in got.items() if k not in uncertain and truth.get(k) != n
             and not k[1].startswith("runtime.")}
    assert not wrong, f"(counted, called): {wrong}"
    missing = {k for k in truth if k not in got and k[0] not in DISSOLVE and not k[1].startswith("runtime.")}
    assert not missing, f"called, but not seen: {missing}"
    proved = sum(len(places) - len([p for p in places if p]) for places in listed.values())
    assert proved >= 20 and len(uncertain) <= 6, f"{proved} proved, uncertain: {uncertain}"
    return f"{proved} inlined calls proved, {len(uncertain)} approximate: {sorted({f for f, _ in uncertain})}"


def _stacks(minor, mode, function):
    """The stacks of a function's calls, down to main.main, are those that are there without inlining."""
    def stacks(path):
        done = _trace(path, f"{function} {{ stack }}")
        found = {}
        for o in json_lines(done.out()):
            if "stack" not in o:
                continue
            frames = tuple(o["stack"][:next(i for i, f in enumerate(o["stack"]) if f.startswith("main.main ")) + 1])
            found[frames] = found.get(frames, 0) + 1
        return found
    want, got = stacks(_path(minor, "l")), stacks(_path(minor, mode))
    assert got == want, f"only with inlining: {[s for s in got.items() if s not in want.items()][:2]}, " \
        f"only without: {[s for s in want.items() if s not in got.items()][:2]}"
    assert len(want) > 1
    return f"{len(want)} stacks"


def _by_stack(minor, mode):
    """A stack as a key."""
    def groups(path):
        done = _trace(path, "main.inner { count() by stack }")
        return {tuple(f for f in o["key"]["stack"] if f.startswith("main.")): o["count"]
                for o in json_lines(done.out()) if "aggregate" in o}
    want, got = groups(_path(minor, "l")), groups(_path(minor, mode))
    assert got == want and len(want) > 1, f"{got} is not {want}"


def _folded(minor, mode):
    """Flame graphs show inlined functions as frames."""
    def folded(path):
        file = scratch() / "folded"
        _trace(path, "main.work", "main.inner", "--folded", file, options=())
        return {line.split("main.main;")[1] for line in file.read_text().splitlines()}
    want, got = folded(_path(minor, "l")), folded(_path(minor, mode))
    assert got == want, (got ^ want)
    assert any(line.startswith("main.once;main.nested;main.outer;main.inner ") for line in got), got


def _texts(minor, mode):
    """Tables put ≈ before such numbers, -l and the notes say why."""
    path = _path(minor, mode)
    done = _trace(path, "main.plus { count() }", "main.inner { count() }", options=())
    assert re.search(r"main\.plus\n.* count\n.* ≈\d+\n", done.out()) and \
        re.search(r"main\.inner\n.* count\n.* \d+\n", done.out()), done.out()
    assert re.search(r"inlined calls? of main\.plus may not be counted exactly: inlined into main\.conditional at \S+main\.go:\d+: ",
                     done.err()), done.err()
    assert "main.inner may not" not in done.err(), done.err()
    done = _trace(path, "main.plus", options=("-l",))
    assert re.search(r"inlined into main\.conditional .*\n +approximate: inlined into main\.conditional at ", done.out()), done.out()
    done = _trace(path, "main.plus", options=())
    assert " in main.conditional (approximate)" in done.out(), done.out()


def _inspect(minor, mode):
    """inspect says how many calls of a function are inlined, and of how many the number is not certain."""
    path = _path(minor, mode)
    done = run_once([EARSHOT, "inspect", path, "--functions", "main.*", "--json"], 30)
    listed = _listed(path)
    said = {o["name"]: o["inlined"] for o in json.loads(done.out())["matches"] if "inlined" in o}
    want = {f: len(places) for f, places in listed.items()}
    assert {f: s["calls"] for f, s in said.items()} == want, (said, want)
    assert {f: s["approximate"] + s["refused"] for f, s in said.items()} == \
        {f: len([p for p in places if p]) for f, places in listed.items()}, (said, listed)
    text = run_once([EARSHOT, "inspect", path, "--functions", "main.plus"], 30).out()
    assert re.search(r"main\.plus\S* .*no code of its own.*\n +inlined \d+ times?, \d+ not counted exactly\n", text) or \
        re.search(r"main\.plus.*\n(.*\n)? +inlined \d+ times?, \d+ not counted exactly\n", text), text


def _patch(minor, mode):
    """A patch cannot see inlined calls: it says so, and what it counts of the others is marked."""
    path = _path(minor, mode)
    got, approximate = _counts(path, "main.early { count() by func }", ("--planter", "patch"))
    assert got == {("main.early", "main.early"): 1} and approximate == {"main.early"}, (got, approximate)
    done = _trace(path, "main.early { count() }", options=("--planter", "patch"))
    assert "an inlined call" in done.err() and "≈1" in done.out(), done.describe()


def _refusals(minor):
    """What an inlined call does not have is refused in a sentence."""
    path = _path(minor, "sw")
    for question, words in (("main.inner if latency > 1ms", "neither results nor latency"),
                            ("main.inner(x int) (r int) if x == 3", "arguments of an inlined call"),
                            ("main.inner(x int) (r int) { sum(x) }", "arguments of an inlined call")):
        done = run_once([EARSHOT, "trace", question, "--", path], 30, env=clean_env())
        assert words in done.err() and "0 probes planted" in done.err(), done.describe()
    # The function's own calls are seen even so, and that the others are not is said.
    done = _trace(path, "main.early(x int) (r int) if x == 5", options=())
    assert re.search(r"\d+ inlined calls of main\.early are not seen: .*arguments of an inlined call", done.err()), done.err()
    assert len(re.findall(r"main\.early\(", done.out())) == 1, done.out()


def tests():
    for minor in MINORS:
        for mode in MODES:
            if mode != "pgo" or minor not in ("1.19", "1.21", "1.22"):  # these want a profile in another form
                yield Test(f"counts-go{minor}-{mode}", lambda m=minor, k=mode: _count(m, k), 120)
    newest = MINORS[-1]
    for minor, mode in (("1.19", "sw"), ("1.21", "plain"), (newest, "plain"), (newest, "sw"), (newest, "pie")):
        for function in ("main.inner", "main.work"):
            yield Test(f"stacks-of-{function[5:]}-go{minor}-{mode}",
                       lambda m=minor, k=mode, f=function: _stacks(m, k, f), 60)
    for name, run in (("by-stack", _by_stack), ("folded", _folded), ("texts", _texts), ("inspect", _inspect)):
        for mode in ("plain", "sw"):
            yield Test(f"{name}-{mode}", lambda r=run, k=mode: r(newest, k), 60)
    yield Test("patch-plain", lambda: _patch(newest, "plain"), 60)
    yield Test("patch-sw", lambda: _patch(newest, "sw"), 60)
    yield Test("refusals", lambda: _refusals(newest), 60)
