#!/bin/sh
# net/http over HTTP/2: a request with too many headers gets 431, or GOAWAY and no response; the line has moved.
#
# One would guess that a server answers 431 (Request Header Fields Too Large) when a request's headers are over
# Server.MaxHeaderBytes, as it does over HTTP/1. Over HTTP/2 it does so only up to a point. If a frame of the header
# block is larger than twice what is left of the limit, the server ends the whole connection with GOAWAY,
# PROTOCOL_ERROR: no response, no handler runs. Go 1.26.11 and 1.27.4 have as much room for the names of trailers as
# for headers, and count it as well; so with the header block in one frame 431 reaches up to four times the limit,
# with Go 1.25.14 (and 1.24.13) up to twice. One header that is longer than the limit is never answered: the error is
# then COMPRESSION_ERROR, though nothing is wrong with the compression.
#
# Output (MaxHeaderBytes is 2048, to which Go adds 320; 404 is the handler's):
#
#	go1.25.14: 2 headers of 512 bytes: status 404
#	go1.25.14: 8 headers of 512 bytes: status 431
#	go1.25.14: 16 headers of 512 bytes: GOAWAY PROTOCOL_ERROR, last stream 1
#	go1.25.14: 24 headers of 512 bytes: GOAWAY PROTOCOL_ERROR, last stream 1
#	go1.25.14: 1 headers of 4096 bytes: GOAWAY COMPRESSION_ERROR, last stream 1
#	go1.26.11: 2 headers of 512 bytes: status 404
#	go1.26.11: 8 headers of 512 bytes: status 431
#	go1.26.11: 16 headers of 512 bytes: status 431
#	go1.26.11: 24 headers of 512 bytes: GOAWAY PROTOCOL_ERROR, last stream 1
#	go1.26.11: 1 headers of 4096 bytes: GOAWAY COMPRESSION_ERROR, last stream 1
#	go1.27.4: 2 headers of 512 bytes: status 404
#	go1.27.4: 8 headers of 512 bytes: status 431
#	go1.27.4: 16 headers of 512 bytes: status 431
#	go1.27.4: 24 headers of 512 bytes: GOAWAY PROTOCOL_ERROR, last stream 1
#	go1.27.4: 1 headers of 4096 bytes: GOAWAY COMPRESSION_ERROR, last stream 1
#
# Exits 0 as long as that is so.

. "$(dirname "$0")/lib.sh"

mkdir "$tmp/limit"
cat >"$tmp/limit/go.mod" <<'EOF'
module limit

go 1.24

require golang.org/x/net v0.39.0
EOF
cat >"$tmp/limit/main.go" <<'EOF'
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// get sends a GET request with count headers of size bytes each, in one frame. This client does not heed the server's
// SETTINGS_MAX_HEADER_LIST_SIZE, which is advice.
func get(address string, count, size int) string {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))

	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: address},
		{Name: ":path", Value: "/"},
	} {
		enc.WriteField(f)
	}
	for i := range count {
		enc.WriteField(hpack.HeaderField{Name: fmt.Sprintf("x-%d", i), Value: strings.Repeat("~", size)})
	}
	io.WriteString(conn, http2.ClientPreface)
	fr := http2.NewFramer(conn, conn)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fr.WriteSettings()
	fr.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true,
	})
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			log.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			return "status " + f.PseudoValue("status")
		case *http2.GoAwayFrame:
			return fmt.Sprintf("GOAWAY %v, last stream %d", f.ErrCode, f.LastStreamID)
		}
	}
}

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := &http.Server{MaxHeaderBytes: 2048, Handler: http.NotFoundHandler(), Protocols: new(http.Protocols)}
	s.ErrorLog = log.New(io.Discard, "", 0)
	s.Protocols.SetUnencryptedHTTP2(true)
	go s.Serve(l)
	for _, c := range []struct{ count, size int }{{2, 512}, {8, 512}, {16, 512}, {24, 512}, {1, 4096}} {
		fmt.Printf("%s: %d headers of %d bytes: %s\n", runtime.Version(), c.count, c.size,
			get(l.Addr().String(), c.count, c.size))
	}
}
EOF

for version in 1.25.14 1.26.11 1.27.4; do
	go=$(toolchain "$version")/bin/go
	(cd "$tmp/limit" && CGO_ENABLED=0 timeout 900 "$go" run -mod=mod .)
done >"$tmp/seen"
cat "$tmp/seen"
grep '^#	go1\.' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
