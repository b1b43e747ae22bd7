// Databases as programs use them, one operation after the other, always the same ones: what tests/e2e/databases.py
// knows the spans of.
//
//	dbs URL ADDRESS         of a PostgreSQL and a Redis
//
// First database/sql over a driver of its own, which does what statements ask it to; then PostgreSQL, without database/sql
// and through it; then Redis, with both major versions of the client.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
)

var ctx = context.Background()

// must ends the program where something fails that is to succeed.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// fails ends the program where something does not fail, or in another way.
func fails(err error, with string) {
	if err == nil || !strings.Contains(err.Error(), with) {
		panic(fmt.Sprintf("%v instead of %q", err, with))
	}
}

func main() {
	useSQL()
	usePgx(os.Args[1])
	useRedis9(os.Args[2])
	useRedis8(os.Args[2])
	fmt.Println("done")
}
