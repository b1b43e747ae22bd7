"""Go programs that others wrote and stripped: how to start each, and what to
ask it."""

import os
import re
import subprocess

from cases import ANY, Case
from proc import (CACHE, Process, Skip, clean_env, free_port, listener_pid, port_open,
                  scratch, session_pids, until)

RELEASES = {"bookworm": "Debian 12", "trixie": "Debian 13"}
ROOT = CACHE / "third-party"

OK = dict(route=ANY, status=200)


def library_path():
    """A directory with the libraries this machine lacks: always bookworm's,
    as trixie's programs run with them but not the other way round."""
    links = scratch()
    root = ROOT / "bookworm/root/usr/lib/x86_64-linux-gnu"
    for name in ("libsass.so.1", "libwebp.so.7", "libsharpyuv.so.0", "libzstd.so.1"):
        if (root / name).exists() and not os.path.exists(f"/usr/lib/x86_64-linux-gnu/{name}"):
            os.symlink((root / name).resolve(), links / name)
    return links


class Service:
    """One running program; it looks to cases.plan() like the tests' own server."""

    binary = ""
    cases = ()

    def __init__(self, release):
        self.path = ROOT / release / self.binary
        if not os.access(self.path, os.X_OK):
            raise Skip(f"{self.binary} of {RELEASES[release]} was not fetched")
        self.port, self.dir = free_port(), scratch()
        self.prepare()
        self.process = Process([self.path, *self.arguments()], cwd=self.dir, env=clean_env(
            HOME=self.dir, XDG_DATA_HOME=self.dir, XDG_CONFIG_HOME=self.dir,
            LD_LIBRARY_PATH=library_path()))
        self.pid = self.process.pid
        self.where = {"http": self.port}
        self.go = (0, 0)
        try:
            until(f"{self.binary} listens", self._listening, 45)
            # syncthing's first process only watches over the one that serves.
            self.pid = until(f"{self.binary}'s listening process is found",
                             lambda: listener_pid(self.port, session_pids(self.process.pid)))
        except BaseException:
            self.process.kill()
            raise

    def _listening(self):
        if not self.process.alive():
            text = self.process.err() + self.process.out()
            raise AssertionError(f"{self.binary} ended at its start: {text[-500:]}")
        return port_open(self.port)

    def address(self):
        return f"127.0.0.1:{self.port}"

    def base(self, _):
        return f"http://{self.address()}"

    def prepare(self):
        """Files it needs."""

    def arguments(self):
        return []

    def unharmed(self):
        """Whether it still runs and complained of nothing a Go runtime would."""
        assert self.process.alive(), f"{self.binary} ended: {self.process.describe()}"
        text = self.process.err() + self.process.out()
        found = re.search(r"fatal error:|unexpected fault|SIGSEGV|SIGTRAP|SIGILL|runtime: ", text)
        assert not found, f"{self.binary}: {text[max(0, found.start() - 200):found.start() + 500]}"

    def close(self):
        self.process.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Caddy(Service):
    binary = "caddy/usr/bin/caddy"
    cases = (
        Case("respond", "/hello?x=1", **OK, size=5),
        Case("status", "/teapot", route=ANY, status=418, size=0),
        Case("file", "/files/page.txt", **OK, size=9),
        Case("missing", "/files/none.txt", route=ANY, status=404),
        Case("head", "/files/page.txt", "HEAD", **OK, size=0),
        Case("error", "/broken", route=ANY, status=500, error="500"),
    )

    def prepare(self):
        (self.dir / "files").mkdir()
        (self.dir / "files" / "page.txt").write_text("some text")
        (self.dir / "Caddyfile").write_text(f"""{{
	admin off
	auto_https off
	servers {{
		protocols h1 h2c
	}}
}}
http://127.0.0.1:{self.port} {{
	respond /hello "hello" 200
	respond /teapot 418
	respond /broken 500
	root * {self.dir}
	file_server /files/*
}}
""")

    def arguments(self):
        return ["run", "--config", "Caddyfile", "--adapter", "caddyfile"]


