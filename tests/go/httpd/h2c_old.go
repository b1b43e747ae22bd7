//go:build !go1.24

package main

import "net/http"

// Before Go 1.24 net/http has no HTTP/2 in clear.
func serveStdH2C(http.Handler) int { return 0 }
