"""What `earshot trace` costs: a hit with each planter, beside bpftrace's nearest, and a service at 60 % load."""
import json
import os
import random
import re
import signal
import struct
import subprocess
import time

from common import Child, EARSHOT, Failed, QUICK, WORK, cpu_seconds, median

BURST = 5000  # records of one burst fit the ring, so that none is cheap for being lost
BURSTS = 5 if QUICK else 10
REST = 0.04  # seconds after a burst, in which its records are read; longer where that was too short
TRIES = 3
RING = (4 << 20) * max(os.cpu_count(), 4)  # so that a P has 4 MiB
BLOCKS = 2 if QUICK else 3
WEB_SECONDS = 2
WEB_BLOCKS = 2 if QUICK else 5
BUDGET_SECONDS = 3  # it measures for a second, and then acts
LOAD = 0.6
PLANTERS = ("uprobe", "patch")

FUNC = "main.asked"


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def name_return(path):
    """Give the function's RET a symbol of its own: bpftrace's return probes would crash a Go program, and Debian's
    refuses probes at an offset."""
    text = output_of("objdump", "-d", "--no-show-raw-insn", f"--disassemble={FUNC}", path)
    returns = re.findall(r"^\s*([0-9a-f]+):\s+ret", text, re.M)
    if len(returns) != 1:
        raise Failed(f"{FUNC} has {len(returns)} RETs; bpftrace would need a probe on each")
    address = int(returns[0], 16)
    begin = int(re.search(r"\.text\s+PROGBITS\s+([0-9a-f]+)", output_of("readelf", "-SW", path))[1], 16)
    subprocess.run(["objcopy", "--add-symbol", f"asked_returns=.text:{address - begin:#x},global,function", path],
                   check=True)
    with open(path, "r+b") as f:  # objcopy gives it no size, and without one it is refused too
        text = f.read()
        at = text.index(struct.pack("<QQ", address, 0))
        f.seek(at + 8)
        f.write(struct.pack("<Q", 1))


def arms(path):
    """name: (the question, bpftrace's program). user is in RBX and RCX, the result in RAX."""
    at = f"uprobe:{path}:{FUNC}"
    back = f"uprobe:{path}:asked_returns"
    user = 'str(reg("bx"), reg("cx"))'
    return {
        "count only": (f"{FUNC} {{ count() }}", f"{at} {{ @ = count(); }}"),
        "a string argument": (f"{FUNC} {{ print(user) }}", f'{at} {{ printf("%s\\n", {user}); }}'),
        "a string predicate that does not match": (f'{FUNC} if user == "nobody@example.com" {{ print(user) }}',
                                                   f'{at} /{user} == "nobody@example.com"/ {{ @ = count(); }}'),
        "the same, where results are asked for": (
            f'{FUNC} if user == "nobody@example.com"',
            f'{at} /{user} == "nobody@example.com"/ {{ @s[tid] = nsecs; }} {back} /@s[tid]/ {{ delete(@s[tid]); }}'),
        "entry and return, latency histogram": (
            f"{FUNC} {{ hist(latency) }}",
            f"{at} {{ @s[tid] = nsecs; }} {back} /@s[tid]/ {{ @h = hist(nsecs - @s[tid]); delete(@s[tid]); }}"),
        "entry and return, arguments and result": (
            FUNC,
            f'{at} {{ @s[tid] = nsecs; printf("%d %s\\n", reg("ax"), {user}); }} '
            f'{back} /@s[tid]/ {{ printf("%d %d\\n", reg("ax"), nsecs - @s[tid]); delete(@s[tid]); }}'),
    }


