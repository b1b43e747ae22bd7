"""The tests of packages that others wrote, with every pack woven into them and all that they use: they fail where they fail without, and
nowhere else. `make soak-weave`."""

import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass

from backends import Postgres
from proc import CACHE, EARSHOT, Skip, clean_env, scratch
from target import MINORS
from testing import Test
from weave_builds import ALL

LAST = MINORS[-1]
AGAIN = 3 # times that what failed is run by itself, before it is believed
MANY = 40 # tests that fail woven: more are no matter of the moment


@dataclass
class Suite:
    packages: tuple
    module: str = None # None: the standard library
    flags: tuple = ()
    needs: object = None # starts a server: it, and the environment that tells of it


def _postgres():
    server = Postgres()
    return server, {"PGX_TEST_DATABASE": server.url}


SUITES = {
    "net-http": Suite(("net/http", "net/http/httputil", "net/http/httptest", "database/sql", "context"), flags=("-short",)),
    "chi": Suite((".", "./..."), "github.com/go-chi/chi/v5@v5.5.0"),
    "pgx": Suite((".", "./pgconn/...", "./pgproto3", "./pgxpool", "./stdlib"), "github.com/jackc/pgx/v5@v5.13.0", needs=_postgres),
    "grpc": Suite((".", "./internal/transport/...", "./stats/...", "./test"), "google.golang.org/grpc@v1.85.0", ("-short",)),
    # What runs a broker of its own in the tests is in a go.mod beside the module's.
    "nats-go": Suite((".", "./micro/...", "./test"), "github.com/nats-io/nats.go@v1.55.0",
                     ("-short", "-modfile=go_test.mod", "-skip", "^Test(JetStream|KeyValue|Object|Reconnect)")),
    "etcd": Suite(("./auth", "./embed", "./etcdserver", "./etcdserver/api/...", "./lease/...", "./proxy/..."),
                  "go.etcd.io/etcd/server/v3@v3.7.3", ("-short", "-mod=mod")),
}


class Module:
    """Where its tests are run: a copy, since the cache of modules cannot be written, and some tests write."""

    def __init__(self, suite):
        go = CACHE / f"toolchains/go{LAST}/bin/go"
        if not os.access(go, os.X_OK):
            raise Skip(f"there is no Go {LAST}")
        self.go, self.suite, self.dir = str(go), suite, scratch() / "module"
        self.env = clean_env(GOCACHE=CACHE / "gocache", GOMODCACHE=CACHE / "gomod", GOTOOLCHAIN="local", CGO_ENABLED="0",
                             GOFLAGS="-buildvcs=false", GOWORK="off")
        if not suite.module:
            self.dir.mkdir()
            (self.dir / "go.mod").write_text(f"module example.com/suite\n\ngo {LAST}\n")
            return
        got = self.run("mod", "download", "-json", suite.module, cwd=scratch())
        shutil.copytree(json.loads(got.stdout)["Dir"], self.dir)
        subprocess.run(["chmod", "-R", "u+w", str(self.dir)], check=True)
        # A neighbour in its repository is not downloaded with it: it comes as a module of its own.
        replaced = json.loads(self.run("mod", "edit", "-json").stdout).get("Replace") or []
        for old in (r["Old"]["Path"] for r in replaced if r["New"]["Path"].startswith("../")):
            subprocess.run([self.go, "mod", "edit", f"-dropreplace={old}"], cwd=self.dir, check=True, timeout=60, env=self.env)

    def run(self, *argv, prefix=(), cwd=None, env=None):
        done = subprocess.run([*prefix, self.go, *argv], cwd=cwd or self.dir, capture_output=True, text=True, timeout=3000,
                              env={**self.env, **(env or {})}, check=False)
        assert done.stdout.startswith("{"), f"{argv}: exit {done.returncode}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
        return done

    def test(self, woven, env, packages=None, only=()):
        """{(package, test): "pass", "fail" or "skip"}, and what the build has said."""
        prefix = [EARSHOT, "build", "--"] if woven else []
        done = self.run("test", "-json", "-count=1", "-p=1", "-timeout=20m", *self.suite.flags, *only, *(packages or self.suite.packages),
                        prefix=prefix, env=env)
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        # A temporary directory's name, which some tests have in theirs, differs each time.
        results = {(e["Package"], re.sub(r"\d{6,}", "N", e.get("Test", ""))): e["Action"] for e in events
                   if e["Action"] in ("pass", "fail", "skip")}
        built = [e["Output"] for e in events if e["Action"] == "build-output"] + done.stderr.splitlines(keepends=True)
        # A package that does not build plain is of no use here; one that does not build woven is what is looked for.
        assert not any(e["Action"] == "build-fail" for e in events), (woven, "".join(built)[-3000:])
        return results, [line.rstrip() for line in built if line.startswith("earshot: ")]

    def check_woven(self):
        """A test's program has the probes: else it has passed for nothing."""
        path = scratch() / "woven.test"
        subprocess.run([EARSHOT, "build", "--", self.go, "test", "-c", "-o", path, *self.suite.flags, self.suite.packages[0]],
                       cwd=self.dir, check=True, timeout=900, env=self.env)
        assert b"earshot.woven.1\n" in path.read_bytes()


def _worse(plain, woven):
    """Those that fail woven and not without, or that only ran without."""
    failed = {t for t, r in woven.items() if r == "fail" and plain.get(t) != "fail" and t[1]}
    return failed | {t for t, r in plain.items() if r == "pass" and t not in woven}


def _still(module, failed, env):
    """Those that fail woven, and not without, each time: others depend on the moment."""
    still = []
    for package, top in sorted({(package, test.split("/")[0]) for package, test in failed}):
        mine = [t for t in failed if t[0] == package and t[1].split("/")[0] == top]
        only = ("-run", f"^{top}$") if top else ()
        rounds = [_worse(*(module.test(woven, env, (package,), only)[0] for woven in (False, True))) for _ in range(AGAIN)]
        still += [t for t in mine if all(t in worse for worse in rounds)]
    return still


def _count(results):
    tests = [r for t, r in results.items() if t[1]]
    return f"{tests.count('pass')} pass, {tests.count('fail')} fail, {tests.count('skip')} skipped"


def _suite(suite):
    server, env = suite.needs() if suite.needs else (None, {})
    try:
        module, started = Module(suite), time.monotonic()
        plain, _ = module.test(False, env)
        between = time.monotonic()
        woven, said = module.test(True, env)
        ended = time.monotonic()
        worse = sorted(_worse(plain, woven))
        assert len(worse) < MANY, (worse, said)
        still = _still(module, worse, env)
        assert not still, (still, said)
        assert "pass" in woven.values(), (woven, said)
        module.check_woven()
        return (f"plain {_count(plain)} in {between - started:.0f} s; woven {_count(woven)} in {ended - between:.0f} s; "
                f"of the moment {worse}; {said or 'nothing left out'}")
    finally:
        if server:
            server.kill()


def tests():
    for name, suite in SUITES.items() if ALL else ():
        yield Test(name, lambda suite=suite: _suite(suite), 6000)
