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


def _unknown():
    """A name that nothing has is told once; what is known is not: attributes of packs, hidden ones and composed ones, too."""
    need_earshot()
    e = Earshot("run", "--keep", 'http.rute == "/x" || http.route == "/y" || url.full || db.namespace',
                "--keep", 'http.rute == "/z" || pack == "net-htp" || pack == "grpc" || duration > 1s', "--", "true")
    e.popen.wait(20)
    said = [line for line in e.err().splitlines() if "--keep" in line]
    assert said == [
        "earshot: --keep: no pack has the attribute `http.rute` (did you mean `http.route`?); a span that the program makes "
        "itself may have it",
        "earshot: --keep: there is no pack `net-htp` (did you mean `net-http`?)"], said


def tests():
    yield Test("errors", _errors)
    yield patched(Test("errors", _errors))
    yield Test("attributes", _attributes)
    yield Test("refused", _refused)
    yield Test("unknown", _unknown)
