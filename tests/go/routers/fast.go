package main

import (
	"crypto/tls"
	"net"

	"github.com/valyala/fasthttp"
)

// plainFast is fasthttp without a router.
func plainFast(ctx *fasthttp.RequestCtx) {
	switch string(ctx.Path()) {
	case "/missing":
		ctx.Error("missing", fasthttp.StatusNotFound)
	case "/late":
		ctx.TimeoutError("late")
	case "/taken":
		ctx.Hijack(func(c net.Conn) { c.Write([]byte("taken")) })
	default:
		ctx.SetBodyString("text")
	}
}

func fastTLS(s *fasthttp.Server, l net.Listener) error {
	return s.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate()}}))
}
