"""Spans of the requests that a Go program sends (packs/net-http-client.yaml): tests/go/webclient sends one of every kind,
each to a path of its own, and every span must be there once with the attributes listed here."""

import json
import subprocess
from urllib.parse import unquote, urlsplit

from cases import ABSENT
from earshot import Earshot, losses, need_earshot, patched
from proc import BIN, Process, Skip, until
from spans import mismatches
from target import MINORS
from testing import Test

OLD, NEW = "1.21", MINORS[-1]
OWN = "1.24"  # from here on net/http speaks HTTP/2 in clear text by itself


def _minor(version):
    return int(version.split(".")[1])


def _of(url):
    """What of a URL names its request: its path."""
    return unquote(urlsplit(url).path)


def _span(status=200, method="GET", http="1.1", sent=0, received=ABSENT, error=ABSENT, name=None, **more):
    """The span of a request that was answered, or (status ABSENT) was not."""
    failed = error is not ABSENT or (status is not ABSENT and status >= 400)
    if error is ABSENT and failed:
        error = str(status)
    return {"name": name or method, "kind": "client", "pack": "net-http-client", "status": "error" if failed else "unset",
            "attributes": {"http.request.method": method, "http.response.status_code": status, "error.type": error,
                           "network.protocol.version": http if status is not ABSENT else ABSENT,
                           "http.request.body.size": sent, "http.response.body.size": received,
                           "server.address": "127.0.0.1", "http.request.resend_count": ABSENT, **more}}


def _failed(error, **more):
    return _span(status=ABSENT, error=error, **more)


def _common(url, http):
    """What common() in the program sends, to URLs that begin so."""
    def s(*args, **kw):
        return _span(*args, http=http, **{"network.peer.address": "127.0.0.1", **kw})

    ended = "timeout" if http == "2" else "canceled"  # HTTP/1 does not say why it closed the connection
    yield "sized", s(received=5, **{"url.full": f"{url}/sized?a=1&sig=REDACTED&b=2"})
    yield "made", s(201, "POST", sent=5, received=4)
    yield "gzip", s()
    yield "head", s(method="HEAD")
    yield "empty", s(204, "DELETE", received=0)
    yield "missing", s(404, received=19)
    yield "broken", s(500, received=7)
    yield "chunked", {**s(), "duration_ns": (20e6, 30e9)}
    yield "big", s()
    yield "begun", {**s(error=ended), "duration_ns": (50e6, 30e9)}
    yield "slow/late", s(ABSENT, error="timeout")
    yield "slow/given", s(ABSENT, error="canceled")
    for i in range(8):
        for k in range(4):
            yield f"together/{i}/{k}", s(received=5)


def _alone(h1):
    """Paths below /h1 that only HTTP/1 gets."""
    yield "user", _span(received=5, **{"url.full": f"{h1.replace('//', '//REDACTED:REDACTED@')}/user"})
    yield "path with/€/a/b", _span(received=5, **{"url.full": f"{h1}/path%20with/%E2%82%AC/a%2Fb?q=%20"})
    yield "redirect/2", _span(302, received=37)
    yield "redirect/1", _span(302, received=37, **{"http.request.resend_count": 1})
    yield "redirect/0", _span(received=5, **{"http.request.resend_count": 2})
    yield "brewed", _span(method="_OTHER", name="HTTP", received=5, **{"http.request.method_original": "BREW"})
    yield "streamed", _span(method="PUT", sent=ABSENT, received=5)
    yield "dropped/1", _span(received=5)
    yield "dropped/2", _span(received=5)  # sent twice
    yield "upgraded", _span(101)
    yield "unread", _span(error="process exited")  # neither read nor closed


FAILURES = {"refused": "connection_refused", "unknown": "*net.DNSError", "untrusted": "server_certificate_invalid",
            "clear-text": "crypto/tls.RecordHeaderError", "slow/client-timeout": "timeout", "slow/header-timeout": "timeout",
            "eof": "EOF", "dial-timeout": "timeout"}


def _expected(ports, minor):
    """Path → span."""
    plain, tls = f"http://127.0.0.1:{ports['HTTP']}", f"https://127.0.0.1:{ports['TLS']}"
    h2, h2c = f"https://127.0.0.1:{ports['H2']}", f"http://127.0.0.1:{ports['H2C']}"
    want = {f"/h1/{path}": span for path, span in (*_common(f"{plain}/h1", "1.1"), *_alone(f"{plain}/h1"))}
    for path, error in FAILURES.items():
        host = "nowhere.invalid" if path == "unknown" else "127.0.0.1"
        want[f"/fails/{path}"] = _failed(error, **{"server.address": host})
    want["/fails/unknown"]["attributes"]["server.port"] = 80
    want["/fails/cut"] = _span(received=100, error="unexpected_EOF")
    want["/tls/sized"] = _span(received=5, **{"url.full": f"{tls}/tls/sized", "server.port": ports["TLS"],
                                              "network.peer.port": ports["TLS"]})
    want["/tls/made"] = _span(201, "POST", sent=5, received=4)
    named = {"h2": h2, "x": h2, "conf": h2, "xh2c": h2c, "own": h2c}
    if _minor(minor) < _minor(OWN):
        del named["own"]
    for name, url in named.items():
        want |= {f"/{name}/{path}": span for path, span in _common(f"{url}/{name}", "2")}
        want[f"/{name}/last"] = _span(http="2", received=5)
    return want


