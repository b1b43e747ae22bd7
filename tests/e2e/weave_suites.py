"""The tests of packages that others wrote, with every pack woven into them and all that they use: they fail where they fail without, and
nowhere else. `make soak-weave`."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass

from proc import CACHE, EARSHOT, Skip, clean_env, scratch
from target import MINORS
from testing import Test
from weave_builds import ALL

LAST = MINORS[-1]
AGAIN = 3 # times that what failed is run by itself, before it is believed


@dataclass
class Suite:
    packages: tuple
    module: str = None # None: the standard library
    flags: tuple = ()


SUITES = {
    "net-http": Suite(("net/http", "net/http/httputil", "net/http/httptest", "database/sql", "context"), flags=("-short",)),
    "chi": Suite(("./...",), "github.com/go-chi/chi/v5@v5.5.0"),
}


class Module:
    """Where its tests are run: a copy, since the cache of modules cannot be written, and some tests write."""

    def __init__(self, suite):
        go = CACHE / f"toolchains/go{LAST}/bin/go"
        if not os.access(go, os.X_OK):
            raise Skip(f"there is no Go {LAST}")
        self.go, self.suite, self.dir = str(go), suite, scratch() / "module"
        self.env = clean_env(GOCACHE=CACHE / "gocache", GOMODCACHE=CACHE / "gomod", GOTOOLCHAIN="local", CGO_ENABLED="0",
                             GOFLAGS="-buildvcs=false")
        if not suite.module:
            self.dir.mkdir()
            (self.dir / "go.mod").write_text(f"module example.com/suite\n\ngo {LAST}\n")
            return
        got = self.run("mod", "download", "-json", suite.module, cwd=scratch())
        shutil.copytree(json.loads(got.stdout)["Dir"], self.dir)
        subprocess.run(["chmod", "-R", "u+w", str(self.dir)], check=True)

    def run(self, *argv, prefix=(), cwd=None):
        done = subprocess.run([*prefix, self.go, *argv], cwd=cwd or self.dir, capture_output=True, text=True, timeout=3000,
                              env=self.env, check=False)
        assert done.stdout.startswith("{"), f"{argv}: exit {done.returncode}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
        return done

    def test(self, woven, packages=None, only=()):
        """{(package, test): "pass", "fail" or "skip"}, and what the build has said."""
        prefix = [EARSHOT, "build", "--"] if woven else []
        done = self.run("test", "-json", "-count=1", "-p=1", "-timeout=20m", *self.suite.flags, *only, *(packages or self.suite.packages),
                        prefix=prefix)
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        results = {(e["Package"], e.get("Test", "")): e["Action"] for e in events if e["Action"] in ("pass", "fail", "skip")}
        said = [e["Output"] for e in events if e["Action"] == "build-output"] + done.stderr.splitlines(keepends=True)
        return results, [line.rstrip() for line in said if line.startswith("earshot: ")]


def _still(module, failed):
    """Those that fail woven, and not without, each time: others depend on the moment."""
    still = []
    for package, test in failed:
        top = test.split("/")[0]
        only = ("-run", f"^{top}$") if top else ()
        rounds = [[module.test(woven, (package,), only)[0].get((package, test)) for woven in (True, False)] for _ in range(AGAIN)]
        if all(woven == "fail" and plain != "fail" for woven, plain in rounds):
            still.append((package, test))
    return still


def _suite(suite):
    module = Module(suite)
    plain, _ = module.test(False)
    woven, said = module.test(True)
    failed = sorted(t for t, r in woven.items() if r == "fail" and plain.get(t) != "fail" and t[1])
    lost = sorted(t for t, r in plain.items() if r == "pass" and t not in woven)
    assert not _still(module, failed + lost), (failed, lost, said)
    passed = sum(r == "pass" for t, r in woven.items() if t[1])
    assert passed, (woven, said)
    return f"{passed} pass, {sum(r == 'fail' for t, r in plain.items() if t[1])} fail without as well; {said or 'nothing left out'}"


def tests():
    for name, suite in SUITES.items() if ALL else ():
        yield Test(name, lambda suite=suite: _suite(suite), 6000)
