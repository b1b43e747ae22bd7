"""Events of USDT probes, of programs that are not Go's: `earshot usdt attach`, and `trace 'usdt:…'`."""

import collections
import glob
import pathlib
import re
import subprocess
import sys
import time

from backends import Postgres
from earshot import one_sentence
from proc import BIN, EARSHOT, Process, clean_env, json_lines, scratch, until
from testing import Test

SOURCE = pathlib.Path(__file__).resolve().parent.parent / "c" / "probes.c"


class Told(Process):
    """A program that does something for each line, and then says one."""

    def __init__(self, argv):
        super().__init__(argv, stdin=subprocess.PIPE)
        self.lines = 0

    def tell(self, line="go\n"):
        self.lines += 1
        self.popen.stdin.write(line.encode())
        self.popen.stdin.flush()
        until(f"it has done its work: {self.describe()}", lambda: len(self.out().splitlines()) >= self.lines)
        return self.out().splitlines()[-1]


def _probes(name="probes"):
    program = scratch() / name
    subprocess.run(["gcc", "-O2", "-pthread", "-o", program, SOURCE], check=True, timeout=60)
    return program


class Usdt(Process):
    def __init__(self, *args):
        super().__init__([EARSHOT, *args])

    def placed(self):
        until(f"probes are in place: {self.describe()}", lambda: not self.alive() or "in place" in self.err(), 30)
        assert self.alive(), self.describe()
        return self

    def finish(self):
        assert self.stop(2, 20) == 0, self.describe()
        objects = list(json_lines(self.out()))
        summary = objects[-1]["summary"]
        assert not any(n for name, n in summary["losses"].items()), summary
        return ([o for o in objects if "trace_id" in o], [o for o in objects if "ts_unix_ns" in o and "aggregate" not in o], summary)


# ---- a program of ours ----

def _operands():
    """Constants, registers, memory with an index, addresses with a symbol in a PIE, a float; a child that is gone at once."""
    program = Told([_probes()])
    tracer = Usdt("trace", "--json", "-p", program.pid, "usdt:shop:order", "usdt:shop:numbers", "usdt:shop:tick").placed()
    assert int(program.tell()) >= 1, "nobody has raised the semaphore"
    _, calls, summary = tracer.finish()
    by = {(c["func"].split(":")[-1], c["pid"] == program.pid): list(c["args"].values()) for c in calls}
    assert by[("order", True)][1:] == [7, -5, 2.5, 4] and by[("order", False)][1:] == [11, 1, 0, 2], by
    assert by[("numbers", True)] == [-5, 77, 7, 12345678901, -3], by
    assert by[("numbers", False)] == [-5, 77, 11, 12345678901, -3], by
    assert [c["args"]["arg0"] for c in calls if c["func"].endswith("tick")] == [0, 1, 2, 100], calls
    assert {c["tid"] for c in calls if c["pid"] == program.pid} == {program.pid}, calls
    assert len(calls) == 8 and summary["processes"] == 2, summary
    return ""


def _question():
    program, other = Told([_probes()]), Told([_probes("another")])
    question = 'usdt:shop:order if text(arg0) != "alice" || arg1 == 7 { print(text(arg0), tid); count() by text(arg0); sum(arg1) }'
    tracer = Usdt("trace", "--json", "-p", program.pid, question).placed()
    for _ in range(3):
        program.tell()
        other.tell()
    _, calls, _ = tracer.finish()
    groups = [o for o in json_lines(tracer.out()) if "aggregate" in o]
    assert collections.Counter(c["values"]["text(arg0)"] for c in calls) == {"alice": 3, "child": 3}, calls
    assert all(c["values"]["tid"] == c["pid"] for c in calls), calls
    counts = collections.Counter()
    for g in groups:
        if g["aggregate"].startswith("count"):
            counts[g["key"]["text(arg0)"]] += g["count"]
    assert counts == {"alice": 3, "child": 3}, groups
    assert sum(g["sum"] for g in groups if g["aggregate"].startswith("sum")) == 3 * 7 + 3 * 11, groups
    return ""


