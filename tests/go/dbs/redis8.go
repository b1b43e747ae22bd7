package main

import "github.com/go-redis/redis/v8"

func useRedis8(address string) {
	c := redis.NewClient(&redis.Options{Addr: address, DB: 3})
	must(c.Set(ctx, "eight", "secret", 0).Err())
	must(c.Get(ctx, "eight").Err())
	if err := c.Get(ctx, "none").Err(); err != redis.Nil {
		panic(err)
	}
	fails(c.LPush(ctx, "eight", "secret").Err(), "WRONGTYPE")
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "a", "secret", 0)
		p.Get(ctx, "a")
		return nil
	})
	must(err)
	_, err = c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Incr(ctx, "b")
		p.Get(ctx, "b")
		return nil
	})
	must(err)
	must(c.Close())
}
