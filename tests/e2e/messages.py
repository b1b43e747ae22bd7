"""Messages: each that go/mq sends is one span with exactly these names, attributes and errors, whatever the libraries do
beneath; each that a handler of the library's is called for is one, too, in the trace that its own header names or in one of
its own, never in that of the message before."""

import functools

from backends import Broker
from earshot import Earshot, losses, need_earshot, patched
from proc import BIN, Skip
from testing import Test

NEWEST, OLDER = "1.27", "1.21"
PACKS = ("nats", "kafka-go", "franz-go")


def _run(build):
    """The spans of a run, in the order of their starts, and the brokers."""
    need_earshot()
    binary = BIN / f"mq-go{build}" if isinstance(build, str) else build
    if not binary.exists():
        raise Skip(f"{binary.name} was not built")
    with Broker(f"mq-go{NEWEST}-sw") as broker:
        with Earshot("run", "-o", "json", "--", binary, broker.nats, broker.kafka) as e:
            assert e.wait(60) == 0, e.describe()
            assert "done" in e.out(), e.out()[-500:]
            spans, summary = [o for o in e.objects() if "trace_id" in o], e.summary()
    lost = {k: v for k, v in losses(summary).items() if v}
    assert not lost and not summary["open"], summary
    return sorted(spans, key=lambda s: s["start_unix_ns"]), broker


# ---- what is to come: (name, kind, {attributes}, error) ----

def _nats(operation, subject, size, error=None, **more):
    kind = {"publish": "producer", "request": "client", "process": "consumer"}[operation]
    temporary = subject == INBOX
    named = more.pop("named", subject)
    return (operation if temporary else f"{operation} {named}", kind,
            {"messaging.destination.name": subject, "messaging.message.body.size": size,
             "messaging.operation.name": operation, "messaging.operation.type": "process" if operation == "process" else "send",
             "messaging.system": "nats", **({"messaging.destination.temporary": True} if temporary else {}),
             **{k.replace("__", "."): v for k, v in more.items()}}, error)


INBOX = "_INBOX."  # and what follows is never the same


def _handled(subject, n):
    """A message that is stored, and its handler, which sends another one."""
    return [_nats("publish", subject, 1), _nats("process", subject, 1), _nats("publish", f"handled.{n}", 0)]


def _served(n):
    request = [_nats("request", "price.tea", 1),
               _nats("process", "price.tea", 1, "404" if not n else None, named="price.*",
                     messaging__destination__template="price.*", messaging__consumer__group__name="group")]
    return [*request, *([_nats("publish", "asked", 0)] if n else []), _nats("publish", INBOX, 2 if n else 0)]


NATS = [
    _nats("publish", "orders", 5), _nats("publish", "orders", 1), _nats("publish", "empty", 0),
    _nats("publish", "large", 2 << 20, "max_payload"),
    _nats("request", "answers", 1), _nats("publish", INBOX, 3),
    _nats("request", "answers", 2), _nats("publish", INBOX, 3),
    _nats("request", "answers", 1), _nats("publish", INBOX, 3),
    _nats("request", "nobody", 0, "no_responders"), _nats("request", "silence", 0, "timeout"),
    *_handled("store.plain", 0), *_handled("store.traced", 1), *_handled("store.plain", 0), *_handled("store.traced", 3),
    *_handled("store.plain", 0),
    _nats("publish", "nowhere", 0, "*github.com/nats-io/nats.go/jetstream.jsError"),
    _nats("publish", "store.older", 3),
    *_served(7), *_served(0), *_served(8),
    _nats("publish", "closed", 0, "connection_closed"),
    *2 * [_nats("publish", "within", 0)],
]


def _kafka(topic, error=None, **more):
    return (f"send {topic}" if topic else "send", "producer",
            {"messaging.destination.name": topic, "messaging.operation.name": "send", "messaging.operation.type": "send",
             "messaging.system": "kafka", **{k.replace("__", "."): v for k, v in more.items()}}, error)


def _batch(topic, n):
    return _kafka(topic, messaging__batch__message_count=n)


KAFKA_GO = [
    _kafka("orders"), _batch("orders", 3), _kafka("audit"), _batch(None, 2),
    _kafka("nowhere", "UNKNOWN_TOPIC_OR_PARTITION"), _kafka("orders", "canceled"), _kafka("orders", "*errors.errorString"),
    *2 * [_kafka("audit")],
]


