package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"sync"
	"time"
)

// What came of the orders. Latencies count from the time at which an order was due, not from when it was sent: who is late
// in sending does not make the service look faster.
type outcome struct {
	Sent     int     `json:"sent"`
	Answered int     `json:"answered"` // with 200
	Failed   string  `json:"failed"`   // the first that was not
	Seconds  float64 `json:"seconds"`  // from the first one due to the last answer
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	Late50   float64 `json:"late50_us"` // how late they were sent
	Late99   float64 `json:"late99_us"`
}

type placer struct {
	url    string
	client *http.Client
	mu     sync.Mutex
	outcome
	took, late []float64
}

func (p *placer) order(number int, due time.Time) {
	sent := time.Now()
	r, err := p.client.Get(fmt.Sprintf("%s/orders/%d", p.url, number))
	if err == nil {
		var said []byte
		said, err = io.ReadAll(r.Body)
		r.Body.Close()
		if err == nil && r.StatusCode != http.StatusOK {
			err = fmt.Errorf("order %d: %s: %s", number, r.Status, bytes.TrimSpace(said))
		}
	}
	answered := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late = append(p.late, float64(sent.Sub(due).Microseconds()))
	if err != nil {
		if p.Failed == "" {
			p.Failed = err.Error()
		}
		return
	}
	p.Answered++
	p.took = append(p.took, float64(answered.Sub(due).Microseconds()))
}

// atRate places count orders, one each 1/rate s.
func (p *placer) atRate(first, count int, rate float64) {
	var all sync.WaitGroup
	start := time.Now()
	for ; p.Sent < count; p.Sent++ {
		due := start.Add(time.Duration(float64(p.Sent) / rate * float64(time.Second)))
		time.Sleep(time.Until(due))
		all.Add(1)
		go func(number int) {
			defer all.Done()
			p.order(number, due)
		}(first + p.Sent)
	}
	all.Wait()
	p.Seconds = time.Since(start).Seconds()
}

// atOnce keeps n orders under way for so long.
func (p *placer) atOnce(first, n int, seconds float64) {
	var all sync.WaitGroup
	start := time.Now()
	end := start.Add(time.Duration(seconds * float64(time.Second)))
	for i := 0; i < n; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for time.Now().Before(end) {
				p.mu.Lock()
				number := first + p.Sent
				p.Sent++
				p.mu.Unlock()
				p.order(number, time.Now())
			}
		}()
	}
	all.Wait()
	p.Seconds = time.Since(start).Seconds()
}

func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}

func place(flags *flag.FlagSet, args []string) {
	url := flags.String("url", "", "where the front is")
	rate := flags.Float64("rate", 100, "orders a second")
	count := flags.Int("count", 100, "how many at that rate")
	atOnce := flags.Int("at-once", 0, "instead: so many under way at any time")
	seconds := flags.Float64("seconds", 1, "for how long then")
	first := flags.Int("first", 1, "number of the first order")
	flags.Parse(args)
	p := &placer{url: *url, client: &http.Client{Timeout: 20 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}}
	if *atOnce > 0 {
		p.atOnce(*first, *atOnce, *seconds)
	} else {
		p.atRate(*first, *count, *rate)
	}
	sort.Float64s(p.took)
	sort.Float64s(p.late)
	p.P50, p.P99 = quantile(p.took, 0.5), quantile(p.took, 0.99)
	p.Late50, p.Late99 = quantile(p.late, 0.5), quantile(p.late, 0.99)
	json.NewEncoder(os.Stdout).Encode(p.outcome)
}
