"""Spans over OTLP: to a real collector equal to the JSON lines, and to a
collector that is down, slow or unwilling without harm to anyone."""

import time

from cases import plan
from collector import Collector, drop_canaries, same
from earshot import attach, losses, need_earshot
from otlp import FakeCollector
from proc import clean_env, free_port, until
from target import Httpd, newest, send
from testing import Test

def _start():
    need_earshot()
    return Httpd(newest())


def _real(scheme, env=None):
    with _start() as httpd, Collector() as collector:
        port = collector.grpc if scheme == "grpc" else collector.http
        with attach(httpd.pid, options=["--otlp", f"{scheme}://127.0.0.1:{port}"],
                    observe=[httpd.where["http"]], env=clean_env(**(env or {}))) as earshot:
            planned = list(plan(httpd, protos=("h1", "h2")))
            send([script for _, _, script in planned])
            earshot.wait_spans(len(planned))
            printed, summary = earshot.finish()
        same(printed, collector.spans())
        states = {s["span_id"]: s["trace_state"] for s in collector.spans() if s["trace_state"]}
        assert states and states == {s["span_id"]: s["trace_state"] for s in printed if "trace_state" in s}, states
        assert not losses(summary).get("sink_refused"), summary
        resource = collector.spans()[0]["resource"]
        assert resource.get("process.pid") == httpd.pid, resource
        return f"{len(printed)} spans"


def _requests(httpd, count):
    return send([{"id": str(i), "proto": "h1", "method": "GET", "url": httpd.base("http") + "/plain",
                  "header": {"User-Agent": f"n{i}"}} for i in range(count)])


def _faulty(answer, count=200, env=None, options=(), before=None, settle=8.0, complete=True):
    """Send to a fake collector that answers as told; returns all there is to judge."""
    with _start() as httpd, FakeCollector(answer=answer) as fake:
        with attach(httpd.pid, options=["--otlp", fake.url, *options], observe=[httpd.where["http"]],
                    env=clean_env(**(env or {}))) as earshot:
            started = time.monotonic()
            answers = _requests(httpd, count)
            took = time.monotonic() - started
            assert all(a["status"] == 200 for a in answers.values())
            assert took < 5, f"the program was held up: {count} requests took {took:.1f} s"
            earshot.wait_spans(count)
            if complete:
                _settled(fake, count, settle)
            printed, summary = earshot.finish()
        if complete:
            same(printed, fake.spans)
        return fake, printed, summary


def _settled(fake, count, seconds):
    until(f"{count} spans arrive, of which {len(fake.spans)} did",
          lambda: len(drop_canaries(fake.spans)) >= count, seconds)


def _plain():
    fake, _, _ = _faulty(lambda n: (200, {}, 0, b""))
    assert {r["path"] for r in fake.requests} == {"/v1/traces"}, fake.requests[:3]
    assert {r["headers"]["Content-Type"] for r in fake.requests} == {"application/x-protobuf"}
    assert {r["headers"].get("Content-Encoding") for r in fake.requests} == {None}, "gzipped, to this very machine"


def _gzip():
    fake, _, _ = _faulty(lambda n: (200, {}, 0, b""), env={"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"})
    assert {r["headers"].get("Content-Encoding") for r in fake.requests} == {"gzip"}


def _headers():
    fake, _, _ = _faulty(lambda n: (200, {}, 0, b""), options=["--otlp-header", "X-One=1"],
                         env={"OTEL_EXPORTER_OTLP_HEADERS": "x-two=a%20b,x-three=3"})
    got = {k.lower(): v for k, v in fake.requests[0]["headers"].items()}
    assert got.get("x-one") == "1", got


def _environment():
    """The collector and the resource from OTEL_* alone."""
    with _start() as httpd, FakeCollector() as fake:
        env = clean_env(OTEL_EXPORTER_OTLP_ENDPOINT=fake.url, OTEL_SERVICE_NAME="renamed",
                        OTEL_RESOURCE_ATTRIBUTES="team=blue,deployment.environment.name=test%2F1",
                        OTEL_EXPORTER_OTLP_HEADERS="x-two=a%20b")
        with attach(httpd.pid, observe=[httpd.where["http"]], env=env) as earshot:
            _requests(httpd, 10)
            _settled(fake, 10, 8)
            printed, _ = earshot.finish()
        same(printed, fake.spans)
        resource = fake.spans[0]["resource"]
        assert resource["service.name"] == "renamed", resource
        assert resource["team"] == "blue", resource
        assert resource["deployment.environment.name"] == "test/1", resource
        got = {k.lower(): v for k, v in fake.requests[0]["headers"].items()}
        assert got.get("x-two") == "a b", got


