package main

import (
	"fmt"
	"time"
)

type deep struct{ X, Only int }
type two struct{ a, b string }
type level int8
type ints []int

func (d *deep) String() string { return "d" }
func (t two) String() string   { return "t" }

type tree[V any] struct {
	val         V
	left, right *tree[V]
}
type pair[K comparable, V any] struct {
	key  K
	val  V
	next *pair[K, V]
}
type bag[V any] struct{ vals []V }
type table[K comparable, V any] struct{ m map[K]V }
type all[T any] struct {
	v    T
	f    func(T)
	c    chan T
	m    map[string]T
	arr  [2]T
	held any
}

//go:noinline
func Arg[T any](id int, a T) T { tick(); return a }

//go:noinline
func List[T any](xs []T) int { tick(); return len(xs) }

//go:noinline
func MapOf[K comparable, V any](m map[K]V) int {
	n := 0
	for range m {
		n++
	}
	tick()
	return n
}

//go:noinline
func ChanOf[T any](c chan T) int { tick(); return len(c) }

//go:noinline
func PtrTo[T any](p *T) T {
	tick()
	texts = fmt.Sprint(p == nil)
	return *p
}

//go:noinline
func Variadic[T fmt.Stringer](xs ...T) string {
	s := ""
	for _, x := range xs {
		s += x.String()
	}
	return s
}

//go:noinline
func (t *tree[V]) Put(v V) V { tick(); return v }

//go:noinline
func (p *pair[K, V]) Put(k K, v V) V { tick(); return v }

//go:noinline
func (b *bag[V]) Put(v V) []V { tick(); return append(b.vals, v) }

//go:noinline
func (t table[K, V]) Get(k K) V { tick(); return t.m[k] }

//go:noinline
func (a all[T]) Get() T { tick(); return a.v }

// Its closure has its types from a dictionary that it captured.
//
//go:noinline
func Keeper[T any](keep T) func(T) T {
	return func(x T) T {
		tick()
		texts = fmt.Sprint(x)
		return keep
	}
}

// Also inlined: then the compiler leaves out which word of the dictionary tells its types.
func Inlined[T any](xs []T, one T) int { ticks += len(xs); return ticks }

//go:noinline
func Outer[T any](xs []T) int { return Inlined(xs, xs[0]) + len(xs) }

var texts string
var inlined = Inlined[*deep]

func generics() {
	p, q := &deep{1, 2}, &two{"x", "y"}
	Arg(1, 3)
	Arg(2, "s")
	Arg(3, p)
	Arg(4, q)
	Arg(5, deep{6, 7})
	Arg(6, []*deep{{8, 9}})
	Arg(7, map[string]*deep{"k": p})
	Arg[any](8, p)
	Arg[error](9, nil)
	Arg(10, time.Second)
	Arg(11, time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC))
	Arg(12, level(3))
	Arg(13, ints{1, 2})
	Arg(14, [2]*deep{p, nil})
	Arg(15, []byte("abc"))
	Arg(16, true)
	Arg(17, map[two]ints{*q: {4}})
	List([]*deep{p, nil})
	List([]*two{q})
	List([]string{"a"})
	List([]time.Duration{time.Minute})
	MapOf(map[string]*deep{"k": p})
	MapOf(map[deep]*two{*p: q})
	MapOf(map[string]*two{"t": q})
	c := make(chan *deep, 2)
	c <- nil
	ChanOf(c)
	PtrTo(&p)
	PtrTo(&q)
	Variadic(p, p)
	Variadic(*q)
	(&tree[int]{val: 1, left: &tree[int]{val: 0}}).Put(2)
	(&tree[*deep]{val: p}).Put(p)
	(&tree[*two]{val: q}).Put(q)
	(&pair[string, int]{key: "k", val: 1}).Put("a", 5)
	(&pair[int, []string]{key: 7, val: []string{"v"}}).Put(9, nil)
	(&bag[*deep]{[]*deep{p}}).Put(p)
	(&bag[*two]{[]*two{q}}).Put(q)
	table[string, *deep]{map[string]*deep{"q": p}}.Get("q")
	table[string, *two]{map[string]*two{"q": q}}.Get("q")
	all[*deep]{v: p, c: c, m: map[string]*deep{"k": p}, arr: [2]*deep{p, p}}.Get()
	all[*two]{v: q, m: map[string]*two{"k": q}, arr: [2]*two{q, q}, held: q}.Get()
	all[int]{v: 5, m: map[string]int{"k": 7}, arr: [2]int{1, 2}, held: level(1)}.Get()
	Keeper(p)(p)
	Keeper(q)(q)
	Outer([]*deep{p})
	Outer([]*two{q})
	inlined([]*deep{p}, p)
}
