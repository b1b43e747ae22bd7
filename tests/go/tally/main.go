// Tally calls functions at full speed, as often as it says, from several goroutines: whoever counts calls must come to
// the same numbers. A line on standard input, "CALLS GOROUTINES", starts a round; what was called is printed as JSON.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

type round struct {
	Calls      int64            `json:"calls"`
	ByName     map[string]int64 `json:"by_name"`
	Sum        uint64           `json:"sum"`
	Ns         int64            `json:"ns"`
	Unsigned   int64            `json:"unsigned"`
	Goroutines int              `json:"goroutines"`
}

var (
	names = []string{"one", "two", "three", "four", "a name of some length: five"}
	sink  [8][16]uint64
)

//go:noinline
func helper(n uint64) uint64 { return n + 1 }

// Work has a stack check, a frame, register arguments and one return.
//
//go:noinline
func Work(id int, n uint64, name string) (r uint64) {
	sink[id][0] += helper(n) + uint64(len(name))
	return helper(n)
}

// Large has unsigned numbers from 1<<63 on, too.
//
//go:noinline
func Large(u uint64, i int64, b uint8, p uintptr) (r uint64) {
	sink[0][1] += helper(u)
	return helper(u)
}

func work(id int, calls int64) (sum uint64) {
	for i := int64(0); i < calls; i++ {
		sum += Work(id, uint64(i), names[i%int64(len(names))])
	}
	return sum
}

func large() int64 {
	Large(1<<63, -1<<63, 200, 1<<63)
	Large(5, 7, 255, 5)
	Large(1<<64-1, 1<<62, 0, 1)
	Large(1<<64-1, 3, 0, 1)
	return 4
}

func run(calls int64, goroutines int) round {
	r := round{ByName: map[string]int64{}, Goroutines: goroutines}
	sums := make([]uint64, goroutines)
	var done sync.WaitGroup
	start := time.Now()
	for g := 0; g < goroutines; g++ {
		done.Add(1)
		go func(g int) {
			defer done.Done()
			sums[g] = work(g, calls)
		}(g)
	}
	done.Wait()
	r.Ns = time.Since(start).Nanoseconds()
	for g := 0; g < goroutines; g++ {
		r.Sum += sums[g]
		r.Calls += calls
		for i, name := range names {
			r.ByName[name] += (calls + int64(len(names)-1-i)) / int64(len(names))
		}
	}
	r.Unsigned = large()
	return r
}

func main() {
	out := json.NewEncoder(os.Stdout)
	in := bufio.NewScanner(os.Stdin)
	fmt.Printf("{\"ready\":%q}\n", runtime.Version())
	for in.Scan() {
		var calls int64
		var goroutines int
		if n, err := fmt.Sscan(in.Text(), &calls, &goroutines); n != 2 || err != nil || goroutines < 1 || goroutines > 8 {
			os.Exit(2)
		}
		out.Encode(run(calls, goroutines))
	}
}