def _spans():
    """By their names on a thread; by an argument over two; what has no counterpart is a call; one within another."""
    program = Told([_probes()])
    tracer = Usdt("usdt", "attach", "-o", "json", "-p", program.pid, "--pair", "job__begin,job__end by arg0",
                  "shop:work__*", "job__*", "usdt:shop:order").placed()
    program.tell()
    spans, calls, summary = tracer.finish()
    by = {s["name"]: s for s in spans}
    assert sorted(by) == ["shop:job", "shop:work"] and len(spans) == 2, spans
    assert by["shop:work"]["attributes"]["done.arg0"] == 2, spans
    assert by["shop:job"]["attributes"]["arg0"] == 4711 and by["shop:job"]["attributes"]["end.arg1"] == 7, spans
    assert [c["func"] for c in calls] == ["usdt:shop:order"] * 2, calls
    assert summary["open"] == 0, summary
    return ""


def _later():
    """What starts when Earshot waits already, and another one after that; not what is called otherwise."""
    program = _probes("later")
    tracer = Usdt("trace", "--json", "-x", "later", "usdt:shop:order { print(text(arg0)) }")
    until(f"it waits: {tracer.describe()}", lambda: "waiting" in tracer.err())
    first, other = Told([program]), Told([_probes("other")])
    tracer.placed()
    second = Told([program])
    for p in (first, other, second):
        p.tell()
    _, calls, _ = tracer.finish()
    assert len(calls) == 4 and {first.pid, second.pid} < {c["pid"] for c in calls}, calls
    assert other.pid not in {c["pid"] for c in calls}, calls
    return ""


