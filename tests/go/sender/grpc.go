package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// Messages are bytes as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = append([]byte(nil), data...); return nil }
func (raw) Name() string                       { return "raw" }

type caller struct{ conn *grpc.ClientConn }

func newCaller(addr string) *caller {
	conn, err := grpc.Dial(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	must(err)
	return &caller{conn}
}

func (c *caller) send(n int64, kind int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	switch kind {
	case 1:
		ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", own)
	case 5:
		ctx = metadata.AppendToOutgoingContext(ctx, "x-large", strings.Repeat("l", 7200))
	case 6: // more than one frame
		ctx = metadata.AppendToOutgoingContext(ctx, "x-large", strings.Repeat("l", 22000))
	case 8, 9:
		for i := 0; i < 30; i++ {
			ctx = metadata.AppendToOutgoingContext(ctx, fmt.Sprintf("x-filler-%d", i), "ffffffffff")
		}
	}
	if kind == 9 {
		ctx = metadata.AppendToOutgoingContext(ctx, "TraceParent", own)
	}
	in, out := []byte(strings.Repeat("m", 50)), []byte(nil)
	return c.conn.Invoke(ctx, fmt.Sprintf("/kind.%d/%d", kind, n), &in, &out)
}
