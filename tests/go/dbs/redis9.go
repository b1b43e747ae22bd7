package main

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

func useRedis9(address string) {
	c := redis.NewClient(&redis.Options{Addr: address, DB: 2, PoolSize: 2})
	must(c.Set(ctx, "nine", "secret", 0).Err())
	must(c.Get(ctx, "nine").Err())
	if err := c.Get(ctx, "none").Err(); err != redis.Nil {
		panic(err)
	}
	must(c.MGet(ctx, "nine", "none", "more").Err())
	fails(c.Incr(ctx, "nine").Err(), "not an integer")
	fails(c.LPush(ctx, "nine", "secret").Err(), "WRONGTYPE")
	must(c.ConfigGet(ctx, "maxmemory").Err())
	must(c.Do(ctx, "hset", "hash", "field", "secret").Err())

	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "a", "secret", 0)
		p.Get(ctx, "a")
		p.Incr(ctx, "b")
		return nil
	})
	must(err)
	_, err = c.Pipelined(ctx, func(redis.Pipeliner) error { return nil })
	must(err)
	_, err = c.Pipelined(ctx, func(p redis.Pipeliner) error { p.LPush(ctx, "a", 1); return nil })
	fails(err, "WRONGTYPE")
	_, err = c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Incr(ctx, "b")
		p.Get(ctx, "b")
		return nil
	})
	must(err)
	must(redis.NewScript("return ARGV[1]").Run(ctx, c, []string{"k"}, "secret").Err())
	must(c.Watch(ctx, func(tx *redis.Tx) error { return tx.Get(ctx, "a").Err() }, "a"))
	conn := c.Conn()
	must(conn.Ping(ctx).Err())
	must(conn.Close())

	sub := c.Subscribe(ctx, "news")
	_, err = sub.Receive(ctx)
	must(err)
	must(sub.Close())
	ended, end := context.WithCancel(ctx)
	end()
	if err := c.Get(ended, "nine").Err(); !errors.Is(err, context.Canceled) {
		panic(err)
	}
	must(c.Close())

	refused := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: 1, MinRetryBackoff: -1, MaxRetryBackoff: -1})
	fails(refused.Get(ctx, "nine").Err(), "refused")
	must(refused.Close())
}
