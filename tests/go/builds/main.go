// Command builds is built in every way that there is: it answers requests of its own, and says what came of them.
package main

import (
	_ "embed"
	"fmt"
	"log"
	"os"
	"runtime/pprof"
	"strings"
	"time"

	"earshot.test/builds/serve"
)

//go:embed name.txt
var name string

// profile works for a moment, for a build that goes by what it has seen.
func profile(path string) {
	f, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		log.Fatal(err)
	}
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		serve.Report()
	}
	pprof.StopCPUProfile()
}

func main() {
	if len(os.Args) > 1 {
		profile(os.Args[1])
		return
	}
	fmt.Println(strings.TrimSpace(name), serve.Report(), twice(21))
}
