#!/bin/sh
# In Go's execution traces who calls next of an iter.Pull waits for no reason, and for no time between the switches.
#
# One would guess that the goroutine that calls next shows as waiting for a coroutine while the iterator's body runs on
# a goroutine of its own: so it stands in a stack dump, with the reason "coroutine". In an execution trace the same wait
# has an empty reason, so that a sum of waits by reason has work of the body under no name. One would also guess that
# the caller stops first, and that the body then waits for a processor for a measured time. The file has one event for
# all of it, of which the reader in golang.org/x/exp/trace makes three changes of state, the body's being made ready
# first, each 1 ns after the one before: what a scheduling latency from that says is the reader's invention.
#
# Output (all changes of state within one call of next, with the time since the first one of the same switch):
#
#	go1.24.13: stack dump: the caller of next waits, reason "coroutine"
#	go1.24.13: trace: +0 ns: body Waiting to Runnable, reason ""
#	go1.24.13: trace: +1 ns: caller Running to Waiting, reason ""
#	go1.24.13: trace: +2 ns: body Runnable to Running, reason ""
#	go1.24.13: trace: +0 ns: caller Waiting to Runnable, reason ""
#	go1.24.13: trace: +1 ns: body Running to Waiting, reason ""
#	go1.24.13: trace: +2 ns: caller Runnable to Running, reason ""
#	go1.27.4: stack dump: the caller of next waits, reason "coroutine"
#	go1.27.4: trace: +0 ns: body Waiting to Runnable, reason ""
#	go1.27.4: trace: +1 ns: caller Running to Waiting, reason ""
#	go1.27.4: trace: +2 ns: body Runnable to Running, reason ""
#	go1.27.4: trace: +0 ns: caller Waiting to Runnable, reason ""
#	go1.27.4: trace: +1 ns: body Running to Waiting, reason ""
#	go1.27.4: trace: +2 ns: caller Runnable to Running, reason ""
#
# Exits 0 as long as that is so (golang.org/x/exp of August 2025).

. "$(dirname "$0")/lib.sh"

mkdir "$tmp/pull"
cat >"$tmp/pull/go.mod" <<'EOG'
module pull

go 1.24

require golang.org/x/exp v0.0.0-20250819193227-8b4c13bb791b
EOG
cat >"$tmp/pull/main.go" <<'EOG'
package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"log"
	"runtime"
	rt "runtime/trace"
	"strings"

	"golang.org/x/exp/trace"
)

// reasonOf is what a dump of all stacks says why the goroutine in main.consume waits.
func reasonOf() string {
	text := make([]byte, 1<<20)
	for _, stack := range strings.Split(string(text[:runtime.Stack(text, true)]), "\n\n") {
		if strings.Contains(stack, "main.consume") {
			_, reason, _ := strings.Cut(stack, "[")
			reason, _, _ = strings.Cut(reason, "]")
			return reason
		}
	}
	return "none"
}

var seen string

func body(yield func(int) bool) {
	for i := 0; ; i++ {
		if i == 0 {
			seen = reasonOf()
		}
		if !yield(i) {
			return
		}
	}
}

func consume() {
	next, stop := iter.Pull(body)
	defer stop()
	next()
	for range 20 {
		rt.WithRegion(context.Background(), "next", func() { next() })
	}
}

func main() {
	var file bytes.Buffer
	if err := rt.Start(&file); err != nil {
		log.Fatal(err)
	}
	consume()
	rt.Stop()
	fmt.Printf("%s: stack dump: the caller of next waits, reason %q\n", runtime.Version(), seen)

	r, err := trace.NewReader(&file)
	if err != nil {
		log.Fatal(err)
	}
	names := map[trace.GoID]string{}
	inside := false
	var changes []string
	var first trace.Time
	for len(changes) != 6 || inside { // with more the kernel or the collector came in between
		e, err := r.ReadEvent()
		if err != nil {
			log.Fatal(err)
		}
		switch e.Kind() {
		case trace.EventRegionBegin:
			names[e.Goroutine()] = "caller"
			changes, inside = nil, true
		case trace.EventRegionEnd:
			inside = false
		case trace.EventStateTransition:
			s := e.StateTransition()
			if !inside || s.Resource.Kind != trace.ResourceGoroutine {
				continue
			}
			if len(changes)%3 == 0 {
				first = e.Time()
			}
			name := names[s.Resource.Goroutine()]
			if name == "" {
				name = "body"
			}
			from, to := s.Goroutine()
			changes = append(changes, fmt.Sprintf("+%d ns: %s %v to %v, reason %q", e.Time()-first, name, from, to,
				s.Reason))
		}
	}
	for _, change := range changes {
		fmt.Printf("%s: trace: %s\n", runtime.Version(), change)
	}
}
EOG

for version in 1.24.13 1.27.4; do
	go=$(toolchain "$version")/bin/go
	(cd "$tmp/pull" && CGO_ENABLED=0 timeout 900 "$go" run -mod=mod .)
done >"$tmp/seen"
cat "$tmp/seen"
grep '^#	go1\.' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
