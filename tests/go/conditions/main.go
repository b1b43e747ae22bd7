// Command conditions is what the conditions of `earshot trace` are tested
// with. It knows of each condition which of its calls it holds for: beside the
// text that a user types stands the same in Go.
//
// It says what there is as one JSON line; a line "go" on standard input has it
// make all calls, and {"done":true} ends them. Each call has a number, its
// first argument n.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
)

// A row is a condition, and whether it holds for a case. Where that panics (a
// nil pointer, an index out of range, a division by zero), it does not hold.
type row[C any] struct {
	text  string
	holds func(c *C) bool
}

type condition struct {
	Func  string `json:"func"`
	Text  string `json:"text"`
	Calls []int  `json:"calls"`
}

var (
	conditions []condition
	calls      []func()
)

func holds[C any](r row[C], c *C) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return r.holds(c)
}

// add makes a table: the cases that function is called with, and the rows.
func add[C any](function string, cases []C, call func(n int, c *C), rows []row[C]) {
	for _, r := range rows {
		known := condition{Func: function, Text: r.text, Calls: []int{}}
		for n := range cases {
			if holds(r, &cases[n]) {
				known.Calls = append(known.Calls, n)
			}
		}
		conditions = append(conditions, known)
	}
	for n := range cases {
		n := n
		calls = append(calls, func() { call(n, &cases[n]) })
	}
}

// Whatever is given to keep is used, so that the compiler saves it.
//
//go:noinline
func keep(values ...interface{}) int { return len(values) }

var kept int

func say(line interface{}) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func main() {
	numbers()
	texts()
	maps()
	values()
	results()
	say(map[string]interface{}{"ready": true, "go": runtime.Version(), "conditions": conditions})
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		for _, call := range calls {
			call()
		}
		say(map[string]interface{}{"done": true})
	}
}
