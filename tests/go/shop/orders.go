package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"net/http"
	"strings"
	"time"
)

var errProviderTimeout = errors.New("payment provider timed out")

type declinedError struct {
	User  string
	Cents int
}

func (e *declinedError) Error() string {
	return fmt.Sprintf("card of %s declined: %d", e.User, e.Cents)
}

type order struct {
	ID    int64 `json:"id"`
	Cents int64 `json:"cents"`
}

// charge's payment provider is down now and then, and lets nobody owe much.
func (s *shop) charge(ctx context.Context, user string, c *cart) (receipt string, err error) {
	work(40 * time.Millisecond)
	switch {
	case rand.Intn(4) == 0:
		return "", fmt.Errorf("charging %s: %w", user, errProviderTimeout)
	case c.Cents > 30000:
		return "", &declinedError{user, c.Cents}
	}
	_, err = s.db.ExecContext(ctx, "INSERT INTO orders (customer, cents, note) VALUES (?, ?, ?)", user, c.Cents, "by web")
	return fmt.Sprintf("receipt-%d", rand.Intn(1000)), err
}

// orders of a customer, or those whose note has a word.
func (s *shop) orders(ctx context.Context, user, search string) (list []order, err error) {
	query, args := "SELECT id, cents FROM orders WHERE customer = ?", []any{user}
	if search != "" {
		query, args = query+" AND note LIKE ?", append(args, "%"+search+"%")
	}
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var o order
		if err := rows.Scan(&o.ID, &o.Cents); err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, rows.Err()
}

// total asks the warehouse for each article, one after the other.
func (s *shop) total(items map[string]int) (cents int) {
	for sku, count := range items {
		time.Sleep(4 * time.Millisecond)
		if p, err := s.product(sku); err == nil {
			cents += count * p.Cents
		}
	}
	return cents
}

func (s *shop) product(sku string) (p *product, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.stock[strings.ToLower(sku)]
	if !ok {
		return nil, fmt.Errorf("product %q: %w", sku, errNoSuchProduct)
	}
	return p, nil
}

// watch tells a customer when something is back in stock. Nobody ever closes done.
func (s *shop) watch(user, sku string, done chan struct{}) (told bool) {
	for {
		select {
		case <-done:
			return false
		case <-time.After(time.Hour):
			if p, err := s.product(sku); err == nil && p.Left > 0 {
				return true
			}
		}
	}
}

func (s *shop) showOrders(w http.ResponseWriter, r *http.Request) {
	list, err := s.orders(r.Context(), r.PathValue("user"), r.URL.Query().Get("search"))
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	reply(w, http.StatusOK, list)
}

func (s *shop) startWatch(w http.ResponseWriter, r *http.Request) {
	go s.watch(r.PathValue("user"), r.PathValue("sku"), make(chan struct{}))
	w.WriteHeader(http.StatusAccepted)
}
