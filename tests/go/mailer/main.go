// Sends messages of ten kinds, many at once: to a server that looks at every byte. Each is numbered.
//
//	mailer nats URL MESSAGES PARALLEL     messages of NATS: publish, requests
//	mailer store URL MESSAGES             that JetStream stores
//	mailer handle URL MESSAGES            handles as many of these
//	mailer block URL 1                    many large ones, which it does not wait for
//	mailer kafka ADDRESS MESSAGES PARALLEL messages of kafka-go's writers
//	mailer fill ADDRESS MESSAGES          many in one call: batches as large as they may be
//	mailer read ADDRESS MESSAGES          reads as many of these by another library, and tells what it has read
//
// It begins with a line on standard input, tells of what went wrong, and ends with that of the input.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	// Kinds of messages: one after the other, by their numbers.
	kinds = 10
)

// The message with that number, of that kind, by one of the connections.
type send func(n int64, kind int) error

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work(s send, messages int64, parallel int) (failed int64) {
	var next, bad atomic.Int64
	var wg sync.WaitGroup
	for i := 0; i < parallel; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := next.Add(1); n <= messages; n = next.Add(1) {
				if err := s(n, int(n%kinds)); err != nil && bad.Add(1) <= 5 {
					fmt.Fprintf(os.Stderr, "message %d: %v\n", n, err)
				}
			}
		}()
	}
	wg.Wait()
	return bad.Load()
}

func number(i int) int {
	if len(os.Args) <= i {
		return 0
	}
	n, err := strconv.Atoi(os.Args[i])
	must(err)
	return n
}

func main() {
	in := bufio.NewReader(os.Stdin)
	kind, url, messages := os.Args[1], os.Args[2], number(3)
	s, flush := map[string]func(string) (send, func()){"nats": mail, "store": store, "handle": handle, "block": block, "kafka": produce,
		"fill": fill, "read": read}[kind](url)
	fmt.Println("ready")
	in.ReadString('\n')
	begin := time.Now()
	failed := work(s, int64(messages), max(number(4), 1))
	flush()
	fmt.Printf("{\"sent\": %d, \"failed\": %d, \"seconds\": %.3f}\n", messages, failed, time.Since(begin).Seconds())
	in.ReadString('\n')
}
