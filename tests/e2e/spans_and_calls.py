"""Spans and traced calls in one observation: `attach` and `run` with --trace.

Each request of the server is a span and a call of what the questions ask for;
both come out of one process, one ring, one output, with one summary."""

import re

from calls import Calls, newest as newest_calls
from earshot import Earshot, losses, need_earshot, patched
from probed import changed_text
from proc import until
from target import Httpd, built, get
from testing import Test

PLAIN, PANICS = 20, 3
QUESTIONS = ("main.alloc", "main.panicBefore", "net/http.serverHandler.ServeHTTP { count() }",
             "main.counted.ServeHTTP { max(latency) }")


def _flags(questions):
    return [a for q in questions for a in ("--trace", q)]


def _observing(*args):
    e = Earshot(*args)
    until("the program is observed", lambda: e.check_alive() and "observing " in e.err(), 30)
    return e


def _requests(port):
    for i in range(PLAIN):
        get(port, f"/alloc?{i}", agent="test")
    for _ in range(PANICS):
        try:
            get(port, "/panic/before", agent="test")
        except OSError:
            pass  # the server closes the connection
        except Exception as e:  # http.client.RemoteDisconnected is no OSError everywhere
            assert "disconnect" in str(e).lower(), e


def _calls(objects, func):
    return [o for o in objects if o.get("func") == func and "aggregate" not in o]


def _within(call, span):
    """A call that a panic unwound ends when that is recovered, by whom the request's span has ended already."""
    start, end = call["ts_unix_ns"], call["ts_unix_ns"] + call["duration_ns"]
    span_end = span["start_unix_ns"] + span["duration_ns"]
    return (call["goid"] == span["goid"] and span["start_unix_ns"] <= start <= span_end and
            (end <= span_end or call.get("panicked", False)))


def _check_objects(objects, requests):
    spans = [o for o in objects if "trace_id" in o]
    alloc, panic = _calls(objects, "main.alloc"), _calls(objects, "main.panicBefore")
    assert len(spans) == requests, f"{len(spans)} spans of {requests} requests"
    assert len(alloc) == PLAIN and len(panic) == PANICS, f"{len(alloc)} and {len(panic)} calls"
    assert all(c.get("panicked") for c in panic) and not any(c.get("panicked") for c in alloc), panic
    assert sum(s["status"] == "error" for s in spans) == PANICS, [s["status"] for s in spans]
    # Both are about the same request: the handler's call lies in its request's span.
    lonely = [c for c in alloc + panic if not any(_within(c, s) for s in spans)]
    assert not lonely, f"{len(lonely)} calls lie in no span, such as {lonely[0]}"
    assert all("r" in c["args"] for c in alloc), alloc[0]


def _check_groups(objects, requests):
    groups = {o["aggregate"]: o for o in objects if "aggregate" in o}
    assert set(groups) == {"count()", "max(latency)"}, groups
    assert groups["count()"]["count"] == requests, groups
    assert groups["max(latency)"]["count"] == PLAIN and groups["max(latency)"]["max"] > 0, groups  # of what returned


def _check_summary(objects, err, requests):
    summaries = [o["summary"] for o in objects if "summary" in o]
    assert len(summaries) == 1 and objects[-1] == {"summary": summaries[0]}, "not one summary, and the last line"
    s = summaries[0]
    assert s["spans"] == requests and s["calls"] == PLAIN + PANICS and s["processes"] == 1, s
    assert s["spans_lost"] == 0 and s["open"] == 0, s
    assert not {k: n for k, n in losses(s).items() if n}, s
    words = err.splitlines()[-1]
    assert re.search(rf"\b{requests} spans, {PLAIN + PANICS} calls, 2 groups from 1 process in ", words), words


