// Values of every kind, each with the text and the JSON that it must be shown as. Prints where they are, what is
// wanted, and waits: tests/unit/value_test.c reads them from this process's memory.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

type Color int

type Item struct {
	Name  string
	Price float64
	Tags  []string
	ok    bool
}

type Cart struct {
	Owner *User
	Items []Item
	ByID  map[int]*Item
	Err   error
	When  time.Time
	Left  time.Duration
	Extra any
}

type User struct {
	Name string
	Age  uint8
	Boss *User
}

type Pair[K comparable, V any] struct {
	Key K
	Val V
}

type CustomError struct {
	Code int
	Op   string
}

func (e *CustomError) Error() string { return fmt.Sprint(e.Op, e.Code) }

type CodeError int

func (e CodeError) Error() string { return "code" }

type Shape interface{ Area() float64 }
type Square struct{ Side float64 }

func (s Square) Area() float64 { return s.Side * s.Side }

type big struct {
	A [20]int
	S string
}

type empty struct{}

func plain(int) string { return "" }

type value struct {
	v          any
	text, json string
}

var all []value

func add(v any, text, json string) { all = append(all, value{v, text, json}) }

func same(v any) { add(v, fmt.Sprintf("%+v", v), "") }

func scalars() {
	add(true, "true", `{"type":"bool","value":true}`)
	add(false, "false", "")
	add(-5, "-5", `{"type":"int","value":-5}`)
	add(int8(-8), "int8(-8)", `{"type":"int8","value":-8}`)
	add(int16(-300), "int16(-300)", "")
	add(int32(1<<31-1), "int32(2147483647)", "")
	add(int64(math.MinInt64), "int64(-9223372036854775808)", `{"type":"int64","value":-9223372036854775808}`)
	add(uint8(200), "uint8(200)", "")
	add(uint16(65535), "uint16(65535)", "")
	add(uint32(1<<32-1), "uint32(4294967295)", "")
	add(uint64(math.MaxUint64), "uint64(18446744073709551615)", "")
	add(uintptr(77), "uintptr(77)", "")
	add(Color(3), "main.Color(3)", `{"type":"main.Color","value":3}`)
	add(time.Month(3), "time.Month(3)", "")
	add(complex(1, -2), "(1-2i)", `{"type":"complex128","value":"(1-2i)"}`)
	add(complex64(complex(0.5, 2)), "complex64((0.5+2i))", "")
	add(nil, "<nil>", "null")
	add(unsafe.Pointer(nil), "unsafe.Pointer(<nil>)", "")
}

func floats() {
	for _, f := range []float64{0, 1, -1, 0.1, 1e5, 123456, 1e6, 1234567, 2147483647, 1e20, 1e21, 0.0001, 0.00001, 5e-324,
		math.MaxFloat64, math.Pi, -1.5, 100, 3e10, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)} {
		same(f)
		add(float32(f), fmt.Sprintf("float32(%v)", float32(f)), "")
	}
	add(math.Inf(1), "+Inf", `{"type":"float64","value":"+Inf"}`)
	add(1e6, "1e+06", `{"type":"float64","value":1e+06}`)
	r := rand.New(rand.NewSource(1))
	for i := 0; i < 500; i++ {
		same(math.Float64frombits(r.Uint64()))
		f := math.Float32frombits(r.Uint32())
		add(f, fmt.Sprintf("float32(%v)", f), "")
		same(float64(r.Intn(1000000)) / 100)
	}
}

func texts() {
	add("", `""`, `{"type":"string","value":""}`)
	add("héllo \"w\"\n\x01\xff", `"héllo \"w\"\n\x01\xff"`, "")
	add(strings.Repeat("x", 300), `"`+strings.Repeat("x", 256)+`"…+44`, "")
	add([]byte("bytes"), `[]uint8("bytes")`, `{"type":"[]uint8","value":"bytes"}`)
	add([]byte{0xff, 0x00, 0x10}, `[]uint8(0xff0010)`, `{"type":"[]uint8","value":{"hex":"ff0010"}}`)
	add([]byte{}, `[]uint8("")`, `{"type":"[]uint8","value":""}`)
	add([]byte(nil), "[]uint8(<nil>)", `{"type":"[]uint8","value":null}`)
}

