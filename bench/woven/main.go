// Command woven is what bench/weave.py builds in several ways: a server, and with -span a loop around a function that is a
// span, of which a line on standard input says for how many milliseconds, and the answer what a call took: the least and
// the median of the batches in nanoseconds, and how many calls there were. The server has that loop within a request, too.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"
)

const edited = 0 // one edit is another number here

const (
	batch = 50
	beat  = 500 * time.Microsecond // a batch begins at a multiple of this, so that whoever reads keeps up
)

//go:noinline
func leaf(n int) int { return n + 1 }

// work is as most Go functions are: a stack check, a frame, register arguments, one return.
//
//go:noinline
func work(ctx context.Context, n int) int { return leaf(n) + leaf(n+1) }

var (
	zero  = time.Now()
	total int
)

func measure(ctx context.Context, text string) string {
	ms, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	times := batches(ctx, time.Now().Add(time.Duration(ms)*time.Millisecond))
	slices.Sort(times)
	return fmt.Sprintf("%.2f %.2f %d", times[0], times[len(times)/2], batch*len(times))
}

func batches(ctx context.Context, until time.Time) []float64 {
	var times []float64
	for {
		start := time.Now()
		for i := range batch {
			total += called(ctx, i)
		}
		end := time.Now()
		times = append(times, float64(end.Sub(start).Nanoseconds())/batch)
		if end.After(until) {
			return times
		}
		for next := end.Sub(zero).Truncate(beat) + beat; time.Since(zero) < next; {
		}
	}
}

func spans() {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(measure(context.Background(), in.Text()))
	}
}

type item struct {
	ID    int      `json:"id"`
	Name  string   `json:"name"`
	Price float64  `json:"price"`
	Tags  []string `json:"tags"`
}

func products(w http.ResponseWriter, r *http.Request) {
	items := make([]item, 20)
	for i := range items {
		items[i] = item{i, r.PathValue("sku"), float64(i) * 1.25, []string{"new", "blue"}}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(items)
}

func main() {
	begin()
	if len(os.Args) > 1 && os.Args[1] == "-span" {
		spans()
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /plain", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello\n")) })
	mux.HandleFunc("GET /products/{sku}", products)
	mux.HandleFunc("GET /span/{ms}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, measure(r.Context(), r.PathValue("ms")))
	})
	mux.HandleFunc("GET /drivers", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, sql.Drivers(), edited) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(l, handled(mux)))
}