def _sampler():
    for env, few, many in (({"OTEL_TRACES_SAMPLER": "always_off"}, 0, 0),
                           ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}, 130, 270)):
        with _start() as httpd:
            e = attach(httpd.pid, env=clean_env(**env))
            until("it observes", lambda: "observing" in e.err(), 20)
            _requests(httpd, 400)
            time.sleep(0.5)
            spans, summary = e.finish()
            assert few <= len(spans) <= many, f"{env}: {len(spans)} of 400 spans"
            assert losses(summary).get("sampled_out", 0) == 400 - len(spans), summary


def _down():
    """Nobody listens: the program is not held up, the end comes soon, losses are told."""
    with _start() as httpd:
        with attach(httpd.pid, options=["--otlp", f"http://127.0.0.1:{free_port()}"],
                    observe=[httpd.where["http"]]) as earshot:
            _requests(httpd, 200)
            earshot.wait_spans(200)
            started = time.monotonic()
            printed, summary = earshot.finish()
            took = time.monotonic() - started
        assert len(printed) == 200, len(printed)
        assert took < 12, f"ending took {took:.1f} s"
        lost = losses(summary)
        assert lost.get("sink_refused", 0) + lost.get("sink_queue_full", 0) >= 200, summary
        assert "none lost" not in earshot.err() and " not taken by an output (" in earshot.err(), earshot.err()
        assert len(earshot.err().splitlines()) < 12, f"too much said: {earshot.err()}"


def _comes_up_late():
    port = free_port()
    with _start() as httpd:
        with attach(httpd.pid, options=["--otlp", f"http://127.0.0.1:{port}"],
                    observe=[httpd.where["http"]]) as earshot:
            _requests(httpd, 100)
            earshot.wait_spans(100)
            time.sleep(3)
            with FakeCollector(port) as fake:
                _settled(fake, 100, 40)
                printed, summary = earshot.finish()
                same(printed, fake.spans)
            assert not losses(summary).get("sink_refused"), summary


def _slow():
    _faulty(lambda n: (200, {}, 1.5, b""), settle=20)


def _busy():
    """503 with Retry-After: later again, not sooner, and nothing twice."""
    fake, _, summary = _faulty(
        lambda n: (503, {"Retry-After": "2"}, 0, b"") if n < 2 else (200, {}, 0, b""), settle=30)
    gap = fake.requests[1]["at"] - fake.requests[0]["at"]
    assert gap >= 1.8, f"asked again after {gap:.2f} s although Retry-After said 2"
    assert not losses(summary).get("sink_refused"), summary


def _refuses():
    """400 is final: not sent again, counted."""
    fake, printed, summary = _faulty(lambda n: (400, {}, 0, b""), complete=False)
    assert losses(summary).get("sink_refused", 0) >= len(printed), summary
    assert len(fake.requests) < 60, f"{len(fake.requests)} requests for 200 spans: sent again?"


def _partial():
    """partial_success: what the collector rejects is counted."""
    reply = b"\x0a\x0b\x08\x05\x12\x07too old"  # rejected_spans: 5, error_message
    _, _, summary = _faulty(lambda n: (200, {}, 0, reply if n == 0 else b""))
    assert losses(summary).get("sink_refused", 0) == 5, summary


def tests():
    yield Test("collector-http", lambda: _real("http"), 90)
    yield Test("collector-http-gzip", lambda: _real("http", {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}), 90)
    yield Test("collector-grpc", lambda: _real("grpc"), 90)
    yield Test("fake-plain", _plain)
    yield Test("fake-gzip", _gzip)
    yield Test("fake-headers", _headers)
    yield Test("environment", _environment)
    yield Test("sampler", _sampler)
    yield Test("collector-down", _down)
    yield Test("collector-comes-up-late", _comes_up_late, 90)
    yield Test("collector-slow", _slow)
    yield Test("collector-busy", _busy, 90)
    yield Test("collector-refuses", _refuses)
    yield Test("partial-success", _partial)