func lists() {
	add([]int{1, 2, 3}, "[]int[1 2 3]", `{"type":"[]int","value":[1,2,3]}`)
	add([]int(nil), "[]int(<nil>)", `{"type":"[]int","value":null}`)
	add([]int{}, "[]int[]", `{"type":"[]int","value":[]}`)
	add(make([]int, 100), "[]int["+strings.Repeat("0 ", 64)+"…+36]", "")
	add([]string{"a", "b"}, `[]string["a" "b"]`, `{"type":"[]string","value":["a","b"]}`)
	add([3]Color{1, 2, 3}, "[3]main.Color[1 2 3]", "")
	add([2][]string{{"a"}, nil}, `[2][]string[["a"] <nil>]`, "")
	add([][]int{{1}, {2, 3}}, "[][]int[[1] [2 3]]", "")
	add([]any{1, "x", nil, []int{7}}, `[]interface {}[1 "x" <nil> []int[7]]`, "")
	add([]empty{{}, {}}, "[]main.empty[{} {}]", "")
	add([0]int{}, "[0]int[]", `{"type":"[0]int","value":[]}`)
	add([]any{[0]int{}, empty{}, [3]empty{}}, "[]interface {}[[0]int[] main.empty{} [3]main.empty[{} {} {}]]", "")
	add(make([]big, 2), `[]main.big[{A:[`+strings.TrimSpace(strings.Repeat("0 ", 20))+`] S:""} {A:[`+
		strings.TrimSpace(strings.Repeat("0 ", 20))+`] S:""}]`, "")
}

func structs() {
	boss := &User{"ann", 50, nil}
	boss.Boss = boss
	item := Item{"pen", 1.5, []string{"red", "new"}, true}
	add(item, `main.Item{Name:"pen" Price:1.5 Tags:["red" "new"] ok:true}`,
		`{"type":"main.Item","value":{"Name":"pen","Price":1.5,"Tags":["red","new"],"ok":true}}`)
	add(&item, `&main.Item{Name:"pen" Price:1.5 Tags:["red" "new"] ok:true}`,
		`{"type":"*main.Item","value":{"Name":"pen","Price":1.5,"Tags":["red","new"],"ok":true}}`)
	add(&User{"bob", 3, nil}, `&main.User{Name:"bob" Age:3 Boss:<nil>}`, "")
	add(boss, fmt.Sprintf(`&main.User{Name:"ann" Age:50 Boss:<cycle 0x%x>}`, unsafe.Pointer(boss)), "")
	add(Pair[string, int]{"k", 2}, `main.Pair[string,int]{Key:"k" Val:2}`, "")
	add(Pair[Color, []User]{1, []User{{"x", 1, nil}}}, `main.Pair[main.Color,[]main.User]{Key:1 Val:[{Name:"x" Age:1 Boss:<nil>}]}`,
		"")
	add(empty{}, "main.empty{}", `{"type":"main.empty","value":{}}`)
	add(&empty{}, "&main.empty{}", "")
	n := 5
	p := &n
	add(&p, "&&5", "")
	add(struct {
		A int
		B string
	}{1, "b"}, `struct { A int; B string }{A:1 B:"b"}`, "")
	when := time.Date(2024, 2, 29, 12, 30, 15, 123456789, time.UTC)
	add(Cart{Items: []Item{item}, ByID: map[int]*Item{7: &item}, Err: io.EOF, When: when, Left: 1500 * time.Millisecond, Extra: Color(9)},
		`main.Cart{Owner:<nil> Items:[{Name:"pen" Price:1.5 Tags:["red" "new"] ok:true}] `+
			`ByID:map[7:&{Name:"pen" Price:1.5 Tags:["red" "new"] ok:true}] Err:"EOF" `+
			`When:2024-02-29T12:30:15.123456789Z Left:1.5s Extra:main.Color(9)}`,
		`{"type":"main.Cart","value":{"Owner":null,"Items":[{"Name":"pen","Price":1.5,"Tags":["red","new"],"ok":true}],`+
			`"ByID":{"7":{"Name":"pen","Price":1.5,"Tags":["red","new"],"ok":true}},"Err":"EOF",`+
			`"When":"2024-02-29T12:30:15.123456789Z","Left":"1.5s","Extra":{"type":"main.Color","value":9}}}`)
}

