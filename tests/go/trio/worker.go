package main

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// What one goroutine hands to the next, with the context of the request that it is for.
type job struct {
	ctx    context.Context
	number int64
	done   chan error
}

// worker has a pool of goroutines that lives as long as it does, and a second stage behind it.
type worker struct {
	cache  cache
	queue  chan *job
	labels chan *job
}

func serveWorker(listen, address string) error {
	w := &worker{cache: openCache(address), queue: make(chan *job, 64), labels: make(chan *job, 64)}
	for i := 0; i < 4; i++ {
		go w.pack()
		go w.label()
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/price/", w.price)
	mux.HandleFunc("/slow/", w.slow)
	mux.HandleFunc("/jobs/", w.jobs)
	return announceAndServe("worker", listen, mux)
}

func numberOf(r *http.Request) int64 {
	number, _ := strconv.ParseInt(path.Base(r.URL.Path), 10, 64)
	return number
}

func answer(rw http.ResponseWriter, err error) {
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
	}
}

func (w *worker) price(rw http.ResponseWriter, r *http.Request) {
	answer(rw, w.cache.get(r.Context(), fmt.Sprintf("price:%d", numberOf(r))))
}

// slow is given up by who asks, mostly.
func (w *worker) slow(rw http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(5 * time.Millisecond):
	}
}

// jobs waits until the order is packed and labelled. A busy worker wants to be asked again.
func (w *worker) jobs(rw http.ResponseWriter, r *http.Request) {
	number := numberOf(r)
	if number%busyEach == 0 && r.URL.Query().Get("try") == "0" {
		http.Error(rw, "busy", http.StatusServiceUnavailable)
		return
	}
	j := &job{r.Context(), number, make(chan error, 1)}
	w.queue <- j
	answer(rw, <-j.done)
}

func (w *worker) pack() {
	for j := range w.queue {
		if err := w.cache.set(j.ctx, fmt.Sprintf("packed:%d", j.number)); err != nil {
			j.done <- err
			continue
		}
		w.labels <- j
	}
}

// label prints two labels at once.
func (w *worker) label() {
	for j := range w.labels {
		var both sync.WaitGroup
		for _, kind := range []string{"address", "contents"} {
			both.Add(1)
			go func(kind string) {
				defer both.Done()
				w.cache.set(j.ctx, fmt.Sprintf("%s:%d", kind, j.number))
			}(kind)
		}
		both.Wait()
		j.done <- nil
	}
}

type cache interface {
	get(ctx context.Context, key string) error
	set(ctx context.Context, key string) error
}

func openCache(address string) cache {
	if address == "" {
		return &inMemory{values: map[string]bool{}}
	}
	return &inRedis{openRedis(&redis.Options{Addr: address})}
}

type inRedis struct{ client *redis.Client }

func (c *inRedis) get(ctx context.Context, key string) error {
	err := c.client.Get(ctx, key).Err()
	if err == redis.Nil {
		return nil
	}
	return err
}

func (c *inRedis) set(ctx context.Context, key string) error {
	return c.client.Set(ctx, key, 1, time.Minute).Err()
}

type inMemory struct {
	mu     sync.Mutex
	values map[string]bool
}

func (c *inMemory) get(ctx context.Context, key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.values[key]
	return nil
}

func (c *inMemory) set(ctx context.Context, key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values[key] = true
	return nil
}
