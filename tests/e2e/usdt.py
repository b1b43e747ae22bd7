"""`earshot usdt`: the USDT probes of programs of all kinds, as binutils and a second parser (lib/stapsdt) read them."""

import ctypes.util
import glob
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import stapsdt
from proc import EARSHOT, clean_env, scratch, until
from testing import Test


def run(*args):
    done = subprocess.run([EARSHOT, "usdt", *args], capture_output=True, timeout=60, env=clean_env(), text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def _list(*args):
    code, out, err = run("list", "--json", *args)
    assert code == 0 and not err, (code, err)
    return json.loads(out)["files"]


def _sites(file):
    """As lib/stapsdt has them, and beside each the arguments as Earshot understands them."""
    return [((p["provider"], p["name"], s["address"], s["semaphore"], [a["text"] for a in s["args"]]), s)
            for p in file["probes"] for s in p["sites"]]


# ---- what Debian's programs carry ----

def _installed(pattern):
    found = sorted(glob.glob(pattern))
    assert found, f"{pattern} is not installed"
    return found[-1]


PROGRAMS = {
    "python3.11": ("/usr/bin/python3.1[0-9]", 8, 8),
    "libstdc++": ("/usr/lib/x86_64-linux-gnu/libstdc++.so.6", 3, 3),
    "postgres": ("/usr/lib/postgresql/*/bin/postgres", 50, 60),
}


def compare(path):
    """Every site is what both others say; every operand is read as the second parser reads it, or refused by both."""
    file, = _list(path)
    sites = _sites(file)
    others, symbols = stapsdt.read(path)
    assert sorted(s for s, _ in sites) == sorted(others), path
    assert sorted(others) == sorted(stapsdt.readelf(path)), path
    refused = 0
    for site, said in sites:
        assert ("alone" in said.get("refused", "")) == (pathlib.Path(path).suffix == ".debug"), (path, said)
        for arg in said["args"]:
            text, why = arg.pop("text"), arg.pop("refused", None)
            expected = stapsdt.operand(text, symbols)
            assert (expected is None) == bool(why), (path, site, text, why)
            assert why or arg == expected, (path, site, text, arg, expected)
            refused += bool(why)
    return len({s[:2] for s, _ in sites}), len(sites), refused


def _program(name):
    pattern, names, least = PROGRAMS[name]
    got = compare(_installed(pattern))
    assert got[0] >= names and got[1] >= least and got[2] == 0, got
    return f"{got[0]} probes at {got[1]} sites"


# ---- forms that Debian's programs have not ----

def _forms():
    """A program of which half the notes are wrong: what is right is read."""
    good = ["8@(%rdi,%rsi,8)", "-1@%sil", "8f@%rdx", "4@number(%rip)", "2@4+number(%rip)", "8@$-5"]
    bad = ["8@%xmm0", "8@absent(%rip)", "8@12+number(%rip)", "3@%rax", "8@%fs:0", "what"]
    bell = "bell" + chr(92) + "007"  # an escape of the assembler
    source = f"""
	.globl main
main:	xor %eax, %eax
site:	nop
	ret
{stapsdt.note("site", "made", "forms", " ".join(g + " " + b for g, b in zip(good, bad)), "ready")}
{stapsdt.note("ready", "made", "in_data", "8@%rax")}
{stapsdt.note("site", "made", "alien_semaphore", "", "site")}
{stapsdt.note("site", "made", "", "8@%rax")}
{stapsdt.note("site", "made", bell, "8@%rax")}
{stapsdt.note("site", "made", "last", "8@%rax")}
	.data
ready:	.2byte 0
	.globl number
	.type number, @object
	.size number, 16
	.balign 8
number:	.8byte 1, 2
"""
    where = scratch()
    plain = stapsdt.build(where, "forms", source)
    stripped = where / "stripped"
    subprocess.run(["strip", "-o", stripped, plain], check=True, timeout=30)
    for path, readable in ((plain, good), (stripped, [g for g in good if "number" not in g])):
        file, = _list(path)
        probes = {p["name"]: p["sites"][0] for p in file["probes"]}
        assert len(probes) == 6, probes.keys()
        args = probes["forms"]["args"]
        assert [a["text"] for a in args if "refused" not in a] == readable, args
        assert all(a["place"] == "refused" for a in args if "refused" in a)
        assert sum("refused" in s for s in probes.values()) == 4, probes
        assert "refused" not in probes["last"] and "refused" not in probes["forms"]
        code, out, err = run("list", "--sites", path)
        assert code == 0 and not err and "\a" not in out and "bell\\x07" in out, (code, err)
        assert "made:forms(uint64, uint64" in out and "is refused: its semaphore is in no data" in out, out
        assert "is refused: its address is in no code" in out, out
    return ""


def _nops():
    """What a hit costs is said by the instruction; one of five bytes is refused where code may keep data below its stack."""
    nops = {"one": (".byte 0x90", "nop", "cheap"), "five": (".byte 0x0f, 0x1f, 0x44, 0, 0", "nop5", "cheap on Linux 6.18"),
            "ten": (".byte 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0", "other nop", "depends on the kernel"),
            "none": ("mov %rax, %rbx", "no nop", "dear")}
    source = "".join(f"{name}:	{code}\n" + stapsdt.note(name, "made", name, "8@%rax 8@%rbx 8@%rcx -8@%rdi")
                     for name, (code, _, _) in nops.items())
    for is_go, more in ((False, ""), (True, '.section .gopclntab,"a"\n.long 1\n')):
        file, = _list(stapsdt.build(scratch(), "nops", source + more, "-shared", "-nostdlib"))
        assert file["go"] == is_go, file
        for probe in file["probes"]:
            site, = probe["sites"]
            assert (site["instruction"], site["price"]) == nops[probe["name"]][1:], site
            assert ("refused" in site) == (probe["name"] == "five"), site  # C's code in a Go program (cgo) is C's
    return ""


def _headless():
    """Without section headers notes are not found, and nobody can tell whether there are any."""
    path = scratch() / "headless"
    path.write_bytes(pathlib.Path(stapsdt.library(scratch())).read_bytes())
    with open(path, "r+b") as f:
        for at, size in ((40, 8), (60, 2), (62, 2)):
            f.seek(at)
            f.write(bytes(size))
    code, out, err = run("list", path)
    assert code == 3 and not out and "has no section headers" in err, (code, out, err)
    return ""


# ---- processes ----

_LOADS = """
import ctypes, os, select, sys
held = []
def load(path):
    library = ctypes.CDLL(path)
    library.hit(1, 2)
    held.append(library)
load(sys.argv[1])
os.unlink(sys.argv[1])
fd = os.memfd_create("libstapsdt:app", os.MFD_CLOEXEC)
os.write(fd, open(sys.argv[2], "rb").read())
load(f"/proc/self/fd/{fd}")
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.05)[0]:
    held[1].hit(5, -7)
"""


def _process():
    """Its executable, a library that is deleted by now, one that never had a name (as libstapsdt and salp do it)."""
    where = scratch()
    first, second = stapsdt.library(where, "deleted.so"), stapsdt.library(where, "other.so")
    program = subprocess.Popen([_installed(PROGRAMS["python3.11"][0]), "-c", _LOADS, first, second], env=clean_env(),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout.readline() == "ready\n"
        files = {f["path"]: f for f in _list("-p", str(program.pid))}
        python = files.pop(os.path.realpath(f"/proc/{program.pid}/exe"))
        assert len(python["probes"]) == 8 and not python["go"], python
        for path in (str(first), "/memfd:libstapsdt:app"):
            file = files.pop(path)
            probes = file["probes"]
            assert [p["name"] for p in probes] == ["hit", "miss"], probes
            assert [a["type"] for a in probes[0]["sites"][0]["args"]] == ["uint64", "int32"], probes
            if path.startswith("/memfd"):
                memory = file["open_path"]
        assert not files, files
        code, out, _ = run("list", "-p", str(program.pid), "app:*")
        assert f"/memfd:libstapsdt:app (deleted), now {memory}: 2 probes at 2 sites\n" in out, out
        assert code == 0 and out.count("app:hit(uint64, int32)  1 site, nop (cheap)") == 2 and "python" not in out, out
        lines = _trace(run("script", memory, "hit")[1], lambda said: "app:hit" in said)
        assert {line.split(" ", 2)[2] for line in lines} == {"app:hit arg0=0x5 arg1=-7"}, lines
    finally:
        program.stdin.close()
        program.wait(10)
    return ""


# ---- scripts for bpftrace ----

NOTES = {  # of one program, which says what each argument is; None: the script leaves it out
    "registers": ("-8@%rdi 8@%rdi -4@%edi 4@%edi -1@%dil 1@%dil 2@%di",
                  ["-5", "0xfffffffffffffffb", "-5", "4294967291", "-5", "251", None]),
    "memory": ("8@(%rsi) 8@8(%rsi) 8@(%rsi,%rdx,8) 4@8(%rsi,%rdx,4)", ["0xa", "0xb", "0xc", "12"]),
    "constants": ("8@$5 -4@$-5 8@$1234567890123 4@$4294967295", ["0x5", "-5", "0x11f71fb04cb", "4294967295"]),
    "symbol": ("8@%rdx 8@numbers(%rip) 8@%rdx", ["0x2", None, "0x2"]),
    "float": ("8@%rdx 8f@%rcx 8@%rdx", ["0x2", None, None]),
    "xmm": ("8@%rdx 8@%xmm0", ["0x2", None]),
    "index": ("8@%rdx 8@(,%rdx,8)", ["0x2", None]),
    "with-dash": ("", []),
}


def _trace(script, enough):
    """What bpftrace prints of hits, until enough() of it is there."""
    where = scratch()
    file, said = where / "script.bt", where / "said"
    file.write_text(script)
    file.chmod(0o755)
    with open(said, "w", encoding="utf-8") as out, open(where / "errors", "w+", encoding="utf-8") as errors:
        tracer = subprocess.Popen([file], stdout=out, stderr=errors, env=clean_env())
        try:
            until("probes fire", lambda: enough(said.read_text()) or tracer.poll() is not None, 40)
            assert tracer.poll() is None, (where / "errors").read_text()
            tracer.send_signal(signal.SIGINT)
            tracer.wait(20)
        finally:
            tracer.kill()
            tracer.wait()
    return [line for line in said.read_text().splitlines() if line and not line.startswith("Attaching")]


def _looping():
    """Comes to all its probes ten times a second."""
    sites = "".join(f"p{i}:	nop\n" + stapsdt.note(f"p{i}", "made", name, args)
                    for i, (name, (args, _)) in enumerate(NOTES.items()))
    return stapsdt.build(scratch(), "looping", f"""
	.globl main
main:	push %rbx
	mov $600, %ebx
1:	mov $-5, %rdi
	lea numbers(%rip), %rsi
	mov $2, %edx
	movabs $0x400921fb54442d18, %rcx
{sites}
	mov $100000, %edi
	call usleep@PLT
	dec %ebx
	jnz 1b
	xor %eax, %eax
	pop %rbx
	ret
	.data
	.globl numbers
	.type numbers, @object
	.size numbers, 32
numbers: .8byte 10, 11, 12, 13
""")


def _script():
    """A script runs as it is, and what it prints is right."""
    path = _looping()
    code, script, err = run("script", path)
    assert code == 0 and not err, err
    program = subprocess.Popen([path], env=clean_env())
    try:
        lines = _trace(script, lambda said: all(f"made:{n}" in said for n in NOTES))
    finally:
        program.kill()
        program.wait()
    assert set(lines) == {f"looping {program.pid} made:{name}" + "".join(f" arg{i}={v}" for i, v in enumerate(values) if v is not None)
                     for name, (_, values) in NOTES.items()}, lines
    for name, (_, values) in NOTES.items():
        clause = script.split(f'"{name}"\n')[1].split("}")[0]
        assert re.findall(r"// arg(\d+)", clause) == [str(i) for i, v in enumerate(values) if v is None], clause
    return ""


def _script_refused():
    python = _installed(PROGRAMS["python3.11"][0])
    odd = scratch() / "a:b"
    odd.write_bytes(pathlib.Path(python).read_bytes())
    for args, code, sentence in (
            ([], 2, "usdt script takes a program"), ([python, "a", "b"], 2, "usdt script takes a program"),
            (["/nowhere"], 1, "/nowhere cannot be opened"), (["/bin/true"], 3, "has no USDT probes"),
            ([python, "nope*"], 3, 'is called "nope*"'), ([odd], 1, "give it another name")):
        got, out, err = run("script", *args)
        assert got == code and not out and sentence in err and len(err.splitlines()) == 1, (args, got, out, err)
    code, out, _ = run("script", python, "python:gc__*")
    assert code == 0 and re.findall(r"^usdt:.*:\"(\S+)\"$", out, re.M) == ["gc__done", "gc__start"], out
    return ""


# ---- what is wrong ----

def _names():
    """What a file is called tells a terminal nothing."""
    for source, code in ("/bin/true", 3), (_installed(PROGRAMS["python3.11"][0]), 0):
        named = scratch() / "ev\033[31mil"
        shutil.copy(source, named)
        got, out, err = run("list", named)
        assert got == code and "ev\\x1b[31mil" in out + err and "\033" not in out + err, (got, out, err)


def _refused():
    python = _installed(PROGRAMS["python3.11"][0])
    script = scratch() / "script"
    script.write_text("#!/bin/sh\nexit 0\n")
    sleeper = subprocess.Popen(["/bin/sleep", "30"])
    for args, code, sentence in (
            ([], 2, "usdt expects what to do"), (["lisp"], 2, 'usdt has no "lisp"'), (["list"], 2, "usdt list takes a program"),
            (["list", python, "a", "b"], 2, "usdt list takes a program"), (["list", "-p", "1", "a", "b"], 2, "usdt list takes"),
            (["list", "/nowhere"], 1, "/nowhere cannot be opened: No such file"), (["list", script], 1, "is not an ELF file"),
            (["list", "/bin/true"], 3, "/bin/true has no USDT probes"), (["list", python, "nope*"], 3, 'no probe is called "nope*"'),
            (["list", "-p", "999999999"], 1, "there is no process 999999999"),
            (["list", "-p", str(sleeper.pid)], 3, "has no code of a file with USDT probes")):
        got, out, err = run(*args)
        assert got == code and not out and sentence in err and len(err.splitlines()) == 1, (args, got, out, err)
    sleeper.kill()
    sleeper.wait()
    return ""


def tests():
    for name in PROGRAMS:
        yield Test(f"list-{name}", lambda n=name: _program(n), 60)
    yield Test("forms", _forms, 60)
    yield Test("nops", _nops, 60)
    yield Test("headless", _headless, 60)
    yield Test("process", _process, 60)
    yield Test("script", _script, 120)
    yield Test("script-refused", _script_refused, 60)
    yield Test("refused", _refused, 60)
    yield Test("names", _names, 60)
