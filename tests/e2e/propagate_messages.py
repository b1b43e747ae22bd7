"""--propagate into messages: what tests/go/mailer sends, ten kinds of messages at once and under GOGC=5, is read by a server
that shares no code with it (tests/lib/wire_messages.py). Each message arrives as the program made it, with one line more, or
as it is; what that says is what Earshot says of the message; and whoever handles it elsewhere finds its sender by it."""

import collections
import json
import os
import signal
import subprocess
import time

import wire
from backends import Broker
from earshot import Earshot, need_earshot
from proc import BIN, EARSHOT, Process, Skip, clean_env, public_copy, scratch, until
from target import MINORS
from testing import Test, scaled
from wire_messages import Nats

OLD, NEW = "1.21", MINORS[-1]
OWNERS, TOO_LARGE, LIMITED = {1, 3}, {6}, {7}
PARALLEL = 50
LONG = 1 + scaled(0, 0, "PROPAGATE") // 10000  # of make soak-propagate
Result = collections.namedtuple("Result", "seen summary spans")


class Mailer(Process):
    """Sends what it is to once go() is called."""

    def __init__(self, program, *args, path=None, prefix=(), **env):
        path = path or BIN / f"mailer-go{program}"
        if not path.exists():
            raise Skip(f"{path.name} was not built")
        super().__init__([*prefix, path, *args], env=clean_env(GOGC=5, **env), stdin=subprocess.PIPE)
        until("it is ready", lambda: self.out().strip() or not self.alive())
        assert self.alive(), self.describe()

    def go(self):
        self.popen.stdin.write(b"\n")
        self.popen.stdin.flush()

    def told(self, messages=0):
        """What it says in the end."""
        return json.loads(until("all is sent", lambda: (self.out() + "\n").split("\n", 2)[1], 60 + messages / 200))


def _attach(pid, *options, prefix=()):
    """prefix: without privileges, and nothing is planted."""
    how = {"prefix": prefix, "binary": public_copy(EARSHOT)} if prefix else {}
    e = Earshot("attach", "-p", str(pid), *(() if prefix else ("--planter", "patch")), "-o", "json", *options, **how)
    until("the program is observed", lambda: e.check_alive() and "observing " in e.err(), 30)
    return e


def _seen_by(server, messages):
    until("all has arrived", lambda: server.errors or len(server.seen) >= messages, 30)
    assert not server.errors, server.errors[:3]
    assert len(server.seen) == messages, len(server.seen)
    return server.seen


def _run(program, messages, *options, path=None, prefix=(), **info):
    server = Nats(**info)
    with Mailer(program, "nats", server.url, messages, PARALLEL, path=path, prefix=prefix) as mailer:
        with _attach(mailer.pid, *options, prefix=prefix) as e:
            mailer.go()
            told = mailer.told(messages)
            _, summary = e.finish()
            spans = [s for s in e.objects() if s.get("kind") in ("client", "producer")]
    server.close()
    assert told["sent"] == messages and not told["failed"], (told, mailer.err())
    return Result(_seen_by(server, messages), summary, spans)


def _classes(seen):
    """By kind: how many there are of each class. None is malformed, or there twice."""
    classes, ours = collections.defaultdict(collections.Counter), {}
    for s in seen:
        assert len(s.traceparents) <= 1, s
        value = s.traceparents[0] if s.traceparents else None
        classes[s.kind]["none" if not value else "own" if value == wire.OWN else "ours"] += 1
        if value and value != wire.OWN:
            assert wire.VALID.fullmatch(value) and value not in ours, s
            ours[value] = s
    return classes, ours


def _check(program):
    return check_nats(program, scaled(10000 if program[:4] == NEW else 3000, 2000, "PROPAGATE"))


def check_nats(program, messages, path=None, prefix=()):
    """path: of a mailer that is woven; prefix: without privileges."""
    need_earshot(root=not prefix)
    before = _run(program, 200, path=path, prefix=prefix).seen
    assert not _classes(before)[1], "a header without --propagate"
    seen, summary, spans = _run(program, messages, "--propagate", path=path, prefix=prefix)
    classes, ours = _classes(seen)
    each = messages // 10
    for k in range(10):
        assert classes[k] == {"own" if k in OWNERS else "none" if k in TOO_LARGE | LIMITED else "ours": each}, (k, classes)
    assert {(s.kind, s.rest) for s in seen} == {(s.kind, s.rest) for s in before}, "other bytes differ, too"
    by_ids = {(s["trace_id"], s["span_id"]): s for s in spans}
    assert len(spans) == messages, len(spans)
    for value, s in ours.items():
        _, trace, span, flags = value.split("-")
        assert (trace, span) in by_ids, f"no span has the ids of {s}"
        found = by_ids[trace, span]
        assert found["attributes"]["messaging.destination.name"] == f"box.{s.kind}.{s.number}", (s, found)
        assert found["kind"] == ("client" if s.kind > 7 else "producer") and flags == "01", (s, found)
    counted = {k: v for k, v in summary["propagated"].items() if v}
    assert counted == {"written": len(ours), "present": 2 * each, "too_large": each, "limited": each}, counted
    return f"{len(ours)} of {messages} got one: {counted}"


