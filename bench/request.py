"""What observing a request adds inside the program, with neither network nor load generator: so that it is seen apart
from what they do to each other on a full machine (load.py)."""
import os
import random

from common import BEFORE, BUILDS, Asked, Earshot, Failed, QUICK, WORK, against_before, arms_of, blocks_of, median

MS = 200 if QUICK else 300
BLOCKS = blocks_of(4, 10)
PLANTERS = ("patch", "uprobe")
PATHS = ("/plain", "/json")
LEFT_OUT = {f"{p}, left out": p for p in PLANTERS}  # of each request its start and end decide: nothing is written
ARMS = {None: None, **arms_of(PLANTERS), **{arm: (p, BUILDS[""]) for arm, p in LEFT_OUT.items()}}


def one(target, path, arm):
    if not arm:
        return target.ask(f"{path} {MS}")[:2]
    planter, build = ARMS[arm]
    options = ("--sample", "0") if arm in LEFT_OUT else ()
    e = Earshot(target.pid, "-o", "none", "--planter", planter, *options, earshot=build)
    try:
        target.ask(f"{path} 100")  # the rings' pages are there from then on
        return target.ask(f"{path} {MS}")[:2]
    finally:
        e.stop()


def added_before(path, planter, blocks):
    """The row of what this build's probes add beside what those of the one before do, paired by block."""
    now, before = ([b[planter + of][0] - b[None][0] for b in blocks] for of in BUILDS)
    ratios = sorted(n / max(b, 1) for n, b in zip(now, before))
    return (f"now and before: added to a request, {path}, {planter}", f"{median(now):,.0f} ns",
            f"before {median(before):,.0f} ns", f"{median(ratios):.2f} (pairs {ratios[0]:.2f} to {ratios[-1]:.2f})", None)


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
            blocks = [{arm: one(target, path, arm) for arm in rng.sample(list(ARMS), len(ARMS))} for _ in range(BLOCKS)]
            plain = median(b[None][0] for b in blocks)
            added = {p: [sorted(b[p][i] - b[None][i] for b in blocks) for i in (0, 1)] for p in (*PLANTERS, *LEFT_OUT)}
            ours, theirs = (median(added[p][0]) for p in PLANTERS)
            rows.append((f"added to a request inside the program, {path}", f"{ours:.0f} ns", f"uprobes {theirs:,.0f} ns",
                         f"1/{theirs / ours:.0f}", None))
            spread = ", ".join(f"{a:.0f}" for a in added["patch"][0])
            notes.append(f"{path}, in memory: a request {plain:,.0f} ns without (least batch of 100); added by patch in each of "
                         f"{BLOCKS} pairs of {MS} ms: {spread} ns; to the median batch {median(added['patch'][1]):.0f} ns, by "
                         f"uprobes {median(added['uprobe'][1]):,.0f} ns")
            for arm, p in LEFT_OUT.items():
                ratios = sorted((b[arm][0] - b[None][0]) / max(b[p][0] - b[None][0], 1) for b in blocks)
                rows.append((f"the same, of a request that is left out (--sample 0), {path}, {p}",
                             f"{median(added[arm][0]):,.0f} ns", f"kept {median(added[p][0]):,.0f} ns",
                             f"{median(ratios):.2f} (pairs {ratios[0]:.2f} to {ratios[-1]:.2f})", None))
            for planter in PLANTERS if BEFORE else ():
                row, note = against_before(f"a request inside the program, {path}, {planter}",
                                           *([b[planter + of][0] for b in blocks] for of in BUILDS), "ns")
                rows.append(row)
                notes.append(note)
                rows.append(added_before(path, planter, blocks))
        target.stop()
    finally:
        os.sched_setaffinity(0, cpus)
    return {"rows": rows, "notes": notes, "commands": [" ".join(server)]}
