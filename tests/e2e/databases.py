"""Operations on databases: one span for each, with exactly these names, attributes and errors, whatever the libraries do
beneath (tries again, prepares, shakes hands). Never a value of a statement, unless it is asked for."""

import functools
import os

from backends import Postgres, Redis
from earshot import Earshot, losses, need_earshot, patched
from proc import BIN, Skip
from testing import Test

NEWEST, OLDER = "1.27", "1.21"


def _spans(build, options=()):
    """The client spans of a run, in the order of their starts, and the two backends. build: or a path."""
    need_earshot()
    binary = BIN / f"dbs-go{build}" if isinstance(build, str) else build
    if not os.access(binary, os.X_OK):
        raise Skip(f"{binary.name} was not built")
    postgres, redis = Postgres(), Redis()
    with Earshot("run", "-o", "json", *options, "--", binary, postgres.url, redis.address) as e:
        assert e.wait(40) == 0, e.describe()
        assert "done" in e.out(), e.out()[-500:]
        spans, summary = e.spans("client"), e.summary()
        everything = e.out() + e.err()
    lost = {k: v for k, v in losses(summary).items() if v}
    assert not lost and not summary["open"], summary
    if "full" not in options:
        assert "secret" not in everything, [l for l in everything.splitlines() if "secret" in l][:3]
    return sorted(spans, key=lambda s: s["start_unix_ns"]), postgres, redis


def _compare(spans, expected):
    """What is wrong; expected: (name, {attributes}, error or None), with all attributes. None is one that is not there."""
    wrong = []
    for i in range(max(len(spans), len(expected))):
        name, want, error = expected[i] if i < len(expected) else ("nothing", {}, None)
        got = spans[i] if i < len(spans) else {"name": "nothing", "attributes": {}, "status": "unset"}
        attributes = {k: v for k, v in got["attributes"].items() if not k.startswith("earshot.parent")}
        want = {**want, **({"error.type": error} if error else {})}
        want = {k: v for k, v in want.items() if v is not None}
        if got["name"] != name or attributes != want or (got["status"] == "error") != bool(error):
            wrong.append(f"{i}: {got['name']} {got['status']} {attributes}\n    not {name} {error or 'unset'} {want}")
    return wrong


def _with(expected, **common):
    return [(name, {**{k.replace("__", "."): v for k, v in common.items()}, **attributes}, error)
            for name, attributes, error in expected]


# ---- database/sql ----

def _sql(text, operation=None, collection=None, error=None, summary=None, **more):
    """A statement's span: what is read in the text is the operation, the table and both."""
    operation = operation or text.split()[0]
    summary = summary or " ".join(w for w in (operation, collection) if w)
    attributes = {"db.query.text": text, "db.operation.name": operation, "db.collection.name": collection,
                  "db.query.summary": summary, **{k.replace("__", "."): v for k, v in more.items()}}
    return summary, attributes, error


def _prepare(text, collection, error=None, **more):
    return (f"PREPARE {collection}",
            {"db.query.text": text, "db.operation.name": "PREPARE", "db.collection.name": collection, **more}, error)


def _plain(operation, error=None):
    return operation, {"db.operation.name": operation}, error


def _select(table, error=None):
    return _sql(f"SELECT a FROM {table}", collection=table, error=error)


AFFECTED = "earshot.db.affected_rows"
FAKE = [
    _plain("PING"),
    _sql("SELECT a FROM users WHERE b = ? AND c = ?", collection="users"),
    _select("skip"),
    _sql("SELECT a FROM one WHERE id = ?", collection="one"),
    _select("other"), _select("early"), _select("refused", "*main.refusal"), _select("late", "*main.refusal"),
    _select("broken", "driver.ErrBadConn"), *40 * [_select("cancelled", "context.Canceled")],
    _sql("INSERT INTO users VALUES (?, ?)", collection="users", **{AFFECTED: 7}),
    _sql("UPDATE skip SET a = ?", collection="skip", **{AFFECTED: 2}),
    _sql("DELETE FROM broken", collection="broken", error="driver.ErrBadConn"),
    _prepare("SELECT a FROM prepared WHERE b = ?", "prepared"),
    *[_sql("SELECT a FROM prepared WHERE b = ?", collection="prepared", **{AFFECTED: n}) for n in (None, None, 2)],
    _prepare("SELECT a FROM refused", "refused", "*main.refusal"),
    _plain("BEGIN"), _select("tx"), _sql("UPDATE tx SET a = ?", collection="tx", **{AFFECTED: 7}),
    _prepare("SELECT a FROM txprepared", "txprepared"), _select("txprepared"), _plain("COMMIT"),
    _plain("BEGIN"), _plain("ROLLBACK"),
    _plain("BEGIN"), _plain("ROLLBACK"),
    _plain("PING"), _select("conn"), _sql("UPDATE conn SET a = ?", collection="conn", **{AFFECTED: 7}),
    _plain("BEGIN"), _plain("COMMIT"),
]


# ---- PostgreSQL ----

ROWS = "db.response.returned_rows"


def _failed(text, code, collection="users"):
    return _sql(text, collection=collection, error=code, db__response__status_code=code)


def _called(name):
    """A statement that is its own operation."""
    return _sql(name, operation=name)


