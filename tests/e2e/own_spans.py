"""--span: the program's own functions as spans, with their arguments, errors and parents; packs in the working directory."""

import os
import time

from calls import Calls, binary, newest, question
from earshot import Earshot, and_patched, losses, need_earshot, planter
from proc import BIN, EARSHOT, run_once, scratch, until
from target import Httpd, built, get
from testing import Test
from trio import Trio

ORDERS = (2, 11, 5)  # one that is like others, one that the stock does not know, one in a hurry
# Functions of tests/go/trio, and what declares them where the program does not.
TRIO = {
    "main.(*front).place": "(ctx context.Context, number int64) (err error)",
    "main.(*front).get": "(ctx context.Context, path string, number int64) (err error)",
    "main.(*stock).Check": "", "main.(*stock).Reserve": "",
}


def _observe(*args, seen=1, **kw):
    e = Earshot("attach", "-o", "json", *args, **kw)
    until("the programs are observed", lambda: e.check_alive() and e.err().count("observing ") >= seen, 30)
    return e


def _own(e):
    return [o for o in e.objects() if o.get("pack") == "functions"]


def _span_flags(questions):
    return [a for q in questions for a in ("--span", q)]


# ---- calls of every kind ----

class Observed:
    """The program that says what it calls, and the spans of those calls."""

    def __init__(self, path, functions):
        need_earshot()
        self.calls = Calls(path)
        asked = [question(f, rest, self.calls.stripped) for f, rest in functions.items()]
        self.earshot = _observe("-p", str(self.calls.pid), *_span_flags(asked))
        self.seen = 0

    def ask(self, scenario, count, wanted):
        """(what it says, the spans that came of it, in the order in which they began)"""
        told, _ = self.calls.ask(scenario, count)
        until(f"spans of {scenario} are out", lambda: len(_own(self.earshot)) >= self.seen + wanted, 10)
        spans = _own(self.earshot)[self.seen:]
        self.seen += len(spans)
        return told, sorted(spans, key=lambda s: s["start_unix_ns"])

    def end(self):
        self.earshot.finish()
        self.calls.kill()
        lost = {k: n for k, n in losses(self.earshot.summary()).items() if n}
        assert not lost and len(_own(self.earshot)) == self.seen, (lost, self.earshot.err())


def _attributes(s):
    return {k: v for k, v in s["attributes"].items() if k not in ("code.function.name", "earshot.parent.source")}


