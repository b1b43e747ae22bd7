"""Every way to build a Go program, with every pack woven: it builds without a word, does what it does, and can be observed without
privileges. All of it with `make soak-weave` (EARSHOT_WEAVE_BUILDS=1), else what needs no standard library of its own."""

import os
import random
import re
import shutil
import signal
import subprocess

from proc import CACHE, EARSHOT, ROOT, Skip, clean_env, json_lines, scratch
from target import MINORS
from testing import Test

SOURCES = ROOT / "tests" / "go" / "builds"
ALL = os.environ.get("EARSHOT_WEAVE_BUILDS") == "1"
LAST = MINORS[-1]
# An observer without capabilities plants nothing: what it sees was woven.
WITHOUT = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
SAYS = "builds 3 42\n"
PATHS = [("/work", f"n={n}") for n in range(3)]
LOAD = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).Report(), 'from a library')"


def _version(minor):
    return int(minor.split(".")[1])


class Tree:
    """A copy of the module, with that toolchain's go line, and what is built there."""

    def __init__(self, minor, cache=None, **env):
        go = CACHE / f"toolchains/go{minor}/bin/go"
        if not os.access(go, os.X_OK):
            raise Skip(f"there is no Go {minor}")
        self.go, self.minor, self.dir = str(go), minor, scratch() / "builds"
        shutil.copytree(SOURCES, self.dir)
        for path in (self.dir / "go.mod", self.dir / "dep/go.mod"):
            path.write_text(re.sub(r"^go 1\.\d+$", f"go {minor}", path.read_text(), flags=re.M))
        self.env = clean_env(**{"GOCACHE": cache or CACHE / "gocache", "GOMODCACHE": CACHE / "gomod", "GOTOOLCHAIN": "local",
                                "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0", **env})

    def go_command(self, *argv, woven=True, code=0):
        """(standard output, standard error) of a go command."""
        command = [*([EARSHOT, "build", "--"] if woven else []), self.go, *map(str, argv)]
        done = subprocess.run(list(map(str, command)), cwd=self.dir, capture_output=True, text=True, timeout=900, env=self.env,
                              check=False)
        assert done.returncode == code, f"{command}: exit {done.returncode}: {done.stderr[-3000:]}{done.stdout[-500:]}"
        return done.stdout, done.stderr

    def build(self, *argv, command="build", package="."):
        """The file that comes of it; the build has nothing to say."""
        path = self.dir / f"out{len(list(self.dir.glob('out*')))}"
        _, said = self.go_command(command, "-o", path, *argv, package)
        assert not warnings(said), said
        assert b"earshot.woven.1\n" in path.read_bytes()
        return path


def warnings(said):
    """Lines but for those that name a package."""
    return [line for line in said.splitlines() if line and not line.startswith("# ")]


def observed(argv, env=None, want=PATHS, **more):
    """What a program prints, whose requests are seen without privileges."""
    command = [*WITHOUT, EARSHOT, "run", "-o", "json", "--packs", "net-http", "--", *map(str, argv)]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, env=env or clean_env(), check=False, **more)
    assert done.returncode == 0, f"{argv}: exit {done.returncode}: {done.stderr[-2000:]}{done.stdout[-500:]}"
    lines = done.stdout.splitlines(keepends=True)
    spans = [o for o in json_lines("".join(lines)) if o.get("kind") == "server"]
    got = sorted((s["attributes"].get("url.path"), s["attributes"].get("url.query")) for s in spans)
    assert got == sorted(want), (got, done.stderr)
    return "".join(line for line in lines if not line.startswith("{"))


def _same(path):
    said = observed([path])
    assert said == SAYS, said


def _build(tree, *flags):
    _same(tree.build(*flags))


def _cgo(*flags, **env):
    def run(tree):
        tree.env.update({"CGO_ENABLED": "1", **env})
        _build(tree, *flags)
    return run


def _flags(*flags):
    return lambda tree: _build(tree, *flags)


def _under(tree):
    """A program for -exec, and where what it printed is."""
    script, out = tree.dir / "under", tree.dir / "printed"
    script.write_text(f'#!/bin/sh\n{" ".join(WITHOUT)} {EARSHOT} run -o json --packs net-http -- "$@" >>{out} 2>{out}.err\n')
    script.chmod(0o755)
    return script, out


