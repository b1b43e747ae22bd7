#!/bin/sh
# cgo: the callbacks of C threads that come one after another run on one goroutine, and keep its profiler labels.
#
# One would guess that a call from C into Go on a thread that C has made gets a goroutine of its own, at least when the
# thread is a new one, and that it starts without labels, as nothing in Go has started it. Then a goroutine's id would
# tell one thread's work from another's. But the runtime keeps the goroutine when the thread ends and gives it to the
# next one, with the same id, and with the labels that the last callback set on it by pprof.SetGoroutineLabels:
# whatever the next callback starts (and a profile of it) goes by the name of work that has long ended, on another
# thread. A callback on a thread of Go's runs on its caller's goroutine, and the labels it sets stay with its caller.
#
# Output (a request's callback sets a label with the request's name; "begins as" is the label of a goroutine that the
# callback starts before that):
#
#	go1.21.13: request 1, a thread of its own: first goroutine, begins as nobody
#	go1.21.13: request 2, a thread of its own: same goroutine, begins as 1
#	go1.21.13: request 3, a thread of its own: same goroutine, begins as 2
#	go1.21.13: request 4, on the thread of 3: same goroutine, begins as 3
#	go1.21.13: request 5, called by main: main's goroutine, begins as nobody
#	go1.21.13: main afterwards: is 5
#	go1.27.4: request 1, a thread of its own: first goroutine, begins as nobody
#	go1.27.4: request 2, a thread of its own: same goroutine, begins as 1
#	go1.27.4: request 3, a thread of its own: same goroutine, begins as 2
#	go1.27.4: request 4, on the thread of 3: same goroutine, begins as 3
#	go1.27.4: request 5, called by main: main's goroutine, begins as nobody
#	go1.27.4: main afterwards: is 5
#
# Exits 0 as long as that is so.

. "$(dirname "$0")/lib.sh"

if ! command -v gcc >/dev/null; then
	apt-get -qq update && apt-get -qq install -y gcc libc6-dev
fi >&2
mkdir "$tmp/callback"
printf 'module callback\n\ngo 1.21\n' >"$tmp/callback/go.mod"
cat >"$tmp/callback/main.go" <<'EOG'
package main

/*
#include <pthread.h>
#include <stddef.h>

extern void serve(int request);

struct work {
	int request, calls;
};

static void *run(void *p)
{
	struct work *w = p;

	for (int i = 0; i < w->calls; i++)
		serve(w->request + i);
	return NULL;
}

// So many requests on a new thread, which has ended when this returns.
static int on_thread(int request, int calls)
{
	struct work w = {request, calls};
	pthread_t t;

	if (pthread_create(&t, NULL, run, &w))
		return -1;
	return pthread_join(t, NULL);
}

static void here(int request) { serve(request); }
*/
import "C"

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"runtime"
	"runtime/pprof"
	"strings"
)

var (
	names  = map[string]string{}
	where  = map[int]string{4: "on the thread of 3", 5: "called by main"}
	parked = make(chan bool)
)

func goroutine() string {
	text := make([]byte, 64)
	return strings.Fields(string(text[:runtime.Stack(text, false)]))[1]
}

func park(ready chan<- bool) {
	ready <- true
	<-parked
}

// label is what the goroutine profile says of a goroutine that the caller starts.
func label() string {
	ready := make(chan bool)
	go park(ready)
	<-ready
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		log.Fatal(err)
	}
	parked <- true
	for _, stack := range strings.Split(profile.String(), "\n\n") {
		if strings.Contains(stack, "main.park") {
			if _, rest, found := strings.Cut(stack, `labels: {"request":"`); found {
				request, _, _ := strings.Cut(rest, `"`)
				return request
			}
		}
	}
	return "nobody"
}

//export serve
func serve(request C.int) {
	name := names[goroutine()]
	if name == "" {
		name = "another goroutine"
		if len(names) == 1 {
			name = "first goroutine"
			names[goroutine()] = "same goroutine"
		}
	}
	on := where[int(request)]
	if on == "" {
		on = "a thread of its own"
	}
	fmt.Printf("%s: request %d, %s: %s, begins as %s\n", runtime.Version(), request, on, name, label())
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("request", fmt.Sprint(request))))
}

func main() {
	names[goroutine()] = "main's goroutine"
	for _, w := range [][2]C.int{{1, 1}, {2, 1}, {3, 2}} {
		if C.on_thread(w[0], w[1]) != 0 {
			log.Fatal("no thread")
		}
	}
	C.here(5)
	fmt.Printf("%s: main afterwards: is %s\n", runtime.Version(), label())
}
EOG

for version in 1.21.13 1.27.4; do
	go=$(toolchain "$version")/bin/go
	(cd "$tmp/callback" && CGO_ENABLED=1 CC=gcc timeout 900 "$go" run .)
done >"$tmp/seen"
cat "$tmp/seen"
grep '^#	go1\.' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
