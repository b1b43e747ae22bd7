"""Traces are decided where their first probe fires: each is whole or absent, whatever hands its work on, and nothing is
written of what is left out. go/fanout's requests carry their number through every hop, so who reads knows the truth."""

import collections
import http.client

from earshot import Earshot, and_patched, losses, need_earshot
from fanout import Fanout, callers, said
from proc import EARSHOT, clean_env, public_copy, until
from target import MINORS, Httpd, built, get
from testing import Test

CALLERS, REQUESTS = 4, 40
# What is asked for a request while it is open, in ways that a probe always knows. A goroutine whose id is out of a
# batch that another processor had before the request is not known to be its child ("lineage"). The worker that uses no
# context of the request's, and who goes on behind its end, begin traces of their own; "impatient" may not begin at all.
CHILDREN = {"direct": 1, "goroutine": 1, "group": 2, "pool": 1, "pipeline": 1, "deep": 1, "uncancelled": 1, "timer": 1,
            "cancelled": 1}
ASK = "main.ask(ctx context.Context, n string, via string)"
ALONE = {"lost", "late"}
ENDS_OF_A_CONNECTION = 2  # points of the pack that are passed at the end of each connection, too
SAMPLED, LEFT_OUT = "00-{:032x}-00f067aa0ba902b7-01", "00-{:032x}-00f067aa0ba902b7-00"


def _observe(pid, *options, prefix=(), **env):
    e = Earshot("attach", "-p", str(pid), "-o", "json", *options, env=clean_env(**env), prefix=prefix,
                binary=public_copy(EARSHOT) if prefix else EARSHOT)
    until("the program is observed", lambda: e.check_alive() and "observing " in e.err(), 30)
    return e


def _ask(connection, path, traceparent=None):
    connection.request("GET", path, headers={"traceparent": traceparent} if traceparent else {})
    assert connection.getresponse().read()


def _callers(port, calls):
    """Each caller has a connection of its own, and a share of the numbers."""
    def run(who):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        for i in range(REQUESTS):
            calls(c, 1 + who * REQUESTS + i)
        c.close()
    callers(CALLERS, run)


def _said(span):
    """The functions that ask have both as arguments."""
    a = span["attributes"]
    if span["kind"] == "internal":
        return int(a["n"]), a["via"]
    return said(span)


def _traces(spans):
    """By number: the server span, and how many clients there are of each way, and of the functions that ask."""
    servers, clients, functions = {}, collections.defaultdict(collections.Counter), collections.defaultdict(
        collections.Counter)
    for s in spans:
        number, way = _said(s)
        if s["kind"] == "server":
            assert number not in servers, s
            servers[number] = s
        elif way not in ALONE:
            (clients if s["kind"] == "client" else functions)[number][way] += 1
    return servers, clients, functions


def whole_or_absent(minor, path=None, functions=("--span", ASK), prefix=()):
    """A ratio, and an upstream flag for every third and fourth request. path: of another build of it."""
    need_earshot()
    with Fanout(minor, path=path) as leaf, Fanout(minor, "-leaf", leaf.address, path=path, prefix=prefix) as front:
        with _observe(front.pid, *functions, prefix=prefix, OTEL_TRACES_SAMPLER="parentbased_traceidratio",
                      OTEL_TRACES_SAMPLER_ARG="0.5") as e:
            flags = {2: SAMPLED, 3: LEFT_OUT}

            def calls(c, n):
                _ask(c, f"/work?n={n}", flags[n % 4].format(n) if n % 4 in flags else None)
            get(front.port, "/work?n=0", "tests")  # its workers are nobody's children
            _callers(front.port, calls)
            total = CALLERS * REQUESTS
            _, summary = e.finish()
            spans = [s for s in e.objects() if "trace_id" in s and _said(s)[0] != 0]
    servers, clients, functions_of = _traces(spans)
    lost, astray = losses(summary), 0
    for n in range(1, total + 1):
        for have in (clients[n], functions_of[n]) if functions else (clients[n],):
            have.pop("impatient", None)
            by_lineage = have.pop("lineage", 0)
            astray += 2 - by_lineage if n in servers else by_lineage
            assert have == (CHILDREN if n in servers else {}), f"request {n}, {n in servers}: {have}"
        if n % 4 in flags:
            assert (n in servers) == (n % 4 == 2), f"request {n} against its flag"
        if n in servers and n % 4 == 2:
            assert servers[n]["trace_id"] == f"{n:032x}", servers[n]
    by_id = {s["span_id"]: s for s in spans}
    for s in spans:
        parent = by_id.get(s["parent_span_id"])
        if parent and _said(s)[1] not in ALONE:
            assert (parent["trace_id"], _said(parent)[0]) == (s["trace_id"], _said(s)[0]), (s, parent)
        if s["kind"] == "client" and _said(s)[1] in CHILDREN:
            assert parent, s
    for n, s in servers.items():
        if n % 4 not in flags:
            assert int(s["trace_id"][18:], 16) >= 1 << 55, s
    assert astray < total, astray
    free = sum(n % 4 not in flags for n in servers)
    assert total * 0.1 < free < total * 0.4, free
    assert lost["sampled_out"] >= (total - len(servers)) * (1 + (2 if functions else 1) * sum(CHILDREN.values())), summary
    assert not lost.get("sampling_disagrees") and not lost.get("marks_full"), summary
    return f"{len(servers)} of {total} whole, {lost['sampled_out']} starts left out, {astray} children astray"


