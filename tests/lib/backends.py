"""PostgreSQL, Redis, NATS and Kafka for a test: servers of its own on loopback, with their data in a scratch directory."""

import glob
import os
import pwd
import shutil
import subprocess

from proc import BIN, Process, Skip, free_port, json_lines, port_open, scratch, until

NOBODY = "nobody"  # PostgreSQL refuses to run as root


def _binary(name, *places):
    found = shutil.which(name) or next((p for place in places for p in sorted(glob.glob(place), reverse=True)), None)
    if not found:
        raise Skip(f"{name} is not installed")
    return found


def _as_nobody(directory):
    """Arguments in front of a command that must not run as root, which owns the directory then."""
    if os.getuid() != 0:
        return []
    user = pwd.getpwnam(NOBODY)
    os.chmod(directory.parent, 0o755)
    os.chown(directory, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


class Postgres(Process):
    def __init__(self):
        data = scratch() / "data"
        data.mkdir()
        front, self.port = _as_nobody(data), free_port()
        initdb = _binary("initdb", "/usr/lib/postgresql/*/bin/initdb")
        subprocess.run([*front, initdb, "-D", data, "-U", "test", "-A", "trust", "-N", "--no-instructions"],
                       check=True, timeout=60, stdout=subprocess.DEVNULL, cwd="/")
        super().__init__([*front, _binary("postgres", "/usr/lib/postgresql/*/bin/postgres"), "-D", data, "-p", self.port,
                          "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off",
                          "-c", "max_connections=200"], cwd="/")
        until(f"PostgreSQL answers: {self.describe()}",
              lambda: not self.alive() or "ready to accept connections" in self.err(), 30)
        assert self.alive(), self.describe()
        self.url = f"postgres://test@127.0.0.1:{self.port}/postgres?sslmode=disable"


class Redis(Process):
    def __init__(self):
        self.port = free_port()
        super().__init__([_binary("redis-server"), "--port", self.port, "--bind", "127.0.0.1", "--save", "",
                          "--appendonly", "no", "--dir", scratch()])
        until(f"Redis answers: {self.describe()}", lambda: not self.alive() or port_open(self.port), 20)
        assert self.alive(), self.describe()
        self.address = f"127.0.0.1:{self.port}"


class Broker(Process):
    """A NATS server with JetStream, and a Kafka broker, in one process of go/mq."""

    def __init__(self, binary):
        if not (BIN / binary).exists():
            raise Skip(f"{binary} was not built")
        super().__init__([BIN / binary, "serve", scratch()])
        where = until(f"the brokers are there: {self.describe()}",
                      lambda: next(json_lines(self.out()), not self.alive()), 30)
        assert self.alive(), self.describe()
        self.nats, self.kafka = where["nats"], where["kafka"]

    @staticmethod
    def port(address):
        return int(address.rsplit(":", 1)[1])