# The calls of go/mailer, by which it is seen whose trace context a message has.
CALLS = """
pack: calls
about: the calls of go/mailer
packages: [main]
spans:
- name: call
  kind: internal
  titles: [call]
  points:
  - name: call
    role: start
    variants:
    - func: main.deliver(n int64, w *github.com/segmentio/kafka-go.Writer, all []github.com/segmentio/kafka-go.Message) error
      capture: {number: n}
  - name: called
    role: end
    variants:
    - func: main.deliver(n int64, w *github.com/segmentio/kafka-go.Writer, all []github.com/segmentio/kafka-go.Message) error
      at: return
"""


def _read(broker, messages):
    """What is in the topic, as another library has it."""
    with Mailer(f"{NEW}-sw", "read", broker.kafka, messages) as reader:
        reader.go()
        reader.told(messages)
        records = [json.loads(line) for line in reader.err().splitlines()]
    seen = []
    for r in records:
        kind, number = r["key"].split(".")
        seen.append(wire.Seen(int(kind), int(number), tuple(v for k, v in r["headers"] if k.lower() == "traceparent"),
                              (r["value"], r["null"], tuple((k, v) for k, v in r["headers"] if k.lower() != "traceparent"))))
    return seen


def calls_pack():
    """The calls of go/mailer, as a pack."""
    pack = scratch() / "calls.yaml"
    pack.write_text(CALLS)
    pack.parent.chmod(0o755)
    return pack


def _produce(kind, messages, count, *options, path=None, prefix=()):
    """count: how many records it is in the end."""
    with Broker(f"mq-go{NEW}-sw") as broker:
        with Mailer(f"{NEW}-sw", kind, broker.kafka, messages, PARALLEL, path=path, prefix=prefix) as mailer:
            with _attach(mailer.pid, "--packs", "kafka-go", "--packs", calls_pack(), *options, prefix=prefix) as e:
                mailer.go()
                told = mailer.told(messages)
                _, summary = e.finish()
                spans = [s for s in e.objects() if "trace_id" in s]
        assert not told["failed"], (told, mailer.err())
        return Result(_read(broker, count), summary, spans)


def _of_calls(ours, spans):
    """Each trace context is of the call that sent the message."""
    by_ids = {s["span_id"]: s for s in spans}
    for value, number in ours.items():
        _, trace, span, flags = value.split("-")
        assert span in by_ids and by_ids[span]["trace_id"] == trace and flags == "01", value
        call = by_ids[by_ids[span]["parent_span_id"]]
        assert call["attributes"]["number"] == number, (value, number, call)


def _kafka():
    return check_kafka(scaled(3000, 1000, "PROPAGATE"))


def check_kafka(messages, path=None, prefix=()):
    """path: of a mailer that is woven, with the calls' pack; prefix: without privileges."""
    need_earshot(root=not prefix)
    each = messages // 10
    seen, summary, spans = _produce("kafka", messages, messages + 2 * each, "--propagate", path=path, prefix=prefix)
    before = _produce("kafka", 200, 240, path=path, prefix=prefix).seen
    ours, classes = {}, collections.defaultdict(collections.Counter)
    for s in seen:
        assert len(s.traceparents) <= 1, s
        value = s.traceparents[0] if s.traceparents else None
        classes[s.kind]["none" if not value else "own" if value == wire.OWN else "ours"] += 1
        if value and value != wire.OWN:
            assert wire.VALID.fullmatch(value) and ours.setdefault(value, s.number) == s.number, s
    assert len(ours) == messages - 3 * each, len(ours)
    for k in range(10):
        assert classes[k] == {"own" if k in OWNERS else "none" if k in TOO_LARGE else "ours": (3 if k == 5 else 1) * each}, (k, classes)
    assert {(s.kind, s.rest) for s in seen} == {(s.kind, s.rest) for s in before}, "other bytes differ, too"
    _of_calls(ours, spans)
    counted = {k: v for k, v in summary["propagated"].items() if v}
    assert counted == {"written": messages - each, "present": 2 * each, "too_large": each}, counted
    return f"{counted}"


