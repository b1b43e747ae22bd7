"""go/fanout: requests that hand work on in every way that Go has. Each carries its number through every hop."""

import subprocess
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

from proc import BIN, Process, Skip, clean_env, until


class Fanout(Process):
    def __init__(self, minor, *args, path=None, prefix=()):
        """path: of another build of it."""
        path = path or BIN / f"fanout-go{minor}"
        if not path.exists():
            raise Skip(f"{path.name} was not built")
        super().__init__([*prefix, path, *args], env=clean_env(GOGC=5), stdin=subprocess.PIPE)
        self.address = until("it listens", lambda: self.out().strip())
        self.port = int(self.address.rsplit(":", 1)[1])


def callers(n, run):
    """n threads, each of which calls run with its number. What goes wrong in one goes wrong here."""
    with ThreadPoolExecutor(n) as pool:
        for done in [pool.submit(run, i) for i in range(n)]:
            done.result(60)


def said(span):
    """Number and way of a request, as its client or its server has them."""
    a = span["attributes"]
    query = a["url.query"] if "url.query" in a else urllib.parse.urlsplit(a["url.full"]).query
    q = urllib.parse.parse_qs(query)
    return int(q["n"][0]), q.get("via", ["work"])[0]