def _recursion(observed):
    """Each call is a span inside its caller's."""
    _, spans = observed.ask("recursive", 5, 15)
    assert len(spans) == 15, len(spans)
    by_id = {s["span_id"]: s for s in spans}
    for s in spans:
        n = s["attributes"]["n"]
        assert _attributes(s) == {"n": n, "sum": n * (n + 1) // 2}, s
        parent = by_id.get(s.get("parent_span_id"))
        if parent:
            assert parent["attributes"]["n"] == n + 1 and parent["trace_id"] == s["trace_id"], (s, parent)
    assert sum(s.get("parent_span_id") in by_id for s in spans) == 10, spans
    assert {s["name"] for s in spans} == {"main.Recursive"} and {s["kind"] for s in spans} == {"internal"}, spans[0]
    assert all(s["attributes"]["code.function.name"] == "main.Recursive" for s in spans), spans[0]


def _condition(path):
    """Calls for which it does not hold are no spans, and end none."""
    observed = Observed(path, {"main.Recursive": "if n % 2 == 0 { n }"})
    _, spans = observed.ask("recursive", 5, 9)
    observed.end()
    assert sorted(s["attributes"]["n"] for s in spans) == [0, 0, 0, 0, 0, 2, 2, 2, 4], spans
    by_id = {s["span_id"]: s for s in spans}
    parents = [by_id[s["parent_span_id"]]["attributes"]["n"] - s["attributes"]["n"] for s in spans
               if s.get("parent_span_id") in by_id]
    assert parents == [2] * 4, parents


def _panics(observed):
    """What a panic went through is an error; who recovered and returned has ended as it says itself."""
    _, spans = observed.ask("catches", 3, 9)
    got = [(s["name"], s["attributes"]["n"], s["status"], s["attributes"].get("error.type")) for s in spans]
    want = [("main.Catches", 0, "unset", None), ("main.Between", 0, "unset", None), ("main.Throws", 0, "unset", None)]
    for n in (1, 2):
        thrown = "*errors.errorString"
        want += [("main.Catches", n, "unset", None), ("main.Between", n, "error", thrown),
                 ("main.Throws", n, "error", thrown)]
    assert got == want, got
    _, spans = observed.ask("recovers", 2, 2)
    got = [(s["name"], s["attributes"]["n"], s["status"], s["attributes"].get("error.type")) for s in spans]
    assert got == [("main.Recovers", 0, "unset", None), ("main.Recovers", 1, "error", "*errors.errorString")], got


def _exits(observed):
    """runtime.Goexit ends what is open, from within."""
    _, spans = observed.ask("exits", 1, 6)
    ends = {s["name"]: s["attributes"].get("error.type") for s in spans}
    assert ends["main.Exits"] == ends["main.UnderExit"] == "runtime.Goexit", ends


def _values(observed):
    """Texts, also those that are empty, cut, or nil; errors by their type."""
    told, spans = observed.ask("texts", 1, 19)
    assert [s["name"] for s in spans] == [c["func"] for c in told], (spans, told)
    strings = [s for s in spans if s["name"] == "main.Strings"]
    texts = [s["attributes"]["a"] for s in strings]
    assert texts[:3] == ["", "a", "alice"] and strings[0]["attributes"]["b"] == "!", texts
    assert "€" * 1000 in texts[7] and strings[7]["attributes"]["earshot.truncated.a"] == 9000, strings[7]
    assert [s["attributes"].get("a") for s in spans if s["name"] == "main.Bytes"][:3] == ["", "a", "alice"], spans
    _, spans = observed.ask("errors", 1, 10)
    got = [(s["attributes"]["order.number"], s["status"], s["attributes"].get("error.type")) for s in spans]
    assert [g[0] for g in got] == list(range(10)), got
    assert got[0][1:] == ("unset", None) and got[1][1:] == ("error", "*errors.errorString"), got
    assert got[4][2] == "*main.CodeError" and got[5][2] == "main.PlainError", got
    assert all(s["attributes"].get("given.type") == s["attributes"].get("error.type") for s in spans), spans


def _calls(path):
    observed = Observed(path, {
        "main.Recursive": "{ n, sum }", "main.Throws": "", "main.Between": "", "main.Catches": "", "main.Recovers": "",
        "main.Exits": "", "main.UnderExit": "", "main.Strings": "", "main.Bytes": "",
        "main.Errors": "{ order.number: n, given.type: typeof(given) }"})
    for check in (_recursion, _panics, _exits, _values):
        check(observed)
    observed.end()


# ---- whose child ----

def _traces(build, backends=True):
    """In the handler, in a goroutine of an errgroup, in a gRPC service over a database."""
    need_earshot()
    stripped = build.endswith("-sw")
    asked = [f + (d if stripped else "") for f, d in TRIO.items()]
    with Trio(build, backends) as trio:
        trio.order(1)
        pids = [a for pid in trio.pids for a in ("-p", str(pid))]
        e = _observe(*pids, *_span_flags(asked), seen=3)
        for number in ORDERS:
            trio.order(number)
        until("the last order's spans are out", lambda: sum(s["name"] == "main.(*front).place" for s in _own(e)) == 3, 10)
        time.sleep(0.3)
        e.finish()
        err = e.err()
    spans = [o for o in e.objects() if "trace_id" in o]
    by_id = {s["span_id"]: s for s in spans}
    above = lambda s: by_id.get(s.get("parent_span_id"), {"name": None, "attributes": {}})
    named = lambda name: [s for s in spans if s["name"] == name]
    number = lambda s: s["attributes"]["number"]
    for s in named("main.(*front).place"):
        assert above(s)["attributes"].get("url.path") == f"/orders/{number(s)}", (s, above(s))
        assert s["attributes"]["earshot.parent.source"] == "context" and s["status"] == "unset", s
    assert sorted(map(number, named("main.(*front).place"))) == sorted(ORDERS), err
    gets = named("main.(*front).get")
    assert sorted((number(s), s["attributes"]["path"]) for s in gets) == sorted(
        [(n, "/price/%d") for n in ORDERS] + [(5, "/slow/%d")]), gets
    for s in gets:  # the context leads to the handler's span; who started the goroutine is in the trace as well
        assert above(s)["name"] in ("GET /orders/", "main.(*front).place"), (s, above(s))
        root = above(s) if above(s)["name"] == "GET /orders/" else above(above(s))
        assert root["attributes"]["url.path"] == f"/orders/{number(s)}", (s, root)
        slow = s["attributes"]["path"] == "/slow/%d"
        assert (s["status"] == "error") == slow and ("error.type" in s["attributes"]) == slow, s
        sent = [c for c in spans if c.get("parent_span_id") == s["span_id"]]
        assert [c["kind"] for c in sent] == ["client"], (s, sent)
    for s in named("main.(*stock).Check"):
        assert above(s)["attributes"].get("rpc.method", "").endswith("Check") and above(s)["kind"] == "server", above(s)
        below = [c["attributes"].get("db.system.name") for c in spans if c.get("parent_span_id") == s["span_id"]]
        assert below == ["postgresql"] * backends, (s, below)
    failed = [s for s in named("main.(*stock).Check") if s["status"] == "error"]
    assert len(failed) == 1 and failed[0]["attributes"]["error.type"].endswith("status.Error"), failed
    assert len(named("main.(*stock).Reserve")) == len(ORDERS), named("main.(*stock).Reserve")
    lost = {k: n for k, n in losses(e.summary()).items() if n}
    assert not lost, lost
    assert "cannot be told" not in err, err
    return f"{len(spans)} spans, {len(_own(e))} of them of functions"


def _both():
    """A function that is a span by a pack already is two, one within the other."""
    need_earshot()
    function = "net/http.serverHandler.ServeHTTP"
    with Httpd(built("1.27", "plain")) as httpd:
        e = _observe("-p", str(httpd.pid), "--span", function)
        for i in range(5):
            get(httpd.where["http"], f"/alloc?{i}", agent="test")
        until("the spans are out", lambda: len(_own(e)) >= 5 and len(e.spans()) >= 5, 10)
        servers, summary = e.finish()
    assert len(servers) == len(_own(e)) == 5, e.describe()
    ids, parents = ({s[k] for s in servers + _own(e) if s.get(k)} for k in ("span_id", "parent_span_id"))
    assert len(parents & ids) == 5 and len({s["trace_id"] for s in servers}) == 5, servers
    assert not {k: n for k, n in losses(summary).items() if n}, summary


# ---- what is matched, and what is not ----

def _glob():
    """Many functions by a pattern; too many are refused; names that are none, and what has no end."""
    need_earshot()
    calls = Calls(newest())
    e = _observe("-p", str(calls.pid), *_span_flags(
        ["main.Re*", "main.?etween", "runtime.*", "main.Recursiv",
         "main.Recovers if err != nil", "main.tiny", "main.Throws { n, nothing }"]))
    calls.ask("recursive", 3)
    calls.ask("catches", 2)
    until("the spans are out", lambda: len(_own(e)) >= 8, 10)
    e.finish()
    calls.kill()
    names = sorted({s["name"] for s in _own(e)})
    assert names == ["main.Between", "main.Recursive"], names
    err = e.err()
    assert "--span runtime.* matches " in err and "and 100 are possible" in err, err
    assert "has no function main.Recursiv; did you mean main.Recursive?" in err, err
    assert "inlined calls of main.tiny" in err and "no return of its own" in err, err
    assert "no span: main.Throws: " in err and "nothing" in err, err
    assert planter() == "patch" or ("costs the program about" in err and "--planter patch" in err), err


def _unknown():
    """Of a stripped program what is not known is left out, and said once."""
    need_earshot()
    calls = Calls(newest("sw"))
    e = _observe("-p", str(calls.pid), "--span", "main.Recovers", "--span", "main.(*Person).Rename")
    calls.ask("recovers", 2)
    until("the spans are out", lambda: len(_own(e)) >= 2, 10)
    e.finish()
    calls.kill()
    spans = _own(e)
    assert len(spans) == 2 and all(not _attributes(s) and s["status"] == "unset" for s in spans), spans
    told = [line for line in e.err().splitlines() if "main.Recovers" in line]
    assert len(told) == 1 and "whether it fails cannot be told" in told[0], e.err()


def _refused():
    for asked in ("main.F {", "main.F if", "main.F { a b }"):
        e = Earshot("attach", "-p", "1", "--span", asked)
        assert e.wait(20) == 2, e.describe()
        assert e.err().startswith("earshot: --span: ") and "^" in e.err(), e.err()
    e = Earshot("run", "--span", "main.Nowhere", "--", BIN / "jobs", "mail")
    assert e.wait(20) == 0 and "has no function main.Nowhere" in e.err(), e.describe()


def _inspect():
    """What a call costs is seen before anything is planted."""
    done = run_once([EARSHOT, "inspect", binary("1.21"), "--span", "main.Recursive", "--span", "main.None"], 20)
    out, err = done.out(), done.err()
    assert "functions: functions that --span names" in out and "--planter patch" in out, out
    assert "main.Recursive" in out and "expensive" in out and "has no function main.None" in err, (out, err)


# ---- packs in the working directory ----

PACK = """\
pack: {name}
about: calls of the tests
packages: [main]
spans:
- name: fib
  kind: internal
  titles: ["fib {{n}}"]
  points:
  - {{name: begin, role: start, variants: [{{func: main.Recursive(n int) (sum int), capture: {{n: n}}}}]}}
  - {{name: done, role: {end}, variants: [{{func: main.Recursive(n int) (sum int), at: return}}]}}
"""


def _directory():
    """Of the packs there one is used; one is broken, one is anybody's, one a link, one belongs to another user."""
    need_earshot()
    where = scratch() / "packs"
    where.mkdir()
    for name, text, mode in (("good", PACK.format(name="good", end="end"), 0o644),
                             ("broken", PACK.format(name="broken", end="nd"), 0o644),
                             ("open", PACK.format(name="open", end="end"), 0o666),
                             ("twice", PACK.format(name="good", end="end"), 0o600),
                             ("strange", PACK.format(name="strange", end="end"), 0o644),
                             ("orphan", "pack: orphan\nabout: x\npackages: [main]\nspans:\n- extends: open/fib\n  points:\n"
                              "  - {name: more, role: note, variants: [{func: main.Fib}]}\n", 0o644)):
        file = where / f"{name}.earshot.yaml"
        file.write_text(text)
        file.chmod(mode)
    os.chown(where / "strange.earshot.yaml", 12345, 12345)
    (where / "link.earshot.yaml").symlink_to("good.earshot.yaml")
    calls = Calls(newest("sw"))
    e = _observe("-p", str(calls.pid), cwd=where)
    calls.ask("recursive", 3)
    until("the spans are out", lambda: len([o for o in e.objects() if o.get("pack") == "good"]) >= 6, 10)
    e.finish()
    calls.kill()
    names = [o["name"] for o in e.objects() if "trace_id" in o]
    assert sorted(names) == ["fib 0"] * 3 + ["fib 1"] * 2 + ["fib 2"], names
    said = [line for line in e.err().splitlines() if ".earshot.yaml" in line]
    for words in ("using the pack good of good.earshot.yaml",
                  "not used: broken.earshot.yaml:10:24: \"nd\" is not one of: start, end",
                  "not used: open.earshot.yaml: others may write to it (mode 666)",
                  "not used: twice.earshot.yaml: there is a pack good already (good.earshot.yaml)",
                  "not used: strange.earshot.yaml: it belongs to the user 12345",
                  "not used: link.earshot.yaml: it is a symbolic link",
                  "not used: orphan.earshot.yaml: the pack orphan adds to spans of the pack open"):
        assert sum(words in line for line in said) == 1, (words, said)
    assert len(said) == 7, said
    listed = run_once([EARSHOT, "inspect", "--list-packs", "--packs", "good"], 20, cwd=where)
    assert "calls of the tests" in listed.out() and "not used" in listed.err(), listed.describe()


def _all():
    for minor in ("1.21", "1.27"):
        for mode in ("plain", "sw"):
            yield Test(f"calls-go{minor}-{mode}", lambda m=minor, w=mode: _calls(binary(m, w)))
    yield Test("condition", lambda: _condition(newest()))
    yield Test("traces-go1.21-plain", lambda: _traces("go1.21-plain", backends=False))
    yield Test("traces-go1.27-sw", lambda: _traces("go1.27-sw"))
    yield Test("both", _both)
    yield Test("glob", _glob)
    yield Test("unknown", _unknown)
    yield Test("refused", _refused)
    yield Test("inspect", _inspect)
    yield Test("directory", _directory)


def tests():
    yield from and_patched(_all(), {"calls-go1.21-plain", "calls-go1.27-sw", "condition", "traces-go1.21-plain", "both", "glob"})