LISTENING = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
os.set_inheritable(listener.fileno(), True)
open(sys.argv[2], "w").write(str(listener.getsockname()[1]) + "\\n")
os.execv(sys.argv[1], sys.argv[1:2])
"""


def _port():
    """Who listens there, and not another one with the same executable."""
    program, said = _probes(), scratch() / "port"
    one, other = Told([sys.executable, "-c", LISTENING, program, said]), Told([program])
    one.tell()
    tracer = Usdt("trace", "--json", "--port", said.read_text().strip(), "usdt:shop:order { print(text(arg0)) }").placed()
    for p in (other, one):
        p.tell()
    _, calls, _ = tracer.finish()
    assert one.pid in {c["pid"] for c in calls} and "alice" in {c["values"]["text(arg0)"] for c in calls}, calls
    assert len(calls) <= 2 and other.pid not in {c["pid"] for c in calls}, calls
    return ""


# ---- PostgreSQL ----

def _tool(name):
    return sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))[-1]


def _client(postgres, name, *args, check=True):
    return subprocess.run([_tool(name), "-h", "127.0.0.1", "-p", str(postgres.port), "-U", "test", *args, "postgres"], check=check,
                          timeout=60, env=clean_env(), capture_output=True, text=True).stdout


def _attach_postgres(postgres):
    return Usdt("usdt", "attach", "-o", "json", "-p", postgres.pid, "--max-string", "4096",
                "postgresql:query__start { db.query.text: text(arg0) }", "query__done {}", "query__execute__*").placed()


def _log_all(postgres):
    _client(postgres, "psql", "-c", "alter system set log_statement = 'all'", "-c", "select pg_reload_conf()")
    until("the server says what it does", lambda: "log_statement" in postgres.err())
    _client(postgres, "psql", "-c", "select 'said'")
    until("the server says what it does", lambda: "said" in postgres.err())


def _logged(postgres, kind, before):
    return len(re.findall(rf"LOG:  {kind}", postgres.err())) - before


def _outermost(spans):
    """Executions that are in no other execution."""
    executes = {s["span_id"] for s in spans if s["name"] == "postgresql:query__execute"}
    return [s for s in spans if s["span_id"] in executes and s["parent_span_id"] not in executes]


def _psql(postgres):
    """A backend for each: texts, nested executions, an error that leaves a start alone, a duration."""
    tracer = _attach_postgres(postgres)
    began = time.monotonic_ns()
    _client(postgres, "psql", "-c", "select 1", "-c", "select pg_sleep(0.2)", "-c", "select nosuch", "-c", "create table t (n int)",
            check=False)
    took = time.monotonic_ns() - began
    _client(postgres, "psql", "-c", "insert into t values (1), (2)", "-c", "select * from t")
    spans, calls, summary = tracer.finish()
    queries = [s for s in spans if s["name"] == "postgresql:query"]
    texts = [q["attributes"]["db.query.text"] for q in sorted(queries, key=lambda q: q["start_unix_ns"])]
    assert texts == ["select 1", "select pg_sleep(0.2)", "select nosuch", "create table t (n int)", "insert into t values (1), (2)",
                     "select * from t"], texts
    by = {q["attributes"]["db.query.text"]: q for q in queries}
    assert 200_000_000 <= by["select pg_sleep(0.2)"]["duration_ns"] <= took, by
    assert [t for t in texts if "usdt.end_missing" in by[t]["attributes"]] == ["select nosuch"], by
    ids = {q["span_id"]: q for q in queries}
    for s in _outermost(spans):
        query = ids[s["parent_span_id"]]
        assert query["trace_id"] == s["trace_id"] and query["start_unix_ns"] <= s["start_unix_ns"], (query, s)
        assert s["start_unix_ns"] + s["duration_ns"] <= query["start_unix_ns"] + query["duration_ns"], (query, s)
    assert len(_outermost(spans)) == 5 and not calls and summary["open"] == 0, (spans, summary)
    return f"{len(spans)} spans"


def _pgbench(postgres):
    """In simple mode queries, in the others their executions: as many as transactions were made."""
    _client(postgres, "pgbench", "-i", "-q")
    said = []
    for mode in ("simple", "extended", "prepared"):
        tracer = _attach_postgres(postgres)
        out = _client(postgres, "pgbench", "-n", "-S", "-c", "2", "-t", "50", "-M", mode)
        assert "actually processed: 100/100" in out, out
        spans, _, _ = tracer.finish()
        select = [s for s in spans if s["attributes"].get("db.query.text", "").startswith("SELECT abalance")]
        alone = [s for s in _outermost(spans) if not s["parent_span_id"]]
        assert (len(select), len(alone)) == ((100, 0) if mode == "simple" else (0, 100)), (mode, len(select), len(alone))
        said.append(f"{mode} {len(spans)}")
    return ", ".join(said)


def _pgx(postgres):
    """The executions of a Go program's queries, by pgx and others, are as many as the server has logged."""
    _log_all(postgres)
    before = {kind: _logged(postgres, kind, 0) for kind in ("statement", "execute")}
    tracer = _attach_postgres(postgres)
    newest = sorted(BIN.glob("dbs-go1.*-sw"))[-1]
    subprocess.run([newest, postgres.url, "127.0.0.1:1"], timeout=60, env=clean_env(), capture_output=True, check=False)
    spans, _, summary = tracer.finish()
    statements, executes = (_logged(postgres, kind, before[kind]) for kind in ("statement", "execute"))
    queries = [s for s in spans if s["name"] == "postgresql:query"]
    # What an error has ended, and nothing like it came after it on its connection, is open still.
    most = summary["open"]
    assert most < 6 and len(queries) <= statements <= len(queries) + most, (len(queries), statements, summary)
    alone = [s for s in _outermost(spans) if s["parent_span_id"] not in {q["span_id"] for q in queries}]
    assert 5 < len(alone) <= executes <= len(alone) + most, (len(alone), executes, summary)
    return f"{executes} executions, {statements} statements"


def _postgres():
    postgres = Postgres()
    return "; ".join(f"{part.__name__[1:]}: {part(postgres)}" for part in (_psql, _pgbench, _pgx))


# ---- CPython ----

_PYTHON = """
import sys
def inner(n):
    return n + 1
def outer():
    return sum(inner(i) for i in (1, 2, 3))
def slices():
    yield 1
    yield 2
def fails():
    raise ValueError
for line in sys.stdin:
    outer()
    list(slices())
    try:
        fails()
    except ValueError:
        pass
    print("done", flush=True)
"""


