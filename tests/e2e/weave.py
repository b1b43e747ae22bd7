"""`earshot build`: programs that carry their points, woven into their source on its way to the compiler."""

import json
import os
import re
import subprocess

import databases
import grpc
import messages
import routers
from earshot import attach, need_earshot, planter
from matrix import exercise
from parents import fan_out
from proc import CACHE, EARSHOT, ROOT, Process, Skip, clean_env, run_once, scratch, until
from spans import check
from target import MINORS, Httpd
from testing import Test
from weave_builds import WITHOUT

SOURCES = ROOT / "tests" / "go"
PACK = SOURCES / "woven" / "woven.yaml"
DUMP = os.environ.get("EARSHOT_WOVEN_DUMP", str(ROOT / "build" / "tools" / "woven-dump"))
FIRST, LAST = MINORS[0], MINORS[-1]
SAYS = """add 43 3 ok empty
more 7 2 -1 6 25 3
panics died lived
largest 4 b
line 125
"""


def _go(minor):
    go = CACHE / f"toolchains/go{minor}/bin/go"
    if not os.access(go, os.X_OK):
        raise Skip(f"there is no Go {minor}")
    return str(go)


def _env(**more):
    return clean_env(**{"GOCACHE": CACHE / "gocache", "GOMODCACHE": CACHE / "gomod", "GOTOOLCHAIN": "local",
                        "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0", **more})


def _modfile(minor):
    """go.mod with that version's go line."""
    path = scratch() / f"go{minor}.mod"
    path.write_text(re.sub(r"^go 1\.\d+$", f"go {minor}", (SOURCES / "go.mod").read_text(), flags=re.M))
    (path.parent / f"go{minor}.sum").write_text((SOURCES / "go.sum").read_text())
    return f"-modfile={path}"


def _build(minor, *go, options=(), cwd=SOURCES, code=0, seconds=500, **env):
    """What the build says on standard error."""
    argv = [EARSHOT, "build", *options, "--", _go(minor), "build", *go]
    done = subprocess.run([str(a) for a in argv], cwd=cwd, capture_output=True, text=True, timeout=seconds, env=_env(**env), check=False)
    assert done.returncode == code, f"{argv}: exit {done.returncode}: {done.stderr[-3000:]}{done.stdout[-500:]}"
    return done.stderr


def _woven(minor, package, *options, flags=()):
    """A program of tests/go, and what its build says."""
    path = scratch() / package
    said = _build(minor, _modfile(minor), *flags, "-o", path, f"./{package}", options=options)
    return path, said


def _quiet(said):
    """The warnings of a build: its lines but for those that name a package."""
    return [line for line in said.splitlines() if line and not line.startswith("# ")]


class Dump:
    """All records of a process, in the order of time."""

    def __init__(self, pid):
        if not os.access(DUMP, os.X_OK):
            raise Skip(f"{DUMP} was not built")
        self.lines, self.in_write = scratch() / "records", None
        with open(self.lines, "wb") as out:
            self.child = subprocess.Popen([DUMP, str(pid)], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT)
        until("the dump is attached", lambda: b"attached" in self.lines.read_bytes() or self.child.poll() is not None)
        assert self.child.poll() is None, self.lines.read_text()

    def records(self):
        self.child.stdin.close()
        assert self.child.wait(30) == 0
        lines = [json.loads(line) for line in self.lines.read_text().splitlines()[1:]]
        assert not any("bad" in r for r in lines)
        return sorted(lines, key=lambda r: r["ts"])


class Worker(Process):
    """tests/go/woven: does its work once for each line."""

    def __init__(self, path, prefix=()):
        self.pipe, write = os.pipe()
        self.write = write
        super().__init__([*prefix, path], stdin=self.pipe)
        os.close(self.pipe)

    def work(self):
        before = self.out().count("line ")
        os.write(self.write, b"x")
        until("the work is done", lambda: self.out().count("line ") > before)

    def done(self):
        os.close(self.write)
        assert self.popen.wait(30) == 0, self.describe()
        return re.sub(r" $", "", self.out(), flags=re.M)


def _slots(record):
    """But for what tells a span's parent."""
    return [tuple(s) for s in record["slots"] if not s[0].startswith(("lineage.", "epoch."))]


