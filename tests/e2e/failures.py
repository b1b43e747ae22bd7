"""What goes wrong is said in one sentence, with the right exit code."""

import os
import pathlib
import random
import signal
import time

from earshot import Earshot, need_earshot, one_sentence
from proc import BIN, EARSHOT, Process, Skip, public_copy, run_once, until
from target import MINORS, Httpd, newest
from testing import Test, scaled

FAILED, USAGE, NOTHING = 1, 2, 3


def fails(argv, codes, mentions=(), prefix=(), seconds=20):
    """Run earshot ARGV: it must end with one of codes and say why in one line."""
    need_earshot(root=False)
    done = run_once([*prefix, public_copy(EARSHOT) if prefix else EARSHOT, *argv], seconds)
    text = done.err()
    assert done.code in codes, f"exit code {done.code}, not {codes}: {done.describe()}"
    assert one_sentence(text), f"not exactly one sentence on standard error: {text!r}"
    for word in mentions:
        assert word.lower() in text.lower(), f"{word!r} is not mentioned: {text!r}"
    assert not [l for l in done.out().splitlines() if "trace_id" in l], done.out()
    return text.strip()


def _usage():
    for argv, word in (
            (["frobnicate"], "frobnicate"),
            (["attach"], "-p"),
            (["run"], "run"),
            (["attach", "-p", "abc"], "abc"),
            (["attach", "-p", "0"], "0"),
            (["attach", "-p", "-1"], "-1"),
            (["attach", "-p"], "-p"),
            (["attach", "--port", "70000"], "70000"),
            (["attach", "--nonsense"], "nonsense"),
            (["attach", "-p", "1", "-o", "xml"], "xml"),
            (["attach", "-p", "1", "--for", "soon"], "soon"),
            (["attach", "-p", "1", "--sample", "2"], "2"),
            (["attach", "-p", "1", "--otlp", "ftp://x"], "ftp"),
            (["inspect"], "inspect"),
    ):
        fails(argv, [USAGE], [word])
    for argv in (["--help"], ["attach", "--help"], ["run", "--help"], ["inspect", "--help"],
                 ["doctor", "--help"], ["--version"]):
        done = run_once([EARSHOT, *argv])
        assert done.code == 0 and done.out() and not done.err(), f"{argv}: {done.describe()}"


def _no_such_process():
    need_earshot()
    gone = Process(["/bin/true"])
    gone.wait()
    return fails(["attach", "-p", str(gone.pid)], [NOTHING], [str(gone.pid)])


def _not_go():
    need_earshot()
    with Process(["/bin/sleep", "60"]) as sleeper:
        fails(["trace", "-p", str(sleeper.pid), "main.main"], [NOTHING], [os.path.realpath("/bin/sleep")])
        text = fails(["attach", "-p", str(sleeper.pid)], [NOTHING], ["Go", os.path.realpath("/bin/sleep")])
        assert "/proc/" not in text, f"a path that only earshot opens: {text}"  # it would be wrong for the next one
        return text


def _kernel_thread():
    need_earshot()
    return fails(["attach", "-p", "2"], [NOTHING], ["2"])


def _zombie():
    need_earshot()
    zombie = Process(["/bin/true"])
    time.sleep(0.3)  # not waited for
    for planter in ("uprobe", "patch"):
        fails(["trace", "-p", str(zombie.pid), "main.main", "--planter", planter], [NOTHING], ["has ended", "zombie"])
    return fails(["attach", "-p", str(zombie.pid)], [NOTHING], [str(zombie.pid), "has ended", "zombie"])


def _thread():
    """The number of a thread: whose it is."""
    need_earshot()
    with Httpd(newest()) as httpd:
        threads = until("the program has threads", lambda: [t for t in os.listdir(f"/proc/{httpd.pid}/task")
                                                            if t != str(httpd.pid)])
        return fails(["attach", "-p", threads[0]], [NOTHING], [threads[0], f"thread of process {httpd.pid}"])


class Frozen:
    """The process in a control group of its own that stands still."""

    def __init__(self, pid):
        self.pid, freezer = pid, pathlib.Path("/sys/fs/cgroup/freezer")
        if freezer.is_dir():
            self.top, self.state, self.words = freezer, "freezer.state", ("FROZEN", "THAWED")
        else:
            self.top, self.state, self.words = pathlib.Path("/sys/fs/cgroup"), "cgroup.freeze", ("1", "0")
        self.group = self.top / f"earshot-test-{pid}"

    def __enter__(self):
        self.group.mkdir()
        (self.group / "cgroup.procs").write_text(str(self.pid))
        (self.group / self.state).write_text(self.words[0])
        until("the program is frozen", lambda: any(word in (self.group / file).read_text() for file, word in (
            ("freezer.state", "FROZEN"), ("cgroup.events", "frozen 1")) if (self.group / file).exists()))

    def __exit__(self, *_):
        (self.group / self.state).write_text(self.words[1])
        (self.top / "cgroup.procs").write_text(str(self.pid))
        until("the control group is empty", lambda: not (self.group / "cgroup.procs").read_text())
        self.group.rmdir()


