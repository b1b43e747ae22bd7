//go:build !copies

package main

import "net/http"

func more(mux *http.ServeMux) {
	mux.HandleFunc("/copied/", answer)
}
