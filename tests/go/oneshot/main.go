// Command oneshot serves itself a few requests as the very first thing it
// does and exits 7: whoever observes it from its first instruction sees them
// all, whoever attaches a moment later sees none.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

const requests = 3

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/oneshot", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "once") })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go http.Serve(l, mux)
	for i := 0; i < requests; i++ {
		resp, err := http.Get(fmt.Sprintf("http://%s/oneshot?n=%d", l.Addr(), i))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	os.Exit(7)
}
