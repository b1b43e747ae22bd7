// Inlined makes calls that the compiler inlines, in every place and shape that it then moves about: loops, conditions that
// become conditional moves, what does not change in a loop, bodies that begin with a loop, or end early. The same program
// built with -gcflags=-l, where nothing is inlined, says how often each was called, and from where.
//
//	inlined [REPEATS]
package main

import (
	"fmt"
	"os"
	"strconv"
)

var sink int
var table [64]int

//go:noinline
func work(n int) int { sink += n; return n * 3 }

// ---- bodies ----

func plus(x int) int { return x + 7 }

func branchy(x int) int {
	if x > 3 {
		return work(x)
	}
	return x
}

func early(x int) int {
	if x&1 == 0 {
		return 0
	}
	sink += x
	return work(x) + 1
}

func looped(n int) int {
	s := 0
	for i := 0; i < n; i++ {
		s += table[i&63]
	}
	return s
}

func whileLoop(p *int) {
	for *p > 0 {
		*p--
	}
}

func calls(x int) int { return work(x) + work(x+1) }

func deref(p *int) int { return *p + 1 }

func invariant(k, x int) int { return (k*1234567+89)*(k+3) ^ x }

func text(s string) bool { return len(s) > 3 && s[0] == 'a' }

func inner(x int) int { sink ^= x; return x * 5 }

func outer(x int) int {
	if x > 5 {
		return inner(x) + 1
	}
	return inner(x+2) * 2
}

func maybe(p *int) int {
	if p == nil {
		return -1
	}
	return *p
}

type failure struct{ n int }

func check(n int) *failure {
	if n%7 == 0 {
		return &failure{n}
	}
	return nil
}

func (f *failure) get() int {
	if f == nil {
		return 0
	}
	return f.n
}

// heavy is too large to be inlined, but where a profile says that it is hot.
func heavy(x int) int {
	s := x
	if x%3 == 0 {
		s += work(x) ^ 5
		s -= table[x&63] * 7
	}
	if x%5 == 1 {
		for i := 0; i < x&7; i++ {
			s ^= table[(x+i)&63] << 1
		}
		s += work(s)
	}
	switch {
	case s > 1000:
		s -= work(3) + x
	case s < -5:
		s = work(s) * 2
	default:
		s ^= work(7)
	}
	return s + table[s&63]
}

type shape interface{ area(n int) int }
type square struct{ side int }
type circle struct{ radius int }

func (q *square) area(n int) int { sink += n; return q.side * q.side }
func (c *circle) area(n int) int { sink -= n; return 3 * c.radius * c.radius }

// Called through this, early is no inlined call.
var kept = []func(int) int{early}

// ---- where they are called ----

//go:noinline
func inLoop(n int) (s int) {
	for i := 0; i < n; i++ {
		s += plus(i)
	}
	return
}

//go:noinline
func conditional(n int) (s int) {
	for i := 0; i < n; i++ {
		y := i
		if i&3 == 1 {
			y = plus(i)
		}
		s += y * 3
	}
	return
}

//go:noinline
func behindCondition(n int) (s int) {
	for i := 0; i < n; i++ {
		if i > 2 {
			s += branchy(i)
		}
	}
	return
}

//go:noinline
func known(n int) (s int) {
	for i := 0; i < n; i++ {
		if i > 3 {
			s += 2
		}
		s += branchy(i)
	}
	return
}

//go:noinline
func early1(n int) (s int) {
	for i := 0; i < n; i++ {
		s += early(i)
	}
	return
}

//go:noinline
func early2(n int) (s int) {
	for i := 0; i < n; i++ {
		if early(i) > 3 && early(i+1) > 5 {
			s++
		}
	}
	return
}

//go:noinline
func loopInLoop(n int) (s int) {
	for i := 0; i < n; i++ {
		s += looped(i)
	}
	return
}

//go:noinline
func loopOnce(n int) int { return looped(n) + 1 }

//go:noinline
func whileLocal(n int) int {
	x := n
	whileLoop(&x)
	return x
}

