"""gRPC servers and clients (go/grpcd), the oldest gRPC that is known and the newest: each call is one span of its client
and one of its server, with exactly these values; what the callers saw is the truth."""

import collections
import subprocess

from earshot import Earshot, losses, need_earshot, patched
from proc import BIN, Process, Skip, json_lines, until
from testing import Test

CODES = ("OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
         "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS "
         "UNAUTHENTICATED").split()
SERVER_ERRORS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
GET, CALL, FLAKY = "test.Shop/Get", "test.Shop/Call", "test.Shop/Flaky"
CHAT, LIST = "test.Shop/Chat", "test.Shop/List"
# Whose deadline is noticed first is not certain: the server's own, or the client's that resets the stream.
TIME_IS_UP = "CANCELLED or DEADLINE_EXCEEDED"

# (sent, received) of the client, of the server: None is 0. A call that is made again has none, its attempts at the server
# do.
MESSAGES = {
    "get": [((1, 1), (1, 1))], "missing": [((1, None), (None, 1))], "broken": [((1, None), (None, 1))], "panic": [((1, None), (None, 1))],
    "unknown": [((1, None), (None, None))], "put": [((5, 1), (1, 5))], "list": [((1, 3), (3, 1))], "short": [((1, 3), (3, 1))],
    "left": [((1, 3), (3, 1))], "chat": [((4, 4), (4, 4))], "check": [((1, 1), (1, 1))], "watch": [((1, 1), (1, 1))],
    "forgotten": [((None, None), (None, None))] * 3,
    "retried": [((None, None), (None, 1)), (None, (None, 1)), (None, (1, 1))],
    "late": [((None, None), None)], "unavailable": [((None, None), None)],
    "many": [((1, 1), (1, 1)), ((None, None), (None, None))] * 100,
}

# What the server has of each, as (method, code); what the client has is what it says.
SERVED = {
    "get": [(GET, "OK")],
    "missing": [(GET, "NOT_FOUND")],
    "broken": [(GET, "UNKNOWN")],
    "panic": [(GET, "INTERNAL")],
    "liar": [(GET, "UNIMPLEMENTED")],
    "unknown": [("test.Shop/Nothing", "UNIMPLEMENTED")],
    "stranger": [("test.Stranger/Get", "UNIMPLEMENTED")],
    "retried": [(FLAKY, "UNAVAILABLE"), (FLAKY, "UNAVAILABLE"), (FLAKY, "OK")],
    "nested": [(CALL, "OK"), (GET, "OK")],
    "background": [(CALL, "OK"), (GET, "OK")],
    "deadline": [(GET, TIME_IS_UP)],
    "cancelled": [(GET, "CANCELLED")],
    "late": [],
    "unavailable": [],
    "put": [("test.Shop/Put", "OK")],
    "list": [(LIST, "OK")],
    "short": [(LIST, "RESOURCE_EXHAUSTED")],
    "left": [(LIST, "CANCELLED")],
    "chat": [(CHAT, "OK")],
    "check": [("grpc.health.v1.Health/Check", "OK")],
    "watch": [("grpc.health.v1.Health/Watch", "CANCELLED")],
    "forgotten": [(CHAT, "CANCELLED")] * 3,
    "traced": [(GET, "OK")],
    "many": [(GET, "OK"), (CHAT, "OK")] * 100,
}
UNRECOGNIZED = ("test.Shop/Nothing", "test.Stranger/Get")
WEB = {"web": "OK", "web-missing": "NOT_FOUND", "web-broken": "UNKNOWN"}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def _port(address):
    return int(address.rsplit(":", 1)[1])


class Pair:
    """A server and its client. build: or a path."""

    def __init__(self, build):
        path = build
        if isinstance(build, str):
            age, form = build.split("-")
            path = BIN / f"grpcd-{dict(old='go1.21', new='go1.27')[age]}-{form}"
        if not path.exists():
            raise Skip(f"{path.name} was not built")
        self.server = Process([path, "serve"], stdin=subprocess.PIPE)
        where = until("the server listens", lambda: next(json_lines(self.server.out()), None), 60)
        self.client = Process([path, "call", where["grpc"], where["http"]], stdin=subprocess.PIPE)
        nowhere = until("the client runs", lambda: next(json_lines(self.client.out()), None), 60)["nowhere"]
        self.port, self.web, self.nowhere = _port(where["grpc"]), _port(where["http"]), _port(nowhere)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.kill()
        self.server.kill()

    def do(self, what):
        """Has the client do that; what its calls came to, as (method, code)."""
        before = self._answers()
        self.client.popen.stdin.write(f"{what}\n".encode())
        self.client.popen.stdin.flush()
        until(f"{what} is done", lambda: len(self._answers()) > len(before), 20)
        answer = self._answers()[-1]
        assert answer["did"] == what, answer
        return [(c["method"], CODES[c["code"]]) for c in answer["calls"]]

    def _answers(self):
        return [o for o in json_lines(self.client.out()) if "did" in o]


