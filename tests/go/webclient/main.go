// webclient sends requests of every kind, for tests/e2e/http_client.py.
//
//	webclient serve          answers them: prints its ports as JSON, and ends with its standard input
//	webclient call PORTS     sends them, one after the other, each to a path of its own, and ends
//	webclient wait PORTS     likewise, after a line on its standard input
//
// PORTS is what serve printed.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

type ports struct{ HTTP, TLS, H2, H2C int }

func main() {
	log.SetOutput(io.Discard) // TLS failures are meant
	if len(os.Args) == 2 && os.Args[1] == "serve" {
		serve()
		return
	}
	var p ports
	if len(os.Args) != 3 || os.Args[1] != "call" && os.Args[1] != "wait" || json.Unmarshal([]byte(os.Args[2]), &p) != nil {
		fmt.Fprintln(os.Stderr, "usage: webclient serve | call PORTS | wait PORTS")
		os.Exit(2)
	}
	if os.Args[1] == "wait" {
		bufio.NewReader(os.Stdin).ReadString('\n')
	}
	h1(p)
	h1Failures(p)
	h1TLS(p)
	h2("h2", https(p.H2), &http.Transport{TLSClientConfig: insecure(), ForceAttemptHTTP2: true})
	h2("x", https(p.H2), &http2.Transport{TLSClientConfig: insecure()})
	h2("xh2c", plain(p.H2C), &http2.Transport{AllowHTTP: true,
		DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}})
	configured := &http.Transport{TLSClientConfig: insecure()}
	must(http2.ConfigureTransport(configured))
	h2("conf", https(p.H2), configured)
	own(p)
}

func plain(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }
func https(port int) string { return fmt.Sprintf("https://127.0.0.1:%d", port) }

func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func request(method, url, body string) *http.Request {
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, url, from)
	must(err)
	return r
}

// do sends the request and reads all of its answer.
func do(c *http.Client, r *http.Request) *http.Response {
	resp, err := c.Do(r)
	must(err)
	_, err = io.Copy(io.Discard, resp.Body)
	must(err)
	must(resp.Body.Close())
	return resp
}

func fails(_ *http.Response, err error) {
	if err == nil {
		panic("this request was to fail")
	}
}

func together(n int, f func(int)) {
	var wg sync.WaitGroup
	for i := 0; i < n; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			f(i)
		}(i)
	}
	wg.Wait()
}

// early leaves most of the body unread.
func early(c *http.Client, url string) {
	resp, err := c.Get(url)
	must(err)
	_, err = io.ReadFull(resp.Body, make([]byte, 10))
	must(err)
	must(resp.Body.Close())
}

// cancelled reads the answer's begin only, since the rest never comes.
func cancelled(c *http.Client, url string) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	resp, err := c.Do(request("GET", url, "").WithContext(ctx))
	must(err)
	if _, err = io.Copy(io.Discard, resp.Body); !errors.Is(err, context.DeadlineExceeded) {
		panic(err)
	}
	resp.Body.Close()
}

func late(c *http.Client, url string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	fails(c.Do(request("GET", url, "").WithContext(ctx)))
}

func given(c *http.Client, url string) {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(30*time.Millisecond, cancel)
	fails(c.Do(request("GET", url, "").WithContext(ctx)))
}

func common(c *http.Client, url string) {
	do(c, request("GET", url+"/sized?a=1&sig=secret&b=2", ""))
	do(c, request("POST", url+"/made", "five5"))
	do(c, request("GET", url+"/gzip", ""))
	do(c, request("HEAD", url+"/head", ""))
	do(c, request("DELETE", url+"/empty", ""))
	do(c, request("GET", url+"/missing", ""))
	do(c, request("GET", url+"/broken", ""))
	do(c, request("GET", url+"/chunked", ""))
	early(c, url+"/big")
	cancelled(c, url+"/begun")
	late(c, url+"/slow/late")
	given(c, url+"/slow/given")
	together(8, func(i int) {
		for k := 0; k < 4; k++ {
			do(c, request("GET", fmt.Sprintf("%s/together/%d/%d", url, i, k), ""))
		}
	})
}

func h1(p ports) {
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	url := plain(p.HTTP)
	common(c, url+"/h1")
	url += "/h1"
	do(c, request("GET", strings.Replace(url, "//", "//bob:secret@", 1)+"/user", ""))
	do(c, request("GET", url+"/path%20with/%E2%82%AC/a%2Fb?q=%20", ""))
	do(c, request("GET", url+"/redirect/2", ""))
	do(c, request("BREW", url+"/brewed", ""))
	r := request("PUT", url+"/streamed", "")
	r.Body = io.NopCloser(strings.NewReader("of unknown length"))
	r.ContentLength = -1
	do(c, r)
	dump, err := httputil.DumpRequestOut(request("POST", url+"/dumped", "body"), true)
	must(err)
	if !bytes.Contains(dump, []byte("/dumped")) {
		panic("no dump")
	}
	dropped := &http.Client{Transport: &http.Transport{}}
	do(dropped, request("GET", url+"/dropped/1", ""))
	do(dropped, request("GET", url+"/dropped/2", "")) // the server closes, and it is sent again
	_, err = c.Get(url + "/unread") // and never closed
	must(err)
	upgraded(url + "/upgraded")
}

func upgraded(url string) {
	r := request("GET", url, "")
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	resp, err := http.DefaultTransport.RoundTrip(r)
	must(err)
	both := resp.Body.(io.ReadWriteCloser)
	_, err = both.Write([]byte("x"))
	must(err)
	_, err = io.ReadFull(both, make([]byte, 1))
	must(err)
	must(both.Close())
}

func h1Failures(p ports) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	closed := l.Addr().(*net.TCPAddr).Port
	must(l.Close())
	c := &http.Client{Transport: &http.Transport{}}
	fails(c.Get(plain(closed) + "/fails/refused"))
	nowhere := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name server")
	}}
	dialer := &net.Dialer{Resolver: nowhere}
	fails((&http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}).Get("http://nowhere.invalid/fails/unknown"))
	fails(c.Get(https(p.TLS) + "/fails/untrusted"))
	fails(c.Get(https(p.HTTP) + "/fails/clear-text"))
	fails((&http.Client{Timeout: 30 * time.Millisecond}).Get(plain(p.HTTP) + "/fails/slow/client-timeout"))
	fails((&http.Client{Transport: &http.Transport{ResponseHeaderTimeout: 30 * time.Millisecond}}).Get(
		plain(p.HTTP) + "/fails/slow/header-timeout"))
	fails(c.Get(plain(p.HTTP) + "/fails/eof"))
	fails(c.Get("ftp://127.0.0.1/fails/scheme"))
	fails((&http.Client{Transport: &http.Transport{DialContext: dials}}).Get("http://127.0.0.1:1/fails/dial-timeout"))
	resp, err := c.Get(plain(p.HTTP) + "/fails/cut")
	must(err)
	if _, err = io.Copy(io.Discard, resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		panic(err)
	}
	resp.Body.Close()
}

// dials as one whose packets nobody answers.
func dials(context.Context, string, string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
}

func h1TLS(p ports) {
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: insecure()}}
	do(c, request("GET", https(p.TLS)+"/tls/sized", ""))
	do(c, request("POST", https(p.TLS)+"/tls/made", "five5"))
}

func h2(name, url string, t http.RoundTripper) {
	c := &http.Client{Transport: t}
	common(c, url+"/"+name)
	resp := do(c, request("GET", url+"/"+name+"/last", ""))
	if resp.ProtoMajor != 2 {
		panic(resp.Proto)
	}
}
