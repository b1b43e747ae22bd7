"""Programs with an OpenTelemetry SDK: its spans and ours are one trace, and nothing is in it twice. What the SDK recorded is
what it sent to its own exporter."""

import collections
import time

from earshot import Earshot, losses, need_earshot, patched
from otlp import FakeCollector
from proc import until
from testing import Test
from trio import Traces, Trio, word_of

SDK, PLAIN = "go1.27-sdk", "go1.27-sw"
NUMBERS = (2, 35, 77)  # the first request that is seen is one of them


def _observe(trio, *args):
    pids = [a for pid in trio.pids for a in ("-p", str(pid))]
    e = Earshot("attach", *pids, "-o", "json", "--sql", "full", *args)
    until("all three are observed", lambda: e.check_alive() and e.err().count("observing ") >= 3, 30)
    for number in NUMBERS:
        trio.order(number)
    return e


def _run(build, *args):
    """(ours, the SDK's, earshot) of three orders at a front with an SDK. The exporter's own requests are left out."""
    need_earshot()
    with FakeCollector() as sink, Trio(build, front=SDK, OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
                                       OTEL_BSP_SCHEDULE_DELAY="100") as trio:
        e = _observe(trio, *args)
        until("the SDK has exported the last order",
              lambda: sum(s["kind"] == "server" and s["service"] == "front" for s in list(sink.spans)) >= 3, 10)
        time.sleep(0.5)
        e.finish()
        ours = [o for o in e.objects() if "trace_id" in o]
        return [s for s in ours if not s["attributes"].get("url.full", "").startswith(sink.url)], list(sink.spans), e


def _sources(spans):
    return collections.Counter((s["kind"], s["attributes"]["earshot.parent.source"]) for s in spans)


def _mixed():
    """The front has an SDK, its services have nothing: each operation is recorded once, by one of the two."""
    ours, theirs, e = _run(PLAIN)
    traces = Traces([*ours, *theirs])
    wrong = [*traces.wrong(), *traces.lost(NUMBERS)]
    assert not wrong, "\n".join([*wrong[:20], e.err()])
    for number in NUMBERS:
        trace = traces.of_trace[traces.roots[number]["trace_id"]]
        strangers = [s for s in trace if s["parent_span_id"] not in traces.by_id and word_of(s) != "server orders"]
        assert not strangers, f"their parents are in no trace: {strangers}"
    front = [s for s in ours if s["service"].endswith("sdk")]
    assert not front, f"the SDK has these: {front}"
    assert losses(e.summary()).get("recorded_by_sdk") == sum(s["service"] == "front" for s in theirs), e.summary()
    assert not {"unknown", "none"} & {source for _, source in _sources(ours)}, _sources(ours)
    return f"{len(ours)} spans and {len(theirs)} of the SDK, {dict(_sources(ours))}"


def _whole():
    """All three have an SDK, with instrumentation of net/http, gRPC, database/sql and go-redis: nothing is left for us."""
    ours, theirs, e = _run(SDK)
    assert not ours, f"the SDK has these: {ours[:3]}"
    said = "an OpenTelemetry SDK is in this program (otel 1."
    assert said in e.err() and "otelsql, redisotel, otelgrpc, otelhttp)" in e.err(), e.err()
    names = {s["name"].split("/")[0] for s in theirs}
    assert {"GET ", "HTTP GET", "shop.Stock", "sql.conn.query", "get"} <= names, names
    return f"{losses(e.summary()).get('recorded_by_sdk')} left to the SDK"


def _ignored():
    """--ignore-sdk: our spans alone are whole traces, in those that the SDK writes into requests."""
    ours, theirs, e = _run(PLAIN, "--ignore-sdk")
    traces = Traces(ours)
    wrong = [*traces.wrong(), *traces.lost(NUMBERS)]
    assert not wrong, "\n".join([*wrong[:20], e.err()])
    assert {s["trace_id"] for s in traces.roots.values()} <= {s["trace_id"] for s in theirs}
    return f"{len(ours)} spans, {dict(_sources(ours))}"


def tests():
    yield Test("mixed", _mixed)
    for name, run in (("mixed", _mixed), ("whole", _whole), ("ignored", _ignored)):
        yield patched(Test(name, run))