# What the functions of tests/go/woven are called with, in order: entry, its arguments; then each return with its error.
ENTRIES = {
    "main.(*Shop).Add": [[("n", 21), ("note", "a note")], [("n", 1), ("note", "")]],
    "main.Shop.Value": [[("arg0", 1), ("b", "xy")]],
    "main.unnamed": [[("arg0", 5), ("arg1", "five")]],
    "main.variadic": [[]],
    "main.recovers": [[("n", 1)]],
    "main.dies": [[("n", 1)], [("n", 0)]],
    "main.survives": [[("n", 1)], [("n", 0)]],
    "main.recursion": [[("n", 3)], [("n", 2)], [("n", 1)], [("n", 0)]],
    "main.outer": [[("n", 5)]],
    "main.line": [[("skip", 1)]],
    "main.hold": [[("n", 6)]],
    "main.hold.func1.1": [[("x", 6)]],
    # As its own comment has it.
    "main.asked": [[("n", 2), ("o.User", "alice")]],
    # Whose own defers would become slow by one more: it has become two functions.
    "main.deferring": [[("n", 3)]],
    # What has the type of a type parameter is left out.
    "main.Largest[...]": [[], []],
    "main.outer.func1": [[("x", 5)]],
    "main.outer.func2": [[("x", 5), ("arg1", "")]],
}


OF_OUR_OWN = ("--packs", "go-runtime", "--span", "main.*", "--trace", "main.*")


def _spans(minor):
    """--span 'main.*': each call with its arguments, each return that is one, and errors as they were when it returned."""
    path, said = _woven(minor, "woven", *OF_OUR_OWN)
    assert not _quiet(said), said
    worker = Worker(path)
    dump = Dump(worker.popen.pid)
    worker.work()
    assert worker.done() == SAYS, worker.out()
    records = [r for r in dump.records() if r["pack"] != "calls"]
    by_function = {}
    for r in records:
        by_function.setdefault((r["func"], r["point"]), []).append(r)
    for func, calls in ENTRIES.items():
        got = [[s for s in _slots(r) if s[0] != "code.function.name"] for r in by_function[func, "entry"]]
        assert got == calls, (func, got)
        returns = by_function.get((func, "return"), [])
        assert len(returns) == len(calls) - (func == "main.dies"), (func, len(returns))
        depths = sorted(r["depth"] for r in by_function[func, "entry"])
        assert sorted(r["depth"] for r in returns) == (depths if func != "main.dies" else depths[1:]), func
    errors = {f: [bool(_slots(r)) for r in by_function[f, "return"]] for f in ("main.(*Shop).Add", "main.recovers", "main.unnamed")}
    # main.recovers returns an error that its own deferred function sets.
    assert errors == {"main.(*Shop).Add": [False, True], "main.recovers": [True], "main.unnamed": [False]}, errors
    # The panic that ended main.dies, and where it was recovered: in a frame that is less deep.
    (dead,) = [r for r in records if r["func"] == "main.dies" and ("n", 1) in _slots(r)]
    recovered = [r for r in records if r["func"] == "runtime.recovery" and r["ts"] > dead["ts"]]
    assert recovered and recovered[0]["depth"] < dead["depth"] and recovered[0]["goid"] == dead["goid"], (dead, recovered)
    assert sum(r["func"] == "runtime.gopanic" for r in records) == 2
    return f"{len(records)} records"


def _asked(minor):
    """What the source asks for (//earshot:span) is a span without being named."""
    path, said = _woven(minor, "woven", "--packs", PACK)
    assert not _quiet(said), said
    worker = Worker(path)
    with attach(worker.popen.pid, options=("--packs", str(PACK))) as earshot:
        until("it is observed", lambda: earshot.check_alive() and "observing " in earshot.err())
        worker.work()
        earshot.finish()
        spans = [s for s in earshot.objects() if s.get("pack") == "functions"]
    assert [(s["name"], s["attributes"]["n"], s["attributes"]["o.User"], s["status"]) for s in spans] == [
        ("main.asked", 2, "alice", "error")], (spans, earshot.describe())
    assert worker.done() == SAYS


