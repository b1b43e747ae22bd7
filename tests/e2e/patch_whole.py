"""All of a function's calls or none: one end of it cannot be patched, or many calls come at once."""

import os
import re
import subprocess

from earshot import Earshot, need_earshot
from probed import changed_text
from proc import BIN, EARSHOT, Process, Skip, clean_env, scratch, until
from testing import Test

PATCH = ("--planter", "patch")
HALF = ("main.answer", "main.constants")

# A span that begins where a patch is possible and ends where it is not, and one that is whole.
PACK = """pack: halves
about: spans of tests/go/halves
packages: [runtime]
spans:
- name: half
  kind: internal
  titles: [half]
  points:
  - {name: begin, role: start, variants: [{func: "main.answer() (n uint8, v any)"}]}
  - {name: end, role: end, variants: [{func: "main.answer() (n uint8, v any)", at: return}]}
- name: whole
  kind: internal
  titles: [whole]
  points:
  - {name: begin, role: start, variants: [{func: "main.whole(n int, text string) int"}]}
  - {name: end, role: end, variants: [{func: "main.whole(n int, text string) int", at: return}]}
"""


class Program(Process):
    """One that says when it is ready, and ends with its standard input."""

    def __init__(self, name, *args, prefix=()):
        path = BIN / name
        if not os.access(path, os.X_OK):
            raise Skip(f"{name} was not built")
        super().__init__([*prefix, path, *args], env=clean_env(), stdin=subprocess.PIPE)

    def ready(self):
        until("it is ready", lambda: "ready " in self.out() or not self.alive(), 30)
        return int(re.search(r"ready (\d+)", self.out()).group(1))

    def close(self, seconds=30):
        self.popen.stdin.close()
        return self.wait(seconds)


def _halves(*args):
    return Program("halves", "100", "2ms", *args)


def _refused(text):
    """One sentence of each function that cannot be patched, and not two."""
    said = re.findall(r"(main\.\w+) cannot be patched in the process: no instruction before one of its returns", text)
    assert sorted(said) == sorted(HALF), f"refused: {said}; {text}"


def _half_refused(form):
    """Calls of functions that are refused are told by nobody, whatever is asked of them, from the first one on."""
    need_earshot()
    trace = [EARSHOT, "trace", *PATCH, *(["--json"] if form == "json" else []), *HALF, "main.answer if n != 9",
             "main.constants if latency > 0 { count() }", "main.whole { count() }", "--"]
    with Program("halves", "100", "2ms", prefix=trace) as e:
        e.ready()
        until("it is observed", lambda: "observing" in e.err(), 20)
        assert e.close() == 0, e.describe()
        text, out = e.err(), e.out()
    assert not re.search(r"main\.(answer|constants)\b|panicked|running|exited", out), out[:2000]
    assert "main.whole" in out and "none lost; 2 probes planted, 8 refused" in text, text + out[:2000]
    _refused(text)


def _half_alone():
    """Nothing is left to plant: the process is not even touched."""
    need_earshot()
    with _halves() as program:
        pid = program.ready()
        with Earshot("trace", *PATCH, "-p", str(pid), "--for", "1s", *HALF) as e:
            assert e.wait(30) == 3, e.describe()
            assert not re.search(r"panicked|running|exited", e.out() + e.err()), e.describe()
            assert "no instruction before one of its returns" in e.err(), e.err()
        assert not changed_text(pid)
        assert program.close() == 0, program.describe()


def _half_spans(verb):
    """A span whose end is refused never begins."""
    need_earshot()
    pack = scratch() / "halves.yaml"
    pack.write_text(PACK)
    options = [*PATCH, "--packs", str(pack), "-o", "json"]
    if verb == "run":
        with Program("halves", "20", "10ms", prefix=[EARSHOT, "run", *options, "--"]) as e:
            e.ready()
            until("spans come", lambda: '"name":"whole"' in e.out(), 20)
            assert e.close() == 0, e.describe()
            text, out = e.err(), e.out()
    else:
        with _halves() as program, Earshot("attach", *options, "-p", str(program.ready()), "--for", "1s") as e:
            assert e.wait(30) == 0, e.describe()
            text, out = e.err(), e.out()
    assert '"name":"half"' not in out and '"name":"whole"' in out, out[:2000]
    assert text.count("main.answer cannot be patched") == 1, text
    assert "none lost; 4 probes planted, 2 refused" in text, text
    assert "may not be traced" not in text, text


def _ended(verb):
    """The program ends with the probes in place: nothing is said of rights, which nobody lacks."""
    need_earshot()
    pack = scratch() / "halves.yaml"
    pack.write_text(PACK)
    what = {"run": ["run", "-o", "json", "--packs", str(pack)], "trace": ["trace", "--json", "main.whole"]}[verb]
    for _ in range(5):
        with Program("halves", "1", "1ms", prefix=[EARSHOT, what[0], *PATCH, *what[1:], "--"]) as e:
            e.ready()
            assert e.close() == 0, e.describe()
            assert "may not be traced" not in e.err() and "observing" in e.err(), e.err()


def tests():
    for form in ("text", "json"):
        yield Test(f"half-refused-{form}", lambda f=form: _half_refused(f), 60)
    yield Test("half-alone", _half_alone, 60)
    for verb in ("run", "attach"):
        yield Test(f"half-spans-{verb}", lambda v=verb: _half_spans(v), 60)
    for verb in ("run", "trace"):
        yield Test(f"ended-{verb}", lambda v=verb: _ended(v), 60)
