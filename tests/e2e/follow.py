"""--graph --follow N: what a function calls is found in its code, N levels down."""

import re
import time

from calls import Calls, newest, nothing_left
from earshot import and_patched, need_earshot, planter
from proc import BIN, EARSHOT, Process, Skip, clean_env, json_lines, run_once
from target import MINORS
from testing import Test


def _path(mode, minor=MINORS[-1]):
    path = BIN / f"inlined-go{minor}-{mode}"
    if not path.exists():
        raise Skip(f"{path.name} was not built")
    return path


def _run(path, *args):
    need_earshot()
    chosen = ["--planter", planter()] if planter() else []
    return run_once([EARSHOT, "trace", *chosen, "--graph", *args, "--", path], 60, env=clean_env())


def _list(path, levels, *functions):
    """({function: level}, what was left out)"""
    done = _run(path, "-l", "--json", "--follow", str(levels), *functions)
    assert done.code == 0, done.describe()
    found = {o["func"]: o.get("followed", 0) for o in json_lines(done.out()) if "func" in o and "inlined_into" not in o}
    return found, next(o["follow"] for o in json_lines(done.out()) if "follow" in o)


def _lines(done):
    """(indentation, function) of each call shown."""
    return [(len(m[1]), m[2]) for m in re.finditer(r"^ *[\d.]+ (?:ns|µs|ms|s)( +)(main\.[^(]*)", done.out(), re.M)]


def _levels(mode):
    """Level by level; without inlining the code names every call of the source."""
    path = _path(mode)
    found, left_out = _list(path, 1, "main.nested")
    assert found == {"main.nested": 0, "main.outer": 1}, found
    found, left_out = _list(path, 2, "main.nested")
    assert found == {"main.nested": 0, "main.outer": 1, "main.inner": 2} and left_out["indirect"] == 0, (found, left_out)
    found, left_out = _list(path, 2, "main.hot", "main.hotShapes")
    assert found == {"main.hot": 0, "main.hotShapes": 0, "main.heavy": 1, "main.work": 2}, found
    assert left_out["functions"] == 2 and left_out["indirect"] == 1 and left_out["runtime"] > 0, left_out
    found, left_out = _list(path, 1, "main.hot", "main.heavy")  # what is named is found once
    assert found == {"main.hot": 0, "main.heavy": 0, "main.work": 1}, found


def _inlined():
    """Where calls are inlined, their calls are the function's own."""
    for mode in ("plain", "sw", "pie"):
        found, _ = _list(_path(mode), 1, "main.early1")
        assert found == {"main.early1": 0, "main.work": 1}, (mode, found)


def _tree(mode):
    """What is called within the named function is shown within it, and nothing that others call."""
    done = _run(_path(mode), "--follow", "2", "main.nested")
    assert done.code == 0, done.describe()
    assert _lines(done) == [(2, "main.nested")] + [(4, "main.outer"), (6, "main.inner")] * 12, done.out()
    assert "following the calls finds 2 more functions; one call of each costs the program about " in done.err(), done.err()
    assert "none lost" in done.err(), done.err()


def _running():
    """In a process that runs, with a condition: only what the call that passes it makes."""
    with Calls(newest()) as program:
        chosen = ["--planter", planter()] if planter() else []
        t = Process([EARSHOT, "trace", *chosen, "--graph", "--follow", "1", "-p", str(program.pid),
                     program.question("main.Between", "if n == 4"), "--limit", "1"], env=clean_env())
        for _ in range(100):
            program.ask("catches", 12)
            if not t.alive():
                break
            time.sleep(0.05)
        t.kill()
        nothing_left(program)
    assert _lines(t) == [(2, "main.Between"), (4, "main.Throws")], t.describe()


def _price():
    """What would cost much is not planted unasked; what it is made of can be listed."""
    path = _path("sw")
    done = _run(path, "--follow", "20", "main.main")
    assert re.search(r"following the calls finds \d+ functions, and one call of each would cost the program [\d.]+ ms: follow "
                     r"fewer levels \(-l lists them\), or say --yes", done.err()), done.err()
    assert "0 probes planted" in done.err(), done.err()
    done = _run(path, "--follow", "20", "-l", "main.main")
    assert re.search(r"# 2 sites, 2 levels down\n", done.out()), done.out()
    assert re.search(r"\n# following the calls finds \d+ more functions; .*; not followed: \d+ calls through interfaces and closures, "
                     r"\d+ functions of the runtime, \d+ in assembly or C\n$", done.out()), done.out()[-300:]
    done = _run(path, "--follow", "20", "--yes", "main.main")
    assert done.code == 0 and re.search(r" [1-9]\d\d+ probes planted", done.err()), done.err()


def _refused():
    path = _path("sw")
    done = run_once([EARSHOT, "trace", "--follow", "2", "main.nested", "--", path], 30, env=clean_env())
    assert done.code == 2 and "--follow goes with --graph" in done.err(), done.describe()
    done = _run(path, "--follow", "65", "main.nested")
    assert done.code == 2 and "--follow expects a number from 0 to 64" in done.err(), done.describe()


def tests():
    yield from and_patched(_tests(), {"running"})


def _tests():
    yield Test("levels", lambda: _levels("l"), 60)
    yield Test("inlined", _inlined, 60)
    yield Test("tree", lambda: _tree("l"), 60)
    yield Test("running", _running, 60)
    yield Test("price", _price, 90)
    yield Test("refused", _refused, 30)
