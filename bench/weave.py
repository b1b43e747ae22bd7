"""What `earshot build` costs: the build, a span, a request, the program's size; beside the same program plain, with the
OpenTelemetry SDK put in by hand, and built by Orchestrion."""
import os
import random
import re
import resource
import shutil
import subprocess
import time
import urllib.request

from common import EARSHOT, HERE, QUICK, WORK, Asked, Child, Earshot, Failed, cpu_seconds, median, memory_kib

LIMIT = 3000
BLOCKS = int(os.environ.get("BENCH_BLOCKS", 1 if QUICK else 3))
REPEAT = 3       # builds after the first, of each kind
SPAN_MS = 300
SPAN_BLOCKS = 3 if QUICK else 6
SECONDS = 2      # of load
LOAD_BLOCKS = 2 if QUICK else 4
TRIES = 3
GO = os.environ["BENCH_GO_COMMAND"]
SPAN = "main.work(ctx context.Context, n int)"
LDFLAGS = ("-ldflags", "-s -w")
EXPORT = {"OTEL_BSP_SCHEDULE_DELAY": "1000", "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
# arm: (its go.mod, what is in front of `go build`, its flags)
ARMS = {
    "plain": ("go.mod", (), ()),
    "earshot": ("go.mod", (EARSHOT, "build", "--"), ()),
    "SDK": ("sdk.mod", (), ("-tags", "sdk")),
    "Orchestrion": ("orchestrion.mod", (f"{WORK}/orchestrion",), ()),
}
BUILT = os.environ.get("BENCH_BUILDS", " ".join(ARMS)).split()  # those whose builds are measured
STEPS = {"cold": 1.05, "unchanged": 1.1, "one edit": 1.1} # and the goal: of plain


# ---- builds ----

def folder(arm):
    """A copy of the program, with that arm's go.mod."""
    to = f"{WORK}/woven-{arm}"
    if not os.path.isdir(to):
        shutil.copytree(f"{HERE}/woven", to)
        mod = ARMS[arm][0]
        for kind in ("mod", "sum"):
            path = f"{to}/{mod[:-3]}{kind}"
            if os.path.exists(path) and mod != "go.mod":
                shutil.copy(path, f"{to}/go.{kind}")
    return to


def run(command, cwd, **env):
    """CPU seconds of it and all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=1200,
                          env={**os.environ, "PATH": f"{os.path.dirname(GO)}:{os.environ['PATH']}", **env})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise Failed(f"`{' '.join(command)}`: {done.stderr.strip()[-400:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def command_of(arm, out, *more):
    _, front, flags = ARMS[arm]
    return [*front, "go" if arm == "Orchestrion" else GO, "build", "-buildvcs=false", *LDFLAGS, *flags, *more, "-o", out, "."]


def edit(cwd, number):
    with open(f"{cwd}/main.go") as f:
        text = f.read()
    with open(f"{cwd}/main.go", "w") as f:
        f.write(re.sub(r"^const edited = \d+", f"const edited = {number}", text, flags=re.M))


def build(arm, serial):
    """{step: CPU seconds}, with a cache of its own that is empty at first."""
    cache, cwd, out = f"{WORK}/cache", folder(arm), f"{WORK}/built-{arm}"
    shutil.rmtree(cache, ignore_errors=True)
    command = command_of(arm, out)
    try:
        seconds = {"cold": run(command, cwd, GOCACHE=cache)}
        seconds["unchanged"] = median(run(command, cwd, GOCACHE=cache) for _ in range(REPEAT))
        edits = []
        for i in range(REPEAT):
            edit(cwd, serial * REPEAT + i + 1)
            edits.append(run(command, cwd, GOCACHE=cache))
        seconds["one edit"] = median(edits)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    return seconds


def build_rows(blocks):
    rows, notes = [], []
    for step, goal in STEPS.items():
        plain = [b["plain"][step] for b in blocks]
        for arm in BUILT:
            if arm == "plain":
                continue
            seconds = [b[arm][step] for b in blocks]
            ratios = sorted(s / p for s, p in zip(seconds, plain))
            ours = arm == "earshot"
            rows.append((f"build, {step}: {arm}", f"{median(seconds):.2f} s CPU", f"plain {median(plain):.2f} s",
                         f"{median(ratios):.3f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
                         (f"≤ {goal}", median(ratios) <= goal) if ours else None))
    sizes = {arm: os.path.getsize(f"{WORK}/built-{arm}") for arm in BUILT}
    notes.append(f"builds: {len(blocks)} blocks, arms in random order, user and system CPU time, each with a cache of its own; "
                 f"unchanged and one edit are medians of {REPEAT}; sizes, stripped: "
                 + ", ".join(f"{arm} {n / 1e6:.2f} MB" for arm, n in sizes.items()))
    others = ", ".join(f"{arm} {(n - sizes['plain']) / 1e3:,.0f} KB" for arm, n in sizes.items() if arm not in ("plain", "earshot"))
    rows.append(("bytes added to the program", f"{(sizes['earshot'] - sizes['plain']) / 1e3:.0f} KB", others, "", None))
    return rows, notes


def builds():
    rng = random.Random(13)
    if "Orchestrion" in BUILT:
        run([GO, "build", "-buildvcs=false", "-o", f"{WORK}/orchestrion", "github.com/DataDog/orchestrion"], folder("Orchestrion"))
    for arm in BUILT: # what has to be fetched is
        run([GO, "list", "-deps", *ARMS[arm][2], "."], folder(arm))
    blocks = [{arm: build(arm, i) for arm in rng.sample(BUILT, len(BUILT))} for i in range(BLOCKS)]
    rows, notes = build_rows(blocks)
    return rows, notes, [" ".join(command_of(arm, "FILE")) for arm in BUILT]


# ---- spans ----

def programs():
    """Those that run: as above, but what is woven has a function of its own that is a span."""
    made = {}
    for arm in ("plain", "earshot", "SDK"):
        made[arm] = f"{WORK}/run-{arm}"
        command = command_of(arm, made[arm])
        if arm == "earshot":
            command[command.index("--"):command.index("--")] = ["--span", SPAN]
        run(command, folder(arm))
    return made


def asked(target, *options):
    """ns of the least and of the median batch, where nothing was lost."""
    for _ in range(TRIES):
        e = Earshot(target.pid, "-o", "none", "--span", SPAN, *options)
        try:
            target.ask(str(SPAN_MS)) # what is written for the first time is put in place by the kernel
            least, middle, _ = target.ask(str(SPAN_MS))
        finally:
            e.stop()
        if "sampled" in e.summary()[2] or e.summary()[2] == "nothing":
            return least, middle
    raise Failed(f"spans were lost, {TRIES} times: {e.summary()[2]}")


class Requested:
    """The program as a server, in one of whose requests the loop runs."""

    def __init__(self, command):
        self.server = Child(command, watch="stdout")
        self.pid = self.server.pid
        self.port = self.server.wait_line(r"^\d+$")[1]

    def ask(self, line):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/span/{line}", timeout=60) as answer:
            least, middle, n = answer.read().split()
        return float(least), float(middle), int(n)

    def stop(self):
        self.server.process.kill()
        self.server.process.wait()


# What a function's span costs by itself, and what within a request, whose trace is decided where it comes in.
SPAN_ARMS = {"plain": None, "off": None, "on": (), "SDK": None}
REQUEST_ARMS = {"plain": None, "on": (), "sampled out": ("--sample", "0"), "SDK": None}
GOALS = {"on": 60, "off": 3}
REQUEST_GOALS = {"on": None, "sampled out": 8}


def span_blocks(targets, arms, rng):
    """[{arm: (ns of the least batch, of the median one)}]"""
    blocks = []
    try:
        for _ in range(SPAN_BLOCKS):
            block = {}
            for arm in rng.sample(list(arms), len(arms)):
                target = targets.get(arm, targets["woven"])
                block[arm] = asked(target, *arms[arm]) if arms[arm] is not None else target.ask(str(SPAN_MS))[:2]
            blocks.append(block)
    finally:
        for target in targets.values():
            target.stop()
    return blocks


def span_rows(blocks, goals, where):
    arms = blocks[0]
    added = {arm: median(b[arm][0] - b["plain"][0] for b in blocks) for arm in arms}
    rows = []
    for arm, goal in goals.items():
        ns = added[arm]
        rows.append((f"a span of one's own{where}, {arm}", f"{ns:.1f} ns", f"SDK {added['SDK']:,.0f} ns",
                     f"1/{added['SDK'] / ns:.0f}" if ns > 0 else "", (f"≤ {goal} ns", ns <= goal) if goal else None))
    note = (f"spans{where}: {SPAN_BLOCKS} blocks of {SPAN_MS} ms an arm, batches of 50 calls with rests, the least batch, less that of "
            f"the plain program ({median(b['plain'][0] for b in blocks):.1f} ns); median batches: "
            + ", ".join(f"{a} {median(b[a][1] for b in blocks):,.1f}" for a in arms))
    return rows, added, note


def spans(made, sink):
    os.environ.update({**EXPORT, "OTEL_EXPORTER_OTLP_ENDPOINT": sink})
    rng, which = random.Random(7), {"plain": "plain", "woven": "earshot", "SDK": "SDK"}
    blocks = span_blocks({to: Asked([made[arm], "-span"]) for to, arm in which.items()}, SPAN_ARMS, rng)
    rows, added, note = span_rows(blocks, GOALS, "")
    times = added["SDK"] / added["on"]
    rows.append(("times cheaper than the SDK's span", f"{times:.0f}", "", "", ("≥ 40", times >= 40)))
    blocks = span_blocks({to: Requested([made[arm]]) for to, arm in which.items()}, REQUEST_ARMS, rng)
    more, _, more_note = span_rows(blocks, REQUEST_GOALS, " in a request")
    return rows + more, [note, more_note]


# ---- requests ----

LOAD_ARMS = ("plain", "woven off", "woven on", "SDK")
PATHS = ("/plain", "/products/7")


def wrk(port, path, seconds):
    out = subprocess.run(["wrk", "-t1", "-c16", f"-d{seconds}s", f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True,
                         check=True).stdout
    return int(re.search(r"(\d+) requests in", out)[1])


def request(made, arm, path, sink):
    """µs of CPU time a request, of the server and of earshot; a fresh server each."""
    server = Child([made["earshot" if "woven" in arm else arm]], watch="stdout")
    e = None
    try:
        port = server.wait_line(r"^\d+$")[1]
        if arm == "woven on":
            e = Earshot(server.pid, "-o", "none", "--otlp", sink)
        wrk(port, path, 1)
        before, own = cpu_seconds(server.pid), cpu_seconds(e.pid) if e else 0
        n = wrk(port, path, SECONDS)
        time.sleep(1.2) # what is sent each second is sent
        us = {"server": (cpu_seconds(server.pid) - before) * 1e6 / n, "own": (cpu_seconds(e.pid) - own) * 1e6 / n if e else 0,
              "rss": memory_kib(server.pid)["VmRSS"], "lost": ""}
        if e:
            e.stop()
            us["lost"] = e.summary()[2]
        us["all"] = us["server"] + us["own"]
        return us
    finally:
        if e and e.process.poll() is None:
            e.process.kill()
        server.process.kill()
        server.process.wait()


def requests(made, sink):
    rng, rows, notes = random.Random(5), [], []
    for path in PATHS:
        blocks = [{arm: request(made, arm, path, sink) for arm in rng.sample(LOAD_ARMS, len(LOAD_ARMS))} for _ in range(LOAD_BLOCKS)]
        plain = median(b["plain"]["all"] for b in blocks)
        for arm in LOAD_ARMS[1:]:
            ratios = sorted(b[arm]["all"] / b["plain"]["all"] for b in blocks)
            rows.append((f"CPU a request, GET {path}: {arm}", f"{median(b[arm]['all'] for b in blocks):.1f} µs", f"plain {plain:.1f} µs",
                         f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})", None))
        lost = {b["woven on"]["lost"] for b in blocks} - {"nothing"}
        notes.append(f"GET {path}: {LOAD_BLOCKS} fresh servers an arm, wrk with 16 connections for {SECONDS} s; of woven on "
                     f"{median(b['woven on']['own'] for b in blocks):.1f} µs are earshot's; lost: {', '.join(lost) or 'nothing'}; RSS "
                     + ", ".join(f"{a} {median(b[a]['rss'] for b in blocks) / 1024:.1f} MiB" for a in LOAD_ARMS))
    return rows, notes


def measure():
    rows, notes, commands = builds()
    made = programs()
    sink = Child([f"{WORK}/orders", "sink"], watch="stdout")
    try:
        address = sink.wait_line("^http")[1]
        for part in (spans, requests):
            more, told = part(made, address)
            rows += more
            notes += told
    finally:
        sink.process.kill()
        sink.process.wait()
    return {"rows": rows, "notes": notes, "commands": commands}
