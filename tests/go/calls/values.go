package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"time"
)

// One function for each kind of value. None may be inlined; each gives back
// something that tells it was called with what we think.

type Geo struct{ Lat, Lon float64 }

type Address struct {
	Street string
	Zip    int
	Geo    *Geo
}

type Person struct {
	Name  string
	Age   int
	Addr  *Address
	Tags  []string
	Notes map[string]string
	inner struct {
		secret uint16
		flag   bool
	}
}

type Link struct {
	Value int
	Next  *Link
}

type Tree struct {
	Left, Right *Tree
	Key         string
}

type Point struct{ X, Y int32 }

type Level int

func (l Level) String() string { return [...]string{"low", "mid", "high"}[l%3] }

type Wide struct {
	A, B, C, D, E, F, G, H int64
	I                      [3]uint16
	J                      string
}

type CodeError struct {
	Code int
	Why  string
}

func (e *CodeError) Error() string { return fmt.Sprintf("code %d: %s", e.Code, e.Why) }

type PlainError struct{ What string }

func (e PlainError) Error() string { return "plain " + e.What }

type Shape interface{ Area() int }
type Square struct{ Side int }
type Rect struct{ W, H int }

func (s Square) Area() int { return s.Side * s.Side }
func (r *Rect) Area() int  { return r.W * r.H }

var steps int

// What the functions below call, so that they have a frame and a stack check, as most have in real programs.
//
//go:noinline
func step() { steps++ }

//go:noinline
func Signed(a int8, b int16, c int32, d int64, e int) (sum int64) {
	step()
	return int64(a) + int64(b) + int64(c) + d + int64(e)
}

//go:noinline
func Unsigned(a uint8, b uint16, c uint32, d uint64, e uint, f uintptr) (sum uint64) {
	step()
	return uint64(a) + uint64(b) + uint64(c) + d + uint64(e) + uint64(f)
}

//go:noinline
func Bools(a bool, b bool, c bool) (all bool, none bool) {
	all, none = a && b && c, !a && !b && !c
	step() // after it, so that both wait in the frame
	return all, none
}

//go:noinline
func Floats(n int, a float32, b float64) (r float64) {
	step()
	return float64(a) + b + float64(n)*0
}

//go:noinline
func FloatsBehind(p *Geo, list []float32) (n int) {
	step()
	return len(list)
}

//go:noinline
func Complexes(n int, a complex64, b complex128) (r complex128) {
	step()
	return complex128(a) + b
}

//go:noinline
func halved(f float64) float64 { return f / 2 }

//go:noinline
func FloatsThrough(n int, a float32, b float64, c complex64) (r float64, s float32, t complex64) {
	return halved(b), a, c
}

//go:noinline
func Strings(a string, b string) (joined string, n int) { return a + b, len(a) + len(b) }

//go:noinline
func Bytes(a []byte, b [4]byte) (c []byte) { return append([]byte(nil), a...) }

//go:noinline
func Slices(ints []int, texts []string, points []Point, nested [][]int8) (last []string) {
	step()
	return texts[len(texts)/2:]
}

//go:noinline
func Arrays(a [3]int, b [2]string, c [1]bool, d [2]Point) (n int) {
	step()
	if c[0] { // the one that comes in a register: saved for a restart because it is used
		n++
	}
	return n + a[0] + len(b[0])
}

//go:noinline
func Structs(p Point, person Person, w Wide) (q Point) {
	step()
	return Point{p.Y, p.X}
}

//go:noinline
func Pointers(n *int, s *string, p *Person, pp **int) (found bool) {
	step()
	return n != nil
}

//go:noinline
func Cycles(l *Link, t *Tree) (depth int) {
	for i := 0; l != nil && i < 3; i++ {
		depth, l = depth+1, l.Next
	}
	step()
	return depth
}

//go:noinline
func Maps(a map[string]int, b map[int]string, c map[Point]bool) (n int) {
	step()
	return len(a) + len(b) + len(c)
}

//go:noinline
func MapsOfMore(a map[string]Person, b map[uint8]*Point, c map[string][]int, d map[interface{}]error) (n int) {
	step()
	return len(a) + len(b) + len(c)
}

//go:noinline
func Interfaces(n int, a interface{}, s Shape) (b interface{}) {
	step()
	return a
}