//go:noinline
func whilePointer(p *int) { whileLoop(p) }

//go:noinline
func whileMany(all []int) {
	for i := range all {
		whileLoop(&all[i])
	}
}

//go:noinline
func twoCalls(n int) (s int) {
	for i := 0; i < n; i++ {
		s += calls(i)
	}
	return
}

//go:noinline
func dereferences(all []*int) (s int) {
	for _, p := range all {
		if p != nil {
			s += deref(p)
		}
	}
	return
}

//go:noinline
func unchanging(k, n int) (s int) {
	for i := 0; i < n; i++ {
		s += invariant(k, i)
	}
	return
}

//go:noinline
func unchangingIf(k, n int) (s int) {
	for i := 0; i < n; i++ {
		if i&1 == 1 {
			s += work(invariant(k, i))
		}
	}
	return
}

//go:noinline
func texts(all []string, b bool) (n int) {
	for i, s := range all {
		if text(s) {
			n++
		}
		if b && i&1 == 0 && text(s) {
			n += 2
		}
	}
	return
}

//go:noinline
func nested(n int) (s int) {
	for i := 0; i < n; i++ {
		s += outer(i)
	}
	return
}

//go:noinline
func nils(all []*int) (s int) {
	for _, p := range all {
		s += maybe(p)
	}
	return
}

//go:noinline
func checks(n int) (s int) {
	for i := 1; i < n; i++ {
		if f := check(i); f != nil {
			s += f.n
			continue
		}
		s++
	}
	return
}

//go:noinline
func inTheCondition(n int) (s int) {
	for branchy(s) < n {
		s++
	}
	return
}

//go:noinline
func table9(n int) (s int) {
	for i := 0; i < n; i++ {
		switch i % 9 {
		case 0:
			s += plus(s)
		case 1:
			s += early(i)
		case 2:
			s -= 3
		case 3:
			s ^= branchy(i)
		case 4:
			s += 4
		case 5:
			s += inner(i)
		case 6:
			s *= 3
		case 7:
			s += check(i).get()
		case 8:
			s++
		}
	}
	return
}

//go:noinline
func deferred(n int) (s int) {
	defer func() { s += inner(n) }()
	for i := 0; i < n; i++ {
		s += inner(i)
	}
	return
}

//go:noinline
func hot(n int) (s int) {
	for i := 0; i < n; i++ {
		if i%11 != 10 {
			s += heavy(i)
		}
	}
	return
}

//go:noinline
func hotShapes(all []shape) (s int) {
	for i, x := range all {
		s += x.area(i)
	}
	return
}

func once() int {
	var pointers []*int
	var numbers []int
	var shapes []shape
	for i := 0; i < 30; i++ {
		x := i
		numbers = append(numbers, i)
		if i%3 == 0 {
			pointers = append(pointers, nil)
			shapes = append(shapes, &circle{i})
		} else {
			pointers = append(pointers, &x)
			shapes = append(shapes, &square{i})
		}
	}
	words := []string{"", "abcd", "bcde", "a", "aaaaa", "zz", "axxxxx"}
	y := 9
	whilePointer(&y)
	whileMany(numbers)
	r := inLoop(11) + conditional(20) + behindCondition(20) + known(10) + early1(20) + early2(20)
	r += loopInLoop(10) + loopOnce(9) + whileLocal(7) + twoCalls(8) + dereferences(pointers)
	r += unchanging(3, 25) + unchangingIf(4, 25) + texts(words, true) + texts(words, false)
	r += nested(12) + nils(pointers) + checks(30) + inTheCondition(40) + table9(40) + deferred(9)
	return r + hot(44) + hotShapes(shapes) + kept[0](5)
}

func main() {
	repeats, r := 1, 0
	if len(os.Args) > 1 {
		repeats, _ = strconv.Atoi(os.Args[1])
	}
	for i := 0; i < repeats; i++ {
		r += once()
	}
	fmt.Println(r)
}
