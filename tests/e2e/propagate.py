"""--propagate: what tests/go/sender sends, ten kinds of requests at once and under GOGC=5, is read by servers that share no
code with it (tests/lib/wire.py). Each request arrives as the program made it, with one line or field more, or as it is;
what that says is what Earshot says of the request; and whoever is asked finds its caller by it."""

import collections
import concurrent.futures
import http.client
import json
import subprocess
import time
from urllib.parse import urlsplit

import vm
import wire
from earshot import Earshot, need_earshot, patched
from proc import BIN, EARSHOT, Process, Skip, clean_env, json_lines, public_copy, run_once, scratch, until
from relay import Relay
from target import MINORS
from testing import Test, scaled
from trio import Orders, Traces, Trio, word_of

OLD, NEW = "1.21", MINORS[-1]
OWNERS = {1, 9}  # kinds that have a header of their own
PARALLEL = 20
# What the server saw, and Earshot's summary, spans and notes.
Result = collections.namedtuple("Result", "seen summary spans said")
LONG = 1 + scaled(0, 0, "PROPAGATE") // 10000  # of make soak-propagate


class Sender(Process):
    """Sends what it is to once go() is called."""

    def __init__(self, program, *args, path=None, prefix=()):
        path = path or BIN / f"sender-go{program}"
        if not path.exists():
            raise Skip(f"{path.name} was not built")
        self.args = args
        super().__init__([*prefix, path, *args], env=clean_env(GOGC=5), stdin=subprocess.PIPE)
        self.first = until("it is ready", lambda: self.out().strip())

    def _line(self):
        self.popen.stdin.write(b"\n")
        self.popen.stdin.flush()

    def go(self):
        self._line()

    def told(self):
        bound = 60 + int(self.args[2]) / 200
        return json.loads(until("all is sent", lambda: (self.out() + "\n").split("\n", 2)[1], bound))


def _attach(pid, *options, prefix=(), **env):
    e = Earshot("attach", "-p", str(pid), "-o", "json", *options, prefix=prefix,
                binary=public_copy(EARSHOT) if prefix else EARSHOT, env=clean_env(**env))
    until("the program is observed", lambda: e.check_alive() and "observing " in e.err(), 30)
    return e


def _need_parsers():
    need_earshot()
    if wire.h2 is None:
        raise Skip("python3-h2 and python3-h11 are not installed")


def _server(kind):
    return wire.Wire("h2" if kind == "x" else kind, scratch())


def _check_told(told, requests, err):
    assert told["sent"] == requests and not told["failed"], (told, err)
    assert not told["dumped"], "what is dumped has a header of ours"


def _seen_by(server, requests):
    assert not server.errors, server.errors[:3]
    assert len(server.seen) == requests, len(server.seen)
    return server.seen


def _run(program, kind, requests, *options, path=None, prefix=()):
    server = _server(kind)
    with Sender(program, kind, f"127.0.0.1:{server.port}", requests, PARALLEL, path=path, prefix=prefix) as sender:
        with _attach(sender.pid, *options, prefix=prefix) as e:
            sender.go()
            told = sender.told()
            _, summary = e.finish()
            spans = e.spans("client")
            said = e.err()
    server.close()
    _check_told(told, requests, sender.err())
    return Result(_seen_by(server, requests), summary, spans, said)


# In the machine: the program's own line comes among Earshot's.
SEND = """
for n in {before} {requests}; do
	[ $n = {before} ] && options= port={port_before} || options=--propagate port={port}
	echo | GOGC=5 earshot run $options -o json -- ./sender {kind} {host}:$port $n {parallel} >/out/$n || exit 1
done
"""


