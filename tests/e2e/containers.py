"""Programs in other mount and PID namespaces and roots, several processes of
one binary, and programs that start later."""

import os
import re
import shutil
import signal
import time

from cases import expectations, plan
from earshot import Earshot, agent, attach, need_earshot, patched
from proc import BIN, Process, Skip, free_port, listener_pid, run_once, scratch, session_pids, until
from services import ROOT, SERVICES
from spans import check
from target import MINORS, Httpd, Report, get, httpd_path, newest, send
from testing import Test

PROTOS = ("h1", "h2")


def _box(script, flags=(), binary=None):
    """The server as /srv/app of a root of its own, started by a shell script
    that finds $root, $binary, and the command as "$@"."""
    root, binary = scratch(), binary or newest()
    root.chmod(0o755)

    class Boxed(Httpd):
        def __init__(self):
            # The report is a file the server reaches as /report and we as out/report.
            self.outside = scratch()
            super().__init__("/srv/app", process=self._start)

        def _start(self, argv, env):
            self.report = Report(self.outside / "report")
            argv = ["/srv/app", "-report", "/report/report", *argv[3:]]
            return Process(["unshare", "--mount", *flags, "/bin/sh", "-ec", script, "sh", *argv],
                           env={**env, "root": str(root), "binary": str(binary), "out": str(self.outside)})

    return Boxed()


FILL = 'mkdir -p "$root/srv" "$root/report" "$root/proc" "$root/tmp"; cp "$binary" "$root/srv/app"; ' \
       'mount --bind "$out" "$root/report"; '
CHROOT = FILL + 'exec chroot "$root" "$@"'
TMPFS = 'mount -t tmpfs none "$root"; ' + CHROOT
OVERLAY = ('mount -t tmpfs none "$root"; mkdir "$root/low" "$root/up" "$root/work" "$root/all"; '
           'mkdir -p "$root/low/srv"; cp "$binary" "$root/low/srv/app"; '
           'mount -t overlay overlay -o "lowerdir=$root/low,upperdir=$root/up,workdir=$root/work" "$root/all"; '
           'mkdir "$root/all/report" "$root/all/tmp"; mount --bind "$out" "$root/all/report"; '
           'exec chroot "$root/all" "$@"')


def _host_pid(httpd):
    """The server's number out here; in a PID namespace it knows another one."""
    pid = listener_pid(httpd.where["http"], session_pids(httpd.process.pid))
    assert pid, "the server's process is not to be found"
    return pid


def _boxed(script, flags=()):
    need_earshot()
    with _box(script, flags) as httpd:
        httpd.pid = _host_pid(httpd)
        with attach(httpd.pid, observe=[httpd.where["http"]]) as earshot:
            planned = list(plan(httpd, PROTOS))
            responses = send([script for _, _, script in planned])
            want = expectations(httpd, planned, responses)
            earshot.wait_spans(len(want))
            check(want, earshot.finish()[0])
        assert httpd.get("/plain")[0] == 200


def _trixie_root():
    """A dynamically linked program in another Debian release's root."""
    need_earshot()
    root, service = ROOT / "trixie/root", SERVICES["caddy"]
    binary = ROOT / "trixie" / service.binary
    if not binary.exists() or not (root / "lib64").exists():
        raise Skip("caddy of Debian 13 was not fetched")
    port, top = free_port(), scratch()
    script = ('mount -t tmpfs none "$top"; cp -a "$from/." "$top/"; cp "$binary" "$top/caddy"; '
              'exec chroot "$top" /caddy respond --listen "127.0.0.1:$port" hello')
    with Process(["unshare", "--mount", "/bin/sh", "-ec", script],
                 env={"PATH": os.environ["PATH"], "top": str(top), "from": str(root), "HOME": "/tmp",
                      "binary": str(binary), "port": str(port)}) as p:
        def answers():
            try:
                return get(port, "/")[0] == 200
            except OSError:
                return False

        until(f"caddy answers: {p.describe()}", answers, 20)
        with attach(p.pid, observe=[port]) as e:
            get(port, "/x", "one")
            e.wait_spans(1)
            spans, _ = e.finish()
            assert [agent(s) for s in spans] == ["one"], spans


def _deleted():
    """The file was replaced, as an upgrade does, while the old program runs."""
    need_earshot()
    copy = scratch() / "app"
    shutil.copy(newest(), copy)
    with Httpd(copy) as httpd:
        copy.unlink()
        with attach(httpd.pid, observe=[httpd.where["http"]]) as e:
            httpd.get("/plain", agent="one")
            e.wait_spans(1)
            assert [agent(s) for s in e.finish()[0]] == ["one"]


def _several():
    """Of three processes of one binary two are observed, the third is not."""
    need_earshot()
    path = newest()
    with Httpd(path) as a, Httpd(path) as b, Httpd(path) as c:
        with attach(a.pid, b.pid, observe=[a.where["http"], b.where["http"]]) as e:
            for i in range(50):
                for httpd, name in ((a, "a"), (b, "b"), (c, "c")):
                    httpd.get("/plain", agent=f"{name}{i}")
            e.wait_spans(100)
            spans, _ = e.finish()
        want = {f"{n}{i}": p for n, p in (("a", a.pid), ("b", b.pid)) for i in range(50)}
        got = {agent(s): s["pid"] for s in spans}
        assert len(spans) == len(got) and got == want, f"{len(spans)} spans, {set(got) ^ set(want)}"


