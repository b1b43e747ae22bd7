package main

import "time"

// No value of these types is ever in an interface: a stripped program does not describe them.

type order struct {
	N int
	S string
}
type rank int8
type spot struct{ i, j int }
type node struct {
	V    int
	Next *node
}
type getter interface{ Get() int }
type five int
type mixed struct {
	spot
	*order
	At time.Time
	D  []time.Duration
	F  func(int) string
	C  <-chan int
	A  [2]spot
	M  map[string]int
	E  error
	X  getter
}

func (f five) Get() int { return int(f) }

//go:noinline
func Take(r order) order { tick(); return r }

//go:noinline
func Anonymous(r struct{ i, j int }) int { tick(); return r.i + r.j }

//go:noinline
func Wait(d time.Duration, l rank) (time.Duration, rank) { tick(); return 2 * d, l + 1 }

//go:noinline
func When(t time.Time, n node) time.Time { tick(); return t.Add(time.Duration(n.V)) }

//go:noinline
func Mixed(m *mixed, rest ...spot) int { tick(); return len(rest) + m.i }

//go:noinline
func Face(x getter, c chan<- int) int { tick(); return x.Get() }

func declared() {
	o := order{7, "seven"}
	Take(o)
	Anonymous(struct{ i, j int }{1, 2})
	Wait(1500*time.Millisecond, 3)
	When(time.Date(2024, 5, 6, 7, 8, 9, 10, time.UTC), node{1, &node{2, nil}})
	Mixed(&mixed{spot: spot{1, 2}, order: &o, At: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC),
		D: []time.Duration{time.Second, 3 * time.Minute}, A: [2]spot{{3, 4}, {5, 6}}, M: map[string]int{"m": 1},
		X: five(9)}, spot{8, 9})
	Face(five(5), nil)
}
