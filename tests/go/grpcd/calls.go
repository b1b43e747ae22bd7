package main

import (
	"context"
	"io"
	"log"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const retries = `{"methodConfig": [{"name": [{"service": "test.Shop", "method": "Flaky"}], "retryPolicy": {
	"maxAttempts": 4, "initialBackoff": "0.001s", "maxBackoff": "0.002s", "backoffMultiplier": 1,
	"retryableStatusCodes": ["UNAVAILABLE"]}}]}`

func dial(target string) *grpc.ClientConn {
	cc, err := grpc.Dial(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(retries))
	if err != nil {
		log.Fatal(err)
	}
	return cc
}

type caller struct {
	cc, web, nowhere *grpc.ClientConn
}

func newCaller(target, web string) *caller {
	l := listen()
	defer l.Close()
	return &caller{cc: dial(target), web: dial(web), nowhere: dial(l.Addr().String())}
}

// What the caller saw of one RPC. Code is the number that the status has.
type result struct {
	Method string     `json:"method"`
	Code   codes.Code `json:"-"`
	Number int        `json:"code"`
}

func (c *caller) run(what string) []result {
	results := scenarios[what](c)
	for i := range results {
		results[i].Number = int(results[i].Code)
	}
	return results
}

func get(ctx context.Context, cc *grpc.ClientConn, method, what string) result {
	err := cc.Invoke(ctx, method, wrapperspb.String(what), new(text))
	return result{Method: method[1:], Code: status.Code(err)}
}

func one(method, what string) func(c *caller) []result {
	return func(c *caller) []result { return []result{get(context.Background(), c.cc, method, what)} }
}

func within(d time.Duration, cancel bool) func(c *caller) []result {
	return func(c *caller) []result {
		ctx, stop := context.WithTimeout(context.Background(), d)
		if cancel {
			ctx, stop = context.WithCancel(context.Background())
			time.AfterFunc(d, stop)
		}
		defer stop()
		if d == 0 {
			<-ctx.Done()
		}
		return []result{get(ctx, c.cc, "/test.Shop/Get", "slow")}
	}
}

// A stream as it is without generated code: n messages there, then all that come back. A negative n: cancelled after
// as many that came.
func stream(method, what string, n int, desc grpc.StreamDesc) func(c *caller) []result {
	return func(c *caller) []result {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if n < 0 {
			ctx = metadata.AppendToOutgoingContext(ctx, "wait", "yes")
		}
		s, err := c.cc.NewStream(ctx, &desc, method)
		for i := 0; i < n || i < 1 && err == nil; i++ {
			err = s.SendMsg(wrapperspb.String(what))
		}
		if err == nil {
			err = s.CloseSend()
		}
		for i := n; err == nil; i++ {
			if err = s.RecvMsg(new(text)); i == -1 {
				cancel()
			}
			if err == nil && desc.ClientStreams && !desc.ServerStreams {
				break
			}
		}
		if err == io.EOF {
			err = nil
		}
		return []result{{Method: method[1:], Code: status.Code(err)}}
	}
}

func watch(c *caller) []result {
	ctx, cancel := context.WithCancel(context.Background())
	w, err := healthpb.NewHealthClient(c.cc).Watch(ctx, &healthpb.HealthCheckRequest{})
	if err == nil {
		_, err = w.Recv()
	}
	cancel()
	for err == nil {
		_, err = w.Recv()
	}
	return []result{{Method: "grpc.health.v1.Health/Watch", Code: status.Code(err)}}
}

// Streams that their caller forgets: the context's end is theirs.
func forgotten(c *caller) []result {
	ctx, cancel := context.WithCancel(context.Background())
	for i := 0; i < 3; i++ {
		c.cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Shop/Chat")
	}
	time.Sleep(20 * time.Millisecond)
	cancel()
	r := result{Method: "test.Shop/Chat", Code: codes.Canceled}
	return []result{r, r, r}
}

// As many at once, over one connection, each with a stream of its own open at the same time on its goroutine.
func many(c *caller) []result {
	var wg sync.WaitGroup
	results := make([]result, 200)
	for i := 0; i < 100; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			s, err := c.cc.NewStream(context.Background(),
				&grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Shop/Chat")
			results[2*i] = get(context.Background(), c.cc, "/test.Shop/Get", "many")
			if err == nil {
				s.CloseSend()
				for err = s.RecvMsg(new(text)); err == nil; err = s.RecvMsg(new(text)) {
				}
			}
			if err == io.EOF {
				err = nil
			}
			results[2*i+1] = result{Method: "test.Shop/Chat", Code: status.Code(err)}
		}(i)
	}
	wg.Wait()
	return results
}

var both = grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

var scenarios = map[string]func(c *caller) []result{
	"knock":       one("/test.Shop/Knock", "knock"),
	"get":         one("/test.Shop/Get", "tea"),
	"missing":     one("/test.Shop/Get", "missing"),
	"broken":      one("/test.Shop/Get", "broken"),
	"panic":       one("/test.Shop/Get", "panic"),
	"liar":        one("/test.Shop/Get", "liar"),
	"unknown":     one("/test.Shop/Nothing", "x"),
	"stranger":    one("/test.Stranger/Get", "x"),
	"retried":     one("/test.Shop/Flaky", "x"),
	"nested":      one("/test.Shop/Call", "tea"),
	"background":  one("/test.Shop/Call", "without a context"),
	"deadline":    within(40*time.Millisecond, false),
	"cancelled":   within(40*time.Millisecond, true),
	"late":        within(0, false),
	"put":         stream("/test.Shop/Put", "x", 5, grpc.StreamDesc{ClientStreams: true}),
	"list":        stream("/test.Shop/List", "x", 1, grpc.StreamDesc{ServerStreams: true}),
	"short":       stream("/test.Shop/List", "short", 1, grpc.StreamDesc{ServerStreams: true}),
	"left":        stream("/test.Shop/List", "x", -2, grpc.StreamDesc{ServerStreams: true}),
	"chat":        stream("/test.Shop/Chat", "x", 4, both),
	"watch":       watch,
	"forgotten":   forgotten,
	"many":        many,
	"unavailable": func(c *caller) []result { return []result{get(context.Background(), c.nowhere, "/test.Shop/Get", "x")} },
	"web":         func(c *caller) []result { return []result{get(context.Background(), c.web, "/test.Shop/Get", "tea")} },
	"web-missing": func(c *caller) []result {
		return []result{get(context.Background(), c.web, "/test.Shop/Get", "missing")}
	},
	"web-broken": func(c *caller) []result {
		return []result{get(context.Background(), c.web, "/test.Shop/Get", "broken")}
	},
	"check": func(c *caller) []result {
		_, err := healthpb.NewHealthClient(c.cc).Check(context.Background(), &healthpb.HealthCheckRequest{})
		return []result{{Method: "grpc.health.v1.Health/Check", Code: status.Code(err)}}
	},
	"traced": func(c *caller) []result {
		ctx := metadata.AppendToOutgoingContext(context.Background(),
			"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate", "shop=1")
		return []result{get(ctx, c.cc, "/test.Shop/Get", "tea")}
	},
}
