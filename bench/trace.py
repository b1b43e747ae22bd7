"""One order, one trace, over three services: what recording it costs, with each planter and with the OpenTelemetry SDK put
in by hand, all that it takes being counted: the programs, the agent and the kernel's work for both."""
import collections
import json
import math
import os
import random
import re
import subprocess
import sys
import time
import urllib.request

from common import BEFORE, BUILDS, Child, Failed, QUICK, WORK, against_before, arms_of, cpu_seconds, median

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "lib"))
from backends import Postgres, Redis  # noqa: E402
from proc import Skip, clean_env, session_pids  # noqa: E402
from trio import Service, expected  # noqa: E402

LIMIT = 600
BLOCKS = int(os.environ.get("BENCH_BLOCKS", 3 if QUICK else 10))
SECONDS, WARM = (2, 1) if QUICK else (3, 1)
LOAD = 0.6  # of what the services can do without anything
AT_ONCE = 32
FIRST = 10000  # number of the first order that counts
SETTLE = 1.3  # seconds until what is batched for a second has been sent
TRIES = 3
PLANTERS = {"patch": 0.12, "uprobe": 0.5}  # and the goal: what it may add, of what the SDK adds
ARMS = {"plain": None, "SDK": None, **arms_of(PLANTERS)}
# Batches as the SDK makes them, but after one second as Earshot's, not five; both send without compression, as the SDK does.
EXPORT = {"OTEL_BSP_SCHEDULE_DELAY": "1000", "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
LATE = 20e3  # µs: a sender that is so late with 1 % of the orders did not keep the rate

# What must be there, under one of its names (of older conventions too), by the kind of span. `given` tells who lacks what.
NAMES = {
    "server": ("http.request.method", "http.response.status_code", "url.path"),
    "client": ("http.request.method", "http.response.status_code", "url.full", "server.address", "server.port"),
    "rpc server": ("rpc.system.name|rpc.system", "rpc.method", "rpc.response.status_code|rpc.grpc.status_code"),
    "rpc client": ("rpc.system.name|rpc.system", "rpc.method", "rpc.response.status_code|rpc.grpc.status_code",
                   "server.address", "server.port"),
    "query": ("db.system.name|db.system", "db.query.text|db.statement", "server.address"),
    "transaction": ("db.system.name|db.system", "server.address"),
}


def sort_of(what):
    kind, word = what.split(" ", 1)
    if word in ("BEGIN", "COMMIT"):
        return "transaction"
    if word.isupper():
        return "query"
    return kind if word.islower() else f"rpc {kind}"


class Backends:
    """PostgreSQL and Redis, or what the services keep in memory."""

    def __init__(self):
        self.postgres, self.redis = (None, None) if QUICK else (Postgres(), Redis())
        if self.postgres:
            # Else each query would read all the orders that there were before it.
            self.sql("CREATE TABLE reserved (number bigint)", "CREATE INDEX ON reserved (number)",
                     "ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")

    def sql(self, *commands):
        arguments = [a for c in commands for a in ("-c", c)]
        subprocess.run(["psql", "-qX", self.postgres.url, *arguments], check=True, timeout=20, stdout=subprocess.DEVNULL)

    def empty(self):
        if self.postgres:
            self.sql("TRUNCATE reserved", "CHECKPOINT")
            subprocess.run(["redis-cli", "-p", str(self.redis.port), "flushall"], check=True, timeout=20,
                           stdout=subprocess.DEVNULL)

    def cpu(self):
        return cpu_of(p.pid for p in (self.postgres, self.redis) if p)

    def kill(self):
        for p in (self.postgres, self.redis):
            if p:
                p.kill()


def cpu_of(leaders):
    """Seconds of the processes and all that they started and that runs."""
    total = 0
    for leader in leaders:
        for pid in {leader, *session_pids(leader)}:
            try:
                total += cpu_seconds(pid)
            except OSError:
                pass
    return total


def machine_busy():
    """Seconds in which a CPU was not idle, and not taken by the host either: interrupts are in it."""
    with open("/proc/stat") as f:
        ticks = [int(n) for n in f.readline().split()[1:9]]
    idle, waiting, stolen = ticks[3], ticks[4], ticks[7]
    hz = os.sysconf("SC_CLK_TCK")
    return time.monotonic() * os.cpu_count() - (idle + waiting + stolen) / hz


def ask(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def place(front, *options):
    done = subprocess.run([f"{WORK}/orders", "place", "-url", f"http://{front}", *map(str, options)], capture_output=True,
                          text=True, timeout=120)
    if done.returncode:
        raise Failed(f"orders: {done.stderr.strip()}")
    return json.loads(done.stdout)


class Services:
    """The three, fresh, and earshot on them where there is one in the arm."""

    def __init__(self, arm, backends, sink):
        self.earshot, self.sink = None, sink
        binary = f"{WORK}/trio-sdk" if arm == "SDK" else f"{WORK}/trio"
        env = clean_env(**EXPORT, OTEL_EXPORTER_OTLP_ENDPOINT=sink) if arm == "SDK" else clean_env()
        self.all = []
        try:
            stock = self.start(binary, env, "stock", *(("-database", backends.postgres.url) if backends.postgres else ()))
            worker = self.start(binary, env, "worker", *(("-redis", backends.redis.address) if backends.redis else ()))
            self.front = self.start(binary, env, "front", "-stock", stock, "-worker", worker)
            if ARMS[arm]:
                self.attach(*ARMS[arm])
        except (AssertionError, Skip, Failed) as why:
            self.kill()
            raise Failed(str(why)) from None

    def start(self, binary, env, name, *options):
        service = Service(binary, name, *options, env=env)
        self.all.append(service)
        return service.address

    def attach(self, planter, build):
        pids = [a for s in self.all for a in ("-p", str(s.pid))]
        self.earshot = Child([build, "attach", *pids, "-o", "none", "--otlp", self.sink, "--planter", planter],
                             start_new_session=True, env=clean_env(**EXPORT))
        end = time.monotonic() + 20
        while sum("observing " in (line or "") for _, line in self.earshot.lines) < len(self.all):
            if time.monotonic() > end or self.earshot.process.poll() is not None:
                raise Failed(f"earshot does not observe all three: {self.earshot.said()}")
            time.sleep(0.02)

    def cpu(self):
        """{of what: seconds}."""
        of = {s.argv[1]: cpu_of([s.pid]) for s in self.all}
        of["earshot"] = cpu_of([self.earshot.pid]) if self.earshot else 0
        return of

    def end(self):
        """What earshot says that it lost."""
        if not self.earshot:
            return ""
        self.earshot.stop()
        said = " ".join(line for _, line in self.earshot.lines if line)
        found = re.search(r"\d+ spans? from .*\(\d+ events\); ([^;]*);", said)
        return found[1] if found else self.earshot.said()

    def kill(self):
        if self.earshot and self.earshot.process.poll() is None:
            self.earshot.process.kill()
            self.earshot.process.wait()
        for s in self.all:
            s.kill()


def one(arm, backends, sink, rate):
    """µs an order, by what it was spent on, and the spans that came of it."""
    backends.empty()
    services = Services(arm, backends, sink)
    try:
        count = int(rate * SECONDS)
        place(services.front, "-rate", rate, "-count", int(rate * WARM))
        time.sleep(SETTLE)
        ask(f"{sink}/spans")
        cpu, theirs, busy = services.cpu(), backends.cpu(), machine_busy()
        sent = place(services.front, "-rate", rate, "-count", count, "-first", FIRST)
        time.sleep(SETTLE)
        us = {k: (v - cpu[k]) * 1e6 / count for k, v in services.cpu().items()}
        us["all"] = sum(us.values())
        us["backends"] = (backends.cpu() - theirs) * 1e6 / count
        us["machine"] = (machine_busy() - busy) * 1e6 / count
        us["attach"] = cpu["earshot"]
        us["lost"] = services.end()
        us["sent"], us["groups"], us["arm"], us["count"] = sent, ask(f"{sink}/spans"), arm, count
        us["command"] = " ".join(services.earshot.command) if services.earshot else ""
        return us
    finally:
        services.kill()


def fits(run, rate):
    """Why a run does not count, or None: the orders must have been placed at the rate and answered, all of them."""
    sent = run["sent"]
    if sent["answered"] != run["count"]:
        return f"{sent['answered']} of {run['count']} orders were answered ({sent['failed']})"
    if sent["late99_us"] > LATE:
        return f"1 % of the orders were sent {sent['late99_us'] / 1e3:.0f} ms late, or later"
    if sent["seconds"] > SECONDS * 1.1 + 0.1:
        return f"the rate was not kept: {sent['seconds']:.1f} s for {SECONDS} s of orders at {rate:.0f}/s"
    return None


def truth(count):
    """{what: how many spans}, of these orders. What the slow page has depends on when its client gives up."""
    words = collections.Counter()
    for number in range(FIRST, FIRST + count):
        words.update(expected(number))
    renamed = {re.sub("^(postgresql|redis) ", "client ", word): n for word, n in words.items()}
    return {w: n for w, n in renamed.items() if not (QUICK and sort_of(w) in ("query", "transaction"))}


def differences(run):
    """What an arm recorded otherwise than it was, each as (what, text): spans, roots, attributes."""
    wanted = truth(run["count"])
    found = {g["what"]: g for g in run["groups"] if g["what"] != "server slow"}
    for what in sorted({*wanted, *found}):
        g = found.get(what, {"count": 0, "roots": 0, "attributes": {}})
        if g["count"] != wanted.get(what, 0):
            yield "spans", f"{g['count']} `{what}` of {wanted.get(what, 0)}"
        if g["roots"] != (g["count"] if what == "server orders" else 0):
            yield "parents", f"{g['roots']} of {g['count']} `{what}` without a parent"
        for names in NAMES[sort_of(what)] if g["count"] else ():
            has = max(g["attributes"].get(name, 0) for name in names.split("|"))
            if has < g["count"] and not (what == "client slow" and "status" in names):
                yield "attributes", f"`{names.split('|')[0]}` missing in {g['count'] - has} of {g['count']} `{what}`"


def measured(arm, backends, sink, rate):
    """A run that counts: it is repeated where the machine stalled."""
    for _ in range(TRIES):
        run = one(arm, backends, sink, rate)
        why = fits(run, rate)
        if not why and not any(kind == "spans" for kind, _ in differences(run) if arm != "plain"):
            break
    if why:
        raise Failed(f"{arm}: {why}, {TRIES} times")
    return run


def capacity(backends, sink):
    backends.empty()
    services = Services("plain", backends, sink)
    try:
        place(services.front, "-at-once", AT_ONCE, "-seconds", 1)
        sent = place(services.front, "-at-once", AT_ONCE, "-seconds", 3, "-first", FIRST)
        if sent["answered"] != sent["sent"]:
            raise Failed(f"{sent['answered']} of {sent['sent']} orders were answered: {sent['failed']}")
        return sent["answered"] / sent["seconds"]
    finally:
        services.kill()


def measure():
    sink = Child([f"{WORK}/orders", "sink"], watch="stdout")
    backends = None
    try:
        backends = Backends()
        address = sink.wait_line("^http")[1]
        most = capacity(backends, address)
        rate, rng = most * LOAD, random.Random(12)
        blocks = [{arm: measured(arm, backends, address, rate) for arm in rng.sample(list(ARMS), len(ARMS))}
                  for _ in range(BLOCKS)]
    except (AssertionError, Skip) as why:
        raise Failed(str(why)) from None
    finally:
        if backends:
            backends.kill()
        sink.stop()
    if os.environ.get("BENCH_DUMP"):
        with open(os.environ["BENCH_DUMP"], "w") as f:
            json.dump(blocks, f)
    return {"rows": [], "notes": [f"{a}: {b[a]['all']:.0f} {[(k, round(v)) for k, v in b[a].items() if isinstance(v, float)]} {b[a]['sent']} {b[a]['lost']} {list(differences(b[a]))[:12] if a != 'plain' else ''}" for b in blocks for a in b], "commands": []}
