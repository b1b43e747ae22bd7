package main

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// store is what the stock has. Numbers stand in the text of queries, so that what is seen of one says whose it is.
type store interface {
	left(ctx context.Context, number int64) (int64, error)
	reserve(ctx context.Context, number int64) error
}

func openStore(url string) (store, error) {
	if url == "" {
		return &memory{reserved: map[int64]int{}}, nil
	}
	db, err := openDatabase("pgx", url)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	_, err = db.Exec("CREATE TABLE IF NOT EXISTS reserved (number bigint)")
	return &postgres{db}, err
}

type postgres struct{ db *sql.DB }

func (p *postgres) left(ctx context.Context, number int64) (left int64, err error) {
	query := fmt.Sprintf("SELECT count(*) FROM reserved WHERE number = %d", number)
	err = p.db.QueryRowContext(ctx, query).Scan(&left)
	return left, err
}

func (p *postgres) reserve(ctx context.Context, number int64) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO reserved (number) VALUES (%d)", number)); err != nil {
		return err
	}
	return tx.Commit()
}

type memory struct {
	mu       sync.Mutex
	reserved map[int64]int
}

func (m *memory) left(ctx context.Context, number int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(m.reserved[number]), nil
}

func (m *memory) reserve(ctx context.Context, number int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reserved[number]++
	return nil
}
