package main

type Point struct{ X, Y int32 }

type Key struct {
	Kind byte
	ID   int64
}

type Named struct {
	Name string
	N    int
}

type Maps struct {
	Text   map[string]int
	Int    map[int]string
	I8     map[int8]int
	U16    map[uint16]int
	I32    map[int32]int
	U64    map[uint64]bool
	Bool   map[bool]int
	Point  map[Point]string
	Key    map[Key]int
	Named  map[Named]int
	Bytes  map[[4]byte]int
	ID     map[[16]byte]int
	State  map[State]int
	Ptr    map[*Point]int
	Nested map[string]map[int]string
	Struct map[int]Point
	To     map[int]*Point
}

//go:noinline
func Lookups(n int, m *Maps, id int, name string, small int8, p Point, k *Key, q *Point) int {
	kept += keep(n, m, id, name, small, p, k, q)
	return kept
}

type lookups struct {
	m     *Maps
	id    int
	name  string
	small int8
	p     Point
	k     *Key
	q     *Point
}

var somewhere = &Point{9, 9}

func someMaps(size int) *Maps {
	m := &Maps{Text: map[string]int{}, Int: map[int]string{}, I8: map[int8]int{}, U16: map[uint16]int{}, I32: map[int32]int{},
		U64: map[uint64]bool{}, Bool: map[bool]int{}, Point: map[Point]string{}, Key: map[Key]int{}, Named: map[Named]int{},
		Bytes: map[[4]byte]int{}, ID: map[[16]byte]int{}, State: map[State]int{}, Ptr: map[*Point]int{},
		Nested: map[string]map[int]string{}, Struct: map[int]Point{}, To: map[int]*Point{}}
	names := []string{"alice", "bob", "carol", "dave", ""}
	for i := 0; i < size; i++ {
		m.Text[names[i%5]] += i
		m.Int[i*7-7] = names[i%5]
		m.I8[int8(i-3)] = i
		m.U16[uint16(i*1000)] = i
		m.I32[int32(i-20)] = i
		m.U64[uint64(i)<<40] = i%2 == 0
		m.Bool[i%2 == 0] = i
		m.Point[Point{int32(i), int32(-i)}] = names[i%5]
		m.Key[Key{byte(i), int64(i) * 100}] = i
		m.Named[Named{names[i%5], i}] = i
		m.Bytes[[4]byte{byte(i), 2}] = i
		m.ID[[16]byte{0: byte(i), 15: 7}] = i
		m.State[State(i)] = i
		m.Struct[i] = Point{int32(i), 1}
		m.To[i] = &Point{int32(i), 2}
	}
	if size > 0 {
		m.Ptr[somewhere] = 99
		m.Nested["alice"] = map[int]string{1: "one", 2: "two"}
	}
	return m
}

