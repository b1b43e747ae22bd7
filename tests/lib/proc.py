"""Start processes, bound them in time, and leave none behind.

Every process gets a session of its own, so that it and whatever it starts can
be ended together. Output goes to files: nobody blocks on a full pipe.
"""

import atexit
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("EARSHOT_CACHE", "/var/cache/earshot"))
BIN = CACHE / "bin"
EARSHOT = os.environ.get("EARSHOT", str(ROOT / "build" / "earshot"))

PATIENCE = 3  # bounds are for what hangs; those that tests name are what a machine needs that has little else to do

_live = set()
_scratch = []


class Skip(Exception):
    """The test cannot run here; the message says why."""


def until(what, condition, seconds=10.0, step=0.02):
    """Poll until condition() is true, and return its value."""
    seconds *= PATIENCE
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:g} s still not so: {what}")
        time.sleep(step)


def scratch():
    """A directory that lives as long as the tests."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="earshot-test-"))
    _scratch.append(path)
    return path


def public_copy(path):
    """A copy that every user may run, wherever the repository is."""
    copy = scratch() / os.path.basename(path)
    shutil.copy(path, copy)
    copy.parent.chmod(0o755)
    copy.chmod(0o755)
    return str(copy)


def clean_env(**extra):
    """The environment without anything that steers Earshot or OpenTelemetry."""
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("OTEL_", "EARSHOT_", "GODEBUG", "GOGC"))}
    env.update({k: str(v) for k, v in extra.items()})
    return env


class Process:
    """A child with its output in files and a session of its own."""

    def __init__(self, argv, env=None, cwd=None, stdin=subprocess.DEVNULL):
        self.dir = scratch()
        self.argv = [str(a) for a in argv]
        self.out_path, self.err_path = self.dir / "stdout", self.dir / "stderr"
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.popen = subprocess.Popen(
                self.argv, stdin=stdin, stdout=out, stderr=err, cwd=cwd,
                env=clean_env() if env is None else env, start_new_session=True)
        self.pid = self.popen.pid
        _live.add(self)

    def alive(self):
        return self.popen.poll() is None

    def out(self):
        return self.out_path.read_text(errors="replace")

    def err(self):
        return self.err_path.read_text(errors="replace")

    def send_signal(self, number):
        if self.alive():
            os.kill(self.pid, number)

    def wait(self, seconds=10.0):
        seconds *= PATIENCE
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:g} s: {self.describe()}") from None

    def stop(self, number=signal.SIGTERM, seconds=10.0):
        """Signal, wait, and return the exit code."""
        self.send_signal(number)
        code = self.wait(seconds)
        self.kill()
        return code

    def kill(self):
        """End it and its session, whatever state they are in."""
        for pid in session_pids(self.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        try:
            self.popen.wait(5)
        except subprocess.TimeoutExpired:
            pass
        _live.discard(self)

    def describe(self):
        return f"{' '.join(self.argv)!r}, stderr: {self.err()[-2000:]!r}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def kill_all():
    for p in list(_live):
        p.kill()
    while _scratch:
        shutil.rmtree(_scratch.pop(), ignore_errors=True)


atexit.register(kill_all)


def json_lines(text):
    """The JSON objects among the lines of a text; other lines are passed over."""
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except ValueError:
                pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def port_open(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


def listener_pid(port, pids):
    """Which of these processes holds the socket that listens on port."""
    want = f":{port:04X}"
    inodes = {f"socket:[{f[9]}]" for name in ("tcp", "tcp6") for f in
              (line.split() for line in list(open(f"/proc/net/{name}"))[1:])
              if f[1].endswith(want) and f[3] == "0A"}
    for pid in pids:
        try:
            if any(os.readlink(f"/proc/{pid}/fd/{fd}") in inodes for fd in os.listdir(f"/proc/{pid}/fd")):
                return pid
        except OSError:
            continue
    return None


def session_pids(leader):
    """The processes of the session a Process leads: itself and its descendants,
    those in groups of their own included."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(pid)) == leader:
                yield int(pid)
        except OSError:
            continue


def run_once(argv, seconds=30.0, **kw):
    """Run to the end; returns the finished Process, its code in .code."""
    p = Process(argv, **kw)
    p.code = p.wait(seconds)
    p.kill()
    return p


def rss_kib(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def fd_count(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
