package main

import (
	"encoding/json"
	"math/rand"
	"net/http"
	"sync"
	"time"
)

type product struct {
	SKU   string `json:"sku"`
	Name  string `json:"name"`
	Cents int    `json:"cents"`
	Left  int    `json:"left"`
}

type cart struct {
	User  string         `json:"user"`
	Items map[string]int `json:"items"`
	Cents int            `json:"cents"`
}

type shop struct {
	mu    sync.Mutex
	stock map[string]*product
	carts map[string]*cart
}

func newStock() map[string]*product {
	stock := map[string]*product{}
	for _, p := range []product{
		{"tea-001", "Assam, 250 g", 690, 400},
		{"tea-002", "Sencha, 100 g", 840, 250},
		{"pot-001", "Iron teapot", 5900, 12},
		{"cup-001", "Glass cup, double wall", 1250, 80},
	} {
		p := p
		stock[p.SKU] = &p
	}
	return stock
}

func reply(w http.ResponseWriter, code int, body interface{}) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(body)
}

func fail(w http.ResponseWriter, code int, err error) {
	reply(w, code, map[string]string{"error": err.Error()})
}

// work stands for the database.
func work(atMost time.Duration) { time.Sleep(time.Duration(rand.Int63n(int64(atMost)))) }

func (s *shop) listProducts(w http.ResponseWriter, r *http.Request) {
	work(4 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*product, 0, len(s.stock))
	for _, p := range s.stock {
		list = append(list, p)
	}
	reply(w, http.StatusOK, list)
}

func (s *shop) showProduct(w http.ResponseWriter, r *http.Request) {
	work(2 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.stock[r.PathValue("sku")]
	if !ok {
		fail(w, http.StatusNotFound, errNoSuchProduct)
		return
	}
	reply(w, http.StatusOK, p)
}

func (s *shop) cartOf(user string) *cart {
	c, ok := s.carts[user]
	if !ok {
		c = &cart{User: user, Items: map[string]int{}}
		s.carts[user] = c
	}
	return c
}

func (s *shop) showCart(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reply(w, http.StatusOK, s.cartOf(r.PathValue("user")))
}

func (s *shop) addItem(w http.ResponseWriter, r *http.Request) {
	var item struct {
		SKU   string `json:"sku"`
		Count int    `json:"count"`
	}
	if err := json.NewDecoder(r.Body).Decode(&item); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	work(3 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.stock[item.SKU]
	if !ok {
		fail(w, http.StatusNotFound, errNoSuchProduct)
		return
	}
	c := s.cartOf(r.PathValue("user"))
	c.Items[p.SKU] += item.Count
	c.Cents += item.Count * p.Cents
	reply(w, http.StatusCreated, c)
}

// checkout's payment provider is down now and then.
func (s *shop) checkout(w http.ResponseWriter, r *http.Request) {
	work(40 * time.Millisecond)
	if rand.Intn(4) == 0 {
		http.Error(w, `{"error":"payment provider timed out"}`, http.StatusBadGateway)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.carts, r.PathValue("user"))
	w.WriteHeader(http.StatusNoContent)
}

// report has the kind of bug that is found in production: nobody made the map.
func (s *shop) report(w http.ResponseWriter, r *http.Request) {
	var totals map[string]int
	totals[r.PathValue("month")] = len(s.carts)
	reply(w, http.StatusOK, totals)
}
