// Command shop is a small JSON service such as many are: the program that
// ./demo observes. It knows nothing of tracing.
package main

import (
	"database/sql"
	"errors"
	"flag"
	"io"
	"log"
	"net/http"
)

var errNoSuchProduct = errors.New("no such product")

func main() {
	addr := flag.String("listen", "127.0.0.1:8080", "`address` to listen on")
	flag.Parse()

	db, err := sql.Open("memory", "")
	if err != nil {
		log.Fatal(err)
	}
	s := &shop{db: db, stock: newStock(), carts: map[string]*cart{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products", s.listProducts)
	mux.HandleFunc("GET /products/{sku}", s.showProduct)
	mux.HandleFunc("GET /cart/{user}", s.showCart)
	mux.HandleFunc("POST /cart/{user}/items", s.addItem)
	mux.HandleFunc("POST /checkout/{user}", s.checkout)
	mux.HandleFunc("GET /orders/{user}", s.showOrders)
	mux.HandleFunc("POST /watch/{user}/{sku}", s.startWatch)
	mux.HandleFunc("GET /reports/{month}", s.report)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok\n") })

	server := &http.Server{Addr: *addr, Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}
	log.Printf("shop: listening on %s", *addr)
	log.Fatal(server.ListenAndServe())
}
