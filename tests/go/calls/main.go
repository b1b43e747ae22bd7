// Command calls is what `earshot trace` is tested with: it makes calls when it
// is told to and writes what each was given and gave back.
//
// A line on standard input asks for a scenario: "NAME COUNT". The calls it
// makes come out as JSON lines {"func":…,"args":{…},"returns":{…}} (values as in
// expect.go), and {"done":NAME,…} ends them. Nothing is called in between, so
// whoever asks knows exactly what a tracer must have seen.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

var out struct {
	sync.Mutex
	*bufio.Writer
}

func say(line interface{}) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	out.Lock()
	out.Write(text)
	out.WriteByte('\n')
	out.Unlock()
}

func exit(code int) {
	flush()
	os.Exit(code)
}

func flush() {
	out.Lock()
	out.Flush()
	out.Unlock()
}

// scenarios are told how often; what they return goes into the done line.
var scenarios = map[string]func(count int) map[string]interface{}{}

func main() {
	procs := flag.Int("procs", 0, "GOMAXPROCS")
	flag.Parse()
	if *procs > 0 {
		runtime.GOMAXPROCS(*procs)
	}
	out.Writer = bufio.NewWriterSize(os.Stdout, 1<<16)
	say(map[string]interface{}{"ready": true, "pid": os.Getpid(), "go": runtime.Version(),
		"procs": runtime.GOMAXPROCS(0)})
	flush()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words := append(strings.Fields(in.Text()), "1")
		run, ok := scenarios[words[0]]
		if !ok {
			say(map[string]interface{}{"error": "no scenario " + words[0]})
			flush()
			continue
		}
		count, err := strconv.Atoi(words[1])
		if err != nil {
			panic(err)
		}
		more := run(count)
		done := map[string]interface{}{"done": words[0]}
		for k, v := range more {
			done[k] = v
		}
		say(done)
		flush()
	}
}
