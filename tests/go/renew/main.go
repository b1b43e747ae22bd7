// Renew is a small server that is upgraded: its file is overwritten, or it executes another one in its own process. With
// -tags v2 it has more code ahead of what is observed, so that everything lies elsewhere.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

//go:noinline
func look(version, n int, isbn string) (title string) { return pad(isbn) + isbn }

//go:noinline
func outer(n int) string { return look(version, n, "beat") }

// Never called: tests change its code.
//
//go:noinline
func never(n int) string {
	if n == 0 {
		return "never"
	}
	return outer(n) + never(n-1)
}

func main() {
	port := flag.String("port-file", "", "where to write the port")
	flag.Parse()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, version) })
	http.HandleFunc("/become", func(w http.ResponseWriter, r *http.Request) {
		go func() {
			time.Sleep(50 * time.Millisecond)
			fmt.Println(syscall.Exec(r.URL.Query().Get("file"), os.Args, os.Environ()))
		}()
	})
	http.HandleFunc("/never", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, never(1)) })
	go func() {
		for n := 0; ; n++ {
			outer(n)
			time.Sleep(2 * time.Millisecond)
		}
	}()
	os.WriteFile(*port+".new", []byte(fmt.Sprint(os.Getpid(), " ", version, " ", l.Addr().(*net.TCPAddr).Port)), 0o600)
	os.Rename(*port+".new", *port)
	fmt.Println(http.Serve(l, nil))
}
