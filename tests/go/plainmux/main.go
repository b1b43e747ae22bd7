// Command plainmux is a server whose ServeMux is asked directly, and that copies no request; built with the tag copies
// or generic it has one handler that does. Each line "PATH AGENT" on standard input is asked over HTTP/2 in clear text.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

func answer(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, r.URL.Path)
}

func main() {
	mux, inner := http.NewServeMux(), http.NewServeMux()
	for _, pattern := range []string{"/{$}", "GET /items/{id}", "/tree/", "/host/{x}/", "named.test/items/{id}"} {
		mux.HandleFunc(pattern, answer)
	}
	mux.HandleFunc("/panic/{why}", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	inner.HandleFunc("/api/v1/{name}", answer)
	mux.Handle("/api/", inner)
	more(mux)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: mux, Protocols: protocols, ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(l)
	fmt.Printf("{\"http\": %d}\n", l.Addr().(*net.TCPAddr).Port)

	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: h2}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var path, agent string
		fmt.Sscan(in.Text(), &path, &agent)
		r, err := http.NewRequestWithContext(context.Background(), "GET", "http://"+l.Addr().String()+path, nil)
		if err != nil {
			log.Fatal(err)
		}
		r.Header.Set("User-Agent", agent)
		if response, err := client.Do(r); err == nil {
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		fmt.Println("asked", agent)
	}
}