//go:noinline
func Errors(n int, given error) (err error) {
	step()
	return given
}

//go:noinline
func Channels(c chan int, d <-chan string, e chan<- struct{}) (n int) {
	n = len(c)
	step()
	return n
}

//go:noinline
func Funcs(n int, f func(int) int, g func()) (r int) { return f(n) }

//go:noinline
func Times(at time.Time, d time.Duration) (later time.Time, half time.Duration) {
	return at.Add(d), d / 2
}

//go:noinline
func Named(l Level, m fs.FileMode) (next Level) {
	step()
	return l + 1
}

//go:noinline
func Variadic(first int, rest ...string) (n int) {
	step()
	return first + len(rest)
}

//go:noinline
func (p Point) Moved(by int32) (q Point) {
	step()
	return Point{p.X + by, p.Y + by}
}

//go:noinline
func (p *Person) Rename(to string) (before string) {
	before, p.Name = p.Name, to
	step()
	return before
}

//go:noinline
func Many(a, b, c, d, e, f, g, h, i, j, k, l int, s, t string, u int8, v *Point) (x, y, z int, w string) {
	step()
	return a + l, len(s), int(u), t
}

// Leaves of a few instructions, without a frame.
//
//go:noinline
func Nothing() {}

//go:noinline
func LeafSum(a, b int) (sum int) { return a + b }

//go:noinline
func LeafHalf(f float64) (half float64) { return f / 2 }

//go:noinline
func Unnamed(int, string) (int, error) {
	step()
	return 1, nil
}

//go:noinline
func Generic[T any](n int, x T, list []T) (y T) {
	y = x
	if n < len(list) {
		y = list[n]
	}
	step()
	return y
}

//go:noinline
func GenericPair[K comparable, V any](m map[K]V, k K) (v V, ok bool) {
	v, ok = m[k]
	return v, ok
}

func double(n int) int { return n * 2 }

//go:noinline
func makeAdder(by int, label string) func(int) int {
	return func(n int) int { return n + by + len(label) }
}

// Called through Apply, so that it is a closure with a captured variable that is traced.
//
//go:noinline
func makeCounter(start int, name string) func(step int) int {
	return func(by int) int {
		start += by
		sum := start + len(name)
		step()
		return sum
	}
}

func person(name string, n int) *Person {
	p := &Person{Name: name, Age: 30 + n, Addr: &Address{"Main Street", 10000 + n, &Geo{1.5, -2.25}},
		Tags: []string{"a", name}, Notes: map[string]string{"k": name}}
	p.inner.secret, p.inner.flag = 7, true
	return p
}

func numbers(n int) map[string]int {
	m := map[string]int{}
	for i := 0; i < n; i++ {
		m[fmt.Sprintf("key-%04d", i)] = i * 3
	}
	return m
}

func integers() {
	for _, c := range []struct {
		a int8
		b int16
		c int32
		d int64
		e int
	}{{}, {1, 2, 3, 4, 5}, {-1, -2, -3, -4, -5},
		{math.MinInt8, math.MinInt16, math.MinInt32, math.MinInt64, math.MinInt},
		{math.MaxInt8, math.MaxInt16, math.MaxInt32, math.MaxInt64, math.MaxInt}} {
		x := given("main.Signed", "a", &c.a, "b", &c.b, "c", &c.c, "d", &c.d, "e", &c.e)
		r := Signed(c.a, c.b, c.c, c.d, c.e)
		x.gave("sum", &r)
	}
	for _, c := range []struct {
		a uint8
		b uint16
		c uint32
		d uint64
		e uint
		f uintptr
	}{{}, {1, 2, 3, 4, 5, 6}, {math.MaxUint8, math.MaxUint16, math.MaxUint32, math.MaxUint64, math.MaxUint, math.MaxUint64}} {
		x := given("main.Unsigned", "a", &c.a, "b", &c.b, "c", &c.c, "d", &c.d, "e", &c.e, "f", &c.f)
		r := Unsigned(c.a, c.b, c.c, c.d, c.e, c.f)
		x.gave("sum", &r)
	}
	for i := 0; i < 8; i++ {
		a, b, c := i&1 != 0, i&2 != 0, i&4 != 0
		x := given("main.Bools", "a", &a, "b", &b, "c", &c)
		all, none := Bools(a, b, c)
		x.gave("all", &all, "none", &none)
	}
}