def _frozen():
    """A program that stands still: said, and once it goes on it is observed."""
    need_earshot()
    with Httpd(newest()) as httpd:
        with Frozen(httpd.pid):
            text = fails(["attach", "-p", str(httpd.pid), "--planter", "patch"], [NOTHING], ["is frozen", "control group"])
            e = Earshot("attach", "-p", str(httpd.pid), "-o", "json")
            until("earshot says so", lambda: "is frozen" in e.err(), 20)
        with e:
            e.wait_observing(httpd.where["http"])
        os.kill(httpd.pid, signal.SIGSTOP)
        with Earshot("attach", "-p", str(httpd.pid), "-o", "json") as e:
            until("earshot says so", lambda: f"kill -CONT {httpd.pid}" in e.err(), 20)
            os.kill(httpd.pid, signal.SIGCONT)
            e.wait_observing(httpd.where["http"])
    return text


LEADERLESS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def _leader_gone():
    """The first thread has ended, another one runs."""
    need_earshot()
    with Process(["python3", "-c", LEADERLESS]) as p:
        until("the first thread ends", lambda: "State:\tZ" in open(f"/proc/{p.pid}/status").read())
        return fails(["attach", "-p", str(p.pid)], [NOTHING], ["first thread", "another runs on"])


def _go_library():
    """Go code in a program of another language."""
    need_earshot()
    lib = BIN / "golib.so"
    if not lib.exists():
        raise Skip("golib.so was not built")
    script = f"import ctypes, time; print(ctypes.CDLL('{lib}').Twice(21), flush=True); time.sleep(60)"
    with Process(["python3", "-c", script]) as p:
        until("the library answers", lambda: "42" in p.out())
        for planter in ("uprobe", "patch"):
            fails(["trace", "-p", str(p.pid), "main.work", "--planter", planter], [NOTHING], [f"has loaded {lib}"])
        text = fails(["attach", "-p", str(p.pid)], [NOTHING], [f"has loaded {lib}"])
    done = run_once([EARSHOT, "inspect", lib])
    assert done.code == 0 and "-buildmode=c-shared" in done.out(), done.describe()
    return text


def _code_without_a_file(flags):
    """A program that makes its code as it runs, as packed ones do."""
    need_earshot()
    script = ("import mmap, time; m = mmap.mmap(-1, 1 << 20, flags=mmap.%s, prot=mmap.PROT_READ | mmap.PROT_EXEC); "
              "print('ready', flush=True); time.sleep(60)" % flags)
    with Process(["python3", "-c", script]) as p:
        until("the memory is there", lambda: "ready" in p.out())
        return fails(["attach", "-p", str(p.pid)], [NOTHING], ["lies in no file", "packed"])


def _protected():
    """Root, whom the kernel does not let look all the same, is not told to become root."""
    need_earshot()
    try:
        os.readlink("/proc/1/exe")
        return "this machine's first process can be looked into"
    except OSError:
        text = fails(["attach", "-p", "1"], [NOTHING], ["earshot has CAP_SYS_PTRACE"])
        assert "run as root" not in text, text
        return text


def _stub():
    """The stub of a C function: no hint at a function that is not there."""
    need_earshot()
    binary = BIN / f"seq-go{MINORS[-1]}-cgo"
    if not binary.exists():
        raise Skip(f"{binary.name} was not built")
    done = run_once([EARSHOT, "inspect", binary, "--functions", "main._Cfunc_*"])
    assert "a stub with its arguments in memory" in done.out(), done.describe()
    assert "same name" not in done.out(), done.describe()


def _run_not_go():
    """A program that is no Go program runs all the same."""
    need_earshot()
    done = run_once([EARSHOT, "run", "-o", "json", "--", "/bin/sh", "-c", "exit 9"])
    assert done.code in (9, NOTHING), done.describe()
    assert done.err().strip(), "no word about it"


def _exits_while_attaching():
    """At whatever moment the program goes, earshot ends by itself and says so."""
    need_earshot()
    rounds, path, codes = scaled(24, 16, "VANISHING"), newest(), {}
    for i in range(rounds):
        with Httpd(path) as httpd:
            e = Earshot("attach", "-p", str(httpd.pid), "-o", "json")
            time.sleep(random.random() * 0.6 if i % 2 else i / rounds * 0.3)
            os.kill(httpd.pid, signal.SIGKILL)
            httpd.process.wait(10)
            code = e.wait(15)
            codes[code] = codes.get(code, 0) + 1
            assert code in (0, NOTHING), f"exit code {code}: {e.describe()}"
            assert e.err().strip(), "silent"
            assert "ERROR" not in e.err() and "Sanitizer" not in e.err(), e.err()
            e.kill()
    return f"exit codes {codes}"


