// Command edges is an HTTP server in the situations that a plain one never is in: middleware that copies requests,
// several muxes, upgrades, Unix sockets, limits that requests break. It prints where it listens on one JSON line and
// must compile with every Go from 1.19 on.
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"
)

type key struct{}

var garbage []*http.Request

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, s) }
}

// typed is a handler that is no HandlerFunc.
type typed struct{ s string }

func (t typed) ServeHTTP(w http.ResponseWriter, r *http.Request) { io.WriteString(w, t.s) }

// collected lets the garbage collector have the request's copies before it answers.
type collected struct{}

func (collected) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for i := 0; i < 3; i++ {
		runtime.GC()
		for j := 0; j < 100; j++ {
			garbage = []*http.Request{decoy(), decoy()}
		}
	}
	io.WriteString(w, "collected")
}

// handing wraps a ResponseWriter as logging middleware does.
type handing struct{ http.ResponseWriter }

func (h handing) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// copying passes on a copy of the request, of the kind that the first element of the path names.
func copying(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch first := strings.SplitN(r.URL.Path, "/", 3)[1]; first {
		case "context":
			r = r.WithContext(context.WithValue(r.Context(), key{}, first))
		case "clone":
			r = r.Clone(r.Context())
		case "wrapped":
			w, r = handing{w}, r.WithContext(context.WithValue(r.Context(), key{}, first))
		}
		next.ServeHTTP(w, r)
	})
}

func upgrade(w http.ResponseWriter, r *http.Request, first func(), then string) {
	w.Header().Set("Upgrade", "echo")
	w.Header().Set("Connection", "Upgrade")
	first()
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return
	}
	io.WriteString(c, then)
	c.Close()
}

// switching writes the header by net/http, raw by itself.
func switching(w http.ResponseWriter, r *http.Request) {
	upgrade(w, r, func() { w.WriteHeader(http.StatusSwitchingProtocols) }, "")
}

func raw(w http.ResponseWriter, r *http.Request) {
	upgrade(w, r, func() {}, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
}

func forbidden(w http.ResponseWriter, r *http.Request) {
	upgrade(w, r, func() { w.WriteHeader(http.StatusForbidden) }, "")
}

func hits(mux *http.ServeMux, prefix string) {
	mux.HandleFunc(prefix+wildcard, text("func"))
	mux.Handle(prefix+"typed/"+wildcard, typed{"typed"})
	mux.Handle(prefix+"collected", collected{})
}

func routes(proxy http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/canary", text("tweet"))
	for _, prefix := range []string{"/direct/", "/context/", "/clone/", "/wrapped/"} {
		hits(mux, prefix)
	}
	mux.HandleFunc("/upgrade/switching", switching)
	mux.HandleFunc("/upgrade/raw", raw)
	mux.HandleFunc("/upgrade/forbidden", forbidden)
	mux.Handle("/proxied/", proxy)

	inner := http.NewServeMux()
	hits(inner, "/context/inner/")
	mux.Handle("/context/inner/", copying(inner))

	stripped := http.NewServeMux()
	stripped.HandleFunc("/", text("stripped"))
	stripped.HandleFunc("/inner/"+wildcard, text("stripped"))
	mux.Handle("/context/strip/", http.StripPrefix("/context/strip", stripped))

	limited := http.NewServeMux()
	hits(limited, "/limited/")
	hits(limited, "/limited/wrapped/")
	mux.Handle("/limited/", http.TimeoutHandler(limited, time.Minute, "too slow"))
	mux.Handle("/limited/wrapped/", http.TimeoutHandler(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) { limited.ServeHTTP(handing{w}, r) }), time.Minute, "too slow"))
	mux.Handle("/limited/late", http.TimeoutHandler(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			limited.ServeHTTP(w, r)
		}), 20*time.Millisecond, "too slow"))
	return copying(mux)
}

// proxied passes on to the server itself, whose path is what stands behind /proxied.
func proxied(port int) http.Handler {
	p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	direct := p.Director
	p.Director = func(r *http.Request) {
		r.URL.Path = strings.TrimPrefix(r.URL.Path, "/proxied")
		direct(r)
		r.Header.Set("User-Agent", r.Header.Get("User-Agent")+".behind")
	}
	p.ErrorLog = log.New(io.Discard, "", 0)
	return p
}

func certificate() tls.Certificate {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
}

func listen(network, address string) net.Listener {
	l, err := net.Listen(network, address)
	if err != nil {
		log.Fatal(err)
	}
	return l
}

// edges SOCKET: until standard input ends.
func main() {
	plain, secure, unix := listen("tcp", "127.0.0.1:0"), listen("tcp", "127.0.0.1:0"), listen("unix", os.Args[1])
	port := func(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }
	handler := routes(proxied(port(plain)))
	server := func() *http.Server {
		return &http.Server{Handler: handler, MaxHeaderBytes: 4096, ErrorLog: log.New(io.Discard, "", 0),
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate()}}}
	}
	go server().Serve(plain)
	go server().ServeTLS(secure, "", "")
	go server().Serve(unix)
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{"ready": true, "pid": os.Getpid(), "go": runtime.Version(),
		"http": port(plain), "https": port(secure)})
	bufio.NewReader(os.Stdin).ReadString('\n')
}
