// A program for the tests of what is read from a binary: functions inlined in each other, closures,
// generics, tail calls, method values. It prints what it computes so that nothing is optimised away.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
)

type Point struct{ X, Y int }

// Inlined into their callers, one in the other.
func inner(a int, s string) int  { return a*3 + len(s) }
func middle(a int, s string) int { return inner(a+1, s) + 7 }

func (p *Point) Scale(by int) int { return p.X*by + p.Y }
func (p Point) Sum() int          { return p.X + p.Y }

//go:noinline
func Host(a int, s string, p *Point) int {
	n := middle(a, s)
	return n + p.Scale(n)
}

//go:noinline
func Outer(f float64, s string, big [6]int, p Point) (n int, err error) {
	n = int(f) + middle(big[2], s) + p.Sum()
	if n < 0 {
		return 0, errors.New("negative")
	}
	return n, nil
}

//go:noinline
func Unnamed(a int, _ string) (int, string, error) { return a, strconv.Itoa(a), nil }

type Number interface{ ~int | ~float64 }

type MyInt int

//go:noinline
func Map[T, U any](in []T, f func(T) U) []U {
	var out []U
	for _, v := range in {
		out = append(out, f(v))
	}
	return out
}

//go:noinline
func Max[T Number](a, b T) T {
	if a > b {
		return a
	}
	return b
}

type Stack[T any] struct{ items []T }

//go:noinline
func (s *Stack[T]) Push(v T) int {
	s.items = append(s.items, v)
	return len(s.items)
}

//go:noinline
func Counter(start int, name string) func(int) string {
	count := start
	p := Point{start, 2}
	return func(by int) string {
		count += by
		return name + strconv.Itoa(count+p.X)
	}
}

//go:noinline
func Walk(n int, visit func(int) error) error {
	for i := 0; i < n; i++ {
		if err := visit(i); err != nil {
			return err
		}
	}
	return nil
}

//go:noinline
func Deferred(n int) (r int) {
	defer func() {
		if e := recover(); e != nil {
			r = n + 1
		}
	}()
	defer use(n, "x")
	if n > 100 {
		panic("big")
	}
	return n
}

//go:noinline
func use(n int, s string) { sink += n + len(s) }

//go:noinline
func Forever(ch chan int) {
	for {
		sink += <-ch
	}
}

//go:noinline
func Panics(n int) { panic(n) }

//go:noinline
func Epilogues(n int, s string) int {
	var buf [64]byte
	if n == 0 {
		return 1
	}
	copy(buf[:], s)
	if n == 1 {
		return use2(buf[:])
	}
	for i := range buf {
		n += int(buf[i])
		if n > 1000 {
			return n * use2(buf[i:])
		}
	}
	return n
}

//go:noinline
func use2(b []byte) int { sink += len(b); return len(b) }

// Inlined, and may begin with its loop.
func spin(n int) int {
	for n > 3 {
		n /= 2
	}
	return n
}

type Mixed struct {
	A int8
	B string
	C float32
}

func (m Mixed) weigh() int { return int(m.A) + len(m.B) + int(m.C) + len(os.Getenv(m.B)) }

//go:noinline
func Loops(n int, m Mixed) int {
	return spin(n) + m.weigh()
}

type Base struct{ n int }

//go:noinline
func (b *Base) Get(a int) int { return b.n + a }

type Derived struct {
	pad [3]int
	*Base
}

// Base comes first: its methods need no more than a jump.
type Front struct {
	Base
	pad [3]int
}
type Getter interface{ Get(int) int }

var sink int

func main() {
	p := &Point{len(os.Args), 2}
	fmt.Println(Host(3, "abc", p))
	fmt.Println(Outer(2.5, "q", [6]int{1, 2, 3}, *p))
	fmt.Println(Unnamed(1, "x"))
	fmt.Println(Map([]int{1, 2}, func(i int) string { return strconv.Itoa(i + p.X) }))
	fmt.Println(Map([]MyInt{1, 2}, func(i MyInt) float64 { return float64(i) }))
	fmt.Println(Max(1, 2), Max(1.5, 2.5), Max(MyInt(3), MyInt(4)))
	s := &Stack[*Point]{}
	fmt.Println(s.Push(p))
	t := &Stack[string]{}
	fmt.Println(t.Push("x"))
	c := Counter(3, "n")
	fmt.Println(c(2), c(3))
	total := 0
	err := Walk(4, func(i int) error {
		total += i
		if i == 3 {
			return errors.New("three")
		}
		return nil
	})
	fmt.Println(total, err)
	fmt.Println(Deferred(3), Deferred(300))
	mv := p.Scale
	fmt.Println(apply(mv), apply(t2{p}.Get2))
	var g Getter = Derived{Base: &Base{4}}
	fmt.Println(g.Get(3))
	g = &Front{Base: Base{5}}
	fmt.Println(g.Get(4))
	ch := make(chan int)
	go Forever(ch)
	ch <- 1
	func() {
		defer func() { recover() }()
		Panics(3)
	}()
	fmt.Println(Epilogues(len(os.Args), "abc"), sink, Loops(len(os.Args), Mixed{1, "b", 2}))
	go func(a int, b string) { use(a, b) }(3, "x")
	done := make(chan bool)
	go func() { use(total, "y"); done <- true }()
	<-done
}

type t2 struct{ p *Point }

//go:noinline
func (t t2) Get2(by int) int { return t.p.Y * by }

//go:noinline
func apply(f func(int) int) int { return f(5) }
