"""Aggregates that the patched program keeps itself: what a call costs, and whether all are counted at full speed."""
import json
import os
import random

from common import BEFORE, EARSHOT, Asked, Failed, QUICK, Trace, WORK, median
from patch import RING, TRIES, WARM_CALLS, ask

MS = 200 if QUICK else 300
BLOCKS = 3 if QUICK else 6

# label: (which function, on how many Ps, the question, what writes a record of the same values)
ARMS = {
    "count()": ("observed", 1, "main.observed { count() }", "main.observed { print(n) }"),
    "count() on two Ps at once": ("observed", 2, "main.observed { count() }", "main.observed { print(n) }"),
    "count() if n >= 0": ("observed", 1, "main.observed if n >= 0 { count() }", "main.observed if n >= 0 { print(n) }"),
    "hist(n)": ("observed", 1, "main.observed { hist(n) }", "main.observed { print(n) }"),
    "count() by s, a string of 32 bytes": ("named", 1, "main.named { count() by s }", "main.named { print(s) }"),
    "sum(r), of the result": ("observed", 1, "main.observed { sum(r) }", "main.observed { print(r) }"),
    "hist(latency) by s": ("named", 1, "main.named { hist(latency) by s }", "main.named { print(s, latency) }"),
}
FULL_QUESTIONS = ("main.observed { count() }", "main.observed { hist(n) by goid }", "main.observed { sum(r) }")


def run(target, earshot, which, procs, question):
    """(the least ns of a batch, the calls, the Trace) of a run that lost nothing; its rate: million calls a second."""
    for _ in range(TRIES):
        t = Trace(target.pid, question, "--planter", "patch", "--ring-size", str(RING), earshot=earshot)
        try:
            calls = 0
            while calls < WARM_CALLS * procs:
                calls += ask(target, which, procs)[2]
            least, _, more = ask(target, which, procs)
            calls += more
            t.rate = more / MS / 1e3
        finally:
            summary = t.end()
        lost = {k: n for k, n in summary["losses"].items() if n}
        if not lost:
            return least, calls, t
    raise Failed(f"{question!r} lost {lost}, {TRIES} times")


def counted(t):
    with open(t.out) as f:
        return sum(o["count"] for o in map(json.loads, f) if "aggregate" in o)


def interleaved(target):
    rng, results, commands = random.Random(6), {}, []
    for _ in range(BLOCKS):
        runs = [(label, arm) for label in ARMS for arm in ("none", "kept", "record")]
        for label, arm in rng.sample(runs, len(runs)):
            which, procs, question, record = ARMS[label]
            if arm == "none":
                least = ask(target, which, procs)[0]
            else:
                asked = question if arm == "kept" or BEFORE else record
                least, calls, t = run(target, EARSHOT if arm == "kept" else BEFORE or EARSHOT, which, procs, asked)
                commands.append(t.command_line)
                if arm == "kept" and counted(t) != calls:
                    raise Failed(f"{question!r} counted {counted(t)} of {calls} calls")
            results.setdefault((label, arm), []).append(least)
    return results, list(dict.fromkeys(commands))


def full_speed(target):
    """Two goroutines without rests, on both CPUs: a row for each question."""
    rows = []
    for question in FULL_QUESTIONS:
        _, calls, t = run(target, EARSHOT, "full", 2, question)
        rows.append((f"two Ps at full speed: {question}", f"{counted(t):,}", f"calls {calls:,}",
                     f"{t.rate:.0f} M/s", ("exact", counted(t) == calls)))
    return rows


def measure():
    if len(os.sched_getaffinity(0)) < 2:
        raise Failed("one CPU: the reader would run in the time that is measured")
    target = Asked([f"{WORK}/edges"])
    try:
        results, commands = interleaved(target)
        rows = full_speed(target)
    finally:
        target.stop()
    notes, arms = [], []
    for label in ARMS:
        plain = results[label, "none"]
        kept, record = ([a - b for a, b in zip(results[label, arm], plain)] for arm in ("kept", "record"))
        ratio = median(a / b for a, b in zip(kept, record))
        arms.append((f"aggregates with the patch planter: {label}", f"{median(kept):.1f} ns",
                     f"by records {median(record):.1f} ns", f"{ratio:.2f}", ("≤ 1.0", ratio <= 1)))
        notes.append(f"{label}: kept {', '.join(f'{n:.1f}' for n in kept)}; "
                     f"by records {', '.join(f'{n:.1f}' for n in record)} ns")
    notes.append(f"by records: {'the same questions with ' + BEFORE if BEFORE else 'questions that print the same values'}")
    return {"rows": arms + rows, "notes": notes, "commands": commands}