def _run(tree):
    script, out = _under(tree)
    _, said = tree.go_command("run", "-exec", script, ".")
    assert not warnings(said), said
    lines = out.read_text()
    assert "".join(line + "\n" for line in lines.splitlines() if not line.startswith("{")) == SAYS, lines
    assert sum(o.get("kind") == "server" for o in json_lines(lines)) == len(PATHS), lines


def _results(out):
    return re.sub(r"\t\d+\.\d+s\b", "", "".join(re.findall(r"^ok .*\n", out, re.M))).splitlines()


def _test(*flags):
    """Tests within and without their packages, of main too: as they are, and each with its requests seen."""
    def run(tree):
        argv = ("test", "-count=1", *flags, ".", "./serve")
        out, said = tree.go_command(*argv)
        assert not warnings(said), said
        # What is covered is what was covered without.
        assert _results(out) == _results(tree.go_command(*argv, woven=False)[0]), out
        assert len(_results(out)) == 2, out
        for package, cwd in ((".", tree.dir), ("./serve", tree.dir / "serve")):
            binary = tree.build("-c", *flags, command="test", package=package)
            assert "PASS" in observed([binary], cwd=cwd)
    return run


def _vendor(tree):
    tree.go_command("mod", "vendor", woven=False)
    shutil.rmtree(tree.dir / "dep")
    _build(tree, "-mod=vendor")


def _workspace(tree):
    mod = tree.dir / "go.mod"
    mod.write_text(re.sub(r"\nreplace.*\n", "\n", mod.read_text()))
    (tree.dir / "go.work").write_text(f"go {tree.minor}\n\nuse (\n\t.\n\t./dep\n)\n")
    _build(tree)


def _pgo(tree):
    if _version(tree.minor) < 21:
        raise Skip("this Go knows no profiles")
    profile = tree.dir / "default.pgo"
    plain = tree.dir / "plain"
    tree.go_command("build", "-pgo=off", "-o", plain, ".", woven=False)
    subprocess.run([plain, profile], check=True, timeout=60)
    _build(tree)