func floats() {
	for i, f := range []float64{0, 1.5, -2.25, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1),
		math.MaxFloat64, math.SmallestNonzeroFloat64, 0.1} {
		a, n := float32(f), i
		x := given("main.Floats", "n", &n, "a", &a, "b", &f)
		r := Floats(n, a, f)
		x.gave("r", &r)

		p, list := &Geo{f, -f}, []float32{a, 1, float32(math.Pi)}
		x = given("main.FloatsBehind", "p", &p, "list", &list)
		m := FloatsBehind(p, list)
		x.gave("n", &m)

		c, d := complex(a, 2), complex(f, -1)
		x = given("main.Complexes", "n", &n, "a", &c, "b", &d)
		s := Complexes(n, c, d)
		x.gave("r", &s)

		x = given("main.FloatsThrough", "n", &n, "a", &a, "b", &f, "c", &c)
		h, u, v := FloatsThrough(n, a, f, c)
		x.gave("r", &h, "s", &u, "t", &v)
	}
}

func leaves() {
	for i := 0; i < 10; i++ {
		a, b, f := i, -2*i, float64(i)
		x := given("main.LeafSum", "a", &a, "b", &b)
		sum := LeafSum(a, b)
		x.gave("sum", &sum)

		x = given("main.LeafHalf", "f", &f)
		half := LeafHalf(f)
		x.gave("half", &half)

		given("main.Nothing").call(Nothing)
	}
}

func texts() {
	for _, s := range []string{"", "a", "alice", "with \"quotes\" and \\ and \n and \t", "ünïcödé € 日本", "\xff\xfe not UTF-8 \xc3",
		strings.Repeat("long ", 60), strings.Repeat("€", 3000), "nul \x00 inside"} {
		t := s + "!"
		x := given("main.Strings", "a", &s, "b", &t)
		joined, n := Strings(s, t)
		x.gave("joined", &joined, "n", &n)

		b, four := []byte(s), [4]byte{1, 2, 254, 255}
		x = given("main.Bytes", "a", &b, "b", &four)
		c := Bytes(b, four)
		x.gave("c", &c)
	}
	var none []byte
	four := [4]byte{}
	x := given("main.Bytes", "a", &none, "b", &four)
	c := Bytes(none, four)
	x.gave("c", &c)
}

func lists() {
	for n := 0; n < 12; n++ {
		var ints []int
		var words []string
		var points []Point
		var nested [][]int8
		if n == 1 {
			ints, words, points, nested = []int{}, []string{}, []Point{}, [][]int8{}
		}
		for i := 0; n > 1 && i < n; i++ {
			ints, words = append(ints, i-3), append(words, strings.Repeat("w", i))
			points, nested = append(points, Point{int32(i), -int32(i)}), append(nested, make([]int8, i%3))
		}
		x := given("main.Slices", "ints", &ints, "texts", &words, "points", &points, "nested", &nested)
		last := Slices(ints, words, points, nested)
		x.gave("last", &last)

		a, b, c := [3]int{n, -n, 1 << 40}, [2]string{"", fmt.Sprint(n)}, [1]bool{n&1 == 0}
		d := [2]Point{{1, 2}, {int32(n), 4}}
		x = given("main.Arrays", "a", &a, "b", &b, "c", &c, "d", &d)
		m := Arrays(a, b, c, d)
		x.gave("n", &m)
	}
}

func structs() {
	for n := 0; n < 5; n++ {
		p, who := Point{int32(n), -5}, person(fmt.Sprint("p", n), n)
		if n == 0 {
			who = &Person{}
		}
		w := Wide{1, 2, 3, 4, 5, 6, 7, int64(-n), [3]uint16{9, 8, 7}, "wide"}
		x := given("main.Structs", "p", &p, "person", who, "w", &w)
		q := Structs(p, *who, w)
		x.gave("q", &q)

		x = given("main.Point.Moved", "p", &p, "by", &p.X)
		q = p.Moved(p.X)
		x.gave("q", &q)

		to := who.Name + "!"
		x = given("main.(*Person).Rename", "p", &who, "to", &to)
		before := who.Rename(to)
		x.gave("before", &before)
	}
}

