//go:build go1.23

package main

import "net/http"

// decoy is what a request's copy must not be taken for once its memory is used again.
func decoy() *http.Request { return &http.Request{Pattern: "/wrong"} }
