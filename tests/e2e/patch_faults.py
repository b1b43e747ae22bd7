"""Patching when something goes wrong in the middle of it, by EARSHOT_FAULT
(src/plant/patch/fault.h): the program lives and counts on, its code is as it
was, and what could not be done is refused with one sentence."""

import os
import random
import re
import signal
import time

from earshot import Earshot, need_earshot, one_sentence
from probed import changed_text
from proc import BIN, Process, Skip, clean_env, until
from target import MINORS
from testing import Test, scaled

FUNCTIONS = ("main.small", "main.large", "main.text", "main.choose", "main.leaf")


class Seq(Process):
    """tests/go/seq: prints how many calls it made."""

    def __init__(self, mode="sw", args=(), minor=None):
        found = [p for p in (BIN / f"seq-go{m}-{mode}" for m in (MINORS if minor is None else [minor]))
                 if os.access(p, os.X_OK)]
        if not found:
            raise Skip(f"no seq-go{minor or '*'}-{mode} was built")
        super().__init__([found[-1], *args])
        until("it runs", lambda: "ready" in self.out(), 20)

    def calls(self):
        return int(re.findall(r"^\d+$", self.out(), re.M)[-1] if re.search(r"^\d+$", self.out(), re.M) else 0)

    def check_counts_on(self):
        before = self.calls()
        until(f"it counts on: {self.describe()}", lambda: not self.alive() or self.calls() > before, 20)
        assert self.alive(), f"the program died ({self.popen.returncode}): {self.describe()}"


def mapped(pid):
    return open(f"/proc/{pid}/maps").read().count("memfd:earshot-patch")


def trace(pid, fault=None, limit=500, functions=FUNCTIONS):
    env = clean_env(**({"EARSHOT_FAULT": fault} if fault else {}))
    return Earshot("trace", "--planter", "patch", "-p", str(pid), "--limit", str(limit), "--for", "20s",
                   *functions, env=env)


def children(pid):
    return [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]


