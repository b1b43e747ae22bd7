// Command orders is what stands around the three services of the trace part: who places the orders, and where the spans go.
//
//	orders place -url URL -rate N -count N -first N [-path PREFIX]   at a fixed rate, whether they are answered or not
//	orders place -url URL -at-once N -seconds S -first N             as many as it can, N at a time
//	orders sink                                                      takes OTLP over HTTP; prints its address
package main

import (
	"flag"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: orders place|sink [FLAG...]")
	}
	switch os.Args[1] {
	case "place":
		place(flag.NewFlagSet("place", flag.ExitOnError), os.Args[2:])
	case "sink":
		log.Fatal(sink())
	default:
		log.Fatalf("orders: no %q", os.Args[1])
	}
}
