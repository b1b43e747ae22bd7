"""The Go program that tells what it called (tests/go/calls), and `earshot trace`
asked about it."""

import json
import os
import re
import signal
import subprocess

from earshot import Earshot, need_earshot, planter
from govalue import ALL, fits
from probed import changed_text
from proc import BIN, EARSHOT, Process, Skip, run_once, until
from target import MINORS

MODES = ("plain", "sw")

# For stripped binaries: what DWARF says otherwise.
SIGNATURES = {
    "main.Signed": "(a int8, b int16, c int32, d int64, e int) (sum int64)",
    "main.Unsigned": "(a uint8, b uint16, c uint32, d uint64, e uint, f uintptr) (sum uint64)",
    "main.Bools": "(a bool, b bool, c bool) (all bool, none bool)",
    "main.Floats": "(n int, a float32, b float64) (r float64)",
    "main.FloatsBehind": "(p *Geo, list []float32) (n int)",
    "main.Complexes": "(n int, a complex64, b complex128) (r complex128)",
    "main.LeafSum": "(a, b int) (sum int)",
    "main.LeafHalf": "(f float64) (half float64)",
    "main.FloatsThrough": "(n int, a float32, b float64, c complex64) (r float64, s float32, t complex64)",
    "main.Strings": "(a string, b string) (joined string, n int)",
    "main.Bytes": "(a []byte, b [4]byte) (c []byte)",
    "main.Slices": "(ints []int, texts []string, points []Point, nested [][]int8) (last []string)",
    "main.Arrays": "(a [3]int, b [2]string, c [1]bool, d [2]Point) (n int)",
    "main.Structs": "(p Point, person Person, w Wide) (q Point)",
    "main.Point.Moved": "(by int32) (q Point)",
    "main.(*Person).Rename": "(to string) (before string)",
    "main.Pointers": "(n *int, s *string, p *Person, pp **int) (found bool)",
    "main.Cycles": "(l *Link, t *Tree) (depth int)",
    "main.Maps": "(a map[string]int, b map[int]string, c map[Point]bool) (n int)",
    "main.MapsOfMore": "(a map[string]Person, b map[uint8]*Point, c map[string][]int, d map[interface{}]error) (n int)",
    "main.Interfaces": "(n int, a interface{}, s Shape) (b interface{})",
    "main.Errors": "(n int, given error) (err error)",
    "main.Channels": "(c chan int, d <-chan string, e chan<- struct{}) (n int)",
    "main.Funcs": "(n int, f func(int) int, g func()) (r int)",
    "main.Times": "(at time.Time, d time.Duration) (later time.Time, half time.Duration)",
    "main.Named": "(l Level, m io/fs.FileMode) (next Level)",
    "main.Variadic": "(first int, rest ...string) (n int)",
    "main.Nothing": "() ()",
    "main.Many": "(a, b, c, d, e, f, g, h, i, j, k, l int, s, t string, u int8, v *Point) (x, y, z int, w string)",
    "main.Unnamed": "(int, string) (int, error)",
    "main.Login": "(n int, user string, vip bool, p *Person, items []Item, attrs map[string]string, any interface{})"
                  " (id int, err error)",
    "main.Compared": "(n int, w *Widths, small int8, large uint64) (back int)",
    "main.Sleeper": "(n int, for_ time.Duration) (slept bool)",
    "main.Recursive": "(n int) (sum int)",
    "main.Fib": "(n int) (f int)",
    "main.Ping": "(n int, id int) (r int)",
    "main.Pong": "(n int, id int) (r int)",
    "main.Deep": "(n int, text string, p *int) (sum int, same string)",
    "main.Switches": "(id int, c chan int) (twice int)",
    "main.Recovers": "(n int) (r int, err error)",
    "main.Throws": "(n int) (r int)",
    "main.Between": "(n int) (r int)",
    "main.Catches": "(n int) (r int)",
    "main.Deferred": "(n int) (r int)",
    "main.NestedPanic": "(n int) (r int)",
    "main.Repanics": "(n int) (r int)",
    "main.Ignores": "(n int, text string) (r int)",
    "main.Exits": "(n int) (r int)",
    "main.UnderExit": "(n int) (r int)",
    "main.(*Inner).Get": "(by int) (n int)",
    "main.Busy": "(id int, text string) (sum int)",
    "main.Tinies": "(n int) (sum int)",
}


