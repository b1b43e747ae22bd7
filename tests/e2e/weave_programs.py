"""Large programs of others, built whole with every pack: nothing is left out with a warning, they start, serve, and their spans are right.
`make soak-weave`."""

import base64
import json
import os
import subprocess
import urllib.request

from earshot import Earshot
from proc import CACHE, EARSHOT, ROOT, Process, Skip, clean_env, free_port, port_open, scratch, until
from target import MINORS
from testing import Test
from weave_builds import ALL, warnings

LAST = MINORS[-1]


def _build(cwd, package):
    go, path = CACHE / f"toolchains/go{LAST}/bin/go", scratch() / "program"
    if not os.access(go, os.X_OK):
        raise Skip(f"there is no Go {LAST}")
    env = clean_env(GOCACHE=CACHE / "gocache", GOMODCACHE=CACHE / "gomod", GOTOOLCHAIN="local", CGO_ENABLED="0",
                    GOFLAGS="-buildvcs=false", GOWORK="off")
    done = subprocess.run([EARSHOT, "build", "--", str(go), "build", "-o", str(path), package], cwd=cwd, capture_output=True, text=True,
                          timeout=3000, env=env, check=False)
    assert done.returncode == 0 and not warnings(done.stderr), done.stderr[-3000:]
    assert b"earshot.woven.1\n" in path.read_bytes()
    return path


def _get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return answer.read().decode()


def _observe(program, port):
    until("it listens", lambda: port_open(port) and program.alive(), 60)
    e = Earshot("attach", "-p", str(program.pid), "-o", "json", "--ignore-sdk")
    until("it is observed", lambda: e.check_alive() and "observing " in e.err(), 60)
    return e


def _spans(e):
    e.finish()
    return [o for o in e.objects() if "span_id" in o]


def _post(url, body, **headers):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def _etcd():
    """Each request by HTTP becomes a gRPC call, of a client in the program to its server: the client's span is the request's child.
    (Whose the server's span is is not asked: the client's span does not know its own port here.)"""
    path, here, port, peers = _build(ROOT / "tests/go/etcdd", "."), scratch(), free_port(), free_port()
    mine, other = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peers}"
    argv = [path, "--data-dir", here / "data", "--listen-client-urls", mine, "--advertise-client-urls", mine, "--listen-peer-urls", other,
            "--initial-advertise-peer-urls", other, "--initial-cluster", f"default={other}", "--log-level", "error"]
    key = base64.b64encode(b"key").decode()
    with Process(argv) as program, _observe(program, port) as e:
        until("it serves", lambda: json.loads(_get(f"{mine}/health"))["health"] == "true", 60)
        for n in range(20):
            value = base64.b64encode(f"v{n}".encode()).decode()
            _post(f"{mine}/v3/kv/put", {"key": key, "value": value}, traceparent=f"00-{n + 1:032x}-{n + 1:016x}-01")
        (kv,) = _post(f"{mine}/v3/kv/range", {"key": key})["kvs"]
        assert base64.b64decode(kv["value"]) == b"v19" and kv["version"] == "20", kv
        until("all are seen", lambda: sum(o.get("name", "").startswith("etcdserverpb.KV/") for o in e.objects()) >= 42, 30)
        spans = _spans(e)
    for n in range(20):
        mine = {s["kind"] + " " + s["pack"]: s for s in spans if s["trace_id"] == f"{n + 1:032x}"}
        http, client = mine["server net-http"], mine["client grpc"]
        assert http["name"] == "POST /v3/" and http["parent_span_id"] == f"{n + 1:016x}", mine
        assert http["attributes"]["url.path"] == "/v3/kv/put" and http["attributes"]["http.response.status_code"] == 200, http
        assert client["name"] == "etcdserverpb.KV/Put" and client["parent_span_id"] == http["span_id"], mine
        assert client["attributes"]["rpc.response.status_code"] == "OK", mine
    served = [s for s in spans if s["kind"] == "server" and s["pack"] == "grpc"]
    assert sorted(s["name"] for s in served) == ["etcdserverpb.KV/Put"] * 20 + ["etcdserverpb.KV/Range"], served
    return f"{len(spans)} spans"


def tests():
    if ALL:
        yield Test("etcd", _etcd, 3600)
