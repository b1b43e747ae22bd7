"""Three services that handle orders together (tests/go/trio), with PostgreSQL and Redis, and what must be seen of them."""

import collections
import http.client
import os
import re
import threading

from backends import Postgres, Redis
from proc import BIN, Process, Skip, clean_env, until

IMPATIENT_EACH, BUSY_EACH, UNKNOWN_EACH = 5, 7, 11  # front.go


class Service(Process):
    def __init__(self, binary, name, *args, env=None):
        super().__init__([binary, name, "-listen", "127.0.0.1:0", *args], env=env)
        until(f"{name} listens: {self.describe()}", lambda: not self.alive() or " listens on " in self.out(), 20)
        assert self.alive(), self.describe()
        self.address = re.search(r" listens on (\S+)", self.out()).group(1)


class Trio:
    """front, stock and worker of one build (front: of which front is; path: of yet another one), and their backends."""

    def __init__(self, build, backends=True, front=None, path=None, **env):
        binary, front = path or BIN / f"trio-{build}", path or BIN / f"trio-{front or build}"
        for b in (binary, front):
            if not os.access(b, os.X_OK):
                raise Skip(f"{b.name} was not built")
        self.postgres, self.redis = (Postgres(), Redis()) if backends else (None, None)
        env = clean_env(**env)
        self.stock = Service(binary, "stock", *(("-database", self.postgres.url) if backends else ()), env=env)
        self.worker = Service(binary, "worker", *(("-redis", self.redis.address) if backends else ()), env=env)
        self.front = Service(front, "front", "-stock", self.stock.address, "-worker", self.worker.address, env=env)
        self.services = (self.front, self.stock, self.worker)
        self.pids = [s.pid for s in self.services]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in (*self.services, self.postgres, self.redis):
            if p:
                p.kill()

    def order(self, number, connection=None):
        c = connection or http.client.HTTPConnection(self.front.address, timeout=20)
        c.request("GET", f"/orders/{number}")
        answer = c.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, f"order {number}: {answer.status} {text}"
        if not connection:
            c.close()


# net/http gives a connection back before it has handed on an answer without a body. A request that is cancelled in
# between ends the connection with its own error, and with it whatever was sent on it by then, with Earshot or without.
# No other request to the worker has a deadline.
ROBBED = re.compile(r"502 (Post .*/jobs/|Get .*/price/).*context deadline exceeded")


class Orders:
    """Orders placed by some threads at once, each with its own connection, until stopped; numbered from `first`."""

    def __init__(self, trio, threads, first=1, count=None):
        self.trio, self.count, self.first = trio, count, first
        self.next, self.placed, self.failed, self.lock = first, [], [], threading.Lock()
        self.robbed = 0
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def _take(self):
        with self.lock:
            if self.ending.is_set() or (self.count is not None and self.next >= self.first + self.count):
                return None
            self.next += 1
            return self.next - 1

    def _run(self):
        connection = http.client.HTTPConnection(self.trio.front.address, timeout=20)
        while (number := self._take()) is not None:
            try:
                self.trio.order(number, connection)
                self.placed.append(number)
            except Exception as e:  # told by join()
                if ROBBED.search(str(e)):
                    self.robbed += 1
                else:
                    self.failed.append(f"{number}: {e!r}")
                connection.close()
        connection.close()

    def join(self, seconds=120):
        for t in self.threads:
            t.join(seconds)
        assert not any(t.is_alive() for t in self.threads), "orders hang"
        assert not self.failed, f"{len(self.failed)} orders failed, such as {self.failed[0]}"
        assert self.robbed <= 1 + len(self.placed) // 500, f"{self.robbed} of {len(self.placed)} orders were robbed"
        return sorted(self.placed)

    def stop(self):
        self.ending.set()
        return self.join()


# ---- what was observed ----

NUMBER = re.compile(r"(?:/orders/|/price/|/slow/|/jobs/|number = |VALUES \(|price:|packed:|address:|contents:)(\d+)")


def number_of(span):
    """The order that a span is about, as far as the span itself says it."""
    a = span["attributes"]
    for key in ("url.path", "url.full", "db.query.text"):
        found = NUMBER.search(str(a.get(key, "")))
        if found:
            return int(found.group(1))
    return None


