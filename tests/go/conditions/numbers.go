package main

import (
	"math"
	"time"
)

// Numbers of each width, in memory.
type Numbers struct {
	I   int
	I8  int8
	I16 int16
	I32 int32
	I64 int64
	U   uint
	U8  uint8
	U16 uint16
	U32 uint32
	U64 uint64
	P   uintptr
	F32 float32
	F64 float64
	B   bool
	C   complex128
	D   time.Duration
	S   State
}

// A State has names for its values.
type State int8

const (
	idle State = iota
	ready
	busy
)

// Constants and variables of the package, which conditions name.
const (
	limit        = 40
	mask   uint8 = 0x0f
	narrow int16 = -7
)

var (
	threshold         = 40
	ratio             = 0.5
	enabled           = true
	greeting          = "hello"
	origin            = Point{0, 0}
	current   State   = busy
	history   []int   = []int{4, 5, 6}
	pointed   *Point  = &Point{5, 6}
	small     float32 = 0.1
)

//go:noinline
func Integers(n, i int, i8 int8, u8 uint8, i32 int32, u64 uint64, b bool, s State) int {
	kept += keep(n, i, i8, u8, i32, u64, b, s)
	return kept
}

//go:noinline
func Wide(n int, w *Numbers, x *Numbers) int {
	kept += keep(n, w, x)
	return kept
}

type integers struct {
	i   int
	i8  int8
	u8  uint8
	i32 int32
	u64 uint64
	b   bool
	s   State
}

type pair struct{ w, x *Numbers }