func maps() {
	add(map[string]int{"b": 2, "a": 1}, `map[string]int["a":1 "b":2]`, `{"type":"map[string]int","value":{"a":1,"b":2}}`)
	add(map[string]int(nil), "map[string]int(<nil>)", `{"type":"map[string]int","value":null}`)
	add(map[string]int{}, "map[string]int[]", `{"type":"map[string]int","value":{}}`)
	add(map[any]string{1: "i", "s": "t", 2.5: "f"}, "", "")
	add(map[float64]bool{2.5: true, -1: false, math.Inf(-1): true}, "map[float64]bool[-Inf:true -1:false 2.5:true]", "")
	add(map[[2]string]Item{{"x", "y"}: {Name: "n"}}, `map[[2]string]main.Item[["x" "y"]:{Name:"n" Price:0 Tags:<nil> ok:false}]`, "")
	add(map[[40]int]big{{}: {S: "large"}}, "map[[40]int]main.big[["+strings.TrimSpace(strings.Repeat("0 ", 40))+"]:{A:["+
		strings.TrimSpace(strings.Repeat("0 ", 20))+`] S:"large"}]`, "")
	add(map[bool]empty{true: {}}, "map[bool]main.empty[true:{}]", "")
	add(map[string]map[string]any{"o": {"i": []string{"v"}}}, `map[string]map[string]interface {}["o":map["i":[]string["v"]]]`, "")
	for n := 1; n <= 60; n++ {
		m := map[int]int{}
		for i := 0; i < n; i++ {
			m[i*7] = i
		}
		add(m, "map[int]int"+strings.TrimPrefix(fmt.Sprint(m), "map"), "")
		for i := 0; i < n; i += 3 {
			delete(m, i*7)
		}
		all[len(all)-1].text = "map[int]int" + strings.TrimPrefix(fmt.Sprint(m), "map")
	}
	large := map[int]string{}
	for i := 0; i < 5000; i++ {
		large[i] = "v"
	}
	add(large, "", "")
}

func interfaces() {
	var s Shape = Square{2}
	shapes := []Shape{s, &Square{3}, nil}
	add(shapes, "[]main.Shape[main.Square{Side:2} &main.Square{Side:3} <nil>]", "")
	wrapped := fmt.Errorf("while reading: %w", io.ErrUnexpectedEOF)
	add([]error{errors.New("plain"), wrapped, nil}, `[]error["plain" "while reading: unexpected EOF" <nil>]`,
		`{"type":"[]error","value":["plain","while reading: unexpected EOF",null]}`)
	add(errors.New("plain"), `"plain"`, `"plain"`)
	add([]error{&CustomError{5, "get"}, CodeError(4)}, `[]error[&main.CustomError{Code:5 Op:"get"} main.CodeError(4)]`,
		`{"type":"[]error","value":[{"type":"*main.CustomError","value":{"Code":5,"Op":"get"}},{"type":"main.CodeError","value":4}]}`)
	_, err := os.Open("/nowhere/at all")
	add([]error{err}, fmt.Sprintf("[]error[%q]", err.Error()), "")
	add([]error{syscall.ECONNREFUSED, syscall.EIO, syscall.Errno(4095), syscall.EAGAIN},
		`[]error["connection refused" "input/output error" "errno 4095" "resource temporarily unavailable"]`, "")
	add([]error{os.NewSyscallError("bind", syscall.EADDRINUSE)}, `[]error["bind: address already in use"]`, "")
	for i := syscall.Errno(1); i <= 132; i++ {
		if i != syscall.ESTALE { // once called a "stale NFS file handle"
			add(i, fmt.Sprintf("%q", i.Error()), "")
		}
	}
	add(any(os.ErrNotExist), `"file does not exist"`, `"file does not exist"`)
}

func others() {
	c := make(chan int, 10)
	c <- 1
	c <- 2
	add(c, fmt.Sprintf("chan int(0x%x(2/10))", *(*uintptr)(unsafe.Pointer(&c))),
		fmt.Sprintf(`{"type":"chan int","value":{"chan":"%p","len":2,"cap":10}}`, c))
	add(struct{ F func(int) string }{plain}, "struct { F func(int) string }{F:main.plain}", "")
	n := 1
	add(struct{ F func() }{func() { n++ }}, "struct { F func() }{F:main.others.func1}", "")
	add(struct{ F func() }{}, "struct { F func() }{F:<nil>}", "")
	local := time.FixedZone("CEST", 7200)
	for _, t := range []time.Time{{}, time.Unix(0, 0).UTC(), time.Date(1999, 12, 31, 23, 59, 59, 999000000, time.UTC),
		time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1600, 2, 29, 1, 2, 3, 4, time.UTC), time.Date(2400, 12, 31, 0, 0, 0, 0, time.UTC)} {
		add(t, t.UTC().Format(time.RFC3339Nano), "")
	}
	now := time.Now().UTC()
	add(now, now.Format(time.RFC3339Nano), "")
	at := time.Date(2024, 7, 1, 12, 0, 0, 0, local)
	add(at, "2024-07-01T12:00:00+02:00 CEST", `{"type":"time.Time","value":"2024-07-01T12:00:00+02:00 CEST"}`)
	add(at.In(time.FixedZone("", -16200)), "2024-07-01T05:30:00-04:30", "")
	add(time.Date(2024, 1, 1, 0, 10, 0, 5, time.FixedZone("LMT", 1234)), "2024-01-01T00:10:00.000000005+00:20:34 LMT", "")
	add(at.In(&time.Location{}), "2024-07-01T10:00:00Z", "")
	add(&now, "&"+now.Format(time.RFC3339Nano), "")
	for _, d := range []time.Duration{0, 1, 999, 1000, 1500, 1000000, 1234567, 1e9, 1500 * time.Millisecond, time.Minute, time.Hour,
		90 * time.Minute, 100*time.Hour + 1, -5 * time.Second, math.MinInt64, math.MaxInt64} {
		add(d, d.String(), "")
	}
}

