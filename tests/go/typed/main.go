// Typed makes one call of each kind that has to do with types that only the call's dictionary tells (generics.go) and
// with types that a stripped program does not describe (declared.go), then ends. What it calls is in e2e/trace_types.py.
package main

var ticks int

// What keeps the functions from being leaves.
//
//go:noinline
func tick() { ticks++ }

func main() {
	generics()
	declared()
}
