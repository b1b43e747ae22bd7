package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

const batch = 100 // requests between two looks at the clock

// A client in memory: the next request is there when the response to the last one was written.
type client struct {
	mu       sync.Mutex
	changed  *sync.Cond
	request  []byte
	pending  []byte
	deadline time.Time // past: a read ends at once, as net/http makes it when a handler is done
	end      time.Time
	began    time.Time
	n        int
	took     []float64 // ns a request, of each batch
	done     chan bool
}

func newClient(path string, d time.Duration) *client {
	c := &client{request: []byte("GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"), done: make(chan bool, 1)}
	c.changed = sync.NewCond(&c.mu)
	c.pending = c.request
	c.began = time.Now()
	c.end = c.began.Add(d)
	return c
}

func (c *client) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) == 0 {
		if !c.deadline.IsZero() {
			return 0, os.ErrDeadlineExceeded
		}
		c.changed.Wait()
	}
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

var endOfHeader = []byte("\r\n\r\n")

func (c *client) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !bytes.Contains(p, endOfHeader) { // the rest of a response
		return len(p), nil
	}
	c.n++
	if c.n%batch == 0 {
		now := time.Now()
		c.took = append(c.took, float64(now.Sub(c.began))/batch)
		c.began = now
		if now.After(c.end) {
			select {
			case c.done <- true:
			default:
			}
			return len(p), nil
		}
	}
	c.pending = c.request
	c.changed.Broadcast()
	return len(p), nil
}

func (c *client) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	c.changed.Broadcast()
	return nil
}

func (c *client) Close() error                     { return nil }
func (c *client) SetDeadline(time.Time) error      { return nil }
func (c *client) SetWriteDeadline(time.Time) error { return nil }
func (c *client) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }
func (c *client) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000} }

type listener chan net.Conn

func (l listener) Accept() (net.Conn, error) { return <-l, nil }
func (l listener) Close() error              { return nil }
func (l listener) Addr() net.Addr            { return &net.TCPAddr{} }

// Each line "PATH MS" on standard input: requests one after another for so long, on one P, in memory. Printed: the
// least and the median ns a request, of batches, and how many requests.
func serveInMemory(h http.Handler) {
	runtime.GOMAXPROCS(1)
	l := make(listener)
	go http.Serve(l, h)
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var path string
		var ms int
		fmt.Sscan(in.Text(), &path, &ms)
		c := newClient(path, time.Duration(ms)*time.Millisecond)
		l <- c
		<-c.done
		slices.Sort(c.took)
		fmt.Println(c.took[0], c.took[len(c.took)/2], c.n)
	}
}
