package main

import (
	"net/http"
	"time"
)

// routes is everything the tests ask for; tests/lib/cases.py says what each
// must give.
func routes() http.Handler {
	mux := http.NewServeMux()
	for path, handler := range map[string]http.HandlerFunc{
		"/plain":          text("hello"),
		"/canary":         text("tweet"),
		"/implicit":       func(http.ResponseWriter, *http.Request) {},
		"/status/":        status,
		"/status/twice":   statusTwice,
		"/status/early":   earlyHints,
		"/status/wrapped": wrapped,
		"/echo":           echo,
		"/sink":           sink,
		"/ignore":         text("ignored"),
		"/big":            bigBody,
		"/chunked":        chunked,
		"/stream":         stream,
		"/sendfile":       sendfile,
		"/content":        content,
		"/redirect":       redirect,
		"/tree/":          text("tree"),
		"/slow":           slow,
		"/hangup":         hangup,
		"/hijack":         hijack,
		"/goexit":         goexit,
		"/spawn":          spawn,
		"/deep":           deep,
		"/alloc":          alloc,
		"/wide/":          text("wide"),
		"/ünï/":           text("unicode"),
		"/panic/before":   panicBefore,
		"/panic/after":    panicAfter,
		"/panic/abort":    panicAbort,
		"/panic/error":    panicError,
		"/panic/custom":   panicCustom,
		"/panic/bounds":   panicBounds,
		"/panic/inner":    panicRecovered,
	} {
		mux.HandleFunc(path, handler)
	}
	patterns(mux)

	nested := http.NewServeMux()
	nested.HandleFunc("/nested/deep", text("nested"))
	mux.Handle("/nested/", nested)

	stripped := http.NewServeMux()
	stripped.HandleFunc("/inner", text("stripped"))
	mux.Handle("/strip/", http.StripPrefix("/strip", stripped))

	limited := http.NewServeMux()
	limited.HandleFunc("/limited/inner", text("limited"))
	mux.Handle("/limited/", http.TimeoutHandler(limited, 10*time.Second, "too slow"))
	mux.Handle("/timeout/hit", http.TimeoutHandler(http.HandlerFunc(slow), 30*time.Millisecond, "too slow"))
	mux.Handle("/timeout/ok", http.TimeoutHandler(text("in time"), 10*time.Second, "too slow"))
	mux.Handle("/timeout/panic", http.TimeoutHandler(http.HandlerFunc(panicBefore), 10*time.Second, "too slow"))
	return mux
}

// bare serves without any ServeMux.
func bare(w http.ResponseWriter, r *http.Request) { text("bare")(w, r) }