func pointers() {
	number, text := 42, "pointed at"
	to := &number
	for _, c := range []struct {
		n  *int
		s  *string
		p  *Person
		pp **int
	}{{}, {&number, &text, person("alice", 1), &to}, {&number, nil, &Person{Name: "empty"}, nil}} {
		x := given("main.Pointers", "n", &c.n, "s", &c.s, "p", &c.p, "pp", &c.pp)
		found := Pointers(c.n, c.s, c.p, c.pp)
		x.gave("found", &found)
	}
	ring := &Link{Value: 1}
	ring.Next = &Link{2, ring}
	self := &Link{Value: 9}
	self.Next = self
	chain := &Link{1, &Link{2, &Link{3, nil}}}
	tree := &Tree{&Tree{nil, nil, "l"}, &Tree{&Tree{nil, nil, "rl"}, nil, "r"}, "root"}
	for _, l := range []*Link{nil, ring, self, chain} {
		x := given("main.Cycles", "l", &l, "t", &tree)
		depth := Cycles(l, tree)
		x.gave("depth", &depth)
	}
}

func maps() {
	var nilMap map[string]int
	for _, n := range []int{-1, 0, 1, 3, 8, 20, 1000} {
		a, b, c := numbers(n), map[int]string{}, map[Point]bool{}
		for i := 0; i < n; i++ {
			b[i*7-20] = fmt.Sprint("v", i)
			c[Point{int32(i), int32(-i)}] = i&1 == 0
		}
		if n < 0 {
			a, b, c = nilMap, nil, nil
		}
		x := given("main.Maps", "a", &a, "b", &b, "c", &c)
		r := Maps(a, b, c)
		x.gave("n", &r)
	}
	// Holes, and maps that are growing: filled to just behind a doubling.
	for n := 5; n < 60; n += 9 {
		a := numbers(n)
		for i := 0; i < n; i += 3 {
			delete(a, fmt.Sprintf("key-%04d", i))
		}
		b := map[int]string{}
		x := given("main.Maps", "a", &a, "b", &b, "c", new(map[Point]bool))
		r := Maps(a, b, nil)
		x.gave("n", &r)
	}
	a := map[string]Person{"alice": *person("alice", 0), "bob": {Name: "bob"}}
	b := map[uint8]*Point{0: nil, 255: {1, 2}}
	c := map[string][]int{"": nil, "a": {1, 2, 3}}
	d := map[interface{}]error{1: nil, "two": errors.New("two")}
	x := given("main.MapsOfMore", "a", &a, "b", &b, "c", &c, "d", &d)
	r := MapsOfMore(a, b, c, d)
	x.gave("n", &r)
}

func interfaces() {
	var nilPerson *Person
	for n, a := range []interface{}{nil, 1, int8(-1), uint16(65535), true, 2.5, float32(0.5), "text", []int{1, 2}, []string(nil),
		Point{1, 2}, &Point{3, 4}, person("alice", 1), nilPerson, map[string]int{"a": 1}, [2]string{"x", "y"}, double,
		errors.New("in any"), time.Second, Level(1), struct{}{}, complex(1, 2), make(chan int, 3)} {
		var s Shape
		switch n % 3 {
		case 1:
			s = Square{n}
		case 2:
			s = &Rect{n, 2}
		}
		x := given("main.Interfaces", "n", &n, "a", &a, "s", &s)
		b := Interfaces(n, a, s)
		x.gave("b", &b)
	}
}

func errs() {
	base := errors.New("base")
	for n, given_ := range []error{nil, base, fmt.Errorf("wrapped: %w", base), fmt.Errorf("only text %d", 1),
		&CodeError{404, "not found"}, PlainError{"value"}, fmt.Errorf("outer: %w", &CodeError{1, "in"}), fs.ErrNotExist,
		&fs.PathError{Op: "open", Path: "/none", Err: fs.ErrNotExist}, errors.New(strings.Repeat("e", 300))} {
		x := given("main.Errors", "n", &n, "given", &given_)
		err := Errors(n, given_)
		x.gave("err", &err)
	}
}