def helpers():
    """Those of earshots that are gone."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = open(f"/proc/{pid}/stat").read()
        except OSError:
            continue
        state, parent = stat.rsplit(")", 1)[1].split()[:2]
        if "(earshot-helper) " in stat and parent == "1" and state != "Z":
            yield int(pid)


def kill_both(e):
    os.kill(e.pid, signal.SIGSTOP)
    for pid in children(e.pid):  # the helper
        os.kill(pid, signal.SIGKILL)
    os.kill(e.pid, signal.SIGKILL)
    e.kill()


def check_restored(seq):
    until("its code is restored", lambda: not changed_text(seq.pid), 20)
    seq.check_counts_on()


def check_takes_another(seq, mapped_still=0):
    """Nothing that is left keeps the next one out, once helpers made slow are done."""
    until("no helper is at work", lambda: not any(helpers()), 30)
    with trace(seq.pid) as e:
        code = e.wait(30)
        assert code == 0 and len(e.out().splitlines()) >= 500, e.describe()
    check_restored(seq)
    until("nothing stays mapped", lambda: mapped(seq.pid) <= mapped_still, 10)


def _fails(name, counts):
    """Each of these fails in turn."""
    need_earshot(root=False)
    refused = 0
    with Seq() as seq:
        for n in counts:
            with trace(seq.pid, f"{name}:{n}") as e:
                code = e.wait(40)
                text = e.err()
            assert code in (0, 3), f"{name}:{n}: exit code {code}: {e.describe()}"
            if code == 3:
                refused += 1
                assert one_sentence(text) and not re.search(r"\(null\)|Success", text), f"{name}:{n}: {text}"
            check_restored(seq)
            # Where munmap itself fails while leaving, pages stay: nothing leads to them, and the next goes without.
            check_takes_another(seq, 0 if code == 3 else mapped(seq.pid))
    assert refused, "nothing was refused: this tests nothing"
    return f"{refused} of {len(counts)} refused"


def _forced():
    """Writing to read-only memory is restricted: ptrace does it."""
    need_earshot(root=False)
    with Seq() as seq:
        for _ in range(5):
            with trace(seq.pid, "forced:0") as e:
                assert e.wait(30) == 0, e.describe()
                assert "planted" in e.err(), e.describe()
            check_restored(seq)
        assert not mapped(seq.pid)


def _dies():
    """The program is killed at each step."""
    need_earshot(root=False)
    for n in range(1, 12):
        with Seq() as seq, trace(seq.pid, f"die:{n}") as e:
            until("the program is dead", lambda: not seq.alive(), 20)
            code = e.wait(30)
            assert code in (0, 3), f"die:{n}: exit code {code}: {e.describe()}"
            assert seq.popen.returncode == -signal.SIGKILL, seq.popen.returncode


def _executes():
    """It becomes another program between two stops; that one lives, too."""
    need_earshot(root=False)
    for after in (0.1, 0.3, 0.5, 0.7):
        with Seq(args=["-quiet", "-exec-on-usr1", "-burst", "10", "-pause", "20ms"]) as seq:
            with trace(seq.pid, "running:300", limit=100000000) as e:
                time.sleep(after)
                seq.send_signal(signal.SIGUSR1)
                until("it is another program", lambda: seq.out().count("ready") == 2 or not seq.alive(), 20)
                seq.check_counts_on()
                e.stop(signal.SIGINT, 30)
            check_restored(seq)
            assert not mapped(seq.pid)


def _killed(fault, both):
    """kill -9 at random moments, with the windows made wide."""
    need_earshot(root=False)
    rounds, dice, caught = scaled(10, 8, "PATCH_FAULT_KILLS"), random.Random(7), 0
    with Seq() as seq:
        for i in range(rounds):
            e = trace(seq.pid, fault, limit=100000000)
            if i % 3 == 0:
                until("it is at work", lambda: mapped(seq.pid), 20, 0.001)
            time.sleep(dice.uniform(0.05, 0.8))
            caught += bool(changed_text(seq.pid) or mapped(seq.pid))
            if both:
                kill_both(e)
            else:
                os.kill(e.pid, signal.SIGKILL)
                e.kill()
                until("the helper ends", lambda: not any(helpers()), 30)
                assert not changed_text(seq.pid) and not mapped(seq.pid), "not everything is restored"
            seq.check_counts_on()
        check_takes_another(seq)
    return f"{rounds} kills, {caught} with something in place"


def _killed_in_a_call():
    """Both are killed while a thread makes a system call for earshot. In a young program few threads wait for work."""
    need_earshot(root=False)
    rounds, dice, caught = scaled(10, 8, "PATCH_FAULT_KILLS"), random.Random(11), 0
    for i in range(rounds):
        with Seq(minor=MINORS[i % len(MINORS)]) as seq:
            e = trace(seq.pid, "slow-call:20", limit=100000000)
            if i % 3 == 0:
                until("it is at work", lambda: mapped(seq.pid), 20, 0.001)
            time.sleep(dice.uniform(0.05, 0.8))
            caught += bool(changed_text(seq.pid) or mapped(seq.pid))
            kill_both(e)
            seq.check_counts_on()
            if i % 4 == 0:
                check_takes_another(seq)
    assert caught, "nothing was in place: this tests nothing"
    return f"{rounds} kills, {caught} with something in place"


def _unsafe():
    """At some looks, and at each, no thread waits where it can make calls without danger: one will, or it is done so."""
    need_earshot(root=False)
    with Seq() as seq:
        for n in (1, 2, 3, 5, 9, 0):
            with trace(seq.pid, f"unsafe:{n}") as e:
                code = e.wait(40)
                assert code == 0 and len(e.out().splitlines()) >= 500, f"unsafe:{n}: {e.describe()}"
            check_restored(seq)
            assert not mapped(seq.pid), f"unsafe:{n}"
    for n in (1, 3, 0):  # in a program that waits at its main function meanwhile: that thread alone
        with Earshot("run", "--planter", "patch", "-o", "json", "--", BIN / f"oneshot-go{MINORS[-1]}-sw",
                     env=clean_env(EARSHOT_FAULT=f"unsafe:{n}")) as e:
            code = e.wait(40)
            assert code == 7 and len(e.spans()) == 3, f"unsafe:{n}: exit code {code}: {e.describe()}"


def _killed_and_next():
    """The next one comes while the dead one's helper is still at work: it takes over, or waits."""
    need_earshot(root=False)
    rounds, dice, met = scaled(10, 8, "PATCH_FAULT_KILLS"), random.Random(9), 0
    with Seq() as seq:
        for i in range(rounds):
            e = trace(seq.pid, ("slow:150", "running:300", "slow-call:20")[i % 3], limit=100000000)
            if i % 3 == 0:
                until("it is at work", lambda: mapped(seq.pid), 20, 0.001)
            time.sleep(dice.uniform(0.05, 0.8))
            os.kill(e.pid, signal.SIGKILL)
            e.kill()
            met += any(helpers())
            with trace(seq.pid, limit=100) as e:
                code = e.wait(40)
                # It may have come between two steps of a helper that was to take out all anyway.
                assert code == 0 or (code == 3 and one_sentence(e.err())), e.describe()
            seq.check_counts_on()
        check_takes_another(seq)
    assert met, "no helper was at work: this tests nothing"
    return f"{rounds} kills, {met} with a helper at work"


def tests():
    yield Test("calls", lambda: _fails("call", range(1, scaled(24, 14, "PATCH_FAULTS"))), 300)
    yield Test("writes", lambda: _fails("write", range(1, scaled(16, 8, "PATCH_FAULTS"))), 300)
    yield Test("code", lambda: _fails("code", (1, 2, 5, 9)), 120)
    yield Test("allocation", lambda: _fails("allocate", (1,)), 60)
    yield Test("stuck", lambda: _fails("stuck", (0, 1, 2, 5, 9)), 120)
    yield Test("forced-write", _forced, 120)
    yield Test("dies", _dies, 200)
    yield Test("executes", _executes, 120)
    yield Test("unsafe", _unsafe, 120)
    yield Test("killed-in-a-step", lambda: _killed("slow:150", False), 400)
    yield Test("killed-in-a-call", lambda: _killed("slow-call:20", False), 400)
    yield Test("killed-and-next", _killed_and_next, 400)
    yield Test("killed-with-helper", lambda: _killed("slow:150", True), 400)
    yield Test("killed-with-helper-in-a-call", _killed_in_a_call, 400)
