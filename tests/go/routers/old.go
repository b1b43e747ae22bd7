//go:build !go1.22

package main

import (
	"net"
	"net/http"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"
	"github.com/valyala/fasthttp"
)

func newer() map[string]http.Handler { return nil }

func fiberApp() *fiber.App {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(recover.New(), func(c *fiber.Ctx) error {
		if c.Query("deny") != "" {
			return c.SendStatus(fiber.StatusUnauthorized)
		}
		return c.Next()
	})
	hello := func(c *fiber.Ctx) error { return c.SendString("text") }
	app.Get("/users/:id", hello)
	app.Get("/users/:id/after", hello)
	app.Get("/files/*", hello)
	app.Post("/post", hello)
	app.Get("/panic/:how", func(*fiber.Ctx) error { panic("broken") })
	app.Group("/api").Group("/v1").Get("/things/:thing", hello)
	sub := fiber.New()
	sub.Get("/:name/x", hello)
	app.Mount("/mounted", sub)
	return app
}

func fast() map[string]func(net.Listener) error {
	return map[string]func(net.Listener) error{
		"fiber":        fiberApp().Listener,
		"fasthttp":     (&fasthttp.Server{Handler: plainFast}).Serve,
		"fasthttp-tls": func(l net.Listener) error { return fastTLS(&fasthttp.Server{Handler: plainFast}, l) },
	}
}
