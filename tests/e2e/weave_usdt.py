"""`earshot build --usdt`: USDT probes of woven programs (tests/go/usdt), as bpftrace, bcc, perf, binutils and Earshot see them."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import stapsdt
import usdt
from proc import EARSHOT, Process, clean_env, scratch, until
from target import MINORS
from testing import Test, scaled
from weave import SOURCES, _build, _modfile, _quiet

FIRST, LAST = "1.21", MINORS[-1]
SLOT = 24
WORDS = {"text": ((0, ""), (8, "")), "int": ((8, "-"),), "uint": ((8, ""),)}
# What the program asks for itself, and what --span makes of a function.
OWN = {
    "shop:order_placed": ("text", "int", "text", "uint"),
    "shop:item": ("int", "int"),
    "shop:inner": ("text", "int"),
    "shop:rejected": (),
    "shop:summed": ("text", "uint"),
    "load:numbered": ("int", "int"),
}
SPANS = {
    "functions:main_place_start": "8@%rbx -8@32(%rax) 8@%rcx",
    "functions:main_place_end": "8@%rbx 8@8(%rax) 8@%rcx",
}


def _operands(kinds):
    slots = [f"{sign}8@{SLOT * i + at or ''}(%rax)" for i, kind in enumerate(kinds) for at, sign in WORDS[kind]]
    return " ".join(slots)


OPTIONS = ("--packs", "go-runtime", "--span", "main.place") # the same for all: what is woven otherwise is built anew


def _woven(minor, *flags, options=OPTIONS, probes=True):
    path = scratch() / "usdt"
    how = ("--usdt", *options) if probes else options
    said = _build(minor, _modfile(minor), *flags, "-o", path, "./usdt", options=how)
    assert not _quiet(said), said
    return path


def _sites(path):
    """As binutils, the tests' own parser, and Earshot have them, which is all the same."""
    others, _ = stapsdt.read(path)
    assert sorted(others) == sorted(stapsdt.readelf(path)), path
    done = subprocess.run([EARSHOT, "usdt", "list", "--json", path], capture_output=True, timeout=60, env=clean_env(), check=True)
    file, = json.loads(done.stdout)["files"]
    assert sorted(s for s, _ in usdt._sites(file)) == sorted(others), path
    return {f"{provider}:{name}": (semaphore, " ".join(args)) for provider, name, _, semaphore, args in others}


def _check_names(path):
    sites = _sites(path)
    assert {n: a for n, (_, a) in sites.items()} == {**{n: _operands(k) for n, k in OWN.items()}, **SPANS}, sites
    semaphores = {s for s, _ in sites.values()}
    assert len(semaphores) == len(sites) and 0 not in semaphores, sites
    return sites


PROGRAM = """
usdt:FILE:shop:order_placed { printf("placed %s %d %s %d\\n", str(arg0, arg1), arg2, str(arg3, arg4), arg5); }
usdt:FILE:shop:item { printf("item %d %d\\n", arg0, arg1); }
usdt:FILE:shop:inner { printf("inner %s %d\\n", str(arg0, arg1), arg2); }
usdt:FILE:shop:rejected { printf("rejected\\n"); }
usdt:FILE:shop:summed { printf("summed %s %d\\n", str(arg0, arg1), arg2); }
usdt:FILE:functions:main_place_start { printf("start %d %d %d\\n", arg0 > 0, arg2, arg1); }
usdt:FILE:functions:main_place_end { printf("end %d %d %d\\n", arg0 > 0, arg2, arg1 != 0); }
"""
ORDERS = "2\n7\n-1\n"
SUMS = "sum 2\nsum 4\nfailed\n"
SEEN = """start 1 0 -3
placed order-2 2  0
item 0 -3
item 1 -3
inner order-2! 5
summed sum 1 2
end 1 0 0
start 1 0 -3
placed order-7 7 pear 1
item 0 -3
item 1 -3
item 2 -3
inner order-7! 5
summed sum 3 4
end 1 0 0
start 1 0 -3
placed order--1 -1  0
inner order--1! 5
rejected
end 1 0 1
"""


class Shop(Process):
    """tests/go/usdt: does what its lines say."""

    def __init__(self, path):
        self.pipe, self.write = os.pipe()
        super().__init__([path], stdin=self.pipe)
        os.close(self.pipe)

    def says(self, text):
        os.write(self.write, text.encode())

    def done(self):
        os.close(self.write)
        assert self.popen.wait(30) == 0, self.describe()
        return self.out()


def _bpftrace(path):
    """Right values, and in the order of things; nothing before it listens and nothing behind."""
    shop = Shop(path)
    shop.says(ORDERS)
    until("it works", lambda: "failed" in shop.out())
    program = scratch() / "program.bt"
    program.write_text("BEGIN { printf(\"ready\\n\"); }" + PROGRAM.replace("FILE", str(path)))
    tracer = Process(["bpftrace", "-B", "line", program], env=clean_env(BPFTRACE_STRLEN="64"))
    until("bpftrace listens", lambda: "ready" in tracer.out() or tracer.popen.poll() is not None, 30)
    shop.says(ORDERS)
    until("all is seen", lambda: tracer.out().count("end ") == 3 or tracer.popen.poll() is not None, 20)
    tracer.popen.send_signal(signal.SIGINT)
    tracer.popen.wait(30)
    got = tracer.out()[tracer.out().index("ready\n") + 6:].strip()
    assert got == SEEN.strip(), (got, tracer.describe())
    shop.says(ORDERS)
    assert shop.done() == 3 * SUMS, shop.describe()
    return f"{len(SEEN.splitlines())} hits"


