package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

const limit = 20 * time.Second // for any one request

type clients map[string]http.RoundTripper

func newClients() clients {
	trust := &tls.Config{InsecureSkipVerify: true} // the server's certificate is its own
	return clients{
		"h1": &http.Transport{TLSClientConfig: trust, DisableCompression: true,
			ExpectContinueTimeout: 5 * time.Second},
		// A connection that ends without a response makes net/http's client ask
		// again on a new one, unless it was new itself.
		"h1-fresh": &http.Transport{TLSClientConfig: trust, DisableCompression: true,
			DisableKeepAlives: true},
		"h2": &http2.Transport{TLSClientConfig: trust, DisableCompression: true},
		"h2c": &http2.Transport{AllowHTTP: true, DisableCompression: true,
			DialTLS: func(network, addr string, _ *tls.Config) (net.Conn, error) {
				return net.Dial(network, addr)
			}},
	}
}

// unsized hides a reader's length, so the body goes out chunked.
type unsized struct{ io.Reader }

func (r request) body() io.Reader {
	var src io.Reader
	switch {
	case r.Body != nil:
		src = strings.NewReader(*r.Body)
	case r.BodySize > 0:
		src = strings.NewReader(strings.Repeat("b", r.BodySize))
	default:
		return nil
	}
	if r.Chunked {
		return unsized{src}
	}
	return src
}

func (r request) build(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, r.body())
	if err != nil {
		return nil, err
	}
	for k, v := range r.Header {
		req.Header.Set(k, v)
	}
	if r.Host != "" {
		req.Host = r.Host
	}
	return req, nil
}

func (c clients) do(r request) response {
	out := response{ID: r.ID}
	var err error
	if r.Raw != "" {
		err = doRaw(r, &out)
	} else {
		err = c.doHTTP(r, &out)
	}
	if err != nil {
		out.Error = err.Error()
	}
	return out
}

func (c clients) doHTTP(r request, out *response) error {
	transport, ok := c[r.Proto]
	if !ok {
		return errors.New("no such proto: " + r.Proto)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { out.Local = i.Conn.LocalAddr().String() },
		// Not from the beginning: a server that is hung up on during the handshake gets no request.
		WroteRequest: func(httptrace.WroteRequestInfo) {
			if r.HangUpMS > 0 {
				time.AfterFunc(time.Duration(r.HangUpMS)*time.Millisecond, cancel)
			}
		},
	})
	req, err := r.build(ctx)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req) // redirects are not followed
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	out.Status, out.Proto = resp.StatusCode, resp.Proto
	return readBody(resp.Body, out)
}

func readBody(body io.Reader, out *response) error {
	data, err := io.ReadAll(body)
	out.BodyBytes = int64(len(data))
	if len(data) > 200 {
		data = data[:200]
	}
	out.Body = string(data)
	return err
}

// doRaw sends bytes as they are and reads until the server closes.
func doRaw(r request, out *response) error {
	u, err := url.Parse(r.URL)
	if err != nil {
		return err
	}
	conn, err := net.DialTimeout("tcp", u.Host, limit)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	out.Local = conn.LocalAddr().String()
	if _, err := io.WriteString(conn, r.Raw); err != nil {
		return err
	}
	return readBody(conn, out)
}
