"""Many requests with the garbage collector running all the time: what was
served is what was seen plus what is counted as lost."""

import contextlib
import json
import signal
import threading
import time

from earshot import CANARY, attach, losses, need_earshot
from load import Wrk
from proc import until
from target import Httpd, built, newest, send
from testing import Test, scaled

SLICE = 4      # seconds of load at a time
SLICES = 40    # at most


def _serve(httpd, path, requests):
    """Load until the server has counted so many; returns wrk's results."""
    results = []
    for _ in range(SLICES):
        results.append(Wrk(httpd.base("http") + path, SLICE).result())
        if httpd.stats()["entered"] >= requests:
            return results
    raise AssertionError(f"only {httpd.stats()['entered']} of {requests} requests in {SLICES * SLICE} s")


@contextlib.contextmanager
def _stalled(process, seconds):
    """Stop the process once, a second into what is done meanwhile."""
    def stall():
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    timer = threading.Timer(1, stall)
    if seconds:
        timer.start()
    yield
    if seconds:
        timer.join()


def _tally(path, agents):
    """Count spans line by line: the file is too large for a list."""
    count, wrong, ids, summary = 0, [], set(), None
    for line in open(path, errors="replace"):
        one = json.loads(line)
        if "summary" in one:
            summary = one["summary"]
            continue
        if one["kind"] != "server":
            continue
        count += 1
        ids.add(one["span_id"])
        a = one["attributes"]
        fine = (a.get("http.response.status_code") == 200 and one["status"] == "unset"
                and a.get("url.path") in agents and a.get("http.route") == a.get("url.path")
                and a.get("http.response.body.size") == agents[a["url.path"]]
                and one["name"] == "GET " + a["url.path"])
        if not fine and len(wrong) < 5:
            wrong.append(line.strip()[:600])
    return count, len(ids), wrong, summary


def _load(path, requests, stall=0.0):
    """stall: seconds for which earshot stands still amid the load."""
    need_earshot()
    options = ["--ring-size", "65536"] if stall else []
    with Httpd(path, env={"GOGC": "5"}) as httpd:
        with attach(httpd.pid, options=options) as e:
            # No canaries: of those that come while probes are being planted only one end may be seen.
            until("all probes are in place", lambda: e.check_alive() and "observing " in e.err())
            before = httpd.stats()["entered"]
            with _stalled(e, stall):
                results = _serve(httpd, "/alloc", requests + before)
            served = httpd.stats()
            assert served["entered"] == served["left"], f"requests hang: {served}"
            e.stop(signal.SIGINT, 60)
        assert sum(r["failed"] for r in results) == 0, f"failed requests: {results}"
        count, unique, wrong, summary = _tally(e.out_path, {"/alloc": 2})  # it answers "64"
        assert not wrong, "\n".join(wrong)
        assert unique == count, f"{count - unique} span ids twice"
        lost = {k: n for k, n in losses(summary).items() if n}
        requests = served["entered"] - before
        assert count == summary["spans"], f"{count} spans printed, {summary['spans']} counted"
        assert count + summary["spans_lost"] + summary["open"] == requests, \
            f"{count} spans, {summary} do not account for {requests} requests"
        if stall:
            assert lost.get("ring_full", 0) > 0 and summary["spans_lost"], f"the ring never was full: {summary}"
        else:
            assert not lost and count == requests, f"{count} spans of {requests} requests, {summary}"
        rate = sum(r["requests"] for r in results) / (SLICE * len(results))
        return f"{count} spans at {rate:.0f} requests/s, {summary['spans_lost']} lost, {summary['open']} open; " \
               f"losses: {lost or 'none'}"


def _h2():
    """HTTP/2 with TLS has no wrk: the Go client, 8 connections at a time."""
    need_earshot()
    rounds = scaled(20000, 4000, "H2_REQUESTS")
    with Httpd(newest(), env={"GOGC": "5"}) as httpd, \
            attach(httpd.pid, observe=[httpd.where["http"]]) as e:
        answers = send([{"id": str(i), "proto": "h2", "method": "GET",
                         "url": httpd.base("https") + "/alloc", "header": {"User-Agent": f"n{i}"}}
                        for i in range(rounds)], parallel=8)
        assert all(a["status"] == 200 for a in answers.values())
        e.stop(signal.SIGINT, 60)
        agents = [s["attributes"]["user_agent.original"] for s in e.spans()]
        assert len(agents) == len(set(agents)) == rounds, f"{len(set(agents))} of {rounds} spans, {len(agents)} lines"
        assert CANARY not in agents


def tests():
    many = scaled(200000, 40000, "LOAD_REQUESTS")
    yield Test("keep-alive", lambda: _load(newest(), many), 300)
    yield Test("go1.19", lambda: _load(built("1.19"), many // 4), 200)
    yield Test("cgo", lambda: _load(newest("cgo"), many // 4), 200)
    yield Test("ring-full", lambda: _load(newest(), many // 4, stall=1.5), 200)
    yield Test("http2", _h2, 200)
