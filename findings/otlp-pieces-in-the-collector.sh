#!/bin/sh
# The OpenTelemetry Collector's protobuf reader loses the first part of a packed field or value that comes in two parts.
#
# One would guess that the collector reads OTLP as every protobuf reader does. Protobuf lets a writer send a packed
# repeated field in several pieces, which a reader has to put together, and merges a message field that comes more than
# once; a writer that streams, or that joins two encoded messages by appending one to the other, may rely on it.
# The collector's pdata (1.71.0, which collector 0.165 uses) puts together a resource or a status that comes twice and
# a packed field of varints, and takes pieces of one number each. But of a packed field of fixed-size numbers, of an
# array, a key-value list or a histogram's data that comes twice it keeps the last piece alone, without an error: bucket
# counts and attributes are gone. And where protobuf skips a field that it does not know, pdata refuses the whole
# request if that field is an empty group.
#
# Output (protobuf is google.golang.org/protobuf with the published OTLP messages; what both mean is told in words):
#
#	resource in two pieces: protobuf a=1 b=2; pdata a=1 b=2
#	status in two pieces: protobuf "late" 2; pdata "late" 2
#	array in two pieces: protobuf ["1","2"]; pdata ["2"]
#	key-value list in two pieces: protobuf a=1 b=2; pdata b=2
#	bucket counts in two packed pieces: protobuf [1 2]; pdata [2]
#	bucket counts one by one: protobuf [1 2]; pdata [1 2]
#	exponential bucket counts in two packed pieces: protobuf [1 2]; pdata [1 2]
#	histogram data in two pieces: protobuf 2 points; pdata 1 point
#	an unknown empty group: protobuf 1 span; pdata refuses
#
# Exits 0 as long as that is so (Go 1.27.4).

. "$(dirname "$0")/lib.sh"

mkdir "$tmp/pieces"
cat >"$tmp/pieces/go.mod" <<'EOG'
module pieces

go 1.25

require (
	go.opentelemetry.io/collector/pdata v1.71.0
	go.opentelemetry.io/proto/otlp v1.9.0
	google.golang.org/protobuf v1.36.11
)
EOG
cat >"$tmp/pieces/main.go" <<'EOG'
package main

import (
	"fmt"
	"log"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

type number = protowire.Number

// message is a field that holds the parts, one after the other.
func message(n number, parts ...[]byte) []byte {
	var in []byte
	for _, p := range parts {
		in = append(in, p...)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), in)
}

func text(n number, s string) []byte { return message(n, []byte(s)) }

func varint(n number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
}

func fixed(n number, v uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, n, protowire.Fixed64Type), v)
}

func packed(n number, v uint64) []byte { return message(n, protowire.AppendFixed64(nil, v)) }

// pair is a KeyValue as field n.
func pair(n number, k, v string) []byte { return message(n, text(1, k), message(2, text(1, v))) }

// The same words from what each of the two has read.
func said(kvs []*common.KeyValue) string {
	var s []string
	for _, kv := range kvs {
		s = append(s, kv.Key+"="+kv.Value.GetStringValue())
	}
	return strings.Join(s, " ")
}

func saidMap(m pcommon.Map) string {
	var s []string
	for k, v := range m.All() {
		s = append(s, k+"="+v.Str())
	}
	return strings.Join(s, " ")
}

func span(parts ...[]byte) []byte { return message(1, message(2, message(2, parts...))) }

func metric(field number, parts ...[]byte) []byte {
	return message(1, message(2, message(2, message(field, parts...))))
}

func read(b []byte) (*trace.ResourceSpans, ptrace.ResourceSpans, bool) {
	var t trace.TracesData
	if err := proto.Unmarshal(b, &t); err != nil {
		log.Fatal(err)
	}
	p, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(b)
	if err != nil {
		return t.ResourceSpans[0], ptrace.ResourceSpans{}, false
	}
	return t.ResourceSpans[0], p.ResourceSpans().At(0), true
}

