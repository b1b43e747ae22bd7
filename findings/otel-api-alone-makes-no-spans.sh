#!/bin/sh
# OpenTelemetry's API for Go depends on an SDK for automatic instrumentation (go.opentelemetry.io/auto/sdk), and does not use
# it: a program without an SDK makes no spans that could be observed.
#
# One would guess, since the API's module requires auto/sdk, that spans of a program that sets no TracerProvider are auto/sdk's:
# with attributes, events and an end that an observer can look at. They are not: the API's own span does nothing
# and keeps nothing, until somebody who traces the program sets a variable in its memory. (So what there is to see of it is
# its methods being called, with what they are given.) Where the program sets auto/sdk's
# TracerProvider itself its spans record, but have no ids: these, too, are for who traces the program to give.
#
# Output:
#
#	no TracerProvider: global.nonRecordingSpan, recording false, valid ids false
#	auto/sdk's TracerProvider: *sdk.span, recording true, valid ids false
#
# Exits 0 as long as that is so.

. "$(dirname "$0")/lib.sh"

mkdir "$tmp/alone"
cat >"$tmp/alone/go.mod" <<'END'
module alone

go 1.26

require (
	go.opentelemetry.io/auto/sdk v1.2.1
	go.opentelemetry.io/otel v1.47.0
	go.opentelemetry.io/otel/trace v1.47.0
)
END
cat >"$tmp/alone/main.go" <<'END'
package main

import (
	"context"
	"fmt"

	"go.opentelemetry.io/auto/sdk"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
)

func show(who string) {
	_, span := otel.Tracer("here").Start(context.Background(), "work")
	span.SetAttributes(attribute.String("key", "value"))
	fmt.Printf("%s: %T, recording %t, valid ids %t\n", who, span, span.IsRecording(), span.SpanContext().IsValid())
	span.End()
}

func main() {
	show("no TracerProvider")
	otel.SetTracerProvider(sdk.TracerProvider())
	show("auto/sdk's TracerProvider")
}
END

go=$(toolchain 1.27.4)/bin/go
(cd "$tmp/alone" && "$go" mod tidy && CGO_ENABLED=0 timeout 900 "$go" run .) 2>"$tmp/log" >"$tmp/seen" || cat "$tmp/log"
cat "$tmp/seen"
grep '^#	.*recording' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
