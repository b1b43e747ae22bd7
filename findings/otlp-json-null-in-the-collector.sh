#!/bin/sh
# The OpenTelemetry Collector takes null in OTLP/JSON for text, lists and messages, but not for ids, enums and numbers.
#
# One would guess that the collector reads OTLP/JSON by protobuf's JSON mapping, but for what OTLP changes in it (ids in
# hexadecimal, enums as numbers). There null stands for a field that is not set, of whatever type, and a whole number
# may be written with a fraction or an exponent, as 1.0 or 1.5e18, which is how some languages write a float. The
# collector's pdata (1.71.0, which collector 0.165 uses) takes null for a string, a list or a message; one null for an
# id, an enum or a number, say "parentSpanId": null in a root span, is an error, and the whole request is refused with
# all its other spans. So it is for whole numbers with a fraction or an exponent. On the other hand it takes the names
# of enums, which OTLP forbids.
#
# Output (protojson is google.golang.org/protobuf with the published OTLP messages):
#
#	null for name, traceState, attributes, events, links, status: protojson takes 6 of 6, pdata 6
#	null for traceId, spanId, parentSpanId: protojson takes 3 of 3, pdata 0
#	null for kind, flags, startTimeUnixNano, droppedAttributesCount: protojson takes 4 of 4, pdata 0
#	"startTimeUnixNano" as 15, "15": protojson takes 2 of 2, pdata 2
#	"startTimeUnixNano" as 15.0, 1.5e18, "15.0", "1.5e18": protojson takes 4 of 4, pdata 0
#	"kind" as 2, "SPAN_KIND_SERVER": protojson takes 2 of 2, pdata 2
#	"kind" as 2.0: protojson takes 1 of 1, pdata 0
#
# Exits 0 as long as that is so (Go 1.27.4).

. "$(dirname "$0")/lib.sh"

mkdir "$tmp/json"
cat >"$tmp/json/go.mod" <<'EOG'
module json

go 1.25

require (
	go.opentelemetry.io/collector/pdata v1.71.0
	go.opentelemetry.io/proto/otlp v1.9.0
	google.golang.org/protobuf v1.36.11
)
EOG
cat >"$tmp/json/main.go" <<'EOG'
package main

import (
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// tell gives both readers a span of each of the fields.
func tell(what string, fields []string) {
	protobuf, pdata := 0, 0
	for _, field := range fields {
		text := []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{` + field + `}]}]}]}`)
		if protojson.Unmarshal(text, new(trace.TracesData)) == nil {
			protobuf++
		}
		if _, err := new(ptrace.JSONUnmarshaler).UnmarshalTraces(text); err == nil {
			pdata++
		}
	}
	fmt.Printf("%s: protojson takes %d of %d, pdata %d\n", what, protobuf, len(fields), pdata)
}

func main() {
	for _, names := range []string{
		"name, traceState, attributes, events, links, status",
		"traceId, spanId, parentSpanId",
		"kind, flags, startTimeUnixNano, droppedAttributesCount",
	} {
		var fields []string
		for _, name := range strings.Split(names, ", ") {
			fields = append(fields, `"`+name+`":null`)
		}
		tell("null for "+names, fields)
	}
	for _, c := range [][2]string{
		{`"startTimeUnixNano"`, `15, "15"`},
		{`"startTimeUnixNano"`, `15.0, 1.5e18, "15.0", "1.5e18"`},
		{`"kind"`, `2, "SPAN_KIND_SERVER"`},
		{`"kind"`, `2.0`},
	} {
		var fields []string
		for _, value := range strings.Split(c[1], ", ") {
			fields = append(fields, c[0]+":"+value)
		}
		tell(c[0]+" as "+c[1], fields)
	}
}
EOG

go=$(toolchain 1.27.4)/bin/go
(cd "$tmp/json" && CGO_ENABLED=0 timeout 900 "$go" run -mod=mod .) >"$tmp/seen"
cat "$tmp/seen"
grep '^#	.*: protojson takes' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
