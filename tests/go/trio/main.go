// Command trio is three services that handle one order together: the front, over HTTP; the stock, over gRPC, on
// PostgreSQL; and the worker, over HTTP, whose jobs wait in a queue for a pool of goroutines, on Redis. They know nothing
// of tracing. Each order has a number, and all that is done for it carries that number: so who looks at what was
// observed knows what belongs together.
//
//	trio front  -listen ADDR -stock ADDR -worker ADDR
//	trio stock  -listen ADDR [-database URL]
//	trio worker -listen ADDR [-redis ADDR]
//
// Without a database, without Redis they keep what they have in memory.
package main

import (
	"flag"
	"log"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: trio front|stock|worker [FLAG...]")
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	listen := flags.String("listen", "127.0.0.1:0", "`address` to listen on")
	stock := flags.String("stock", "", "`address` of the stock")
	worker := flags.String("worker", "", "`address` of the worker")
	database := flags.String("database", "", "`URL` of PostgreSQL")
	redis := flags.String("redis", "", "`address` of Redis")
	flags.Parse(os.Args[2:])
	start(os.Args[1])
	switch os.Args[1] {
	case "front":
		log.Fatal(serveFront(*listen, *stock, *worker))
	case "stock":
		log.Fatal(serveStock(*listen, *database))
	case "worker":
		log.Fatal(serveWorker(*listen, *redis))
	default:
		log.Fatalf("there is no service %q", os.Args[1])
	}
}
