// Seqplugin is loaded by seq: its goroutines call the program's functions with
// consecutive numbers, and its own code has nil dereferences.
package main

import "time"

type node struct{ value uint64 }

//go:noinline
func dereference(p *node) uint64 { return p.value }

func failing() {
	defer func() { recover() }()
	dereference(nil)
}

func loop(call func(n uint64), burst int, pause time.Duration) {
	for n := uint64(0); ; n++ {
		call(n)
		if n%8 == 0 {
			failing()
		}
		if n%uint64(burst) == 0 {
			time.Sleep(pause)
		}
	}
}

// Work returns at once.
func Work(call func(n uint64), burst int, pause time.Duration) { go loop(call, burst, pause) }

func main() {}
