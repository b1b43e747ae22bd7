"""--keep: traces in which a rule holds for a span come out whole, the others are counted."""

from earshot import Earshot, losses, need_earshot, one_sentence, patched
from proc import until
from target import Httpd, built, get
from testing import Test

PLAIN, PANICS = 20, 3


def _requests(port):
    for i in range(PLAIN):
        get(port, f"/alloc?{i}", agent="test")
    for _ in range(PANICS):
        try:
            get(port, "/panic/before", agent="test")
        except Exception:  # the server closes the connection
            pass


def _kept(rules, expected):
    """What matches comes out at once; the rest is decided when it is quiet, or at the end."""
    need_earshot()
    with Httpd(built("1.27", "plain")) as httpd:
        flags = [a for r in rules for a in ("--keep", r)]
        e = Earshot("attach", "-p", str(httpd.pid), "-o", "json", *flags)
        until("the program is observed", lambda: e.check_alive() and "observing " in e.err(), 30)
        _requests(httpd.where["http"])
        until("what is kept came out", lambda: len(e.spans()) >= expected, 10)
        spans, summary = e.finish()
        lost = losses(summary)
        assert len(spans) == expected and summary["spans"] == expected, e.describe()
        assert lost.get("not_kept", 0) == PLAIN + PANICS - expected, summary
        return [s["name"] for s in spans]


def _errors():
    names = _kept(["status == error"], PANICS)
    assert all("/panic/" in n for n in names), names


def _attributes():
    _kept(['url.query == "7" || attr["url.query"] == "8"', "duration > 1h"], 2)


def _refused():
    need_earshot(root=False)
    e = Earshot("attach", "-p", "1", "--keep", "status = error")
    assert e.wait(20) == 2, e.describe()
    text = e.err()
    assert one_sentence(text.splitlines()[0]) and "--keep" in text and "^" in text, text


def tests():
    yield Test("errors", _errors)
    yield patched(Test("errors", _errors))
    yield Test("attributes", _attributes)
    yield Test("refused", _refused)
