// Asks another one whatever it is asked, as the request KIND/NUMBER says:
//
//	relay [grpc] h1|h2|x|grpc|grpc0 ADDRESS     HTTP/1.1; HTTP/2 by net/http; by golang.org/x/net; unary calls; without a
//	                                            buffer of gRPC's
//
// It is asked over HTTP/1.1, or with grpc over that, on a port of its own, which it prints; and ends with its input.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// Kinds of requests.
const (
	plain   = "0"
	another = "1" // on a goroutine of its own
	own     = "2" // with a tracestate of the program's
	long    = "3" // in HTTP/1 there is room for little more
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Messages are bytes as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = append([]byte(nil), data...); return nil }
func (raw) Name() string                       { return "raw" }

type asker func(ctx context.Context, kind, number string) error

func overHTTP(base string, transport http.RoundTripper) asker {
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	return func(ctx context.Context, kind, number string) error {
		path := base + "/" + kind + "/" + number
		if kind == long {
			path += "?" + strings.Repeat("u", 3500)
		}
		r, err := http.NewRequestWithContext(ctx, "GET", path, nil)
		if err != nil {
			return err
		}
		if kind == own {
			r.Header.Set("tracestate", "own=1")
		}
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
}

func overGRPC(addr string, options ...grpc.DialOption) asker {
	conn, err := grpc.Dial(addr, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))...)
	must(err)
	return func(ctx context.Context, kind, number string) error {
		if kind == own {
			ctx = metadata.AppendToOutgoingContext(ctx, "tracestate", "own=1")
		}
		in, out := []byte("message"), []byte(nil)
		return conn.Invoke(ctx, "/kind."+kind+"/"+number, &in, &out)
	}
}

func newAsker(kind, addr string) asker {
	trust := &tls.Config{InsecureSkipVerify: true} // the server's certificate is its own
	switch kind {
	case "h1":
		return overHTTP("http://"+addr, &http.Transport{MaxIdleConnsPerHost: 100})
	case "h2":
		return overHTTP("https://"+addr, &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true})
	case "x":
		return overHTTP("https://"+addr, &http2.Transport{TLSClientConfig: trust})
	case "grpc0":
		return overGRPC(addr, grpc.WithWriteBufferSize(0))
	}
	return overGRPC(addr)
}

func (ask asker) relay(ctx context.Context, path string) error {
	kind, number, found := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !found {
		return errors.New("no request: " + path)
	}
	if kind != another {
		return ask(ctx, kind, number)
	}
	done := make(chan error)
	go func() { done <- ask(ctx, kind, number) }()
	return <-done
}

func (ask asker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := ask.relay(r.Context(), r.URL.Path); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
}

func (ask asker) call(_ any, stream grpc.ServerStream) error {
	in, out := []byte(nil), []byte(nil)
	method, _ := grpc.MethodFromServerStream(stream)
	if err := stream.RecvMsg(&in); err != nil {
		return err
	}
	if err := ask.relay(stream.Context(), strings.Replace(method, "kind.", "", 1)); err != nil {
		return err
	}
	return stream.SendMsg(&out)
}

func main() {
	args := os.Args[1:]
	calls := len(args) == 3
	if calls {
		args = args[1:]
	}
	ask := newAsker(args[0], args[1])
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	if calls {
		server := grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(ask.call))
		go server.Serve(l)
	} else {
		go http.Serve(l, ask)
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	io.Copy(io.Discard, os.Stdin)
}
