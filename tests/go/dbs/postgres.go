package main

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
)

// read reads rows to their end; with is a part of what must have gone wrong, or "".
func read(rows pgx.Rows, err error, with string) {
	for err == nil && rows.Next() {
	}
	if err == nil {
		err = rows.Err()
	}
	if with == "" {
		must(err)
	} else {
		fails(err, with)
	}
}

func usePgx(url string) {
	conn, err := pgx.Connect(ctx, url)
	must(err)
	_, err = conn.Exec(ctx, "CREATE TEMPORARY TABLE users (id int, name text)")
	must(err)
	_, err = conn.Exec(ctx, "INSERT INTO users VALUES (1, 'secret'), (2, 'secret')")
	must(err)
	_, err = conn.Exec(ctx, "INSERT INTO users VALUES ($1, $2)", 3, "secret")
	must(err)

	// Rows: all of them, again, one, none, not all
	for i := 0; i < 2; i++ {
		rows, err := conn.Query(ctx, "SELECT id FROM users WHERE id < $1", 10)
		read(rows, err, "")
	}
	id := 0
	must(conn.QueryRow(ctx, "SELECT id FROM users WHERE name = 'secret' AND id = $1", 2).Scan(&id))
	if err := conn.QueryRow(ctx, "SELECT id FROM users WHERE id = $1", 99).Scan(&id); !errors.Is(err, pgx.ErrNoRows) {
		panic(err)
	}
	rows, err := conn.Query(ctx, "SELECT name FROM users")
	must(err)
	rows.Next()
	rows.Close()
	rows, err = conn.Query(ctx, "SELECT 1, 'secret'", pgx.QueryExecModeSimpleProtocol)
	read(rows, err, "")

	// Errors: before it is executed, while it is, without a result, of a context
	rows, err = conn.Query(ctx, "SELECT nothing FROM users")
	read(rows, err, "42703")
	rows, err = conn.Query(ctx, "SELECT 1 / (id - 2) FROM users")
	read(rows, err, "22012")
	_, err = conn.Exec(ctx, "UPDATE users SET id = 1 / (id - 1)")
	fails(err, "22012")

	// Many at once
	batch := &pgx.Batch{}
	for _, name := range []string{"a", "b", "c"} {
		batch.Queue("INSERT INTO users (name) VALUES ($1)", name)
	}
	must(conn.SendBatch(ctx, batch).Close())
	batch = &pgx.Batch{}
	batch.Queue("SELECT 1 / (id - 2) FROM users WHERE name = 'secret'")
	fails(conn.SendBatch(ctx, batch).Close(), "22012")
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"users"}, []string{"id", "name"},
		pgx.CopyFromRows([][]any{{7, "secret"}, {8, "secret"}}))
	must(err)

	// Transactions
	tx, err := conn.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "DELETE FROM users WHERE id = 1")
	must(err)
	must(tx.Commit(ctx))
	fails(tx.Rollback(ctx), "closed")
	tx, err = conn.Begin(ctx)
	must(err)
	must(tx.Rollback(ctx))
	short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
	_, err = conn.Exec(short, "SELECT pg_sleep(60)")
	fails(err, "")
	cancel()

	pool, err := pgxpool.New(ctx, url)
	must(err)
	rows, err = pool.Query(ctx, "SELECT 1 AS pooled")
	read(rows, err, "")
	must(pool.QueryRow(ctx, "SELECT 2 AS pooled").Scan(&id))
	pool.Close()

	useStdlib(url)
}

// database/sql over pgx: one span an operation, which says what both know.
func useStdlib(url string) {
	var id int

	db, err := sql.Open("pgx", url)
	must(err)
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, "CREATE TEMPORARY TABLE orders (id int)")
	must(err)
	_, err = db.ExecContext(ctx, "INSERT INTO orders VALUES ($1), (2)", 1)
	must(err)
	readAll(db.QueryContext(ctx, "SELECT id FROM orders"))
	must(db.QueryRowContext(ctx, "SELECT id FROM \"orders\" WHERE id = $1", 1).Scan(&id))
	_, err = db.QueryContext(ctx, "SELECT nothing FROM orders")
	fails(err, "42703")
	rows, err := db.QueryContext(ctx, "SELECT 1 / (id - 2) FROM orders")
	must(err)
	for rows.Next() {
	}
	fails(rows.Err(), "22012")
	tx, err := db.BeginTx(ctx, nil)
	must(err)
	_, err = tx.ExecContext(ctx, "UPDATE orders SET id = 3")
	must(err)
	must(tx.Rollback())
	must(db.Close())
}