def _services(minor):
    """Two programs that are observed together: what the first one asks the second one is in its trace, or left out."""
    need_earshot()
    with Fanout(minor) as leaf, Fanout(minor, "-leaf", leaf.address) as front:
        with _observe(front.pid, "-p", str(leaf.pid), "--sample", "0.5") as e:
            until("both are observed", lambda: e.check_alive() and e.err().count("observing ") == 2, 30)
            get(front.port, "/work?n=0", "tests")
            _callers(front.port, lambda c, n: _ask(c, f"/work?n={n}"))
            e.finish()
            spans = [s for s in e.objects() if "trace_id" in s and _said(s)[0] != 0]
    asked, answered, stray = collections.Counter(), collections.Counter(), 0
    traces = {_said(s)[0]: s["trace_id"] for s in spans if _said(s)[1] == "work"}
    for s in spans:
        number, way = _said(s)
        if way not in CHILDREN:
            continue
        ours = traces.get(number) == s["trace_id"]
        stray += not ours
        (asked if s["kind"] == "client" else answered)[number] += ours
    assert CALLERS * REQUESTS / 4 < len(traces) < CALLERS * REQUESTS * 3 / 4, len(traces)
    assert stray * 100 < len(spans), f"{stray} of {len(spans)} spans are in another trace than their request's"
    assert all(asked[n] == sum(CHILDREN.values()) for n in traces), asked
    assert sum(answered.values()) * 100 > sum(asked.values()) * 99, (sum(answered.values()), sum(asked.values()))
    return f"{sum(answered.values())} of {sum(asked.values())} answers in the trace of who asked, {stray} spans astray"


def _leaf(c, n):
    flag = SAMPLED if n % 2 else LEFT_OUT
    _ask(c, f"/leaf?n={n}", flag.format(n) if n % 3 == 0 else None)


def counts(minor, path=None, each=3, prefix=()):
    """Nothing is written of what is left out, and what is left out is counted. path: of another build of it; each: the
    records of a request, a start, the route and an end."""
    need_earshot()
    with Fanout(minor, path=path, prefix=prefix) as server:
        for ratio in ("0", "0.5", "1"):
            with _observe(server.pid, "--sample", ratio, prefix=prefix) as e:
                _callers(server.port, _leaf)
                spans, summary = e.finish()
            left_out, total = losses(summary).get("sampled_out", 0), CALLERS * REQUESTS
            assert len(spans) + left_out == total, summary
            low, high = {"0": (total, total), "1": (0, 0), "0.5": (total * 0.45, total * 0.9)}[ratio]
            assert low <= left_out <= high, summary
            kept = {_said(s)[0] for s in spans}
            for n in range(1, total + 1):  # the ratio is a ceiling: the id decides, whatever the flag says
                if n % 3 == 0:
                    assert (n in kept) == (ratio == "1"), n
            assert summary["events"] <= each * len(spans) + ENDS_OF_A_CONNECTION * CALLERS, summary


def _panics(minor):
    """What a panic unwound is gone: the next request on the connection, and in the handler's frame, is decided anew."""
    need_earshot()
    total = 0
    with Httpd(built(minor, "plain")) as httpd, _observe(httpd.pid, "--sample", "0.5") as e:
        for i in range(REQUESTS):
            for path in ("/panic/before", "/panic/inner", f"/alloc?{i}"):
                total += 1
                try:
                    get(httpd.where["http"], path, agent="test")
                except (OSError, http.client.HTTPException):  # the server closes the connection
                    pass
        spans, summary = e.finish()
    lost = losses(summary)
    assert len(spans) + lost["sampled_out"] == total and not summary["open"], summary
    assert total / 4 < len(spans) < total * 3 / 4, summary
    assert not lost["marks_full"] and not lost["sampling_disagrees"], summary
    assert all((s["status"] == "error") == ("/panic/before" in s["attributes"]["url.path"]) for s in spans), spans


def tests():
    new = MINORS[-1]
    names = [f"whole-or-absent-go{m}" for m in MINORS if m in ("1.21", new)]
    whole = [Test(n, lambda m=n[len("whole-or-absent-go"):]: whole_or_absent(m), 60) for n in names]
    yield from and_patched(whole, names)
    yield from and_patched([Test("services", lambda: _services(new), 60)], ["services"])
    yield from and_patched([Test("counts", lambda: counts(new), 60)], ["counts"])
    yield from and_patched([Test("panics", lambda: _panics(new), 60)], ["panics"])
