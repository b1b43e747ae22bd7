package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The service, as a generator would have written it.
type shop struct {
	self  *grpc.ClientConn
	tries atomic.Int64
}

var shopDesc = grpc.ServiceDesc{
	ServiceName: "test.Shop",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		unary("Get", (*shop).get), unary("Knock", (*shop).knock), unary("Flaky", (*shop).flaky), unary("Call", (*shop).call),
	},
	Streams: []grpc.StreamDesc{
		{StreamName: "Put", Handler: put, ClientStreams: true},
		{StreamName: "List", Handler: list, ServerStreams: true},
		{StreamName: "Chat", Handler: chat, ClientStreams: true, ServerStreams: true},
	},
}

type text = wrapperspb.StringValue
type unaryFunc func(s *shop, ctx context.Context, in *text) (*text, error)

func unary(name string, f unaryFunc) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(srv any, ctx context.Context, dec func(any) error,
		interceptor grpc.UnaryServerInterceptor) (any, error) {
		in := new(text)
		if err := dec(in); err != nil {
			return nil, err
		}
		info := &grpc.UnaryServerInfo{Server: srv, FullMethod: "/test.Shop/" + name}
		return interceptor(ctx, in, info, func(ctx context.Context, req any) (any, error) {
			return f(srv.(*shop), ctx, req.(*text))
		})
	}}
}

func recovering(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (_ any, err error) {
	defer func() {
		if recover() != nil {
			err = status.Error(codes.Internal, "it panicked")
		}
	}()
	return handler(ctx, req)
}

func (s *shop) get(ctx context.Context, in *text) (*text, error) {
	switch what := in.GetValue(); what {
	case "missing":
		return nil, status.Error(codes.NotFound, "no such thing")
	case "broken":
		return nil, errors.New("an error without a status")
	case "panic":
		panic("get")
	case "liar":
		return nil, status.Error(codes.Unimplemented, "not yet")
	case "slow":
		<-ctx.Done()
		return nil, ctx.Err()
	default:
		return wrapperspb.String(what), nil
	}
}

func (s *shop) knock(ctx context.Context, in *text) (*text, error) { return in, nil }

// Two of three fail.
func (s *shop) flaky(ctx context.Context, in *text) (*text, error) {
	if s.tries.Add(1)%3 != 0 {
		return nil, status.Error(codes.Unavailable, "try again")
	}
	return in, nil
}

// Asks this very server, over a connection of its own.
func (s *shop) call(ctx context.Context, in *text) (*text, error) {
	out := new(text)
	if strings.HasPrefix(in.GetValue(), "without") {
		ctx = context.Background()
	}
	return out, s.self.Invoke(ctx, "/test.Shop/Get", in, out)
}

func put(srv any, stream grpc.ServerStream) error {
	n := 0
	for in := new(text); ; n++ {
		if err := stream.RecvMsg(in); err == io.EOF {
			return stream.SendMsg(wrapperspb.String(strings.Repeat("x", n)))
		} else if err != nil {
			return err
		}
	}
}

func list(srv any, stream grpc.ServerStream) error {
	in := new(text)
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	for i := 0; i < 3; i++ {
		if err := stream.SendMsg(in); err != nil {
			return err
		}
	}
	if md, _ := metadata.FromIncomingContext(stream.Context()); len(md["wait"]) > 0 {
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	if in.GetValue() == "short" {
		return status.Error(codes.ResourceExhausted, "there is no more")
	}
	return nil
}

func chat(srv any, stream grpc.ServerStream) error {
	for in := new(text); ; {
		if err := stream.RecvMsg(in); err == io.EOF {
			time.Sleep(time.Millisecond)
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(in); err != nil {
			return err
		}
	}
}