# Its parameters have no names, so it uses none of them: what it was given is refused, and says so.
IGNORING = "main.Unnamed"
UNSAVED = "uses no argument that it gets in a register"


def binary(minor, mode="plain"):
    path = BIN / f"calls-go{minor}-{mode}"
    if not os.access(path, os.X_OK):
        raise Skip(f"{path.name} was not built")
    return path


def newest(mode="plain"):
    found = [m for m in MINORS if os.access(BIN / f"calls-go{m}-{mode}", os.X_OK)]
    if not found:
        raise Skip(f"no calls-go*-{mode} was built")
    return binary(found[-1], mode)


def question(function, rest="", stripped=False):
    """The question about a function, with its signature where the binary has none."""
    declared = SIGNATURES[function] if stripped else ""
    return f"{function}{declared}{' ' + rest if rest else ''}"


class Calls(Process):
    """The program, running; ask() has it make calls and returns what it says of them."""

    def __init__(self, path, procs=0):
        options = ["-procs", procs] if procs else []
        super().__init__([path, *options], stdin=subprocess.PIPE)
        self.stripped = str(path).endswith("-sw")
        self.read = 0
        ready = until("the program is ready", lambda: self._until_key("ready"))[-1]
        self.go = tuple(int(n) for n in re.findall(r"\d+", ready["go"])[:2])

    def _until_key(self, key):
        """The lines that came, once one with this key is among them."""
        if not self.alive():
            raise AssertionError(f"the program ended: {self.describe()}")
        with open(self.out_path, "rb") as f:
            f.seek(self.read)
            text = f.read()
        whole = text[:text.rfind(b"\n") + 1]
        lines = [json.loads(line) for line in whole.splitlines()]
        if not any(key in line or "error" in line for line in lines[-1:]):
            return None
        self.read += len(whole)
        return lines

    def tell(self, scenario, count=1):
        self.popen.stdin.write(f"{scenario} {count}\n".encode())
        self.popen.stdin.flush()

    def ask(self, scenario, count=1, seconds=60):
        """(calls, the done line)."""
        self.tell(scenario, count)
        *calls, done = until(f"{scenario} is done", lambda: self._until_key("done"), seconds)
        assert "error" not in done, done
        return calls, done

    def question(self, function, rest=""):
        return question(function, rest, self.stripped)


class Trace(Earshot):
    """`earshot trace` of a process, with its probes in place."""

    def __init__(self, pid, *questions, options=(), json=True, wait=True, **kw):
        need_earshot()
        self.target = pid
        super().__init__("trace", "-p", str(pid), *(["--json"] if json else []), *options, *questions, **kw)
        if wait:
            try:
                self.wait_planted()
            except BaseException:
                self.kill()
                raise

    def wait_planted(self, seconds=30):
        """It says so once all probes are in place."""
        until("the probes are in place", lambda: self.check_alive() and "observing " in self.err(), seconds)

    def calls(self):
        return [o for o in self.objects() if "func" in o and "aggregate" not in o]

    def aggregates(self):
        return [o for o in self.objects() if "aggregate" in o]

    def end(self, seconds=20, expect=0):
        """Ctrl-C; the calls it saw."""
        code = self.stop(signal.SIGINT, seconds)
        assert code == expect, f"exit code {code} instead of {expect}: {self.describe()}"
        self.no_sanitizer()
        return self.calls()

    def ended(self, seconds=30, expect=0):
        """It ends by itself."""
        code = self.wait(seconds)
        self.kill()
        assert code == expect, f"exit code {code} instead of {expect}: {self.describe()}"
        self.no_sanitizer()
        return self.calls()

    def refused(self):
        """The functions that could not be patched: what it said of each."""
        return dict(re.findall(r"(main\.\S+) cannot be patched in the process: (.+)", self.err()))

    def no_sanitizer(self):
        assert "Sanitizer" not in self.err() and "runtime error" not in self.err(), self.err()


