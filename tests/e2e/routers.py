"""Routes of the routers that there are packs for (go/routers): the same requests to each, directly and behind ServeMux,
with the oldest versions on Go 1.21 and with the newest; the spans of fasthttp and fiber."""

import http.client
import json
import random
import socket
import ssl
import subprocess
import threading

from cases import ABSENT
from earshot import Earshot, and_patched, attach, losses, need_earshot
from proc import BIN, EARSHOT, Process, Skip, json_lines, until
from relay import Relay
from spans import mismatches
from target import MINORS
from testing import Test

SECONDS = 10
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

# (path, route): what follows is a status other than 200.
ROUTES = {
    "servemux": (("/users/7", "/users/"), ("/api/v1/things/3", "/api/v1/things/"), ("/nowhere", "/"),
                 ("/api/v1/nothing", "/api/v1/", 404)),
    "chi": (("/users/7", "/users/{id}"), ("/users/7/orders/9", "/users/{id}/orders/{order:[0-9]+}"),
            ("/users/7/orders/x", ABSENT, 404), ("/files/a/b", "/files/*"), ("/api", "/api"), ("/api/", "/api"),
            ("/api/v1/things/3", "/api/v1/things/{thing}"), ("/api/v1/grouped/3", "/api/v1/grouped/{g}"),
            ("/mounted/acme/bob/x", "/mounted/{tenant}/{name}/x"), ("/std/inner/x", "/std/inner/"),
            ("/panic/now", "/panic/{how}", 500), ("/post", ABSENT, 405), ("/nowhere", ABSENT, 404)),
    "gin": (("/users/7", "/users/:id"), ("/files/a/b", "/files/*path"), ("/api/v1/things/3", "/api/v1/things/:thing"),
            ("/wrapped/3", "/wrapped/:id"), ("/users/7?deny=1", "/users/:id", 401), ("/panic/now", "/panic/:how", 500),
            ("/post", ABSENT, 405), ("/nowhere", ABSENT, 404)),
    "gorilla": (("/users/7", "/users/{id}"), ("/users/7/orders/9", "/users/{id}/orders/{order:[0-9]+}"),
                ("/files/a/b", "/files/"), ("/api/v1/things/3", "/api/v1/things/{thing}"),
                ("/panic/now", "/panic/{how}", 500), ("/post", ABSENT, 405), ("/nowhere", ABSENT, 404)),
    "httprouter": (("/users/users", "/users/:id"), ("/users/7/users/7", "/users/:id/users/:other"),
                   ("/static", "/static"), ("/files/a/b", "/files/*path"), ("/files/", "/files/*path"), ("/wrapped/d", "/wrapped/:id"),
                   ("/panic/now", "/panic/:how", 500), ("/post", ABSENT, 405), ("/nowhere", ABSENT, 404)),
    "echo": (("/users/7", "/users/:id"), ("/files/a/b", "/files/*"), ("/api/v1/things/3", "/api/v1/things/:thing"),
             ("/users/7?deny=1", ABSENT, 401), ("/panic/now", "/panic/:how", 500), ("/post", ABSENT, 405),
             ("/nowhere", ABSENT, 404)),
    # v5 tells net/http the pattern before any middleware runs, and that of a path that has no such method.
    "echo5": (("/users/7", "/users/:id"), ("/files/a/b", "/files/*"), ("/api/v1/things/3", "/api/v1/things/:thing"),
              ("/users/7?deny=1", "/users/:id", 401), ("/panic/now", "/panic/:how", 500), ("/post", "/post", 405),
              ("/nowhere", ABSENT, 404)),
}
FIBER = (("/users/7", "/users/:id"), ("/users/7/after", "/users/:id/after"), ("/files/a/b", "/files/*"),
         ("/api/v1/things/3", "/api/v1/things/:thing"), ("/mounted/bob/x", "/mounted/:name/x"),
         ("/users/7?deny=1", ABSENT, 401), ("/panic/now", "/panic/:how", 500), ("/post", ABSENT, 405),
         ("/nowhere", ABSENT, 404))