def _python():
    """Functions as spans; a generator's are slices; the probe `line` is what makes CPython 3.11 come to those of entries."""
    program = Told([sorted(glob.glob("/usr/bin/python3.1[0-9]"))[-1], "-c", _PYTHON])
    tracer = Usdt("usdt", "attach", "-o", "json", "-p", program.pid,
                  'python:function__entry if text(arg0) == "<string>" { name: text(arg1), code.line.number: arg2 }',
                  'function__return if text(arg0) == "<string>" {}', "python:line if arg2 < 0").placed()
    program.tell()
    program.tell()
    spans, calls, _ = tracer.finish()
    names = collections.Counter(s["name"] for s in spans)
    assert {n: names[n] for n in ("inner", "outer", "fails", "slices")} == {"inner": 6, "outer": 2, "fails": 2, "slices": 6}, names
    ids = {s["span_id"]: s for s in spans}
    for s in spans:
        if s["name"] == "inner":
            around = ids[s["parent_span_id"]]
            assert around["name"] == "<genexpr>" and ids[around["parent_span_id"]]["name"] == "outer", (s, around)
    assert not calls, calls
    return f"{len(spans)} spans"


# ---- what is wrong ----

def _refused():
    program, quiet = Told([_probes()]), Process(["/bin/sleep", "60"])
    question = f"usdt:shop:order"
    for args, code, sentence in (
            (["usdt", "attach", "-p", "4194303", "shop:*"], 3, "there is no process 4194303"),
            (["usdt", "attach", "-p", program.pid, "shop:nope"], 3, "no USDT probe is shop:nope; there are"),
            (["usdt", "attach", "-p", quiet.pid, "shop:*"], 3, "no file that these processes run code of has USDT probes"),
            (["usdt", "attach", "-p", program.pid], 2, "say which probes"),
            (["usdt", "attach", "shop:*"], 2, "say what to observe"),
            (["usdt", "attach", "-p", program.pid, "--pair", "a", "shop:*"], 2, "--pair is START,END"),
            (["trace", "-p", program.pid, question, "main.main"], 2, "asked by a command each"),
            (["trace", "-p", program.pid, "--planter", "patch", question], 3, "USDT probes are planted by uprobe"),
            (["trace", "-p", "1", "usdt:order"], 2, "a USDT probe is usdt:PROVIDER:NAME"),
            (["trace", "-l", "-p", program.pid, question], 2, "`earshot usdt list` shows USDT probes")):
        done = subprocess.run([EARSHOT, *map(str, args)], capture_output=True, text=True, timeout=30, env=clean_env(), check=False)
        assert done.returncode == code and sentence in done.stderr, (args, done)
        assert len(done.stderr.splitlines()) <= 3, (args, done.stderr)
    for question, sentence in (("{ print(arg9) }", "arg9 is not known here"), ("{ print(text(arg1)) }", "text reads the C string"),
                               ("if latency > 1s", "it has no end"), ("{ print(goid) }", "goid is not known here")):
        done = subprocess.run([EARSHOT, "trace", "-p", str(program.pid), f"usdt:shop:order {question}"], capture_output=True,
                              text=True, timeout=30, env=clean_env(), check=False)
        assert done.returncode == 3 and sentence in done.stderr, (question, done)
    nobody = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", EARSHOT, "usdt", "attach", "-p", str(program.pid), "shop:*"],
                            capture_output=True, text=True, timeout=30, env=clean_env(), check=False)
    assert nobody.returncode == 3 and "CAP_BPF" in nobody.stderr and one_sentence(nobody.stderr), nobody
    return ""


def _ends():
    """With the process that it is for."""
    program = Told([_probes()])
    tracer = Usdt("usdt", "attach", "-o", "json", "-p", program.pid, "shop:*").placed()
    program.kill()
    assert tracer.wait(20) == 0, tracer.describe()
    return ""


def tests():
    yield Test("operands", _operands, 60)
    yield Test("question", _question, 60)
    yield Test("spans", _spans, 60)
    yield Test("later", _later, 60)
    yield Test("port", _port, 60)
    yield Test("postgres", _postgres, 240)
    yield Test("python", _python, 60)
    yield Test("refused", _refused, 120)
    yield Test("ends", _ends, 60)
