"""What Earshot itself takes for a span: its own CPU time where nothing is made of spans and where they go to a collector on
this machine, and its memory then."""
import random
import re
import subprocess
import time

from common import BUILDS, Child, Earshot, QUICK, WORK, against_before, cpu_seconds, median, memory_kib

LIMIT = 600
SECONDS = 1 if QUICK else 2
BLOCKS = 2 if QUICK else 5
CONNECTIONS = 16
SETTLE = 1.3  # seconds until what is batched for a second has been sent
PLANTERS = ("patch", "uprobe")
GOALS = {"none": 0.35, "OTLP": 1.2}  # µs a span
MEMORY_GOAL = 14  # MiB beside the rings, with OTLP


def wrk(port, seconds):
    """Requests answered."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", f"http://127.0.0.1:{port}/plain"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.search(r"(\d+) requests in", out)[1])


def one(server, port, sink, planter, output, build):
    """A run of earshot. It is loaded before it is measured: what it makes for the first spans is no price of the others."""
    where = ["--otlp", sink] if output == "OTLP" else []
    e = Earshot(server.pid, "-o", "none", *where, "--planter", planter, earshot=build)
    wrk(port, 1)
    time.sleep(SETTLE)
    before = cpu_seconds(e.pid)
    requests = wrk(port, SECONDS)
    memory = memory_kib(e.pid)
    time.sleep(SETTLE)
    us = (cpu_seconds(e.pid) - before) * 1e6 / requests
    e.stop()
    lost = e.summary()[2]
    return {"us": us, "requests": requests, "lost": lost, "command": " ".join(e.command),
            "peak": memory["VmHWM"] / 1024, "beside": (memory["VmRSS"] - memory["RssShmem"]) / 1024,
            "anon": memory["RssAnon"] / 1024}


def blocks(server, port, sink):
    rng = random.Random(15)
    arms = [(p, o, of) for p in PLANTERS for o in GOALS for of in BUILDS]
    return [{(p, o, of): one(server, port, sink, p, o, BUILDS[of]) for p, o, of in rng.sample(arms, len(arms))}
            for _ in range(BLOCKS)]


def rows_of(result, planter, output):
    runs = [b[planter, output, ""] for b in result]
    us, goal = median(r["us"] for r in runs), GOALS[output]
    each = ", ".join(f"{r['us']:.2f}" for r in runs)
    lost = sorted({r["lost"] for r in runs} - {"nothing"})
    rows = [(f"CPU of earshot itself a span, {output}, {planter}", f"{us:.2f} µs", "", "", (f"≤ {goal} µs", us <= goal))]
    notes = [f"a span, {output}, {planter}: µs by block {each}; {sum(r['requests'] for r in runs)} spans; lost: "
             f"{'; '.join(lost) or 'nothing'}"]
    if len(BUILDS) > 1:
        row, note = against_before(f"CPU of earshot itself a span, {output}, {planter}",
                                   *([b[planter, output, of]["us"] for b in result] for of in BUILDS), "µs", 2)
        rows.append(row)
        notes.append(note)
    return rows, notes


def memory_row(result, planter):
    runs = [b[planter, "OTLP", ""] for b in result]
    beside = median(r["beside"] for r in runs)
    return (f"memory of earshot at full load, OTLP, {planter}", f"peak {max(r['peak'] for r in runs):.1f} MiB",
            f"steady {beside:.1f} MiB beside the rings ({median(r['anon'] for r in runs):.1f} anonymous)", "",
            (f"≤ {MEMORY_GOAL} MiB", beside <= MEMORY_GOAL))


def measure():
    server = Child([f"{WORK}/server"], watch="stdout")
    sink = Child([f"{WORK}/orders", "sink"], watch="stdout")
    try:
        port, address = int(server.wait_line(r"^\d+$")[1]), sink.wait_line("^http")[1]
        result = blocks(server, port, address)
    finally:
        server.process.kill()
        sink.process.kill()
    rows, notes = [], []
    for planter in PLANTERS:
        for output in GOALS:
            more, told = rows_of(result, planter, output)
            rows += more
            notes += told
        rows.append(memory_row(result, planter))
    commands = [re.sub("-p [0-9]+", "-p PID", result[0][p, o, ""]["command"]) for p in PLANTERS for o in GOALS]
    return {"rows": rows, "notes": notes, "commands": commands}
