// Command lastwords sends itself numbered requests, several at once, and dies in the way it is told. Each request says its
// number on standard output before it does anything else, so whoever reads that knows what a recorder must have seen.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"
)

const clients = 4

var hoard [][]byte

func die(how string) {
	switch how {
	case "panic":
		panic("that was all")
	case "crash": // at an address that nobody has: no panic, the runtime throws
		*(*int)(unsafe.Pointer(uintptr(1) << 40)) = 1
	case "oom":
		debug.SetGCPercent(-1)
		for {
			piece := make([]byte, 1<<20)
			for i := 0; i < len(piece); i += 4096 {
				piece[i] = 1
			}
			hoard = append(hoard, piece)
		}
	case "exit":
		os.Exit(3)
	}
	select {}
}

func main() {
	how := flag.String("die", "wait", "panic, crash, oom, exit; wait: somebody else does it")
	collect := flag.Int("collect", 0, "how often it collects garbage before; it then says how often that was done on standard error")
	after := flag.Duration("after", 300*time.Millisecond, "how long it lives")
	group := flag.String("group", "", "a control group to be in")
	flag.Parse()
	if *group != "" {
		if err := os.WriteFile(*group+"/cgroup.procs", []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	debug.SetTraceback("none")
	mux := http.NewServeMux()
	mux.HandleFunc("/n/", func(w http.ResponseWriter, r *http.Request) {
		os.Stdout.WriteString(r.URL.Path[len("/n/"):] + "\n")
		io.WriteString(w, "done")
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go http.Serve(l, mux)
	var n atomic.Int64
	for i := 0; i < clients; i++ {
		go func() {
			for {
				resp, err := http.Get("http://" + l.Addr().String() + "/n/" + strconv.FormatInt(n.Add(1), 10))
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				time.Sleep(time.Millisecond)
			}
		}()
	}
	time.Sleep(*after)
	for i := 0; i < *collect; i++ {
		runtime.GC()
	}
	if *collect > 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintln(os.Stderr, "collected", m.NumGC)
	}
	die(*how)
}