# Each with what it says of a round of work: values, or counts.
QUESTIONS = {
    "main.(*Shop).Add { print(n, note, total) }": [[21, "a note", 43], [1, "", 0]],
    'main.(*Shop).Add if hasprefix(note, "a ") && total > 42 && latency >= 0 { print(note[2:], total, goid > 0) }': [["note", 43, True]],
    "main.(*Shop).Add if err != nil && n == 1 { print(n, len(note)) }": [[1, 0]],
    'main.(*Shop).Add if typeof(err) == "*errors.errorString" { print(n) }': [[1]],
    "main.recursion if n > 1 { print(n, ret0) }": [[2, 3], [3, 6]],
    "main.dies { print(n, panicked) }": [[1, True], [0, False]],
    "main.recovers { print(n, r) }": [[1, -1]],
    "main.deferring { print(n, ret0) }": [[3, 3]],
    "main.recursion { count(); sum(ret0); max(n) by n > 1 }": {"count()": 4, "sum(ret0)": 10, "max(n) by n > 1": 1},
}


def _answers(path, questions, *options, prefix=(), rounds=2, **env):
    """What that many rounds of work answer, and what is said."""
    argv = [*prefix, EARSHOT, "trace", "--json", *options, *questions, "--", path]
    done = subprocess.run([str(a) for a in argv], input="x" * rounds, env=clean_env(**env), capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], done.stderr


def _says(objects, question):
    name = question.split()[0]
    if isinstance(QUESTIONS[question], dict):
        return {o["aggregate"]: next(o[k] for k in ("max", "sum", "count") if k in o) for o in objects
                if o.get("func") == name and "aggregate" in o and o["key"].get("n > 1") is not True}
    return [list(o["values"].values()) for o in objects if o.get("func") == name and "values" in o]


def _questions(minor):
    """`trace` asks a program that records its calls, without privileges; planted in the same program it is told the same."""
    path, said = _woven(minor, "woven", *OF_OUR_OWN)
    assert not _quiet(said), said
    for question, want in QUESTIONS.items():
        woven, said = _answers(path, [question], prefix=WITHOUT)
        # A sum is one of all rounds.
        rounds = {k: v if k.startswith("max") else 2 * v for k, v in want.items()} if isinstance(want, dict) else want + want
        assert _says(woven, question) == rounds, (question, woven[-1], _says(woven, question), said)
        assert woven[-1]["summary"]["refused"] == 0 and not any(woven[-1]["summary"]["losses"].values()), woven[-1]
    every, _ = _answers(path, ["main.recursion if n < 3 { print(n) }"], "--every", "3", prefix=WITHOUT)
    assert [o["values"]["n"] for o in every if "values" in o] == [2, 2] and every[-1]["summary"]["losses"]["not_sampled"] == 4, every
    everything, _ = _answers(path, ["main.*"], prefix=WITHOUT, rounds=1)
    calls = {o["func"]: o for o in everything if "args" in o}
    assert calls["main.unnamed"]["args"] == {"arg0": 5, "arg1": "five"} and calls["main.unnamed"]["returns"] == {"ret0": 7, "ret1": None}, calls
    assert calls["main.recovers"]["returns"] == {"r": -1, "err": "*errors.errorString"}, calls
    if not planter():
        need_earshot()
        question = [q for q in QUESTIONS if "main.dies" not in q]
        for setting in ({}, {"EARSHOT_RECORD": "never"}):
            planted, said = _answers(path, question, "--every", "1", **setting)
            assert ("probes are planted" in said) == bool(setting), said
            assert sum("values" in o for o in planted) == 2 * sum(len(QUESTIONS[q]) for q in question if isinstance(QUESTIONS[q], list)), planted
    return f"{len(QUESTIONS)} questions"


