//go:build !go1.25

package main

import (
	"os"
	"runtime/trace"
)

// record begins tracing into f; what it returns ends it.
func record(f *os.File, mode string) func() {
	check(trace.Start(f))
	return func() {
		if mode == "stop" || mode == "long" {
			trace.Stop()
			check(f.Close())
		}
	}
}
