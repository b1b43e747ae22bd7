// Command asked calls a function with a string argument and a result as often as a line on standard
// input says and answers with the nanoseconds a call took.
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

// asked is as most Go functions are: a stack check, a frame, register arguments, one return.
//
//go:noinline
func asked(n int, user string) (r int) { return leaf(n) + leaf(len(user)) }

func burst(n int, users []string) time.Duration {
	total := 0
	start := time.Now()
	for i := 0; i < n; i++ {
		total += asked(i, users[i%len(users)])
	}
	took := time.Since(start)
	sink = total & 1
	return took
}

func main() {
	runtime.LockOSThread()
	users := []string{"alice@example.com", "bob@example.com", "carol@example.com"}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		n, err := strconv.Atoi(in.Text())
		if err != nil || n < 1 {
			os.Exit(2)
		}
		fmt.Printf("%.2f\n", float64(burst(n, users).Nanoseconds())/float64(n))
	}
}