def _refused_questions(minor):
    """What is not woven is planted; where it cannot be, one sentence tells what is missing."""
    path, said = _woven(minor, "woven", *OF_OUR_OWN)
    assert not _quiet(said), said
    cases = {
        'main.(*Shop).Add if o.User == "alice"': "is woven without what is asked for .o cannot be read: only numbers, bools, texts and the types",
        'main.(*Shop).Add if err == "empty"': "what an error says is not woven, only its type",
        "main.(*Shop).Add { stack }": "call stacks are not woven",
        'main.(*Shop).Add if caller == "main.work"': "who calls a woven function is not recorded",
        "main.(*Shop).Add if err == errEmpty": "it needs the program's memory, and only values are woven",
        "runtime.gopanic": "runtime.gopanic is not woven .earshot build --trace., and nothing can be planted",
        "runtime.gop*": "no function that matches is woven .earshot build --trace., and nothing can be planted",
    }
    for question, want in cases.items():
        objects, said = _answers(path, [question], prefix=WITHOUT, rounds=1)
        assert re.search(want, said) and "CAP_" in said, (question, said)
        assert objects[-1]["summary"]["calls"] == 0
    if not planter():
        need_earshot()
        objects, said = _answers(path, list(cases)[:2], rounds=1)
        assert sum("args" in o for o in objects) == 2, (objects, said)
        listed = subprocess.run([EARSHOT, "trace", "-l", "main.recursion", "main.(*Shop).Add", "--", path], capture_output=True, text=True,
                                timeout=60, check=True).stdout
        assert re.search(r"main\.recursion\(n int\) int +# woven: nothing is planted", listed), listed
        assert "woven, but that is not enough: not all that it would show" in listed, listed


def _lacks(minor):
    """What woven code cannot say of a span is seen by planting all of it; who may not do that is told what the spans lack."""
    path, said = _woven(minor, "woven", "--packs", PACK)
    assert not _quiet(said), said
    for prefix, words in ((), 1), (WITHOUT, None):
        worker = Worker(path, prefix)
        until("it is the program", lambda: os.readlink(f"/proc/{worker.pid}/exe") == str(path))
        with attach(worker.popen.pid, options=("--packs", str(PACK)), prefix=prefix) as earshot:
            until("it is observed", lambda: earshot.check_alive() and "observing " in earshot.err())
            worker.work()
            earshot.finish()
            spans = [s for s in earshot.objects() if s.get("name") == "look"]
        assert worker.done() == SAYS
        assert [s["attributes"].get("item") for s in spans] == ["pear", None, None], (spans, earshot.describe())
        assert all(s["attributes"].get("words") == words for s in spans), spans
        lines = [line for line in earshot.err().splitlines() if "its spans are without" in line]
        assert [re.search(r"words \(woven: ([^)]+)\)", line) is not None for line in lines] == [True] * (not words), earshot.err()


def _callers(minor):
    """Who has called is known of what has become two functions, and where a function returns."""
    pack = SOURCES / "called" / "called.yaml"
    path, said = _woven(minor, "called", "--packs", pack)
    assert not _quiet(said), said
    done = run_once([EARSHOT, "run", "--packs", pack, "-o", "json", "--", path])
    spans = [json.loads(line)["attributes"] for line in done.out().splitlines() if '"pack":"called"' in line]
    assert [(s["x"], s["inner"], s["r"]) for s in spans] == [(n, n, n + 1) for n in range(3)], (done.out(), done.err())


def _captures(minor):
    """A pack's points: what its expressions say of values of every kind, and a function literal with a condition."""
    path, said = _woven(minor, "woven", "--packs", PACK)
    assert not _quiet(said), said
    worker = Worker(path)
    dump = Dump(worker.popen.pid)
    worker.work()
    assert worker.done() == SAYS, worker.out()
    records = dump.records()
    begins = [dict(_slots(r)) for r in records if r["point"] == "begin"]
    types = [b.pop("type", None) for b in begins]
    price = begins[0].pop("price")
    assert price == 0x3FC00000, price # 1.5 as a float32
    assert begins == [
        {"item": "pear", "items": 1, "count": 3, "tag": "v", "any": 9, "nil": 0},
        {"user": "alice", "next": 42, "big": 1, "nil": 0},
        {"nil": 1},
    ], begins
    assert types[0] and types[1] and types[0] != types[1] and types[2] is None, types
    assert [dict(_slots(r)) for r in records if r["point"] == "inside"] == [{"x": 5}], records
    assert sum(r["point"] == "done" for r in records) == 3
    # What is kept, a literal within a literal, and who has called.
    held = {p: [(r, dict(_slots(r))) for r in records if r["point"] == p] for p in ("filled", "nested", "from", "held-end")}
    assert [s for _, s in held["filled"]] == [{"user": "alice"}] and [s for _, s in held["nested"]] == [{"x": 6}], held
    assert [s for _, s in held["from"]] == [{"ok": 1, "goid": held["from"][0][0]["goid"]}] and len(held["held-end"]) == 1, held
    return f"{len(records)} records"


