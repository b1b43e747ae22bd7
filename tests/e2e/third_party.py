"""Stripped programs built by Debian, of other authors, Go versions and
libraries: every request gives its span and the program is none the worse."""

from cases import expectations, plan
from earshot import attach, need_earshot
from probed import changed_text
from services import RELEASES, SERVICES
from spans import check
from target import send
from testing import Test

ROUNDS = 20  # of all requests


def _observe(name, release):
    need_earshot()
    with SERVICES[name](release) as service:
        with attach(service.pid, observe=[service.port]) as earshot:
            planned = list(plan(service, protos=("h1",), cases=service.cases))
            responses = send([script for _, _, script in planned])
            want = expectations(service, planned, responses)
            earshot.wait_spans(len(want))
            # Programs ask themselves things too; those spans have other agents.
            spans = [s for s in earshot.finish()[0]
                     if s["attributes"].get("user_agent.original", "").startswith("h1.")]
        check(want, spans)
        assert all(s["attributes"].get("http.route", "/").startswith("/") for s in spans), spans
        assert not changed_text(service.pid), "probes were left behind"
        for _ in range(ROUNDS):
            again = send([script for _, _, script in planned])
            assert all(a["status"] == responses[i]["status"] for i, a in again.items()), again
        service.unharmed()
        return f"{len(want)} spans"


def tests():
    for release in RELEASES:
        for name in SERVICES:
            yield Test(f"{name}-{release}", lambda n=name, r=release: _observe(n, r), 120)
