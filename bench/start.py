"""Time from the start of earshot to the first event, on the largest stripped program at hand."""
import glob
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request

from common import (BEFORE, BUILDS, CACHE, Child, EARSHOT, Failed, HERE, WORK, against_before, blocks_of, median,
                    memory_kib)

RUNS = blocks_of(3, 7)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def prometheus(binary, port):
    config = f"{WORK}/prometheus.yml"
    open(config, "w").close()
    return [binary, f"--config.file={config}", f"--storage.tsdb.path={WORK}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}"], "/-/healthy"


def rclone(binary, port):
    os.makedirs(f"{WORK}/empty", exist_ok=True)
    return [binary, "serve", "http", "--addr", f"127.0.0.1:{port}", f"{WORK}/empty"], "/"


def caddy(binary, port):
    return [binary, "respond", "--listen", f"127.0.0.1:{port}", "hello"], "/"


KNOWN = {"prometheus": prometheus, "rclone": rclone, "caddy": caddy}


def largest():
    """(binary, command, path, port) of the largest program that starts here and answers."""
    found = [f for name in KNOWN for f in glob.glob(f"{CACHE}/third-party/*/{name}/usr/bin/{name}")]
    for binary in sorted(found, key=os.path.getsize, reverse=True):
        port = free_port()
        command, path = KNOWN[os.path.basename(binary)](binary, port)
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, cwd=WORK)
        if answers(server, f"http://127.0.0.1:{port}{path}"):
            return binary, server, f"http://127.0.0.1:{port}{path}"
        server.kill()
        server.wait()
    raise Failed(f"no third-party program below {CACHE}/third-party runs here; tests/lib/third_party.sh fetches them")


def answers(server, url):
    for _ in range(100):
        if server.poll() is not None:
            return False
        try:
            urllib.request.urlopen(url, timeout=1).read()
            return True
        except OSError:
            time.sleep(0.1)
    return False


class Requests:
    """A request every 2 ms or so for as long as it runs, each timed."""

    def __init__(self, url):
        self.url, self.stopping, self.times = url, False, []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping:
            before = time.time()
            try:
                urllib.request.urlopen(self.url, timeout=2).read()
            except OSError:
                pass
            self.times.append(time.time() - before)
            time.sleep(0.001)

    def stop(self):
        self.stopping = True
        self.thread.join()
        return median(self.times)


def one(server, url, earshot):
    """Seconds to the first span as a line, seconds to its request's start, and the memory 2 s later."""
    requests = Requests(url)
    e = Child([earshot, "attach", "-o", "json", "-p", str(server.pid)], watch="stdout")
    try:
        at, line = e.wait_line("^{")
        time.sleep(1)
        memory = memory_kib(e.pid)
    finally:
        took = requests.stop()
        e.stop(signal.SIGINT)
    live = json.loads(line)["start_unix_ns"] / 1e9 - e.started
    planted = sum(int(n) for n in re.findall(r"(\d+) probes? planted", e.said()))
    return at - e.started - took, live, memory, " ".join(e.command), max(planted, 1)


def inspect_seconds(binary, earshot):
    before = time.time()
    r = subprocess.run([earshot, "inspect", "--json", binary], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                       text=True)
    if r.returncode:
        raise Failed(f"{earshot} inspect {binary} failed: {r.stderr.strip()}")
    return time.time() - before


def code_check_seconds(pid, sites):
    """For so many sites, read for the first time and compared; the least of a few programs, see code_check.c."""
    build = os.path.dirname(EARSHOT)
    tool = f"{WORK}/code_check"
    if not os.path.exists(tool):
        r = subprocess.run(["gcc", "-O2", f"-I{HERE}/../src", "-D_GNU_SOURCE", "-o", tool, f"{HERE}/code_check.c",
                            f"{build}/libearshot.a", "-lbpf", "-ldw", "-lelf", "-lZydis"], stderr=subprocess.PIPE, text=True)
        if r.returncode:
            raise Failed(f"bench/code_check.c does not build: {r.stderr.strip()}")
    lines = [subprocess.run([tool, str(pid), str(sites)], check=True, stdout=subprocess.PIPE, text=True).stdout
             for _ in range(RUNS)]
    found = [re.match(r"(\d+) sites, (\d+) refused, ([0-9.]+) us the first time", line) for line in lines]
    if not all(found) or any(int(f[2]) for f in found):
        raise Failed(f"the code of a program that nobody has changed differs from its file: {lines}")
    return median(float(f[3]) for f in found) / 1e6


def interleaved(run):
    """{"" or " before": [what run(earshot) gave in each of RUNS blocks]}, the builds in random order within a block."""
    rng, results = random.Random(3), {of: [] for of in BUILDS}
    for _ in range(RUNS):
        for of in rng.sample(list(BUILDS), len(BUILDS)):
            results[of].append(run(BUILDS[of]))
    return results


def measure():
    binary, server, url = largest()
    mb = os.path.getsize(binary) / 1e6
    goal = 0.3 * max(mb, 100) / 100
    try:
        blocks = interleaved(lambda build: one(server, url, build))
        runs = blocks[""]
        planted = runs[0][4]
        checks = code_check_seconds(server.pid, planted)
    finally:
        server.kill()
        server.wait()
    offline = interleaved(lambda build: inspect_seconds(binary, build))
    compared = []
    if BEFORE:
        compared.append(against_before("start to first event", *([r[0] for r in blocks[of]] for of in BUILDS), "s", 3))
        compared.append(against_before("inspect", *offline.values(), "s", 3))
    first, live = median(r[0] for r in runs), median(r[1] for r in runs)
    peak = max(r[2]["VmHWM"] for r in runs) / 1024
    steady, anon = (median(r[2][k] for r in runs) / 1024 for k in ("VmRSS", "RssAnon"))
    name = f"{os.path.basename(binary)}, {mb:.0f} MB"
    return {
        "rows": [
            (f"start to first event ({name})", f"{first:.3f} s", f"probes live after {live:.3f} s", "",
             (f"≤ {goal:.1f} s", first <= goal)),
            (f"analysis alone: inspect ({name})", f"{median(offline['']):.3f} s", "", "", None),
            (f"code compared before planting ({name})", f"{checks * 1e3:.3f} ms",
             f"{100 * checks / live:.2f} % of the start", "", ("< 5 %", checks < 0.05 * live)),
            (f"memory of earshot ({name})", f"peak {peak:.1f} MiB", f"steady {steady:.1f} MiB ({anon:.1f} anonymous)",
             "", ("≤ 40, 15 MiB", peak <= 40 and steady <= 15)),
            *(row for row, _ in compared),
        ],
        "notes": [f"start: {RUNS} runs, file in the page cache, first events after "
                  f"{', '.join(f'{r[0]:.3f}' for r in runs)} s; {binary}", *(note for _, note in compared)],
        "commands": [runs[0][3], f"{EARSHOT} inspect --json {binary}"],
    }