def _modes(minor):
    """Other ways to build: the program does what it does, and records while it does."""
    modes = {"race": (["-race"], "1"), "pie": (["-buildmode=pie"], "0"), "no optimization": (["-gcflags=all=-N -l"], "0")}
    for name, (flags, cgo) in modes.items():
        path = scratch() / "woven"
        said = _build(minor, _modfile(minor), *flags, "-o", path, "./woven", options=("--packs", PACK, "--span", "main.recursion"),
                      CGO_ENABLED=cgo)
        assert not _quiet(said), (name, said)
        worker = Worker(path)
        dump = Dump(worker.popen.pid)
        worker.work()
        assert worker.done() == SAYS, (name, worker.out())
        # The spans look and hold, the note of one, those of the other, what the source asks for, and the recursion.
        assert sum(r["pack"] != "go-runtime" for r in dump.records()) == 3 + 3 + 1 + 5 + 2 + 8, name
    here = scratch()
    _build(minor, _modfile(minor), "-o", here / "arm64", "./woven", options=("--packs", PACK), GOARCH="arm64")
    said = _build(minor, _modfile(minor), "-o", here / "windows", "./woven", options=("--packs", PACK), GOOS="windows")
    assert _quiet(said) == ["earshot: runtime: THE PROGRAM WILL RECORD NOTHING: on windows/amd64 nothing is recorded"], said


def _same_twice(minor):
    """Two builds with -trimpath in different folders and caches are one file, bit for bit."""
    files = []
    for _ in range(2):
        here = scratch()
        subprocess.run(["cp", "-r", str(SOURCES / "woven"), str(here / "woven")], check=True)
        (here / "go.mod").write_text(f"module example.com/woven\n\ngo {minor}\n")
        _build(minor, "-trimpath", "-o", here / "woven.bin", "./woven", options=("--packs", PACK, "--span", "main.*"), cwd=here,
               GOCACHE=scratch())
        files.append((here / "woven.bin").read_bytes())
    assert files[0] == files[1]
    assert b"earshot.woven.1\n" in files[0] and str(SOURCES).encode() not in files[0]
    return f"{len(files[0])} bytes"


BROKEN = """pack: broken
about: a test
packages: [main]
spans:
- name: one
  kind: internal
  titles: [one]
  points:
  - name: begin
    role: start
    variants:
    - func: main.look(x any, o *Order)
      {captures}
  - name: end
    role: end
    variants:
    - func: main.look(x any, o *Order)
      at: return
"""


def _goes_on(minor):
    """What a pack names and is not there, and what does not compile: one warning, which a cached build repeats."""
    cases = {
        # Refused before anything is written.
        "capture: {a: o.Absent}": "net|Order has no field Absent",
        # Nothing in the declarations says that a type has not the methods of an interface.
        "capture: {a: {expr: failed.(Item).N}}": "the name|failed",
    }
    for captures, want in cases.items():
        pack = scratch() / "broken.yaml"
        pack.write_text(BROKEN.format(captures=captures))
        for _ in range(2):
            path, said = _woven(minor, "woven", "--packs", pack)
            (line,) = _quiet(said)
            assert line.startswith("earshot: main: ") and re.search(want, line), said
        worker = Worker(path)
        worker.work()
        assert worker.done() == SAYS
    return f"{len(cases)} packs"


IMPOSSIBLE = """package main

import "os"

type wall struct{}

func (wall) Error() string { return "a wall" }

type notAnError struct{ n int }

func climb(e error) { os.Stdout.WriteString(e.Error()) }

func make(n int) int { return n }

func gap() int { return make(2) }

func main() { climb(wall{}); gap() }
"""


