"""Servers that look at every byte of requests (tests/go/sender): HTTP/1.1 read by hand and by h11, HTTP/2 and gRPC by h2.
None of the code is the Go standard library's. What they saw is a list of Seen."""

import collections
import re
import socket
import ssl
import subprocess
import sys
import threading

sys.path.append("/usr/lib/python3/dist-packages")  # of Debian's packages, whichever Python this is
try:
    import h2.config
    import h2.connection
    import h2.events
    import h2.settings
    import h11
except ImportError:  # python3-h2, python3-h11
    h2 = h11 = None

OWN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
VALID = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]")
_HOST = re.compile(r"(127\.0\.0\.1|10\.0\.2\.2):\d+")  # seen from here, and from the virtual machine
_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\x20-\x7e]*")
_REQUEST = re.compile(rb"(GET|POST|PUT) /[\x21-\x7e]* HTTP/1\.1")

# traceparents: all values, in order. rest: everything else of the head, without what differs from request to request.
Seen = collections.namedtuple("Seen", "kind number traceparents rest")


def _seen(path, fields, order=True):
    """fields: pairs of names and values, and path as the request has it. HTTP/2 sends maps in any order."""
    bare = path.split("?")[0]
    kind, number = bare.strip("/").replace("kind.", "").split("/")
    values = tuple(v for k, v in fields if k.lower() == "traceparent")
    rest = [(k, re.sub("u+", "u", _HOST.sub("HOST", v.replace(bare, "PATH")))) for k, v in fields
            if k.lower() not in ("traceparent", "grpc-timeout")]
    return Seen(int(kind), int(number), values, tuple(rest if order else sorted(rest)))


class Wire:
    """Serves on a port of 127.0.0.1 until it is closed, and takes that much of headers. errors: what was no proper
    request."""

    def __init__(self, kind, directory, header_list=1 << 20):
        self.seen, self.errors, self.header_list = [], [], header_list
        self._context = _certificate(directory) if kind == "h2" else None
        self._serve = _h1 if kind == "h1" else _h2
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._one, args=(conn,), daemon=True).start()

    def _one(self, conn):
        try:
            if self._context:
                conn = self._context.wrap_socket(conn, server_side=True)
            self._serve(self, conn)
        except (ConnectionError, OSError):
            pass
        except Exception as e:  # what a parser says of what came
            self.errors.append(f"{type(e).__name__}: {e}")
        finally:
            conn.close()

    def close(self):
        self._listener.close()


def _certificate(directory):
    key, cert = directory / "key.pem", directory / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", "/CN=127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["h2"])
    return context


# ---- HTTP/1.1 ----


def _head(raw):
    """The request line's path and the fields of a head, of which every byte is accounted for."""
    lines = raw.split(b"\r\n")
    if lines[-2:] != [b"", b""] or not _REQUEST.fullmatch(lines[0]):
        raise ValueError(f"no head: {raw[:200]!r}")
    for line in lines[1:-2]:
        if not _LINE.fullmatch(line):
            raise ValueError(f"no field: {line[:200]!r}")
    fields = [line.decode().split(": ", 1) for line in lines[1:-2]]
    return lines[0].split()[1].decode(), [(":first", lines[0].decode()), *fields]


def _h1(wire, conn):
    parser, raw, path = h11.Connection(h11.SERVER, max_incomplete_event_size=65536), b"", None
    while True:
        data = conn.recv(65536)
        parser.receive_data(data)
        raw += data if path is None else b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                if parser.they_are_waiting_for_100_continue:
                    conn.sendall(parser.send(h11.InformationalResponse(status_code=100, headers=[])))
                break
            if isinstance(event, h11.Request):
                path, fields = _head(raw[:raw.index(b"\r\n\r\n") + 4])
                if len(fields) != 1 + len(event.headers):
                    raise ValueError("h11 sees other fields")
                wire.seen.append(_seen(path, fields))
            elif isinstance(event, h11.EndOfMessage):
                body = path.split("?")[0].rsplit("/", 1)[1].encode()
                conn.sendall(parser.send(h11.Response(status_code=200, headers=[("Content-Length", str(len(body)))])) +
                             parser.send(h11.Data(data=body)) + parser.send(h11.EndOfMessage()))
                parser.start_next_cycle()
                raw, path = b"", None
            elif isinstance(event, h11.ConnectionClosed):
                return


# ---- HTTP/2 ----


def _answer(c, stream, path, grpc):
    if grpc:
        c.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc+raw")])
        c.send_data(stream, b"\0\0\0\0\0")
        c.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        return
    body = path.split("?")[0].rsplit("/", 1)[1].encode()
    c.send_headers(stream, [(":status", "200"), ("content-length", str(len(body)))])
    c.send_data(stream, body, end_stream=True)


def _h2(wire, conn):
    c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    codes = h2.settings.SettingCodes
    c.local_settings = h2.settings.Settings(client=False, initial_values={
        codes.MAX_CONCURRENT_STREAMS: 100, codes.MAX_HEADER_LIST_SIZE: wire.header_list})
    c.initiate_connection()
    conn.sendall(c.data_to_send())
    open_streams = {}
    while data := conn.recv(65536):
        for event in c.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                fields = [(k, v) for k, v in event.headers]
                path = dict(fields)[":path"]
                grpc = dict(fields).get("content-type", "").startswith("application/grpc")
                open_streams[event.stream_id] = path, grpc
                wire.seen.append(_seen(path, fields, order=False))
                if dict(fields).get("expect"):
                    c.send_headers(event.stream_id, [(":status", "100")])
            elif isinstance(event, h2.events.DataReceived):
                c.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                _answer(c, event.stream_id, *open_streams.pop(event.stream_id))
            elif isinstance(event, h2.events.ConnectionTerminated):
                return
        conn.sendall(c.data_to_send())
