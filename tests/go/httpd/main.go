// Command httpd is the HTTP server the end-to-end tests observe.
//
// It serves the handlers of routes.go over HTTP/1.1, HTTP/2 with TLS and
// HTTP/2 without, prints where on one JSON line, and counts the requests it
// served itself: SIGUSR1 prints the counts as another JSON line. It must
// compile with every Go from 1.19 on.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
)

// ready is the first line of the report.
type ready struct {
	Ready  bool   `json:"ready"`
	PID    int    `json:"pid"`
	Go     string `json:"go"`
	Cgo    bool   `json:"cgo"`
	HTTP   int    `json:"http"`             // HTTP/1.1, ServeMux
	Bare   int    `json:"bare"`             // HTTP/1.1, a HandlerFunc and no ServeMux
	HTTPS  int    `json:"https"`            // HTTP/1.1 and HTTP/2 over TLS
	H2C    int    `json:"h2c"`              // HTTP/2 in clear, golang.org/x/net/http2/h2c
	H2CStd int    `json:"h2cstd,omitempty"` // HTTP/2 in clear, net/http's own (Go 1.24)
}

// stats is the server's own accounting.
type stats struct {
	Stats    bool   `json:"stats"`
	Entered  int64  `json:"entered"`
	Left     int64  `json:"left"`
	Preface  int64  `json:"preface"` // "PRI *" requests that only open an h2c connection
	Routines int    `json:"goroutines"`
	Heap     uint64 `json:"heap"`
}

var entered, left, preface int64

// counted counts and passes on. It hands down the ResponseWriter it got, so
// handlers see the same interfaces as without it.
type counted struct{ next http.Handler }

func (c counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	atomic.AddInt64(&entered, 1)
	defer atomic.AddInt64(&left, 1)
	c.next.ServeHTTP(w, r)
}

// prefaceCounter counts the requests that x/net's h2c takes over.
type prefaceCounter struct{ next http.Handler }

func (p prefaceCounter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == "PRI" {
		atomic.AddInt64(&preface, 1)
	}
	p.next.ServeHTTP(w, r)
}

type report struct {
	mu  sync.Mutex
	out io.Writer
}

func (r *report) line(v interface{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	json.NewEncoder(r.out).Encode(v)
}

func listen(port int) net.Listener {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		log.Fatal(err)
	}
	return l
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func serve(l net.Listener, s *http.Server) int {
	s.ErrorLog = log.New(io.Discard, "", 0) // the panics are meant
	go s.Serve(l)
	return portOf(l)
}

func main() {
	path := flag.String("report", "", "`file` that takes the report lines instead of standard output")
	port := flag.Int("port", 0, "port of the plain HTTP/1.1 listener (0: any)")
	exit := flag.Int("exit", 0, "exit `code` after SIGTERM or SIGINT")
	flag.Parse()

	rep := &report{out: os.Stdout}
	if *path != "" {
		f, err := os.OpenFile(*path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			log.Fatal(err)
		}
		rep.out = f
	}

	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)

	handler := counted{routes()}
	where := ready{Ready: true, PID: os.Getpid(), Go: runtime.Version(), Cgo: viaCgo() == 42}
	where.HTTP = serve(listen(*port), &http.Server{Handler: handler})
	where.Bare = serve(listen(0), &http.Server{Handler: counted{http.HandlerFunc(bare)}})
	where.HTTPS = serveTLS(handler)
	where.H2C = serve(listen(0), &http.Server{Handler: prefaceCounter{h2cHandler(handler)}})
	where.H2CStd = serveStdH2C(handler)
	rep.line(where)

	for s := range signals {
		switch s {
		case syscall.SIGUSR1:
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			rep.line(stats{true, atomic.LoadInt64(&entered), atomic.LoadInt64(&left),
				atomic.LoadInt64(&preface), runtime.NumGoroutine(), m.HeapAlloc})
		case syscall.SIGHUP:
			rep.line(map[string]string{"signal": "SIGHUP"})
		default:
			rep.line(map[string]string{"signal": s.String()})
			os.Exit(*exit)
		}
	}
}
