package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

type Shape interface{ Area() int }

func (p *Point) Area() int { return int(p.X * p.Y) }

type Square int

func (s Square) Area() int { return int(s * s) }

type Deep struct {
	Name  string
	At    Point
	Tags  [2]string
	Inner struct{ A, B int }
	Any   interface{}
	Next  *Deep
	Words []Point
	Grid  [2][3]int
	F     float64
	Shape Shape
}

//go:noinline
func Anything(n int, x, y interface{}, s Shape) int {
	kept += keep(n, x, y, s)
	return kept
}

//go:noinline
func Deeply(n int, d, e *Deep, c chan int, f func(), i int) int {
	kept += keep(n, d, e, c, f, i)
	return kept
}

type anything struct {
	x, y interface{}
	s    Shape
}

type deeply struct {
	d, e *Deep
	c    chan int
	f    func()
	i    int
}

func values() {
	p := &Point{3, 4}
	add("main.Anything", []anything{
		{nil, nil, nil},
		{42, 42, Square(3)},
		{int32(42), 42, p},
		{"text", "text", p},
		{"text", "other", Square(42)},
		{true, 1.5, &Point{3, 4}},
		{1.5, int64(1) << 40, Square(3)},
		{p, p, p},
		{Point{1, 2}, Point{1, int32(len(os.Args) + 1)}, nil},
		{State(2), busy, Square(0)},
		{100000, 100000, Square(100000)},
		{io.EOF, io.EOF, nil},
	}, func(n int, c *anything) { Anything(n, c.x, c.y, c.s) }, []row[anything]{
		{`x == nil`, func(c *anything) bool { return c.x == nil }},
		{`x != nil`, func(c *anything) bool { return c.x != nil }},
		{`x == 42`, func(c *anything) bool { return c.x == 42 }},
		{`x != 42`, func(c *anything) bool { return c.x != 42 }},
		{`x == int32(42)`, func(c *anything) bool { return c.x == int32(42) }},
		{`x == "text"`, func(c *anything) bool { return c.x == "text" }},
		{`x == true`, func(c *anything) bool { return c.x == true }},
		{`x == 1.5`, func(c *anything) bool { return c.x == 1.5 }},
		{`x == n`, func(c *anything) bool { return false }},
		{`x == busy`, func(c *anything) bool { return c.x == busy }},
		{`x == y`, func(c *anything) bool { return c.x == c.y }},
		{`x != y`, func(c *anything) bool { return c.x != c.y }},
		{`x.(int) > 41`, func(c *anything) bool { return c.x.(int) > 41 }},
		{`x.(string) == "text"`, func(c *anything) bool { return c.x.(string) == "text" }},
		{`x.(*Point).X == 3`, func(c *anything) bool { return c.x.(*Point).X == 3 }},
		{`x.(Point).Y == 2`, func(c *anything) bool { return c.x.(Point).Y == 2 }},
		{`typeof(x) == "int32"`, func(c *anything) bool { _, ok := c.x.(int32); return ok }},
		{`typeof(x) == "*Point"`, func(c *anything) bool { _, ok := c.x.(*Point); return ok }},
		{`typeof(x) == typeof(y)`, func(c *anything) bool { return c.x != nil && fmt.Sprintf("%T", c.x) == fmt.Sprintf("%T", c.y) }},
		{`hasprefix(x, "te")`, func(c *anything) bool { return strings.HasPrefix(c.x.(string), "te") }},
		{`contains(x, "ex")`, func(c *anything) bool { return strings.Contains(c.x.(string), "ex") }},
		{`s == nil`, func(c *anything) bool { return c.s == nil }},
		{`s.(Square) == 3`, func(c *anything) bool { return c.s.(Square) == 3 }},
		{`s.(*Point).X == 3`, func(c *anything) bool { return c.s.(*Point).X == 3 }},
		{`s == x`, func(c *anything) bool { return c.s == c.x }},
	})
	c, full, none := make(chan int, 4), make(chan int, 2), make(chan int)
	full <- 1
	full <- 2
	c <- 1
	deep := func() *Deep {
		return &Deep{Name: "deep", At: Point{1, 2}, Tags: [2]string{"a", "b"}, Any: 7, Words: []Point{{1, 1}, {2, 2}},
			Grid: [2][3]int{{1, 2, 3}, {4, 5, 6}}, F: 0.5, Shape: Square(2)}
	}
	changed := deep()
	changed.Tags[1] = "c"
	chained := deep()
	chained.Next = &Deep{Name: "next", Next: &Deep{Name: "last"}}
	add("main.Deeply", []deeply{
		{nil, nil, nil, nil, 0},
		{deep(), deep(), c, func() {}, 1},
		{deep(), changed, full, nil, 2},
		{chained, deep(), none, func() {}, -1},
		{&Deep{}, &Deep{}, c, nil, 3},
	}, func(n int, c *deeply) { Deeply(n, c.d, c.e, c.c, c.f, c.i) }, []row[deeply]{
		{`d == nil`, func(c *deeply) bool { return c.d == nil }},
		{`d == e`, func(c *deeply) bool { return c.d == c.e }},
		{`d.Name == "deep"`, func(c *deeply) bool { return c.d.Name == "deep" }},
		{`d.Name == e.Name`, func(c *deeply) bool { return c.d.Name == c.e.Name }},
		{`d.At == e.At`, func(c *deeply) bool { return c.d.At == c.e.At }},
		{`d.Tags == e.Tags`, func(c *deeply) bool { return c.d.Tags == c.e.Tags }},
		{`d.Tags == [2]string{"a", "b"}`, func(c *deeply) bool { return c.d.Tags == [2]string{"a", "b"} }},
		{`d.Tags != e.Tags`, func(c *deeply) bool { return c.d.Tags != c.e.Tags }},
		{`d.Inner == e.Inner`, func(c *deeply) bool { return c.d.Inner == c.e.Inner }},
		{`d.Grid == e.Grid`, func(c *deeply) bool { return c.d.Grid == c.e.Grid }},
		{`d.Grid[1][2] == 6`, func(c *deeply) bool { return c.d.Grid[1][2] == 6 }},
		{`d.Grid[0][i] == 2`, func(c *deeply) bool { return c.d.Grid[0][c.i] == 2 }},
		{`d.Any == 7`, func(c *deeply) bool { return c.d.Any == 7 }},
		{`d.Any == e.Any`, func(c *deeply) bool { return c.d.Any == c.e.Any }},
		{`d.Shape == e.Shape`, func(c *deeply) bool { return c.d.Shape == c.e.Shape }},
		{`d.Next.Name == "next"`, func(c *deeply) bool { return c.d.Next.Name == "next" }},
		{`d.Next.Next.Name == "last"`, func(c *deeply) bool { return c.d.Next.Next.Name == "last" }},
		{`d.Next == nil || d.Next.Next == nil`, func(c *deeply) bool { return c.d.Next == nil || c.d.Next.Next == nil }},
		{`d.Words[0] == d.Words[1]`, func(c *deeply) bool { return c.d.Words[0] == c.d.Words[1] }},
		{`d.Words[i].X == 2`, func(c *deeply) bool { return c.d.Words[c.i].X == 2 }},
		{`len(d.Words) == 2 && cap(d.Words) >= 2`, func(c *deeply) bool { return len(c.d.Words) == 2 }},
		{`len(d.Words[1:]) == 1`, func(c *deeply) bool { return len(c.d.Words[1:]) == 1 }},
		{`d.Words == nil`, func(c *deeply) bool { return c.d.Words == nil }},
		{`d.F == e.F`, func(c *deeply) bool { return c.d.F == c.e.F }},
		{`(*d).Name == ""`, func(c *deeply) bool { return (*c.d).Name == "" }},
		{`uintptr(d) != 0`, func(c *deeply) bool { return c.d != nil }},
		{`c == nil`, func(c *deeply) bool { return c.c == nil }},
		{`len(c) == 2`, func(c *deeply) bool { return len(c.c) == 2 }},
		{`cap(c) == 4`, func(c *deeply) bool { return cap(c.c) == 4 }},
		{`cap(c) > 0 && len(c) == cap(c)`, func(c *deeply) bool { return cap(c.c) > 0 && len(c.c) == cap(c.c) }},
		{`f == nil`, func(c *deeply) bool { return c.f == nil }},
		{`f != nil && i > 0`, func(c *deeply) bool { return c.f != nil && c.i > 0 }},
	})
}
