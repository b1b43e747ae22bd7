"""The requests of the end-to-end tests and the span each must give.

A case names only what is particular about it; expected() fills in the rest
from the request and from the response the client got. The client's
User-Agent carries the case's id, which is how a span finds its case.
"""

import json
import re
import urllib.parse
from dataclasses import dataclass, field

CUT = 4096  # attribute values are cut to this many bytes


class OneOf:
    """Any of several values (ABSENT may be one) is right."""

    def __init__(self, *values):
        self.values = values

    def accepts(self, value):
        return value in self.values

    def __repr__(self):
        return "one of " + ", ".join(map(repr, self.values))


class Any:
    def accepts(self, _):
        return True

    def __repr__(self):
        return "anything"


class _Absent:
    def __repr__(self):
        return "absent"


ABSENT, ANY = _Absent(), Any()
ALL = ("h1", "tls1", "h2", "h2c", "h2cstd")


@dataclass
class Case:
    id: str
    path: str = "/plain"
    method: str = "GET"
    protos: tuple = ALL
    listener: str = ""          # in place of the one the protocol implies
    request: dict = field(default_factory=dict)   # more keys of the client's script
    route: object = ABSENT
    status: object = None       # of the response; None: what the client got
    size: object = None         # of the response body; None: what the client got
    body: object = 0            # http.request.body.size
    error: object = None        # error.type; implies span status "error"
    more: dict = field(default_factory=dict)      # further attributes
    span: dict = field(default_factory=dict)      # further span fields
    agent: str = ""             # after the id
    also: tuple = ()            # further requests of a raw script, as Cases
    fails: bool = False         # the client is meant to get no response


def routes(new, old):
    """The route since Go 1.22, and the one before."""
    return lambda go: new if go >= (1, 22) else old


H1 = ("h1", "tls1")
H2 = ("h2", "h2c", "h2cstd")
LONG = "x" * 10240

