// Command handover is a server that hands copies of its requests to other goroutines, and has no TimeoutHandler: to one
// that each request starts, and to one of a pool. It asks itself, tells what, and ends.
//
//	handover REQUESTS AT_ONCE
//
// It waits for a line on standard input before, and for another one after.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
)

type key struct{}

func copied(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), key{}, 1))
}

// started serves on a goroutine of the request's own.
func started(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			next.ServeHTTP(w, copied(r))
		}()
		<-done
	})
}

type job struct {
	w    http.ResponseWriter
	r    *http.Request
	done chan struct{}
}

// pooled serves on goroutines that were there before. One that a request starts outlives it.
func pooled(next http.Handler) http.Handler {
	jobs := make(chan job)
	work := func() {
		for j := range jobs {
			next.ServeHTTP(j.w, copied(j.r))
			close(j.done)
		}
	}
	var first sync.Once
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first.Do(func() {
			go work()
			go work()
		})
		done := make(chan struct{})
		jobs <- job{w, r, done}
		<-done
	})
}

func routes() http.Handler {
	mux := http.NewServeMux()
	for i := 0; i < 10; i++ {
		mux.HandleFunc(fmt.Sprintf("/r%d/", i), func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "done") })
	}
	return mux
}

func listen(h http.Handler) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go http.Serve(l, h)
	return l.Addr().String()
}

func ask(servers []string, n int) {
	c := &http.Client{Transport: &http.Transport{}}
	for i := 0; i < n; i++ {
		resp, err := c.Get(fmt.Sprintf("http://%s/r%d/x", servers[i%len(servers)], i%10))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

func main() {
	n, _ := strconv.Atoi(os.Args[1])
	atOnce, _ := strconv.Atoi(os.Args[2])
	servers := []string{listen(started(routes())), listen(pooled(routes()))}
	fmt.Println(servers[0])
	fmt.Println(servers[1])
	in := bufio.NewReader(os.Stdin)
	in.ReadString('\n')
	var all sync.WaitGroup
	for i := 0; i < atOnce; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			ask(servers, n)
		}()
	}
	all.Wait()
	fmt.Println("done")
	in.ReadString('\n')
}
