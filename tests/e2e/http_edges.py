"""Requests that a plain server never sees (go/edges): routes behind copies of the request, upgrades, Unix sockets,
secrets in queries, and what net/http answers itself. Each of these gives exactly the spans that are named here."""

import http.client
import re
import socket
import ssl
import struct
import subprocess

from cases import ABSENT, OneOf
from earshot import and_patched, attach, losses, need_earshot
from proc import BIN, EARSHOT, Process, Skip, json_lines, scratch, until
from spans import mismatches
from target import MINORS
from testing import Test

SECONDS = 10


class Edges:
    """The server, and raw connections to it."""

    def __init__(self, minor):
        path = BIN / f"edges-go{minor}-sw"
        if not path.exists():
            raise Skip(f"{path.name} was not built")
        self.socket = scratch() / "edges.sock"
        self.process = Process([path, self.socket], stdin=subprocess.PIPE)
        self.where = until("the server listens", lambda: next(json_lines(self.process.out()), None), 60)
        self.pid = self.where["pid"]
        self.go = tuple(int(n) for n in re.findall(r"\d+", self.where["go"])[:2])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()

    def exchange(self, text, listener="http", half_close=False, name=None):
        """All that the server answers to these bytes, and the local port."""
        if listener == "unix":
            c = socket.socket(socket.AF_UNIX)
            if name:
                c.bind(name)
            c.settimeout(SECONDS)
            c.connect(str(self.socket))
        else:
            c = socket.create_connection(("127.0.0.1", self.where[listener]), SECONDS)
        with c:
            port = c.getsockname()[1] if listener != "unix" else None
            if listener == "https" and not text.startswith(b"GET /clear"):
                context = ssl._create_unverified_context()  # the server made its certificate itself
                c = context.wrap_socket(c)
            answer = b""
            try:
                c.sendall(text)
                if half_close:
                    c.shutdown(socket.SHUT_WR)
                while part := c.recv(65536):
                    answer += part
            except ConnectionResetError:
                pass  # of what was too large, a part was never read
            return answer, port


def _request(path, agent, method="GET", version="1.1", extra=""):
    return (f"{method} {path} HTTP/{version}\r\nHost: edges.test\r\nUser-Agent: {agent}\r\n{extra}"
            "Connection: close\r\n\r\n").encode()


def _observe(minor, exchanges, want, options=(), bad_headers=0):
    """Runs the exchanges and compares: want maps a User-Agent, or a client's port, to a span; bad_headers is what is to
    be counted of headers that name no parent, though they should."""
    need_earshot()
    with Edges(minor) as edges, attach(edges.pid, options=options, observe=[edges.where["http"]]) as earshot:
        expected = exchanges(edges, want)
        earshot.wait_spans(len(expected))
        spans, summary = earshot.finish()
    wrong, found = [], {}
    for span in spans:
        a = span["attributes"]
        found.setdefault(a.get("user_agent.original", a.get("client.port")), []).append(span)
    for who, span in expected.items():
        got = found.pop(who, [])
        if len(got) != 1:
            wrong.append(f"{who}: {len(got)} spans instead of 1")
        wrong += [f"{who}: {m}" for s in got[:1] for m in mismatches(span, s)]
    wrong += [f"nobody asked for {s}" for s in found.values()]
    lost = {k: n for k, n in losses(summary).items() if n and k != "unpaired_end"}
    if lost.pop("bad_header", 0) != bad_headers:
        wrong.append(f"not {bad_headers} bad headers: {losses(summary)}")
    assert not wrong and not lost, f"{len(wrong)} differences, lost {lost}:\n  " + "\n  ".join(wrong[:12])
    return f"{len(expected)} spans"


# ---- routes ----