BCC = """
import sys
from bcc import USDT
for p in USDT(path=sys.argv[1]).enumerate_probes():
    print(p.provider.decode() + ":" + p.name.decode(), p.num_arguments, p.semaphore)
"""


def _others(path, sites):
    """bcc's reader, which bpftrace has as well, and perf's, which makes events of them."""
    done = subprocess.run(["/usr/bin/python3", "-c", BCC, path], capture_output=True, text=True, timeout=60, check=True, env=clean_env())
    assert sorted(done.stdout.splitlines()) == sorted(f"{n} {len(a.split())} {s}" for n, (s, a) in sites.items()), done.stdout
    home = clean_env(HOME=scratch())
    subprocess.run(["perf", "buildid-cache", "--add", path], capture_output=True, timeout=60, check=True, env=home)
    listed = subprocess.run(["perf", "list", "sdt"], capture_output=True, text=True, timeout=60, check=True, env=home).stdout
    assert sorted(re.findall(r"^\s*sdt_(\S+)", listed, re.M)) == sorted(sites), listed


def _stripped(minor):
    """Without symbols, with another build in another folder that is the same bit for bit, and as strip leaves it."""
    path = _woven(minor, "-trimpath", "-ldflags=-s -w")
    sites = _check_names(path)
    copy = scratch() / "usdt"
    shutil.copy(path, copy)
    subprocess.run(["strip", copy], check=True, timeout=20)
    assert _sites(copy) == sites
    _others(copy, sites)
    here = scratch() / "tests"
    shutil.copytree(SOURCES, here, ignore=lambda d, names: [n for n in names if pathlib.Path(d) == SOURCES and n not in ("usdt", "go.mod", "go.sum")])
    said = _build(minor, _modfile(minor), "-trimpath", "-ldflags=-s -w", "-o", here / "again", "./usdt", cwd=here,
                  options=("--usdt", *OPTIONS))
    assert not _quiet(said) and (here / "again").read_bytes() == path.read_bytes(), said
    return _bpftrace(copy)


def _pie(minor):
    """An executable that is loaded anywhere; without the option there is nothing of it."""
    path = _woven(minor, "-buildmode=pie")
    _check_names(path)
    return _bpftrace(path)


def _none(minor):
    """Without the option the comments are comments."""
    path = _woven(minor, options=("--packs", "go-runtime", "--span", "main.*"), probes=False)
    data = path.read_bytes()
    assert b"stapsdt" not in data and b"order_placed" not in data
    shop = Shop(path)
    shop.says(ORDERS)
    assert shop.done() == SUMS


def _refused(minor):
    """A comment that makes no probe is one warning, and the rest is built."""
    here = scratch()
    (here / "go.mod").write_text(f"module example.com/odd\n\ngo {minor}\n")
    (here / "main.go").write_text("package main\n\nfunc main() {\n\t//earshot:usdt a:b x\n\t//earshot:usdt a:c\n\tprintln()\n}\n")
    said = _build(minor, "-o", here / "odd", ".", cwd=here, options=("--usdt", *OPTIONS))
    line, = _quiet(said)
    assert line.startswith("earshot: main: main.go:4: //earshot:usdt a:b x is no probe: x"), said
    assert list(_sites(here / "odd")) == ["a:c"]


QUESTION = "usdt:load:numbered { count() by arg0; min(arg1) by arg0; max(arg1) by arg0 }"


def _cycles(minor):
    """Whoever comes and goes under load sees each call while he is there: no number is missing or doubled."""
    path = _woven(minor)
    shop, seen = Shop(path), 0
    shop.says("load\n")
    cycles = scaled(20, 5, "USDT_CYCLES")
    for _ in range(cycles):
        tracer = Process([EARSHOT, "trace", "-p", str(shop.popen.pid), "--json", QUESTION])
        until("it listens", lambda t=tracer: "in place" in t.err() or t.popen.poll() is not None)
        tracer.popen.send_signal(signal.SIGINT)
        assert tracer.popen.wait(30) == 0, tracer.describe()
        groups = {}
        for line in map(json.loads, tracer.out().splitlines()):
            if "aggregate" in line:
                groups.setdefault(line["key"]["arg0"], {}).update(line)
        for worker, g in groups.items():
            assert g["max"] - g["min"] + 1 == g["count"], (worker, g)
            seen += g["count"]
    shop.says("stop\n")
    totals = [int(line.split()[2]) for line in shop.done().splitlines()]
    assert len(totals) == 2 and seen, totals
    return f"{cycles} cycles, {seen} of {sum(totals)} calls"


def tests():
    yield Test(f"stripped-go{LAST}", lambda: _stripped(LAST), 300)
    yield Test(f"pie-go{FIRST}", lambda: _pie(FIRST), 300)
    yield Test("none", lambda: _none(LAST), 300)
    yield Test("refused", lambda: _refused(LAST), 300)
    yield Test("cycles", lambda: _cycles(LAST), 300 if not os.environ.get("EARSHOT_USDT_CYCLES") else 6000)
