// Command web is a service whose requests take about a millisecond of CPU, and the client that sends
// them at a fixed rate, whether they are answered or not (an open loop: what is slow does not lower the
// load).
//
//	web                              listens, prints its port
//	web -url URL -rate N -seconds S  sends, prints what came of it as JSON
package main

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"time"
)

type item struct {
	ID    int      `json:"id"`
	Name  string   `json:"name"`
	Price float64  `json:"price"`
	Tags  []string `json:"tags"`
}

// once is called once in a request.
//
//go:noinline
func once(user string, items []item) (sum [32]byte, err error) {
	h := sha256.New()
	for _, i := range items {
		fmt.Fprintln(h, user, i.Name, i.Price)
	}
	copy(sum[:], h.Sum(nil))
	return sum, nil
}

// often is called a hundred times in a request.
//
//go:noinline
func often(user string, n int) (i item) {
	name := strings.ToUpper(fmt.Sprintf("article %d of %s", n, user))
	return item{n, name, float64(n) * 1.25, []string{"new", "blue", name[:4]}}
}

func handle(w http.ResponseWriter, r *http.Request) {
	user := r.URL.Query().Get("user")
	items := make([]item, 0, 100)
	for n := 0; n < 100; n++ {
		items = append(items, often(user, n))
	}
	sort.Slice(items, func(a, b int) bool { return items[a].Name < items[b].Name })
	if _, err := once(user, items); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	text, _ := json.Marshal(items)
	var again []item
	json.Unmarshal(text, &again)
	json.NewEncoder(w).Encode(again)
}

func serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(l, http.HandlerFunc(handle)))
}

type outcome struct {
	Sent     int     `json:"sent"`
	Answered int     `json:"answered"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
}

func load(url string, rate float64, seconds float64) outcome {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 10 * time.Second}
	var mu sync.Mutex
	var all sync.WaitGroup
	var o outcome
	var took []float64
	gap := time.Duration(float64(time.Second) / rate)
	start := time.Now()
	for ; o.Sent < int(rate*seconds); o.Sent++ {
		due := start.Add(time.Duration(o.Sent) * gap)
		time.Sleep(time.Until(due))
		all.Add(1)
		go func() {
			defer all.Done()
			r, err := client.Get(url)
			if err == nil {
				_, err = io.Copy(io.Discard, r.Body)
				r.Body.Close()
			}
			if err != nil {
				return
			}
			mu.Lock()
			o.Answered++
			took = append(took, float64(time.Since(due).Microseconds()))
			mu.Unlock()
		}()
	}
	all.Wait()
	sort.Float64s(took)
	if len(took) > 0 {
		o.P50, o.P99 = took[len(took)/2], took[len(took)*99/100]
	}
	return o
}

func main() {
	url := flag.String("url", "", "what to ask for")
	rate := flag.Float64("rate", 100, "requests a second")
	seconds := flag.Float64("seconds", 3, "how long")
	flag.Parse()
	if *url == "" {
		serve()
	}
	json.NewEncoder(os.Stdout).Encode(load(*url, *rate, *seconds))
}