func maps() {
	add("main.Lookups", []lookups{
		{someMaps(0), 0, "alice", 0, Point{}, &Key{}, nil},
		{someMaps(1), 0, "alice", -3, Point{}, &Key{}, somewhere},
		{someMaps(5), 7, "bob", 1, Point{2, -2}, &Key{3, 300}, somewhere},
		{someMaps(20), 14, "carol", 2, Point{11, -11}, &Key{19, 1900}, &Point{}},
		{someMaps(30), -7, "", 3, Point{2, 2}, &Key{1, 2}, nil},
		{someMaps(8), 21, "dave", -128, Point{1, -1}, nil, somewhere},
		{&Maps{}, 7, "bob", 1, Point{2, -2}, &Key{3, 300}, somewhere},
		{nil, 7, "bob", 1, Point{2, -2}, &Key{3, 300}, somewhere},
	}, func(n int, c *lookups) { Lookups(n, c.m, c.id, c.name, c.small, c.p, c.k, c.q) }, []row[lookups]{
		{`m.Text["bob"] > 0`, func(c *lookups) bool { v, ok := c.m.Text["bob"]; return ok && v > 0 }},
		{`m.Text[""] == 4`, func(c *lookups) bool { v, ok := c.m.Text[""]; return ok && v == 4 }},
		{`m.Text[name] > 0`, func(c *lookups) bool { v, ok := c.m.Text[c.name]; return ok && v > 0 }},
		{`m.Text[name[:3]] == 1`, func(c *lookups) bool { v, ok := c.m.Text[c.name[:3]]; return ok && v == 1 }},
		{`m.Int[7] == "carol"`, func(c *lookups) bool { v, ok := c.m.Int[7]; return ok && v == "carol" }},
		{`m.Int[-7] == "alice"`, func(c *lookups) bool { v, ok := c.m.Int[-7]; return ok && v == "alice" }},
		{`m.Int[id] == name`, func(c *lookups) bool { v, ok := c.m.Int[c.id]; return ok && v == c.name }},
		{`m.Int[id+7] != ""`, func(c *lookups) bool { v, ok := c.m.Int[c.id+7]; return ok && v != "" }},
		{`m.Int[limit-5] == "bob"`, func(c *lookups) bool { v, ok := c.m.Int[limit-5]; return ok && v == "bob" }},
		{`m.I8[-3] == 0`, func(c *lookups) bool { v, ok := c.m.I8[-3]; return ok && v == 0 }},
		{`m.I8[small] == 4`, func(c *lookups) bool { v, ok := c.m.I8[c.small]; return ok && v == 4 }},
		{`m.U16[3000] == 3`, func(c *lookups) bool { v, ok := c.m.U16[3000]; return ok && v == 3 }},
		{`m.I32[-20] == 0`, func(c *lookups) bool { v, ok := c.m.I32[-20]; return ok && v == 0 }},
		{`m.U64[0x20000000000]`, func(c *lookups) bool { return c.m.U64[0x20000000000] }},
		{`m.Bool[true] == 4`, func(c *lookups) bool { v, ok := c.m.Bool[true]; return ok && v == 4 }},
		{`m.Bool[id == 7] == 4`, func(c *lookups) bool { v, ok := c.m.Bool[c.id == 7]; return ok && v == 4 }},
		{`m.Point[p] == "carol"`, func(c *lookups) bool { v, ok := c.m.Point[c.p]; return ok && v == "carol" }},
		{`m.Point[Point{1, -1}] == "bob"`, func(c *lookups) bool { v, ok := c.m.Point[Point{1, -1}]; return ok && v == "bob" }},
		{`m.Point[Point{Y: -3, X: 3}] == "dave"`, func(c *lookups) bool { v, ok := c.m.Point[Point{Y: -3, X: 3}]; return ok && v == "dave" }},
		{`m.Key[*k] == 3`, func(c *lookups) bool { v, ok := c.m.Key[*c.k]; return ok && v == 3 }},
		{`m.Key[Key{19, 1900}] == 19`, func(c *lookups) bool { v, ok := c.m.Key[Key{19, 1900}]; return ok && v == 19 }},
		{`m.Named[Named{name, 2}] == 2`, func(c *lookups) bool { v, ok := c.m.Named[Named{c.name, 2}]; return ok && v == 2 }},
		{`m.Bytes[[4]byte{3, 2}] == 3`, func(c *lookups) bool { v, ok := c.m.Bytes[[4]byte{3, 2}]; return ok && v == 3 }},
		{`m.State[busy] == 2`, func(c *lookups) bool { v, ok := c.m.State[busy]; return ok && v == 2 }},
		{`m.Ptr[q] == 99`, func(c *lookups) bool { v, ok := c.m.Ptr[c.q]; return ok && v == 99 }},
		{`m.Nested["alice"][2] == "two"`, func(c *lookups) bool { return c.m.Nested["alice"][2] == "two" }},
		{`m.Struct[3].X == 3`, func(c *lookups) bool { return c.m.Struct[3].X == 3 }},
		{`m.To[2].Y == 2`, func(c *lookups) bool { return c.m.To[2].Y == 2 }},
		{`m.To[2] != nil`, func(c *lookups) bool { return c.m.To[2] != nil }},
		{`len(m.Int) == 5`, func(c *lookups) bool { return len(c.m.Int) == 5 }},
		{`m.Int == nil`, func(c *lookups) bool { return c.m.Int == nil }},
		{`(p == Point{2, -2})`, func(c *lookups) bool { return c.p == Point{2, -2} }},
		{`p != (Point{X: 2, Y: -2})`, func(c *lookups) bool { return c.p != Point{X: 2, Y: -2} }},
		{`p == origin`, func(c *lookups) bool { return c.p == origin }},
		{`*q == *somewhere`, func(c *lookups) bool { return *c.q == *somewhere }},
		{`q == somewhere`, func(c *lookups) bool { return c.q == somewhere }},
		{`(*k == Key{3, 300})`, func(c *lookups) bool { return *c.k == Key{3, 300} }},
		{`p.X == -p.Y && p.X > pointed.X`, func(c *lookups) bool { return c.p.X == -c.p.Y && c.p.X > pointed.X }},
	})
}
