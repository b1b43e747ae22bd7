#!/bin/sh
# database/sql connects for a waiting query with none of its context, in a goroutine that OpenDB's caller has made.
#
# One would guess that a driver's Connect gets the context of the query that needs the connection, and so its values (a
# trace, a tenant), its deadline and its goroutine. It does if the pool may still grow when the query comes. If the pool
# is full, the query waits; if the connection that it waits for is then given up, by another query or because it is
# found bad, database/sql opens the new one on the goroutine that OpenDB started, with a context that knows nothing of
# any query and has no deadline, and the query goes on with the result.
#
# Output (the pool has one connection; "first" leaves it in a state in which the driver calls it invalid):
#
#	go1.21.13: Connect: on first's goroutine, with first's value, with a deadline
#	go1.21.13: Close: on first's goroutine
#	go1.21.13: Connect: on a goroutine created by database/sql.OpenDB, without a value, without a deadline
#	go1.21.13: QueryContext: on second's goroutine, with second's value, with a deadline
#	go1.27.4: Connect: on first's goroutine, with first's value, with a deadline
#	go1.27.4: Close: on first's goroutine
#	go1.27.4: Connect: on a goroutine created by database/sql.OpenDB, without a value, without a deadline
#	go1.27.4: QueryContext: on second's goroutine, with second's value, with a deadline
#
# Exits 0 as long as that is so.

. "$(dirname "$0")/lib.sh"

mkdir "$tmp/wait"
printf 'module wait\n\ngo 1.21\n' >"$tmp/wait/go.mod"
cat >"$tmp/wait/main.go" <<'EOG'
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log"
	"runtime"
	"strings"
	"time"
)

type query struct{}

// where is whose goroutine runs.
func where() string {
	text := make([]byte, 16<<10)
	stack := string(text[:runtime.Stack(text, false)])
	if strings.Contains(stack, "main.ask") {
		if strings.Contains(stack, "created by main.main") {
			return "second's goroutine"
		}
		return "first's goroutine"
	}
	_, by, _ := strings.Cut(stack, "created by ")
	return "a goroutine created by " + strings.Fields(by)[0]
}

func tell(what string, ctx context.Context) {
	if ctx == nil {
		fmt.Printf("%s: %s: on %s\n", runtime.Version(), what, where())
		return
	}
	value, deadline := "without a value", "without a deadline"
	if name, ok := ctx.Value(query{}).(string); ok {
		value = "with " + name + "'s value"
	}
	if _, ok := ctx.Deadline(); ok {
		deadline = "with a deadline"
	}
	fmt.Printf("%s: %s: on %s, %s, %s\n", runtime.Version(), what, where(), value, deadline)
}

type connector struct{}

func (connector) Driver() driver.Driver { return nil }

func (connector) Connect(ctx context.Context) (driver.Conn, error) {
	tell("Connect", ctx)
	return &conn{}, nil
}

type conn struct{ invalid bool }

func (c *conn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (c *conn) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
func (c *conn) IsValid() bool                       { return !c.invalid }

func (c *conn) Close() error {
	if c.invalid {
		tell("Close", nil)
	}
	return nil
}

func (c *conn) QueryContext(ctx context.Context, text string, _ []driver.NamedValue) (driver.Rows, error) {
	if c.invalid = text == "first"; !c.invalid {
		tell("QueryContext", ctx)
	}
	return rows{}, nil
}

type rows struct{}

func (rows) Columns() []string         { return []string{"column"} }
func (rows) Close() error              { return nil }
func (rows) Next([]driver.Value) error { return io.EOF }

// ask asks the query of that name, and calls meanwhile before it closes the rows.
func ask(db *sql.DB, name string, meanwhile func()) {
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), query{}, name), time.Minute)
	defer cancel()
	rows, err := db.QueryContext(ctx, name)
	if err != nil {
		log.Fatal(err)
	}
	meanwhile()
	rows.Close()
}

func main() {
	db := sql.OpenDB(connector{})
	db.SetMaxOpenConns(1)
	done := make(chan bool)
	ask(db, "first", func() {
		go func() {
			ask(db, "second", func() {})
			close(done)
		}()
		for db.Stats().WaitCount == 0 {
			time.Sleep(time.Millisecond)
		}
	})
	<-done
}
EOG

for version in 1.21.13 1.27.4; do
	go=$(toolchain "$version")/bin/go
	(cd "$tmp/wait" && CGO_ENABLED=0 timeout 900 "$go" run .)
done >"$tmp/seen"
cat "$tmp/seen"
grep '^#	go1\.' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
