// Package serve is a server and its client.
package serve

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"

	"earshot.test/dep"
)

// Requests is how many Report sends.
const Requests = 3

func handle(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, r.URL.Query().Get("n"))
}

func get(url string) int {
	answer, err := http.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		log.Fatal(err)
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		log.Fatal(err)
	}
	return n
}

// Report sends requests to itself, with a number each, and returns the sum of the answers.
func Report() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/work", handle)
	server := &http.Server{Handler: mux}
	go server.Serve(l)
	defer server.Close()
	sum := 0
	for i := 0; i < Requests; i++ {
		sum = dep.Sum(sum, get(fmt.Sprintf("http://%s/work?n=%d", l.Addr(), i)))
	}
	return sum
}
