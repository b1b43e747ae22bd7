"""`make soak-usdt`: every program and library of Debian 12 with USDT probes, and of relatives that have none: what
`earshot usdt list` says of each file equals binutils and a parser of its own (lib/stapsdt)."""

import os
import pathlib
import subprocess

import stapsdt
import usdt
from proc import ROOT
from testing import Test

WITH = {  # package: the least number of notes over all its files
    "openjdk-17-jre-headless": 500, "postgresql-15": 70, "sssd-common": 49, "libvirt0": 41, "libvirt-daemon": 9,
    "libvirt-daemon-driver-qemu": 8, "libruby3.1": 40, "php8.2-cli": 14, "libphp8.2-embed": 14, "python3.11-minimal": 8,
    "libpython3.11": 8, "python3.11-dbg": 8, "libstdc++6": 3, "gcc-12": 24,
}
WITHOUT = ("libc6", "libglib2.0-0", "systemd", "mariadb-server-core", "libnode108", "qemu-system-x86")


def _elf_files(folder):
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_file() and not path.is_symlink():
            with open(path, "rb") as f:
                head = f.read(20)
            if head[:6] == b"\x7fELF\x02\x01" and head[16:18] in (b"\2\0", b"\3\0"):
                yield path


def _package(folder, least):
    files = notes = refused = probed = 0
    for path in _elf_files(folder):
        files += 1
        if stapsdt.read(path)[0]:
            _, sites, n = usdt.compare(path)
            probed, notes, refused = probed + 1, notes + sites, refused + n
        else:
            code, out, err = usdt.run("list", path)
            assert code == 3 and not out and len(err.splitlines()) == 1, (path, code, err)
    assert files and notes >= least and (least or not notes), (files, notes)
    return f"{notes} notes in {probed} of {files} files, {refused} operands refused"


def tests():
    if "EARSHOT_USDT_DEBIAN" not in os.environ:
        return
    where = subprocess.run(["bash", ROOT / "tests" / "lib" / "usdt_packages.sh"], stdout=subprocess.PIPE, text=True, timeout=1200,
                           check=True).stdout.strip()
    for package, least in WITH.items():
        yield Test(package, lambda p=package, n=least: _package(pathlib.Path(where) / p, n), 300)
    for package in WITHOUT:
        yield Test(package, lambda p=package: _package(pathlib.Path(where) / p, 0), 300)
