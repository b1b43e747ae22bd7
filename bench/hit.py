"""What one hit costs: a probe that makes a record, against bpftrace counting at the function's first byte."""
import functools
import random
import time

from common import BUILDS, HERE, QUICK, WORK, Bursts, Child, Earshot, Failed, against_before, blocks_of, median

BURST = 10000  # records of one burst fit the ring, so that none is cheap for being lost
BURSTS = 8 if QUICK else 20
BLOCKS = blocks_of(2, 4)


def with_nothing(target):
    return target.bursts(), {}


def with_earshot(target, build):
    e = Earshot(target.pid, "-o", "none", "--packs", f"{HERE}/hit/pack.yaml", earshot=build)
    try:
        ns = target.bursts()
    finally:
        e.stop()
    _, events, lost = e.summary()
    if events < BURST * BURSTS:
        raise Failed(f"earshot saw {events} of {BURST * BURSTS} calls (lost: {lost})")
    return ns, {build: " ".join(e.command)}


def with_bpftrace(target):
    b = Child(["bpftrace", "-e", f"uprobe:{WORK}/hit:main.observed {{ @ = count(); }}"], watch="stdout")
    try:
        b.wait_line("Attaching", 30)
        # It says so before it does it; the first slow call tells.
        end = time.time() + 10
        while target.bursts() < 200 and time.time() < end:
            pass
        ns = target.bursts()
    finally:
        b.stop()
    if not any(line and line.startswith("@: ") for _, line in b.lines):
        raise Failed(f"bpftrace counted nothing: {b.said()}")
    return ns, {"bpftrace": " ".join(b.command)}


def measure():
    arms = {"none": with_nothing, "bpftrace": with_bpftrace}
    arms |= {"earshot" + of: functools.partial(with_earshot, build=build) for of, build in BUILDS.items()}
    rng = random.Random(1)
    target = Bursts([f"{WORK}/hit"], BURST, BURSTS, 0.06)
    results = {arm: [] for arm in arms}
    commands = {}
    try:
        for _ in range(BLOCKS):
            for arm in rng.sample(sorted(arms), len(arms)):
                ns, made_by = arms[arm](target)
                results[arm].append(ns)
                commands.update(made_by)
    finally:
        target.stop()
    net = {arm: [ns - n for ns, n in zip(results[arm], results["none"])] for arm in arms}
    own, theirs = net["earshot"], net["bpftrace"]
    ratio = median(o / t for o, t in zip(own, theirs))
    compared = [against_before("a hit", own, net[arm], "ns") for arm in net if arm == "earshot before"]
    return {
        "rows": [
            ("a call without a probe", f"{median(results['none']):.1f} ns", "", "", None),
            ("a hit, one record with goroutine and argument", f"{median(own):.0f} ns",
             f"bpftrace count() at the first byte {median(theirs):.0f} ns", f"{ratio:.2f}", ("≤ 0.2", ratio <= 0.2)),
            *(row for row, _ in compared),
        ],
        "commands": list(commands.values()),
        "notes": [f"hit: median of {BURSTS} bursts of {BURST} calls, {BLOCKS} blocks in random order, "
                  f"ratios paired by block: {', '.join(f'{o / t:.2f}' for o, t in zip(own, theirs))}",
                  *(note for _, note in compared)],
    }
