package main

import (
	"database/sql"
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
	db    *sql.DB
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
	p, err := s.product(r.PathValue("sku"))
	if err != nil {
		fail(w, http.StatusNotFound, err)
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
	c := s.cartOf(r.PathValue("user")).copied()
	s.mu.Unlock()
	c.Cents = s.total(c.Items)
	reply(w, http.StatusOK, c)
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
	c, err := s.put(r.PathValue("user"), item.SKU, item.Count)
	if err != nil {
		fail(w, http.StatusNotFound, err)
		return
	}
	reply(w, http.StatusCreated, c)
}

// put something into a customer's cart; what comes back is a copy.
func (s *shop) put(user, sku string, count int) (c cart, err error) {
	p, err := s.product(sku)
	if err != nil {
		return cart{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.cartOf(user)
	kept.Items[p.SKU] += count
	return kept.copied(), nil
}

func (c *cart) copied() cart {
	result := cart{User: c.User, Items: map[string]int{}, Cents: c.Cents}
	for sku, n := range c.Items {
		result.Items[sku] = n
	}
	return result
}

func (s *shop) checkout(w http.ResponseWriter, r *http.Request) {
	user := r.PathValue("user")
	s.mu.Lock()
	c := s.cartOf(user).copied()
	s.mu.Unlock()
	c.Cents = s.total(c.Items)
	if _, err := s.charge(r.Context(), user, &c); err != nil {
		fail(w, http.StatusBadGateway, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.carts, user)
	w.WriteHeader(http.StatusNoContent)
}

// report has the kind of bug that is found in production: nobody made the map.
func (s *shop) report(w http.ResponseWriter, r *http.Request) {
	var totals map[string]int
	totals[r.PathValue("month")] = len(s.carts)
	reply(w, http.StatusOK, totals)
}