def _falls_back(minor):
    """Woven code that the compiler does not take: the package is compiled as it is, with one warning."""
    here = scratch()
    (here / "go.mod").write_text(f"module example.com/wall\n\ngo {minor}\n")
    (here / "main.go").write_text(IMPOSSIBLE)
    pack = here / "wall.yaml"
    pack.write_text(BROKEN.format(captures="capture: {a: e.(notAnError).n}").replace("main.look(x any, o *Order)", "main.climb(e error)"))
    said = _build(minor, "-o", here / "wall", ".", options=("--packs", pack, "--span", "main.gap"), cwd=here)
    gap, line = _quiet(said)
    # The grammar takes make for the predeclared one, and its function alone is left out.
    assert gap == "earshot: main: main.gap is no span: not all of it could be read", said
    assert line.startswith("earshot: main: nothing of it is woven: what was woven does not compile") and "impossible type" in line, said
    assert subprocess.run([here / "wall"], capture_output=True, check=True, timeout=20).stdout == b"a wall"
    # The program's own mistakes are told as ever, and nothing else is.
    (here / "main.go").write_text(IMPOSSIBLE.replace("gap() }", "gap(); absent() }"))
    argv = [_go(minor), "build", "-o", here / "wall", "."]
    plain = subprocess.run(argv, cwd=here, capture_output=True, text=True, env=_env(), timeout=300, check=False).stderr
    assert plain and _build(minor, "-o", here / "wall", ".", options=("--packs", pack), cwd=here, code=1) == plain


def _no_recorder(minor):
    """A runtime that starts otherwise than is known gets what does nothing, and no assembly: it builds, and nothing can be recorded."""
    here = scratch()
    root = CACHE / f"toolchains/go{minor}"
    proc = root / "src/runtime/proc.go"
    text = proc.read_text()
    assert text.count("\n\tgcenable()\n") == 1
    (here / "runtime").mkdir()
    (here / "runtime/proc.go").write_text(text.replace("\n\tgcenable()\n", "\n\tgcenable() //\n"))
    (here / "overlay.json").write_text(json.dumps({"Replace": {str(proc): str(here / "runtime/proc.go")}}))
    (here / "go.mod").write_text(f"module example.com/wall\n\ngo {minor}\n")
    (here / "main.go").write_text(IMPOSSIBLE)
    path = here / "wall"
    said = _build(minor, "-overlay", here / "overlay.json", "-o", path, ".", options=("--packs", PACK, "--span", "main.climb"), cwd=here,
                  GOROOT=root)
    assert _quiet(said) == ["earshot: runtime: THE PROGRAM WILL RECORD NOTHING: this Go's runtime.main does not start as others do"], said
    assert subprocess.run([path], capture_output=True, check=True, timeout=20).stdout == b"a wall"
    assert "main.climb" in inspected(path) and b"earshotStale" not in path.read_bytes()


def _another_toolexec(minor):
    """A -toolexec that is there already runs each tool, in GOFLAGS and in the command line."""
    here = scratch()
    script, log = here / "other", here / "log"
    script.write_text(f'#!/bin/sh\necho "$1" >>{log}\nexec "$@"\n')
    script.chmod(0o755)
    package = ("-o", here / "woven", _modfile(minor), "./woven")
    # That of the command line goes before that of GOFLAGS, as it does without us.
    for how in ({"GOFLAGS": f"-buildvcs=false -toolexec={script}"}, {"GOFLAGS": "-toolexec=/nonexistent"}):
        log.write_text("")
        go = package if str(script) in how["GOFLAGS"] else (f"-toolexec={script}", *package)
        argv = [EARSHOT, "build", "--packs", PACK, "--", _go(minor), "build", "-a", *map(str, go)]
        done = subprocess.run(list(map(str, argv)), cwd=SOURCES, capture_output=True, text=True, timeout=500, env={**_env(), **how}, check=False)
        assert done.returncode == 0, done.stderr
        tools = {os.path.basename(line) for line in log.read_text().splitlines()}
        assert {"compile", "asm", "link"} <= tools, tools
        assert b"earshot.woven.1\n" in (here / "woven").read_bytes()


def _killed_compiler(minor):
    """Whoever ends the compiler ends the build: nothing is kept that would not be woven."""
    here = scratch()
    script = here / "other"
    script.write_text('#!/bin/sh\ncase "$*" in *earshot_woven.go*) kill -9 $$ ;; esac\nexec "$@"\n')
    script.chmod(0o755)
    (here / "go.mod").write_text(f"module example.com/wall\n\ngo {minor}\n")
    (here / "main.go").write_text(IMPOSSIBLE)
    package, options = ("-o", here / "wall", "."), ("--packs", PACK, "--span", "main.climb")
    said = _build(minor, f"-toolexec={script}", *package, options=options, cwd=here, code=1)
    assert "earshot: compile was ended by signal 9" in said and "woven" not in said, said
    assert not _quiet(_build(minor, *package, options=options, cwd=here))
    assert "main.climb" in inspected(here / "wall")