def _route_cases(go):
    """(path, route): of ServeMux since Go 1.22, and of the one before."""
    new = go >= (1, 22)
    for kind in ("direct", "context", "clone", "wrapped", "context/inner", "limited", "limited/wrapped"):
        yield f"/{kind}/x", f"/{kind}/{{name}}" if new else f"/{kind}/"
        yield f"/{kind}/typed/x", f"/{kind}/typed/{{name}}" if new else f"/{kind}/typed/"
        yield f"/{kind}/collected", f"/{kind}/collected"
    yield "/direct/%E2%82%AC%20x", "/direct/{name}" if new else "/direct/"
    yield "/context/strip/inner/x", "/context/strip/inner/{name}" if new else "/context/strip/inner/"
    yield "/context/strip/other", "/context/strip/"
    yield "/nowhere", ABSENT
    # A ServeMux that matched says the route, also when one within finds nothing.
    yield "/context/inner/no/such/thing", "/context/inner/"
    yield "/context/inner/", "/context/inner/"


def _routes(minor, listener):
    def exchanges(edges, want):
        for path, route in _route_cases(edges.go):
            edges.exchange(_request(path, f"{listener}.{path}"), listener)
            want[f"{listener}.{path}"] = {"name": "GET" if route is ABSENT else f"GET {route}",
                                          "attributes": {"http.route": route}}
        edges.exchange(_request("/limited/late", "late"), listener)
        want["late"] = {"attributes": {"http.response.status_code": 503, "http.route": OneOf(
            "/limited/late", "/limited/{name}" if edges.go >= (1, 22) else "/limited/")}}
        return want
    return _observe(minor, exchanges, {})


def _routes_h2(minor):
    def exchanges(edges, want):
        for path, route in _route_cases(edges.go):
            _curl(edges, path, "-A", f"h2.{path}")
            want[f"h2.{path}"] = {"attributes": {"http.route": route, "network.protocol.version": "2"}}
        return want
    return _observe(minor, exchanges, {})


def _curl(edges, path, *options):
    done = subprocess.run(["curl", "-ksS", "--http2", "-m", str(SECONDS), "-o", "/dev/null", "-w", "%{http_code}",
                           *options, f"https://127.0.0.1:{edges.where['https']}{path}"],
                          capture_output=True, text=True, check=False)
    return done.stdout


# ---- upgrades ----

UPGRADE = "Upgrade: echo\r\nConnection: Upgrade\r\n"


def _upgrades(minor):
    """The status of a connection that is taken over, wherever net/http knows it."""
    def exchanges(edges, want):
        switching = 101 if edges.go >= (1, 20) else ABSENT  # Go 1.19 takes WriteHeader(101) for an early hint
        for path, line, statuses in (
                ("/upgrade/switching", b"101", (switching,)),
                ("/upgrade/raw", b"101", (ABSENT,)),
                ("/upgrade/forbidden", b"403", (403,)),
                ("/proxied/upgrade/switching", b"101", (101, switching)),
                ("/proxied/upgrade/raw", b"101", (101, ABSENT))):
            answer, _ = edges.exchange(
                f"GET {path} HTTP/1.1\r\nHost: edges.test\r\nUser-Agent: {path}\r\n{UPGRADE}\r\n".encode())
            assert answer.split(b" ")[1:2] == [line], f"{path}: {answer}"
            for behind, status in zip(("", ".behind"), statuses):
                want[path + behind] = {"status": "unset", "attributes": {"http.response.status_code": status}}
        # A server that switches to something else than was asked for is no upgrade: ReverseProxy says 502.
        path = "/proxied/upgrade/switching"
        edges.exchange(f"GET {path} HTTP/1.1\r\nHost: edges.test\r\nUser-Agent: other\r\n"
                       "Upgrade: other\r\nConnection: Upgrade, close\r\n\r\n".encode())
        want["other"] = {"attributes": {"http.response.status_code": 502}}
        want["other.behind"] = {"attributes": {"http.response.status_code": switching}}
        return want
    return _observe(minor, exchanges, {})


# ---- what net/http answers itself ----