CASES = [
    Case("plain", route="/plain", status=200, size=5),
    Case("implicit-200", "/implicit", route="/implicit", status=200, size=0),
    Case("query", "/plain?a=1&b=%20two&c=%22q%22", route="/plain"),
    Case("query-3k", "/plain?q=" + "y" * 3072, route="/plain"),
    Case("query-10k", "/plain?q=" + LONG, route="/plain"),
    Case("path-10k", "/wide/" + LONG, route="/wide/", size=4),
    Case("path-4096", "/wide/" + "e" * (CUT - 6), route="/wide/"),
    Case("path-4097", "/wide/" + "e" * (CUT - 5), route="/wide/"),
    Case("path-unicode", "/%C3%BCn%C3%AF/%E2%82%AC%20x", route="/ünï/", size=7),
    Case("path-control", "/wide/%01%0A%22%5C", route="/wide/"),
    Case("path-not-utf8", "/wide/%FF%FE", route="/wide/", more={"url.path": ANY}),
    Case("path-unclean", "//plain", route=OneOf("/plain", ABSENT)),
    Case("agent-quotes", route="/plain", agent=' "quoted" back\\slash'),
    Case("agent-long", route="/plain", agent=" " + "u" * 5000),
    Case("head", method="HEAD", route="/plain", status=200, size=0),
    Case("options", method="OPTIONS", route="/plain"),
    Case("patch", "/echo", "PATCH", request={"body": "change"}, route="/echo", size=6, body=6),
    Case("method-purge", method="PURGE", route="/plain"),
    Case("method-propfind", method="PROPFIND", route="/plain"),
    Case("no-content", "/status/204", route="/status/", status=204, size=0),
    Case("not-modified", "/status/304", route="/status/", status=304, size=0),
    Case("status-201", "/status/201", route="/status/", status=201, size=3),
    Case("status-404", "/status/404", route="/status/", status=404, size=3),
    Case("status-418", "/status/418", route="/status/", status=418, size=3),
    Case("status-500", "/status/500", route="/status/", status=500, size=3, error="500"),
    Case("status-503", "/status/503", route="/status/", status=503, size=3, error="503"),
    Case("status-twice", "/status/twice", route="/status/twice", status=201, size=0),
    Case("early-hints", "/status/early", route="/status/early", status=200, size=11),
    Case("wrapped-writer", "/status/wrapped", route="/status/wrapped", status=202, size=7),
    Case("not-found", "/nowhere", status=404, size=19),
    Case("echo", "/echo", "POST", request={"body": "twelve bytes"}, route="/echo", size=12, body=12),
    Case("echo-chunked", "/echo", "POST", request={"body": "unknown length", "chunked": True},
         route="/echo", size=14, body=ABSENT),
    Case("echo-large", "/echo", "POST", request={"body_size": 300000}, route="/echo",
         size=300000, body=300000),
    Case("post-empty", "/sink", "POST", route="/sink", size=1, body=0),
    Case("body-unread", "/ignore", "POST", request={"body": "never read"}, route="/ignore",
         size=7, body=10),
    Case("put", "/sink", "PUT", request={"body": "12345"}, route="/sink", size=1, body=5),
    Case("expect-continue", "/sink", "POST", protos=H1 + ("h2",), route="/sink",
         request={"body_size": 1000, "header": {"Expect": "100-continue"}}, size=4, body=1000),
    Case("big-response", "/big?n=3000000", route="/big", size=3000000),
    Case("chunked", "/chunked", route="/chunked", size=24),
    Case("stream", "/stream", route="/stream", size=40),
    Case("sendfile", "/sendfile", route="/sendfile", size=65536),
    Case("range", "/content", request={"header": {"Range": "bytes=10-109"}}, route="/content",
         status=206, size=100),
    Case("redirect", "/redirect", route="/redirect", status=302),
    # ServeMux's own redirect: what Request.Pattern says differs by version.
    Case("redirect-slash", "/tree", route=OneOf("/tree/", ABSENT)),
    Case("subtree", "/tree/a/b", route="/tree/", size=4),
    Case("slow", "/slow?ms=100", route="/slow", span={"duration_ns": (100e6, 5e9)}),
    Case("hang-up", "/hangup", request={"hang_up_ms": 150}, route="/hangup", fails=True,
         status=OneOf(200, ABSENT), size=OneOf(0, ABSENT),
         span={"status": ANY, "duration_ns": (0, 4.9e9)}, more={"error.type": ANY}),
    Case("timeout-hit", "/timeout/hit?ms=2000", route="/timeout/hit", status=503, size=8, error="503"),
    Case("timeout-ok", "/timeout/ok", route="/timeout/ok", status=200, size=7),
    Case("timeout-panic", "/timeout/panic", route="/timeout/panic", error="string", fails=True,
         status=ABSENT, size=ANY),
    # TimeoutHandler copies the request and serves it on another goroutine.
    Case("timeout-mux", "/limited/inner", route="/limited/inner", size=7),
    Case("nested-mux", "/nested/deep", route="/nested/deep", size=6),
    # StripPrefix copies the request: the path is the outer one, and the route the inner one with what it stripped.
    Case("strip-prefix", "/strip/inner", route="/strip/inner", size=8),
    Case("wildcard", "/items/42", route=routes("/items/{id}", "/items/"), size=7),
    Case("wildcard-head", "/items/42", "HEAD", route=routes("/items/{id}", "/items/"), size=0),
    Case("wildcard-delete", "/items/42", "DELETE", route=routes("/items/{id}", "/items/"),
         status=204, size=0),
    Case("method-pattern", "/items", "POST", route="/items", status=201, size=0),
    Case("method-not-allowed", "/items/42", "PUT", route=routes(ABSENT, "/items/")),
    Case("wildcard-rest", "/files/a/b.txt", route=routes("/files/{rest...}", "/files/"), size=5),
    Case("exact-slash", "/exact/", route=routes("/exact/{$}", "/exact/"), size=5),
    Case("host-pattern", "/hosted/x", request={"host": "example.test"}, size=6,
         route=routes("/hosted/{name}", "/hosted/"),
         more={"server.address": "example.test", "server.port": ANY}),
    Case("host-port", request={"host": "shop.example:8088"}, route="/plain",
         more={"server.address": "shop.example", "server.port": 8088}),
    Case("host-ipv6", request={"host": "[::1]:9090"}, route="/plain",
         more={"server.address": "::1", "server.port": 9090}),
    Case("no-mux", "/anything?x=1", protos=("h1",), listener="bare", size=4),
    Case("spawns", "/spawn", route="/spawn", size=7),
    Case("deep-stack", "/deep", route="/deep", size=4),
    Case("garbage", "/alloc", route="/alloc", size=2),
    Case("panic-before", "/panic/before", route="/panic/before", error="string", fails=True,
         status=ABSENT, size=ANY),
    Case("panic-after", "/panic/after", route="/panic/after", error="string", fails=True,
         status=202, size=ANY),
    Case("panic-abort", "/panic/abort", route="/panic/abort", error="*errors.errorString",
         fails=True, status=ABSENT, size=ANY),
    Case("panic-error", "/panic/error", route="/panic/error", error="*errors.errorString",
         fails=True, status=ABSENT, size=ANY),
    Case("panic-custom", "/panic/custom", route="/panic/custom", error="main.customPanic",
         fails=True, status=ABSENT, size=ANY),
    Case("panic-bounds", "/panic/bounds", route="/panic/bounds", error="runtime.boundsError",
         fails=True, status=ABSENT, size=ANY),
    Case("panic-recovered", "/panic/inner", route="/panic/inner", status=200, size=9),
    Case("goexit", "/goexit", route="/goexit", error=ANY, fails=True, status=ABSENT, size=ANY),
    Case("hijack", "/hijack", protos=H1, route="/hijack", status=ABSENT, size=ANY),
    Case("hijack-refused", "/hijack", protos=H2, route="/hijack", status=501, error="501"),
    Case("after-panics", route="/plain", status=200, size=5),
    Case("traceparent", route="/plain", request={"header": {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
        span={"trace_id": "0af7651916cd43dd8448eb211c80319c", "parent_span_id": "b7ad6b7169203331"}),
    Case("tracestate", route="/plain", request={"header": {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "rojo=1, congo=2"}},
        span={"trace_id": "0af7651916cd43dd8448eb211c80319c", "parent_span_id": "b7ad6b7169203331",
              "trace_state": "rojo=1,congo=2"}),
    Case("traceparent-bad", route="/plain", request={"header": {
        "traceparent": "00-00000000000000000000000000000000-b7ad6b7169203331-01"}}),
    Case("options-star", "*", "OPTIONS", protos=("h1",), status=200, size=0,
         request={"raw": "OPTIONS * HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"}),
    Case("http-1.0", protos=("h1",), route="/plain", status=200, size=5,
         request={"raw": "GET /plain HTTP/1.0\r\nUser-Agent: {agent}\r\n\r\n"},
         more={"network.protocol.version": "1.0", "server.address": ANY, "server.port": ANY}),
    Case("pipelined", protos=("h1",), route="/plain", status=200, size=5, request={"raw":
         "GET /plain HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n\r\n"
         "POST /sink HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}.2\r\nContent-Length: 3\r\n\r\nabc"
         "GET /status/500 HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}.3\r\nConnection: close\r\n\r\n"},
         also=(Case(".2", "/sink", "POST", route="/sink", status=200, size=1, body=3),
               Case(".3", "/status/500", route="/status/", status=500, size=3, error="500"))),
]

LISTENER = {"h1": "http", "tls1": "https", "h2": "https", "h2c": "h2c", "h2cstd": "h2cstd"}
CLIENT = {"h1": "h1", "tls1": "h1", "h2": "h2", "h2c": "h2c", "h2cstd": "h2c"}
KNOWN_METHODS = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}


def plan(httpd, protos=ALL, cases=None):
    """(case, proto, script line) for all that this server can be asked."""
    for proto in protos:
        for case in CASES if cases is None else cases:
            listener = case.listener or LISTENER[proto]
            if proto not in case.protos or not httpd.where.get(listener):
                continue
            yield case, proto, _script(httpd, case, proto, listener)


def agent_of(case, proto):
    return f"{proto}.{case.id}{case.agent}"


def _script(httpd, case, proto, listener):
    host = f"127.0.0.1:{httpd.where[listener]}"
    agent = agent_of(case, proto)
    request = json.loads(json.dumps(case.request))
    if "raw" in request:
        request["raw"] = request["raw"].format(host=host, agent=agent)
    path = "/" if case.path == "*" else case.path
    client = "h1-fresh" if case.fails and proto in H1 else CLIENT[proto]
    request.update(id=f"{proto}.{case.id}", proto=client, method=case.method,
                   url=httpd.base(listener) + path)
    request.setdefault("header", {})["User-Agent"] = agent
    return request


def expected(httpd, case, proto, response, agent):
    """The span, as {"attributes": {...}, field: value}, that this request must give."""
    listener = case.listener or LISTENER[proto]
    path, _, query = case.path.partition("?")
    route = case.route(httpd.go) if callable(case.route) else case.route
    known = case.method in KNOWN_METHODS
    raw = bool(case.request.get("raw")) or not response
    attributes = {
        "http.request.method": case.method if known else "_OTHER",
        "http.request.method_original": ABSENT if known else case.method,
        "url.path": urllib.parse.unquote(path),
        "url.query": query or ABSENT,
        "url.scheme": "https" if listener == "https" else "http",
        "network.protocol.version": "1.1" if proto in H1 else "2",
        "server.address": "127.0.0.1",
        "server.port": httpd.where[listener],
        "client.address": "127.0.0.1",
        "user_agent.original": agent,
        "http.route": route,
        "http.request.body.size": case.body,
        "http.response.status_code": response["status"] if case.status is None and not raw else case.status,
        "http.response.body.size": response["body_bytes"] if case.size is None and not raw else case.size,
        "error.type": ABSENT if case.error is None else case.error,
    }
    if response and response.get("local"):
        attributes["client.port"] = OneOf(int(response["local"].rsplit(":", 1)[1]), ABSENT)
    for key in ("url.path", "url.query", "user_agent.original"):
        _cut(attributes, key)
    attributes.update(case.more)
    span = {
        "kind": "server", "pid": httpd.pid, "name": _names(case.method if known else "HTTP", route),
        "status": "unset" if case.error is None else "error",
        "parent_span_id": "", **case.span,
    }
    span["attributes"] = attributes
    return span


def _cut(attributes, key):
    value = attributes[key]
    length = len(value.encode()) if isinstance(value, str) else 0
    attributes[f"earshot.truncated.{key}"] = length if length > CUT else ABSENT
    if length > CUT:
        attributes[key] = value.encode()[:CUT].decode()


def _names(method, route):
    if route is ANY:
        return ANY
    routes_ = route.values if isinstance(route, OneOf) else (route,)
    return OneOf(*(method if r is ABSENT else f"{method} {r}" for r in routes_))


def expectations(httpd, planned, responses):
    """User-Agent to expected span, for all planned requests."""
    result = {}
    for case, proto, script in planned:
        agent = agent_of(case, proto)
        response = responses.get(script["id"])
        result[agent[:CUT]] = expected(httpd, case, proto, response, agent)
        for other in case.also:
            result[agent + other.id] = expected(httpd, other, proto, None, agent + other.id)
    return result


HEX = {"trace_id": re.compile(r"(?!0+$)[0-9a-f]{32}"), "span_id": re.compile(r"(?!0+$)[0-9a-f]{16}")}
