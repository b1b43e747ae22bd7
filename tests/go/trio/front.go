package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
)

// What orders do that not all of them do.
const (
	impatientEach = 5 // gives the worker a millisecond, and goes on without its answer
	busyEach      = 7 // is told by the worker to come again
	unknownEach   = 11
)

type front struct {
	stock  *stockClient
	worker string
	client *http.Client
}

func serveFront(listen, stock, worker string) error {
	conn, err := grpc.Dial(stock, dialOptions()...)
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	f := &front{stock: &stockClient{conn}, worker: "http://" + worker, client: &http.Client{Transport: client(transport)}}
	mux := http.NewServeMux()
	mux.HandleFunc("/orders/", f.order)
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok\n") })
	return announceAndServe("front", listen, mux)
}

// order: /orders/NUMBER
func (f *front) order(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.ParseInt(strings.TrimPrefix(r.URL.Path, "/orders/"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := f.place(r.Context(), number); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	fmt.Fprintf(w, "order %d is placed\n", number)
}

// place asks all at once whether the order can be had, and then reserves it and has it packed.
func (f *front) place(ctx context.Context, number int64) error {
	group, within := errgroup.WithContext(ctx)
	group.Go(func() error { return f.check(within, number) })
	group.Go(func() error { return f.stock.Watch(within, number) })
	group.Go(func() error { return f.get(within, "/price/%d", number) })
	if err := group.Wait(); err != nil {
		return err
	}
	if number%impatientEach == 0 {
		f.hurry(ctx, number)
	}
	if err := f.stock.Reserve(ctx, number); err != nil {
		return err
	}
	return f.pack(ctx, number)
}

func (f *front) check(ctx context.Context, number int64) error {
	err := f.stock.Check(ctx, number)
	if number%unknownEach == 0 && isNotFound(err) {
		return nil // ordered all the same
	}
	return err
}

// hurry does not wait for the answer.
func (f *front) hurry(ctx context.Context, number int64) {
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	f.get(short, "/slow/%d", number)
}

// pack comes again as long as the worker is busy.
func (f *front) pack(ctx context.Context, number int64) error {
	for try := 0; ; try++ {
		err := f.post(ctx, fmt.Sprintf("%s/jobs/%d?try=%d", f.worker, number, try))
		if !errors.Is(err, errBusy) || try == 3 {
			return err
		}
	}
}

var errBusy = errors.New("the worker is busy")

func (f *front) get(ctx context.Context, path string, number int64) error {
	request, err := http.NewRequestWithContext(ctx, "GET", f.worker+fmt.Sprintf(path, number), nil)
	if err != nil {
		return err
	}
	return f.do(request)
}

func (f *front) post(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader("pack it"))
	if err != nil {
		return err
	}
	return f.do(request)
}

func (f *front) do(request *http.Request) error {
	response, err := f.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	switch response.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusServiceUnavailable:
		return errBusy
	}
	return fmt.Errorf("%s: %s", request.URL.Path, response.Status)
}
