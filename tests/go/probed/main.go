// Probed makes calls for `inspect --go-probe`: built with the tag probed and what that printed (earshot_probes.go), it says
// of each call what the printed probe captures, as a JSON line.
package main

type Item struct {
	Name  string
	Count int
	Size  float64
}

type Base struct{ ID uint32 }

type Order struct {
	*Base
	User  string
	Items []Item
	Notes map[string]string
	Any   interface{}
	Next  *Order
	Small int8
	Raw   []byte
	Fixed [3]int
	At    struct{ X, Y int32 }
}

// What the printed probe is called with, before the function itself.
var entry func(n int, o *Order, x interface{}, s string, b []byte, i8 int8, m map[string]int)

var kept int

//go:noinline
func Take(n int, o *Order, x interface{}, s string, b []byte, i8 int8, m map[string]int) int {
	if o != nil {
		kept += len(o.User) + int(i8)
	}
	kept += len(s) + len(b) + len(m)
	return kept + n
}

func main() {
	full := &Order{Base: &Base{7}, User: "alice", Items: []Item{{"nut", 3, 1.5}, {"bolt", -4, 2}},
		Notes: map[string]string{"k": "v", "alice": "here"}, Any: 42, Small: -8, Raw: []byte("raw bytes"), Fixed: [3]int{1, 2, 3}}
	full.At.X, full.At.Y = 3, -3
	full.Next = &Order{User: "bob", Any: "text", Small: 100}
	calls := []struct {
		o  *Order
		x  interface{}
		s  string
		b  []byte
		i8 int8
		m  map[string]int
	}{
		{nil, nil, "", nil, 0, nil},
		{full, full, "alice", []byte("alice"), 5, map[string]int{"alice": 1}},
		{full.Next, "a string", "GET /items", []byte{1}, -128, map[string]int{}},
		{&Order{}, 1.5, "x", []byte("xyz"), 127, map[string]int{"x": -1, "y": 2}},
		{full, Item{"nut", 3, 1.5}, "bolt", []byte("b"), -1, map[string]int{"bolt": 9}},
	}
	for n, c := range calls {
		if entry != nil {
			entry(n, c.o, c.x, c.s, c.b, c.i8, c.m)
		}
		Take(n, c.o, c.x, c.s, c.b, c.i8, c.m)
	}
}
