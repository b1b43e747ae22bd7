// A gRPC server and its client, as two processes or one: what spans are compared with.
//
//	grpcd serve        prints {"grpc": address, "http": address}; ends with its standard input
//	grpcd call GRPC HTTP
//
// The client does what the lines of its standard input say, one after the other, and answers each with a line of JSON:
// {"did": the line, "calls": what the caller saw of each RPC} (calls.go). Its first line says where nobody listens.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
		serve()
	case len(os.Args) == 4 && os.Args[1] == "call":
		call(os.Args[2], os.Args[3])
	default:
		fmt.Fprintln(os.Stderr, "usage: grpcd serve | grpcd call GRPC HTTP")
		os.Exit(2)
	}
}

func listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return l
}

// One server twice: on its own transport, and behind net/http.
func serve() {
	l, h := listen(), listen()
	s := grpc.NewServer(grpc.UnaryInterceptor(recovering))
	s.RegisterService(&shopDesc, &shop{self: dial(l.Addr().String())})
	healthpb.RegisterHealthServer(s, health.NewServer())
	go func() { log.Fatal(s.Serve(l)) }()
	go func() { log.Fatal(serveWeb(h, s)) }()
	json.NewEncoder(os.Stdout).Encode(map[string]any{"grpc": l.Addr().String(), "http": h.Addr().String()})
	io.Copy(io.Discard, os.Stdin)
}

func call(target, web string) {
	c := newCaller(target, web)
	json.NewEncoder(os.Stdout).Encode(map[string]any{"nowhere": c.nowhere.Target()})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		what := strings.TrimSpace(lines.Text())
		json.NewEncoder(os.Stdout).Encode(map[string]any{"did": what, "calls": c.run(what)})
	}
}
