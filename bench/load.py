"""CPU time of a server per request at full load, with earshot and without; and earshot's own, and its memory."""
import glob
import random
import re
import subprocess

from common import Child, Earshot, QUICK, WORK, cpu_seconds, median, memory_kib

SECONDS = 2 if QUICK else 3
BLOCKS = 3 if QUICK else 8
CONNECTIONS = 16
STATS = "/proc/sys/kernel/bpf_stats_enabled"
PATHS = ("/plain", "/json")


def wrk(port, path, seconds):
    """Requests answered."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", f"http://127.0.0.1:{port}{path}"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.search(r"(\d+) requests in", out)[1]), " ".join(command)


def one(server, port, path, attached):
    e = Earshot(server.pid, "-o", "none") if attached else None
    before, own_before = cpu_seconds(server.pid), cpu_seconds(e.pid) if e else 0
    requests, command = wrk(port, path, SECONDS)
    us = {"server": (cpu_seconds(server.pid) - before) * 1e6 / requests, "requests": requests, "wrk": command}
    if e:
        us["own"] = (cpu_seconds(e.pid) - own_before) * 1e6 / requests
        us["memory"] = memory_kib(e.pid)
        e.stop()
        us["earshot"] = " ".join(e.command)
        us["spans"], _, us["lost"] = e.summary()
    return us


def pairs(server, port, path, rng):
    """Blocks of one run with and one without, in random order: what drifts hits both."""
    wrk(port, path, 1)
    result = []
    for _ in range(BLOCKS):
        block = {}
        for attached in rng.sample([False, True], 2):
            block[attached] = one(server, port, path, attached)
        result.append((block[False], block[True]))
    return result


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


def rows_of(path, result, goal):
    ratios = sorted(w["server"] / wo["server"] for wo, w in result)
    percent = (median(ratios) - 1) * 100
    without = median(wo["server"] for wo, _ in result)
    observed = median(w["server"] for _, w in result)
    own = median(w["own"] for _, w in result)
    spans = sum(w["spans"] for _, w in result)
    requests = sum(w["requests"] for _, w in result)
    lost = sorted({w["lost"] for _, w in result} - {"nothing"})
    row = (f"CPU of the server per request, {path}", f"{observed:.2f} µs", f"without {without:.2f} µs",
           f"{percent:+.1f} %", ("≤ +3 %", percent <= 3) if goal else None)
    own_row = (f"CPU of earshot itself per request, {path}", f"{own:.2f} µs", "", f"{own / without * 100:.1f} %", None)
    spread = ", ".join(f"{(r - 1) * 100:+.1f}" for r in ratios)
    note = (f"{path}: {BLOCKS} pairs of {SECONDS} s, {requests / BLOCKS / SECONDS:,.0f} requests/s observed, "
            f"{result[0][0]['requests'] / SECONDS:,.0f} not; paired ratios in %: {spread}; {spans} spans of "
            f"{requests} requests, lost: {'; '.join(lost) or 'nothing'}")
    return [row, own_row], note


def measure():
    rng = random.Random(2)
    server = Child([f"{WORK}/server"], watch="stdout")
    port = int(server.wait_line(r"^\d+$")[1])
    rows, notes, all_pairs = [], [], []
    try:
        for path in PATHS:
            result = pairs(server, port, path, rng)
            more, note = rows_of(path, result, goal=path == PATHS[0])
            rows += more
            if path == PATHS[0]:
                rows.append(inside_the_kernel(server, port))
            notes.append(note)
            all_pairs += result
    finally:
        server.process.kill()
    memory = [w["memory"] for _, w in all_pairs]
    peak, steady = max(m["VmHWM"] for m in memory) / 1024, median(m["VmRSS"] for m in memory) / 1024
    anon = median(m["RssAnon"] for m in memory) / 1024
    rows.append(("memory of earshot at full load", f"peak {peak:.1f} MiB", f"steady {steady:.1f} MiB "
                 f"({anon:.1f} anonymous)", "", ("≤ 40, 15 MiB", peak <= 40 and steady <= 15)))
    return {"rows": rows, "notes": notes, "commands": [all_pairs[0][1]["earshot"], all_pairs[0][1]["wrk"]]}