class Routers(Process):
    """The program; where: name → port. minor: or a path."""

    def __init__(self, minor, kind=None):
        path = BIN / f"routers-go{minor}-{kind}" if kind else minor
        if not path.exists():
            raise Skip(f"{path.name} was not built")
        super().__init__([path], stdin=subprocess.PIPE)
        self.where = until("the routers listen", lambda: next(json_lines(self.out()), None), 60)
        self.pid = self.where["pid"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def get(self, name, paths, tls=False):
        """One connection, a request after the other; paths: (path, User-Agent). Their statuses."""
        if tls:
            c = http.client.HTTPSConnection("127.0.0.1", self.where[name], timeout=SECONDS,
                                            context=ssl._create_unverified_context())
        else:
            c = http.client.HTTPConnection("127.0.0.1", self.where[name], timeout=SECONDS)
        got = []
        for path, agent in paths:
            c.request("GET", path, headers={"User-Agent": agent})
            answer = c.getresponse()
            answer.read()
            got.append(answer.status)
        c.close()
        return got


def _cases(name):
    """(path, route, status) of a port. Behind ServeMux its own pattern is known where the router has none."""
    router, _, nested = name.partition("-")
    for path, route, *status in ROUTES[router]:
        status = status[0] if status else 200
        if not nested:
            yield path, route, status
            continue
        # There net/http's request has ServeMux's pattern as well, and says nothing of what middleware of v5 answered.
        found = route is not ABSENT and (router, status) != ("echo5", 401)
        yield path, route if found else "/", status
        for prefix in ("/below", "/later", "/own"):
            yield prefix + path, prefix + route if found else f"{prefix}/", status


def _check(spans, want):
    found, wrong = {}, []
    for span in spans:
        found.setdefault(span["attributes"].get("user_agent.original"), []).append(span)
    for who, span in want.items():
        got = found.pop(who, [])
        if len(got) != 1:
            wrong.append(f"{who}: {len(got)} spans instead of 1")
        wrong += [f"{who}: {m}" for s in got[:1] for m in mismatches(span, s)]
    wrong += [f"nobody asked for {json.dumps(s)}" for s in found.values()]
    assert not wrong, f"{len(wrong)} differences:\n  " + "\n  ".join(wrong[:12])


def _lost(summary):
    """While probes are being planted, of some requests that ask whether they are in only the end is seen."""
    return {k: n for k, n in losses(summary).items() if n and k != "unpaired_end"}


def _expect(path, route, status, **more):
    return {"name": "GET" if route is ABSENT else f"GET {route}", "status": "error" if status >= 500 else "unset",
            "attributes": {"http.route": route, "http.response.status_code": status, "url.path": path.split("?")[0],
                           **more}}


def routes(minor, kind=None):
    """Every router, directly and behind ServeMux, one connection each."""
    need_earshot()
    with Routers(minor, kind) as routers, attach(routers.pid, observe=[routers.where["servemux"]]) as earshot:
        want = {}
        for router in ROUTES:
            for name in (router, f"{router}-nested"):
                if name not in routers.where:
                    continue
                cases = list(_cases(name))
                got = routers.get(name, [(path, f"{name}{path}") for path, _, _ in cases])
                assert got == [status for _, _, status in cases], (name, got, cases)
                want.update({f"{name}{path}": _expect(path, route, status) for path, route, status in cases})
        for path, route, status in _cases("chi-nested"):
            _http2(routers, path)
            want[f"h2{path}"] = _expect(path, route, status, **{"network.protocol.version": "2"})
        earshot.wait_spans(len(want))
        spans, summary = earshot.finish()
    _check(spans, want)
    assert not _lost(summary), summary
    return f"{len(want)} spans"


def _http2(routers, path):
    subprocess.run(["curl", "-ksS", "--http2", "-m", str(SECONDS), "-o", "/dev/null", "-A", f"h2{path}",
                    f"https://127.0.0.1:{routers.where['chi-tls']}{path}"], check=True)


def fast(minor, kind=None):
    """fiber's routes, and what fasthttp's spans say, with and without it."""
    need_earshot()
    with Routers(minor, kind) as routers, attach(routers.pid, observe=[routers.where["fasthttp"]]) as earshot:
        want = {}
        cases = [(path, route, status[0] if status else 200) for path, route, *status in FIBER]
        got = routers.get("fiber", [(path, f"fiber{path}") for path, _, _ in cases])
        assert got == [status for _, _, status in cases], got
        want.update({f"fiber{path}": _expect(path, route, status) for path, route, status in cases})
        for name, scheme in (("fasthttp", "http"), ("fasthttp-tls", "https")):
            port = routers.where[name]
            assert routers.get(name, [("/a%20b?x=1&sig=2", name), ("/missing", f"{name}.missing")],
                               tls=scheme == "https") == [200, 404]
            want[name] = _expect("/a b", ABSENT, 200, **{
                "http.request.method": "GET", "url.query": "x=1&sig=REDACTED", "url.scheme": scheme,
                "server.address": "127.0.0.1", "server.port": port, "client.address": "127.0.0.1",
                "network.protocol.version": "1.1", "http.response.body.size": 4, "http.request.body.size": ABSENT})
            want[f"{name}.missing"] = _expect("/missing", ABSENT, 404)
        want.update(_odd_ones(routers))
        earshot.wait_spans(len(want))
        spans, summary = earshot.finish()
    _check(spans, want)
    assert _lost(summary) == {"bad_header": 1}, summary
    return f"{len(want)} spans"


def _raw(port, text, half_close=False):
    with socket.create_connection(("127.0.0.1", port), SECONDS) as c:
        c.sendall(text)
        if half_close:
            c.shutdown(socket.SHUT_WR)
        answer = b""
        while part := c.recv(65536):
            answer += part
    return answer


def _odd_ones(routers):
    """A body, HTTP/1.0, a method that is none, pipelining, a timeout, a connection taken over, a body that is cut."""
    port = routers.where["fasthttp"]
    head = "Host: fast.test:81\r\nUser-Agent: {}\r\n"
    _raw(port, ("POST /body HTTP/1.0\r\n" + head.format("body") + "Content-Length: 5\r\n\r\nhello").encode())
    _raw(port, ("BREW /pot HTTP/1.1\r\n" + head.format("brew") + "Connection: close\r\n\r\n").encode())
    _raw(port, ("GET /one HTTP/1.1\r\n" + head.format("one") + "\r\nGET /two HTTP/1.1\r\n" + head.format("two") +
                "Connection: close\r\n\r\n").encode())
    answer = _raw(port, ("GET /taken HTTP/1.1\r\n" + head.format("taken") + "\r\n").encode())
    assert answer.endswith(b"taken"), answer
    _raw(port, ("POST /cut HTTP/1.1\r\n" + head.format("cut") + "Content-Length: 50\r\n\r\nhello").encode(),
         half_close=True)
    assert _raw(port, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
    # Behind many other fields, as the sender spells it; the next request of the connection has none, the last a bad one.
    _raw(port, ("GET /traced HTTP/1.1\r\n" + head.format("traced") + "".join(f"X-{i}: {i}\r\n" for i in range(30)) +
                f"traceParent:  00-{TRACE}-{PARENT}-01 \r\nTracestate: shop=1\r\n\r\n" +
                "GET /untraced HTTP/1.1\r\n" + head.format("untraced") + f"x-traceparent: 00-{TRACE}-{PARENT}-01\r\n\r\n" +
                "GET /bad HTTP/1.1\r\n" + head.format("bad") + f"traceparent: 00-{TRACE}\r\n" +
                "Connection: close\r\n\r\n").encode())
    assert routers.get("fasthttp", [("/late", "late"), ("/next", "next")])[1] == 200
    about = {"server.address": "fast.test", "server.port": 81}
    return {
        "body": {"name": "POST", "attributes": {**about, "http.request.body.size": 5, "network.protocol.version": "1.0",
                                                "url.path": "/body"}},
        "brew": {"name": "HTTP", "attributes": {**about, "http.request.method": "_OTHER",
                                                "http.request.method_original": "BREW"}},
        "one": {"attributes": {**about, "url.path": "/one", "http.response.status_code": 200}},
        "two": {"attributes": {**about, "url.path": "/two", "http.response.status_code": 200}},
        "traced": {"trace_id": TRACE, "parent_span_id": PARENT, "trace_state": "shop=1",
                   "attributes": {"earshot.parent.source": "header"}},
        "untraced": {"parent_span_id": "", "attributes": {"earshot.parent.source": "none"}},
        "bad": {"parent_span_id": "", "attributes": {"earshot.parent.source": "none"}},
        "taken": {"attributes": {**about, "url.path": "/taken", "http.response.status_code": 200}},
        "cut": {"attributes": {**about, "url.path": "/cut"}},
        "late": {"attributes": {"url.path": "/late", "http.response.status_code": 408}},
        "next": {"attributes": {"url.path": "/next", "http.response.status_code": 200}},
    }


def _concurrent(minor):
    """8 connections at once to every router: each span has the route of its own request."""
    need_earshot()
    names = [*ROUTES, "fiber"]
    with Routers(minor, "sw") as routers, attach(routers.pid, observe=[routers.where["servemux"]]) as earshot:
        names = [n for n in names if n in routers.where]
        want, errors = {}, []

        def ask(thread):
            dice = random.Random(thread)
            for name in names:
                some = FIBER if name == "fiber" else ROUTES[name]
                some = [(p, r, s[0] if s else 200) for p, r, *s in some]
                asked = [(i, *dice.choice(some)) for i in range(60)]
                agent = f"{name}.{thread}"
                got = routers.get(name, [(p, f"{agent}.{i}") for i, p, _, _ in asked])
                if got != [s for *_, s in asked]:
                    errors.append((agent, got))
                want.update({f"{agent}.{i}": _expect(p, r, s) for i, p, r, s in asked})

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not errors, errors[:2]
        earshot.wait_spans(len(want))
        spans, summary = earshot.finish()
    _check(spans, want)
    assert not _lost(summary), summary
    return f"{len(want)} spans"


def _joined(minor):
    """A client's requests to fasthttp are told by their connections, with nobody's header."""
    need_earshot()
    with Routers(minor, "sw") as routers, Relay(f"{MINORS[-1]}-sw", "h1", f"127.0.0.1:{routers.where['fasthttp']}") as relay:
        with attach(relay.pid, routers.pid, observe=[relay.port, routers.where["servemux"]]) as earshot:
            c = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=SECONDS)
            for n in range(20):
                c.request("GET", f"/{n % 2}/{n}")
                c.getresponse().read()
            c.close()
            earshot.wait_spans(20, kind="client")
            earshot.finish()
            clients = {s["span_id"]: s for s in earshot.spans("client")}
            behind = [s for s in earshot.spans("server")
                      if s["pid"] == routers.pid and s["attributes"]["url.path"] != "/canary"]
    assert len(behind) == len(clients) == 20, (len(behind), len(clients))
    for s in behind:
        client = clients.get(s["parent_span_id"])
        assert client and s["attributes"]["earshot.parent.source"] == "connection", s
        assert client["trace_id"] == s["trace_id"], (s, client)
        assert client["attributes"]["url.full"].endswith(s["attributes"]["url.path"]), (s, client)


def _alone():
    """A pack that adds to another's span is of no use without it: --packs says so."""
    e = Earshot("inspect", "--packs", "gin", EARSHOT)
    assert e.wait(30) == 2 and "select both (--packs net-http --packs gin)" in e.err(), e.describe()
    e = Earshot("inspect", "--list-packs", "--packs", "gin", "--packs", "net-http")
    assert e.wait(30) == 0 and "gin" in e.out(), e.describe()


def _all():
    yield Test("alone", _alone)
    for minor in ("1.21", MINORS[-1]):
        for kind in ("plain", "sw"):
            yield Test(f"routes-go{minor}-{kind}", lambda m=minor, k=kind: routes(m, k))
            yield Test(f"fast-go{minor}-{kind}", lambda m=minor, k=kind: fast(m, k))
        yield Test(f"concurrent-go{minor}", lambda m=minor: _concurrent(m))
        yield Test(f"joined-go{minor}", lambda m=minor: _joined(m))


def tests():
    yield from and_patched(_all(), [t.name for t in _all() if not t.name.endswith(("plain", "alone"))])
