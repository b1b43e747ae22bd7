//go:build copies

package main

import (
	"context"
	"net/http"
)

type key struct{}

var next http.Handler = http.HandlerFunc(answer) // anybody's, so that the copy is made

func more(mux *http.ServeMux) {
	mux.HandleFunc("/copied/", func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, 1)))
	})
}
