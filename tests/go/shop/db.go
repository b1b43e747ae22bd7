package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync"
	"time"
)

// The shop's database: a database/sql driver that keeps its rows in memory and
// takes the time a real one would.
func init() { sql.Register("memory", &database{}) }

type row struct {
	id       int64
	customer string
	cents    int64
	note     string
}

type database struct {
	mu   sync.Mutex
	rows []row
}

type connection struct{ db *database }

func (d *database) Open(string) (driver.Conn, error) { return &connection{d}, nil }

func (c *connection) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("not prepared here")
}
func (c *connection) Close() error              { return nil }
func (c *connection) Begin() (driver.Tx, error) { return nil, errors.New("no transactions") }

func (c *connection) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	work(2 * time.Millisecond)
	c.db.mu.Lock()
	defer c.db.mu.Unlock()
	id := int64(len(c.db.rows) + 1)
	c.db.rows = append(c.db.rows, row{id, args[0].Value.(string), args[1].Value.(int64), args[2].Value.(string)})
	return driver.RowsAffected(1), nil
}

// QueryContext: there is no index on note, and carol has ordered for many years.
func (c *connection) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	customer := args[0].Value.(string)
	if strings.Contains(query, "LIKE") {
		time.Sleep(15 * time.Millisecond)
	}
	if customer == "carol" {
		time.Sleep(25 * time.Millisecond)
	}
	c.db.mu.Lock()
	defer c.db.mu.Unlock()
	found := &found{}
	for _, r := range c.db.rows {
		if r.customer == customer {
			found.rows = append(found.rows, r)
		}
	}
	return found, nil
}

type found struct{ rows []row }

func (f *found) Columns() []string { return []string{"id", "cents"} }
func (f *found) Close() error      { return nil }
func (f *found) Next(values []driver.Value) error {
	if len(f.rows) == 0 {
		return io.EOF
	}
	values[0], values[1] = f.rows[0].id, f.rows[0].cents
	f.rows = f.rows[1:]
	return nil
}