def _record(topic, partition=None, offset=None, error=None):
    return _kafka(topic, error, messaging__message__body__size=5, messaging__destination__partition__id=partition,
                  messaging__kafka__offset=offset)


# Offsets are the broker's, which counts what came before.
FRANZ_GO = [
    _record("orders", "1", int), _record("audit", "0", int), _record("nowhere", error="UNKNOWN_TOPIC_OR_PARTITION"),
    *2 * [_record("orders", "1", int)], *2 * [_record("orders", "0", int)],
]


def _compare(pack, spans, expected):
    for i in range(max(len(spans), len(expected))):
        name, kind, want, error = expected[i] if i < len(expected) else ("nothing", "", {}, None)
        got = spans[i] if i < len(spans) else {"name": "nothing", "kind": "", "attributes": {}, "status": "unset"}
        attributes = {k: v for k, v in got["attributes"].items() if not k.startswith("earshot.parent")}
        if attributes.get("messaging.destination.name", "").startswith(INBOX):
            attributes["messaging.destination.name"] = INBOX
        if isinstance(attributes.get("messaging.kafka.offset"), int):
            attributes["messaging.kafka.offset"] = int
        want = {k: v for k, v in {**want, "error.type": error}.items() if v is not None}
        if (got["name"], got["kind"]) != (name, kind) or attributes != want or (got["status"] == "error") != bool(error):
            yield (f"{pack} {i}: {got['name']} {got['kind']} {got['status']} {attributes}\n"
                   f"    not {name} {kind} {error or 'unset'} {want}")


# ---- parents ----

def _source(span):
    return span["attributes"]["earshot.parent.source"]


def _parents(spans):
    """A handler is in the trace of its own message, and what it sends below it; nothing else has a parent, but what is sent
    within a request."""
    by_id = {s["span_id"]: s for s in spans}
    traces = []
    for s in spans:
        parent, name = by_id.get(s["parent_span_id"]), s["name"]
        if s["kind"] == "consumer":
            known = _source(s) == "header"
            assert known or (_source(s) == "none" and not s["parent_span_id"]), s
            assert not known or s["parent_span_id"] == f"{int(s['trace_id'], 16):016x}", s
            traces.append(int(s["trace_id"], 16) if known else 0)
        elif name.startswith("publish handled.") or name == "publish asked":
            assert parent and parent["kind"] == "consumer" and _source(s) == "goroutine", (s, parent)
        elif name == "publish within":
            assert parent and parent["kind"] == "server" and _source(s) == "goroutine", (s, parent)
    assert traces == [0, 1, 0, 3, 0, 7, 0, 8], traces
    for server in (s for s in spans if s["kind"] == "server"):
        below = sorted((s["name"], _source(s)) for s in spans if s["parent_span_id"] == server["span_id"])
        assert below == [("publish within", "goroutine"), ("send audit", "context"), ("send orders", "context")], below


def messages(build):
    """build: or a path."""
    spans, broker = _run(build)
    # Where each of them goes. A server that was asked for by name is not the one's address.
    nats = {"server.address": "127.0.0.1", "server.port": broker.port(broker.nats)}
    kafka = {"server.address": "127.0.0.1", "server.port": broker.port(broker.kafka)}
    wrong = []
    for pack, expected, common in (("nats", NATS, nats), ("kafka-go", KAFKA_GO, kafka), ("franz-go", FRANZ_GO, {})):
        own = [s for s in spans if s["pack"] == pack]
        wrong += _compare(pack, own, [(n, k, {**(common if k != "consumer" else {}), **a}, e) for n, k, a, e in expected])
    assert not wrong, f"{len(wrong)} spans are other ones:\n  " + "\n  ".join(wrong[:8])
    _parents(spans)
    return f"{len(spans)} spans"


def tests():
    for minor in (NEWEST, OLDER):
        stripped = Test(f"go{minor}-sw", functools.partial(messages, f"{minor}-sw"))
        yield stripped
        yield patched(stripped)
        yield patched(Test(f"go{minor}-plain", functools.partial(messages, f"{minor}-plain")))
