#!/bin/sh
# httputil.ReverseProxy answers an upgrade (101) without a call of WriteHeader.
#
# One would guess that a middleware which wraps the ResponseWriter and notes the status in WriteHeader learns the
# status of every response that goes through net/http/httputil's ReverseProxy. For a protocol upgrade it learns none:
# the proxy hijacks the connection of the wrapped writer and writes the backend's 101 response to it by itself. Such a
# middleware sees a call of Hijack, and no call that tells a status.
#
# Output (the same with Go 1.21.13):
#
#	go1.24.13: no upgrade: the client gets 202, WriteHeader gets 202, Hijack is called 0 times
#	go1.24.13: an upgrade: the client gets 101, WriteHeader gets 0, Hijack is called 1 times
#	go1.27.4: no upgrade: the client gets 202, WriteHeader gets 202, Hijack is called 0 times
#	go1.27.4: an upgrade: the client gets 101, WriteHeader gets 0, Hijack is called 1 times
#
# Exits 0 as long as that is so.

. "$(dirname "$0")/lib.sh"

mkdir "$tmp/proxy"
printf 'module proxy\n\ngo 1.21\n' >"$tmp/proxy/go.mod"
cat >"$tmp/proxy/main.go" <<'EOF'
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
)

type recorder struct {
	http.ResponseWriter
	status, hijacks int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.hijacks++
	return http.NewResponseController(r.ResponseWriter).Hijack()
}

func backend(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
	w.WriteHeader(http.StatusSwitchingProtocols)
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		conn.Close()
	}
}

func main() {
	address, err := url.Parse(httptest.NewServer(http.HandlerFunc(backend)).URL)
	if err != nil {
		log.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(address)
	served := make(chan *recorder, 1)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		proxy.ServeHTTP(rec, r)
		served <- rec
	}))
	for _, what := range []string{"no upgrade", "an upgrade"} {
		r, err := http.NewRequest("GET", front.URL, nil)
		if err != nil {
			log.Fatal(err)
		}
		if what == "an upgrade" {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "chat")
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			log.Fatal(err)
		}
		res.Body.Close()
		rec := <-served
		fmt.Printf("%s: %s: the client gets %d, WriteHeader gets %d, Hijack is called %d times\n",
			runtime.Version(), what, res.StatusCode, rec.status, rec.hijacks)
	}
}
EOF

for version in 1.24.13 1.27.4; do
	go=$(toolchain "$version")/bin/go
	(cd "$tmp/proxy" && CGO_ENABLED=0 timeout 900 "$go" run .)
done >"$tmp/seen"
cat "$tmp/seen"
grep '^#	go1\.' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
