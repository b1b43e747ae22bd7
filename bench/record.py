"""What a flight recorder takes: the CPU of a request, of the server and of earshot together, with `earshot record` beside
`earshot attach -o none` with the same packs."""
import random
import re
import subprocess
import time

from common import EARSHOT, QUICK, WORK, Child, cpu_seconds, median, memory_kib

LIMIT = 600
SECONDS = 1 if QUICK else 3
BLOCKS = 3 if QUICK else 8
CONNECTIONS = 16
SETTLE = 0.3
PLANTERS = ("patch", "uprobe")
RULE = "status == error || latency > 1s || panicked || exit"
GOAL = 1.01


def wrk(port, seconds):
    """Requests answered."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", f"http://127.0.0.1:{port}/json"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.search(r"(\d+) requests in", out)[1])


def command_of(planter, records, pid):
    what = ["record", "--last", "30s", "--dump-on", RULE, "--dump-to", WORK] if records else ["attach", "-o", "none"]
    return [EARSHOT, *what, "--planter", planter, "-p", str(pid)]


def one(server, port, planter, records):
    """It is loaded before it is measured: the memory of a recording is had once."""
    e = Child(command_of(planter, records, server.pid))
    e.wait_line(r"observing .*\(pid ")
    wrk(port, 1)
    time.sleep(SETTLE)
    before = cpu_seconds(e.pid), cpu_seconds(server.pid)
    requests = wrk(port, SECONDS)
    time.sleep(SETTLE)
    own, theirs = (cpu_seconds(pid) - b for pid, b in zip((e.pid, server.pid), before))
    memory = memory_kib(e.pid)
    e.stop()
    lost = re.search(r"\); ([^;]*);", e.lines[-2][1])[1]
    return {"own": own * 1e6 / requests, "all": (own + theirs) * 1e6 / requests, "requests": requests, "lost": lost,
            "anon": memory["RssAnon"] / 1024}


def rows_of(blocks, planter):
    on, off = ([b[planter, records] for b in blocks] for records in (True, False))
    ratios = sorted(a["all"] / b["all"] for a, b in zip(on, off))
    own = median(a["own"] - b["own"] for a, b in zip(on, off))
    told = ", ".join(f"{a['all']:.2f}/{b['all']:.2f}" for a, b in zip(on, off))
    lost = sorted({r["lost"] for r in on + off} - {"none lost"})
    return [(f"CPU of a request, recorded, {planter}", f"{median(r['all'] for r in on):.2f} µs",
             f"not recorded {median(r['all'] for r in off):.2f} µs",
             f"{median(ratios):.3f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
             (f"≤ {GOAL}", median(ratios) <= GOAL)),
            (f"of that the recorder's own, {planter}", f"{own:+.3f} µs a request",
             f"earshot without it {median(r['own'] for r in off):.2f} µs",
             f"memory {median(r['anon'] for r in on):.0f} MiB beside {median(r['anon'] for r in off):.0f}", "")], \
        f"a request, {planter}: µs recorded/not by block {told}; " \
        f"{sum(r['requests'] for r in on)} and {sum(r['requests'] for r in off)} requests; lost: {'; '.join(lost) or 'nothing'}"


def measure():
    server = Child([f"{WORK}/server"], watch="stdout")
    try:
        port = int(server.wait_line(r"^\d+$")[1])
        rng = random.Random(14)
        arms = [(p, records) for p in PLANTERS for records in (True, False)]
        blocks = [{arm: one(server, port, *arm) for arm in rng.sample(arms, len(arms))} for _ in range(BLOCKS)]
    finally:
        server.process.kill()
    rows, notes = [], []
    for planter in PLANTERS:
        more, told = rows_of(blocks, planter)
        rows += more
        notes.append(told)
    commands = [" ".join(command_of(p, records, "PID")).replace(RULE, f"'{RULE}'") for p, records in arms]
    return {"rows": rows, "notes": notes, "commands": commands}