def _refused_cases(go):
    """(what, bytes, status, more): more says whether the client's end closes, and which listener."""
    host = b"Host: edges.test\r\n"
    yield "no host", b"GET / HTTP/1.1\r\n\r\n", 400, {}
    yield "request line", b"nonsense\r\n\r\n", 400, {}
    yield "path", b"GET /%zz HTTP/1.1\r\n" + host + b"\r\n", 400, {}
    yield "header", b"GET / HTTP/1.1\r\n" + host + b"no colon\r\n\r\n", 400, {}
    yield "length", b"POST / HTTP/1.1\r\n" + host + b"Content-Length: ten\r\n\r\n", 400, {}
    yield "version", b"GET / HTTP/3.0\r\n" + host + b"\r\n", 505, {}
    yield "too large", b"GET / HTTP/1.1\r\n" + host + b"X: " + b"x" * 20000 + b"\r\n\r\n", 431, {}
    yield "cut", b"GET / HTTP/1.1\r\nHost:", 400, {"half_close": True}
    if go >= (1, 23):  # before, no function is called that would tell
        yield "clear text", b"GET /clear HTTP/1.1\r\n" + host + b"\r\n", 400, {"listener": "https"}
    yield "no host over TLS", b"GET / HTTP/1.1\r\n\r\n", 400, {"listener": "https"}


def _refused(minor):
    def exchanges(edges, want):
        for what, text, status, more in _refused_cases(edges.go):
            answer, port = edges.exchange(text, **more)
            assert answer.split(b" ")[1:2] == [str(status).encode()], f"{what}: {answer[:200]}"
            want[port] = {"name": "HTTP", "kind": "server", "status": "error" if status >= 500 else "unset",
                          "attributes": {"http.response.status_code": status, "client.address": "127.0.0.1",
                                         "http.request.method": ABSENT, "url.path": ABSENT,
                                         "error.type": str(status) if status >= 500 else ABSENT}}
        # Connections that end without a request are none.
        edges.exchange(b"", half_close=True)
        answer, _ = edges.exchange(_request("/direct/x?sig=1&q=2", "expecting", "POST",
                                            extra="Expect: miracles\r\nContent-Length: 3\r\n"))
        assert answer.startswith(b"HTTP/1.1 417"), answer
        want["expecting"] = {"name": "POST", "attributes": {
            "http.request.method": "POST", "http.response.status_code": 417, "url.path": "/direct/x",
            "url.query": "sig=REDACTED&q=2", "client.address": "127.0.0.1", "http.request.body.size": 3,
            "server.address": "edges.test", "network.protocol.version": "1.1", "url.scheme": "http"}}
        return want
    return _observe(minor, exchanges, {})


def _integer(n, first=0):
    """HPACK's integer with a prefix of 7 bits."""
    if n < 127:
        return bytes((first | n,))
    n -= 127
    rest = b""
    while n >= 128:
        rest += bytes((n % 128 | 128,))
        n //= 128
    return bytes((first | 127,)) + rest + bytes((n,))


def _h2(edges, headers):
    """One request over HTTP/2 with exactly these headers, none of them compressed; waits for the stream's end."""
    context = ssl._create_unverified_context()
    context.set_alpn_protocols(["h2"])
    block = b"".join(b"\0" + _integer(len(k)) + k.encode() + _integer(len(v)) + v.encode() for k, v in headers)

    def frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload

    with socket.create_connection(("127.0.0.1", edges.where["https"]), SECONDS) as plain, \
            context.wrap_socket(plain) as c:
        c.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 5, 1, block))
        got = b""
        while True:
            while len(got) < 9 or len(got) < 9 + int.from_bytes(got[:3], "big"):
                part = c.recv(65536)
                if not part:
                    return
                got += part
            size, kind, flags, stream = int.from_bytes(got[:3], "big"), got[3], got[4], got[5:9]
            got = got[9 + size:]
            if kind in (3, 7) or (kind in (0, 1) and flags & 1 and stream[-1] == 1):
                return


