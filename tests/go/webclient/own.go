//go:build go1.24

package main

import "net/http"

// own is HTTP/2 in clear text by net/http itself.
func own(p ports) {
	t := &http.Transport{Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(true)
	h2("own", plain(p.H2C), t)
}
