// Command fanout is a server whose requests ask another one (or itself) in every way in which work is handed on in Go.
// Each request of the outside has a number, and so has each that it makes: /work?n=7 asks /leaf?n=7&via=pool … So who
// reads the spans knows which belongs to which.
//
//	fanout [-leaf ADDRESS]
//
// It prints where it listens, and serves until its standard input ends.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

var leaf string

// ask makes the request number n via a way, under that context.
func ask(ctx context.Context, n, via string) {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+leaf+"/leaf?n="+n+"&via="+via, nil)
	if err != nil {
		log.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return // given up
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

type job struct {
	ctx  context.Context
	n    string
	done chan<- struct{}
}

var (
	jobs        = make(chan job) // to workers that live for ever
	contextless = make(chan job) // … that ask without the job's context
	stages      = [3]chan job{make(chan job), make(chan job), make(chan job)}
)

func pool(in <-chan job, own bool) {
	for j := range in {
		if own {
			ask(context.Background(), j.n, "lost")
		} else {
			ask(j.ctx, j.n, "pool")
		}
		j.done <- struct{}{}
	}
}

func stage(in <-chan job, out chan<- job) {
	for j := range in {
		if out != nil {
			j.ctx = context.WithValue(j.ctx, key{}, j.n)
			out <- j
			continue
		}
		ask(j.ctx, j.n, "pipeline")
		j.done <- struct{}{}
	}
}

type key struct{}

// wrapped is a context of the program's own.
type wrapped struct {
	name string
	context.Context
}

var begun sync.Once

func begin() { // the workers' goroutines are created by a request
	for i := 0; i < 4; i++ {
		go pool(jobs, false)
		go pool(contextless, true)
		go stage(stages[0], stages[1])
		go stage(stages[1], stages[2])
		go stage(stages[2], nil)
	}
}

func hand(to chan<- job, ctx context.Context, n string) {
	done := make(chan struct{})
	to <- job{ctx, n, done}
	<-done
}

func work(w http.ResponseWriter, r *http.Request) {
	n, ctx := r.URL.Query().Get("n"), r.Context()
	begun.Do(begin)
	ask(ctx, n, "direct")
	ask(context.Background(), n, "goroutine") // only the goroutine says so
	var all sync.WaitGroup
	fan := func(f func()) {
		all.Add(1)
		go func() {
			defer all.Done()
			f()
		}()
	}
	for i := 0; i < 2; i++ {
		fan(func() { ask(context.Background(), n, "lineage") })
		fan(func() { ask(context.WithValue(ctx, key{}, n), n, "group") })
	}
	fan(func() { hand(jobs, ctx, n) })
	fan(func() { hand(contextless, ctx, n) })
	fan(func() { hand(stages[0], ctx, n) })
	fan(func() {
		deep, cancel := context.WithTimeout(&wrapped{"w", ctx}, time.Minute)
		defer cancel()
		for i := 0; i < 20; i++ {
			deep = context.WithValue(deep, key{}, i)
		}
		ask(deep, n, "deep")
	})
	fan(func() { ask(withoutCancel(ctx), n, "uncancelled") })
	fan(func() {
		soon, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		ask(soon, n, "impatient")
	})
	fired := make(chan struct{})
	time.AfterFunc(time.Microsecond, func() { ask(ctx, n, "timer"); close(fired) })
	<-fired
	afterCancel(ctx, func() { ask(ctx, n, "cancelled") })
	all.Wait()
	go func() { // goes on when the request has ended
		time.Sleep(2 * time.Millisecond)
		ask(withoutCancel(ctx), n, "late")
	}()
	fmt.Fprintln(w, n)
}

func main() {
	flag.StringVar(&leaf, "leaf", "", "who is asked; itself if left out")
	flag.Parse()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	if leaf == "" {
		leaf = l.Addr().String()
	}
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 32
	http.HandleFunc("/work", work)
	http.HandleFunc("/leaf", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "leaf") })
	http.HandleFunc("/canary", func(w http.ResponseWriter, r *http.Request) {})
	go http.Serve(l, nil)
	fmt.Println(l.Addr())
	io.Copy(io.Discard, os.Stdin)
}
