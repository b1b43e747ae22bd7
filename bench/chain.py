"""What it costs to follow a chain of contexts at a span's start: the same program and span, with and without."""
import os
import random

from common import HERE, QUICK, WORK, Asked, Earshot, Failed, blocks_of, median

MS = 200 if QUICK else 300
BLOCKS = blocks_of(2, 6)
LENGTHS = (8, 32)
PLANTERS = ("patch", "uprobe")
PACKS = {"without": "plain", "with": "under"}
TRIES = 3
WARM_CALLS = 15000
RING = (1 << 20) * max(os.cpu_count(), 4)  # 1 MiB for each P: written through before it counts


def ask(target, links):
    """(the least, the median) ns per span over batches, and the spans."""
    return target.ask(f"under{links} {MS} 1")


def observed(target, planter, pack, links):
    """A run in which nothing was lost: a record that is dropped would look cheap."""
    for _ in range(TRIES):
        e = Earshot(target.pid, "-o", "none", "--planter", planter, "--ring-size", str(RING), "--packs",
                    f"{HERE}/edges/{pack}.yaml")
        try:
            warm = 0
            while planter == "patch" and warm < WARM_CALLS:
                warm += ask(target, links)[2]
            least, middle, calls = ask(target, links)
        finally:
            e.stop()
        spans, _, lost = e.summary()
        if lost == "nothing" and spans >= calls:
            return least, middle, " ".join(e.command)
    raise Failed(f"{planter}, {pack}: saw {spans} of {calls} spans and lost {lost}, {TRIES} times")


def interleaved(target):
    """{(links, planter or None, pack or None): [(least, median) of each block]}, and the commands."""
    rng, results, commands = random.Random(5), {}, []
    arms = [(None, None)] + [(planter, pack) for planter in PLANTERS for pack in PACKS]
    for _ in range(BLOCKS):
        runs = [(links, *arm) for links in LENGTHS for arm in arms]
        for links, planter, pack in rng.sample(runs, len(runs)):
            if planter:
                least, middle, command = observed(target, planter, PACKS[pack], links)
                commands.append(command)
            else:
                least, middle, _ = ask(target, links)
            results.setdefault((links, planter, pack), []).append((least, middle))
    return results, list(dict.fromkeys(commands))


def net(results, links, planter, pack, which=0):
    """What the probes add, block by block; which: 0 of the least batch, 1 of the median one."""
    return [with_it[which] - without[which]
            for with_it, without in zip(results[links, planter, pack], results[links, None, None])]


def rows_of(results, links, planter):
    nets = {pack: net(results, links, planter, pack) for pack in PACKS}
    adds = [a - b for a, b in zip(nets["with"], nets["without"])]
    row = (f"a span's start and end, {planter}: with a chain of {links} links", f"{median(nets['with']):,.1f} ns",
           f"without {median(nets['without']):,.1f} ns", f"{median(adds) / links:.2f} ns a link", None)
    middles = [median(net(results, links, planter, pack, 1)) for pack in PACKS]
    note = (f"chain of {links}, {planter}: it adds {median(adds):,.1f} ns (by block "
            f"{', '.join(f'{n:,.1f}' for n in adds)}); median batch {middles[1]:,.1f} ns, without {middles[0]:,.1f}")
    return row, note


def measure():
    if len(os.sched_getaffinity(0)) < 2:
        raise Failed("one CPU: the reader of the records would run in the time that is measured")
    target = Asked([f"{WORK}/edges"])
    try:
        results, commands = interleaved(target)
    finally:
        target.stop()
    told = [rows_of(results, links, planter) for planter in PLANTERS for links in LENGTHS]
    notes = [f"chain: {BLOCKS} blocks in random order of {MS} ms each, batches of 50 spans; what the calls cost without "
             f"is subtracted", *(note for _, note in told)]
    return {"rows": [row for row, _ in told], "notes": notes, "commands": commands}
