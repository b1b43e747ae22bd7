"""Spans that a program makes by hand with OpenTelemetry's API, without an SDK (go/manual): with their names, kinds,
attributes and errors, in the trace of their order and below what they were begun under. Each has the number of its order,
and says what its parent is called. Garbage is collected all the time: what nobody ends leaves its memory to others."""

import collections
import subprocess

from earshot import Earshot, losses, need_earshot, patched
from proc import BIN, Process, Skip, clean_env, json_lines, until
from testing import Test, scaled

ORDERS = 120
KINDS = {"handle": "internal", "charge": "internal", "ship": "producer", "audit": "internal", "leaf": "internal"}


class Manual(Process):
    def __init__(self, build, *args):
        path = BIN / f"manual-{build}"
        if not path.exists():
            raise Skip(f"{path.name} was not built")
        super().__init__([path, *args], stdin=subprocess.PIPE, env=clean_env(GOGC="5"))
        until("it listens", lambda: next(json_lines(self.out()), None), 60)
        self.begun = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def orders(self, n):
        self.begun += n
        self.popen.stdin.write(f"{n}\n".encode())
        self.popen.stdin.flush()
        until(f"{n} orders are done", lambda: any(o.get("did") == self.begun for o in json_lines(self.out())), 60)


def _attributes(span, n):
    """What it has of its own, but for the order's number, what it is under and how its parent is known."""
    a = dict(span["attributes"])
    assert a.pop("otel.scope.name") == "shop/orders" and span["pack"] == "otel-api", span
    assert a.pop("order") == n and span["kind"] == KINDS[span["name"]], span
    a.pop("under", None)
    a.pop("earshot.parent.source")
    return a


def _charge(n, build):
    want = {"paid": n % 2 == 0, "sum": n + 0.5, "lines": f'["tea","{n}"]', "counts": "[1,-2]", "late": n}
    if build.startswith("go1.21"):  # arrays that are made at run time, which the binary does not describe
        del want["lines"], want["counts"]
    return want


def _check_order(n, spans, by_id, build):
    found = {s["name"]: s for s in spans}
    assert sorted(found) == sorted(KINDS) and len(spans) == len(KINDS), f"order {n}: {sorted(s['name'] for s in spans)}"
    for name, s in found.items():
        parent = by_id.get(s["parent_span_id"])
        under, source = s["attributes"].get("under"), s["attributes"]["earshot.parent.source"]
        if name == "audit":
            assert (s["parent_span_id"], source) == ("", "none") and s["trace_id"] != found["handle"]["trace_id"], s
            continue
        assert source == "context" and parent and parent["trace_id"] == s["trace_id"], (s, parent)
        assert (parent["kind"] == "server" if under == "server" else parent is found["handle"]), (s, parent)
        assert under or parent["attributes"]["order"] == n, (s, parent)
    # The leaf's server, its client and the charge that is around it.
    server = by_id[found["leaf"]["parent_span_id"]]
    client = by_id[server["parent_span_id"]]
    assert (client["kind"], by_id[client["parent_span_id"]]) == ("client", found["charge"]), (server, client)
    assert client["attributes"]["earshot.parent.source"] == "context", client
    assert server["attributes"]["url.query"] == f"order={n}", server
    assert by_id[found["handle"]["parent_span_id"]]["attributes"]["url.query"] == f"order={n}", found["handle"]
    assert {s["trace_id"] for name, s in found.items() if name != "audit"} == {found["handle"]["trace_id"]}, found
    values = {name: _attributes(s, n) for name, s in found.items()}
    assert values["charge"] == _charge(n, build), (values["charge"], _charge(n, build))
    events = found["charge"]["events"]
    assert [(v["name"], v["attributes"]) for v in events] == [
        ("authorised", {"amount": n, "risky": n % 2 == 0}), ("settled", {})], events
    start, end = found["charge"]["start_unix_ns"], found["charge"]["start_unix_ns"] + found["charge"]["duration_ns"]
    assert start <= events[0]["unix_ns"] <= found["leaf"]["start_unix_ns"] <= events[1]["unix_ns"] <= end, found
    failed = n % 3 == 0
    assert values["ship"] == ({"exception.type": "*errors.errorString", "error.type": "_OTHER"} if failed else {}), values
    assert [found["ship"].get(k) for k in ("status", "status_text")] == (
        ["error", "not shipped"] if failed else ["unset", None]), found["ship"]
    assert not values["handle"] and not values["audit"] and not values["leaf"], values


def _own(earshot):
    return [o for o in earshot.objects() if o.get("pack") == "otel-api"]


def _run(build, *args):
    need_earshot()
    n = scaled(ORDERS, 40, "OTEL_API_ORDERS")
    with Manual(build, *args) as program:
        e = Earshot("attach", "-x", f"manual-{build}", "-o", "json")  # not alone: connections are looked at
        try:
            until("it is observed", lambda: e.check_alive() and "observing " in e.err(), 30)
            program.orders(20)
            first = program.begun
            program.orders(n)
            until("the last order's spans", lambda: len(_own(e)) >= len(KINDS) * n, 10)
            summary = e.finish()[1]
        finally:
            e.kill()
    spans = [o for o in e.objects() if "trace_id" in o]
    own = [s for s in spans if s["pack"] == "otel-api"]
    assert not [s["name"] for s in own if s["name"] == "POST /order"], "what a pack knows is there twice"
    by_id, of = {s["span_id"]: s for s in spans}, collections.defaultdict(list)
    for s in own:
        of[s["attributes"]["order"]].append(s)
    for k in range(first, program.begun):
        _check_order(k, [s for s in of[k] if s["name"] != "leak"], by_id, build)
    lost = {name: count for name, count in losses(summary).items() if count}
    lost.pop("unpaired_start", None)  # a span that is never ended, when its memory was used again
    if build.startswith("go1.21"):
        lost.pop("value_unreadable", None)
    assert not lost, summary
    return f"{len(own)} spans by hand of {len(spans)}"


def _too_short():
    """The methods of the API's own span have no room for a jump: that is said once, and its other spans are observed."""
    need_earshot()
    with Manual("go1.27-sw") as program:
        e = Earshot("attach", "-x", "manual-go1.27-sw", "-o", "json")
        try:
            until("it is observed", lambda: e.check_alive() and "observing " in e.err(), 30)
            program.orders(3)
            e.wait_spans(6, 10)
            e.finish()
        finally:
            e.kill()
    said = [line for line in e.err().splitlines() if "cannot be patched" in line]
    assert len(said) == 1 and "newSpan: " in said[0] and "nonRecordingSpan" in said[0], said
    assert e.spans() and not _own(e), e.objects()


def tests():
    for minor in ("1.21", "1.27"):
        for kind in ("plain", "sw"):
            yield Test(f"go{minor}-{kind}", lambda b=f"go{minor}-{kind}": _run(b))
    auto = Test("auto-go1.27-sw", lambda: _run("go1.27-sw", "auto"))
    yield patched(Test("too-short", _too_short))
    yield auto
    yield patched(auto)
