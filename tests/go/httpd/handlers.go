package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strconv"
	"sync"
	"time"
)

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, s) }
}

func intParam(r *http.Request, name string, otherwise int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil {
		return otherwise
	}
	return n
}

// status answers /status/NNN, with the code as body where one is allowed.
func status(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(path.Base(r.URL.Path))
	if err != nil || code < 200 || code > 999 {
		http.NotFound(w, r)
		return
	}
	w.WriteHeader(code)
	if code != http.StatusNoContent && code != http.StatusNotModified {
		fmt.Fprint(w, code)
	}
}

// statusTwice is a common mistake: the first code counts.
func statusTwice(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusCreated)
	w.WriteHeader(http.StatusInternalServerError)
}

// earlyHints sends an informational response first.
func earlyHints(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Link", "</style.css>; rel=preload")
	w.WriteHeader(http.StatusEarlyHints)
	io.WriteString(w, "after hints")
}

type loggingWriter struct {
	http.ResponseWriter
	code int
}

func (l *loggingWriter) WriteHeader(code int) {
	l.code = code
	l.ResponseWriter.WriteHeader(code)
}

// wrapped answers through another ResponseWriter, as middleware does.
func wrapped(w http.ResponseWriter, r *http.Request) {
	lw := &loggingWriter{ResponseWriter: w}
	lw.WriteHeader(http.StatusAccepted)
	io.WriteString(lw, "wrapped")
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Write(body)
}

func sink(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	fmt.Fprint(w, n)
}

func bigBody(w http.ResponseWriter, r *http.Request) {
	w.Write(bytes.Repeat([]byte("x"), intParam(r, "n", 1<<20)))
}

func chunked(w http.ResponseWriter, r *http.Request) {
	for i := 0; i < 4; i++ {
		io.WriteString(w, "chunk;")
		w.(http.Flusher).Flush()
	}
}

func stream(w http.ResponseWriter, r *http.Request) {
	for i := 0; i < 5; i++ {
		fmt.Fprintf(w, "event %d\n", i)
		w.(http.Flusher).Flush()
		time.Sleep(5 * time.Millisecond)
	}
}

// filler is a file of 64 KiB, made once.
var filler = func() func() string {
	var once sync.Once
	var name string
	return func() string {
		once.Do(func() {
			f, err := os.CreateTemp("", "httpd-*.txt")
			if err != nil {
				panic(err)
			}
			f.Write(bytes.Repeat([]byte("f"), 64<<10))
			name = f.Name()
			f.Close()
		})
		return name
	}
}()

// sendfile copies a file to the response: on HTTP/1.1 the ReadFrom path.
func sendfile(w http.ResponseWriter, r *http.Request) {
	f, err := os.Open(filler())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Length", strconv.Itoa(64<<10))
	io.Copy(w, f)
}

// content answers range requests.
func content(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "content.txt", time.Unix(1e9, 0), bytes.NewReader(bytes.Repeat([]byte("c"), 1000)))
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/plain", http.StatusFound)
}

func slow(w http.ResponseWriter, r *http.Request) {
	time.Sleep(time.Duration(intParam(r, "ms", 100)) * time.Millisecond)
	io.WriteString(w, "slow")
}

// hangup waits until the client is gone.
func hangup(w http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(5 * time.Second):
	}
}

func hijack(w http.ResponseWriter, r *http.Request) {
	h, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "no hijacking here", http.StatusNotImplemented)
		return
	}
	conn, rw, err := h.Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	rw.WriteString("HTTP/1.1 299 Raw\r\nContent-Length: 3\r\nConnection: close\r\n\r\nraw")
	rw.Flush()
}

// alloc makes garbage of several sizes, for the collector to run often.
func alloc(w http.ResponseWriter, r *http.Request) {
	kept := make([][]byte, 0, 64)
	for i := 0; i < 64; i++ {
		kept = append(kept, make([]byte, 16<<(i%8)))
	}
	fmt.Fprint(w, len(kept))
}
