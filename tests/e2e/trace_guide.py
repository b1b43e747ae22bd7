"""The commands of docs/guide.md, run: they work, and print lines of the form the
guide shows.

A line of output in the guide is a pattern: numbers, times and addresses stand
for any, "…" for anything, runs of spaces and of bar characters for any length;
the rest is literal. Each must fit some line that the command printed."""

import os
import re
import shlex
import sys
import time

from earshot import need_earshot
from probed import changed_text
from proc import BIN, EARSHOT, ROOT, Process, Skip, clean_env, free_port, port_open, scratch, until
from testing import Test

GUIDE = ROOT / "docs" / "guide.md"
SECONDS = 6


def blocks():
    """[[(command, lines shown)]]: the console blocks; commands of one block are run one after the other."""
    result = []
    for text in re.findall(r"^```console\n(.*?)^```", GUIDE.read_text(), re.M | re.S):
        block = []
        for line in text.splitlines():
            if line.startswith("$ "):
                block.append((line[2:], []))
            elif line.strip():
                block[-1][1].append(line)
        result.append(block)
    return result


_PARTS = re.compile(r"(?P<any>…)|(?P<hex>0x[0-9a-f]+)|(?P<clock>\d\d:\d\d:\d\d\.\d+)|(?P<bar>[▏▎▍▌▋▊▉█]+)"
                    r"|(?P<time>-?\d+(\.\d+)?\s?(ns|µs|ms|s|m|h)(?![a-z]))|(?P<number>\d+(\.\d+)?)|(?P<space>\s+)")
_FORMS = {"any": ".*", "hex": "0x[0-9a-f]+", "clock": r"[\d:.]+", "bar": "[▏▎▍▌▋▊▉█]*", "number": r"[\d.]+", "space": r"\s+",
          "time": r"-?[\d.hme+]+\s?(?:ns|µs|ms|s|m|h)"}


def pattern(line):
    """The lines that a line of the guide stands for."""
    form, at = "", 0
    line = line.strip()
    for m in _PARTS.finditer(line):
        form += re.escape(line[at:m.start()]) + _FORMS[m.lastgroup]
        at = m.end()
    return re.compile(r"\s*" + form + re.escape(line[at:]) + r"\s*$")


class Shop:
    """A shop with customers who do in seconds what would take real ones hours."""

    def __init__(self, binary):
        path = BIN / binary
        if not os.access(path, os.X_OK):
            raise Skip(f"{binary} was not built")
        port = free_port()
        self.process = Process([path, "-listen", f"127.0.0.1:{port}"])
        until("the shop listens", lambda: port_open(port))
        self.customers = [Process([sys.executable, ROOT / "tests/lib/shop_load.py", port, "600", "0.02", n])
                          for n in range(2)]
        self.pid = self.process.pid


def _run(command, shops, directory):
    for name, shop in shops.items():
        command = command.replace(f"$(pidof {name})", str(shop.pid))
    command = re.sub(r"^earshot\b", shlex.quote(EARSHOT), command).replace("--for 5s", f"--for {SECONDS}s")
    return Process(["/bin/sh", "-c", "exec " + command], cwd=directory, env=clean_env())


def _check(command, shown, process):
    code = process.wait(SECONDS + 40)
    printed = process.out() + process.err()
    assert code == 0, f"{command}\nexit code {code}: {printed}"
    assert "Sanitizer" not in printed, printed
    missing = [line for line in shown if not any(pattern(line).match(p) for p in printed.splitlines())]
    assert not missing, f"{command}\nnothing like {missing[0]!r} in\n" + "\n".join(
        line[:200] for line in printed.splitlines()[:20])


def _together():
    """All blocks at once on one shop, the commands within a block in their order."""
    need_earshot()
    shops, directory, wrong = {"shop": Shop("shop-plain"), "shop-stripped": Shop("shop")}, scratch(), []
    todo = [list(block) for block in blocks()]
    running = {}
    deadline = time.monotonic() + 120
    while todo or running:
        assert time.monotonic() < deadline, f"still running: {[c for c, _, _ in running.values()]}"
        for i, block in enumerate(todo):
            if i not in running and block:
                command, shown = block.pop(0)
                running[i] = command, shown, _run(command, shops, directory)
        for i, (command, shown, process) in list(running.items()):
            if not process.alive():
                try:
                    _check(command, shown, process)
                except AssertionError as e:
                    wrong.append(str(e))
                del running[i]
        if not any(todo) and not running:
            break
        time.sleep(0.05)
    assert not wrong, f"{len(wrong)} of the guide's commands:\n" + "\n".join(wrong)
    for shop in shops.values():
        assert shop.process.alive(), shop.process.describe()
        until("no probe is left", lambda s=shop: not changed_text(s.pid), 5)
    files = {name: (directory / name).stat().st_size for name in ("shop.json", "product.folded", "product.pb.gz", "slow-sql.json")}
    assert all(files.values()), f"empty: {files}"
    return f"{sum(map(len, blocks()))} commands"


def _patterns():
    """The comparison itself."""
    line = "  12:34:56.789   3.2 ms  main.f(user=\"carol\", n=7) → err=nil"
    assert pattern(line).match("01:02:03.004  125 µs  main.f(user=\"carol\", n=41) → err=nil")
    assert not pattern(line).match("01:02:03.004  125 µs  main.f(user=\"bob\", n=41) → err=nil")
    assert pattern("8ms…16ms   5 ████▌").match("    4ms…8ms  17  ██")
    assert pattern("{…\"pid\":12,…}").match("{\"a\":1,\"pid\":4711,\"b\":2}")


def tests():
    yield Test("patterns", _patterns)
    yield Test("commands", _together, 180)
