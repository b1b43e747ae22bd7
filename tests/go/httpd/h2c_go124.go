//go:build go1.24

package main

import "net/http"

// serveStdH2C serves HTTP/2 in clear by net/http itself.
func serveStdH2C(h http.Handler) int {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return serve(listen(0), &http.Server{Handler: h, Protocols: p})
}