def _refused_h2(minor):
    def exchanges(edges, want):
        for status, more in (("431", [(f"x-{i}", "x" * 1000) for i in range(6)]), ("400", [("te", "gzip")])):
            _h2(edges, [(":method", "GET"), (":scheme", "https"), (":authority", "edges.test"),
                        (":path", f"/direct/{status}?sig=1"), ("user-agent", status), *more])
            want[status] = {"attributes": {
                "http.request.method": "GET", "http.response.status_code": int(status),
                "http.route": ABSENT, "url.path": f"/direct/{status}", "url.query": "sig=REDACTED", "url.scheme": "https",
                "network.protocol.version": "2", "server.address": "edges.test", "client.address": "127.0.0.1"}}
        return want
    return _observe(minor, exchanges, {})


# ---- addresses and queries ----

def _unix(minor):
    """A Unix socket's name is the client's address; most have none."""
    def exchanges(edges, want):
        name = str(scratch() / "client:80")
        for agent, address, bound in (("unnamed", ABSENT, None), ("named", name, name)):
            edges.exchange(_request("/direct/x", agent), "unix", name=bound)
            want[agent] = {"attributes": {"client.address": address, "client.port": ABSENT,
                                          "server.address": "edges.test"}}
        _, _ = edges.exchange(b"nonsense\r\n\r\n", "unix")
        want[None] = {"attributes": {"client.address": ABSENT, "http.response.status_code": 400}}
        return want
    return _observe(minor, exchanges, {})


QUERIES = (  # as it is sent; by default; with --redact q,token
    ("a=1&sig=x&b=2", "a=1&sig=REDACTED&b=2", None),
    ("AWSAccessKeyId=A&Signature=S&X-Goog-Signature=G", "AWSAccessKeyId=REDACTED&Signature=REDACTED&X-Goog-Signature=REDACTED",
     None),
    ("SIG=x&signature=y&sigs=z", None, None),
    ("%73ig=x&s%69%67=y&X%2DGoog%2dSignature=z", "%73ig=REDACTED&s%69%67=REDACTED&X%2DGoog%2dSignature=REDACTED", None),
    ("sig=x=y;z&sig=&sig", "sig=REDACTED&sig=REDACTED&sig", None),
    ("a=1;sig=x;y&b=2", "a=1;sig=REDACTED&b=2", None),
    ("q=1&token=2&tok%65n=3&sig=4", "q=1&token=2&tok%65n=3&sig=REDACTED",
     "q=REDACTED&token=REDACTED&tok%65n=REDACTED&sig=4"),
    ("a=%20b&c=sig=d", None, None),
)


def _queries(minor, names, column):
    def exchanges(edges, want):
        for i, query in enumerate(QUERIES):
            edges.exchange(_request("/direct/x?" + query[0], f"query.{i}"))
            want[f"query.{i}"] = {"attributes": {"url.query": query[0] if column is None else query[column] or query[0]}}
        return want
    return _observe(minor, exchanges, {}, () if names is None else ("--redact", names))


# ---- the trace that a request belongs to ----

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def _trace_context(minor):
    """A valid traceparent is the parent, with the tracestate beside it; what is invalid is counted, and as if it were not
    there."""
    def exchanges(edges, want):
        valid = f"traceparent: 00-{TRACE}-{PARENT}-01\r\n"
        full = ",".join(f"k{i:02}={'v' * 20}" for i in range(32))  # 24 bytes a member, 20 of which are kept
        for agent, headers, state in (
                ("alone", valid, ABSENT),
                ("with", valid + "tracestate: rojo=1 , congo@x=t 61\r\n", "rojo=1,congo@x=t 61"),
                ("wrong", valid + "tracestate: Rojo=1\r\n", ABSENT),
                ("long", valid + f"Tracestate: {full}\r\n", full[:499])):
            edges.exchange(_request("/direct/x", agent, extra=headers))
            want[agent] = {"trace_id": TRACE, "parent_span_id": PARENT, "trace_state": state}
        for agent, headers in (("state", ""), ("broken", f"traceparent: 00-{TRACE}-{PARENT}-0\r\n")):
            edges.exchange(_request("/direct/x", agent, extra=headers + "tracestate: rojo=1\r\n"))
            want[agent] = {"parent_span_id": "", "trace_state": ABSENT}
        return want
    return _observe(minor, exchanges, {}, bad_headers=1)


