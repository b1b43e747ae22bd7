package main

import (
	"io"
	"net"
	"net/http"

	"github.com/nats-io/nats.go"
)

// Within a request: what is sent on its goroutine, and with its context on another one.
func useAll(url, address string) {
	nc, err := nats.Connect(url)
	must(err)
	w, c := writer(address, "audit"), client(address)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go http.Serve(l, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		must(nc.Publish("within", nil))
		jobs := make(chan bool)
		go func() {
			<-jobs
			must(w.WriteMessages(r.Context(), message("")))
			must(c.ProduceSync(r.Context(), record("orders", 0)).FirstErr())
			jobs <- true
		}()
		jobs <- true
		<-jobs
	}))
	for i := 0; i < 2; i++ {
		r, err := http.Get("http://" + l.Addr().String() + "/")
		must(err)
		_, err = io.Copy(io.Discard, r.Body)
		must(err)
		r.Body.Close()
	}
}
