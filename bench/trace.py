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
from proc import Skip, clean_env  # noqa: E402
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
NOISY = bool(os.environ.get("BENCH_NOISY"))  # to work on this file on a machine that is busy: its figures are none
LATE = 50e3  # µs: a sender that is so late with 1 % of the orders did not keep the rate

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
# What the SDK's libraries record besides: redisotel takes what a new connection says first for operations, and dialing.
MORE = ("client HELLO", "client CLIENT", "client redis.dial")
UNKNOWN = 0.01  # of the spans of a kind may be without a parent: unknown is better than wrong


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


def with_children(pid):
    """A process and all that it started and that runs: PostgreSQL's are in sessions of their own."""
    yield pid
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as f:
            for child in f.read().split():
                yield from with_children(int(child))


def cpu_of(pids):
    """Seconds that they took, and those that they started."""
    return sum(cpu_seconds(p) for pid in pids for p in with_children(pid))


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
        end = time.monotonic() + 90
        while sum("observing " in (line or "") for _, line in self.earshot.lines) < len(self.all):
            if time.monotonic() > end or self.earshot.process.poll() is not None:
                raise Failed(f"earshot does not observe all three: {self.earshot.said()}")
            time.sleep(0.02)

    def cpu(self):
        """{of what: seconds}."""
        of = {s.argv[1]: cpu_of([s.pid]) for s in self.all}
        of["earshot"] = cpu_of([self.earshot.pid]) if self.earshot else 0
        return of

    def end(self, orders):
        """(what earshot says that it lost, how many records an order gave)."""
        if not self.earshot:
            return "", 0
        self.earshot.stop(seconds=90)
        said = " ".join(line for _, line in self.earshot.lines if line)
        found = re.search(r"\d+ spans? from .*\((\d+) events\); ([^;]*);", said)
        if not found:
            raise Failed(f"earshot printed no summary: {self.earshot.said()}")
        return found[2], int(found[1]) / orders

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
        us["lost"], us["events"] = services.end(count + int(rate * WARM))
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
    if NOISY:
        return None
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
    """What an arm recorded otherwise than it was, each as (what, text): spans, parents, attributes; and what of that is let
    through, as "more" and "unknown"."""
    wanted = truth(run["count"])
    found = {g["what"]: g for g in run["groups"] if g["what"] != "server slow"}
    for what in MORE if run["arm"] == "SDK" else ():
        if more := found.pop(what, None):
            yield "more", f"{more['count']} `{what}`"
    for what in sorted({*wanted, *found}):
        g = found.get(what, {"count": 0, "roots": 0, "attributes": {}})
        if g["count"] != wanted.get(what, 0):
            yield "spans", f"{g['count']} `{what}` of {wanted.get(what, 0)}"
        if g["roots"] != (g["count"] if what == "server orders" else 0):
            few = what != "server orders" and g["roots"] <= g["count"] * UNKNOWN
            yield "unknown" if few else "parents", f"{g['roots']} of {g['count']} `{what}` without a parent"
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


def added(blocks, arm, figure="all"):
    return [b[arm][figure] - b["plain"][figure] for b in blocks]


def of_the_sdk(blocks, arm, figure="all"):
    """What an arm adds, of what the SDK adds: paired by block. Where noise left the SDK nothing, this is dearer."""
    return sorted(a / s if s > 0 else math.inf for a, s in zip(added(blocks, arm, figure), added(blocks, "SDK", figure)))


def gate(blocks):
    """({arm: what it recorded otherwise than the others}, {arm: what of that is let through}), of all runs."""
    both = {}, {}
    for arm in ARMS:
        for to in both:
            to[arm] = []
        for kind, text in (d for b in blocks if arm != "plain" for d in differences(b[arm])):
            both[kind in ("more", "unknown")][arm].append(text)
    return both


def arm_rows(blocks, arm, goal, spans):
    ours, theirs = median(added(blocks, arm)), median(added(blocks, "SDK"))
    agent = median(b[arm]["earshot"] for b in blocks)
    # No probe makes a program cheaper: where noise says so, what earshot takes by itself is the least that it can be.
    ratio = max(median(of_the_sdk(blocks, arm)), agent / theirs if theirs > 0 else math.inf)
    machine = [median(added(blocks, a, "machine")) for a in (arm, "SDK")]
    return [(f"added to an order of {spans:.1f} spans, {arm}", f"{ours:.0f} µs ({agent:.0f} of them earshot)",
             f"SDK {theirs:.0f} µs", f"{ratio:.2f}", (f"≤ {goal}", ratio <= goal)),
            ("likewise, the whole machine", f"{machine[0]:.0f} µs", f"SDK {machine[1]:.0f} µs",
             f"{median(of_the_sdk(blocks, arm, 'machine')):.2f}", None)]


