"""Packs as their authors write them: the smallest one of docs/packs.md as it stands there; and how the client spans of
packs/net-http-client.yaml stand below the server's."""

from earshot import Earshot, and_patched, attach, losses, need_earshot
from http_edges import Edges
from proc import BIN, ROOT, Skip, scratch
from target import MINORS
from testing import Test


def _smallest():
    """The first block of YAML in docs/packs.md: the job that failed is an error span, the others are none."""
    need_earshot()
    if not (BIN / "jobs").exists():
        raise Skip("jobs was not built")
    pack = scratch() / "smallest.yaml"
    pack.write_text((ROOT / "docs/packs.md").read_text().split("```yaml\n")[1].split("```")[0])
    with Earshot("run", "-o", "json", "--packs", pack, "--", BIN / "jobs", "mail", "bad-1", "backup") as e:
        assert e.wait(30) == 0, e.describe()
        spans, summary = e.spans("consumer"), e.summary()
    unknown = {"earshot.parent.source": "unknown"}  # nothing says what a job is done for
    got = [(s["name"], s["status"], s["attributes"]) for s in spans]
    assert got == [("job mail", "unset", {"job.name": "mail", **unknown}),
                   ("job bad-1", "error", {"job.name": "bad-1", "error.type": "*errors.errorString", **unknown}),
                   ("job backup", "unset", {"job.name": "backup", **unknown})], got
    assert not any(losses(summary).values()), summary


def _misspelt():
    """A function that the program does not have: of a pack of the user's own that is told, once for each point."""
    need_earshot()
    if not (BIN / "jobs").exists():
        raise Skip("jobs was not built")
    pack = scratch() / "misspelt.yaml"
    smallest = (ROOT / "docs/packs.md").read_text().split("```yaml\n")[1].split("```")[0]
    pack.write_text(smallest.replace("(*Worker).run", "(*Worker).ran"))
    with Earshot("run", "-o", "json", "--packs", pack, "--", BIN / "jobs", "mail") as e:
        e.wait(30)
        said = [line for line in e.err().splitlines() if "ran" in line]
    assert len(said) == 1 and said[0].endswith("no function example.com/queue.(*Worker).ran in this binary"), e.err()


def _ask(edges, path):
    answer, _ = edges.exchange(f"GET {path} HTTP/1.1\r\nHost: edges.test\r\nUser-Agent: asking\r\n"
                               "Connection: close\r\n\r\n".encode())
    return answer.split()[1].decode()


def _client(minor):
    """The request that a handler sends: a client span under the server's."""
    need_earshot()
    with Edges(minor) as edges:
        port = edges.where["http"]
        with attach(edges.pid, observe=[port]) as e:
            assert _ask(edges, "/proxied/direct/x?a=1") == "200"
            assert _ask(edges, "/proxied/nowhere") == "404"
            e.wait_spans(2, kind="client")
            clients = e.spans("client")
            servers = {s["attributes"]["url.path"]: s for s in e.finish()[0]}
    assert len(clients) == 2, clients
    for client, path, status, error in zip(clients, ("/direct/x", "/nowhere"), (200, 404), ("unset", "error")):
        around, behind = servers[f"/proxied{path}"], servers[path]
        assert client["parent_span_id"] == around["span_id"], (client, around)
        assert client["trace_id"] == around["trace_id"] and client["goid"] == around["goid"], (client, around)
        assert client["name"] == "GET" and client["status"] == error and client["pack"] == "net-http-client", client
        a = client["attributes"]
        query = "?a=1" if path == "/direct/x" else ""
        assert a["url.full"] == f"http://127.0.0.1:{port}{path}{query}", a
        assert (a["server.address"], a["server.port"]) == ("127.0.0.1", port), a
        assert a["http.response.status_code"] == status == behind["attributes"]["http.response.status_code"], a
        assert around["start_unix_ns"] <= client["start_unix_ns"] <= behind["start_unix_ns"], (around, client, behind)
    return f"{len(clients)} client spans, {len(servers)} of the server"


def _client_in_tree():
    """What the terminal shows of them: the pack's own summary, below the server's row."""
    need_earshot()
    with Edges(MINORS[-1]) as edges:
        port = edges.where["http"]
        with Earshot("attach", "-p", str(edges.pid), "-o", "tree") as e:
            e.wait_observing(port)
            assert _ask(edges, "/proxied/direct/x?a=1") == "200"
            assert e.stop() == 0, e.describe()
            rows = e.out().splitlines()
    above = next(i for i, row in enumerate(rows) if "/proxied/direct/x?a=1" in row)
    row = rows[above + 1]
    assert "└─ → GET" in row and "200" in row and f"127.0.0.1:{port}/direct/x?a=1" in row, rows


def _all():
    yield Test("smallest", _smallest)
    yield Test("misspelt", _misspelt)
    for minor in dict.fromkeys((MINORS[0], MINORS[-1])):
        yield Test(f"client-go{minor}", lambda m=minor: _client(m))
    yield Test("client-tree", _client_in_tree)


def tests():
    yield from and_patched(_all(), {"smallest", f"client-go{MINORS[-1]}"})
