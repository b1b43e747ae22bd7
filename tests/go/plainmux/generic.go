//go:build generic

package main

import "net/http"

var next http.Handler = http.HandlerFunc(answer) // anybody's, so that the copy is made

func copied[T any](p *T) *T {
	c := *p
	return &c
}

// Generic code knows the request's shape alone.
func more(mux *http.ServeMux) {
	mux.HandleFunc("/copied/", func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, copied(r)) })
}