def _http(minor):
    """The server of `matrix` with every pack woven: each request is the same span, field by field, as when it is planted."""
    path, said = _woven(minor, "httpd")
    assert not _quiet(said), said
    with Httpd(path) as httpd, attach(httpd.pid, observe=[httpd.where["http"]]) as earshot:
        want = exercise(httpd, earshot)
        spans, _ = earshot.finish()
        # x/net's HTTP/2 recovers in the very function in which the span begins: its end is seen before that is unwound.
        want.get("h2c.panic-after", {"attributes": {}})["attributes"].pop("http.response.status_code", None)
        check(want, spans)
        assert "woven" in inspected(path)
        return f"{len(want)} spans"


def _chains(minor):
    """Contexts of every kind, and lineage: the chains that woven code follows are those that the program tells of."""
    test = os.path.join(os.path.dirname(EARSHOT), "tests/unit/contexts_test")
    if not os.access(test, os.X_OK):
        subprocess.run(["make", "-s", f"BUILD={os.path.dirname(EARSHOT)}", test], cwd=ROOT, check=True, capture_output=True)
    pack = scratch() / "contexts.yaml"
    pack.write_text(subprocess.run([test, "pack"], capture_output=True, text=True, check=True, timeout=20).stdout)
    path, said = _woven(minor, "contexts", "--packs", pack)
    assert not _quiet(said), said
    done = subprocess.run([test, path, "woven"], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(line for line in done.stdout.splitlines() if " chains, " in line)


def _parents(minor):
    """Work that is handed on in every way, with every pack woven: no wrong parent, and each way's proof as when it is planted."""
    path, said = _woven(minor, "fanout")
    assert not _quiet(said), said
    return fan_out(minor, path)


MODULES = {}  # programs of modules of their own, with every pack woven


def _built(name):
    if name not in MODULES:
        path = scratch() / name
        said = _build(LAST, "-o", path, ".", cwd=SOURCES / name)
        assert not _quiet(said), said
        MODULES[name] = path
    return MODULES[name]


def _module(name, *checks):
    """The same spans as when it is planted."""
    return ", ".join(check(_built(name)) for check in checks)


def inspected(path):
    return subprocess.run([EARSHOT, "inspect", path], capture_output=True, text=True, timeout=60, check=True).stdout


def tests():
    for minor in dict.fromkeys((FIRST, "1.21", LAST)):
        yield Test(f"spans-go{minor}", lambda minor=minor: _spans(minor), 600)
    for minor in ("1.21", LAST):
        yield Test(f"http-go{minor}", lambda minor=minor: _http(minor), 900)
        yield Test(f"parents-go{minor}", lambda minor=minor: _parents(minor), 900)
        yield Test(f"chains-go{minor}", lambda minor=minor: _chains(minor), 600)
    for minor in (FIRST, LAST):
        yield Test(f"captures-go{minor}", lambda minor=minor: _captures(minor), 600)
    yield Test("questions", lambda: _questions(LAST), 600)
    yield Test("refused-questions", lambda: _refused_questions(LAST), 600)
    yield Test("asked", lambda: _asked(LAST), 600)
    yield Test("lacks", lambda: _lacks(LAST), 600)
    yield Test("callers", lambda: _callers(LAST), 600)
    yield Test("grpc", lambda: _module("grpcd", grpc.calls), 900)
    yield Test("databases", lambda: _module("dbs", databases.operations), 900)
    yield Test("routers", lambda: _module("routers", routers.routes, routers.fast), 900)
    yield Test("messages", lambda: _module("mq", messages.messages), 900)
    yield Test("modes", lambda: _modes(LAST), 900)
    yield Test("same-twice", lambda: _same_twice(LAST), 900)
    yield Test("goes-on", lambda: _goes_on(LAST), 600)
    yield Test("falls-back", lambda: _falls_back(LAST), 600)
    yield Test("no-recorder", lambda: _no_recorder(LAST), 600)
    yield Test("killed-compiler", lambda: _killed_compiler(LAST), 600)
    yield Test("another-toolexec", lambda: _another_toolexec(LAST), 900)
