"""What `earshot trace` costs a web service at 60 % load, with each planter, and what --budget makes of it."""
import json
import os
import random
import subprocess

from common import Child, Failed, QUICK, Trace, WORK, cpu_seconds, median, refused

SECONDS = 2
BLOCKS = 2 if QUICK else 4
BUDGET_SECONDS = 3  # it measures for a second, and then acts
LOAD = 0.6
PLANTERS = ("uprobe", "patch")
CPUS = sorted(os.sched_getaffinity(0))
SERVER = ["taskset", "-c", str(CPUS[0])] if len(CPUS) > 1 else []
OTHERS = ["taskset", "-c", ",".join(map(str, CPUS[1:]))] if len(CPUS) > 1 else []


def send(url, rate, seconds):
    """What the open-loop client says; on another CPU than the server where there are two."""
    done = subprocess.run([*OTHERS, f"{WORK}/web", "-url", url, "-rate", f"{rate:.1f}", "-seconds", str(seconds)],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def one(server, url, rate, question, options):
    """options: of earshot; None: without it."""
    t = Trace(server.pid, question, *options) if options is not None else None
    try:
        if t and "--budget" in options:
            send(url, rate, BUDGET_SECONDS)
        before, own = cpu_seconds(server.pid), cpu_seconds(t.pid) if t else 0
        sent = send(url, rate, SECONDS)
        us = {"server": (cpu_seconds(server.pid) - before) * 1e6 / sent["answered"], **sent}
        if t:
            us["own"] = (cpu_seconds(t.pid) - own) * 1e6 / sent["answered"]
            us["command"] = t.command_line
            us["said"] = [line for _, line in t.lines if line and "budget" in line]
    finally:
        summary = t.end() if t else None
    us["summary"] = summary
    return us


def service_row(what, goal, rate, pairs):
    ratios = sorted(w["server"] / wo["server"] for wo, w in pairs)
    percent = (median(ratios) - 1) * 100
    without, observed = (median(p[i]["server"] for p in pairs) for i in (0, 1))
    own = median(w["own"] for _, w in pairs)
    said = sorted({line for _, w in pairs for line in w["said"]})
    lost = {}
    for _, w in pairs:
        for k, n in w["summary"]["losses"].items():
            lost[k] = lost.get(k, 0) + n
    rows = [(f"service at {LOAD:.0%} load, {what}", f"{observed:.0f} µs a request", f"without {without:.0f} µs",
             f"{percent:+.1f} %", (f"< {goal} %", percent < goal)),
            ("of earshot itself, likewise", f"{own:.1f} µs a request", "", f"{own / without * 100:+.1f} %", None)]
    note = (f"{what}: {len(pairs)} pairs of {SECONDS} s at {rate:.0f} requests/s; ratios in %: "
            f"{', '.join(f'{(r - 1) * 100:+.1f}' for r in ratios)}; p99 {median(w['p99_us'] for _, w in pairs):.0f} µs, without "
            f"{median(wo['p99_us'] for wo, _ in pairs):.0f} µs; answered {sum(w['answered'] for _, w in pairs)} of "
            f"{sum(w['sent'] for _, w in pairs)}; left out: { {k: n for k, n in lost.items() if n} or 'nothing'}"
            f"{'; ' + said[-1] if said else ''}")
    return rows, note


def service(server, url, rate, label, question, goal, arms):
    """arms: {planter or other name: options}. Blocks of a run without and one of each, in random order."""
    rng, rows, notes, blocks = random.Random(8), [], [], []
    arms = {"": None, **arms}
    for _ in range(BLOCKS):
        blocks.append({})
        for name in rng.sample(list(arms), len(arms)):
            try:
                blocks[-1][name] = one(server, url, rate, question, arms[name])
            except Failed as why:
                if not refused(name, why):
                    raise
    for name in arms:
        if name and name in blocks[0]:
            more, note = service_row(f"{label}, {name}", goal, rate, [(b[""], b[name]) for b in blocks])
            rows += more
            notes.append(note)
        elif name:
            notes.append(f"{label}, {name}: not with this planter")
    return rows, notes, [b["command"] for b in blocks[0].values() if "command" in b]


def measure():
    server = Child([*SERVER, f"{WORK}/web"], watch="stdout")
    rows, notes, commands = [], [], []
    try:
        url = f"http://127.0.0.1:{server.wait_line(r'^[0-9]+$')[1]}/?user=alice"
        send(url, 100, 2)
        before = cpu_seconds(server.pid)
        answered = send(url, 200, 2)["answered"]
        per_request = (cpu_seconds(server.pid) - before) / answered
        rate = LOAD / per_request if len(CPUS) > 1 else LOAD / 2 / per_request
        both = {planter: ("--planter", planter) for planter in PLANTERS}
        for label, question, goal, arms in (
                ("a function called once a request", "main.once", 1, both),
                ("a function called 100 times a request, counted", "main.often { count() by user }", 5, both),
                ("the same, arguments and results", "main.often", 5, {"--budget 5%": ("--budget", "5%")})):
            more, more_notes, more_commands = service(server, url, rate, label, question, goal, arms)
            rows += more
            notes += more_notes
            commands += more_commands
    finally:
        server.process.kill()
    return {"rows": rows, "notes": notes, "commands": commands}
