"""CPU time of a server per request at full load, with earshot and without; and earshot's own, and its memory."""
import random
import re
import subprocess

from common import Child, Earshot, QUICK, WORK, cpu_seconds, median, memory_kib

SECONDS = 2 if QUICK else 3
BLOCKS = 3 if QUICK else 8
CONNECTIONS = 16
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
