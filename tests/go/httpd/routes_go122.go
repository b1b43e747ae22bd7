//go:build go1.22

package main

import (
	"fmt"
	"net/http"
)

// patterns registers what only the ServeMux of Go 1.22 understands.
func patterns(mux *http.ServeMux) {
	mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "item %s", r.PathValue("id"))
	})
	mux.HandleFunc("POST /items", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
	})
	mux.HandleFunc("DELETE /items/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /files/{rest...}", text("files"))
	mux.HandleFunc("GET /exact/{$}", text("exact"))
	mux.HandleFunc("GET example.test/hosted/{name}", text("hosted"))
}
