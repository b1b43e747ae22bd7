"""Runs the parts and prints one table: what was measured, against what, the ratio, the goal."""
import importlib
import os
import platform
import signal
import sys

from common import QUICK, Failed, kill_children

ALL = ("hit", "patch", "chain", "aggregates", "request", "load", "agent", "record", "start", "questions", "trace", "service", "weave", "usdt")
LIMIT = 300  # seconds that a part may take that names no limit of its own
PARTS = os.environ.get("BENCH_ONLY", "").split() or ALL


def print_table(rows):
    cells = [("", "earshot", "compared with", "ratio", "goal")]
    for what, value, other, ratio, goal in rows:
        cells.append((what, value, other, ratio, f"{goal[0]} {'met' if goal[1] else 'MISSED'}" if goal else ""))
    widths = [max(len(c[i]) for c in cells) for i in range(5)]
    for c in cells:
        print("  ".join(c[i].ljust(widths[i]) for i in range(5)).rstrip())


def too_long(*_):
    raise Failed("it was not done in time")


def main():
    signal.signal(signal.SIGALRM, too_long)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    rows, notes, commands, failed = [], [], [], 0
    for part in PARTS:
        if part not in ALL:
            sys.exit(f"bench: no part {part!r} (there are: {' '.join(ALL)})")
    for part in PARTS:
        print(f"bench: {part} …", file=sys.stderr, flush=True)
        module = importlib.import_module(part)
        signal.alarm(getattr(module, "LIMIT", LIMIT))
        try:
            result = module.measure()
        except Failed as why:
            failed += 1
            notes.append(f"{part}: NOT MEASURED: {why}")
            continue
        finally:
            signal.alarm(0)
            kill_children()
        rows += result["rows"]
        notes += result["notes"]
        commands += result["commands"]
        failed += result.get("failed", 0)
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, {os.environ['BENCH_GO']}, load average "
          f"{os.getloadavg()[0]:.1f}{', quick' if QUICK else ''}\n")
    print_table(rows)
    print()
    for n in notes:
        print(f"- {n}")
    print("\nMade with BENCH_ONLY={!r} make bench, which ran:".format(" ".join(PARTS)))
    for c in dict.fromkeys(commands):
        print(f"    {c}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
