"""earshot inspect: good binaries read right, bad ones refused with a reason."""

import json
import os
import random
import re
import shutil
import subprocess

from earshot import need_earshot, one_sentence
from failures import FAILED, NOTHING, fails
from proc import BIN, CACHE, EARSHOT, Skip, run_once, scratch
from services import RELEASES, ROOT, SERVICES
from target import MINORS, MODES, httpd_path, newest
from testing import Test, scaled

REFUSED = [FAILED, NOTHING]


def _go_version(path):
    """What the go command says, for comparison."""
    go = next((g for g in sorted(CACHE.glob("toolchains/go*/bin/go"), reverse=True)), None)
    text = subprocess.run([go, "version", path], capture_output=True, text=True, check=True).stdout
    return re.search(r": (go\S+)", text).group(1)


def _inspect(path):
    need_earshot(root=False)
    if not path.exists():
        raise Skip(f"{path.name} is not there")
    done = run_once([EARSHOT, "inspect", path, "--json"], 20)
    assert done.code == 0, done.describe()
    assert json.loads(done.out()), done.out()
    version = _go_version(path)
    assert version in done.out(), f"{version} is not in {done.out()[:500]!r}"
    for name in ("net-http", "ServeHTTP"):
        assert name in done.out(), f"{name} is not in {done.out()[:2000]!r}"
    text = run_once([EARSHOT, "inspect", path], 20)
    assert text.code == 0 and version in text.out(), text.describe()


def _httpd(minor):
    for mode in MODES:
        _inspect(httpd_path(minor, mode))


def _not_ours(name, words):
    path = BIN / name
    if not path.exists():
        raise Skip(f"{name} was not built")
    return fails(["inspect", path], REFUSED, words)


def _garbage():
    here = scratch()
    (here / "empty").write_bytes(b"")
    (here / "random").write_bytes(random.Random(1).randbytes(100000))
    (here / "text").write_text("#!/bin/sh\nexit 0\n")
    (here / "magic").write_bytes(b"\x7fELF")
    for name in ("empty", "random", "text", "magic"):
        fails(["inspect", here / name], REFUSED)
    fails(["inspect", here / "nowhere"], REFUSED, ["nowhere"])
    fails(["inspect", here], REFUSED)
    fails(["inspect", "/bin/true"], REFUSED, ["Go"])


def _truncated():
    """Cut anywhere: an answer or a refusal, never a crash or a hang."""
    need_earshot(root=False)
    whole = newest().read_bytes()
    here = scratch()
    rounds = scaled(60, 20, "TRUNCATED")
    for i in range(rounds):
        cut = here / "cut"
        cut.write_bytes(whole[:len(whole) * i // rounds + 37])
        done = run_once([EARSHOT, "inspect", cut], 20)
        assert done.code in (0, *REFUSED), f"cut at {cut.stat().st_size}: {done.describe()}"
        if done.code:
            assert one_sentence(done.err()), f"cut at {cut.stat().st_size}: {done.err()!r}"


def _damaged():
    """Random bytes overwritten: likewise."""
    need_earshot(root=False)
    whole = newest().read_bytes()
    target = scratch() / "damaged"
    dice = random.Random(int(os.environ.get("EARSHOT_SEED", "7")))
    for i in range(scaled(80, 25, "DAMAGED")):
        data = bytearray(whole)
        for _ in range(dice.choice((1, 20, 400, 5000))):
            # Half of the damage to the headers' page, where it hurts most.
            at = dice.randrange(4096 if dice.random() < 0.1 else len(data))
            data[at] = dice.randrange(256)
        target.write_bytes(data)
        done = run_once([EARSHOT, "inspect", target], 30)
        assert done.code in (0, *REFUSED), f"round {i}: {done.describe()}"
        if done.code:
            assert one_sentence(done.err()), f"round {i}: {done.err()!r}"


def _packed():
    """Debian 13's upx, run with its own C library."""
    root = ROOT / "trixie/root"
    if not (root / "usr/bin/upx-ucl").exists():
        raise Skip("upx of Debian 13 was not fetched")
    packed = scratch() / "packed"
    shutil.copy(newest(), packed)
    subprocess.run([root / "usr/lib64/ld-linux-x86-64.so.2", "--library-path",
                    root / "usr/lib/x86_64-linux-gnu", root / "usr/bin/upx-ucl", "-q", "-1", packed],
                   check=True, capture_output=True, timeout=120)
    return fails(["inspect", packed], REFUSED)


def _headers_stripped():
    """Without section headers everything is still found."""
    need_earshot(root=False)
    bare = scratch() / "bare"
    data = bytearray(newest().read_bytes())
    data[0x28:0x30] = bytes(8)   # e_shoff
    data[0x3c:0x40] = bytes(4)   # e_shnum, e_shstrndx
    bare.write_bytes(data)
    bare.chmod(0o755)
    done = run_once([EARSHOT, "inspect", bare, "--json"], 20)
    assert done.code == 0 and "ServeHTTP" in done.out(), done.describe()


def _third_party(release):
    seen = 0
    for service in SERVICES.values():
        path = ROOT / release / service.binary
        if path.exists():
            _inspect(path)
            seen += 1
    if not seen:
        raise Skip(f"no program of {RELEASES[release]} was fetched")
    return f"{seen} programs"


def _small_server():
    """A server of which the linker left out what it does not use: nothing of net-http is refused for that."""
    need_earshot(root=False)
    for name in ("shop", "shop-plain"):
        if not (BIN / name).exists():
            raise Skip(f"{name} was not built")
        done = run_once([EARSHOT, "inspect", BIN / name], 20)
        assert done.code == 0 and "net-http" in done.out() and "refused: " not in done.out(), done.describe()


def tests():
    for minor in MINORS:
        yield Test(f"httpd-go{minor}", lambda m=minor: _httpd(m))
    for release in RELEASES:
        yield Test(f"third-party-{release}", lambda r=release: _third_party(r), 120)
    yield Test("small-server", _small_server)
    yield Test("arm64", lambda: _not_ours("alien-arm64", ["x86-64"]))
    yield Test("32-bit", lambda: _not_ours("alien-386", ["x86-64"]))
    yield Test("not-executables", _garbage)
    yield Test("no-section-headers", _headers_stripped)
    yield Test("truncated", _truncated, 120)
    yield Test("damaged", _damaged, 180)
    yield Test("packed", _packed, 180)
