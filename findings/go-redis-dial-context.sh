#!/bin/sh
# go-redis from 9.17 on dials for a command with none of the caller's context, but shakes hands with all of it.
#
# One would guess that a DialHook (a tracer's, or one that takes a credential from the context) gets the context of the
# command that needs the connection, as it does up to 9.16. From 9.17.0 on a command's connection is dialed on another
# goroutine with a context of its own: neither the caller's values nor its span are in it, though the command waits for
# it. What follows on the same new connection, HELLO and the rest of the handshake, goes through the ProcessHook on the
# caller's goroutine with the caller's context. And where the connection is for a subscription, it is dialed as ever: on
# the caller's goroutine, with its context.
#
# Output:
#
#	v9.16.0: Get: dialed on the caller's goroutine, with the caller's value; HELLO on the caller's goroutine, with it
#	v9.16.0: Subscribe: dialed on the caller's goroutine, with the caller's value
#	v9.23.0: Get: dialed on another goroutine, without the caller's value; HELLO on the caller's goroutine, with it
#	v9.23.0: Subscribe: dialed on the caller's goroutine, with the caller's value
#
# Exits 0 as long as that is so (Go 1.27.4; 9.17.0 does as 9.23.0).

. "$(dirname "$0")/lib.sh"

mkdir "$tmp/dial"
cat >"$tmp/dial/main.go" <<'EOG'
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"runtime"
	"strings"

	"github.com/redis/go-redis/v9"
)

type caller struct{}

func goroutine() string {
	text := make([]byte, 64)
	return strings.Fields(string(text[:runtime.Stack(text, false)]))[1]
}

// hook notes on which goroutine and with what context it is called.
type hook struct{ mine, dialed, hello string }

func (h *hook) describe(ctx context.Context, with, without string) string {
	where, what := "another goroutine", without
	if goroutine() == h.mine {
		where = "the caller's goroutine"
	}
	if ctx.Value(caller{}) != nil {
		what = with
	}
	return where + ", " + what
}

func (h *hook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		h.dialed = h.describe(ctx, "with the caller's value", "without the caller's value")
		return next(ctx, network, address)
	}
}

func (h *hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		if command.Name() == "hello" {
			h.hello = h.describe(ctx, "with it", "without it")
		}
		return next(ctx, command)
	}
}

func (h *hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook { return next }

// answers are those of a server that has no keys and speaks RESP 2; all else is an unknown command to it.
var answers = map[string]string{
	"get": "$-1\r\n", "subscribe": "*3\r\n$9\r\nsubscribe\r\n$7\r\nchannel\r\n:1\r\n", "": "-ERR unknown command\r\n",
}

func serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go answer(conn)
	}
}

// answer reads commands, which are arrays of strings, and answers by the first string.
func answer(conn net.Conn) {
	in := bufio.NewReader(conn)
	var n, length int
	for {
		if _, err := fmt.Fscanf(in, "*%d\r\n", &n); err != nil {
			return
		}
		words := make([]string, n)
		for i := range words {
			if _, err := fmt.Fscanf(in, "$%d\r\n%s\r\n", &length, &words[i]); err != nil {
				return
			}
		}
		text, known := answers[strings.ToLower(words[0])]
		if !known {
			text = answers[""]
		}
		io.WriteString(conn, text)
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go serve(listener)
	h := &hook{mine: goroutine()}
	client := redis.NewClient(&redis.Options{Addr: listener.Addr().String()})
	client.AddHook(h)
	ctx := context.WithValue(context.Background(), caller{}, true)
	if err := client.Get(ctx, "key").Err(); err != redis.Nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: Get: dialed on %s; HELLO on %s\n", os.Args[1], h.dialed, h.hello)
	if _, err := client.Subscribe(ctx, "channel").Receive(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: Subscribe: dialed on %s\n", os.Args[1], h.dialed)
}
EOG

go=$(toolchain 1.27.4)/bin/go
for version in v9.16.0 v9.23.0; do
	cat >"$tmp/dial/go.mod" <<EOG
module dial

go 1.24

require github.com/redis/go-redis/v9 $version
EOG
	rm -f "$tmp/dial/go.sum"
	(cd "$tmp/dial" && CGO_ENABLED=0 timeout 900 "$go" run -mod=mod . "$version")
done >"$tmp/seen"
cat "$tmp/seen"
grep '^#	v9\.' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