def _check(want, spans):
    wrong, seen = [], {}
    for span in spans:
        seen.setdefault(_of(span["attributes"]["url.full"]), []).append(span)
    for path, span in want.items():
        found = seen.pop(path, [])
        if len(found) != 1:
            wrong.append(f"{path}: {len(found)} spans instead of 1")
        wrong.extend(f"{path}: {m}" for s in found[:1] for m in mismatches(span, s))
    wrong.extend(f"{path}: nobody sent that" for path in seen)
    assert not wrong, f"{len(wrong)} differences:\n  " + "\n  ".join(wrong[:12])


def _program(minor, build="sw"):
    need_earshot()
    path = BIN / f"webclient-go{minor}-{build}"
    if not path.exists():
        raise Skip(f"{path.name} was not built")
    return path


class _Server(Process):
    """Answers until it is killed; where: its ports."""

    def __init__(self, minor):
        super().__init__([_program(minor), "serve"], stdin=subprocess.PIPE)
        until("the server says its ports", lambda: self.out().endswith("\n"))
        self.where = json.loads(self.out())


def _requests(minor, build):
    client = _program(minor, build)
    with _Server(NEW) as server:
        with Earshot("run", "-o", "json", "--packs", "net-http-client", "--", client, "call", json.dumps(server.where)) as e:
            assert e.wait(40) == 0, e.describe()
            spans, summary = e.spans("client"), e.summary()
    _check(_expected(server.where, minor), spans)
    assert not any(losses(summary).values()), summary
    return f"{len(spans)} spans"


def _given_up_before(client, server):
    """On a busy machine a request with a timeout of 30 ms can be over before its server begins with it."""
    return _of(client["attributes"]["url.full"]) == server["attributes"]["url.path"] and client["status"] == "error" \
        and client["start_unix_ns"] + client["duration_ns"] <= server["start_unix_ns"]


def _joined(minor):
    """Client and server observed: each server span has the client span of its own request as its parent."""
    program = _program(minor)
    with _Server(minor) as server:
        client = Process([program, "wait", json.dumps(server.where)], stdin=subprocess.PIPE)
        with Earshot("attach", "-p", str(server.pid), "-p", str(client.pid), "-o", "json", "--packs", "net-http*") as e:
            until("both are observed", lambda: e.err().count("observing") == 2, 30)
            client.popen.stdin.write(b"\n")
            client.popen.stdin.flush()
            assert client.wait(40) == 0, client.describe()
            servers, summary = e.finish()
            clients = {s["span_id"]: s for s in e.spans("client")}
    wrong, answered = [], 0
    for s in servers:
        a = s["attributes"]
        parent = clients.get(s["parent_span_id"])
        if "url.path" not in a:  # a TLS client's first bytes, as HTTP: no request
            continue
        answered += 1
        if not parent and any(_given_up_before(c, s) for c in clients.values()):
            continue
        if not parent or _of(parent["attributes"]["url.full"]) != a["url.path"] or parent["trace_id"] != s["trace_id"] \
                or a["earshot.parent.source"] != "connection":
            wrong.append(f"{a['url.path']}: {a['earshot.parent.source']}, {parent and parent['attributes']['url.full']}")
    assert not wrong, f"{len(wrong)} wrong parents:\n  " + "\n  ".join(wrong[:12])
    # unanswered: refused, unknown, untrusted, clear-text, dial-timeout. Answered twice: dropped/2
    assert answered == len(clients) - 5 + 1, (answered, len(clients))
    assert not any(losses(summary).values()), summary
    return f"{answered} requests joined"


def tests():
    for minor in (OLD, NEW):
        for build in ("plain", "sw"):
            yield Test(f"requests-go{minor}-{build}", lambda m=minor, b=build: _requests(m, b))
        yield patched(Test(f"requests-go{minor}-sw", lambda m=minor: _requests(m, "sw")))
        yield Test(f"joined-go{minor}", lambda m=minor: _joined(m))
    yield patched(Test(f"joined-go{NEW}", lambda: _joined(NEW)))
