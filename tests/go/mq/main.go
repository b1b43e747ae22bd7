// Messages as programs send and handle them, one after the other, always the same ones: what tests/e2e/messages.py knows the
// spans of.
//
//	mq serve DIRECTORY    a NATS server, which stores there, and a Kafka broker; prints where
//	mq NATS KAFKA         uses them
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
)

var serve func()

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
	if os.Args[1] == "serve" {
		serve()
	}
	useNATS(os.Args[1])
	useKafkaGo(os.Args[2])
	useFranz(os.Args[2])
	useAll(os.Args[1], os.Args[2])
	fmt.Println("done")
}
