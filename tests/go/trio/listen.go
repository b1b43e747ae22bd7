package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

// announce says where a service listens, for whoever started it on port 0.
func announce(name string, listener net.Listener) {
	log.SetFlags(0)
	log.SetOutput(os.Stdout)
	log.Printf("%s listens on %s", name, listener.Addr())
}

func announceAndServe(name, listen string, handler http.Handler) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	announce(name, listener)
	server := &http.Server{Handler: handled(handler), ErrorLog: log.New(io.Discard, "", 0)}
	return server.Serve(listener)
}
