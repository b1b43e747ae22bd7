"""What the parts of the benchmark share: processes, their CPU time and memory, earshot itself."""
import json
import math
import os
import re
import signal
import statistics
import subprocess
import tempfile
import threading
import time

EARSHOT = os.environ["EARSHOT"]
BEFORE = os.environ.get("EARSHOT_BEFORE")  # another build to compare with
BUILDS = {"": EARSHOT, " before": BEFORE} if BEFORE else {"": EARSHOT}
CACHE = os.environ["EARSHOT_CACHE"]
WORK = os.environ["BENCH_WORK"]
QUICK = bool(os.environ.get("BENCH_QUICK"))
BEFORE_GOAL = 1.03
HERE = os.path.dirname(os.path.abspath(__file__))

median = statistics.median


class Failed(Exception):
    """A part cannot be measured; the text says why."""


def blocks_of(quick, full):
    """How many blocks to measure; twice as many where what two builds differ by is to be seen."""
    return quick if QUICK else full * len(BUILDS)


def arms_of(planters):
    """{arm: (planter, the earshot to run)}: each planter, and that and " before" where there is such a build."""
    return {planter + of: (planter, build) for planter in planters for of, build in BUILDS.items()}


def against_before(what, now, before, unit, digits=0):
    """The row and the note of what this build costs beside the one before, both paired by block. Where noise has left
    the build before nothing that it costs, this one counts as dearer."""
    ratios = sorted(n / b if b > 0 else math.inf for n, b in zip(now, before))
    ratio = median(ratios)
    told = [f"{median(ns):,.{digits}f} {unit}" for ns in (now, before)]
    row = (f"now and before: {what}", told[0], f"before {told[1]}",
           f"{ratio:.3f} ({ratios[0]:.2f} to {ratios[-1]:.2f})", (f"≤ {BEFORE_GOAL}", ratio <= BEFORE_GOAL))
    return row, f"now / before, {what}: by block {', '.join(f'{r:.3f}' for r in ratios)}"


def cpu_seconds(pid):
    """utime + stime of all threads, in ns resolution: the CPU clock of another process (clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def memory_kib(pid):
    """VmHWM, VmRSS and so on from /proc/PID/status."""
    with open(f"/proc/{pid}/status") as f:
        return {k: int(v) for k, v in re.findall(r"^(VmHWM|VmRSS|RssAnon|RssFile|RssShmem):\s+(\d+) kB", f.read(), re.M)}


children = []


def kill_children():
    """Those that a part left behind because it failed."""
    while children:
        process = children.pop()
        if process.poll() is None:
            process.kill()
            process.wait()


class Child:
    """A process whose lines on stderr (or stdout) are collected as they come."""

    def __init__(self, command, watch="stderr", **more):
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        streams[watch] = subprocess.PIPE
        if watch == "stdout":
            self.errors = tempfile.TemporaryFile("w+")
            streams["stderr"] = self.errors
        streams.update(more)
        self.command = command
        self.lines = []
        self.started = time.time()
        self.process = subprocess.Popen(command, text=True, bufsize=1, **streams)
        self.pid = self.process.pid
        children.append(self.process)
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, args=(getattr(self.process, watch),), daemon=True)
        self.reader.start()

    def _read(self, stream):
        for line in stream:
            with self.changed:
                self.lines.append((time.time(), line.rstrip("\n")))
                self.changed.notify_all()
        with self.changed:
            self.lines.append((time.time(), None))
            self.changed.notify_all()

    def wait_line(self, pattern, seconds=15):
        """The first line that matches, with the time it came."""
        end = time.time() + seconds
        seen = 0
        with self.changed:
            while True:
                for at, line in self.lines[seen:]:
                    if line is None:
                        raise Failed(f"`{' '.join(self.command)}` ended: {self.said()}")
                    if re.search(pattern, line):
                        return at, line
                seen = len(self.lines)
                if not self.changed.wait(max(0, end - time.time())):
                    raise Failed(f"`{' '.join(self.command)}` did not say /{pattern}/ in {seconds} s: {self.said()}")

    def said(self):
        lines = [line for _, line in self.lines[-4:] if line]
        if hasattr(self, "errors"):
            self.errors.seek(0)
            lines += self.errors.read().splitlines()[-4:]
        return " | ".join(lines) or "nothing"

    def stop(self, sig=signal.SIGINT, seconds=15):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed(f"`{' '.join(self.command)}` did not end on {sig.name}")
        self.reader.join(2)


class Asked:
    """A program that measures itself: a line to it says what, and one comes back."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.pid = self.process.pid
        children.append(self.process)

    def ask(self, line):
        """(the least, the median) ns of one over batches, and how many they were."""
        self.process.stdin.write(line + "\n")
        answer = self.process.stdout.readline().split()
        if len(answer) != 3:
            raise Failed(f"the program measured ended when it was asked {line!r}")
        return float(answer[0]), float(answer[1]), int(answer[2])

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Bursts:
    """A program on one CPU that says, for each line, how many ns one of that many calls took."""

    def __init__(self, command, burst, count, rest):
        cpus = sorted(os.sched_getaffinity(0))

        def pin():
            if len(cpus) > 1:
                os.sched_setaffinity(0, {cpus[0]})

        self.burst, self.count, self.rest = burst, count, rest
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                                        preexec_fn=pin)
        self.pid = self.process.pid
        self.bursts()

    def bursts(self):
        """The median of ns per call over some bursts, each followed by time to drain."""
        times = []
        for _ in range(self.count):
            self.process.stdin.write(f"{self.burst}\n")
            times.append(float(self.process.stdout.readline()))
            time.sleep(self.rest)
        return median(times)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Earshot(Child):
    """earshot attached to a process: constructed when the probes are in."""

    def __init__(self, pid, *options, earshot=EARSHOT):
        super().__init__([earshot, "attach", *options, "-p", str(pid)])
        try:
            self.wait_line(r"observing .*\(pid ")
            time.sleep(0.1)
        except Failed:
            self.process.kill()
            raise

    def summary(self):
        """(spans, events, losses) of the summary line."""
        for _, line in reversed(self.lines):
            m = re.search(r"(\d+) spans? from .*\((\d+) events\); ([^;]*);", line or "")
            if m:
                return int(m[1]), int(m[2]), "nothing" if m[3] == "none lost" else m[3].removeprefix("none lost ")
        raise Failed(f"earshot printed no summary: {self.said()}")


class Trace(Child):
    """earshot trace of a process, its probes in place; what it prints goes nowhere."""

    def __init__(self, pid, question, *options, earshot=EARSHOT):
        self.question = question
        self.out = f"{WORK}/trace.out"
        super().__init__([earshot, "trace", "-p", str(pid), "--json", *options, question], watch="stderr",
                         stdout=open(self.out, "w"))
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
        with open(self.out) as f:
            last = [line for line in f if line.startswith("{")][-1]
        return json.loads(last)["summary"]


def refused(planter, why):
    """Whether the patch planter did not take the question: then there is a note instead of a row."""
    return planter == "patch" and "ended: " in str(why)
