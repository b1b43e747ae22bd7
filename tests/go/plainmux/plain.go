//go:build !copies && !generic

package main

import "net/http"

func more(mux *http.ServeMux) {
	mux.HandleFunc("/copied/", answer)
}