def _full():
    """A batch that is as large as it may be stays as it is, and is taken."""
    need_earshot()
    seen, summary, spans = _produce("fill", 20000, 20000, "--propagate")
    ours = {s.traceparents[0]: 1 for s in seen if s.traceparents}
    written = sum(1 for s in seen if s.traceparents)
    assert len(ours) <= 1 and written < 20000, (len(ours), written)
    _of_calls(ours, spans)
    counted = {k: v for k, v in summary["propagated"].items() if v}
    assert sum(counted.values()) == 20000 and counted.get("written", 0) == written, counted
    return f"{counted}"


def _limited():
    """A server that has no headers gets none."""
    need_earshot()
    server = Nats(headers=False)
    with Mailer(f"{NEW}-sw", "nats", server.url, 1, 1) as mailer:  # the first is of kind 1: it has headers, and fails
        with _attach(mailer.pid, "--propagate") as e:
            mailer.go()
            assert mailer.told()["failed"] == 1
            _, summary = e.finish()
    server.close()
    assert not server.seen and not server.errors, server.errors
    assert {k: v for k, v in summary["propagated"].items() if v} == {"limited": 1}, summary


def _found():
    """What writes is found in each build; where a planter cannot, it is refused by its name."""
    need_earshot(root=False)
    for program in (f"{NEW}-sw", f"{OLD}-plain"):
        path = BIN / f"mailer-go{program}"
        if not path.exists():
            raise Skip(f"{path.name} was not built")
        for planter in ("patch", "uprobe"):
            with Earshot("inspect", "--propagate", "--planter", planter, path) as e:
                assert e.wait(30) == 0, e.err()
                rows = [line.split(None, 2) for line in e.out().splitlines() if " publish/headers" in line]
            if planter == "patch":
                assert [r[1] for r in rows] == ["inject", "release"] and not any(r[2].startswith("refused") for r in rows), rows
            else:
                refused = [r for r in rows if r[2].startswith("refused")]
                assert [r[1] for r in refused] == ["inject"], rows
                assert program[:4] != NEW or "--planter patch" in refused[0][2], rows


def _refused():
    """What cannot be done is said by its name."""
    need_earshot(root=False)
    path = BIN / f"mq-go{NEW}-sw"
    if not path.exists():
        raise Skip(f"{path.name} was not built")
    with Earshot("inspect", "--propagate", "--planter", "patch", path) as e:
        assert e.wait(30) == 0, e.err()
        rows = [line for line in e.out().splitlines() if " produce/headers" in line]
    assert len(rows) == 1 and "refused: " in rows[0] and "kgo.(*Client).produce: a record is the program's own" in rows[0], rows


