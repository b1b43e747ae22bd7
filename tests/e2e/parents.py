"""Parents: go/fanout hands work on in every way that Go has. Each request carries its number through every hop, so who
reads the spans knows the truth: no span is in another request's trace."""

import collections
import http.client

from earshot import attach, losses, need_earshot, and_patched
from fanout import Fanout, callers, said
from proc import clean_env
from target import MINORS, get
from testing import Test

CALLERS, REQUESTS = 8, 25
# How the parent of a client span is known, by the way in which the work came to it.
WAYS = {"direct": {"context"}, "goroutine": {"goroutine"}, "lineage": {"lineage"}, "group": {"context"},
        "pool": {"context"}, "pipeline": {"context"}, "deep": {"context"}, "uncancelled": {"context"},
        "timer": {"context"}, "cancelled": {"context"}, "impatient": {"context"},
        "late": {"context", "unknown"},  # its request has ended, or nearly so
        "lost": {"none", "unknown"}}     # a worker that lives for ever and uses no context


def _send(port):
    get(port, "/work?n=0", "tests")  # this one makes the workers, whose parent it is while it lasts

    def calls(who):
        for i in range(REQUESTS):
            assert get(port, f"/work?n={1 + who * REQUESTS + i}", "tests")
    callers(CALLERS, calls)


def _check(spans):
    """Wrong parents, and how each way's were known."""
    by_id = {s["span_id"]: s for s in spans}
    wrong, known = [], collections.defaultdict(collections.Counter)
    for s in spans:
        number, way = said(s)
        if way == "work":
            continue
        parent = by_id.get(s["parent_span_id"])
        if s["kind"] == "server":
            want = (number, way, "client")
        else:
            want = (number, "work", "server")
        if s["parent_span_id"] and (not parent or (*said(parent), parent["kind"]) != want
                                    or parent["trace_id"] != s["trace_id"]):
            wrong.append((s, parent))
        known[(s["kind"], way)][s["attributes"]["earshot.parent.source"]] += 1
    return wrong, known


def fan_out(minor, path=None):
    """path: of another build of it."""
    need_earshot()
    with Fanout(minor, path=path) as leaf, Fanout(minor, "-leaf", leaf.address, path=path) as front:
        with attach(front.pid, leaf.pid, observe=[front.port, leaf.port]) as e:
            _send(front.port)
            total = CALLERS * REQUESTS + 1
            e.wait_spans(total * 14, kind="client", seconds=20)
            _, summary = e.finish()
            spans = [s for s in e.objects() if "trace_id" in s and "/canary" not in str(s["attributes"])]
    lost = {k: n for k, n in losses(summary).items() if n and not k.startswith("unpaired")}
    assert not lost, summary
    wrong, known = _check(spans)
    assert not wrong, f"{len(wrong)} wrong parents, such as {wrong[0]}"
    unknown = collections.Counter()
    for way, want in WAYS.items():
        clients, servers = known[("client", way)], known[("server", way)]
        assert sum(clients.values()) >= (0 if way == "impatient" else total), (way, known)
        unknown[way] = sum(n for source, n in clients.items() if source not in want)
        if way != "impatient":  # whom the server may read when nobody waits any more
            unknown["connection"] += sum(n for source, n in servers.items() if source != "connection")
    # A goroutine's id out of a batch that another processor had before the request: nothing else says when it began.
    by_lineage = unknown.pop("lineage")
    assert by_lineage < total, known
    assert sum(unknown.values()) * 100 < len(spans), (unknown, {k: dict(v) for k, v in known.items()})
    return f"{len(spans)} spans, unknown: {by_lineage} of {2 * total} by lineage, {sum(unknown.values())} others"


TRACE, PARENT = "80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1"
DATADOG = {"x-datadog-trace-id": str(int(TRACE[16:], 16)), "x-datadog-parent-id": str(int(PARENT, 16)),
           "x-datadog-sampling-priority": "1", "x-datadog-tags": f"_dd.p.dm=-0,_dd.p.tid={TRACE[:16]}"}
HEADERS = {"b3": {"b3": f"{TRACE}-{PARENT}-1"}, "b3multi": {"X-B3-TraceId": TRACE, "X-B3-SpanId": PARENT,
                                                           "X-B3-Sampled": "1"}, "datadog": DATADOG}


def _headers(minor):
    """Headers of other tracers, where OTEL_PROPAGATORS names them."""
    need_earshot()
    for asked in (True, False):
        env = clean_env(OTEL_PROPAGATORS="tracecontext,b3,b3multi,datadog" if asked else "tracecontext")
        with Fanout(minor) as server, attach(server.pid, observe=[server.port], env=env) as e:
            for name, headers in HEADERS.items():
                c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
                c.request("GET", f"/leaf?{name}", headers=headers)
                assert c.getresponse().read() == b"leaf"
                c.close()
            spans, _ = e.finish()
        assert {s["attributes"]["url.query"] for s in spans} == HEADERS.keys(), spans
        for s in spans:
            source = s["attributes"]["earshot.parent.source"]
            assert source == ("header" if asked else "none"), s
            assert not asked or (s["trace_id"], s["parent_span_id"]) == (TRACE, PARENT), s


def tests():
    new = MINORS[-1]
    names = [f"fan-out-go{m}" for m in MINORS if m in ("1.21", new)]
    yield from and_patched([Test(n, lambda m=n[len("fan-out-go"):]: fan_out(m), 120) for n in names], names)
    yield Test("headers", lambda: _headers(new), 60)
