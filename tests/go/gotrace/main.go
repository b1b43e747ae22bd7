// gotrace writes an execution trace of work of every kind, and says what it did by its own clock.
//
//	gotrace FILE [LOAD [MODE]]     LOAD: how often the busy part is repeated (default 1); MODE: how it ends:
//	                               stop (default), exit (without trace.Stop), wait (sleeps on until it is killed); or
//	                               long (goes on for some generations), flight (by a FlightRecorder)
//
// Each line of its standard output is a JSON object: {"kind":"region"|"task","name":…,"task":…,"goid":…,"outer_ns":…,
// "inner_ns":…,"wait":…}. outer is measured around the task or region, inner within it; wait is what its goroutine waits
// for longest there, in the trace's own words. {"kind":"log"} are its logs.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/trace"
	"strconv"
	"sync"
	"time"
)

var (
	out     = json.NewEncoder(os.Stdout)
	outLock sync.Mutex
	base    = time.Now()
)

func now() int64 { return int64(time.Since(base)) }

type said struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Parent string `json:"parent"`
	Goid   uint64 `json:"goid"`
	Outer  int64  `json:"outer_ns"`
	Inner  int64  `json:"inner_ns"`
	Wait   string `json:"wait"`
}

func say(s any) {
	outLock.Lock()
	defer outLock.Unlock()
	out.Encode(s)
}

func goid() uint64 {
	var b [64]byte
	text := bytes.TrimPrefix(b[:runtime.Stack(b[:], false)], []byte("goroutine "))
	n, _ := strconv.ParseUint(string(text[:bytes.IndexByte(text, ' ')]), 10, 64)
	return n
}

// region runs f in a region and says so. name is unique in the program.
func region(ctx context.Context, parent, name, wait string, f func()) {
	var inner, start int64
	id, outer := goid(), now()
	trace.WithRegion(ctx, name, func() {
		start = now()
		f()
		inner = now() - start
	})
	say(said{"region", name, parent, id, now() - outer, inner, wait})
}

func task(ctx context.Context, parent, name string, f func(context.Context)) {
	id, outer := goid(), now()
	ctx, t := trace.NewTask(ctx, name)
	start := now()
	f(ctx)
	inner := now() - start
	t.End()
	say(said{"task", name, parent, id, now() - outer, inner, ""})
}

const pause = 20 * time.Millisecond

func later(f func()) { time.AfterFunc(pause, f) }

// Each of these waits for one thing.
var waits = []struct {
	name, wait string
	f          func()
}{
	{"sleep", "sleep", func() { time.Sleep(pause) }},
	{"receive", "chan_receive", func() {
		c := make(chan int)
		later(func() { close(c) })
		<-c
	}},
	{"send", "chan_send", func() {
		c := make(chan int)
		later(func() { <-c })
		c <- 1
	}},
	{"select", "select", func() {
		c, d := make(chan int), make(chan int)
		later(func() { close(c) })
		select {
		case <-c:
		case <-d:
		}
	}},
	{"mutex", "sync", func() {
		var m sync.Mutex
		m.Lock()
		later(m.Unlock)
		m.Lock()
	}},
	{"group", "sync", func() {
		var g sync.WaitGroup
		g.Add(1)
		later(g.Done)
		g.Wait()
	}},
	{"cond", "sync_cond_wait", func() {
		var m sync.Mutex
		c := sync.NewCond(&m)
		m.Lock()
		later(func() { m.Lock(); c.Signal(); m.Unlock() })
		c.Wait()
	}},
	{"network", "network", func() {
		a, b := pair()
		later(func() { b.Write([]byte{1}) })
		a.Read(make([]byte, 1))
		a.Close()
		b.Close()
	}},
	{"syscall", "syscall", func() { waitInKernel(pause) }},
	{"running", "running", func() {
		for t := now(); now()-t < int64(pause); {
		}
	}},
}