func others() {
	c, d, e := make(chan int, 5), make(chan string), make(chan struct{}, 1)
	c <- 1
	c <- 2
	var receive <-chan string = d
	var send chan<- struct{} = e
	x := given("main.Channels", "c", &c, "d", &receive, "e", &send)
	n := Channels(c, receive, send)
	x.gave("n", &n)

	for i, f := range []func(int) int{double, makeAdder(5, "label"), func(n int) int { return -n }} {
		var g func()
		if i > 0 {
			g = Nothing
		}
		x := given("main.Funcs", "n", &i, "f", &f, "g", &g)
		r := Funcs(i, f, g)
		x.gave("r", &r)
	}
	for i, at := range []time.Time{{}, time.Unix(0, 0), time.Date(2024, 2, 29, 23, 59, 59, 123456789, time.UTC), time.Now(),
		time.Now().Round(0), time.Date(1969, 7, 20, 20, 17, 40, 0, time.FixedZone("", -4*3600))} {
		d := []time.Duration{0, 1, 1500 * time.Microsecond, time.Hour + 30*time.Minute, -time.Second, math.MaxInt64 / 2}[i]
		x := given("main.Times", "at", &at, "d", &d)
		later, half := Times(at, d)
		x.gave("later", &later, "half", &half)
	}
	for i := Level(0); i < 3; i++ {
		m := fs.FileMode(0644)
		x := given("main.Named", "l", &i, "m", &m)
		next := Named(i, m)
		x.gave("next", &next)
	}
	for i := 0; i < 4; i++ {
		var rest []string
		for k := 0; k < i; k++ {
			rest = append(rest, fmt.Sprint(k))
		}
		x := given("main.Variadic", "first", &i, "rest", &rest)
		n := Variadic(i, rest...)
		x.gave("n", &n)
	}
}

func (x *expectation) call(f func()) {
	f()
	x.gave()
}

func many() {
	for i := 0; i < 5; i++ {
		a, l, s, t, u, v, p := i, -i, fmt.Sprint("s", i), "stack", int8(-i), Point{1, int32(i)}, &Point{}
		b, c, d, e, f, g, h, j, k, m := 2, 3, 4, 5, 6, 7, 8, 1<<62, -11, 9
		*p = v
		x := given("main.Many", "a", &a, "b", &b, "c", &c, "d", &d, "e", &e, "f", &f, "g", &g, "h", &h, "i", &m,
			"j", &j, "k", &k, "l", &l, "s", &s, "t", &t, "u", &u, "v", &p)
		rx, ry, rz, rw := Many(a, b, c, d, e, f, g, h, m, j, k, l, s, t, u, p)
		x.gave("x", &rx, "y", &ry, "z", &rz, "w", &rw)
	}
	for i := 0; i < 3; i++ {
		s := fmt.Sprint(i)
		x := given("main.Unnamed", "arg0", &i, "arg1", &s)
		n, err := Unnamed(i, s)
		x.gave("ret0", &n, "ret1", &err)
	}
}

func generic[T any](n int, v T, list []T) {
	x := given("main.Generic[...]", "n", &n, "x", &v, "list", &list)
	y := Generic(n, v, list)
	x.gave("y", &y)
}

func pair[K comparable, V any](m map[K]V, k K) {
	x := given("main.GenericPair[...]", "m", &m, "k", &k)
	v, ok := GenericPair(m, k)
	x.gave("v", &v, "ok", &ok)
}

func generics() {
	generic(0, 7, []int{1, 2, 3})
	generic(5, int8(-7), []int8{1})
	generic(1, "text", []string{"a", "b"})
	generic(0, Point{1, 2}, []Point{{3, 4}})
	generic(3, &Point{1, 2}, []*Point{nil})
	generic(0, &Address{Street: "s"}, []*Address{})
	pair(map[string]int{"a": 1}, "a")
	pair(map[int]Point{1: {2, 3}}, 1)
	pair(map[Point]string{{1, 1}: "x"}, Point{})
}

func closures() {
	count := makeCounter(10, "abc")
	for i := 0; i < 5; i++ {
		x := given("main.makeCounter.func1", "by", &i)
		r := count(i)
		x.gave("ret0", &r)
	}
}

func init() {
	for name, f := range map[string]func(){"integers": integers, "floats": floats, "leaves": leaves, "texts": texts, "lists": lists,
		"structs": structs, "pointers": pointers, "maps": maps, "interfaces": interfaces, "errors": errs, "others": others,
		"many": many, "generics": generics, "closures": closures} {
		f := f
		scenarios[name] = func(count int) map[string]interface{} {
			for i := 0; i < count; i++ {
				f()
			}
			return nil
		}
	}
}
