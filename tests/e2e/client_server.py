"""The tests' own client and server, without Earshot: what the other groups
compare spans with must itself be right."""

from cases import expectations, plan
from target import Httpd, available, httpd_path, send
from testing import Test


def _differences(planned, responses):
    for case, _, script in planned:
        answer = responses.get(script["id"])
        if not answer:
            yield f"{script['id']}: no answer"
        elif "raw" in case.request:
            continue
        elif bool(answer.get("error")) != case.fails:
            yield f"{script['id']}: {answer}"
        elif not case.fails:
            yield from _compare(script["id"], case, answer)


def _compare(who, case, answer):
    if isinstance(case.status, int) and answer["status"] != case.status:
        yield f"{who}: status {answer['status']} instead of {case.status}"
    size = answer["body_bytes"]
    if isinstance(case.size, int) and size != case.size:
        yield f"{who}: {size} bytes instead of {case.size}"


def _agree(minor, mode):
    with Httpd(httpd_path(minor, mode)) as httpd:
        planned = list(plan(httpd))
        responses = send([script for _, _, script in planned])
        wrong = list(_differences(planned, responses))
        assert not wrong, "\n".join(wrong)
        # net/http answers "OPTIONS *" itself, without the handler that counts.
        want = len(expectations(httpd, planned, responses)) - 1
        counted = httpd.stats()
        assert counted["entered"] == counted["left"] == want, f"{counted}, {want} requests sent"
        return f"{want} requests"


def tests():
    for minor in dict.fromkeys(m for m, _ in available()):
        yield Test(f"go{minor}", lambda m=minor: _agree(m, "sw"), 120)
