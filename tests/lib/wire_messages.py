"""A server that looks at every byte of messages (tests/go/mailer): NATS, read by hand. None of the code is a library's of
Go. What it saw is a list of wire.Seen."""

import json
import re
import threading

from wire import Seen, Wire

_PUB = re.compile(rb"(?:PUB (?P<subject>[^ ]+) (?:(?P<reply>[^ ]+) )?(?P<total>\d+)|"
                  rb"HPUB (?P<hsubject>[^ ]+) (?:(?P<hreply>[^ ]+) )?(?P<head>\d+) (?P<htotal>\d+))")
_FIELD = re.compile(rb"([!-9;-~]+): ?([\x20-\x7e]*)")


def _fields(raw):
    """Names and values of a message's headers, of which every byte is accounted for."""
    lines = raw.split(b"\r\n")
    if lines[0] != b"NATS/1.0" or lines[-2:] != [b"", b""]:
        raise ValueError(f"no headers: {raw[:200]!r}")
    found = [_FIELD.fullmatch(line) for line in lines[1:-2]]
    if not all(found):
        raise ValueError(f"no field: {raw[:200]!r}")
    return [(m[1].decode(), m[2].decode()) for m in found]


class _Reader:
    def __init__(self, conn):
        self.conn, self.buffer = conn, bytearray()

    def _more(self):
        data = self.conn.recv(1 << 18)
        if not data:
            raise ConnectionError
        self.buffer += data

    def line(self):
        while (end := self.buffer.find(b"\r\n")) < 0:
            self._more()
        return self.take(end + 2)[:-2]

    def take(self, n):
        while len(self.buffer) < n:
            self._more()
        taken = bytes(self.buffer[:n])
        del self.buffer[:n]
        return taken


class Nats(Wire):
    """The subjects are box.KIND.NUMBER, or answers to these. info: what it says of itself. It reads while `reading` is set."""

    def __init__(self, **info):
        super().__init__("nats", None)
        self._serve = Nats._serve_nats
        self.reading = threading.Event()
        self.reading.set()
        self.info = {"server_id": "W", "version": "2.11.0", "proto": 1, "headers": True, "max_payload": 65536, **info}
        self.url = f"nats://127.0.0.1:{self.port}"

    def _message(self, line, reader):
        m = _PUB.fullmatch(line)
        if not m:
            raise ValueError(f"no message: {line[:200]!r}")
        head, total = int(m["head"] or 0), int(m["total"] or m["htotal"])
        body = reader.take(total + 2)
        if total > self.info["max_payload"] or not body.endswith(b"\r\n") or (head and not self.info["headers"]):
            raise ValueError(f"not to be sent: {line[:200]!r}")
        fields = _fields(body[:head]) if m["head"] else []
        subject = (m["subject"] or m["hsubject"]).decode()
        if subject.startswith("box."):
            _, kind, number = subject.split(".")
            rest = sorted((k, v) for k, v in fields if k.lower() != "traceparent")  # of a map: in any order
            self.seen.append(Seen(int(kind), int(number),
                                  tuple(v for k, v in fields if k.lower() == "traceparent"),
                                  (tuple(rest), body[head:-2].replace(number.encode(), b"N"))))
        return m["reply"] or m["hreply"]

    def _serve_nats(self, conn):
        reader, subscribed = _Reader(conn), {}
        conn.sendall(b"INFO " + json.dumps(self.info).encode() + b"\r\n")
        while True:
            line = reader.line()
            self.reading.wait()
            verb = line.split(b" ", 1)[0].upper()
            if verb == b"PING":
                conn.sendall(b"PONG\r\n")
            elif verb == b"SUB":
                subscribed[line.split()[1]] = line.split()[-1]
            elif verb in (b"PUB", b"HPUB"):
                reply = self._message(line, reader)
                for subject, sid in subscribed.items():
                    if reply and (reply == subject or subject.endswith(b".*") and reply.startswith(subject[:-1])):
                        conn.sendall(b"MSG " + reply + b" " + sid + b" 2\r\nok\r\n")
            elif verb not in (b"CONNECT", b"PONG", b"UNSUB"):
                raise ValueError(f"no command: {line[:200]!r}")