func readMetric(b []byte) (*metrics.Metric, pmetric.Metric) {
	var m metrics.MetricsData
	if err := proto.Unmarshal(b, &m); err != nil {
		log.Fatal(err)
	}
	p, err := new(pmetric.ProtoUnmarshaler).UnmarshalMetrics(b)
	if err != nil {
		log.Fatal(err)
	}
	return m.ResourceMetrics[0].ScopeMetrics[0].Metrics[0], p.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
}

func tell(what string, protobuf, pdata any) {
	fmt.Printf("%s: protobuf %v; pdata %v\n", what, protobuf, pdata)
}

func traces() {
	t, p, _ := read(message(1, message(1, pair(1, "a", "1")), message(1, pair(1, "b", "2"))))
	tell("resource in two pieces", said(t.Resource.Attributes), saidMap(p.Resource().Attributes()))

	t, p, _ = read(span(message(15, text(2, "late")), message(15, varint(3, 2))))
	st, sp := t.ScopeSpans[0].Spans[0].Status, p.ScopeSpans().At(0).Spans().At(0).Status()
	tell("status in two pieces", fmt.Sprintf("%q %d", st.Message, st.Code), fmt.Sprintf("%q %d", sp.Message(), sp.Code()))

	array := message(2, message(5, message(1, text(1, "1"))), message(5, message(1, text(1, "2"))))
	t, p, _ = read(span(message(9, text(1, "k"), array)))
	var values []string
	for _, v := range t.ScopeSpans[0].Spans[0].Attributes[0].Value.GetArrayValue().Values {
		values = append(values, fmt.Sprintf("%q", v.GetStringValue()))
	}
	v, _ := p.ScopeSpans().At(0).Spans().At(0).Attributes().Get("k")
	tell("array in two pieces", "["+strings.Join(values, ",")+"]", v.AsString())

	list := message(2, message(6, pair(1, "a", "1")), message(6, pair(1, "b", "2")))
	t, p, _ = read(span(message(9, text(1, "k"), list)))
	v, _ = p.ScopeSpans().At(0).Spans().At(0).Attributes().Get("k")
	tell("key-value list in two pieces", said(t.ScopeSpans[0].Spans[0].Attributes[0].Value.GetKvlistValue().Values),
		saidMap(v.Map()))
}

func histograms() {
	m, p := readMetric(metric(9, message(1, packed(6, 1), packed(6, 2))))
	tell("bucket counts in two packed pieces", m.GetHistogram().DataPoints[0].BucketCounts,
		p.Histogram().DataPoints().At(0).BucketCounts().AsRaw())
	m, p = readMetric(metric(9, message(1, fixed(6, 1), fixed(6, 2))))
	tell("bucket counts one by one", m.GetHistogram().DataPoints[0].BucketCounts,
		p.Histogram().DataPoints().At(0).BucketCounts().AsRaw())
	m, p = readMetric(metric(10, message(1, message(8, message(2, []byte{1}), message(2, []byte{2})))))
	tell("exponential bucket counts in two packed pieces", m.GetExponentialHistogram().DataPoints[0].Positive.BucketCounts,
		p.ExponentialHistogram().DataPoints().At(0).Positive().BucketCounts().AsRaw())
	point := func(count uint64) []byte { return message(9, message(1, fixed(4, count))) }
	m, p = readMetric(message(1, message(2, message(2, point(1), point(2)))))
	tell("histogram data in two pieces", fmt.Sprint(len(m.GetHistogram().DataPoints), " points"),
		fmt.Sprint(p.Histogram().DataPoints().Len(), " point"))
}

func unknown() {
	group := protowire.AppendTag(protowire.AppendTag(nil, 900, protowire.StartGroupType), 900, protowire.EndGroupType)
	t, _, taken := read(span(group))
	pdata := "refuses"
	if taken {
		pdata = "takes it"
	}
	tell("an unknown empty group", fmt.Sprint(len(t.ScopeSpans[0].Spans), " span"), pdata)
}

func main() {
	traces()
	histograms()
	unknown()
}
EOG

go=$(toolchain 1.27.4)/bin/go
(cd "$tmp/pieces" && CGO_ENABLED=0 timeout 900 "$go" run -mod=mod .) >"$tmp/seen"
cat "$tmp/seen"
grep '^#	.*: protobuf .*; pdata' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