PGX = [
    _sql("CREATE TEMPORARY TABLE users (id int, name text)", "CREATE TABLE", "users"),
    _sql("INSERT INTO users VALUES (?, ?), (?, ?)", collection="users", **{AFFECTED: 2}),
    _sql("INSERT INTO users VALUES ($1, $2)", collection="users", **{AFFECTED: 1}),
    *2 * [_sql("SELECT id FROM users WHERE id < $1", collection="users", **{ROWS: 3})],
    _sql("SELECT id FROM users WHERE name = ? AND id = $1", collection="users", **{ROWS: 1}),
    _sql("SELECT id FROM users WHERE id = $1", collection="users", **{ROWS: 0}),
    _sql("SELECT name FROM users", collection="users", **{ROWS: 3}),
    _sql("SELECT ?, ?", **{ROWS: 1}),
    _failed("SELECT nothing FROM users", "42703"),
    _failed("SELECT ? / (id - ?) FROM users", "22012"),
    _failed("UPDATE users SET id = ? / (id - ?)", "22012"),
    ("BATCH", {"db.operation.name": "BATCH", "db.operation.batch.size": 3}, None),
    _failed("SELECT ? / (id - ?) FROM users WHERE name = ?", "22012"),
    ("COPY users", {"db.operation.name": "COPY", "db.collection.name": "users", AFFECTED: 2}, None),
    _called("begin"), _sql("DELETE FROM users WHERE id = ?", collection="users", **{AFFECTED: 1}), _called("commit"),
    _called("begin"), _called("rollback"),
    _sql("SELECT pg_sleep(?)", error="*github.com/jackc/pgx/v5/pgconn.errTimeout"),
    *2 * [_sql("SELECT ? AS pooled", **{ROWS: 1})],
]
# Through database/sql: one span of it for each operation, and none of pgx.
STDLIB = [
    _sql("CREATE TEMPORARY TABLE orders (id int)", "CREATE TABLE", "orders", **{AFFECTED: 0}),
    _sql("INSERT INTO orders VALUES ($1), (?)", collection="orders", **{AFFECTED: 2}),
    _sql("SELECT id FROM orders", collection="orders", **{ROWS: 2}),
    _sql('SELECT id FROM "orders" WHERE id = $1', collection="orders"),
    _failed("SELECT nothing FROM orders", "42703", "orders"),
    _failed("SELECT ? / (id - ?) FROM orders", "22012", "orders"),
    _plain("BEGIN"), _sql("UPDATE orders SET id = ?", collection="orders", **{AFFECTED: 2}), _plain("ROLLBACK"),
]

# ---- Redis ----


def _command(text, error=None, code=True):
    name = text.split()[0]
    return name, {"db.operation.name": name, "db.query.text": text,
                  "db.response.status_code": error if code else None}, error


def _pipeline(name, size, error=None):
    return name, {"db.operation.name": name, "db.operation.batch.size": size, "db.response.status_code": error}, error


REDIS9 = [
    _command("SET ? ?"), _command("GET ?"), _command("GET ?"), _command("MGET ? ? ?"), _command("INCR ?", "ERR"),
    _command("LPUSH ? ?", "WRONGTYPE"), _command("CONFIG ? ?"), _command("HSET ? ? ?"),
    _pipeline("PIPELINE", 3), _pipeline("PIPELINE", None, "WRONGTYPE"), _pipeline("MULTI", 2),
    _command("EVALSHA ? ? ? ...", "NOSCRIPT"), _command("EVAL ? ? ? ..."),
    _command("WATCH ?"), _command("GET ?"), _command("UNWATCH"), _command("PING"),
    _command("GET", "context.Canceled", False),
]
REFUSED = [_command("GET", "*net.OpError", False)]
REDIS8 = [_command("SET ? ?"), _command("GET ?"), _command("GET ?"), _command("LPUSH ? ?", "WRONGTYPE"),
          _pipeline("PIPELINE", 2), _pipeline("MULTI", 2)]

# ---- everything ----


def _expected(postgres, redis):
    server = {"server__address": "127.0.0.1"}
    database = {"db__system__name": "postgresql", "db__namespace": "postgres", "server__port": postgres.port, **server}
    store = {"db__system__name": "redis", "server__port": redis.port, **server}
    return {"database-sql": [*_with(FAKE, db__system__name="other_sql"), *_with(STDLIB, **database)],
            "pgx": _with(PGX, **database),
            "go-redis": [*_with(REDIS9, db__namespace="2", **store),
                         *_with(REFUSED, db__namespace="0", **{**store, "server__port": 1}),
                         *_with(REDIS8, db__namespace="3", **store)]}


def operations(build):
    spans, postgres, redis = _spans(build)
    wrong = []
    for pack, expected in _expected(postgres, redis).items():
        wrong += [f"{pack} {w}" for w in _compare([s for s in spans if s["pack"] == pack], expected)]
    assert not wrong, f"{len(wrong)} spans are other ones:\n  " + "\n  ".join(wrong[:6])
    return f"{len(spans)} spans"


def _full(build):
    """--sql full: the text is the program's; operation and table are as before."""
    spans, *_ = _spans(build, ("--sql", "full"))
    texts = {s["attributes"].get("db.query.text"): s["name"] for s in spans}
    for text in ("SELECT a FROM users WHERE b = 'secret' AND c = 42", "INSERT INTO users VALUES (1, 'secret'), (2, 'secret')"):
        assert texts.get(text) == f"{text.split()[0]} users", texts
    return f"{len(spans)} spans"


def tests():
    for minor in (NEWEST, OLDER):
        stripped = Test(f"go{minor}-sw", functools.partial(operations, f"{minor}-sw"))
        yield stripped
        yield patched(stripped)
        yield patched(Test(f"go{minor}-plain", functools.partial(operations, f"{minor}-plain")))
    yield patched(Test("full", functools.partial(_full, f"{NEWEST}-sw")))