def _in_vm(program, kind, requests, before):
    """As _run, without --propagate and with it, by uprobes of a kernel that lets them write. The servers are here."""
    path = BIN / f"sender-go{program}"
    if not path.exists():
        raise Skip(f"{path.name} was not built")
    servers = [_server(kind) for _ in range(2)]
    script = SEND.format(before=before, requests=requests, port_before=servers[0].port, port=servers[1].port,
                         kind=kind, host=vm.HOST, parallel=PARALLEL)
    done = vm.run(script, {"sender": path}, 150 + requests // 20, network=True)
    assert done.code == 0, done.describe()
    results = []
    for n, server in zip((before, requests), servers):
        server.close()
        lines = list(json_lines(done.files[str(n)]))
        _check_told(next(o for o in lines if "sent" in o), n, done.err)
        results.append(Result(_seen_by(server, n), next(o["summary"] for o in lines if "summary" in o),
                              [o for o in lines if o.get("kind") == "client"], done.err))
    return results


# Earshots come and go while all is sent.
MEANWHILE = """
mkfifo input
GOGC=5 ./sender {kind} {host}:{port} {requests} {parallel} <input >/out/told 2>/out/failed &
sender=$!
exec 3>input
echo >&3
for i in $(seq {cycles}); do
	earshot attach -p $sender --propagate -o json >>/out/spans 2>said &
	until grep -qs observing said || ! kill -0 $!; do sleep 0.1; done
	sleep 3
	kill -INT $!
	wait $!
done
until grep -q sent /out/told; do sleep 0.2; done
exec 3>&-
wait $sender
"""


def _meanwhile_in_vm(kind, requests, cycles):
    _need_parsers()
    vm.need_vm()
    path = BIN / f"sender-go{NEW}-sw"
    server = _server(kind)
    script = MEANWHILE.format(kind=kind, host=vm.HOST, port=server.port, requests=requests, parallel=PARALLEL,
                              cycles=cycles)
    done = vm.run(script, {"sender": path}, 120 + requests // 20, network=True)
    server.close()
    assert done.code == 0, done.describe()
    _check_told(next(o for o in json_lines(done.files["told"]) if "sent" in o), requests, done.files["failed"])
    classes, ours = _classes(_seen_by(server, requests))
    assert sum(classes[k]["own"] for k in OWNERS) == requests // 5
    written = [o["summary"]["propagated"]["written"] for o in json_lines(done.files["spans"]) if "summary" in o]
    assert len(written) == cycles and len(ours) == sum(written), f"{len(ours)} arrived of {written}"
    return f"{len(ours)} of {requests} while {cycles} Earshots came and went: {written}"


def _classes(seen):
    """By kind: how many there are of each class. None is malformed, or there twice."""
    classes, ours = collections.defaultdict(collections.Counter), {}
    for s in seen:
        assert len(s.traceparents) <= 1, s
        if not s.traceparents:
            classes[s.kind]["none"] += 1
        elif s.traceparents[0] == wire.OWN:
            classes[s.kind]["own"] += 1
        else:
            assert wire.VALID.fullmatch(s.traceparents[0]), s
            assert s.traceparents[0] not in ours, s
            ours[s.traceparents[0]] = s
            classes[s.kind]["ours"] += 1
    return classes, ours


def _number(span):
    """Kind and number of the span's request."""
    a = span["attributes"]
    path = a["rpc.method"].replace("kind.", "") if "rpc.method" in a else urlsplit(a["url.full"]).path.strip("/")
    kind, number = path.split("/")
    return int(kind), int(number)


def _check(program, kind):
    _need_parsers()
    requests = scaled(1500, 1000, "PROPAGATE")
    return _compare(kind, requests, _run(program, kind, requests // 4),
                    _run(program, kind, requests, "--propagate"))


def check_woven(path, kind, prefix):
    """As _check, of a woven sender; prefix: without privileges."""
    _need_parsers()
    requests = scaled(1000, 500, "PROPAGATE")
    return _compare(kind, requests, _run("woven", kind, requests // 4, path=path, prefix=prefix),
                    _run("woven", kind, requests, "--propagate", path=path, prefix=prefix))


def _check_in_vm(program, kind):
    _need_parsers()
    vm.need_vm()
    requests = min(scaled(400, 400, "PROPAGATE"), 20000)
    before, after = _in_vm(program, kind, requests, 100)
    return _compare(kind, requests, before, after)


def _compare(kind, requests, without, result):
    """What came of requests with --propagate, beside what came without."""
    before = without.seen
    _, ours = _classes(before)
    assert not ours, "a header without --propagate"
    seen, summary, spans, _ = result
    classes, ours = _classes(seen)
    each = requests // 10
    for k in range(10):
        want = {"own": each} if k in OWNERS else {"ours": each}
        if k == 6 and kind == "grpc":  # its headers are more than one frame
            want = {"none": each}
        if k == 6 and kind == "h1":  # where the URL fills the buffer
            assert classes[k]["ours"] > each / 2 and sum(classes[k].values()) == each, classes[k]
        else:
            assert classes[k] == want, (k, classes[k])
    # All else is as it was.
    assert {(s.kind, s.rest) for s in seen} == {(s.kind, s.rest) for s in before}, "other bytes differ, too"
    # What was sent is the client's span, which tells of that request.
    by_ids = {(s["trace_id"], s["span_id"]): s for s in spans}
    assert len(spans) == requests, len(spans)
    for value, s in ours.items():
        _, trace, span, flags = value.split("-")
        assert (trace, span) in by_ids, f"no span has the ids of {s}"
        assert _number(by_ids[trace, span]) == (s.kind, s.number) and flags == "01", (s, by_ids[trace, span])
    counted = summary["propagated"]
    assert counted["written"] == len(ours), (counted, len(ours))
    assert counted["present"] == 2 * each, counted
    assert sum(counted.values()) == requests, counted
    return f"{len(ours)} of {requests} got one: {dict((k, v) for k, v in counted.items() if v)}"


def _limited(kind):
    """A server that takes few headers gets none of ours, once it has said so."""
    _need_parsers()
    requests = scaled(600, 300, "PROPAGATE")
    server = wire.Wire(kind, scratch(), header_list=16000)
    with Sender(f"{NEW}-sw", kind, f"127.0.0.1:{server.port}", requests, PARALLEL) as sender:
        with _attach(sender.pid, "--propagate") as e:
            sender.go()
            told = sender.told()
            _, summary = e.finish()
    server.close()
    assert not server.errors, server.errors[:3]
    assert told["failed"] == (requests / 10 if kind == "grpc" else 0), (told, sender.err())  # grpc's own answer to kind 6
    _, ours = _classes(server.seen)
    assert len(ours) <= PARALLEL, f"{len(ours)} got one"  # begun before the server's settings were there
    counted = summary["propagated"]
    assert counted["limited" if kind == "h2" else "no_span"] >= requests / 2, counted
    return f"{len(ours)} of {requests} got one: {dict((k, v) for k, v in counted.items() if v)}"


def _left_out():
    """Half of the traces are left out: their requests say so, and have no span."""
    _need_parsers()
    requests = scaled(1000, 500, "PROPAGATE")
    server = _server("h1")
    with Sender(f"{NEW}-sw", "h1", f"127.0.0.1:{server.port}", requests, PARALLEL) as sender:
        with _attach(sender.pid, "--propagate", OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.5") as e:
            sender.go()
            assert not sender.told()["failed"], sender.err()
            e.finish()
            ids = {(s["trace_id"], s["span_id"]) for s in e.spans("client")}
    server.close()
    _, ours = _classes(server.seen)
    flags = collections.Counter()
    for value, s in ours.items():
        _, trace, span, flag = value.split("-")
        assert ((trace, span) in ids) == (flag == "01"), (s, flag)
        flags[flag] += 1
    assert min(flags["00"], flags["01"]) > len(ours) / 4, flags
    return f"{flags['01']} of {len(ours)} are sampled"


def _refused():
    """Where the kernel lets no probe write, one sentence says why, and spans come all the same."""
    _need_parsers()
    doctor = json.loads(run_once([EARSHOT, "doctor", "--json"], 60).out())["checks"]
    writing = next(c for c in doctor if c["name"] == "writing")
    if writing["ok"]:
        raise Skip("this kernel lets probes write")
    seen, summary, spans, said = _run(f"{NEW}-sw", "h1", 100, "--propagate")
    assert len(spans) == 100 and not _classes(seen)[1], spans
    assert not summary["propagated"]["written"], summary
    told = [line for line in said.splitlines() if "bpf_probe_write_user" in line]
    assert len(told) == 1 and writing["text"] in told[0], said


def _joined():
    """Two observers that know nothing of each other."""
    need_earshot()
    requests = 200
    with Sender(f"{NEW}-plain", "serve") as server:
        with Sender(f"{OLD}-sw", "h1", f"127.0.0.1:{server.first}", requests, 4) as sender:
            with _attach(server.pid) as behind, _attach(sender.pid, "--propagate") as e:
                sender.go()
                assert not sender.told()["failed"]
                behind.wait_spans(requests)
                e.finish()
                behind.finish()
                clients = {(s["trace_id"], s["span_id"]): s for s in e.spans("client")}
                servers = behind.spans("server")
    assert len(servers) == requests, len(servers)
    joined = 0
    for s in servers:
        kind, _ = s["attributes"]["url.path"].strip("/").split("/")
        if int(kind) in OWNERS:
            assert s["parent_span_id"] == wire.OWN.split("-")[2], s
            continue
        client = clients.get((s["trace_id"], s["parent_span_id"]))
        if client:
            assert urlsplit(client["attributes"]["url.full"]).path == s["attributes"]["url.path"], (s, client)
            assert s["attributes"]["earshot.parent.source"] == "header", s
            joined += 1
        else:  # no room beside a long URL
            assert int(kind) == 6 and not s["parent_span_id"], s
    assert joined > 0.7 * requests, joined
    return f"{joined} of {requests} joined by their headers"


def _orders(build):
    """Three services, each under an Earshot of its own that knows of no other: their orders are traces all the same."""
    need_earshot()
    with Trio(build, GOGC=5) as trio:
        earshots = [_attach(pid, "--propagate") for pid in trio.pids]
        trio.order(0)  # connections are made
        numbers = Orders(trio, 8, count=100).join()
        spans, written = [], 0
        for e in earshots:
            e.wait_spans(1, kind="server")
        time.sleep(1)
        for e in earshots:
            _, summary = e.finish()
            written += summary["propagated"]["written"]
            assert summary["losses"]["sampling_disagrees"] == 0, summary
            spans += [o for o in e.objects() if "trace_id" in o]
    traces = Traces(spans)
    for problem in (*traces.wrong(), *traces.doubled(), *traces.lost(numbers)):
        raise AssertionError(problem)
    sources = collections.Counter(s["attributes"]["earshot.parent.source"]
                                  for n in numbers for s in traces.of_trace[traces.roots[n]["trace_id"]]
                                  if s["kind"] == "server" and word_of(s) != "server orders")
    assert set(sources) == {"header"}, sources
    return f"{len(numbers)} orders by {written} headers"


# ---- tracestate ----

_HALF = ["k" * 200 + "=" + "v" * 54, "rojo=" + "w" * 251]
# What comes in with request n, and what of it goes on; None: no such header.
STATES = [
    (None, None),
    ("rojo={n}", "rojo={n}"),
    ("congo=t{n}, rojo=1", "congo=t{n}, rojo=1"),
    ("{n}@x=" + "z" * 240, "{n}@x=" + "z" * 240),
    (",".join(_HALF), ",".join(_HALF)),          # 512 bytes
    (",".join(_HALF) + "w", None),               # more
    ("Rojo={n}", None),                          # no list
    ("rojo={n},congo=\xe9", None),
    ("a=" + "b" * 99 + "," + "c=" + "d" * 99, "a=" + "b" * 99 + "," + "c=" + "d" * 99),
    ("", None),
]
PLAIN, ANOTHER, OWN_STATE, LONG_URL = range(4)  # tests/go/relay


def _state(n):
    return tuple(s and s.format(n=n) for s in STATES[n // 4 % len(STATES)])


def _trace_of(n):
    return f"{n + 1:032x}"


def _asked(port, numbers):
    """Asks for those requests, one after the other on one connection."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for n in numbers:
        headers = {"traceparent": f"00-{_trace_of(n)}-00f067aa0ba902b7-01"}
        came = _state(n)[0]
        if came is not None:
            headers["tracestate"] = came.encode("latin-1")
        c.request("GET", f"/{n % 4}/{n}", headers=headers)
        answer = c.getresponse()
        body = answer.read()
        assert answer.status == 200, (n, answer.status, body)
    c.close()


def _ask_all(port, requests, parallel=8):
    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        for done in [pool.submit(_asked, port, range(k, requests, parallel)) for k in range(parallel)]:
            done.result()


def _states_of(seen):
    return [v for k, v in seen.rest if k.lower() == "tracestate"]


def _check_states(kind, seen, counted):
    """Each request has its own trace, and the tracestate that came in with that one: as it was, or none."""
    states = collections.Counter()
    for s in seen:
        went = _state(s.number)[1]
        too_long = (_state(s.number)[0] or "").endswith("ww") and went is None
        if kind.startswith("grpc") and s.kind == OWN_STATE:  # stays as it is
            assert not s.traceparents and _states_of(s) == ["own=1"], s
            continue
        if kind == "grpc0" and not s.traceparents:  # no room
            assert not _states_of(s), s
            continue
        assert len(s.traceparents) == 1 and s.traceparents[0].split("-")[1] == _trace_of(s.number), s
        if s.kind == OWN_STATE:
            assert _states_of(s) == ["own=1"], s
            states["present"] += went is not None or too_long
        elif too_long:
            assert not _states_of(s), s
            states["too_long"] += 1
        elif went is None:
            assert not _states_of(s), s
        elif _states_of(s) == [went]:
            states["written"] += 1
        else:
            assert not _states_of(s) and (kind == "grpc0" or s.kind == LONG_URL), s
            states["no_room"] += 1
    assert states == collections.Counter({k: v for k, v in counted.items() if v}), (states, counted)
    assert states["written"] > len(seen) / (20 if kind == "grpc0" else 4), states
    return states


def _tracestate(program, kind):
    """What came in goes on with the traceparent, and nothing else does."""
    return check_states(program, kind, scaled(800, 400, "PROPAGATE"))


def check_states(program, kind, requests, path=None, prefix=()):
    """As _tracestate; path: of a relay that is woven; prefix: without privileges."""
    _need_parsers()
    server = _server("grpc" if kind == "grpc0" else kind)
    with Relay(program, kind, f"127.0.0.1:{server.port}", path=path, prefix=prefix) as relay:
        with _attach(relay.pid, "--propagate", prefix=prefix) as e:
            _ask_all(relay.port, requests)
            _, summary = e.finish()
    server.close()
    assert summary["losses"]["marks_full"] == 0, summary
    states = _check_states(kind, _seen_by(server, requests), summary["propagated_tracestate"])
    return f"{dict(states)} of {requests}"


# In the machine: each relay is asked what it is to ask of a server here.
ASK = """
trace() {{ printf "00-%032x-00f067aa0ba902b7-01" $(($1 + 1)); }}
for kind in h1 grpc; do
	[ $kind = h1 ] && port={h1} || port={grpc}
	mkfifo input-$kind
	earshot run --propagate -o json -- ./relay $kind {host}:$port <input-$kind >/out/$kind 2>/out/said-$kind &
	exec 3>input-$kind
	until there=$(grep -m1 '^[0-9]*$' /out/$kind); do sleep 0.1; done
	for n in $(seq 0 $(({requests} - 1))); do
		state=$(sed -n "$((n / 4 % {states} + 1))p" states | sed "s/{{n}}/$n/")
		wget -q -O /dev/null --header "traceparent: $(trace $n)" --header "tracestate: $state" http://127.0.0.1:$there/$((n % 4))/$n || exit 1
	done
	exec 3>&-
	wait $!
done
"""


def _tracestate_in_vm(program):
    """As _tracestate, by uprobes of a kernel that lets them write."""
    _need_parsers()
    vm.need_vm()
    requests = 4 * len(STATES)
    servers = {kind: _server(kind) for kind in ("h1", "grpc")}
    ports = {kind: s.port for kind, s in servers.items()}
    states = "".join((s[0] or "") + "\n" for s in STATES)
    script = ASK.format(host=vm.HOST, requests=requests, states=len(STATES), **ports)
    done = vm.run(script, {"relay": BIN / f"relay-go{program}", "states": states}, 120, network=True)
    assert done.code == 0, done.describe()
    told = []
    for kind, server in servers.items():
        server.close()
        summary = next(o["summary"] for o in json_lines(done.files[kind]) if "summary" in o)
        told.append(dict(_check_states(kind, _seen_by(server, requests), summary["propagated_tracestate"])))
    return str(told)


def _tracestate_chain(program):
    """In by HTTP/1, on by gRPC, and by HTTP/1 again: through two programs, each under an Earshot of its own."""
    _need_parsers()
    requests = 200
    server = _server("h1")
    with Relay(program, "grpc", "h1", f"127.0.0.1:{server.port}") as behind:
        with Relay(program, "grpc", f"127.0.0.1:{behind.port}") as front:
            with _attach(behind.pid, "--propagate") as last, _attach(front.pid, "--propagate") as first:
                _ask_all(front.port, requests, 4)
                last.finish()
                first.finish()
    server.close()
    through = 0
    for s in _seen_by(server, requests):
        if s.kind in (PLAIN, ANOTHER):
            assert [t.split("-")[1] for t in s.traceparents] == [_trace_of(s.number)], s
            assert _states_of(s) == [t for t in _state(s.number)[1:] if t], s
            through += bool(_states_of(s))
    assert through == requests / 4, through
    return f"{through} tracestates came through both"


def _meanwhile(kind):
    """Earshots come and go while requests are under way."""
    _need_parsers()
    requests = scaled(8000 if kind == "h1" else 3000, 2000, "PROPAGATE_MEANWHILE")
    server = _server(kind)
    written = cycles = 0
    with Sender(f"{NEW}-sw", kind, f"127.0.0.1:{server.port}", requests, PARALLEL) as sender:
        sender.go()
        while len(server.seen) < requests * 0.9 and cycles < 40:
            with _attach(sender.pid, "--propagate") as e:
                want = len(server.seen) + requests // 20
                until("requests arrive", lambda: len(server.seen) >= min(want, requests), 30)
                _, summary = e.finish()
            written += summary["propagated"]["written"]
            cycles += 1
        told = sender.told()
    server.close()
    assert not server.errors and not told["failed"], (server.errors[:3], told, sender.err())
    assert len(server.seen) == requests
    classes, ours = _classes(server.seen)
    assert sum(classes[k]["own"] for k in OWNERS) == requests // 5
    assert len(ours) == written, f"{len(ours)} arrived, and {written} were written"
    return f"{len(ours)} of {requests} while {cycles} Earshots came and went"


def _found():
    """What writes is found in each build: nothing is refused, and without the option it is not asked for."""
    need_earshot(root=False)
    points = 0
    for program in (f"{NEW}-plain", f"{NEW}-sw", f"{OLD}-plain", f"{OLD}-sw"):
        path = BIN / f"sender-go{program}"
        if not path.exists():
            raise Skip(f"{path.name} was not built")
        for options in ((), ("--propagate", "--planter", "patch")):
            with Earshot("inspect", *options, path) as e:
                assert e.wait(30) == 0, e.err()
                rows = [line.split() for line in e.out().splitlines()]
            rows = [r for r in rows if len(r) > 2 and r[1] in ("arm", "inject")]
            assert bool(rows) == bool(options), (program, options)
            assert not [r for r in rows if r[2].startswith("refused")], (program, rows)
            points += sum(not r[2].startswith("absent") for r in rows)
    return f"{points} points"


def tests():
    yield Test("found", _found)
    for program, kind in ((f"{NEW}-sw", "h1"), (f"{NEW}-plain", "h2"), (f"{NEW}-sw", "grpc"),
                          (f"{OLD}-plain", "h1"), (f"{OLD}-sw", "h2"), (f"{OLD}-plain", "x"), (f"{OLD}-sw", "grpc")):
        yield patched(Test(f"{kind}-{program}", lambda p=program, k=kind: _check(p, k), 120 * LONG))
    yield patched(Test("joined", _joined))
    yield patched(Test("left-out", _left_out))
    for kind in ("h2", "grpc"):
        yield patched(Test(f"limited-{kind}", lambda k=kind: _limited(k)))
    for build in (f"go{NEW}-plain", f"go{OLD}-sw"):
        yield patched(Test(f"orders-{build}", lambda b=build: _orders(b)))
    for program, kind in ((f"{NEW}-sw", "h1"), (f"{NEW}-sw", "h2"), (f"{NEW}-sw", "grpc"), (f"{NEW}-sw", "grpc0"),
                          (f"{OLD}-plain", "h1"), (f"{OLD}-plain", "x"), (f"{OLD}-plain", "grpc")):
        yield patched(Test(f"tracestate-{kind}-{program}", lambda p=program, k=kind: _tracestate(p, k), 120 * LONG))
    yield patched(Test(f"tracestate-chain-{NEW}-sw", lambda: _tracestate_chain(f"{NEW}-sw")))
    yield Test("refused", _refused)
    for program, kind in ((f"{NEW}-sw", "h1"), (f"{NEW}-plain", "h2"), (f"{NEW}-sw", "grpc")):
        yield Test(f"uprobe-{kind}-{program}", lambda p=program, k=kind: _check_in_vm(p, k), 240 * LONG)
    if LONG > 1:
        yield Test(f"uprobe-tracestate-{NEW}-sw", lambda: _tracestate_in_vm(f"{NEW}-sw"), 300)
        for kind in ("h1", "h2", "grpc"):
            yield Test(f"uprobe-meanwhile-{kind}", lambda k=kind: _meanwhile_in_vm(k, 20000, 4), 900)
    for kind in ("h1", "h2", "grpc"):
        yield patched(Test(f"meanwhile-{kind}", lambda k=kind: _meanwhile(k), 120 * LONG))
