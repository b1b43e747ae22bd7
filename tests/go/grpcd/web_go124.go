//go:build go1.24

package main

import (
	"net"
	"net/http"
)

// net/http itself speaks HTTP/2 in clear text.
func serveWeb(l net.Listener, h http.Handler) error {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	return (&http.Server{Handler: h, Protocols: &p}).Serve(l)
}