type box struct{ V any }

// boxed puts it into as many boxes as are opened.
func boxed(v any) (any, string, string) {
	text, json := "", ""
	for i := 0; i < 5; i++ {
		v = box{v}
		text, json = "main.box{V:"+text, `{"type":"main.box","value":{"V":`+json
	}
	return v, text, json
}

// What is deeper than values are followed, and where there is no memory.
func unfollowed() {
	inner := any(70000)
	at := (*[2]uintptr)(unsafe.Pointer(&inner))[1]
	v, text, json := boxed(inner)
	add(v, fmt.Sprintf("%sint(at 0x%x)}}}}}", text, at), fmt.Sprintf(`%s{"type":"int","at":"0x%x"}}}}}}}}}}}`, json, at))
	n := 5
	v, text, json = boxed(&n)
	add(v, fmt.Sprintf("%s*int(%p)}}}}}", text, &n), fmt.Sprintf(`%s{"type":"*int","value":{"at":"%p"}}}}}}}}}}}}`, json, &n))
	v, text, json = boxed((*int)(nil))
	add(v, text+"*int(<nil>)}}}}}", json+`{"type":"*int","value":null}}}}}}}}}}}`)
	v, text, json = boxed(empty{})
	add(v, text+"main.empty{}}}}}}", json+`{"type":"main.empty","value":{}}}}}}}}}}}}`)
	nowhere := (*int)(unsafe.Pointer(uintptr(0x10000)))
	add(nowhere, "*int(0x10000 <unreadable: unreadable memory>)",
		`{"type":"*int","value":{"unreadable":"unreadable memory","at":"0x10000"}}`)
	add(struct{ P *int }{nowhere}, "struct { P *int }{P:0x10000 <unreadable: unreadable memory>}", "")
	add(unsafe.Pointer(nowhere), "unsafe.Pointer(0x10000)", `{"type":"unsafe.Pointer","value":"0x10000"}`)
}

// As cgo names C's char.
type _Ctype_char int8

func cText(s string) *_Ctype_char {
	b := append([]byte(s), 0, 'x')
	return (*_Ctype_char)(unsafe.Pointer(&b[0]))
}

func cTexts() {
	type holder struct{ T *_Ctype_char }
	add(holder{cText("hällo \"C\"")}, `main.holder{T:"hällo \"C\""}`, `{"type":"main.holder","value":{"T":"hällo \"C\""}}`)
	add(holder{cText("")}, `main.holder{T:""}`, "")
	add(holder{nil}, `main.holder{T:<nil>}`, "")
	add(holder{cText(strings.Repeat("x", 300))}, `main.holder{T:"`+strings.Repeat("x", 256)+`"…}`,
		`{"type":"main.holder","value":{"T":{"value":"`+strings.Repeat("x", 256)+`","truncated":true}}}`)
	add(holder{(*_Ctype_char)(unsafe.Pointer(uintptr(0x10000)))}, "main.holder{T:0x10000 <unreadable: unreadable memory>}", "")
	add(_Ctype_char(65), "main._Ctype_char(65)", "")
	if page, err := syscall.Mmap(-1, 0, 2*os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE); err == nil {
		end := os.Getpagesize()
		syscall.Mprotect(page[end:], syscall.PROT_NONE)
		copy(page[end-20:], "before an end\x00")
		add(holder{(*_Ctype_char)(unsafe.Pointer(&page[end-20]))}, `main.holder{T:"before an end"}`, "")
	}
}

func main() {
	scalars()
	floats()
	texts()
	lists()
	structs()
	maps()
	interfaces()
	others()
	unfollowed()
	cTexts()
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintf(out, "%d\n", len(all))
	for i := range all {
		fmt.Fprintf(out, "0x%x\t%s\t%s\n", unsafe.Pointer(&all[i].v), all[i].text, all[i].json)
	}
	out.Flush()
	io.ReadAll(os.Stdin)
}
