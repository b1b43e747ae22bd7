//go:build !go1.22

package main

import (
	"fmt"
	"net/http"
	"strings"
)

// patterns registers, under plain prefixes, handlers that answer as those of
// routes_go122.go do.
func patterns(mux *http.ServeMux) {
	mux.HandleFunc("/items", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
	})
	mux.HandleFunc("/items/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		fmt.Fprintf(w, "item %s", strings.TrimPrefix(r.URL.Path, "/items/"))
	})
	mux.HandleFunc("/files/", text("files"))
	mux.HandleFunc("/exact/", text("exact"))
	mux.HandleFunc("example.test/hosted/", text("hosted"))
}
