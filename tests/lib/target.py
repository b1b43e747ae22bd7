"""The Go programs under observation, started and asked for their accounting."""

import http.client
import json
import os
import re
import signal
import subprocess

from proc import BIN, Process, Skip, clean_env, json_lines, scratch, until

MODES = ("plain", "sw", "trim", "pie", "cgo")
MINORS = tuple(os.environ.get("GO_MINORS", "1.19 1.21 1.22 1.23 1.24 1.25 1.26 1.27").split())


def httpd_path(minor, mode):
    return BIN / f"httpd-go{minor}-{mode}"


def available():
    """(minor, mode) of every server binary that could be built."""
    return [(m, k) for m in MINORS for k in MODES if os.access(httpd_path(m, k), os.X_OK)]


def built(minor, mode="sw"):
    """That server binary; the test is skipped if it could not be built."""
    path = httpd_path(minor, mode)
    if not os.access(path, os.X_OK):
        raise Skip(f"{path.name} was not built")
    return path


def newest(mode="sw"):
    """The server built by the newest toolchain there is."""
    found = [m for m, k in available() if k == mode]
    if not found:
        raise Skip(f"no httpd-go*-{mode} was built")
    return httpd_path(found[-1], mode)


class Report:
    """The server's report file: where it listens, and what it counted."""

    def __init__(self, path):
        self.path = path

    def entries(self):
        return list(json_lines(self.path.read_text())) if self.path.exists() else []

    def ready(self):
        return next((e for e in self.entries() if e.get("ready")), None)

    def stats(self, pid):
        before = sum("stats" in e for e in self.entries())
        os.kill(pid, signal.SIGUSR1)
        until("the server prints its accounting",
              lambda: sum("stats" in e for e in self.entries()) > before)
        return [e for e in self.entries() if "stats" in e][-1]


class Httpd:
    """A running server. prefix is put before its command (earshot run …)."""

    def __init__(self, path, *args, prefix=(), env=None, process=Process):
        self.report = Report(scratch() / "report")
        self.process = process([*prefix, path, "-report", self.report.path, *args],
                               env=clean_env(**(env or {})))
        self.where = until("the server listens", self._ready, 60)
        self.pid = self.where["pid"]
        self.go = tuple(int(n) for n in re.findall(r"\d+", self.where["go"])[:2])

    def _ready(self):
        if not self.process.alive() and not self.report.ready():
            raise AssertionError(f"ended before it listened: {self.process.describe()}")
        return self.report.ready()

    def base(self, listener):
        scheme = "https" if listener == "https" else "http"
        return f"{scheme}://127.0.0.1:{self.where[listener]}"

    def stats(self):
        return self.report.stats(self.pid)

    def get(self, path, listener="http", agent="earshot-canary"):
        return get(self.where[listener], path, agent)

    def close(self):
        self.process.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def get(port, path, agent="earshot-canary", host="127.0.0.1", seconds=5):
    """One plain GET; returns (status, body)."""
    c = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        c.request("GET", path, headers={"User-Agent": agent})
        r = c.getresponse()
        return r.status, r.read()
    finally:
        c.close()


def send(requests, parallel=1, seconds=120):
    """Have the Go client issue these requests; responses by id."""
    script = "".join(json.dumps(r) + "\n" for r in requests)
    done = subprocess.run([BIN / "client", "-parallel", str(parallel)], input=script,
                          capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode:
        raise AssertionError(f"the client failed: {done.stderr}")
    return {r["id"]: r for r in json_lines(done.stdout)}
