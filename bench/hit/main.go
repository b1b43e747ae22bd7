// Command hit calls a function as often as a line on standard input says and answers with the
// nanoseconds a call took, so that whoever asks can compare with and without a probe on it.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

var sink int

//go:noinline
func leaf(n int) int { return n ^ sink }

// observed is as most Go functions are: a stack check, a frame, register arguments.
//
//go:noinline
func observed(n int) int { return leaf(n) + leaf(n+1) }

//go:noinline
func finish(n int) { sink = n }

//go:noinline
func burst(n int) time.Duration {
	total := 0
	start := time.Now()
	for i := 0; i < n; i++ {
		total += observed(i)
	}
	took := time.Since(start)
	finish(total)
	return took
}

func main() {
	runtime.LockOSThread()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		n, err := strconv.Atoi(in.Text())
		if err != nil || n < 1 {
			os.Exit(2)
		}
		fmt.Printf("%.2f\n", float64(burst(n).Nanoseconds())/float64(n))
	}
}
