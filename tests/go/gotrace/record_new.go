//go:build go1.25

package main

import (
	"os"
	"runtime/trace"
)

// record begins tracing into f; what it returns ends it. MODE "flight": by a FlightRecorder, written at the end.
func record(f *os.File, mode string) func() {
	if mode == "flight" {
		r := trace.NewFlightRecorder(trace.FlightRecorderConfig{MaxBytes: 64 << 20})
		check(r.Start())
		return func() {
			_, err := r.WriteTo(f)
			check(err)
			check(f.Close())
		}
	}
	check(trace.Start(f))
	return func() {
		if mode == "stop" || mode == "long" {
			trace.Stop()
			check(f.Close())
		}
	}
}