def word_of(span):
    """What a span is, without the order's number."""
    a = span["attributes"]
    if "rpc.method" in a:
        return f'{span["kind"]} {a["rpc.method"].split("/")[-1]}'
    if "db.system.name" in a:
        return f'{a["db.system.name"]} {a.get("db.operation.name", "?").upper()}'
    path = a.get("url.path") or re.sub(r"^https?://[^/]*", "", a.get("url.full", "?"))
    return f'{span["kind"]} {path.split("/")[1]}'


def expected(number):
    """Spans of an order, by word. What /slow has at its server depends on when its client gave up."""
    tries = 2 if number % BUSY_EACH == 0 else 1
    words = collections.Counter({
        "server orders": 1, "client price": 1, "server price": 1, "client jobs": tries, "server jobs": tries,
        "client Check": 1, "server Check": 1, "client Watch": 1, "server Watch": 1, "client Reserve": 1,
        "server Reserve": 1, "postgresql SELECT": 4, "postgresql BEGIN": 1, "postgresql INSERT": 1,
        "postgresql COMMIT": 1, "redis GET": 1, "redis SET": 3})
    if number % IMPATIENT_EACH == 0:
        words["client slow"] = 1
    return words


class Traces:
    """Spans by trace, held against what each of them says of itself."""

    def __init__(self, spans):
        self.spans = [s for s in spans if word_of(s) != "server healthz"]
        self.by_id = {s["span_id"]: s for s in self.spans}
        self.of_trace = collections.defaultdict(list)
        for s in self.spans:
            self.of_trace[s["trace_id"]].append(s)
        self.roots = {number_of(s): s for s in self.spans if word_of(s) == "server orders"}

    def wrong(self):
        """Spans in the trace of another order, and spans whose parent is in another trace, or is what cannot be."""
        for spans in self.of_trace.values():
            numbered = [(number_of(s), s) for s in spans if number_of(s) is not None]
            for n, s in numbered:
                if n != numbered[0][0]:
                    yield f"{word_of(s)} of order {n} is in the trace of order {numbered[0][0]}: {s}"
        for s in self.spans:
            parent = self.by_id.get(s.get("parent_span_id"))
            if parent and parent["trace_id"] != s["trace_id"]:
                yield f"{word_of(s)} and its parent {word_of(parent)} are in two traces: {s}"
            if parent and not may_be_child(s, parent):
                yield f"{word_of(s)} is the child of {word_of(parent)}: {s}"

    def doubled(self):
        """Spans of which a trace has more than an order has."""
        for number, root in self.roots.items():
            most = expected(number) + collections.Counter({"server slow": 1})
            for word, n in collections.Counter(word_of(s) for s in self.of_trace[root["trace_id"]]).items():
                if n > most[word]:
                    yield f"order {number}: {n} {word} instead of {most[word]}"

    def lost(self, numbers):
        """Of these orders: spans that should be in their traces and are in none, or in a trace of their own."""
        for number in numbers:
            root = self.roots.get(number)
            seen = collections.Counter(word_of(s) for s in self.of_trace[root["trace_id"]]) if root else {}
            for word, n in expected(number).items():
                if seen.get(word, 0) != n:
                    yield f"order {number}: {seen.get(word, 0)} of {n} {word}"

    def unknown(self):
        return [s for s in self.spans if s["attributes"].get("earshot.parent.source") in ("unknown", None)]


PARENTS = {  # of each span, without the kind where both have the same
    "server orders": (), "server price": ("client price",), "server jobs": ("client jobs",),
    "server slow": ("client slow",), "client price": ("server orders",), "client jobs": ("server orders",),
    "client slow": ("server orders",), "redis GET": ("server price",), "redis SET": ("server jobs",),
    "client Check": ("server orders",), "client Watch": ("server orders",), "client Reserve": ("server orders",),
    "server Check": ("client Check",), "server Watch": ("client Watch",), "server Reserve": ("client Reserve",),
    "postgresql SELECT": ("server Check", "server Watch"), "postgresql BEGIN": ("server Reserve",),
    "postgresql INSERT": ("server Reserve",), "postgresql COMMIT": ("server Reserve",)}


def may_be_child(span, parent):
    return word_of(parent) in PARENTS.get(word_of(span), ())
