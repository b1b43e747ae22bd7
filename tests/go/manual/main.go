// manual makes spans with OpenTelemetry's API, and has no SDK. Every span's attribute order says which order it is of, and
// under says what its parent is called.
//
//	manual [auto]    auto: with go.opentelemetry.io/auto/sdk's provider
//
// It prints the port of its own server, then reads lines: a number is that many orders, by several goroutines at a time.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

const together = 8

var (
	tracer   = otel.Tracer("shop/orders", trace.WithInstrumentationVersion("1.2.3"))
	instr    = otel.Tracer("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp")
	jobs     = make(chan func())
	base     string
	errNoCar = errors.New("no car is free")
)

func order(n int) attribute.KeyValue { return attribute.Int("order", n) }

// A span that a worker makes, which lives for ever.
func ship(ctx context.Context, n int, done *sync.WaitGroup) {
	defer done.Done()
	_, span := tracer.Start(ctx, "ship", trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(order(n), attribute.String("under", "handle")))
	defer span.End()
	if n%3 == 0 {
		span.RecordError(errNoCar)
		span.SetStatus(codes.Error, "not shipped")
	}
}

func charge(ctx context.Context, n int) {
	ctx, span := tracer.Start(ctx, "pay", trace.WithAttributes(attribute.String("under", "handle")), trace.WithAttributes(order(n)))
	defer span.End()
	span.SetName("charge")
	span.SetAttributes(attribute.Bool("paid", n%2 == 0), attribute.Float64("sum", float64(n)+0.5),
		attribute.StringSlice("lines", []string{"tea", strconv.Itoa(n)}), attribute.Int64Slice("counts", []int64{1, -2}))
	span.SetStatus(codes.Ok, "")
	span.AddEvent("authorised", trace.WithAttributes(attribute.Int("amount", n), attribute.Bool("risky", n%2 == 0)))
	get(ctx, fmt.Sprintf("/leaf?order=%d", n))
	trace.SpanFromContext(ctx).AddEvent("settled")
	trace.SpanFromContext(ctx).SetAttributes(attribute.Int("late", n))
}

// Begins a trace of its own.
func audit(ctx context.Context, n int) {
	_, span := tracer.Start(ctx, "audit", trace.WithNewRoot(), trace.WithAttributes(order(n)))
	span.End()
	span.End()
}

// Whoever forgets to end a span leaves its memory to others.
func leak(ctx context.Context, n int) {
	tracer.Start(ctx, "leak", trace.WithAttributes(order(n)))
}

func handle(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("order"))
	outer, http := instr.Start(r.Context(), "POST /order", trace.WithSpanKind(trace.SpanKindServer))
	defer http.End()
	ctx, span := tracer.Start(outer, "handle", trace.WithAttributes(order(n), attribute.String("under", "server")))
	defer span.End()
	var done sync.WaitGroup
	done.Add(1)
	jobs <- func() { ship(ctx, n, &done) }
	charge(ctx, n)
	audit(ctx, n)
	leak(context.WithValue(context.Background(), key{}, n), n)
	done.Wait()
}

type key struct{}

func leaf(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("order"))
	_, span := tracer.Start(context.WithValue(r.Context(), key{}, n), "leaf", trace.WithAttributes(order(n), attribute.String("under", "server")))
	span.End()
}

func get(ctx context.Context, path string) {
	req, err := http.NewRequestWithContext(ctx, "GET", base+path, nil)
	if err != nil {
		panic(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	resp.Body.Close()
}

func orders(from, n int) {
	var all sync.WaitGroup
	next := make(chan int)
	for i := 0; i < together; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for k := range next {
				get(context.Background(), fmt.Sprintf("/order?order=%d", k))
				if k%50 == 0 {
					runtime.GC()
				}
			}
		}()
	}
	for i := 0; i < n; i++ {
		next <- from + i
	}
	close(next)
	all.Wait()
}

func main() {
	if len(os.Args) > 1 {
		useAuto()
	}
	for i := 0; i < 3; i++ {
		go func() {
			for job := range jobs {
				job()
			}
		}()
	}
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 2 * together
	http.HandleFunc("/order", handle)
	http.HandleFunc("/leaf", leaf)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(l, nil)
	base = "http://" + l.Addr().String()
	fmt.Printf("{\"port\":%d}\n", l.Addr().(*net.TCPAddr).Port)
	begun := 0
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		n, _ := strconv.Atoi(lines.Text())
		orders(begun, n)
		begun += n
		fmt.Printf("{\"did\":%d}\n", begun)
	}
}
