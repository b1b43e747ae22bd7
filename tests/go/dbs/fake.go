package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync/atomic"
)

// A driver without a database. What it does stands in the statement: "rows 3" has three rows, "broken" always ends the
// connection, "refused" is an error, "late" an error at the second row, "skip" is not done without being prepared.
type fake struct{}
type fakeConn struct{}
type fakeStmt struct{ text string }
type fakeTx struct{}
type fakeRows struct {
	n, at int
	late  bool
}
type refusal struct{ text string }

// What the driver was asked to end, for who counts.
var committed, rolledBack atomic.Int32

func (r *refusal) Error() string { return r.text }

func (fake) Open(string) (driver.Conn, error) { return fakeConn{}, nil }
func (fakeConn) Prepare(text string) (driver.Stmt, error) {
	return fakeStmt{text}, reaction(text, true)
}
func (fakeConn) Close() error                                 { return nil }
func (fakeConn) Begin() (driver.Tx, error)                    { return fakeTx{}, nil }
func (fakeConn) Ping(context.Context) error                   { return nil }
func (fakeTx) Commit() error                                  { committed.Add(1); return nil }
func (fakeTx) Rollback() error                                { rolledBack.Add(1); return nil }
func (s fakeStmt) Close() error                               { return nil }
func (s fakeStmt) NumInput() int                              { return -1 }
func (s fakeStmt) Exec([]driver.Value) (driver.Result, error) { return driver.RowsAffected(2), nil }
func (s fakeStmt) Query([]driver.Value) (driver.Rows, error)  { return rowsOf(s.text), nil }
func (r *fakeRows) Columns() []string                         { return []string{"n"} }
func (r *fakeRows) Close() error                              { return nil }

func (fakeConn) QueryContext(_ context.Context, text string, _ []driver.NamedValue) (driver.Rows, error) {
	return rowsOf(text), reaction(text, false)
}

func (fakeConn) ExecContext(_ context.Context, text string, _ []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(7), reaction(text, false)
}

func (r *fakeRows) Next(to []driver.Value) error {
	if r.at == r.n {
		return io.EOF
	}
	if r.late && r.at == 1 {
		return &refusal{"too late"}
	}
	r.at++
	to[0] = int64(r.at)
	return nil
}

func rowsOf(text string) *fakeRows {
	return &fakeRows{n: 3, late: strings.Contains(text, "late")}
}

func reaction(text string, prepared bool) error {
	switch {
	case strings.Contains(text, "broken"):
		return driver.ErrBadConn
	case strings.Contains(text, "refused"):
		return &refusal{"refused"}
	case strings.Contains(text, "skip") && !prepared:
		return driver.ErrSkip
	}
	return nil
}

func readAll(rows *sql.Rows, err error) {
	must(err)
	for n := int64(0); rows.Next(); {
		must(rows.Scan(&n))
	}
	must(rows.Err())
	must(rows.Close())
}

func useSQL() {
	var n int64

	sql.Register("fake", fake{})
	db, err := sql.Open("fake", "fake://user:secret@host/name")
	must(err)
	must(db.PingContext(ctx))

	// Queries: read to the end; one row; closed after the first; an error at once, at a row, and of the connection
	readAll(db.QueryContext(ctx, "SELECT a FROM users WHERE b = 'secret' AND c = 42"))
	readAll(db.Query("SELECT a FROM skip"))
	must(db.QueryRowContext(ctx, "SELECT a FROM one WHERE id = ?", 5).Scan(&n))
	must(db.QueryRow("SELECT a FROM other").Scan(&n))
	rows, err := db.QueryContext(ctx, "SELECT a FROM early")
	must(err)
	rows.Next()
	must(rows.Close())
	_, err = db.QueryContext(ctx, "SELECT a FROM refused")
	fails(err, "refused")
	rows, err = db.QueryContext(ctx, "SELECT a FROM late")
	must(err)
	for rows.Next() {
	}
	fails(rows.Err(), "too late")
	_, err = db.QueryContext(ctx, "SELECT a FROM broken")
	fails(err, "bad connection")
	cancelled(db)

	// Statements without rows
	_, err = db.ExecContext(ctx, "INSERT INTO users VALUES (1, 'secret')")
	must(err)
	_, err = db.Exec("UPDATE skip SET a = 1")
	must(err)
	_, err = db.Exec("DELETE FROM broken")
	fails(err, "bad connection")

	// Prepared
	stmt, err := db.PrepareContext(ctx, "SELECT a FROM prepared WHERE b = 'secret'")
	must(err)
	readAll(stmt.QueryContext(ctx))
	must(stmt.QueryRow().Scan(&n))
	_, err = stmt.Exec()
	must(err)
	must(stmt.Close())
	_, err = db.Prepare("SELECT a FROM refused")
	fails(err, "refused")

	transactions(db)

	// A connection of one's own
	conn, err := db.Conn(ctx)
	must(err)
	must(conn.PingContext(ctx))
	readAll(conn.QueryContext(ctx, "SELECT a FROM conn"))
	_, err = conn.ExecContext(ctx, "UPDATE conn SET a = 1")
	must(err)
	tx, err := conn.BeginTx(ctx, nil)
	must(err)
	must(tx.Commit())
	must(conn.Close())

	if c, r := committed.Load(), rolledBack.Load(); c != 2 || r != 2 {
		panic("the driver counted other transactions")
	}
}

// Contexts that end while rows are open: another goroutine closes them, or we do, once it has seen the end.
func cancelled(db *sql.DB) {
	for i := 0; i < 40; i++ {
		cancelledOnce(db)
	}
}

func cancelledOnce(db *sql.DB) {
	c, cancel := context.WithCancel(ctx)
	rows, err := db.QueryContext(c, "SELECT a FROM cancelled")
	must(err)
	rows.Next()
	cancel()
	for rows.Err() == nil {
	}
	fails(rows.Err(), "context canceled")
	must(rows.Close())
}

func transactions(db *sql.DB) {
	tx, err := db.BeginTx(ctx, nil)
	must(err)
	readAll(tx.QueryContext(ctx, "SELECT a FROM tx"))
	_, err = tx.ExecContext(ctx, "UPDATE tx SET a = 2")
	must(err)
	stmt, err := tx.PrepareContext(ctx, "SELECT a FROM txprepared")
	must(err)
	readAll(stmt.Query())
	must(tx.Commit())
	if err := tx.Rollback(); !errors.Is(err, sql.ErrTxDone) { // as `defer tx.Rollback()` does
		panic(err)
	}

	tx, err = db.Begin()
	must(err)
	must(tx.Rollback())

	// Rolled back by the end of its context, on another goroutine
	c, cancel := context.WithCancel(ctx)
	_, err = db.BeginTx(c, nil)
	must(err)
	was := rolledBack.Load()
	cancel()
	for rolledBack.Load() == was {
	}
}