def _spans(earshot):
    """All but what was knocked with."""
    return [o for o in earshot.objects() if "trace_id" in o and o["name"] != "test.Shop/Knock"]


def _observe(pair, *options):
    e = Earshot("attach", "-p", str(pair.server.pid), "-p", str(pair.client.pid), "-o", "json", *options)

    def both():
        e.check_alive()
        pair.do("knock")
        return {o["pid"] for o in e.objects() if "trace_id" in o} == {pair.server.pid, pair.client.pid}

    try:
        until("both sides are observed", both, 30, 0.1)
    except BaseException:
        e.kill()
        raise
    return e


def _code(span):
    return span["attributes"].get("rpc.response.status_code")


def _method(span):
    a = span["attributes"]
    return a.get("rpc.method_original", a["rpc.method"])


def _counts(pairs):
    return collections.Counter((m, "CANCELLED" if c in (TIME_IS_UP, "DEADLINE_EXCEEDED") else c) for m, c in pairs)


def _check_counts(who, want, spans):
    got = _counts((_method(s), _code(s)) for s in spans)
    want = _counts(want)
    assert got == want, f"{who}: too many {dict(got - want)}, missing {dict(want - got)}"


def _attributes(span):
    """All but how its parent is known, and its messages (_messages)."""
    a = {k: v for k, v in span["attributes"].items() if not k.startswith("earshot.rpc.messages.")}
    return a, a.pop("earshot.parent.source")


def _messages(span):
    a = span["attributes"]
    return a.get("earshot.rpc.messages.sent"), a.get("earshot.rpc.messages.received")


def _check_client(span, pair):
    a, _ = _attributes(span)
    code = a.pop("rpc.response.status_code")
    method, port = a.pop("rpc.method"), a.pop("server.port")
    assert span["name"] == method and span["pack"] == "grpc", span
    assert (a.pop("rpc.system.name"), a.pop("server.address")) == ("grpc", "127.0.0.1"), span
    assert port in (pair.port, pair.web, pair.nowhere), span
    peer = a.pop("network.peer.address", None), a.pop("network.peer.port", None)
    assert peer == ((None, None) if code == "UNAVAILABLE" else ("127.0.0.1", port)) or code == "DEADLINE_EXCEEDED", span
    assert span["status"] == ("unset" if code == "OK" else "error"), span
    assert a.pop("error.type", "OK") == code and not a, span


def _check_server(span, pair):
    a, _ = _attributes(span)
    code, method, original = a.pop("rpc.response.status_code"), a.pop("rpc.method"), a.pop("rpc.method_original", None)
    assert original in (UNRECOGNIZED if method == "_OTHER" else (None,)), span
    assert span["name"] == ("grpc" if original else method) and span["pack"] == "grpc", span
    assert (a.pop("rpc.system.name"), a.pop("server.address"), a.pop("server.port")) == ("grpc", "127.0.0.1", pair.port), span
    assert a.pop("client.address") == a.pop("network.peer.address") == "127.0.0.1", span
    assert a.pop("client.port") == a.pop("network.peer.port") != pair.port, span
    assert span["status"] == ("error" if code in SERVER_ERRORS else "unset"), span
    assert a.pop("error.type", None) == (code if code in SERVER_ERRORS else None) and not a, span


def _parent(span):
    return span["attributes"]["earshot.parent.source"], span.get("parent_span_id") or None, span["trace_id"]


def _check_parents(pair, clients, servers):
    around = sorted((s for s in servers if s["name"] == CALL), key=lambda s: s["start_unix_ns"])
    below = sorted((c for c in clients if c["pid"] == pair.server.pid), key=lambda s: s["start_unix_ns"])
    assert [_parent(c) for c in below] == [(by, s["span_id"], s["trace_id"])
                                           for by, s in zip(("context", "goroutine"), around)], (below, around)
    # A stream that is open on a goroutine is not what that one's other calls are made for.
    wrong = [c for c in clients if c["pid"] == pair.client.pid and _parent(c)[:2] != ("none", None)]
    assert not wrong, wrong
    traced = [s for s in servers if s["trace_id"] == TRACE]
    assert [(*_parent(s), s["name"], s["trace_state"]) for s in traced] == [
        ("header", PARENT, TRACE, GET, "shop=1")], traced