def _mixed():
    """Programs of different Go versions at once."""
    need_earshot()
    paths = [p for p in (httpd_path(m, k) for m, k in (("1.19", "sw"), ("1.22", "pie"), ("1.27", "trim")))
             if p.exists()]
    servers = [Httpd(p) for p in paths]
    with attach(*[h.pid for h in servers], observe=[h.where["http"] for h in servers]) as e:
        for h in servers:
            for i in range(20):
                h.get("/plain", agent=f"{h.pid}/{i}")
        e.wait_spans(20 * len(servers))
        got = sorted((s["pid"], agent(s)) for s in e.finish()[0])
        assert got == sorted((h.pid, f"{h.pid}/{i}") for h in servers for i in range(20)), got


def _later(by):
    """A program that starts after earshot and matches is observed."""
    need_earshot()
    copy, port = scratch() / "lateshop", free_port()
    shutil.copy(newest(), copy)
    how = {"name": ["-x", "lateshop*"], "path": ["-x", f"{copy.parent}/late*"],
           "port": ["--port", str(port)]}[by]
    with Earshot("attach", *how, "-o", "json") as e, Httpd(newest()) as other:
        time.sleep(1)
        e.check_alive()
        pids = set()
        for i in range(3):
            with Httpd(copy, "-port", str(port)) as httpd:
                e.wait_observing(httpd.where["http"], seconds=10)
                for n in range(10):
                    httpd.get("/plain", agent=f"r{i}.{n}")
                    other.get("/plain", agent="not me")
                pids.add(httpd.pid)
                e.wait_spans(10 * (i + 1))
        spans, _ = e.finish()
        got = sorted(agent(s) for s in spans)
        assert got == sorted(f"r{i}.{n}" for i in range(3) for n in range(10)), got
        assert {s["pid"] for s in spans} == pids


def _at_once():
    """What -x promises: a program that starts is held at its exec, if it is seen in time, and observed from when earshot
    says so. How soon that is depends on the machine; that every request from then on is seen does not."""
    need_earshot()
    copy = scratch() / "quickshop"
    shutil.copy(newest(), copy)
    with Earshot("attach", "-x", "quickshop", "-o", "json") as e:
        for i in range(10):
            with Httpd(copy) as httpd:
                until("earshot has seen the start", lambda: f"observing quickshop (pid {httpd.pid}" in e.err(), 20)
                for n in range(3):
                    httpd.get("/plain", agent=f"q{i}.{n}")
                e.wait_spans(3 * (i + 1))
        spans, _ = e.finish()
        assert sorted(agent(s) for s in spans) == sorted(f"q{i}.{n}" for i in range(10) for n in range(3)), \
            [agent(s) for s in spans]


def _too_short():
    """Programs that live for a millisecond: each is observed, or counted as ended too soon, and none is harmed."""
    need_earshot()
    copy, rounds = scratch() / "blink", 20
    shutil.copy(BIN / f"oneshot-go{MINORS[-1]}-sw", copy)
    with Earshot("attach", "-x", "blink", "-o", "json") as e:
        until("earshot waits", lambda: "waiting for it to start" in e.err())
        for _ in range(rounds):
            assert run_once([copy]).code == 7
        time.sleep(1)
        code = e.stop(signal.SIGINT, 20)
        seen = len(re.findall(r"observing blink \(pid", e.err()))
        assert code == (0 if seen else 3), e.describe()
        short = re.search(r"(\d+) programs? that matched ended before", e.err())
        assert seen + (int(short[1]) if short else 0) == rounds, e.err()
        others = [line for line in e.err().splitlines() if not re.search("blink|waiting for|ended before|spans? from", line)]
        assert not others, others  # their end is no fault of theirs
        assert "refused" not in e.err(), e.err()
    return f"{seen} of {rounds} observed"


def _twice():
    """Two earshots on one program: both see everything; the second says that it is not alone."""
    need_earshot()
    with Httpd(newest()) as httpd, attach(httpd.pid, observe=[httpd.where["http"]]) as a, \
            attach(httpd.pid, observe=[httpd.where["http"]]) as b:
        for i in range(50):
            httpd.get("/plain", agent=f"n{i}")
        for e in (a, b):
            e.wait_spans(50)
            assert sorted(agent(s) for s in e.finish()[0]) == sorted(f"n{i}" for i in range(50))
        told = [line for line in (a.err() + b.err()).splitlines() if "another tool has a breakpoint" in line]
        assert len(told) == 1 and told[0] in b.err(), (a.err(), b.err())


def _ends():
    """With only -p, earshot ends when the program has."""
    need_earshot()
    with Httpd(newest()) as httpd, attach(httpd.pid, observe=[httpd.where["http"]]) as e:
        httpd.get("/plain", agent="one")
        e.wait_spans(1)
        httpd.process.stop()
        code = e.wait(10)
        assert code == 0, e.describe()
        assert [agent(s) for s in e.spans()] == ["one"]
        assert e.summary(), e.out()


def tests():
    yield Test("chroot", lambda: _boxed(CHROOT))
    yield Test("tmpfs-of-its-own", lambda: _boxed(TMPFS))
    yield Test("overlayfs", lambda: _boxed(OVERLAY))
    yield Test("pid-namespace", lambda: _boxed(TMPFS, ["--pid", "--fork"]))
    yield Test("other-libc", _trixie_root)
    yield Test("deleted-binary", _deleted)
    yield Test("several-processes", _several)
    yield Test("several-go-versions", _mixed)
    for by in ("name", "path", "port"):
        yield Test(f"starts-later-by-{by}", lambda b=by: _later(b))
    yield Test("from-the-start-by-name", _at_once)
    yield Test("too-short", _too_short)
    yield patched(Test("too-short", _too_short))
    yield Test("two-earshots", _twice)
    yield Test("ends-with-the-program", _ends)
