package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

type client struct {
	base string
	http *http.Client
}

func newClient(kind, addr string) *client {
	trust := &tls.Config{InsecureSkipVerify: true} // the server's certificate is its own
	c := &client{http: &http.Client{Timeout: 60 * time.Second}}
	switch kind {
	case "h1":
		c.base = "http://" + addr
		c.http.Transport = &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true,
			ExpectContinueTimeout: 10 * time.Second}
	case "h2":
		c.base = "https://" + addr
		c.http.Transport = &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true, DisableCompression: true,
			ExpectContinueTimeout: 10 * time.Second}
	case "x":
		c.base = "https://" + addr
		c.http.Transport = &http2.Transport{TLSClientConfig: trust, DisableCompression: true}
	}
	return c
}

// A reader without a length: the body goes out in chunks.
type unsized struct{ io.Reader }

func many(r *http.Request, n int) {
	for i := 0; i < n; i++ {
		r.Header.Set(fmt.Sprintf("X-Filler-%d", i), strings.Repeat("f", 10))
	}
}

func (c *client) send(n int64, kind int) error {
	method, path, body := "GET", fmt.Sprintf("/%d/%d", kind, n), io.Reader(nil)
	switch kind {
	case 2:
		method, body = "POST", strings.NewReader(strings.Repeat("b", 1000))
	case 3:
		method, body = "POST", unsized{strings.NewReader(strings.Repeat("c", 20000))}
	case 4:
		method, body = "PUT", strings.NewReader("expected")
	case 6: // in HTTP/1 the buffer is full, or nearly, where the header would come
		path += "?" + strings.Repeat("u", 3800+int(n*37%350))
	}
	r, err := http.NewRequest(method, c.base+path, body)
	if err != nil {
		return err
	}
	switch kind {
	case 1:
		if n/kinds%2 == 0 {
			r.Header.Set("Traceparent", own)
		} else {
			r.Header["traceparent"] = []string{own}
		}
	case 4:
		r.Header.Set("Expect", "100-continue")
	case 5:
		for i := 0; i < 9; i++ {
			r.Header.Set(fmt.Sprintf("X-Large-%d", i), strings.Repeat("l", 800))
		}
	case 7:
		r.Header.Set("User-Agent", "")
	case 8:
		many(r, 30)
	case 9:
		many(r, 29)
		r.Header.Set("TraceParent", own)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if want := fmt.Sprint(n); resp.StatusCode != 200 || string(answer) != want {
		return fmt.Errorf("%s, %.80q, not %q", resp.Status, answer, want)
	}
	return nil
}

func serve(in *bufio.Reader) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
	}))
	in.ReadString('\n')
}