def _refused_command():
    """What a command, or what it starts, is refused for is told once; and counted, though nothing is planted."""
    need_earshot()
    program = BIN / f"holes-go{MINORS[-1]}-plain"
    if not program.exists():
        raise Skip(f"{program.name} was not built")
    cause = "main.Reject never returns"
    for planter in ("uprobe", "patch"):
        for command in (['sleep 1 | "$0"'], ['sleep 1 | "$0"; sleep 1 | "$0"']):
            done = run_once([EARSHOT, "trace", "--planter", planter, "main.Reject if ret0 == 1", "--", "/bin/sh", "-c", *command,
                             program])
            assert done.code == 0 and done.err().count(cause) == 1, done.describe()
            assert "0 probes planted, 1 refused" in done.err(), done.describe()


def _one_of_two():
    """One pid is good, the other is not: the good one is observed."""
    need_earshot()
    with Httpd(newest()) as httpd, Process(["/bin/sleep", "60"]) as sleeper, \
            Earshot("attach", "-p", str(sleeper.pid), "-p", str(httpd.pid), "-o", "json") as e:
        e.wait_observing(httpd.where["http"])
        assert str(sleeper.pid) in e.err(), e.err()


def _without_privileges():
    need_earshot()
    with Httpd(newest()) as httpd:
        drop = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
        return fails(["attach", "-p", str(httpd.pid)], [FAILED, NOTHING], ["CAP_"], prefix=drop)


def _as_nobody():
    need_earshot()
    with Httpd(newest()) as httpd:
        drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        return fails(["attach", "-p", str(httpd.pid)], [FAILED, NOTHING], ["CAP_"], prefix=drop)


def _without(cap):
    need_earshot()
    with Httpd(newest()) as httpd:
        drop = ["setpriv", f"--inh-caps=-{cap},-sys_admin", f"--bounding-set=-{cap},-sys_admin"]
        return fails(["attach", "-p", str(httpd.pid)], [FAILED, NOTHING],
                     [f"CAP_{cap.upper()}"], prefix=drop)


def _sealed_output():
    """Whoever reads the spans goes away: earshot ends, the program does not."""
    need_earshot()
    with Httpd(newest()) as httpd:
        script = f'"$0" attach -p {httpd.pid} -o json | head -n 1'
        p = Process(["/bin/sh", "-c", script, EARSHOT])
        deadline = time.monotonic() + 20
        while p.alive() and time.monotonic() < deadline:
            assert httpd.get("/plain")[0] == 200
            time.sleep(0.02)
        assert not p.alive(), "earshot goes on though nobody reads"
        assert httpd.get("/plain")[0] == 200


def _full_disk():
    need_earshot()
    with Httpd(newest()) as httpd:
        p = Process(["/bin/sh", "-c", f'"$0" attach -p {httpd.pid} -o json --for 2s >/dev/full', EARSHOT])
        while p.alive():
            assert httpd.get("/plain")[0] == 200
            time.sleep(0.02)
        assert "space left" in p.err(), f"a full disk went unnoticed: {p.err()!r}"


def tests():
    yield Test("usage", _usage)
    yield Test("no-such-process", _no_such_process)
    yield Test("not-a-go-program", _not_go)
    yield Test("kernel-thread", _kernel_thread)
    yield Test("zombie", _zombie)
    yield Test("thread", _thread)
    yield Test("first-thread-ended", _leader_gone)
    yield Test("frozen", _frozen)
    yield Test("go-library", _go_library)
    for flags in ("MAP_PRIVATE", "MAP_SHARED"):
        yield Test(f"code-without-a-file-{flags[4:].lower()}", lambda f=flags: _code_without_a_file(f))
    yield Test("protected-process", _protected)
    yield Test("cgo-stub", _stub)
    yield Test("run-not-a-go-program", _run_not_go)
    yield Test("exits-while-attaching", _exits_while_attaching, 180)
    yield Test("one-of-two", _one_of_two)
    yield Test("refused-command", _refused_command)
    yield Test("without-capabilities", _without_privileges)
    yield Test("as-nobody", _as_nobody)
    for cap in ("bpf", "perfmon"):
        yield Test(f"without-cap-{cap}", lambda c=cap: _without(c))
    yield Test("reader-goes-away", _sealed_output)
    yield Test("output-full", _full_disk)
