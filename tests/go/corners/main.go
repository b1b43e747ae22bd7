// Command corners calls functions with values at the edges of what can be shown: without bytes, nil and empty, too deep,
// where no memory is, in C's way, of other time zones. It prints, as one JSON line, how the times must be shown, and
// calls until its standard input ends.
package main

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"time"
	_ "time/tzdata"
	"unsafe"
)

type empty struct{}

type secret struct{ n int }

type deep struct {
	A any
	P *int
	E empty
	Z [0]int
	S []int
	B []byte
	Q unsafe.Pointer
}

type holder struct {
	T *text
	P *int
}

var sink int

//go:noinline
func use(n int) { sink += n }

//go:noinline
func zero(a int, e empty, z [0]int, s struct{}) (empty, int) {
	use(a)
	use(a + 1)
	return e, a
}

//go:noinline
func nils(s []int, m map[string]int, b []byte) int {
	use(len(s) + len(m) + len(b))
	return len(s) + len(m) + len(b)
}

//go:noinline
func far(d *deep, a any, p *int) int {
	if d != nil && a != nil && p != nil {
		use(*p)
	}
	use(1)
	return 1
}

//go:noinline
func nowhere(p *int, h *holder) int {
	if p == h.P {
		use(2)
	}
	return 2
}

//go:noinline
func ctext(s *text) int {
	if s != nil {
		use(3)
	}
	return 3
}

//go:noinline
func when(name string, t time.Time) int {
	use(len(name))
	return t.Nanosecond()
}

//go:noinline
func hidden(m map[string]secret) int {
	use(len(m))
	return len(m)
}

func cText(s string) *text {
	b := append([]byte(s), 0, 'x')
	return (*text)(unsafe.Pointer(&b[0]))
}

// otherHalf is the first day from t on with another offset, which is not that of the program's start.
func otherHalf(t time.Time) time.Time {
	_, now := t.Zone()
	for _, other := t.Zone(); other == now; _, other = t.Zone() {
		t = t.AddDate(0, 0, 10)
	}
	return t
}

func times() map[string]time.Time {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	now := time.Now().Round(0)
	return map[string]time.Time{
		"zero": {}, "utc": now.UTC(), "berlin": now.In(berlin), "monotonic": time.Now().In(berlin),
		"fixed": now.In(time.FixedZone("X", -12345)), "unnamed": now.In(time.FixedZone("", 3600)),
		"old": time.Date(1812, 1, 2, 3, 4, 5, 6, time.FixedZone("EAST", 8*3600+1800)), "other half": otherHalf(now.In(berlin)),
		"midnight": time.Date(2023, 12, 31, 23, 30, 0, 0, time.UTC).In(time.FixedZone("NEXT", 3600)),
		"no zones": now.In(&time.Location{}),
	}
}

// shown is how a time must be shown: by its location's clock, but for the half year that is not in the location's cache.
func shown(name string, t time.Time) string {
	switch place := t.Location().String(); {
	case name == "other half":
		return t.UTC().Format(time.RFC3339Nano)
	case name == "fixed": // RFC 3339 has no seconds in an offset
		return t.Format("2006-01-02T15:04:05.999999999") + "-03:25:45 " + place
	case place == "" || place == "UTC":
		return t.Format(time.RFC3339Nano)
	default:
		return t.Format(time.RFC3339Nano) + " " + place
	}
}

func main() {
	all, want, n, other := times(), map[string]string{}, 5, 6
	for name, t := range all {
		want[name] = shown(name, t)
	}
	json.NewEncoder(os.Stdout).Encode(want)
	ended := make(chan bool)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	nowhereAt, elsewhere := (*int)(unsafe.Pointer(uintptr(0x10000))), (*int)(unsafe.Pointer(uintptr(0x20000)))
	for {
		zero(1, empty{}, [0]int{}, struct{}{})
		nils(nil, nil, nil)
		nils([]int{}, map[string]int{}, []byte{})
		nils([]int{1}, map[string]int{"a": 1}, []byte("b"))
		d := &deep{A: 77, P: &other, Q: unsafe.Pointer(&n)}
		far(d, any(d), &n)
		far(nil, any(300), nil)
		far(nil, any(empty{}), nil)
		far(nil, any((*int)(nil)), nil)
		nowhere(nowhereAt, &holder{cText("in a struct"), elsewhere})
		ctext(cText("hällo \"C\""))
		ctext(cText(""))
		ctext(nil)
		ctext((*text)(unsafe.Pointer(nowhereAt)))
		ctext(cText(long))
		hidden(make(map[string]secret))
		hidden(nil)
		for name, t := range all {
			when(name, t)
		}
		select {
		case <-ended:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

var long = strings.Repeat("y", 1000)
