"""--propagate: what tests/go/sender sends, ten kinds of requests at once and under GOGC=5, is read by servers that share no
code with it (tests/lib/wire.py). Each request arrives as the program made it, with one line or field more, or as it is;
what that says is what Earshot says of the request; and whoever is asked finds its caller by it."""

import collections
import json
import subprocess
import time
from urllib.parse import urlsplit

import wire
from earshot import Earshot, need_earshot, patched
from proc import BIN, Process, Skip, clean_env, scratch, until
from target import MINORS
from testing import Test, scaled
from trio import Orders, Traces, Trio, word_of

OLD, NEW = "1.21", MINORS[-1]
OWNERS = {1, 9}  # kinds that have a header of their own
PARALLEL = 20
LONG = 1 + scaled(0, 0, "PROPAGATE") // 10000  # of make soak-propagate


class Sender(Process):
    """Sends what it is to once go() is called."""

    def __init__(self, program, *args):
        path = BIN / f"sender-go{program}"
        if not path.exists():
            raise Skip(f"{path.name} was not built")
        super().__init__([path, *args], env=clean_env(GOGC=5), stdin=subprocess.PIPE)
        self.first = until("it is ready", lambda: self.out().strip())

    def _line(self):
        self.popen.stdin.write(b"\n")
        self.popen.stdin.flush()

    def go(self):
        self._line()

    def told(self):
        bound = 60 + int(self.argv[3]) / 200
        return json.loads(until("all is sent", lambda: (self.out() + "\n").split("\n", 2)[1], bound))


def _attach(pid, *options, **env):
    e = Earshot("attach", "-p", str(pid), "-o", "json", *options, env=clean_env(**env))
    until("the program is observed", lambda: e.check_alive() and "observing " in e.err(), 30)
    return e


def _need_parsers():
    need_earshot()
    if wire.h2 is None:
        raise Skip("python3-h2 and python3-h11 are not installed")


def _server(kind):
    return wire.Wire("h2" if kind == "x" else kind, scratch())


def _run(program, kind, requests, *options):
    """What the server saw, Earshot's summary and spans."""
    server = _server(kind)
    with Sender(program, kind, f"127.0.0.1:{server.port}", requests, PARALLEL) as sender:
        with _attach(sender.pid, *options) as e:
            sender.go()
            told = sender.told()
            _, summary = e.finish()
            spans = e.spans("client")
    server.close()
    assert not server.errors, server.errors[:3]
    assert told["sent"] == requests and not told["failed"], (told, sender.err())
    assert not told["dumped"], "what is dumped has a header of ours"
    assert len(server.seen) == requests, len(server.seen)
    return server.seen, summary, spans


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
    before, _, _ = _run(program, kind, requests // 4)
    classes, ours = _classes(before)
    assert not ours, "a header without --propagate"
    seen, summary, spans = _run(program, kind, requests, "--propagate")
    classes, ours = _classes(seen)
    each = requests // 10
    for k in range(10):
        want = {"own": each} if k in OWNERS else {"ours": each}
        if k == 6 and kind == "grpc":  # its headers are more than one frame
            want = {"none": each}
        if k == 6 and kind == "h1":  # where the URL fills the buffer
            assert classes[k]["ours"] > each / 2 and sum(classes[k].values()) == each, classes[k]
        elif classes[k] != want:  # the first request of a gRPC connection has no room
            assert kind == "grpc" and classes[k]["none"] <= 2 and sum(classes[k].values()) == each, (k, classes[k])
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
        trio.order(0)  # connections are made: gRPC's first request has no room for the header
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


def tests():
    for program, kind in ((f"{NEW}-sw", "h1"), (f"{NEW}-plain", "h2"), (f"{NEW}-sw", "grpc"),
                          (f"{OLD}-plain", "h1"), (f"{OLD}-sw", "h2"), (f"{OLD}-plain", "x"), (f"{OLD}-sw", "grpc")):
        yield patched(Test(f"{kind}-{program}", lambda p=program, k=kind: _check(p, k), 120 * LONG))
    yield patched(Test("joined", _joined))
    yield patched(Test("left-out", _left_out))
    for build in (f"go{NEW}-plain", f"go{OLD}-sw"):
        yield patched(Test(f"orders-{build}", lambda b=build: _orders(b)))
    for kind in ("h1", "h2", "grpc"):
        yield patched(Test(f"meanwhile-{kind}", lambda k=kind: _meanwhile(k), 120 * LONG))