def _shared(tree):
    tree.env["CGO_ENABLED"] = "1"
    library = tree.build("-buildmode=c-shared", package="./shared")
    # Its program has no probes of its own, so nobody can see it without privileges.
    done = subprocess.run(["python3", "-c", LOAD, library], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "3 from a library\n", done


def _plugin(tree):
    """Both woven, or none: else the host says what is wrong, as Go does of any two that were built otherwise."""
    tree.env["CGO_ENABLED"] = "1"
    plug = tree.build("-buildmode=plugin", package="./plug")
    host = tree.build(package="./host")
    said = observed([host, plug], want=2 * PATHS)
    assert said == "6 from a plugin\n", said
    plain = tree.dir / "plain"
    tree.go_command("build", "-o", plain, "./host", woven=False)
    done = subprocess.run([plain, plug], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "was built with a different version of package" in done.stderr, done


def _arm64(tree):
    tree.env["GOARCH"] = "arm64"
    path = tree.build()
    assert path.read_bytes()[18:20] == b"\xb7\x00"


def _msan(tree):
    clang = next((c for c in ("clang", "clang-19", "clang-14") if shutil.which(c)), None)
    if not clang:
        raise Skip("no clang, which alone has this sanitizer")
    # A program of Go's own is not what clang 14 makes position-independent by default.
    _cgo("-msan", CC=clang)(tree)


SMALL = '''package main

import "errors"

func fails(n int) error {
	if n > 1 {
		return errors.New("too many")
	}
	return nil
}

func main() { println(fails(1) == nil, fails(2) != nil) }
'''


class Small:
    """A program of two functions, built such that it is the same file wherever that is done."""

    def __init__(self, minor):
        self.tree, self.here = Tree(minor), scratch()
        (self.here / "go.mod").write_text(f"module example.com/small\n\ngo {minor}\n")
        (self.here / "main.go").write_text(SMALL)

    def start(self, cache, name):
        argv = [EARSHOT, "build", "--span", "main.fails", "--", self.tree.go, "build", "-trimpath", "-o", self.here / name, "."]
        return subprocess.Popen(list(map(str, argv)), cwd=self.here, env={**self.tree.env, "GOCACHE": str(cache)}, stderr=subprocess.PIPE,
                                text=True, start_new_session=True)

    def finish(self, builds):
        """The file that all of them have made."""
        files = set()
        for name, build in builds.items():
            _, said = build.communicate(timeout=600)
            assert build.returncode == 0 and not warnings(said), said
            files.add((self.here / name).read_bytes())
        (file,) = files
        assert b"earshot.woven.1\n" in file
        return file


def _broken_off(minor):
    """Builds that are interrupted or killed at any moment, and several at once, leave a cache of which the right file comes."""
    small, caches = Small(minor), [scratch(), scratch(), scratch()]
    rng = random.Random(13)
    try:
        want = small.finish({"first": small.start(caches[0], "first")})
        for i in range(8):
            build = small.start(caches[1], "broken")
            try:
                build.wait(rng.uniform(0.2, 4))
            except subprocess.TimeoutExpired:
                os.killpg(build.pid, signal.SIGKILL if i % 2 else signal.SIGINT)
            build.communicate(timeout=60)
        assert small.finish({"after": small.start(caches[1], "after")}) == want
        assert small.finish({name: small.start(caches[2], name) for name in ("one", "two", "three")}) == want
    finally:
        subprocess.run(["rm", "-rf", *map(str, caches)], check=False)


# A cache on a file system of its own, that a plain build has filled; then it becomes read-only, and "$@" builds with it.
READ_ONLY = """set -e
GOCACHE=$1 go=$2
export GOCACHE
mount -t tmpfs -o size=1g none "$GOCACHE"
shift 2
"$go" build -o plain .
mount -o remount,ro "$GOCACHE"
"$@"
"""


def _read_only(minor):
    """A cache that takes nothing any more: it is built and woven all the same, and neither side says a word."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    small, cache = Small(minor), scratch()
    argv = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", cache, small.tree.go, EARSHOT, "build", "--span", "main.fails", "--",
            small.tree.go, "build", "-trimpath", "-o", small.here / "woven", "."]
    done = subprocess.run(list(map(str, argv)), cwd=small.here, env=small.tree.env, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0 and not warnings(done.stderr), done.stderr
    assert b"earshot.woven.1\n" in (small.here / "woven").read_bytes()


WAYS = {
    "build": _build,
    "run": _run,
    "test": _test(),
    "test-cover": _test("-cover"),
    "vendor": _vendor,
    "workspace": _workspace,
}
# Those have a standard library of their own, each.
MORE = {
    "race": _cgo("-race"),
    "msan": _msan,
    "cgo": _cgo(),
    "external": _cgo("-ldflags=-linkmode=external -s -w"),
    "pgo": _pgo,
    "trimpath": _flags("-trimpath"),
    "pie": _flags("-buildmode=pie"),
    "no-optimization": _flags("-gcflags=all=-N -l"),
    "shared": _shared,
    "plugin": _plugin,
    "arm64": _arm64,
}


def _ways(minor):
    """What needs nothing but one standard library."""
    for name, way in WAYS.items():
        try:
            way(Tree(minor))
        except AssertionError as why:
            raise AssertionError(f"{name}: {why}") from None
    return ", ".join(WAYS)


def _alone(minor, way):
    """In a cache that does not stay: all of them are gigabytes."""
    cache = scratch()
    try:
        return way(Tree(minor, cache=cache))
    finally:
        subprocess.run(["rm", "-rf", str(cache)], check=False)


def tests():
    if ALL:
        yield Test("broken-off", lambda: _broken_off(LAST), 1200)
        yield Test("cache-read-only", lambda: _read_only(LAST), 1200)
    for minor in MINORS if ALL else dict.fromkeys(("1.21", LAST)):
        yield Test(f"ways-go{minor}", lambda minor=minor: _ways(minor), 900)
        for name, way in MORE.items() if ALL else ():
            yield Test(f"{name}-go{minor}", lambda minor=minor, way=way: _alone(minor, way), 1200)