def _json():
    """Spans, calls and groups of one server as JSON lines; nothing stays behind in it."""
    need_earshot()
    requests = PLAIN + PANICS
    with Httpd(built("1.27", "plain")) as httpd:
        e = _observing("attach", "-p", str(httpd.pid), "-o", "json", *_flags(QUESTIONS))
        _requests(httpd.where["http"])
        until("all came out", lambda: len(_calls(e.objects(), "main.alloc")) >= PLAIN and
              len(e.spans()) >= requests, 10)
        e.finish()
        _check_objects(e.objects(), requests)
        _check_groups(e.objects(), requests)
        _check_summary(e.objects(), e.err(), requests)
        until("no probe is left", lambda: not changed_text(httpd.pid), 5)
        return f"{len(e.objects())} lines"


def _forms():
    """-o line and -o tree: rows of both kinds in one output."""
    need_earshot()
    with Httpd(built("1.27", "plain")) as httpd:
        # A tree shows durations, also where the question asks for nothing of the return.
        for form, question in (("line", "main.alloc"), ("tree", "main.alloc { print(r.Method) }")):
            e = _observing("attach", "-p", str(httpd.pid), "-o", form, *_flags((question,)))
            for _ in range(5):
                get(httpd.where["http"], "/alloc", agent="test")
            e.finish()
            out = e.out()
            assert len(re.findall(r"GET /alloc\b.* 200 ", out)) == 5, f"{form}: {out}"
            assert len(re.findall(r"[0-9] .?s  main\.alloc", out)) == 5, f"{form}: {out}"


def _one_refused():
    """Where a question matches nothing, or nothing but the question does, the other is observed, and it is said."""
    need_earshot()
    with Httpd(built("1.27", "plain")) as httpd:
        e = _observing("attach", "-p", str(httpd.pid), "-o", "json", *_flags(("main.thereIsNoSuch",)))
        get(httpd.where["http"], "/alloc", agent="test")
        spans, summary = e.finish()
        assert len(spans) == 1 and summary["calls"] == 0, e.describe()
        assert e.err().count("no function main.thereIsNoSuch") == 1, e.err()
    program = Calls(newest_calls())
    try:
        e = _observing("attach", "-p", str(program.pid), "-o", "json", *_flags(("main.Interfaces { count() }",)))
        e.finish()
        assert e.summary()["spans"] == 0 and "uses nothing that the packs know" in e.err(), e.describe()
    finally:
        program.kill()


def _none_left():
    """Where both want nothing of a program it is not observed, and the sentence has both reasons."""
    need_earshot()
    program = Calls(newest_calls())
    try:
        e = Earshot("attach", "-p", str(program.pid), *_flags(("main.thereIsNoSuch",)))
        assert e.wait(20) == 3, e.describe()
        assert "uses nothing that the packs know" in e.err() and "main.thereIsNoSuch" in e.err(), e.err()
    finally:
        program.kill()


def _wrong_question():
    """A question that is none is told before anything is attached."""
    need_earshot(root=False)
    e = Earshot("attach", "-p", "1", *_flags(("main.f if (",)))
    assert e.wait(20) == 2 and "main.f if (" in e.err(), e.describe()


def _run():
    """earshot run --trace: what the program does before it serves is seen, too."""
    need_earshot()
    options = ("-o", "json", *_flags(("main.listen", "main.selfSigned { count() }")))
    with Httpd(built("1.27", "plain"), prefix=("run", *options, "--"),
               process=lambda argv, **kw: Earshot(*argv, **kw)) as httpd:
        get(httpd.where["http"], "/alloc", agent="test")
        e = httpd.process
        until("the request is seen", lambda: e.spans(), 10)
        e.stop(15, 20)
        objects = e.objects()
        assert len(e.spans()) == 1, e.describe()
        assert _calls(objects, "main.listen"), e.describe()
        assert [o["count"] for o in objects if "aggregate" in o] == [1], e.describe()


def tests():
    both = (Test("json", _json, 90), Test("forms", _forms, 90), Test("run", _run, 90))
    for test in both:
        yield test
        yield patched(test)
    yield Test("one-refused", _one_refused, 90)
    yield Test("none-left", _none_left, 60)
    yield Test("wrong-question", _wrong_question)
