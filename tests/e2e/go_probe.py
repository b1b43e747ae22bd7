"""`inspect --go-probe`: what is printed compiles in the libraries that it is of, and captures what a probe captures."""

import json
import os
import re
import subprocess

from earshot import need_earshot
from proc import BIN, CACHE, EARSHOT, Skip, clean_env, run_once, scratch
from target import MINORS
from testing import Test

SOURCES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "go")
FIRST, LAST = MINORS[0], MINORS[-1]
WHEN = "n >= 0 && i8 != 127 || n == 1"
# Expressions over the arguments of main.Take (tests/go/probed).
EXPRESSIONS = [
    "o.User", "o.Items[1].Count", 'o.Notes["alice"]', "x.(*Order).Next.User", "o.ID", "o.Base.ID",
    'hasprefix(s, "al") && o.Next != nil', 'hassuffix(s, "ice") || o.Next.Small > 5', "i8 * 2 - 1", "o.Fixed[2]", "s[1:]", "m[s]",
    "len(b)", "string(o.Raw)", "uint8(i8) >> 2", "i8 << 3", "-i8 % 7", "^n & 6", "n / i8", 'x == "a string" || contains(s, "item")',
    "o.Items[0].Size > 1", "o.At == o.Next.At", "(o.At == o.At) && len(o.Items) == 2", 'typeof(x) == "main.Item"', "o.Any == 42",
    "o.Items[i8].Name", "o.Fixed[n-1]", "b[n]", "o.Raw[1:3]", "o.Next.Next == nil", "x.(*Order) != nil", "*o.Base == *o.Base",
    "m == nil", 'm["x"] < 0 && n > 0', "x.(Item).Count + n", "!(n == 2)", 'string(b) == s', "s < o.User",
    "o.Next.Fixed[1] | 4",
]
PACK = """pack: probed
about: a test
packages: [main]
spans:
- name: call
  kind: internal
  titles: [call]
  points:
  - name: take
    role: start
    variants:
    - func: main.Take
      when: {when}
      capture:
{captures}
  - name: end
    role: end
    variants:
    - func: main.Take
      at: return
"""


def _go(minor, *argv, cwd=SOURCES, seconds=500):
    go = CACHE / f"toolchains/go{minor}/bin/go"
    if not os.access(go, os.X_OK):
        raise Skip(f"there is no Go {minor}")
    # Toolchains lie in the tests' module cache, and what lies in the module cache cannot be overlaid: so it is another.
    env = clean_env(GOCACHE=CACHE / "gocache", GOMODCACHE=scratch(), GOPROXY=f"file://{CACHE}/gomod/cache/download",
                    GOSUMDB="off", GOTOOLCHAIN="local", GOFLAGS="-buildvcs=false -modcacherw", HOME=scratch(), CGO_ENABLED="0")
    done = subprocess.run([go, *map(str, argv)], cwd=cwd, capture_output=True, text=True, timeout=seconds, env=env, check=False)
    assert done.returncode == 0, f"go {' '.join(map(str, argv))}: {done.stderr[-3000:]}"
    return done.stdout


def _modfile(minor):
    """go.mod with that version's go line, as the programs were built; modules are where the tests' cache has them."""
    path = scratch() / f"go{minor}.mod"
    text = open(f"{SOURCES}/go.mod", encoding="utf-8").read()
    modules = re.findall(r"(golang.org/x/\S+) (v\S+)", text)
    replaced = [f"replace {name} => {CACHE}/gomod/{name}@{version}\n" for name, version in modules]
    path.write_text(re.sub(r"^go 1\.\d+$", f"go {minor}", text, flags=re.M) + "\n" + "".join(replaced))
    (path.parent / f"go{minor}.sum").write_text(open(f"{SOURCES}/go.sum", encoding="utf-8").read())
    return f"-modfile={path}"


