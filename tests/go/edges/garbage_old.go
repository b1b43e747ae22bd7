//go:build !go1.23

package main

import "net/http"

func decoy() *http.Request { return &http.Request{} }
