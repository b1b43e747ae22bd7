package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
)

// Handlers that leave, or use the stack, in unusual ways.

type customPanic struct{ reason string }

func panicBefore(http.ResponseWriter, *http.Request) { panic("before any write") }

func panicAfter(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusAccepted)
	io.WriteString(w, "partial")
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	panic("after a write")
}

func panicAbort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func panicError(http.ResponseWriter, *http.Request) { panic(errors.New("an error value")) }

func panicCustom(http.ResponseWriter, *http.Request) { panic(customPanic{"custom"}) }

func panicBounds(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, []int{1}[len(r.URL.Path)])
}

// panicRecovered recovers from its own panic and answers as usual.
func panicRecovered(w http.ResponseWriter, r *http.Request) {
	func() {
		defer func() { recover() }()
		panicBefore(w, r)
	}()
	io.WriteString(w, "recovered")
}

func goexit(http.ResponseWriter, *http.Request) { runtime.Goexit() }

func spawn(w http.ResponseWriter, r *http.Request) {
	var wg sync.WaitGroup
	for i := 0; i < 16; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			grow(20)
		}()
	}
	wg.Wait()
	io.WriteString(w, "spawned")
}

// grow makes the stack move several times on the way down.
//
//go:noinline
func grow(depth int) byte {
	var frame [4096]byte
	frame[depth%len(frame)] = byte(depth)
	if depth > 0 {
		return grow(depth-1) + frame[depth%len(frame)]
	}
	return frame[0]
}

func deep(w http.ResponseWriter, r *http.Request) {
	grow(2000)
	io.WriteString(w, "deep")
}
