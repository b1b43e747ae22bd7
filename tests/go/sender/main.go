// Sends requests of ten kinds, many at once: to a server that looks at every byte. Each is numbered.
//
//	sender h1|h2|x ADDRESS REQUESTS PARALLEL     HTTP/1.1; HTTP/2 by net/http; by golang.org/x/net
//	sender grpc ADDRESS REQUESTS PARALLEL        unary calls
//	sender serve                                 answers HTTP/1.1 on a port of its own, which it prints
//
// It begins with a line on standard input, tells of the requests that went wrong, and ends with that of the input.
package main

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httputil"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	// Kinds of requests: one after the other, by their numbers.
	kinds = 10
)

type sender interface {
	// The request with that number, of that kind; an error, or what is wrong with the answer.
	send(n int64, kind int) error
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work(s sender, requests int64, parallel int, stop *atomic.Bool) (sent, failed int64) {
	var next, bad atomic.Int64
	var wg sync.WaitGroup
	for i := 0; i < parallel; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for !stop.Load() {
				n := next.Add(1)
				if n > requests {
					next.Add(-1)
					return
				}
				if err := s.send(n, int(n%kinds)); err != nil {
					if bad.Add(1) <= 5 {
						fmt.Fprintf(os.Stderr, "request %d: %v\n", n, err)
					}
				}
			}
		}()
	}
	wg.Wait()
	return next.Load(), bad.Load()
}

// What is dumped is sent nowhere.
func dump() int {
	r, err := http.NewRequest("GET", "http://dump.test/", nil)
	must(err)
	b, err := httputil.DumpRequestOut(r, true)
	must(err)
	return strings.Count(strings.ToLower(string(b)), "traceparent")
}

func main() {
	in := bufio.NewReader(os.Stdin)
	if len(os.Args) == 2 && os.Args[1] == "serve" {
		serve(in)
		return
	}
	kind, addr := os.Args[1], os.Args[2]
	requests, err := strconv.ParseInt(os.Args[3], 10, 64)
	must(err)
	parallel, err := strconv.Atoi(os.Args[4])
	must(err)
	var s sender
	if kind == "grpc" {
		s = newCaller(addr)
	} else {
		s = newClient(kind, addr)
	}
	fmt.Println("ready")
	in.ReadString('\n')
	begin := time.Now()
	var stop atomic.Bool
	time.AfterFunc(150*time.Second+time.Duration(requests)*10*time.Millisecond, func() { stop.Store(true) })
	sent, failed := work(s, requests, parallel, &stop)
	took := time.Since(begin)
	fmt.Printf("{\"sent\": %d, \"failed\": %d, \"dumped\": %d, \"seconds\": %.3f, \"version\": %q}\n", sent, failed,
		dump(), took.Seconds(), runtime.Version())
	in.ReadString('\n')
}