def _loans(pid):
    """The process's mappings that are ours."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as f:
        return [line for line in f if "memfd:earshot" in line]


def _come_and_go(mailer, until_seen):
    """Earshots, of which each second one is killed, until that says that it is enough; how many there were, how many were killed,
    and what the others say that they have written."""
    written = cycles = killed = 0
    while not until_seen(None) and cycles < 40:
        with _attach(mailer.pid, "--propagate") as e:
            until_seen(e)
            if cycles % 2:
                os.kill(e.pid, signal.SIGKILL)
                e.popen.wait()
                killed += 1
                until("its helper is through", lambda: not _loans(mailer.pid), 10)
            else:
                _, summary = e.finish()
                written += summary["propagated"]["written"]
        assert not _loans(mailer.pid), _loans(mailer.pid)
        cycles += 1
    assert killed and written, (cycles, written)
    return f"while {cycles} Earshots came and went, of which {killed} were killed", written


def _meanwhile():
    """Earshots come and go, and are killed, while messages are under way."""
    need_earshot()
    messages = scaled(40000, 20000, "PROPAGATE_MEANWHILE")
    server = Nats()

    def until_seen(e):
        if not e:
            return len(server.seen) >= messages * 0.8
        want = min(len(server.seen) + messages // 40, messages)
        return until("messages arrive", lambda: server.errors or len(server.seen) >= want, 30)

    with Mailer(f"{NEW}-sw", "nats", server.url, messages, PARALLEL) as mailer:
        mailer.go()
        said, written = _come_and_go(mailer, until_seen)
        told = mailer.told(messages)
    server.close()
    assert not told["failed"], (told, mailer.err())
    classes, ours = _classes(_seen_by(server, messages))
    assert sum(classes[k]["own"] for k in OWNERS) == messages // 5
    assert len(ours) >= written, f"{len(ours)} arrived, and {written} were written"
    return f"{len(ours)} of {messages} {said}"


def _meanwhile_kafka():
    need_earshot()
    messages = scaled(8000, 8000, "PROPAGATE_MEANWHILE")
    each = messages // 10

    def until_seen(e):
        if e:
            time.sleep(0.2)
        return mailer.out().count("\n") > 1

    with Broker(f"mq-go{NEW}-sw") as broker:
        with Mailer(f"{NEW}-sw", "kafka", broker.kafka, messages, 8) as mailer:
            mailer.go()
            said, written = _come_and_go(mailer, until_seen)
            told = mailer.told(messages)
            assert not told["failed"], (told, mailer.err())
        seen = _read(broker, messages + 2 * each)
    assert all(len(s.traceparents) <= 1 for s in seen)
    ours = [s for s in seen if s.traceparents and s.traceparents[0] != wire.OWN]
    assert all(wire.VALID.fullmatch(s.traceparents[0]) for s in ours)
    assert sum(s.traceparents == (wire.OWN,) for s in seen) == 2 * each
    assert len({s.traceparents[0] for s in ours}) == len({s.number for s in ours}) and len(ours) >= written, (len(ours), written)
    return f"{len(ours)} of {len(seen)} {said}"


def _blocked(kill):
    """Earshot leaves, or is killed, while a call waits for a server that does not read: what was lent to it stays, and is what
    arrives in the end."""
    need_earshot()
    server = Nats()
    with Mailer(f"{NEW}-sw", "block", server.url, 1) as mailer:
        with _attach(mailer.pid, "--propagate") as e:
            server.reading.clear()
            mailer.go()
            mailer.told()
            time.sleep(1)
            if kill:
                os.kill(e.pid, signal.SIGKILL)
                e.popen.wait()
                until("its helper is through", lambda: len(_loans(mailer.pid)) == 1, 20)
            else:
                e.finish()
                assert "has not returned" in e.err(), e.err()
                assert len(_loans(mailer.pid)) == 1, _loans(mailer.pid)
            server.reading.set()
            seen = _seen_by(server, 2000)
        with _attach(mailer.pid, "--propagate"):  # nothing is in the way of the next one
            pass
        assert mailer.alive(), mailer.describe()
    server.close()
    _, ours = _classes(seen)
    assert ours and len(ours) < 1000, len(ours)
    return f"{len(ours)} of 2000 got one"


def _joined():
    """Two observers that know nothing of each other: handlers have the senders of their messages as parents."""
    need_earshot()
    messages = 100
    with Broker(f"mq-go{NEW}-sw") as broker:
        with Mailer(f"{NEW}-sw", "store", broker.nats, messages) as mailer, \
             Mailer(f"{NEW}-sw", "handle", broker.nats, messages) as handler:
            with _attach(handler.pid) as behind, _attach(mailer.pid, "--propagate") as e:
                handler.go()
                mailer.go()
                assert not mailer.told()["failed"] and not handler.told()["failed"], (mailer.err(), handler.err())
                behind.wait_spans(messages, kind="consumer")
                e.finish()
                behind.finish()
                senders = {(s["trace_id"], s["span_id"]): s for s in e.spans("producer")}
                handled = behind.spans("consumer")
    assert len(handled) == messages and len(senders) == messages, (len(handled), len(senders))
    for s in handled:
        sender = senders[s["trace_id"], s["parent_span_id"]]
        name = "messaging.destination.name"
        assert s["attributes"]["earshot.parent.source"] == "header" and s["attributes"][name] == sender["attributes"][name], s
    return f"{messages} handlers joined"


def tests():
    yield Test("found", _found)
    yield Test("refused", _refused)
    for program in (f"{NEW}-sw", f"{OLD}-plain"):
        yield Test(f"nats-{program}", lambda p=program: _check(p), 120 * LONG)
    yield Test("kafka-go", _kafka, 120 * LONG)
    yield Test("kafka-go-full", _full)
    yield Test("limited", _limited)
    yield Test("joined", _joined)
    yield Test("blocked", lambda: _blocked(False))
    yield Test("blocked-killed", lambda: _blocked(True))
    yield Test("meanwhile", _meanwhile, 120 * LONG)
    yield Test("meanwhile-kafka", _meanwhile_kafka, 120 * LONG)