# ---- requests that are handed to other goroutines ----

def _handed_over(minor, at_once):
    """A ServeMux on a goroutine of the request's own says its route; one of a pool may say none, but never another's."""
    need_earshot()
    path = BIN / f"handover-go{minor}"
    if not path.exists():
        raise Skip(f"{path.name} was not built")
    each, process = 240 // at_once, None
    try:
        process = Process([path, str(each), str(at_once)], stdin=subprocess.PIPE)
        until("the servers listen", lambda: process.out().count("\n") == 2, 20)
        ports = [int(line.rpartition(":")[2]) for line in process.out().splitlines()]
        with attach(process.pid) as earshot:
            until("the program is observed", lambda: earshot.check_alive() and "observing " in earshot.err(), 30)
            process.popen.stdin.write(b"\n")
            process.popen.stdin.flush()
            until("all is asked", lambda: process.out().endswith("done\n"), 40)
            earshot.wait_spans(each * at_once)
            spans, summary = earshot.finish()
    finally:
        process and process.kill()
    assert not any(losses(summary).values()), summary
    routes = {port: [(s["attributes"].get("http.route"), s["attributes"]["url.path"][:-1]) for s in spans
                     if int(s["attributes"]["server.port"]) == port] for port in ports}
    assert [len(routes[p]) for p in ports] == [each * at_once // 2] * 2, routes
    wrong = [r for some in routes.values() for r in some if r[0] not in (r[1], None)]
    known = sum(route is not None for route, _ in routes[ports[0]])
    # Which of a goroutine that moved on to another thread's batch was created when may be unknown, now and then.
    assert not wrong and known > len(routes[ports[0]]) * 0.9, f"{wrong}, {known} known"
    return f"{known} of {len(routes[ports[0]])}"


# ---- a ServeMux that is asked directly ----

PLAIN = [("/", "GET"), ("/items/7", "GET"), ("/items/7", "POST"), ("/items/7?x=1", "HEAD"), ("/items/a%2Fb", "GET"),
         ("/tree", "GET"), ("/tree/", "GET"), ("/tree/deep/er", "GET"), ("/tree?q=2", "POST"), ("/host/a", "GET"),
         ("/host/a/b", "GET"), ("//items//5", "GET"), ("/tree/../items/6", "GET"), ("/api", "GET"), ("/api/", "GET"),
         ("/api/v1/x", "GET"), ("/api/v1/x/", "GET"), ("/nothing", "GET"), ("/copied/x", "GET"), ("*", "OPTIONS"),
         ("/panic/early", "GET"), ("/tree/", "CONNECT"), ("/items/8", "CONNECT")]


def _ask(connection, method, path, agent):
    """Whether the connection can be used again."""
    host = "named.test" if path == "/items/7" else "plain.test"
    try:
        connection.request(method, path, headers={"Host": host, "User-Agent": agent})
        connection.getresponse().read()
    except (http.client.HTTPException, ConnectionError):
        return False
    return True


def _plain_mux_spans(name, options):
    """{agent: what its span says}, of each request on a connection of its own, on one with others, and over HTTP/2."""
    if not (BIN / name).exists():
        raise Skip(f"{name} was not built")
    process = Process([BIN / name], stdin=subprocess.PIPE)
    try:
        port = until("the server listens", lambda: next(json_lines(process.out()), None), 20)["http"]
        with attach(process.pid, options=options, observe=[port]) as earshot:
            agents = []
            for kept in (False, True):
                connection = None
                for path, method in PLAIN:
                    agents.append(f"{method}-{path.replace('/', ':')}-{kept}")
                    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
                    if not _ask(connection, method, path, agents[-1]) or not kept or method == "CONNECT":
                        connection.close()
                        connection = None
            for path, method in PLAIN:
                if method == "GET" and "panic" not in path and not path.startswith("//"):
                    agents.append(f"h2-{path.replace('/', ':')}")
                    process.popen.stdin.write(f"{path} {agents[-1]}\n".encode())
                    process.popen.stdin.flush()
                    until(f"{agents[-1]} is asked", lambda: f"asked {agents[-1]}\n" in process.out(), SECONDS)
            earshot.wait_spans(len(agents))
            spans, summary = earshot.finish()
    finally:
        process.kill()
    assert not any(losses(summary).values()), summary
    told = {}
    for span in spans:
        attributes = {k: v for k, v in span["attributes"].items() if not k.endswith(".port")}
        told.setdefault(attributes.get("user_agent.original"), []).append((span["name"], span["status"], attributes))
    assert sorted(told) == sorted(agents) and all(len(t) == 1 for t in told.values()), sorted(told)
    return told


def _inspected(name):
    return subprocess.run([EARSHOT, "inspect", BIN / name], check=True, capture_output=True, text=True).stdout


def _plain_mux(minor):
    """Where no request is copied there is no probe on the ServeMux's matching, and each span says what it says with it."""
    need_earshot()
    plain, copies = f"plainmux-go{minor}", f"plainmux-go{minor}-copies"
    without, with_it = _plain_mux_spans(plain, ()), _plain_mux_spans(copies, ())
    probed = [re.search(r"request/route +note +net/http.exactMatch", _inspected(name)) for name in (plain, copies)]
    assert not probed[0] and probed[1], probed
    routes = {agent: t[0][2].get("http.route") for agent, t in with_it.items()}
    assert routes["GET-:tree-False"] == "/tree/" and routes["GET-:items:7-True"] == "/items/{id}", routes
    differ = {a: (without[a], with_it[a]) for a in with_it if without[a] != with_it[a]}
    assert not differ, differ
    return f"{len(with_it)} requests alike, {sum(r is not None for r in routes.values())} with a route"


def tests():
    new = MINORS[-1]
    everywhere = []
    for minor in MINORS:
        for listener in ("http", "https", "unix"):
            if listener == "http" or minor in ("1.19", new):
                everywhere.append(Test(f"routes-{listener}-go{minor}", lambda m=minor, l=listener: _routes(m, l)))
        everywhere += [
            Test(f"routes-h2-go{minor}", lambda m=minor: _routes_h2(m)),
            Test(f"upgrades-go{minor}", lambda m=minor: _upgrades(m)),
            Test(f"refused-go{minor}", lambda m=minor: _refused(m)),
            Test(f"refused-h2-go{minor}", lambda m=minor: _refused_h2(m)),
            Test(f"unix-go{minor}", lambda m=minor: _unix(m)),
            Test(f"trace-context-go{minor}", lambda m=minor: _trace_context(m)),
        ]
    for minor in ("1.19", new):
        everywhere += [
            Test(f"query-go{minor}", lambda m=minor: _queries(m, None, 1)),
            Test(f"query-redact-go{minor}", lambda m=minor: _queries(m, "q,token", 2)),
            Test(f"query-redact-none-go{minor}", lambda m=minor: _queries(m, "", None)),
        ]
    everywhere.append(Test(f"plain-mux-go{new}", lambda: _plain_mux(new)))
    for minor in ("1.22", new):
        for n in (1, 8):
            everywhere.append(Test(f"handed-over-{n}-go{minor}", lambda m=minor, n=n: _handed_over(m, n), 60))
    yield from and_patched(everywhere, [t.name for t in everywhere if t.name.endswith(("go1.19", "go1.22", f"go{new}"))])
