"""CPU time of a server per request at full load, without earshot and with each of its planters; and earshot's own, and
its memory."""
import glob
import random
import re
import subprocess

from common import (BEFORE, BUILDS, Child, Earshot, QUICK, WORK, against_before, arms_of, blocks_of, cpu_seconds, median,
                    memory_kib)

SECONDS = 1 if QUICK else 2
BLOCKS = blocks_of(2, 4)
CONNECTIONS = 16
STATS = "/proc/sys/kernel/bpf_stats_enabled"
PATHS = ("/plain", "/json")
PLANTERS = {"uprobe": 3, "patch": 1}  # and the goal, in percent, for the first path
ARMS = {None: None, **arms_of(PLANTERS)}


def wrk(port, path, seconds):
    """Requests answered."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", f"http://127.0.0.1:{port}{path}"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.search(r"(\d+) requests in", out)[1]), " ".join(command)


def one(server, port, path, arm):
    planter, build = ARMS[arm] or (None, None)
    e = Earshot(server.pid, "-o", "none", "--planter", planter, earshot=build) if arm else None
    before, own_before = cpu_seconds(server.pid), cpu_seconds(e.pid) if e else 0
    requests, command = wrk(port, path, SECONDS)
    us = {"server": (cpu_seconds(server.pid) - before) * 1e6 / requests, "requests": requests, "wrk": command}
    if e:
        us["own"] = (cpu_seconds(e.pid) - own_before) * 1e6 / requests
        us["memory"] = memory_kib(e.pid)
        e.stop()
        us["earshot"] = " ".join(e.command)
        us["spans"], us["events"], us["lost"] = e.summary()
    return us


def blocks(server, port, path, rng):
    """Blocks of a run without and one with each planter, in random order: what drifts hits all."""
    wrk(port, path, 1)
    return [{arm: one(server, port, path, arm) for arm in rng.sample(list(ARMS), len(ARMS))} for _ in range(BLOCKS)]


def program_ns(pid):
    """(runs, ns per run) of each BPF program that a process holds and that ran, from fdinfo."""
    found = {}
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        with open(path) as f:
            info = dict(re.findall(r"^(prog_id|run_time_ns|run_cnt):\s+(\d+)", f.read(), re.M))
        if int(info.get("run_cnt", 0)):
            found[info["prog_id"]] = (int(info["run_cnt"]), int(info["run_time_ns"]) / int(info["run_cnt"]))
    return sorted(found.values(), reverse=True)


def inside_the_kernel(server, port):
    """A run of its own with the kernel's accounting on, which itself costs some ten ns a program."""
    with open(STATS) as f:
        before = f.read()
    e = Earshot(server.pid, "-o", "none")
    try:
        with open(STATS, "w") as f:
            f.write("1")
        requests, _ = wrk(port, PATHS[0], SECONDS)
        programs = program_ns(e.pid)
    finally:
        with open(STATS, "w") as f:
            f.write(before)
        e.stop()
    often = [f"{ns / 1000:.2f}" for runs, ns in programs if runs > requests / 2]
    us = sum(runs * ns for runs, ns in programs) / 1000 / requests
    return ("of the server's: in BPF programs (more in traps)", f"{us:.2f} µs", f"a run each: {', '.join(often)} µs", "", None)


def rows_of(path, result, planter):
    """result: the blocks."""
    pairs = [(block[None], block[planter]) for block in result]
    ratios = sorted(w["server"] / wo["server"] for wo, w in pairs)
    percent = (median(ratios) - 1) * 100
    without, observed = (median(p[i]["server"] for p in pairs) for i in (0, 1))
    own = median(w["own"] for _, w in pairs)
    spans, requests = (sum(w[k] for _, w in pairs) for k in ("spans", "requests"))
    lost = sorted({w["lost"] for _, w in pairs} - {"nothing"})
    goal = PLANTERS[planter]
    rows = [(f"CPU of the server per request, {path}, {planter}", f"{observed:.2f} µs", f"without {without:.2f} µs",
             f"{percent:+.1f} %", (f"≤ +{goal} %", percent <= goal) if path == PATHS[0] else None),
            (f"CPU of earshot itself per request, {path}, {planter}", f"{own:.2f} µs", "", f"{own / without * 100:.1f} %", None)]
    spread = ", ".join(f"{(r - 1) * 100:+.1f}" for r in ratios)
    note = (f"{path}, {planter}: {BLOCKS} pairs of {SECONDS} s, {median(w['requests'] for _, w in pairs) / SECONDS:,.0f} requests/s "
            f"observed, {median(wo['requests'] for wo, _ in pairs) / SECONDS:,.0f} not; paired ratios in %: {spread}; {spans} spans "
            f"of {requests} requests, {sum(w['events'] for _, w in pairs) / requests:.1f} events each, "
            f"lost: {'; '.join(lost) or 'nothing'}")
    return rows, note


def memory_row(planter, result):
    memory = [block[planter]["memory"] for block in result]
    peak, steady = max(m["VmHWM"] for m in memory) / 1024, median(m["VmRSS"] for m in memory) / 1024
    anon = median(m["RssAnon"] for m in memory) / 1024
    return (f"memory of earshot at full load, {planter}", f"peak {peak:.1f} MiB", f"steady {steady:.1f} MiB "
            f"({anon:.1f} anonymous)", "", ("≤ 40, 15 MiB", peak <= 40 and steady <= 15))


def measure():
    rng = random.Random(2)
    server = Child([f"{WORK}/server"], watch="stdout")
    port = int(server.wait_line(r"^\d+$")[1])
    rows, notes, all_blocks = [], [], []
    try:
        for path in PATHS:
            result = blocks(server, port, path, rng)
            for planter in PLANTERS:
                more, note = rows_of(path, result, planter)
                rows += more
                notes.append(note)
                if BEFORE:
                    pair = ([b[planter + of]["server"] for b in result] for of in BUILDS)
                    row, note = against_before(f"CPU of the server per request, {path}, {planter}", *pair, "µs", 2)
                    rows.append(row)
                    notes.append(note)
                if path == PATHS[0] and planter == "uprobe":
                    rows.append(inside_the_kernel(server, port))
            all_blocks += result
    finally:
        server.process.kill()
    rows += [memory_row(planter, all_blocks) for planter in PLANTERS]
    return {"rows": rows, "notes": notes,
            "commands": [*(all_blocks[0][arm]["earshot"] for arm in ARMS if arm), all_blocks[0][None]["wrk"]]}
