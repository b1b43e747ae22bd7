//go:build !go1.24

package main

import (
	"net"
	"net/http"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

func serveWeb(l net.Listener, h http.Handler) error {
	return http.Serve(l, h2c.NewHandler(h, &http2.Server{}))
}