func numbers() {
	add("main.Integers", []integers{
		{0, 0, 0, 0, 0, false, idle},
		{40, -128, 255, -7, 1 << 63, true, ready},
		{-40, 127, 200, math.MaxInt32, math.MaxUint64, false, busy},
		{math.MinInt64, -1, 1, math.MinInt32, 1, true, idle},
		{math.MaxInt64, 5, 16, 40, 40, true, busy},
		{7, -5, 65, 'x', 1000, false, 9},
		{41, 64, 0x0f, 3, 3, true, ready},
	}, func(n int, c *integers) { Integers(n, c.i, c.i8, c.u8, c.i32, c.u64, c.b, c.s) }, []row[integers]{
		{`i == 40`, func(c *integers) bool { return c.i == 40 }},
		{`i != 40`, func(c *integers) bool { return c.i != 40 }},
		{`i < -39`, func(c *integers) bool { return c.i < -39 }},
		{`i <= 0`, func(c *integers) bool { return c.i <= 0 }},
		{`i > 0x28`, func(c *integers) bool { return c.i > 0x28 }},
		{`40 >= i`, func(c *integers) bool { return 40 >= c.i }},
		{`i == -9223372036854775808`, func(c *integers) bool { return c.i == math.MinInt64 }},
		{`i8 == -128`, func(c *integers) bool { return c.i8 == -128 }},
		{`i8 > i8 - 1`, func(c *integers) bool { return c.i8 > c.i8-1 }},
		{`u8 + 200 < u8`, func(c *integers) bool { return c.u8+200 < c.u8 }},
		{`u8 == 255`, func(c *integers) bool { return c.u8 == 255 }},
		{`u8 == 'A'`, func(c *integers) bool { return c.u8 == 'A' }},
		{`i32 == 'x'`, func(c *integers) bool { return c.i32 == 'x' }},
		{`i32 * 2 < 0`, func(c *integers) bool { return c.i32*2 < 0 }},
		{`u64 > 9223372036854775807`, func(c *integers) bool { return c.u64 > math.MaxInt64 }},
		{`u64 >= 1000`, func(c *integers) bool { return c.u64 >= 1000 }},
		{`int64(i) == 40`, func(c *integers) bool { return int64(c.i) == 40 }},
		{`int(i8) == i`, func(c *integers) bool { return int(c.i8) == c.i }},
		{`int8(i) == 40`, func(c *integers) bool { return int8(c.i) == 40 }},
		{`uint8(i8) > 127`, func(c *integers) bool { return uint8(c.i8) > 127 }},
		{`uint64(i) == u64`, func(c *integers) bool { return uint64(c.i) == c.u64 }},
		{`int8(u8) < 0`, func(c *integers) bool { return int8(c.u8) < 0 }},
		{`i % 2 == 0`, func(c *integers) bool { return c.i%2 == 0 }},
		{`i % 3 == -1`, func(c *integers) bool { return c.i%3 == -1 }},
		{`u8 % 16 == 0`, func(c *integers) bool { return c.u8%16 == 0 }},
		{`i / 2 == 20`, func(c *integers) bool { return c.i/2 == 20 }},
		{`i8 / -1 == -128`, func(c *integers) bool { k := int8(-1); return c.i8/k == -128 }},
		{`100 / i == 2`, func(c *integers) bool { return 100/c.i == 2 }},
		{`i % int(i8) == 0`, func(c *integers) bool { return c.i%int(c.i8) == 0 }},
		{`u64 / 3 > 13`, func(c *integers) bool { return c.u64/3 > 13 }},
		{`u64 % 10 == 0`, func(c *integers) bool { return c.u64%10 == 0 }},
		{`i + 1 == 41`, func(c *integers) bool { return c.i+1 == 41 }},
		{`i - 1 > i`, func(c *integers) bool { return c.i-1 > c.i }},
		{`i * i == 49`, func(c *integers) bool { return c.i*c.i == 49 }},
		{`-i == 40`, func(c *integers) bool { return -c.i == 40 }},
		{`+i == 7`, func(c *integers) bool { return +c.i == 7 }},
		{`^i == -1`, func(c *integers) bool { return ^c.i == -1 }},
		{`^u8 == 0`, func(c *integers) bool { return ^c.u8 == 0 }},
		{`i & 1 == 1`, func(c *integers) bool { return c.i&1 == 1 }},
		{`u8 | 1 == u8`, func(c *integers) bool { return c.u8|1 == c.u8 }},
		{`u8 ^ 0xff == 0`, func(c *integers) bool { return c.u8^0xff == 0 }},
		{`u8 &^ mask == 0`, func(c *integers) bool { return c.u8&^mask == 0 }},
		{`i << 1 == 80`, func(c *integers) bool { return c.i<<1 == 80 }},
		{`i >> 3 == -5`, func(c *integers) bool { return c.i>>3 == -5 }},
		{`u8 >> 4 == 15`, func(c *integers) bool { return c.u8>>4 == 15 }},
		{`i8 << 1 == 0`, func(c *integers) bool { return c.i8<<1 == 0 }},
		{`1 << u8 == 65536`, func(c *integers) bool { return 1<<c.u8 == 65536 }},
		{`i >> u8 == -1`, func(c *integers) bool { return c.i>>c.u8 == -1 }},
		{`u64 << i8 == 0`, func(c *integers) bool { return c.u64<<c.i8 == 0 }},
		{`i == 7 || i == 41`, func(c *integers) bool { return c.i == 7 || c.i == 41 }},
		{`i > 0 && i < 41 && b`, func(c *integers) bool { return c.i > 0 && c.i < 41 && c.b }},
		{`!(i > 0)`, func(c *integers) bool { return !(c.i > 0) }},
		{`i == 0 || b && i8 == 64`, func(c *integers) bool { return c.i == 0 || c.b && c.i8 == 64 }},
		{`(i == 0 || b) && i8 == 64`, func(c *integers) bool { return (c.i == 0 || c.b) && c.i8 == 64 }},
		{`i + 2 * 3 == 13`, func(c *integers) bool { return c.i+2*3 == 13 }},
		{`(i + 2) * 3 == 27`, func(c *integers) bool { return (c.i+2)*3 == 27 }},
		{`b`, func(c *integers) bool { return c.b }},
		{`!b`, func(c *integers) bool { return !c.b }},
		{`b == true`, func(c *integers) bool { return c.b == true }},
		{`b != (i > 0)`, func(c *integers) bool { return c.b != (c.i > 0) }},
		{`i > limit`, func(c *integers) bool { return c.i > limit }},
		{`i == threshold`, func(c *integers) bool { return c.i == threshold }},
		{`int(i8) < main.limit`, func(c *integers) bool { return int(c.i8) < limit }},
		{`i32 == int32(narrow)`, func(c *integers) bool { return c.i32 == int32(narrow) }},
		{`enabled && b`, func(c *integers) bool { return enabled && c.b }},
		{`i == history[0] * 10`, func(c *integers) bool { return c.i == history[0]*10 }},
		{`s == busy`, func(c *integers) bool { return c.s == busy }},
		{`s != idle`, func(c *integers) bool { return c.s != idle }},
		{`s == current`, func(c *integers) bool { return c.s == current }},
		{`s > main.ready`, func(c *integers) bool { return c.s > ready }},
		{`s == 9`, func(c *integers) bool { return c.s == 9 }},
		{`float64(i) > 6.5`, func(c *integers) bool { return float64(c.i) > 6.5 }},
		{`float64(i) == 9223372036854775808.0`, func(c *integers) bool { return float64(c.i) == 9223372036854775808.0 }},
		{`float32(i32) == 2147483648.0`, func(c *integers) bool { return float32(c.i32) == 2147483648.0 }},
		{`float64(u64) >= 9.2e18`, func(c *integers) bool { return float64(c.u64) >= 9.2e18 }},
		{`float64(i) < ratio`, func(c *integers) bool { return float64(c.i) < ratio }},
	})
	nan, zero := math.NaN(), 0.0
	other := &Numbers{I: 3, F32: 1.5, F64: -0.25, U64: 9, I64: -3, C: complex(1, 2), D: time.Second}
	add("main.Wide", []pair{
		{&Numbers{}, other},
		{&Numbers{I: 3, I16: -1000, U16: 61200, U32: 4e9, I64: -3, U: 5, P: 4096, F32: 1.5, F64: -0.25, C: complex(1, 2), D: 5 * time.Second}, other},
		{&Numbers{F32: float32(nan), F64: nan, C: complex(nan, 0)}, other},
		{&Numbers{F32: float32(-zero), F64: math.Copysign(0, -1), I64: math.MinInt64}, other},
		{&Numbers{F32: float32(math.Inf(1)), F64: math.Inf(-1), U64: math.MaxUint64}, other},
		{&Numbers{F32: math.SmallestNonzeroFloat32, F64: math.SmallestNonzeroFloat64, D: time.Hour}, other},
		{&Numbers{F32: 0.1, F64: 0.1, I64: 1<<53 + 1}, other},
		{&Numbers{F32: -3.99, F64: 3.99, I: -3, U64: 1<<53 + 1}, other},
		{&Numbers{F32: math.MaxFloat32, F64: 1e300, I64: math.MaxInt64}, other},
		{nil, other},
	}, func(n int, c *pair) { Wide(n, c.w, c.x) }, []row[pair]{
		{`w.I16 < -999`, func(c *pair) bool { return c.w.I16 < -999 }},
		{`w.U16 > 61000`, func(c *pair) bool { return c.w.U16 > 61000 }},
		{`w.U32 >= 4000000000`, func(c *pair) bool { return c.w.U32 >= 4000000000 }},
		{`w.U == 5`, func(c *pair) bool { return c.w.U == 5 }},
		{`w.P == 0x1000`, func(c *pair) bool { return c.w.P == 0x1000 }},
		{`w.I == x.I`, func(c *pair) bool { return c.w.I == c.x.I }},
		{`w.F64 > 3.5`, func(c *pair) bool { return c.w.F64 > 3.5 }},
		{`w.F64 == 0`, func(c *pair) bool { return c.w.F64 == 0 }},
		{`w.F64 != w.F64`, func(c *pair) bool { return c.w.F64 != c.w.F64 }},
		{`w.F64 == w.F64`, func(c *pair) bool { return c.w.F64 == c.w.F64 }},
		{`w.F64 < x.F64`, func(c *pair) bool { return c.w.F64 < c.x.F64 }},
		{`w.F64 >= -0.25`, func(c *pair) bool { return c.w.F64 >= -0.25 }},
		{`w.F32 == 0.1`, func(c *pair) bool { return c.w.F32 == 0.1 }},
		{`float64(w.F32) == 0.1`, func(c *pair) bool { return float64(c.w.F32) == 0.1 }},
		{`float32(w.F64) == w.F32`, func(c *pair) bool { return float32(c.w.F64) == c.w.F32 }},
		{`w.F32 == small`, func(c *pair) bool { return c.w.F32 == small }},
		{`w.F32 <= x.F32`, func(c *pair) bool { return c.w.F32 <= c.x.F32 }},
		{`-w.F64 > 0`, func(c *pair) bool { return -c.w.F64 > 0 }},
		{`int(w.F64) == 3`, func(c *pair) bool { return int(c.w.F64) == 3 }},
		{`int64(w.F32) == -3`, func(c *pair) bool { return int64(c.w.F32) == -3 }},
		{`int(w.F32) == 1`, func(c *pair) bool { return int(c.w.F32) == 1 }},
		{`float64(w.I64) == 9007199254740992`, func(c *pair) bool { return float64(c.w.I64) == 9007199254740992 }},
		{`float32(w.F64) > 1e38`, func(c *pair) bool { return float32(c.w.F64) > 1e38 }},
		{`w.C == x.C`, func(c *pair) bool { return c.w.C == c.x.C }},
		{`w.D > 4s`, func(c *pair) bool { return c.w.D > 4*time.Second }},
		{`w.D >= 5*time.Second`, func(c *pair) bool { return c.w.D >= 5*time.Second }},
		{`w.D / 1000000000 == 5`, func(c *pair) bool { return c.w.D/1000000000 == 5 }},
		{`w == nil`, func(c *pair) bool { return c.w == nil }},
		{`w != nil && w.I < 0`, func(c *pair) bool { return c.w != nil && c.w.I < 0 }},
		{`w == x`, func(c *pair) bool { return c.w == c.x }},
		{`*w == *x`, func(c *pair) bool { return *c.w == *c.x }},
		{`1.5 * 2 > 2.5 && n == 0`, func(c *pair) bool { return c.w != nil && *c.w == Numbers{} }},
	})
}
