"""Every Go version, every way of linking, every protocol, every request of
cases.py: exactly one span each, every field right. EARSHOT_PLANTER=patch runs
the same with probes planted from inside."""

import subprocess

from cases import expectations, plan
from earshot import Earshot, attach, losses, need_earshot, patched, planter
from proc import EARSHOT, clean_env
from spans import check
from target import MINORS, MODES, Httpd, built, send
from testing import Test, scaled


def exercise(httpd, earshot, parallel=1):
    """Send everything; returns the spans that must come."""
    planned = list(plan(httpd))
    responses = send([script for _, _, script in planned], parallel)
    want = expectations(httpd, planned, responses)
    earshot.wait_spans(len(want))
    return want


def _parallel(minor):
    """All at once, many requests on one connection: spans must not mix."""
    need_earshot()
    path = built(minor)
    with Httpd(path, env={"GOGC": "20"}) as httpd, \
            attach(httpd.pid, observe=[httpd.where["http"]]) as earshot:
        want = exercise(httpd, earshot, parallel=16)
        spans, summary = earshot.finish()
        check(want, spans)
        _lossless(summary, want)


def _lossless(summary, want):
    """Nothing but the one invalid traceparent that each protocol sent."""
    assert summary is not None, "no summary on standard output"
    bad = sum(".traceparent-bad" in agent for agent in want)
    # Canaries come while probes are being planted: of some only one end is seen.
    lost = {k: n for k, n in losses(summary).items() if n and not k.startswith("unpaired")}
    assert lost.pop("bad_header", 0) == bad and not lost, f"lost: {lost}, and not {bad} bad headers: {losses(summary)}"


def _attach(minor, mode, env=None):
    need_earshot()
    path = built(minor, mode)
    with Httpd(path) as httpd, attach(httpd.pid, observe=[httpd.where["http"]], env=env) as earshot:
        want = exercise(httpd, earshot)
        spans, summary = earshot.finish()
        check(want, spans)
        _lossless(summary, want)
        stats = httpd.stats()
        assert stats["entered"] == stats["left"], f"the program lost requests: {stats}"
        return f"{len(want)} spans"


def _run(minor, mode):
    """The same under `earshot run`."""
    need_earshot()
    path = built(minor, mode)

    chosen = ["--planter", planter()] if planter() else []
    with Httpd(path, prefix=[EARSHOT, "run", *chosen, "-o", "json", "--"],
               process=lambda argv, env: Earshot(*argv[1:], env=env)) as httpd:
        earshot = httpd.process
        want = exercise(httpd, earshot)
        code = earshot.stop()  # SIGTERM, passed on to the server
        assert code == 0, f"exit code {code}: {earshot.describe()}"
        check(want, earshot.spans())
        return f"{len(want)} spans"


def _old_mux(minor):
    """GODEBUG=httpmuxgo121=1 brings back the ServeMux without patterns."""
    need_earshot()
    path = built(minor)
    with Httpd(path, env={"GODEBUG": "httpmuxgo121=1"}) as httpd, \
            attach(httpd.pid, observe=[httpd.where["http"]]) as earshot:
        names = [f"old-mux-{i}" for i in range(5)]
        for name in names:
            assert httpd.get("/plain", agent=name)[0] == 200
        spans = earshot.wait_spans(len(names))
        assert sorted(s["attributes"]["user_agent.original"] for s in spans) == names, spans
        routes = {s["attributes"].get("http.route") for s in spans}
        assert routes == {"/plain"}, f"routes {routes}"
        return f"route {routes}"


def _upgrade(minor):
    """HTTP/1.1 that turns into h2c by an Upgrade header is one request, not two."""
    need_earshot()
    path = built(minor)
    with Httpd(path) as httpd, attach(httpd.pid, observe=[httpd.where["http"]]) as earshot:
        done = subprocess.run(["curl", "-sS", "-m", "10", "--http2", "-A", "upgrade", "-w", "%{http_version}",
                               httpd.base("h2c") + "/plain?u=1"], capture_output=True, text=True, check=False)
        assert done.stdout == "hello2", f"curl: {done}"
        earshot.wait_spans(1)
        spans, _ = earshot.finish()
        assert len(spans) == 1, f"{len(spans)} spans: {spans}"
        attributes = spans[0]["attributes"]
        want = {"http.route": "/plain", "http.response.status_code": 200, "url.query": "u=1",
                "http.response.body.size": 5, "user_agent.original": "upgrade"}
        assert want.items() <= attributes.items(), f"{attributes} instead of {want}"


def tests():
    short = scaled(0, 1, "MATRIX_SHORT")
    new = MINORS[-1]
    for minor, mode in (("1.19", "sw"), ("1.22", "sw"), (new, "sw"), (new, "pie"), (new, "cgo")):
        yield patched(Test(f"attach-go{minor}-{mode}", lambda m=minor, k=mode: _attach(m, k), 120))
    yield patched(Test(f"run-go{new}-sw", lambda: _run(new, "sw"), 120))
    yield patched(Test(f"parallel-go{new}", lambda: _parallel(new), 120))
    for minor in MINORS:
        for mode in MODES:
            if short and mode in ("plain", "trim"):
                continue
            yield Test(f"attach-go{minor}-{mode}", lambda m=minor, k=mode: _attach(m, k), 120)
        # As on kernels without uprobe_multi: a perf event and a link for each site.
        yield Test(f"per-site-go{minor}-sw",
                   lambda m=minor: _attach(m, "sw", clean_env(EARSHOT_NO_MULTI=1)), 120)
        yield Test(f"run-go{minor}-sw", lambda m=minor: _run(m, "sw"), 120)
        yield Test(f"parallel-go{minor}", lambda m=minor: _parallel(m), 120)
        yield Test(f"upgrade-h2c-go{minor}", lambda m=minor: _upgrade(m), 60)
    for minor in MINORS[2:]:
        yield Test(f"old-mux-go{minor}", lambda m=minor: _old_mux(m), 60)
