"""Chains of contexts and lineage as probes report them: tests/unit/contexts_test runs a program that tells where its
contexts lie (go/contexts), plants a pack's probes into it, and compares."""

import os
import subprocess

from earshot import need_earshot
from proc import BIN, EARSHOT, ROOT, Skip
from target import MINORS
from testing import Test

BUILD = os.path.dirname(EARSHOT)


def _run(binary, planter):
    need_earshot()
    test = os.path.join(BUILD, "tests/unit/contexts_test")
    if not os.access(test, os.X_OK):
        subprocess.run(["make", "-s", f"BUILD={BUILD}", test], cwd=ROOT, check=True, capture_output=True)
    if not (BIN / binary).exists():
        raise Skip(f"{binary} was not built")
    done = subprocess.run([test, binary, planter], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line for line in done.stdout.splitlines() if " chains, " in line]
    assert told, done.stdout + done.stderr
    return told[0]


def tests():
    for minor in ("1.21", MINORS[-1]):
        for build in ("plain", "sw"):
            for planter in ("uprobe", "patch"):
                binary = f"contexts-go{minor}-{build}"
                yield Test(f"go{minor}-{build}-{planter}", lambda b=binary, p=planter: _run(b, p))
