"""What OTLP carries, brought into the shape of Earshot's JSON lines, and a
fake collector that misbehaves on request."""

import gzip
import http.server
import threading
import time

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
STATUSES = {0: "unset", 1: "ok", 2: "error"}


# ---- protobuf, as much of it as OTLP traces need ----

def fields(data):
    """(number, value) of a message; a value is an int or bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
        elif kind == 1:
            value, at = int.from_bytes(data[at:at + 8], "little"), at + 8
        elif kind == 5:
            value, at = int.from_bytes(data[at:at + 4], "little"), at + 4
        elif kind == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("field runs past the end")
            value, at = data[at:at + size], at + size
        else:
            raise ValueError(f"wire type {kind}")
        yield key >> 3, value


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7


def _any_value(data):
    for number, value in fields(data):
        if number == 1:
            return value.decode()
        if number == 2:
            return bool(value)
        if number == 3:
            return value - (1 << 64) if value >> 63 else value
    return None


def _key_values(items):
    result = {}
    for item in items:
        parts = dict(fields(item))
        result[parts[1].decode()] = _any_value(parts.get(2, b""))
    return result


def _all(data, number):
    return [v for n, v in fields(data) if n == number]


def decode_request(body):
    """The spans of an ExportTraceServiceRequest."""
    for resource_spans in _all(body, 1):
        resource = _key_values(a for r in _all(resource_spans, 1) for a in _all(r, 1))
        for scope_spans in _all(resource_spans, 2):
            for span in _all(scope_spans, 2):
                yield _span(span, resource)


def _span(data, resource):
    one = dict(fields(data))
    status = dict(fields(one.get(15, b"")))
    return {
        "trace_id": one.get(1, b"").hex(), "span_id": one.get(2, b"").hex(),
        "parent_span_id": one.get(4, b"").hex(), "name": one.get(5, b"").decode(),
        "kind": KINDS.get(one.get(6)), "status": STATUSES[status.get(3, 0)],
        "start_unix_ns": one.get(7, 0), "duration_ns": one.get(8, 0) - one.get(7, 0),
        "attributes": _key_values(_all(data, 9)),
        "service": resource.get("service.name"), "resource": resource,
    }


# ---- OTLP JSON, as the real collector writes it ----

def _json_values(items):
    result = {}
    for item in items:
        kind, value = next(iter(item["value"].items()), (None, None))
        result[item["key"]] = int(value) if kind == "intValue" else value
    return result


def decode_json(line):
    for resource_spans in line.get("resourceSpans", []):
        resource = _json_values(resource_spans.get("resource", {}).get("attributes", []))
        for scope_spans in resource_spans.get("scopeSpans", []):
            for s in scope_spans["spans"]:
                yield {
                    "trace_id": s["traceId"], "span_id": s["spanId"],
                    "parent_span_id": s.get("parentSpanId", ""), "name": s["name"],
                    "trace_state": s.get("traceState", ""),
                    "kind": KINDS.get(s.get("kind")),
                    "status": STATUSES[s.get("status", {}).get("code", 0)],
                    "start_unix_ns": int(s["startTimeUnixNano"]),
                    "duration_ns": int(s["endTimeUnixNano"]) - int(s["startTimeUnixNano"]),
                    "attributes": _json_values(s.get("attributes", [])),
                    "service": resource.get("service.name"), "resource": resource,
                }


# ---- the fake collector ----

class FakeCollector:
    """answer(n) gives (status, headers, delay in s, body) of the n-th request."""

    def __init__(self, port=0, answer=lambda n: (200, {}, 0, b"")):
        self.spans, self.requests, self.answer = [], [], answer
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                outer.take(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        with self.lock:
            number = len(self.requests)
            self.requests.append({"path": handler.path, "headers": dict(handler.headers),
                                  "at": time.monotonic(), "bytes": len(body)})
        status, headers, delay, reply = self.answer(number)
        time.sleep(delay)
        if status == 200:
            if handler.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            spans = list(decode_request(body))
            with self.lock:
                self.spans.extend(spans)
        try:
            handler.send_response(status)
            for k, v in {"Content-Type": "application/x-protobuf", **headers}.items():
                handler.send_header(k, v)
            handler.send_header("Content-Length", str(len(reply)))
            handler.end_headers()
            handler.wfile.write(reply)
        except OSError:
            pass  # the sender gave up waiting

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