class Target:
    def __init__(self):
        cpus = sorted(os.sched_getaffinity(0))

        def pin():
            if len(cpus) > 1:
                os.sched_setaffinity(0, {cpus[0]})

        self.rest = REST
        self.process = subprocess.Popen([f"{WORK}/asked"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        bufsize=1, preexec_fn=pin)
        self.pid = self.process.pid
        self.bursts()

    def bursts(self):
        """The median of ns per call over some bursts, each followed by time to drain."""
        times = []
        for _ in range(BURSTS):
            self.process.stdin.write(f"{BURST}\n")
            times.append(float(self.process.stdout.readline()))
            time.sleep(self.rest)
        return median(times)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Trace(Child):
    """earshot trace of a process, its probes in place; what it prints goes nowhere."""

    def __init__(self, pid, question, *options):
        self.question = question
        super().__init__([EARSHOT, "trace", "-p", str(pid), "--json", *options, question], watch="stderr",
                         stdout=open(f"{WORK}/trace.out", "w"))
        try:
            self.wait_line(r"observing .*\(pid ")
        except Failed:
            self.process.kill()
            raise
        time.sleep(0.1)

    @property
    def command_line(self):
        return " ".join(self.command[:-1]) + f" '{self.question}'"

    def end(self):
        """The summary."""
        self.stop()
        with open(f"{WORK}/trace.out") as f:
            last = [line for line in f if line.startswith("{")][-1]
        return json.loads(last)["summary"]


def asked_once(target, question, planter):
    """(ns, the command line, the summary)."""
    t = Trace(target.pid, question, "--planter", planter, "--ring-size", str(RING))
    try:
        if planter == "patch":
            target.bursts()  # the ring's memory is in place
        ns = target.bursts()
    finally:
        summary = t.end()
    return ns, t.command_line, summary


def with_earshot(target, question, planter):
    """(ns, the command); None where the planter does not take the question."""
    for _ in range(TRIES):
        try:
            ns, command, summary = asked_once(target, question, planter)
        except Failed as why:
            if "--planter uprobe" in str(why):
                return None
            raise
        lost = {k: n for k, n in summary["losses"].items() if n}
        if not lost:
            break
        target.rest *= 2
    if lost:
        raise Failed(f"earshot lost records of {question!r} ({planter}), {TRIES} times: {lost}")
    if "count" not in question and "hist" not in question and "if " not in question \
            and summary["calls"] < BURST * BURSTS:
        raise Failed(f"earshot saw {summary['calls']} of {BURST * BURSTS} calls ({planter})")
    return ns, command


def end_bpftrace(b):
    """A signal that reaches it while it prints is forgotten: until it ends."""
    for _ in range(30):
        b.process.send_signal(signal.SIGINT)
        try:
            b.process.wait(1)
            return
        except subprocess.TimeoutExpired:
            pass
    b.process.kill()
    raise Failed(f"bpftrace does not end: {b.said()}")


def with_bpftrace(target, program):
    with open(f"{WORK}/bpftrace.out", "w") as out:
        b = Child(["bpftrace", "-e", program], watch="stderr", stdout=out)
        try:
            # It says that it attaches before it does; the first slow call tells.
            end = time.time() + 15
            while target.bursts() < 200:
                if b.process.poll() is not None or time.time() > end:
                    raise Failed(f"bpftrace does not attach: {b.said()}")
            ns = target.bursts()
        finally:
            end_bpftrace(b)
    return ns, f"bpftrace -e '{program}'"


def hits():
    name_return(f"{WORK}/asked")
    target = Target()
    rng, rows, notes, commands = random.Random(5), [], [], []
    try:
        questions = arms(f"{WORK}/asked")
        results = {}
        for _ in range(BLOCKS):
            plain = target.bursts()
            for name in rng.sample(sorted(questions), len(questions)):
                question, program = questions[name]
                measured = [with_earshot(target, question, planter) for planter in PLANTERS]
                measured.append(with_bpftrace(target, program))
                results.setdefault(name, []).append([m[0] - plain if m else None for m in measured])
                commands += [m[1] for m in measured if m]
    finally:
        target.stop()
    for name in questions:
        theirs = median(r[-1] for r in results[name])
        for i, planter in enumerate(PLANTERS):
            what = f"trace, a call: {name}, {planter}"
            if results[name][0][i] is None:
                notes.append(f"{what}: not with this planter")
                continue
            ratios = [r[i] / r[-1] for r in results[name]]
            rows.append((what, f"{median(r[i] for r in results[name]):,.0f} ns", f"bpftrace {theirs:,.0f} ns",
                         f"{median(ratios):.3f}", None))
            notes.append(f"{what}: ratios by block {', '.join(f'{r:.3f}' for r in ratios)}")
    return rows, notes, list(dict.fromkeys(commands))


# ---- a service ----

def send(url, rate, seconds):
    """What the open-loop client says; on another CPU than the server where there are two."""
    done = subprocess.run([*OTHERS, f"{WORK}/web", "-url", url, "-rate", f"{rate:.1f}", "-seconds", str(seconds)],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


CPUS = sorted(os.sched_getaffinity(0))
SERVER = ["taskset", "-c", str(CPUS[0])] if len(CPUS) > 1 else []
OTHERS = ["taskset", "-c", ",".join(map(str, CPUS[1:]))] if len(CPUS) > 1 else []


def one(server, url, rate, question, options):
    """options: of earshot; None: without it."""
    t = Trace(server.pid, question, *options) if options is not None else None
    try:
        if t and "--budget" in options:
            send(url, rate, BUDGET_SECONDS)
        before, own = cpu_seconds(server.pid), cpu_seconds(t.pid) if t else 0
        sent = send(url, rate, WEB_SECONDS)
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
    note = (f"{what}: {len(pairs)} pairs of {WEB_SECONDS} s at {rate:.0f} requests/s; ratios in %: "
            f"{', '.join(f'{(r - 1) * 100:+.1f}' for r in ratios)}; p99 {median(w['p99_us'] for _, w in pairs):.0f} µs, without "
            f"{median(wo['p99_us'] for wo, _ in pairs):.0f} µs; answered {sum(w['answered'] for _, w in pairs)} of "
            f"{sum(w['sent'] for _, w in pairs)}; left out: { {k: n for k, n in lost.items() if n} or 'nothing'}"
            f"{'; ' + said[-1] if said else ''}")
    return rows, note


def service(server, url, rate, label, question, goal, arms):
    """arms: {planter or other name: options}. Blocks of a run without and one of each, in random order."""
    rng, rows, notes, blocks = random.Random(8), [], [], []
    arms = {"": None, **arms}
    for _ in range(WEB_BLOCKS):
        blocks.append({})
        for name in rng.sample(list(arms), len(arms)):
            try:
                blocks[-1][name] = one(server, url, rate, question, arms[name])
            except Failed as why:
                if "--planter uprobe" not in str(why):
                    raise
    for name in arms:
        if name and name in blocks[0]:
            more, note = service_row(f"{label}, {name}", goal, rate, [(b[""], b[name]) for b in blocks])
            rows += more
            notes.append(note)
        elif name:
            notes.append(f"{label}, {name}: not with this planter")
    return rows, notes, [b["command"] for b in blocks[0].values() if "command" in b]


def services():
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
    return rows, notes, commands


def measure():
    rows, notes, commands = hits()
    more_rows, more_notes, more_commands = services()
    return {"rows": rows + more_rows, "notes": notes + more_notes, "commands": commands + more_commands}
