#!/usr/bin/env python3
"""Run the end-to-end tests.

  tests/e2e/run.py                  all groups
  tests/e2e/run.py matrix load      these groups
  tests/e2e/run.py 'matrix/*1.27*'  these tests
  tests/e2e/run.py --list

A group is a module beside this file; its tests() yields Test objects. The
output is TAP; the last line is "N passed, N failed, N skipped".
"""

import fnmatch
import importlib
import multiprocessing
import os
import pathlib
import signal
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "lib"), str(HERE)]

from proc import PATIENCE, Skip, kill_all  # noqa: E402

# Quick ones first: what is broken altogether shows early.
GROUPS = (
    "client_server",
    "binaries",
    "failures",
    "run_verb",
    "packs",
    "own_spans",
    "contexts",
    "http_client",
    "matrix",
    "third_party",
    "containers",
    "changed_files",
    "privileges",
    "virtual_machine",
    "spans_and_calls",
    "keep",
    "record",
    "sampling",
    "propagate",
    "propagate_messages",
    "otlp_export",
    "under_load",
    "attach_cycles",
    "trace_language",
    "trace_values",
    "trace_behaviour",
    "trace_outputs",
    "trace_third_party",
    "trace_holes",
    "trace_guide",
    "trace_cycles",
    "http_edges",
    "routers",
    "trace_corners",
    "trace_types",
    "inlined",
    "follow",
    "trace_aggregates",
    "trace_conditions",
    "patch_sequence",
    "patch_faults",
    "patch_whole",
    "go_probe",
    "parents",
    "one_trace",
    "trace_trouble",
    "sdk", "otel_api",
    "grpc",
    "databases",
    "messages",
    "woven",
    "weave_source",
    "gotrace",
    "usdt",
    "usdt_events",
    "usdt_debian",
    "weave",
    "weave_builds",
    "weave_usdt",
    "woven_traces",
    "weave_suites",
    "weave_programs",
)

# These take long, and mind nothing but their own files and processes (a virtual machine, the go command), so they run
# beside the others.
BESIDE = ("virtual_machine", "propagate/uprobe-*", "weave_source", "gotrace", "weave", "weave_builds", "weave_usdt",
          "woven_traces", "weave_suites")
NICER = 5  # the others measure how a program fares


class TimedOut(Exception):
    pass


def on_alarm(*_):
    raise TimedOut


def wanted(name, patterns):
    return not patterns or any(name == p or name.startswith(p + "/") or fnmatch.fnmatch(name, p)
                               for p in patterns)


def collect(patterns):
    """(full name, Test) of every test that is asked for, in order."""
    for group in GROUPS:
        if not any(fnmatch.fnmatch(group, p.split("/")[0]) for p in patterns or ["*"]):
            continue
        for test in importlib.import_module(group).tests():
            name = f"{group}/{test.name}"
            if wanted(name, patterns):
                yield name, test


def attempt(test):
    """Run one test; returns (result, text)."""
    signal.alarm(PATIENCE * test.seconds)
    try:
        note = test.run()
        return "passed", note or ""
    except Skip as e:
        return "skipped", str(e)
    except TimedOut:
        return "failed", f"not finished after {PATIENCE * test.seconds} s"
    except AssertionError as e:
        return "failed", str(e) or traceback.format_exc()
    except Exception:  # a broken test is a failed one; the rest goes on
        return "failed", traceback.format_exc()
    finally:
        signal.alarm(0)
        kill_all()


def report(number, name, result, text, seconds):
    line = f"{'not ok' if result == 'failed' else 'ok'} {number} - {name}"
    if result == "skipped":
        print(f"{line} # SKIP {text}")
    else:
        print(f"{line} ({seconds:.1f} s){': ' + text if text and result == 'passed' else ''}")
    if result == "failed":
        for part in text.splitlines():
            print(f"#   {part[:400]}")
    sys.stdout.flush()


def outcomes(tests):
    """(name, result, text, seconds) of each test, as it ends."""
    for name, test in tests:
        started = time.monotonic()
        result, text = attempt(test)
        yield name, result, text, time.monotonic() - started


class Beside:
    """A child process that runs tests, and sends their outcomes."""

    def __init__(self, tests):
        self.outcomes, there = multiprocessing.Pipe(duplex=False)
        self.tests, self.pid = [name for name, _ in tests], os.fork()
        if not self.pid:
            os.nice(NICER)
            for outcome in outcomes(tests):
                there.send(outcome)
            sys.exit(0)
        there.close()

    def ended(self, wait):
        """The outcomes that are there; with wait, of all its tests."""
        try:
            while self.tests and (wait or self.outcomes.poll()):
                outcome = self.outcomes.recv()
                self.tests.remove(outcome[0])
                yield outcome
        except EOFError:
            for name in self.tests:
                yield name, "failed", "the process that runs tests beside the others has ended", 0
            self.tests = []

    def end(self):
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)


def both(aside, rest):
    """The outcomes of two lists of tests that run at the same time."""
    if not aside or not rest:
        yield from outcomes(aside or rest)
        return
    beside = Beside(aside)
    try:
        for outcome in outcomes(rest):
            yield outcome
            yield from beside.ended(wait=False)
        yield from beside.ended(wait=True)
    finally:
        beside.end()


def main(argv):
    patterns = [a for a in argv if not a.startswith("-")]
    if "--list" in argv:
        for name, _ in collect(patterns):
            print(name)
        return 0
    unknown = [p for p in patterns if not any(fnmatch.fnmatch(g, p.split("/")[0]) for g in GROUPS)]
    if unknown:
        print(f"no such group: {', '.join(unknown)}; there are {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    # A shell starts background jobs with SIGINT ignored, and what we start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tests = list(collect(patterns))
    aside = [t for t in tests if wanted(t[0], BESIDE)]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for number, outcome in enumerate(both(aside, [t for t in tests if t not in aside]), 1):
        counts[outcome[1]] += 1
        report(number, *outcome)
    print(", ".join(f"{n} {what}" for what, n in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(sys.argv[1:]))
