// Command client issues scripted HTTP requests. It reads one JSON request a
// line from standard input and writes one JSON response a line, in the order
// of completion.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"os"
	"sync"
)

// request is one line of the script.
type request struct {
	ID       string            `json:"id"`
	Proto    string            `json:"proto"` // h1, h1-fresh (a connection of its own), h2 or h2c
	Method   string            `json:"method"`
	URL      string            `json:"url"`
	Host     string            `json:"host"`
	Header   map[string]string `json:"header"`
	Body     *string           `json:"body"`
	BodySize int               `json:"body_size"` // that many bytes, if Body is absent
	Chunked  bool              `json:"chunked"`   // send the body without its length
	HangUpMS int               `json:"hang_up_ms"`
	Raw      string            `json:"raw"` // these bytes to URL's host instead of all the above
}

// response is what came back.
type response struct {
	ID        string `json:"id"`
	Status    int    `json:"status"`
	BodyBytes int64  `json:"body_bytes"`
	Body      string `json:"body,omitempty"` // the first 200 bytes
	Proto     string `json:"proto"`
	Local     string `json:"local"` // the client's own address, as the server sees it
	Error     string `json:"error,omitempty"`
}

func main() {
	parallel := flag.Int("parallel", 1, "requests at a time")
	flag.Parse()

	clients := newClients()
	work := make(chan request)
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	var wg sync.WaitGroup
	for i := 0; i < *parallel; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for r := range work {
				answer := clients.do(r)
				mu.Lock()
				out.Encode(answer)
				mu.Unlock()
			}
		}()
	}

	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var r request
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			os.Stderr.WriteString("client: " + err.Error() + "\n")
			os.Exit(2)
		}
		work <- r
	}
	close(work)
	wg.Wait()
}
