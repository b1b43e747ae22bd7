// Command server is what bench/load.py puts under load: net/http with the least a handler can do,
// and with a handler that does a little work. With -memory its client is in memory.go.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
)

type item struct {
	ID    int      `json:"id"`
	Name  string   `json:"name"`
	Price float64  `json:"price"`
	Tags  []string `json:"tags"`
}

func cart() []item {
	items := make([]item, 20)
	for i := range items {
		items[i] = item{i, fmt.Sprintf("article %d", i), float64(i) * 1.25, []string{"new", "blue"}}
	}
	return items
}

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("hello\n"))
	})
	mux.HandleFunc("/json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(cart())
	})
	if len(os.Args) > 1 && os.Args[1] == "-memory" {
		serveInMemory(mux)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(l, mux))
}
