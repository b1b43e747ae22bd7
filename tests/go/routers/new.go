//go:build go1.22

package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"

	"github.com/gofiber/fiber/v3"
	recoverer "github.com/gofiber/fiber/v3/middleware/recover"
	"github.com/labstack/echo/v5"
	"github.com/valyala/fasthttp"
)

func newer() map[string]http.Handler { return map[string]http.Handler{"echo5": echoV5()} }

func echoV5() http.Handler {
	e := echo.New()
	e.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) (err error) {
			defer func() {
				if recover() != nil {
					err = c.NoContent(http.StatusInternalServerError)
				}
			}()
			if c.QueryParam("deny") != "" {
				return c.NoContent(http.StatusUnauthorized)
			}
			return next(c)
		}
	})
	hello := func(c *echo.Context) error { return c.String(http.StatusOK, "text") }
	e.GET("/users/:id", hello)
	e.GET("/files/*", hello)
	e.POST("/post", hello)
	e.GET("/panic/:how", func(*echo.Context) error { panic("broken") })
	e.Group("/api").Group("/v1").GET("/things/:thing", hello)
	return e
}

func fiberApp() *fiber.App {
	app := fiber.New()
	app.Use(recoverer.New(), func(c fiber.Ctx) error {
		if c.Query("deny") != "" {
			return c.SendStatus(fiber.StatusUnauthorized)
		}
		return c.Next()
	})
	hello := func(c fiber.Ctx) error { return c.SendString("text") }
	app.Get("/users/:id", hello)
	app.Get("/users/:id/after", hello)
	app.Get("/files/*", hello)
	app.Post("/post", hello)
	app.Get("/panic/:how", func(fiber.Ctx) error { panic("broken") })
	app.Group("/api").Group("/v1").Get("/things/:thing", hello)
	sub := fiber.New()
	sub.Get("/:name/x", hello)
	app.Use("/mounted", sub)
	return app
}

func fast() map[string]func(net.Listener) error {
	return map[string]func(net.Listener) error{
		"fiber": func(l net.Listener) error {
			return fiberApp().Listener(l, fiber.ListenConfig{DisableStartupMessage: true})
		},
		"fasthttp":     (&fasthttp.Server{Handler: plainFast}).Serve,
		"fasthttp-tls": func(l net.Listener) error { return fastTLS(&fasthttp.Server{Handler: plainFast}, l) },
	}
}