def _printed(path, *options):
    """{package: its file}, of the txtar archive."""
    need_earshot(root=False)
    done = run_once([EARSHOT, "inspect", path, "--go-probe", *options], 60)
    assert done.code == 0, done.describe()
    parts = re.split(r"^-- (\S+)/earshot_probes\.go --\n", done.out(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def _overlay(minor, modfile, files):
    """An overlay that adds each file to its package's folder."""
    here, replace = scratch(), {}
    for i, (package, text) in enumerate(files.items()):
        where = _go(minor, "list", modfile, "-f", "{{.Dir}}", package).strip()
        path = here / f"probes{i}.go"
        path.write_text(text)
        replace[f"{where}/zz_earshot_probes.go"] = str(path)
    (here / "overlay.json").write_text(json.dumps({"Replace": replace}))
    return f"-overlay={here / 'overlay.json'}"


def _libraries(minor):
    """All packs, in the packages themselves: runtime, net/http and what it consists of, x/net."""
    path = BIN / f"httpd-go{minor}-plain"
    if not path.exists():
        raise Skip(f"{path.name} was not built")
    files = _printed(path)
    assert {"runtime", "net/http", "golang.org/x/net/http2"} <= set(files), sorted(files)
    functions = sum(len(re.findall(r"^func earshot_", text, flags=re.M)) for text in files.values())
    # A connection's addresses lie in fields of package context, which only that package may name: both in each start.
    left = {line.strip() for text in files.values() for line in text.splitlines() if "// without" in line}
    assert functions >= 20 and len(left) <= 6, f"{functions} functions; {left}"
    assert all(re.search("not exported|may not import", line) for line in left), left
    modfile, runtime = _modfile(minor), {"runtime": files.pop("runtime")}
    # By itself, since all other packages are built anew beside another runtime.
    for some in (runtime, files):
        _go(minor, "build", modfile, _overlay(minor, modfile, some), *some)
    return f"{functions} functions in {len(files) + 1} packages"


def _plain(value):
    """A captured value as JSON has it; what could not be followed is no value."""
    return None if isinstance(value, dict) and "unreadable" in value else value


def _values(minor):
    """The printed probe, run in the program, and `trace` say the same of each call."""
    need_earshot()
    here, modfile = scratch(), _modfile(minor)
    _go(minor, "build", modfile, "-o", here / "plain", "./probed")
    captures = "\n".join(f"        e{i}: {{expr: {json.dumps(e)}, optional: true}}" for i, e in enumerate(EXPRESSIONS))
    (here / "probed.yaml").write_text(PACK.format(when=json.dumps(WHEN), captures=captures))
    files = _printed(here / "plain", "--packs", here / "probed.yaml")
    names = re.findall(r'earshot\.Value\("e(\d+)"', files["main"])
    assert sorted(map(int, names)) == list(range(len(EXPRESSIONS))), f"only {names} of {len(EXPRESSIONS)}"
    overlay = _overlay(minor, modfile, {"./probed": files["main"]})
    _go(minor, "build", modfile, overlay, "-tags", "probed", "-o", here / "probed", "./probed")
    said = [json.loads(line) for line in subprocess.run([here / "probed"], capture_output=True, text=True, timeout=20,
                                                        check=True).stdout.splitlines()]
    question = f"main.Take {{ print(n, {', '.join(EXPRESSIONS)}) }}"
    condition = f"main.Take if {WHEN} {{ print(n) }}"
    passed = {call["values"]["n"] for call in _traced(here / "plain", condition)}
    calls = {call["values"]["n"]: call["values"] for call in _traced(here / "plain", question)}
    assert len(calls) == len(said) == 5, (len(calls), len(said))
    assert [s["passes"] for s in said] == [n in passed for n in range(5)], (said, passed)
    wrong = []
    for n in sorted(passed):
        for i, e in enumerate(EXPRESSIONS):
            probe, traced = said[n].get(f"e{i}"), _plain(calls[n].get(e))
            if probe != traced:
                wrong.append(f"call {n}, {e}: the printed probe says {probe!r}, trace {traced!r}")
    assert not wrong, "\n".join(wrong)
    return f"{len(EXPRESSIONS)} expressions of {len(passed)} calls"


def _traced(path, question):
    done = run_once([EARSHOT, "trace", "--json", question, "--", path], 60)
    assert done.code == 0, done.describe()
    return [call for call in map(json.loads, done.out().splitlines()) if "func" in call]


def tests():
    for minor in sorted({FIRST, LAST}):
        yield Test(f"libraries-go{minor}", lambda m=minor: _libraries(m), 600)
        yield Test(f"values-go{minor}", lambda m=minor: _values(m), 300)
