"""What a call costs that `earshot trace` asks about, with each planter, beside bpftrace's nearest."""
import os
import random
import re
import signal
import struct
import subprocess
import time

from common import QUICK, WORK, Bursts, Child, Failed, Trace, median, refused

BURST = 5000  # records of one burst fit the ring, so that none is cheap for being lost
BURSTS = 5 if QUICK else 10
REST = 0.04  # seconds after a burst, in which its records are read; longer where that was too short
TRIES = 3
RING = (4 << 20) * max(os.cpu_count(), 4)  # so that a P has 4 MiB
BLOCKS = 2 if QUICK else 3
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
            if refused(planter, why):
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
    target = Bursts([f"{WORK}/asked"], BURST, BURSTS, REST)
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


def measure():
    rows, notes, commands = hits()
    return {"rows": rows, "notes": notes, "commands": commands}