func pair() (net.Conn, net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	check(err)
	b, err := l.Accept()
	check(err)
	return a, b
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var sink [64][]byte

// Coroutines: iter.Pull where there is one is in coroutines_*.go.
func everything(ctx context.Context) {
	task(ctx, "", "waits", func(ctx context.Context) {
		trace.Log(ctx, "greeting", "hello \u00e4\"quoted\"")
		for _, w := range waits {
			region(ctx, "waits", w.name, w.wait, w.f)
		}
		task(ctx, "waits", "child", func(ctx context.Context) {
			region(ctx, "child", "outer", "", func() {
				region(ctx, "outer", "inner", "", func() { trace.Logf(ctx, "number", "%d", 42) })
			})
		})
		var g sync.WaitGroup
		for i := 0; i < 4; i++ {
			g.Add(1)
			go func(i int) {
				defer g.Done()
				region(ctx, "waits", fmt.Sprint("worker", i), "", func() { time.Sleep(time.Millisecond) })
			}(i)
		}
		g.Wait()
	})
	spanned("one")
	var g sync.WaitGroup
	g.Add(1)
	go func() { defer g.Done(); spanned("two") }()
	g.Wait()
	region(ctx, "", "background", "", func() { runtime.GC() })
	say(map[string]any{"kind": "log", "name": "greeting", "text": "hello \u00e4\"quoted\"", "span": "waits"})
	say(map[string]any{"kind": "log", "name": "number", "text": "42", "span": "child"})
	coroutines()
}

// spanned is one that Earshot may make spans of.
//
//go:noinline
func spanned(name string) {
	region(context.Background(), "", "in "+name, "sleep", func() { time.Sleep(pause) })
	c := make(chan int)
	time.AfterFunc(2*pause, func() { close(c) })
	<-c
}

// handedOn: a task that ends on another goroutine than it began on.
func handedOn(ctx context.Context) {
	_, t := trace.NewTask(ctx, "handed on")
	done := make(chan bool)
	go func() { time.Sleep(time.Millisecond); t.End(); close(done) }()
	<-done
}

// busy makes events of all kinds, many at once.
func busy(n int) {
	var g sync.WaitGroup
	c := make(chan int)
	var m sync.Mutex
	for i := 0; i < 8; i++ {
		g.Add(1)
		go func(i int) {
			defer g.Done()
			for k := 0; k < n*20; k++ {
				ctx, t := trace.NewTask(context.Background(), "busy")
				r := trace.StartRegion(ctx, "step")
				switch k % 8 {
				case 0:
					runtime.Gosched()
				case 1:
					m.Lock()
					sink[i] = make([]byte, 100000)
					m.Unlock()
				case 2:
					done := make(chan bool)
					go func() { close(done) }()
					<-done
				case 3:
					select {
					case c <- k:
					case <-c:
					case <-time.After(time.Millisecond):
					}
				case 4:
					time.Sleep(10 * time.Microsecond)
				default:
					sink[8+i] = make([]byte, 20000)
				}
				r.End()
				t.End()
			}
		}(i)
	}
	g.Wait()
}

func main() {
	load, mode := 1, "stop"
	if len(os.Args) > 2 {
		load, _ = strconv.Atoi(os.Args[2])
	}
	if len(os.Args) > 3 {
		mode = os.Args[3]
	}
	f, err := os.Create(os.Args[1])
	check(err)
	ctx, before := trace.NewTask(context.Background(), "before tracing")
	finish := record(f, mode)
	everything(context.Background())
	handedOn(ctx)
	before.End()
	busy(load)
	for i := 0; mode == "long" && i < 20; i++ {
		region(context.Background(), "", fmt.Sprint("tick", i), "sleep", func() { time.Sleep(5 * pause) })
		if i%6 == 5 {
			busy(load)
		}
	}
	open, _ := trace.NewTask(context.Background(), "unfinished")
	trace.StartRegion(open, "unfinished region")
	finish()
	if mode == "wait" {
		select {}
	}
}
