"""Earshot itself, started and read."""

import os
import signal
import time

from proc import EARSHOT, Process, Skip, clean_env, json_lines, until
from target import get
from testing import Test

CANARY = "earshot-canary"
_planter = [os.environ.get("EARSHOT_PLANTER")]  # for all of run, attach and trace: uprobe, patch, auto


def planter():
    """--planter of what is started now; None: it chooses itself."""
    return _planter[-1]


def patched(test):
    """The same test with --planter patch; its name says so."""
    def run():
        _planter.append("patch")
        try:
            return test.run()
        finally:
            _planter.pop()
    return Test(f"{test.name}-patch", run, test.seconds)


def and_patched(tests, names):
    """The tests, and behind each with one of these names the same with --planter patch."""
    for test in tests:
        yield test
        if test.name in names:
            yield patched(test)


def need_earshot(root=True):
    """Skip unless there is an Earshot, and the right to use it."""
    if root and os.geteuid() != 0:
        raise Skip("needs root")
    if not os.access(EARSHOT, os.X_OK):
        raise Skip(f"{os.path.relpath(EARSHOT)} is not built")


def agent(span):
    return span.get("attributes", {}).get("user_agent.original", "")


class Earshot(Process):
    """`earshot ARG…`, by default with JSON lines on standard output."""

    def __init__(self, *args, prefix=(), binary=EARSHOT, env=None, **kw):
        need_earshot(root=False)
        if planter() and args and args[0] in ("run", "attach", "trace"):
            args = (args[0], "--planter", planter(), *args[1:])
        super().__init__([*prefix, binary, *args], env=env or clean_env(), **kw)

    def objects(self):
        return list(json_lines(self.out()))

    def spans(self, kind="server", canaries=False):
        return [o for o in self.objects() if "trace_id" in o and o.get("kind") == kind
                and (canaries or agent(o) != CANARY)]

    def summary(self):
        return next((o["summary"] for o in self.objects() if "summary" in o), None)

    def check_alive(self):
        if not self.alive():
            raise AssertionError(f"earshot ended with {self.popen.returncode}: {self.describe()}")
        return True

    def wait_observing(self, *ports, seconds=30.0):
        """Knock on each port until a span tells that the program is observed."""
        for port in ports:
            mark = f"{port}-{time.monotonic_ns()}"

            def seen(port=port, mark=mark):
                self.check_alive()
                get(port, f"/canary?{mark}", CANARY)
                time.sleep(0.03)
                return f"/canary?{mark}" in self.out() or mark in self.out()

            until(f"requests to port {port} are seen; earshot says {self.err()!r}", seen, seconds)
        return self

    def wait_spans(self, count, seconds=10.0, **kw):
        """Wait until there are so many spans; fewer are left to the comparison."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.alive():
            if len(self.spans(**kw)) >= count:
                break
            time.sleep(0.05)
        return self.spans(**kw)

    def finish(self, seconds=20.0, expect=0):
        """Ctrl-C, then what a user would see."""
        code = self.stop(signal.SIGINT, seconds)
        if code != expect:
            raise AssertionError(f"exit code {code} instead of {expect}: {self.describe()}")
        return self.spans(), self.summary()


def attach(*targets, options=(), observe=(), **kw):
    """earshot attach -o json to these pids, already observing."""
    flags = [a for pid in targets for a in ("-p", str(pid))]
    e = Earshot("attach", *flags, "-o", "json", *options, **kw)
    try:
        return e.wait_observing(*observe)
    except BaseException:
        e.kill()
        raise


def losses(summary):
    """The loss counters of a summary, as a name-to-count dict."""
    assert summary and "losses" in summary, f"no summary with losses: {summary!r}"
    return summary["losses"]


def one_sentence(text):
    """Whether a text is exactly one line of one sentence."""
    lines = [l for l in text.splitlines() if l.strip()]
    return len(lines) == 1 and len(lines[0]) > 10
