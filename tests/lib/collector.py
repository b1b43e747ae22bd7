"""A real OpenTelemetry Collector, and whether it received what was printed."""

import json

from earshot import CANARY, agent
from otlp import decode_json
from proc import BIN, Process, Skip, clean_env, free_port, port_open, scratch, until

CONFIG = """
receivers:
  otlp:
    protocols:
      http: {{endpoint: "127.0.0.1:{http}"}}
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
exporters:
  lines: {{}}
service:
  telemetry:
    metrics: {{level: none}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [lines]}}
"""


class Collector(Process):
    """The real one."""

    def __init__(self):
        if not (BIN / "otelcol").exists():
            raise Skip("otelcol was not built")
        where = scratch()
        self.file, self.http, self.grpc = where / "spans", free_port(), free_port()
        (where / "config.yaml").write_text(CONFIG.format(http=self.http, grpc=self.grpc))
        super().__init__([BIN / "otelcol", "--config", f"file:{where}/config.yaml"],
                         env=clean_env(OTELCOL_FILE=self.file))
        until(f"the collector listens: {self.describe()}",
              lambda: port_open(self.http) and port_open(self.grpc), 30)

    def spans(self):
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [s for line in lines for s in decode_json(json.loads(line))]


def drop_canaries(spans):
    return {s["span_id"]: s for s in spans if agent(s) != CANARY}


def same(printed, received):
    """Every span printed was received once, with the same content."""
    received = [s for s in received if agent(s) != CANARY]
    assert len(received) == len({s["span_id"] for s in received}), "spans were received twice"
    mine, theirs = drop_canaries(printed), drop_canaries(received)
    assert mine.keys() == theirs.keys(), \
        f"printed {len(mine)}, received {len(theirs)}, in common {len(mine.keys() & theirs.keys())}"
    for span_id, a in mine.items():
        b = theirs[span_id]
        for key in ("trace_id", "parent_span_id", "name", "kind", "status", "start_unix_ns",
                    "duration_ns", "service", "attributes"):
            assert a[key] == b[key], f"{a['name']}: {key} printed {a[key]!r}, received {b[key]!r}"
