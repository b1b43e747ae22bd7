"""What a recorded call costs where the probe is inside the program, beside uprobes on the very same function."""
import os
import random

from common import BEFORE, Asked, Failed, QUICK, Trace, WORK, against_before, arms_of, blocks_of, median

MS = 200 if QUICK else 300
BLOCKS = blocks_of(2, 4)
PLANTERS = ("patch", "uprobe")
RUNS = {None: None, **arms_of(PLANTERS)}
TRIES = 3
WARM_CALLS = 15000  # with a record of 72 bytes or more each they fill the ring once
RING = (1 << 20) * max(os.cpu_count(), 4)  # 1 MiB for each P: written through, and so in place, before it counts

# label: (which function, on how many Ps, the question, goal of its cost in ns)
ARMS = {
    "entry, an int": ("observed", 1, "main.observed { print(n) }", None),
    "entry and return, an int each": ("observed", 1, "main.observed", 30),
    "the same on two Ps at once": ("observed", 2, "main.observed", None),
    "entry, a string of 32 bytes": ("named", 1, "main.named { print(s) }", None),
    "entry, a condition on the string that does not match": (
        "named", 1, f'main.named if s == "{"nobody@example.com":.<32}" {{ print(s) }}', None),
}
TIMES_GOAL = 150  # the pair, against uprobes


def ask(target, which, procs):
    """(the least, the median) ns per call over batches, and the calls."""
    return target.ask(f"{which} {MS} {procs}")


def observed(target, planter, build, which, procs, question):
    """A run in which nothing was lost: a record that is dropped would look cheap. A stalled machine may lose some."""
    for _ in range(TRIES):
        t = Trace(target.pid, question, "--planter", planter, "--ring-size", str(RING), earshot=build)
        try:
            warm = 0
            while planter == "patch" and warm < WARM_CALLS * procs:
                warm += ask(target, which, procs)[2]
            least, middle, calls = ask(target, which, procs)
        finally:
            summary = t.end()
        lost = {k: n for k, n in summary["losses"].items() if n}
        if not lost and (" if " in question or summary["calls"] >= calls):
            return least, middle, t.command_line
    raise Failed(f"{planter}: {question!r} saw {summary['calls']} of {calls} calls and lost {lost}, {TRIES} times")


def interleaved(target):
    """{(label, arm or None): [(least, median) of each block]}, and the commands."""
    rng, results, commands = random.Random(4), {}, []
    for _ in range(BLOCKS):
        runs = [(label, arm) for label in ARMS for arm in RUNS]
        for label, arm in rng.sample(runs, len(runs)):
            which, procs, question, _ = ARMS[label]
            if arm:
                least, middle, command = observed(target, *RUNS[arm], which, procs, question)
                commands.append(command)
            else:
                least, middle, _ = ask(target, which, procs)
            results.setdefault((label, arm), []).append((least, middle))
    return results, list(dict.fromkeys(commands))


def net(results, label, arm, which):
    """What a probe adds, block by block; which: 0 of the least batch, 1 of the median one."""
    return [with_it[which] - without[which] for with_it, without in zip(results[label, arm], results[label, None])]


def rows_of(results, label):
    goal = ARMS[label][3]
    plain = median(least for least, _ in results[label, None])
    ours, theirs = (median(net(results, label, planter, 0)) for planter in PLANTERS)
    times = theirs / ours
    what = f"inside the program: {label}"
    rows = [(what, f"{ours:.1f} ns", f"uprobes {theirs:,.0f} ns", f"1/{times:.0f}",
             ("≤ 1/150", times >= TIMES_GOAL) if goal else None)]
    if goal:
        rows.append(("the same against the call itself", f"{ours:.1f} ns", f"the call {plain:.1f} ns",
                     f"{ours / plain:.1f}", (f"≤ {goal} ns", ours <= goal)))
    middles = [median(net(results, label, planter, 1)) for planter in PLANTERS]
    blocks = ", ".join(f"{n:.1f}" for n in net(results, label, "patch", 0))
    note = (f"{label}: least batch of each block {blocks} ns; median batch {middles[0]:.1f} ns, uprobes {middles[1]:,.0f} ns; "
            f"the call itself {plain:.1f} ns")
    notes = [note]
    for planter in PLANTERS if BEFORE else ():
        row, note = against_before(f"{label}, {planter}", net(results, label, planter, 0),
                                   net(results, label, planter + " before", 0), "ns", 1)
        rows.append(row)
        notes.append(note)
    return rows, notes


def measure():
    if len(os.sched_getaffinity(0)) < 2:
        raise Failed("one CPU: the reader of the records would run in the time that is measured")
    target = Asked([f"{WORK}/edges"])
    try:
        results, commands = interleaved(target)
    finally:
        target.stop()
    rows, notes = [], [f"inside the program: {BLOCKS} blocks in random order of {MS} ms each, batches of 50 calls; "
                       f"what a call costs without is subtracted; every record was read and printed meanwhile"]
    for label in ARMS:
        more, told = rows_of(results, label)
        rows += more
        notes += told
    return {"rows": rows, "notes": notes, "commands": commands}