def _check_connections(clients, servers):
    """A call's two sides are one trace: by the connection and the stream's number, also where the server begins before its
    client is seen to have opened the stream. Further attempts are not joined."""
    by_id, joined = {c["span_id"]: c for c in clients}, []
    for s in servers:
        source, parent, trace = _parent(s)
        if source == "connection":
            joined.append(parent)
            assert (by_id[parent]["name"], by_id[parent]["trace_id"]) == (_method(s), trace), (s, by_id[parent])
        else:
            assert source == "header" or parent is None, s
    assert len(joined) == len(set(joined)), "a client's span is the parent of two"
    assert len(joined) >= len(servers) * 98 // 100, f"{len(joined)} of {len(servers)} joined"
    return len(joined)


def _check_stream(name, clients, servers):
    """From the first to the last: the client's span is around the server's."""
    (client,), (server,) = ([s for s in spans if s["name"] == name] for spans in (clients, servers))
    assert client["start_unix_ns"] <= server["start_unix_ns"], (client, server)
    assert client["start_unix_ns"] + client["duration_ns"] >= server["start_unix_ns"] + server["duration_ns"], (
        client, server)


def calls(build):
    need_earshot()
    said, served = [], []
    with Pair(build) as pair, _observe(pair) as e:
        for what, calls in SERVED.items():
            said += pair.do(what)
            served += calls
        said += [(GET, "OK")] * 2  # the nested ones, by the server
        expected = len(said) + len(served)
        until(f"{expected} spans", lambda: len(_spans(e)) >= expected or not e.alive(), 10)
        summary = e.finish()[1]
        spans = _spans(e)
    clients, servers = ([s for s in spans if s["kind"] == k] for k in ("client", "server"))
    _check_counts("clients", said, clients)
    _check_counts("the server", served, servers)
    for span in clients:
        _check_client(span, pair)
    for span in servers:
        _check_server(span, pair)
    _check_parents(pair, clients, servers)
    _check_stream("test.Shop/Put", clients, servers)
    joined = _check_connections(clients, servers)
    lost = losses(summary)
    lost.pop("unpaired_end")  # while probes are being planted, of a knock only the end may be seen
    assert not any(lost.values()), summary
    return f"{len(clients)} spans of clients, {len(servers)} of the server, {joined} joined"


def _counted(build):
    """Messages on every stream, exactly: by who sends and who receives."""
    need_earshot()
    wrong = []
    with Pair(build) as pair, _observe(pair) as e:
        for what, want in MESSAGES.items():
            seen = len(_spans(e))
            pair.do(what)
            until(f"the spans of {what}", lambda: len(_spans(e)) - seen >= sum(s is not None for w in want for s in w), 10)
            spans = _spans(e)[seen:]
            for kind, i in (("client", 0), ("server", 1)):
                got = collections.Counter(_messages(s) for s in spans if s["kind"] == kind)
                if what == "unknown" and got == {(None, None): 1}:
                    continue  # the server has said no to the call's headers, before its message is sent
                if got != collections.Counter(w[i] for w in want if w[i] is not None):
                    wrong.append(f"{what}: {kind} {dict(got)}")
        e.finish()
    assert not wrong, "\n".join(wrong)


def _web(build):
    """gRPC over net/http's server: one span of it, not two."""
    need_earshot()
    with Pair(build) as pair, _observe(pair) as e:
        said = [call for what in WEB for call in pair.do(what)]
        until("all spans", lambda: len(_spans(e)) >= 2 * len(WEB) or not e.alive(), 10)
        summary = e.finish()[1]
        spans = _spans(e)
    clients, servers = ([s for s in spans if s["kind"] == k] for k in ("client", "server"))
    _check_counts("clients", said, clients)
    assert [_code(s) for s in servers] == list(WEB.values()), servers
    for span in servers:
        a, error = span["attributes"], _code(span) in SERVER_ERRORS
        assert (span["name"], span["pack"], a["url.path"]) == (GET, "net-http", f"/{GET}"), span
        assert (a["rpc.system.name"], a["rpc.method"], a["http.response.status_code"]) == ("grpc", GET, 200), span
        assert span["status"] == ("error" if error else "unset"), span
        assert a.get("error.type") == (_code(span) if error else None), span
    assert not any(losses(summary).values()), summary


def tests():
    for age in ("old", "new"):
        for kind in ("plain", "sw"):
            yield Test(f"calls-{age}-{kind}", lambda b=f"{age}-{kind}": calls(b))
            yield Test(f"messages-{age}-{kind}", lambda b=f"{age}-{kind}": _counted(b))
        yield patched(Test(f"calls-{age}-sw", lambda b=f"{age}-sw": calls(b)))
        yield patched(Test(f"messages-{age}-sw", lambda b=f"{age}-sw": _counted(b)))
        yield Test(f"web-{age}", lambda b=f"{age}-sw": _web(b))
    yield patched(Test("web-new", lambda: _web("new-sw")))
