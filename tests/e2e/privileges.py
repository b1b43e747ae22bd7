"""The capabilities that are said to suffice do."""

import json
import os
import re

from earshot import agent, attach, need_earshot
from proc import EARSHOT, Process, Skip, clean_env, public_copy, run_once
from target import Httpd, newest
from testing import Test

NOBODY = 65534


def _caps(*names, uid=NOBODY):
    """A setpriv prefix: another user with just these capabilities."""
    listed = ",".join(["-all", *(f"+{n}" for n in names)])
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
            f"--inh-caps={listed}", f"--ambient-caps={listed}", f"--bounding-set={listed}"]


def _as_user(argv, env):
    return Process(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *argv], env=env)


class UserHttpd(Httpd):
    """The server run by nobody, who may write its report."""

    def __init__(self):
        super().__init__(newest(), process=self._start)

    def _start(self, argv, env):
        os.chmod(self.report.path.parent, 0o777)
        return _as_user(argv, env)


def _observes(httpd, prefix):
    with attach(httpd.pid, observe=[httpd.where["http"]], prefix=prefix,
                binary=public_copy(EARSHOT)) as e:
        for i in range(20):
            httpd.get("/plain", agent=f"n{i}")
        e.wait_spans(20)
        spans, _ = e.finish()
        assert sorted(agent(s) for s in spans) == sorted(f"n{i}" for i in range(20)), e.describe()


def _need_multi():
    """Without uprobe_multi the kernel may want CAP_SYS_ADMIN for each site's perf event."""
    need_earshot()
    checks = json.loads(run_once([EARSHOT, "doctor", "--json"]).out())["checks"]
    if not any(c["name"] == "uprobe_multi" and c["ok"] for c in checks):
        raise Skip("this kernel has no uprobe_multi links")


def _own_process():
    """CAP_BPF and CAP_PERFMON suffice for one's own programs."""
    _need_multi()
    with UserHttpd() as httpd:
        _observes(httpd, _caps("bpf", "perfmon"))


def _other_users_process():
    """With CAP_SYS_PTRACE, for those of others too."""
    _need_multi()
    with Httpd(newest()) as httpd:
        _observes(httpd, _caps("bpf", "perfmon", "sys_ptrace"))


def _no_new_privs():
    need_earshot()
    with Httpd(newest()) as httpd:
        _observes(httpd, ["setpriv", "--no-new-privs"])


def _run_drops_nothing():
    """Under `run` the program has its user's own privileges, no less."""
    need_earshot()
    done = run_once([EARSHOT, "run", "-q", "-o", "none", "--", "/bin/grep", "CapEff", "/proc/self/status"])
    mine = re.search(r"CapEff:\s*(\w+)", open("/proc/self/status").read()).group(1)
    assert mine in done.out(), f"{done.out()!r} instead of {mine}"


def _inspect_as_nobody():
    need_earshot()
    done = run_once([*_caps(), public_copy(EARSHOT), "inspect", newest()])
    assert done.code == 0, done.describe()


def _doctor_names_what_is_missing():
    need_earshot()
    done = run_once([*_caps(), public_copy(EARSHOT), "doctor"], env=clean_env())
    text = done.out() + done.err()
    assert done.code in (0, 1, 3), done.describe()
    for cap in ("CAP_BPF", "CAP_PERFMON"):
        assert cap in text, text
    assert "ptrace" in text, text
    assert "CAP_SYS_ADMIN" in text or "lockdown" in text, text # to write; virtual_machine shows what else there is
    assert run_once([EARSHOT, "doctor"], 60).code == 0
    prices = json.loads(run_once([EARSHOT, "doctor", "--json"], 60).out())["price_ns"]
    assert 0 < prices["patch"] < prices["stepped"], prices


def tests():
    yield Test("own-process", _own_process)
    yield Test("other-users-process", _other_users_process)
    yield Test("no-new-privs", _no_new_privs)
    yield Test("run-keeps-privileges", _run_drops_nothing)
    yield Test("inspect-as-nobody", _inspect_as_nobody)
    yield Test("doctor", _doctor_names_what_is_missing, 90)
