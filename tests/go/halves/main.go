// halves N WAIT has functions whose beginning can be replaced by a jump while an end cannot: what stands before their
// RET refers to its own address. It calls each N times, waits, and calls them again until its standard input ends.
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

type pair struct {
	text  string
	value any
}

//go:noinline
func answer() (n uint8, v any) {
	n = 9
	v = 76
	return
}

//go:noinline
func constants() (n uint8, c complex128, d complex128, p pair) {
	n = 9
	c = complex(1, 2.5)
	d = complex(7, 3.5)
	p.text, p.value = "text", 76
	return
}

// whole can be replaced at both ends.
//
//go:noinline
func whole(n int, text string) int {
	for range text {
		n = n*31 + len(text)
	}
	return n
}

func calls(n int) {
	for i := 0; i < n; i++ {
		if n, v := answer(); n != 9 || v != 76 {
			panic("answer")
		}
		if _, _, d, p := constants(); real(d) != 7 || p.value != 76 {
			panic("constants")
		}
		if whole(i, "") != i {
			panic("whole")
		}
	}
}

func main() {
	n, _ := strconv.Atoi(os.Args[1])
	wait, _ := time.ParseDuration(os.Args[2])
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	fmt.Println("ready", os.Getpid())
	for {
		calls(n)
		select {
		case <-over:
			fmt.Println("done")
			return
		case <-time.After(wait):
		}
	}
}
