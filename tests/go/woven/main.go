// woven has functions of every kind that can be woven, and calls them with known values once a line comes in. Built
// with `earshot build` it records these calls; what it prints is the same as without.
package main

import (
	"errors"
	"os"
	"runtime"
)

type Item struct {
	Name string
	N    uint8
}

type Base struct{ ID int64 }

type Order struct {
	Base
	User  string
	Items []Item
	Tags  map[string]string
	Next  *Order
	price float32
	any   interface{}
}

type Shop struct{ name string }

var errEmpty = errors.New("empty")

func (s *Shop) Add(o *Order, n int, note string) (total int, err error) {
	if o == nil {
		return 0, errEmpty
	}
	defer func() { total++ }()
	return n * 2, nil
}

func (Shop) Value(_ int, b []byte) string { return string(b) + "!" }

func unnamed(int, string) (int, error) { return 7, nil }

func variadic(xs ...string) (n int) {
	for range xs {
		n++
	}
	return
}

func recovers(n int) (r int, err error) {
	defer func() {
		if x := recover(); x != nil {
			r, err = -1, errEmpty
		}
	}()
	if n > 0 {
		panic("recovered")
	}
	return n, nil
}

//go:noinline
func dies(n int) int {
	if n > 0 {
		panic("dies")
	}
	return n
}

func survives(n int) (died bool) {
	defer func() { died = recover() != nil }()
	dies(n)
	return false
}

func recursion(n int) int {
	if n == 0 {
		return 0
	}
	return recursion(n-1) + n
}

func outer(n int) int {
	twice := func(x int) int { return 2 * x }
	thrice := func(x int, _ string) (r int) {
		r = 3 * x
		return r
	}
	return twice(n) + thrice(n, "")
}

func deferring(n int) int { // each return would run its defers from a list if there were one more
	defer func() {}()
	switch n {
	case 0:
		return 0
	case 1:
		return 1
	case 2:
		return 2
	case 3:
		return 3
	case 4:
		return 4
	case 5:
		return 5
	case 6:
		return 6
	case 7:
		return 7
	}
	return 8
}

func Largest[T int | string](a, b T) T {
	if a > b {
		return a
	}
	return b
}

func look(x interface{}, o *Order) {}

func line(skip bool) int { _, _, n, _ := runtime.Caller(0); return n }

var last *Order // a pointer into the stack is not kept

// hold begins a span whose later points know what it has kept.
func hold(o *Order, n int) {
	fill()
	func() {
		func(x int) { defer from(false) }(n) // what defers is not inlined
	}()
	from(true)
}

func fill() {}

func from(ok bool) {}

//earshot:span if n > 1 { n, o.User }
func asked(o *Order, n int) error { return errEmpty }

func say(words ...string) {
	for _, w := range words {
		os.Stdout.WriteString(w + " ")
	}
	os.Stdout.WriteString("\n")
}

func number(n int) string {
	if n < 0 {
		return "-" + number(-n)
	}
	if n < 10 {
		return string(rune('0' + n))
	}
	return number(n/10) + number(n%10)
}

func work() {
	s := &Shop{"corner"}
	o := &Order{Base: Base{42}, User: "alice", Items: []Item{{"pear", 3}}, Tags: map[string]string{"k": "v"}, price: 1.5, any: 9}
	total, err := s.Add(o, 21, "a note")
	_, failed := s.Add(nil, 1, "")
	say("add", number(total), string(rune('0'+len(s.Value(1, []byte("xy"))))), map[bool]string{true: "ok"}[err == nil], failed.Error())
	u, _ := unnamed(5, "five")
	r, _ := recovers(1)
	say("more", number(u), number(variadic("a", "b")), number(r), number(recursion(3)), number(outer(5)), number(deferring(3)))
	say("panics", map[bool]string{true: "died", false: "lived"}[survives(1)], map[bool]string{true: "died", false: "lived"}[survives(0)])
	look(*o, nil)
	look(o, &Order{Next: o})
	look(nil, o)
	say("largest", number(Largest(3, 4)), Largest("a", "b"))
	last = o
	hold(o, 6)
	from(false)
	asked(o, 1)
	asked(o, 2)
	say("line", number(line(true)))
}

func main() {
	in := make([]byte, 1)
	for {
		if n, err := os.Stdin.Read(in); n == 0 || err != nil {
			return
		}
		work()
	}
}
