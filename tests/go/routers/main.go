// Command routers serves the same requests through every router that Earshot has a pack for, each on a port of its own.
// It prints where they listen on one JSON line, and must compile with old versions of the routers (Go 1.21, go1.21.mod)
// and with the newest ones.
//
// What every router serves, where it can: /users/{id}, /files/… by a wildcard, a group or subrouter below /api/v1, what
// middleware answers (/denied), what panics and is recovered, POST only (405 for GET).
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
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"
)

type key struct{}

func text(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "text") }

func broken(w http.ResponseWriter, r *http.Request) { panic("broken") }

// copying is middleware that passes on a copy of the request.
func copying(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, r.URL.Path)))
	})
}

func recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// elsewhere serves on a goroutine of its own, as handlers with a deadline do.
func elsewhere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			next.ServeHTTP(w, r)
		}()
		<-done
	})
}

// nested is h behind ServeMux: "/" sees the whole path, /below/ a part of it.
func nested(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/below/", http.StripPrefix("/below", h))
	mux.Handle("/later/", http.TimeoutHandler(http.StripPrefix("/later", h), time.Minute, "late"))
	mux.Handle("/own/", elsewhere(http.StripPrefix("/own", h)))
	mux.Handle("/", copying(h))
	return mux
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

func listen() (net.Listener, int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return l, l.Addr().(*net.TCPAddr).Port
}

func server(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate()}}}
}

func main() {
	where := map[string]any{"pid": os.Getpid(), "go": runtime.Version()}
	for name, h := range handlers() {
		l, port := listen()
		where[name] = port
		go server(h).Serve(l)
		l, port = listen()
		where[name+"-nested"] = port
		go server(nested(h)).Serve(l)
	}
	l, port := listen()
	where["chi-tls"] = port
	go server(nested(chiMux())).ServeTLS(l, "", "")
	for name, serve := range fast() {
		l, port := listen()
		where[name] = port
		go serve(l)
	}
	json.NewEncoder(os.Stdout).Encode(where)
	bufio.NewReader(os.Stdin).ReadString('\n')
}
