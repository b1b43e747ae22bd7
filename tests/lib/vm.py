#!/usr/bin/env python3
"""A virtual machine with another kernel than this one: Linux 6.1, or the newest, without lockdown, emulated by qemu (so it needs no
KVM, and is some ten times slower than this machine). It has no disk: its root is an archive of busybox, Earshot with
its libraries, and the files that a test hands over. Its network is its own loopback; a test that asks for more has its
own machine's loopback, too, as HOST.

By hand: tests/lib/vm.py [--newest] COMMAND [FILE...] runs a shell command with these files in its working directory."""

import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

from earshot import need_earshot
from proc import CACHE, EARSHOT, PATIENCE, ROOT, Process, Skip, scratch

KERNELS = CACHE / "vm"
OLD, NEWEST = KERNELS / "vmlinuz", KERNELS / "newest" / "vmlinuz"
HOST = "10.0.2.2"  # what qemu calls this machine's 127.0.0.1
QEMU, BUSYBOX = "qemu-system-x86_64", "busybox"
NETWORK = ("-netdev", "user,id=host", "-device", "virtio-net-pci,netdev=host,romfile=")
TRIES = 3  # a kernel that is emulated has fallen over before its first process, once in some 20 times
BOOT = 60  # seconds until a command begins, at most; some 5 on a machine that has nothing else to do


class Done:
    """What a command left: code (137: it was ended, being too slow), out, err, log (the kernel's), and
    files, by name, of what else it wrote to /out."""

    def __init__(self, archive):
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            self.files = {m.name.removeprefix("./"): tar.extractfile(m).read().decode(errors="replace")
                          for m in tar if m.isfile()}
        self.out, self.err, self.log = (self.files.pop(name) for name in ("stdout", "stderr", "dmesg"))
        self.code = int(self.files.pop("code"))

    def describe(self):
        return f"exit code {self.code}, stdout: {self.out[-2000:]!r}, stderr: {self.err[-2000:]!r}"


def need_vm(kernel=OLD):
    need_earshot(root=False)
    for tool in (QEMU, BUSYBOX):
        if not shutil.which(tool):
            raise Skip(f"there is no {tool}")
    if not (kernel.parent / "version").exists():
        raise Skip("there is no kernel for the virtual machine; tests/vm/fetch.sh gets it")


def _libraries(program):
    """The shared libraries of a program, by the path that it looks for them."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^\s*(?:\S+ => )?(/\S+) \(0x", told, re.M)


def _copy(root, source, path):
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    target.chmod(0o755)


def _tree(root, files, command, seconds, programs, network):
    _copy(root, shutil.which(BUSYBOX), "bin/busybox")
    _copy(root, ROOT / "tests" / "vm" / "init", "init")
    _copy(root, EARSHOT, "bin/earshot")
    for program in programs:
        _copy(root, program, program)
    for library in {library for program in (EARSHOT, *programs) for library in _libraries(program)}:
        _copy(root, library, library)
    if network:
        shutil.copytree(OLD.parent / "modules", root / "modules")
    (root / "files").mkdir()
    for name, what in files.items():
        if isinstance(what, str):
            (root / "files" / name).write_text(what)
        else:
            _copy(root, what, f"files/{name}")
    (root / "command").write_text(command)
    (root / "seconds").write_text(str(seconds))


def _archive(root, path):
    names = sorted(str(p.relative_to(root)) for p in root.rglob("*"))
    with open(path, "wb") as out:
        subprocess.run([BUSYBOX, "cpio", "-o", "-H", "newc"], cwd=root, stdout=out, stderr=subprocess.DEVNULL,
                       input="\n".join(names).encode(), check=True)


def run(command, files=None, seconds=30, options="", programs=(), network=False, kernel=OLD):
    """Run a shell command in a fresh machine, for so many seconds at most (PATIENCE stretches them).

    files maps names in its working directory to texts, or to the paths of files here; earshot is in its PATH.
    options: for the kernel's command line; programs: of this machine, by path, to have there, too, at the same
    one; network (OLD only): it reaches what listens here, at HOST. Returns a Done."""
    need_vm(kernel)
    place = scratch()
    root, initrd, sent = place / "root", place / "initrd", place / "sent"
    root.mkdir()
    _tree(root, files or {}, command, seconds * PATIENCE, programs, network)
    _archive(root, initrd)
    shutil.rmtree(root)
    argv = [QEMU, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024", "-nodefaults",
            "-no-user-config", "-display", "none", "-no-reboot", "-kernel", kernel, "-initrd", initrd,
            "-append", f"console=ttyS0 quiet panic=-1 {options}",
            "-serial", "stdio", "-serial", f"file:{sent}", *(NETWORK if network else ())]
    for _ in range(TRIES):
        with Process(argv) as machine:
            code = machine.wait(seconds + BOOT)
            assert code == 0, f"qemu's exit code is {code}: {machine.describe()}"
            archive = sent.read_bytes()
            if archive:
                return Done(archive)
    raise AssertionError(f"the machine sent nothing; its console: {machine.out()[-2000:]!r}")


def main(argv):
    kernel = NEWEST if argv[0] == "--newest" else OLD
    argv = argv[kernel == NEWEST:]
    done = run(argv[0], {os.path.basename(p): pathlib.Path(p) for p in argv[1:]}, 300, kernel=kernel)
    sys.stdout.write(done.out)
    sys.stderr.write(done.err)
    return done.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
