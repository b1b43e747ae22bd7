package main

import (
	"io"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/julienschmidt/httprouter"
	"github.com/labstack/echo/v4"
)

func handlers() map[string]http.Handler {
	all := map[string]http.Handler{"servemux": serveMux(), "chi": chiMux(), "gin": ginEngine(), "gorilla": gorilla(),
		"httprouter": httpRouter(), "echo": echoV4()}
	for name, h := range newer() {
		all[name] = h
	}
	return all
}

func serveMux() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("/", text)
	m.HandleFunc("/users/", text)
	sub := http.NewServeMux()
	sub.HandleFunc("/things/", text)
	m.Handle("/api/v1/", http.StripPrefix("/api/v1", sub))
	return m
}

func chiMux() http.Handler {
	m := chi.NewRouter()
	m.Use(recovering, copying)
	m.Get("/users/{id}", text)
	m.Get("/users/{id}/orders/{order:[0-9]+}", text)
	m.Get("/files/*", text)
	m.Post("/post", text)
	m.Get("/panic/{how}", broken)
	m.Route("/api", func(r chi.Router) {
		r.Use(copying)
		r.Get("/", text)
		r.Route("/v1", func(r chi.Router) {
			r.Get("/things/{thing}", text)
			r.Group(func(r chi.Router) { r.With(copying).Get("/grouped/{g}", text) })
		})
	})
	sub := chi.NewRouter()
	sub.Get("/{name}/x", text)
	m.Mount("/mounted/{tenant}", sub)
	plain := http.NewServeMux()
	plain.HandleFunc("/inner/", text)
	m.Mount("/std", http.StripPrefix("/std", plain))
	return m
}

func ginEngine() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.Use(gin.RecoveryWithWriter(io.Discard), func(c *gin.Context) {
		if c.Query("deny") != "" {
			c.AbortWithStatus(http.StatusUnauthorized)
			return
		}
		c.Next()
	})
	hello := func(c *gin.Context) { c.String(http.StatusOK, "text") }
	e.GET("/users/:id", hello)
	e.GET("/files/*path", hello)
	e.POST("/post", hello)
	e.GET("/panic/:how", func(*gin.Context) { panic("broken") })
	e.Group("/api").Group("/v1").GET("/things/:thing", hello)
	e.GET("/wrapped/:id", gin.WrapH(copying(http.HandlerFunc(text))))
	return e
}

func gorilla() http.Handler {
	m := mux.NewRouter()
	m.Use(recovering, copying)
	m.HandleFunc("/users/{id}", text)
	m.HandleFunc("/users/{id}/orders/{order:[0-9]+}", text)
	m.PathPrefix("/files/").HandlerFunc(text)
	m.HandleFunc("/post", text).Methods("POST")
	m.HandleFunc("/panic/{how}", broken)
	m.PathPrefix("/api").Subrouter().PathPrefix("/v1").Subrouter().HandleFunc("/things/{thing}", text)
	return m
}

func httpRouter() http.Handler {
	m := httprouter.New()
	m.PanicHandler = func(w http.ResponseWriter, r *http.Request, _ any) { w.WriteHeader(http.StatusInternalServerError) }
	hello := func(w http.ResponseWriter, r *http.Request, _ httprouter.Params) { text(w, r) }
	m.GET("/users/:id", hello)
	m.GET("/users/:id/users/:other", hello)
	m.GET("/static", hello)
	m.GET("/files/*path", hello)
	m.POST("/post", hello)
	m.GET("/panic/:how", func(http.ResponseWriter, *http.Request, httprouter.Params) { panic("broken") })
	m.Handler("GET", "/wrapped/:id", copying(http.HandlerFunc(text)))
	return m
}

func echoV4() http.Handler {
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) (err error) {
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
	}, echo.WrapMiddleware(copying))
	hello := func(c echo.Context) error { return c.String(http.StatusOK, "text") }
	e.GET("/users/:id", hello)
	e.GET("/files/*", hello)
	e.POST("/post", hello)
	e.GET("/panic/:how", func(echo.Context) error { panic("broken") })
	e.Group("/api").Group("/v1").GET("/things/:thing", hello)
	return e
}
