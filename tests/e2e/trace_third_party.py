"""The same questions of programs that others wrote: Caddy built with DWARF, and
Debian's stripped ones with declared signatures."""

import os
import re

from calls import Trace, nothing_left
from earshot import need_earshot
from proc import BIN, EARSHOT, CACHE, run_once
from services import RELEASES, Caddy, Etcd, Nats, Prometheus
from target import get
from testing import Test


class Caddyd(Caddy):
    """Caddy of its own modules, with DWARF."""
    binary = os.path.relpath(BIN / "caddyd", CACHE / "third-party/bookworm")


def _ask(service, questions, requests, options=()):
    """The calls seen while the requests were made."""
    with Trace(service.pid, *questions, options=options) as t:
        for path in requests:
            get(service.port, path, "third-party/1.0")
        seen = t.end(30)
        groups = t.aggregates()
    nothing_left(service)
    for path in requests:
        get(service.port, path, "third-party/1.0")
    service.unharmed()
    return seen, groups


REQUESTS = ["/hello?x=1", "/teapot", "/files/page.txt", "/files/none.txt", "/broken"] * 4


def _dwarf_values():
    """Arguments and results by the names the source has, through interfaces and pointers."""
    need_earshot()
    with Caddyd("bookworm") as caddy:
        serve = "github.com/caddyserver/caddy/v2/modules/caddyhttp.(*Server).ServeHTTP"
        seen, _ = _ask(caddy, [serve], REQUESTS)
        assert len(seen) == len(REQUESTS), f"{len(seen)} calls instead of {len(REQUESTS)}"
        assert [c["args"]["r"]["Method"] for c in seen] == ["GET"] * len(REQUESTS), seen[0]["args"]["r"]
        assert all(c["args"]["w"]["type"] == "*net/http.response" for c in seen), seen[0]["args"]["w"]
        # What w leads to, and the server behind s, is in the record too: ask for what is wanted.
        seen, _ = _ask(caddy, [f"{serve} {{ print(r, r.Header, r.URL) }}"], REQUESTS, ["--depth", "2"])
        assert [c["values"]["r"]["URL"]["Path"] for c in seen] == [r.split("?")[0] for r in REQUESTS], seen[0]
        assert all(c["values"]["r.Header"]["User-Agent"] == ["third-party/1.0"] for c in seen), seen[0]
        assert seen[0]["values"]["r.URL"]["RawQuery"] == "x=1", seen[0]
        return f"{len(seen)} calls"


def _dwarf_conditions():
    need_earshot()
    with Caddyd("bookworm") as caddy:
        serve = "github.com/caddyserver/caddy/v2/modules/caddyhttp.(*Server).ServeHTTP"
        seen, groups = _ask(caddy, [
            f'{serve} if r.URL.Path == "/teapot" && r.Header["User-Agent"][0] == "third-party/1.0" {{ print(r.URL.Path, r.Method) }}',
            f"{serve} {{ count() by r.URL.Path; hist(latency) by r.URL.Path }}"], REQUESTS)
        assert len(seen) == 4 and all(c["values"] == {"r.URL.Path": "/teapot", "r.Method": "GET"} for c in seen), seen
        counts = {g["key"]["r.URL.Path"]: g["count"] for g in groups if g["aggregate"].startswith("count")}
        assert counts == {r.split("?")[0]: 4 for r in REQUESTS}, counts


def _dwarf_errors():
    """What fails, and what it says."""
    need_earshot()
    with Caddyd("bookworm") as caddy:
        handler = "github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver.(*FileServer).ServeHTTP"
        seen, _ = _ask(caddy, [f"{handler} if err != nil"], REQUESTS)
        assert len(seen) == 4, f"{len(seen)} failed calls instead of 4"
        assert all("404" in str(c["returns"]) or "Status" in str(c["returns"]) for c in seen), seen[0]["returns"]


def _dwarf_stack():
    need_earshot()
    with Caddyd("bookworm") as caddy:
        seen, _ = _ask(caddy, ["github.com/caddyserver/caddy/v2/modules/caddyhttp.StaticResponse.ServeHTTP { stack }"],
                       ["/hello"] * 3)
        assert len(seen) == 3, len(seen)
        names = [str(f) for f in seen[0]["stack"]]
        assert any("caddyhttp.(*Server).ServeHTTP" in n for n in names) and "net/http" in str(names), names


def _dwarf_list():
    need_earshot()
    with Caddyd("bookworm") as caddy:
        done = run_once([EARSHOT, "trace", "-p", str(caddy.pid), "-l",
                         "github.com/caddyserver/caddy/v2/modules/caddyhttp.(*Server).*"])
        assert done.code == 0, done.describe()
        assert re.search(r"ServeHTTP\(w [\w./]*ResponseWriter, r \*[\w./]*Request\)", done.out()), done.out()
        return f"{len(done.out().splitlines())} lines"


def _dwarf_glob():
    """All of a package, and by its functions."""
    need_earshot()
    with Caddyd("bookworm") as caddy:
        _, groups = _ask(caddy, ["github.com/caddyserver/caddy/v2/modules/caddyhttp.* { count() by func }"],
                         REQUESTS, ["--yes"])
        counts = {g["func"]: g["count"] for g in groups}
        serve = "github.com/caddyserver/caddy/v2/modules/caddyhttp.(*Server).ServeHTTP"
        assert counts.get(serve) == len(REQUESTS), counts
        return f"{len(counts)} functions were called"


# ---- stripped ----

SERVE = "net/http.serverHandler.ServeHTTP(rw http.ResponseWriter, req *http.Request)"


def _stripped(service_class, release, requests):
    """net/http's own entry, declared: path, header and latency of each request."""
    need_earshot()
    with service_class(release) as service:
        mine = 'req.Header["User-Agent"][0] == "third-party/1.0"'
        seen, groups = _ask(service, [
            f"{SERVE} if {mine} {{ print(req.Method, req.URL.Path, latency) }}",
            f"{SERVE} if {mine} {{ count() by req.URL.Path }}"], requests)
        want = [r.split("?")[0] for r in requests]
        assert sorted(c["values"]["req.URL.Path"] for c in seen) == sorted(want), f"{len(seen)} calls: {seen[:2]}"
        assert all(c["values"]["req.Method"] == "GET" for c in seen)
        counts = {g["key"]["req.URL.Path"]: g["count"] for g in groups}
        assert counts == {p: want.count(p) for p in want}, counts
        return f"{len(seen)} calls"


STRIPPED = {
    "caddy": (Caddy, REQUESTS),
    "etcd": (Etcd, ["/version", "/health", "/none"] * 5),
    "nats": (Nats, ["/varz", "/healthz", "/connz?limit=1"] * 5),
    "prometheus": (Prometheus, ["/-/healthy", "/api/v1/query?query=1%2B1", "/none"] * 5),
}


def tests():
    for name, run in (("values", _dwarf_values), ("conditions", _dwarf_conditions), ("errors", _dwarf_errors),
                      ("stack", _dwarf_stack), ("list", _dwarf_list), ("glob", _dwarf_glob)):
        yield Test(f"caddy-dwarf-{name}", run, 90)
    for release in RELEASES:
        for name, (service, requests) in STRIPPED.items():
            yield Test(f"{name}-{release}", lambda s=service, r=release, q=requests: _stripped(s, r, q), 90)
