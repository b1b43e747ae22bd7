package main

import (
	"context"
	"io"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type number = wrapperspb.Int64Value

// stockServer is what protoc would have made of
//
//	service Stock {
//	  rpc Check(google.protobuf.Int64Value) returns (google.protobuf.Int64Value);
//	  rpc Reserve(google.protobuf.Int64Value) returns (google.protobuf.Int64Value);
//	  rpc Watch(google.protobuf.Int64Value) returns (stream google.protobuf.Int64Value);
//	}
type stockServer interface {
	Check(context.Context, *number) (*number, error)
	Reserve(context.Context, *number) (*number, error)
	Watch(*number, grpc.ServerStream) error
}

type unary func(stockServer, context.Context, *number) (*number, error)

func method(name string, call unary) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		in := new(number)
		if err := decode(in); err != nil {
			return nil, err
		}
		return call(srv.(stockServer), ctx, in)
	}}
}

var stockService = grpc.ServiceDesc{
	ServiceName: "shop.Stock",
	HandlerType: (*stockServer)(nil),
	Methods:     []grpc.MethodDesc{method("Check", stockServer.Check), method("Reserve", stockServer.Reserve)},
	Streams: []grpc.StreamDesc{{StreamName: "Watch", ServerStreams: true, Handler: func(srv any, stream grpc.ServerStream) error {
		in := new(number)
		if err := stream.RecvMsg(in); err != nil {
			return err
		}
		return srv.(stockServer).Watch(in, stream)
	}}},
}

type stockClient struct{ conn *grpc.ClientConn }

func (c *stockClient) Check(ctx context.Context, n int64) error {
	return c.conn.Invoke(ctx, "/shop.Stock/Check", &number{Value: n}, new(number))
}

func (c *stockClient) Reserve(ctx context.Context, n int64) error {
	return c.conn.Invoke(ctx, "/shop.Stock/Reserve", &number{Value: n}, new(number))
}

func (c *stockClient) Watch(ctx context.Context, n int64) error {
	stream, err := c.conn.NewStream(ctx, &stockService.Streams[0], "/shop.Stock/Watch")
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&number{Value: n}); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		if err := stream.RecvMsg(new(number)); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func isNotFound(err error) bool { return status.Code(err) == codes.NotFound }

func serveStock(listen, database string) error {
	rows, err := openStore(database)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	announce("stock", listener)
	server := grpc.NewServer(serverOptions()...)
	server.RegisterService(&stockService, &stock{rows})
	return server.Serve(listener)
}

type stock struct{ rows store }

func (s *stock) Check(ctx context.Context, n *number) (*number, error) {
	left, err := s.rows.left(ctx, n.Value)
	if err != nil {
		return nil, err
	}
	if n.Value%unknownEach == 0 {
		return nil, status.Errorf(codes.NotFound, "there is no article for order %d", n.Value)
	}
	return &number{Value: left}, nil
}

func (s *stock) Reserve(ctx context.Context, n *number) (*number, error) {
	return n, s.rows.reserve(ctx, n.Value)
}

func (s *stock) Watch(n *number, stream grpc.ServerStream) error {
	for i := 0; i < 3; i++ {
		left, err := s.rows.left(stream.Context(), n.Value)
		if err != nil {
			return err
		}
		if err := stream.SendMsg(&number{Value: left}); err != nil {
			return err
		}
	}
	return nil
}