class Prometheus(Service):
    binary = "prometheus/usr/bin/prometheus"
    cases = (
        Case("healthy", "/-/healthy", **OK),
        Case("query", "/api/v1/query?query=1%2B1", **OK),
        Case("bad-query", "/api/v1/query?query=%7B", route=ANY, status=400),
        Case("post-query", "/api/v1/query", "POST", **OK, body=7, request={
            "body": "query=1", "header": {"Content-Type": "application/x-www-form-urlencoded"}}),
        Case("missing", "/none", route=ANY, status=404),
        Case("metrics", "/metrics", **OK),
    )

    def prepare(self):
        (self.dir / "prometheus.yml").write_text("scrape_configs: []\n")

    def arguments(self):
        return ["--config.file=prometheus.yml", "--storage.tsdb.path=data",
                f"--web.listen-address={self.address()}"]


class NodeExporter(Service):
    binary = "prometheus-node-exporter/usr/bin/prometheus-node-exporter"
    cases = (Case("landing", "/", **OK), Case("metrics", "/metrics", **OK),
             Case("post", "/", "POST", request={"body": "abc"}, **OK, body=3))

    def arguments(self):
        return [f"--web.listen-address={self.address()}", "--collector.disable-defaults",
                "--collector.loadavg"]


class Etcd(Service):
    binary = "etcd-server/usr/bin/etcd"
    cases = (
        Case("version", "/version", **OK),
        Case("put", "/v3/kv/put", "POST", request={"body": '{"key":"Zm9v","value":"YmFy"}'},
             **OK, body=29),
        Case("range", "/v3/kv/range", "POST", request={"body": '{"key":"Zm9v"}'}, **OK, body=14),
        Case("missing", "/none", route=ANY, status=404),
    )

    def arguments(self):
        peer = f"http://127.0.0.1:{free_port()}"
        mine = f"http://{self.address()}"
        return ["--data-dir", "data", "--listen-client-urls", mine, "--advertise-client-urls", mine,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", f"default={peer}"]

    def _listening(self):
        if not super()._listening():
            return False
        done = subprocess.run(["curl", "-fsS", "-m", "2", f"http://{self.address()}/health"],
                              capture_output=True, text=True, check=False)
        return '"true"' in done.stdout


class Nats(Service):
    binary = "nats-server/usr/sbin/nats-server"
    cases = (Case("varz", "/varz", **OK), Case("healthz", "/healthz", **OK),
             Case("connz", "/connz?limit=1", **OK), Case("missing", "/none", route=ANY, status=404))

    def arguments(self):
        return ["-a", "127.0.0.1", "-p", str(free_port()), "-m", str(self.port)]


class Rclone(Service):
    binary = "rclone/usr/bin/rclone"
    cases = (Case("list", "/", **OK), Case("file", "/files/page.txt", **OK, size=9),
             Case("range", "/files/page.txt", request={"header": {"Range": "bytes=0-3"}},
                  route=ANY, status=206, size=4),
             Case("missing", "/none", route=ANY, status=404))

    def prepare(self):
        (self.dir / "share" / "files").mkdir(parents=True)
        (self.dir / "share" / "files" / "page.txt").write_text("some text")

    def arguments(self):
        return ["serve", "http", "share", "--addr", self.address(), "--config", "rclone.conf"]


class Syncthing(Service):
    binary = "syncthing/usr/bin/syncthing"
    cases = (Case("page", "/", **OK),
             Case("denied", "/rest/system/status", route=ANY, status=403))

    def arguments(self):
        return ["serve", f"--gui-address=http://{self.address()}", f"--home={self.dir}", "--no-browser",
                "--no-default-folder", "--no-restart", "--no-upgrade"]


class Hugo(Service):
    binary = "hugo/usr/bin/hugo"
    cases = (Case("home", "/", **OK), Case("page", "/about/", **OK),
             Case("missing", "/none", route=ANY, status=404))

    def prepare(self):
        site = self.dir / "site"
        (site / "layouts" / "_default").mkdir(parents=True)
        (site / "content").mkdir()
        (site / "config.toml").write_text('baseURL = "http://127.0.0.1/"\ntitle = "t"\n'
                                          'disableKinds = ["taxonomy", "term", "RSS", "sitemap"]\n')
        for name in ("index", "_default/single", "_default/list"):
            (site / "layouts" / f"{name}.html").write_text("<html>{{ .Title }}</html>")
        (site / "content" / "about.md").write_text("---\ntitle: about\n---\ntext\n")

    def arguments(self):
        return ["server", "-s", "site", "--bind", "127.0.0.1", "-p", str(self.port), "--watch=false",
                "--disableLiveReload"]


SERVICES = {c.__name__.lower(): c for c in
            (Caddy, Prometheus, NodeExporter, Etcd, Nats, Rclone, Syncthing, Hugo)}
