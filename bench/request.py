"""What observing a request adds inside the program, with neither network nor load generator: so that it is seen apart
from what they do to each other on a full machine (load.py)."""
import os
import random

from common import Asked, Earshot, Failed, QUICK, WORK, median

MS = 200 if QUICK else 300
BLOCKS = 4 if QUICK else 10
PLANTERS = ("patch", "uprobe")
PATHS = ("/plain", "/json")


def one(target, path, planter):
    if not planter:
        return target.ask(f"{path} {MS}")[:2]
    e = Earshot(target.pid, "-o", "none", "--planter", planter)
    try:
        target.ask(f"{path} 100")  # the rings' pages are there from then on
        return target.ask(f"{path} {MS}")[:2]
    finally:
        e.stop()


def measure():
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise Failed("one CPU: earshot would run in the time that is measured")
    server = [f"{WORK}/server", "-memory"]
    os.sched_setaffinity(0, cpus[1:])
    try:
        target = Asked(["taskset", "-c", str(cpus[0]), *server])
        target.process.stdout.readline()
        rng, rows, notes = random.Random(5), [], []
        for path in PATHS:
            blocks = [{p: one(target, path, p) for p in rng.sample((None, *PLANTERS), 1 + len(PLANTERS))}
                      for _ in range(BLOCKS)]
            plain = median(b[None][0] for b in blocks)
            added = {p: [sorted(b[p][i] - b[None][i] for b in blocks) for i in (0, 1)] for p in PLANTERS}
            ours, theirs = (median(added[p][0]) for p in PLANTERS)
            rows.append((f"added to a request inside the program, {path}", f"{ours:.0f} ns", f"uprobes {theirs:,.0f} ns",
                         f"1/{theirs / ours:.0f}", None))
            spread = ", ".join(f"{a:.0f}" for a in added["patch"][0])
            notes.append(f"{path}, in memory: a request {plain:,.0f} ns without (least batch of 100); added by patch in each of "
                         f"{BLOCKS} pairs of {MS} ms: {spread} ns; to the median batch {median(added['patch'][1]):.0f} ns, by "
                         f"uprobes {median(added['uprobe'][1]):,.0f} ns")
        target.stop()
    finally:
        os.sched_setaffinity(0, cpus)
    return {"rows": rows, "notes": notes, "commands": [" ".join(server)]}
