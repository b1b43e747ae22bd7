// Command edges calls a function in short batches with rests between, so that whoever reads its
// records does so meanwhile and keeps up, and answers what a call took: the least and the median of
// the batches, in nanoseconds. A line on standard input says which function, for how many
// milliseconds, and on how many Ps at once; "full" is observed without rests, "under8" begins and ends something
// under a context with so many above it.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	batch = 50
	beat  = 500 * time.Microsecond // a batch begins at a multiple of this, so that Ps work at the same time
)

//go:noinline
func leaf(n int) int { return n + 1 }

// observed is as most Go functions are: a stack check, a frame, register arguments, one return.
//
//go:noinline
func observed(n int) (r int) { return leaf(n) + leaf(n+1) }

// named has a string of 32 bytes, too.
//
//go:noinline
func named(n int, s string) (r int) { return leaf(n) + leaf(len(s)) }

// begin and done are where a span starts and ends.
//
//go:noinline
func begin(ctx context.Context, n int) (r int) { return leaf(n) + leaf(n+1) }

//go:noinline
func done(n int) (r int) { return leaf(n) + leaf(n+2) }

type key int

// under gives a chain of that many contexts, as those of requests are: every fourth can be cancelled, the rest have a
// value.
func under(links int) context.Context {
	ctx := context.Background()
	for i := 0; i < links; i++ {
		if i%4 == 0 {
			ctx, _ = context.WithCancel(ctx)
		} else {
			ctx = context.WithValue(ctx, key(i), i)
		}
	}
	return ctx
}

var zero = time.Now()

var total [64]int // of a goroutine; far enough apart at 8

func observedBatch(total int) int {
	for i := 0; i < batch; i++ {
		total += observed(i)
	}
	return total
}

func namedBatch(total int, s string) int {
	for i := 0; i < batch; i++ {
		total += named(i, s)
	}
	return total
}

func underBatch(total int, ctx context.Context) int {
	for i := 0; i < batch; i++ {
		total += begin(ctx, i)
		total += done(i)
	}
	return total
}

// measure is one goroutine's work: the ns per call of each batch.
func measure(which string, until time.Time, id int) []float64 {
	text := strings.Repeat("0123456789abcdef", 2)
	links, isUnder := strings.CutPrefix(which, "under")
	n, _ := strconv.Atoi(links)
	ctx := under(n)
	var times []float64
	for {
		start := time.Now()
		switch {
		case isUnder:
			total[id*8] = underBatch(total[id*8], ctx)
		case which == "named":
			total[id*8] = namedBatch(total[id*8], text)
		default:
			total[id*8] = observedBatch(total[id*8])
		}
		end := time.Now()
		times = append(times, float64(end.Sub(start).Nanoseconds())/batch)
		if end.After(until) {
			return times
		}
		if which == "full" {
			continue
		}
		for next := end.Sub(zero).Truncate(beat) + beat; time.Since(zero) < next; {
		}
	}
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var which string
		var ms, procs int
		if n, err := fmt.Sscan(in.Text(), &which, &ms, &procs); n != 3 || err != nil || procs < 1 || procs > 8 {
			os.Exit(2)
		}
		runtime.GOMAXPROCS(procs)
		until := time.Now().Add(time.Duration(ms) * time.Millisecond)
		all := make([][]float64, procs)
		var done sync.WaitGroup
		for i := range all {
			done.Add(1)
			go func() {
				all[i] = measure(which, until, i)
				done.Done()
			}()
		}
		done.Wait()
		var times []float64
		for _, t := range all {
			times = append(times, t...)
		}
		sort.Float64s(times)
		fmt.Printf("%.2f %.2f %d\n", times[0], times[len(times)/2], batch*len(times))
	}
}
