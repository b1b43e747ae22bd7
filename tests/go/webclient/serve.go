package main

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

type connKey struct{}

// connection notes how many requests came on it.
func connection(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, new(atomic.Int64))
}

func serve() {
	clear := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	clear.Config.ConnContext = connection
	clear.Start()
	secure := httptest.NewTLSServer(http.HandlerFunc(answer))
	both := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	both.EnableHTTP2 = true
	both.StartTLS()
	prior := httptest.NewServer(h2c.NewHandler(http.HandlerFunc(answer), &http2.Server{}))
	port := func(s *httptest.Server) int { return s.Listener.Addr().(*net.TCPAddr).Port }
	out, _ := json.Marshal(ports{port(clear), port(secure), port(both), port(prior)})
	fmt.Println(string(out))
	io.Copy(io.Discard, os.Stdin)
}

func flush(w http.ResponseWriter) { w.(http.Flusher).Flush() }

func hijack(w http.ResponseWriter) net.Conn {
	c, _, err := w.(http.Hijacker).Hijack()
	must(err)
	return c
}

// answer goes by the last part of the path, or the one before it.
func answer(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	switch last := path.Base(r.URL.Path); {
	case strings.Contains(r.URL.Path, "/slow/"):
		wait(r)
	case strings.Contains(r.URL.Path, "/redirect/") && last != "0":
		http.Redirect(w, r, fmt.Sprintf("../redirect/%d", last[0]-'0'-1), http.StatusFound)
	case strings.HasSuffix(r.URL.Path, "/dropped/2") && r.Context().Value(connKey{}).(*atomic.Int64).Add(1) == 2:
		hijack(w).Close()
	case last == "made":
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, "made")
	case last == "gzip":
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, "packed")
		z.Close()
	case last == "empty":
		w.WriteHeader(http.StatusNoContent)
	case last == "missing":
		http.NotFound(w, r)
	case last == "broken":
		http.Error(w, "broken", http.StatusInternalServerError)
	case last == "chunked":
		io.WriteString(w, "one")
		flush(w)
		time.Sleep(20 * time.Millisecond)
		io.WriteString(w, "two")
	case last == "big" || last == "unread":
		w.Write(make([]byte, 200000))
	case last == "begun":
		io.WriteString(w, "begun")
		flush(w)
		wait(r)
	case last == "eof":
		hijack(w).Close()
	case last == "cut":
		c := hijack(w)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		c.Close()
	case last == "upgraded":
		c := hijack(w)
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.CopyN(c, c, 1)
		c.Close()
	default:
		if n, _ := r.Context().Value(connKey{}).(*atomic.Int64); n != nil && last == "1" {
			n.Add(1)
		}
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "sized")
	}
}

// wait ends with the client's patience.
func wait(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(5 * time.Second):
	}
}