def arm_notes(blocks, arm):
    parts = {k: f"{median(b[arm][k] for b in blocks):.0f}" for k in ("front", "stock", "worker", "earshot", "all", "backends",
                                                                     "machine")}
    note = (f"{arm}: µs an order, medians: {', '.join(f'{k} {v}' for k, v in parts.items())}; p50 "
            f"{median(b[arm]['sent']['p50_us'] for b in blocks) / 1e3:.1f} ms, p99 "
            f"{median(b[arm]['sent']['p99_us'] for b in blocks) / 1e3:.1f} ms from when an order was due")
    if arm == "plain":
        return note
    each = ", ".join(f"{a:.0f}" for a in added(blocks, arm))
    note += f"; added by block: {each}"
    if arm == "SDK":
        return note
    lost = sorted({b[arm]["lost"] for b in blocks} - {"none lost"})
    return (f"{note}; of the SDK's: {', '.join(f'{r:.2f}' for r in of_the_sdk(blocks, arm))}; medians by themselves "
            f"{median(added(blocks, arm)) / median(added(blocks, 'SDK')):.2f}; attaching and the orders before those that "
            f"count took {median(b[arm]['attach'] for b in blocks) * 1e3:.0f} ms of earshot; "
            f"{median(b[arm]['events'] for b in blocks):.0f} records an order; lost: {', '.join(lost) or 'nothing'}")


def only(blocks, one, other):
    """What attributes one arm has and the other does not, by the sort of span."""
    def of(arm):
        has = collections.defaultdict(set)
        for g in blocks[0][arm]["groups"]:
            has[sort_of(g["what"])].update(g["attributes"])
        return has
    mine, theirs = of(one), of(other)
    return "; ".join(f"{sort}: {', '.join(sorted(mine[sort] - theirs[sort]))}" for sort in sorted(mine)
                     if mine[sort] - theirs[sort]) or "none"


def result(blocks, most, rate):
    unlike, let_through = gate(blocks)
    spans = sum(truth(blocks[0]["plain"]["count"]).values()) / blocks[0]["plain"]["count"]
    total = median(b["plain"]["all"] for b in blocks)
    rows = [(f"an order over three services, {len(blocks)} fresh processes an arm", f"plain {total:.0f} µs",
             f"SDK {median(b['SDK']['all'] for b in blocks):.0f} µs", "", None)]
    notes = [f"one trace: {'in memory' if QUICK else 'with PostgreSQL and Redis'}; {most:.0f} orders/s at most ({AT_ONCE} at "
             f"a time, plain), {rate:.0f}/s placed for {SECONDS} s in each run"]
    commands, failed = [], 0
    for arm, texts in unlike.items():
        if texts:
            failed += 1
            notes.append(f"{arm} differs, so there is NO RESULT of it: {'; '.join(dict.fromkeys(texts))}")
        if let_through[arm]:
            notes.append(f"{arm}, let through, in {len(blocks)} runs: {'; '.join(let_through[arm])}")
    for arm, (planter, _) in ((a, of) for a, of in ARMS.items() if of):
        commands.append(re.sub(r"-p [0-9]+", "-p PID", blocks[0][arm]["command"]))
        if not unlike[arm] and not unlike["SDK"]:
            rows += arm_rows(blocks, arm, PLANTERS[planter], spans)
    notes += [arm_notes(blocks, arm) for arm in ARMS]
    notes += [f"attributes that the SDK's libraries alone give ({p}): {only(blocks, 'SDK', p)}" for p in PLANTERS]
    notes += [f"attributes that earshot alone gives ({p}): {only(blocks, p, 'SDK')}" for p in PLANTERS]
    for planter in PLANTERS if BEFORE else ():
        row, note = against_before(f"added to an order, {planter}", *(added(blocks, planter + of) for of in BUILDS), "µs")
        rows.append(row)
        notes.append(note)
    return {"rows": rows, "notes": notes, "commands": commands, "failed": failed}


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
        if sink.process.poll() is None:
            sink.process.kill()
    if dump := os.environ.get("BENCH_DUMP"):
        with open(dump, "w") as f:
            json.dump(blocks, f)
    return result(blocks, most, rate)
