"""What a USDT probe of a C program costs: unattached, a hit counted or recorded, against bpftrace at the same places."""
import os
import random
import subprocess
import time

from common import HERE, QUICK, WORK, Bursts, Child, Failed, blocks_of, median

BURST = 10000  # records of one burst fit the ring
BURSTS = 8 if QUICK else 20
BLOCKS = blocks_of(2, 4)
EARSHOT = os.environ["EARSHOT"]


def attached(target, command, watch, said):
    tracer = Child(command, watch=watch)
    try:
        tracer.wait_line(said, 30)
        end = time.time() + 10
        while target.bursts() < 200 and time.time() < end:
            pass
        return target.bursts()
    finally:
        tracer.stop()


def earshot(question):
    return lambda target: attached(target, [EARSHOT, "trace", "-o", "/dev/null", "-p", str(target.pid), "usdt:bench:hit" + question],
                                   "stderr", "in place")


def bpftrace(place):
    return lambda target: attached(target, ["bpftrace", "-e", f"{place} {{ @ = count(); }}"], "stdout", "Attaching")


def measure():
    program = f"{WORK}/usdt-probed"
    if subprocess.run(["gcc", "-O2", "-o", program, f"{HERE}/usdt/main.c"], check=False).returncode:
        raise Failed("bench/usdt does not build (systemtap-sdt-dev has sys/sdt.h)")
    arms = {"none": lambda target: target.bursts(), "count": earshot(" { count() }"), "record": earshot(" { print(text(arg0), arg1) }"),
            "usdt": bpftrace(f"usdt:{program}:bench:hit"), "uprobe": bpftrace(f"uprobe:{program}:observed")}
    rng, target, bare = random.Random(1), Bursts([program], BURST, BURSTS, 0.06), Bursts([program, "bare"], BURST, BURSTS, 0)
    results = {arm: [] for arm in arms}
    idle = []
    try:
        for _ in range(BLOCKS):
            for arm in rng.sample(sorted(arms), len(arms)):
                results[arm].append(arms[arm](target))
            idle.append(target.bursts() - bare.bursts())
    finally:
        target.stop()
        bare.stop()
    net = {arm: [ns - n for ns, n in zip(results[arm], results["none"])] for arm in arms}
    ratios = {of: median(a / b for a, b in zip(net["count"], net[of])) for of in ("usdt", "uprobe")}
    return {
        "rows": [
            ("USDT: a probe that nobody looks at", f"{median(idle):.2f} ns", "", "", ("≤ 3 ns", median(idle) <= 3)),
            ("USDT: a hit, counted", f"{median(net['count']):.0f} ns", f"bpftrace, the function's uprobe {median(net['uprobe']):.0f} ns",
             f"{ratios['uprobe']:.2f}", ("≤ 0.5", ratios["uprobe"] <= 0.5)),
            ("USDT: the same", f"{median(net['count']):.0f} ns", f"bpftrace, the probe {median(net['usdt']):.0f} ns",
             f"{ratios['usdt']:.2f}", ("≤ 0.1", ratios["usdt"] <= 0.1)),
            ("USDT: a hit, one record with a text and a number", f"{median(net['record']):.0f} ns", "", "", None),
        ],
        "commands": [f"{EARSHOT} trace -p PID 'usdt:bench:hit {{ count() }}'"],
        "notes": [f"usdt: median of {BURSTS} bursts of {BURST} calls, {BLOCKS} blocks in random order, ratios paired by block"],
    }