def trace(path, questions, scenarios, options=(), procs=0, limits=ALL):
    """Start the program, ask, have it make calls; (what it says, what Earshot says, the Trace)."""
    with Calls(path, procs) as program:
        asked = [program.question(*([q] if isinstance(q, str) else q)) for q in questions]
        with Trace(program.pid, *asked, options=[*limits.options(), *options]) as t:
            said = []
            for scenario in scenarios:
                name, count = scenario if isinstance(scenario, tuple) else (scenario, 1)
                said += program.ask(name, count)[0]
            seen = t.end()
        nothing_left(program)
        if planter() == "patch":  # not every function can be: then it says why
            said = [c for c in said if c["func"] not in t.refused()]
        return said, seen, t


def nothing_left(program):
    until("no probe is left in the program", lambda: not changed_text(program.pid), 5)


def no_losses(t):
    lost = {k: n for k, n in (t.summary() or {}).get("losses", {}).items() if n}
    assert t.summary() and not lost, f"lost: {lost or t.summary()}; {t.describe()}"


def compare(said, seen, limits=ALL):
    """Each call that was made was seen, in the same order, with the same values; nothing else."""
    wrong = []
    functions = {c["func"] for c in said} | {c["func"] for c in seen}
    for function in sorted(functions):
        want = [c for c in said if c["func"] == function]
        have = [c for c in seen if c["func"] == function]
        if len(want) != len(have):
            wrong.append(f"{function}: {len(have)} calls instead of {len(want)}")
        for i, (w, h) in enumerate(zip(want, have)):
            wrong += [f"{function} #{i}: {m}" for m in differences(w, h, limits)]
    shown = "\n  ".join(wrong[:int(os.environ.get("EARSHOT_DIFFERENCES", "12"))])
    assert not wrong, f"{len(wrong)} differences:\n  {shown}"


def differences(want, have, limits=ALL):
    """One call: its arguments, its results, how it ended."""
    wrong = []
    for part in ("args", "returns"):
        values = want.get(part) or {}
        got = dict(have.get(part) or {})
        if "recv" in got and len(set(values) - set(got)) == 1:  # no DWARF: a receiver has no name
            got[(set(values) - set(got)).pop()] = got.pop("recv")
        if part == "returns" and want.get("panics"):
            values = {}
        if set(values) != set(got):
            wrong.append(f"{part}: {sorted(got)} instead of {sorted(values)}")
        for name in set(values) & set(got):
            if part == "args" and want["func"] == IGNORING:
                if not isinstance(got[name], dict) or UNSAVED not in got[name].get("unreadable", ""):
                    wrong.append(f"{part}.{name}: {got[name]!r} instead of a refusal")
                continue
            wrong += fits(values[name], got[name], f"{part}.{name}", limits)
    if bool(want.get("panics")) != bool(have.get("panicked")):
        wrong.append(f"panicked: {have.get('panicked')}")
    if not want.get("panics") and not isinstance(have.get("duration_ns"), int):
        wrong.append(f"duration_ns: {have.get('duration_ns')!r}")
    return wrong


def refused(argv, codes=(2,), mentions=(), seconds=20):
    """`earshot trace ARGV` ends by itself with one of these codes and says why; its words."""
    need_earshot()
    done = run_once([EARSHOT, "trace", *map(str, argv)], seconds)
    text = done.err()
    assert done.code in codes, f"exit code {done.code}, not {codes}: {done.describe()}"
    assert text.strip(), "not a word about it"
    assert "Sanitizer" not in text and "runtime error" not in text, text
    for word in mentions:
        assert word.lower() in text.lower(), f"{word!r} is not mentioned: {text!r}"
    return text


def caret_under(text, fragment):
    """Whether the caret stands under that part of the question."""
    lines = text.splitlines()
    for above, line in zip(lines, lines[1:]):
        if re.fullmatch(r"\s*\^~*\s*", line):
            caret = line.index("^")
            return any(m.start() <= caret < m.end() for m in re.finditer(re.escape(fragment), above))
    return False
