package main

import (
	"errors"
	"fmt"
	"time"
)

// What conditions, actions and aggregates are asked of.

type Item struct {
	SKU   string
	Count int
	Price *float64
}

//go:noinline
func Login(n int, user string, vip bool, p *Person, items []Item, attrs map[string]string, any interface{}) (id int, err error) {
	if n%5 == 0 {
		return 0, errors.New("denied " + user)
	}
	if n%7 == 0 {
		return -n, &CodeError{n, user}
	}
	return n * 100, nil
}

//go:noinline
func Sleeper(n int, for_ time.Duration) (slept bool) {
	if for_ > 0 {
		time.Sleep(for_)
	}
	return for_ > 0
}

// Numbers has every width and sign in memory and in registers, for comparisons.
type Widths struct {
	I8  int8
	U8  uint8
	I16 int16
	U16 uint16
	I32 int32
	U32 uint32
	I64 int64
	U64 uint64
	F32 float32
	F64 float64
	S   string
	B   bool
}

//go:noinline
func Compared(n int, w *Widths, small int8, large uint64) (back int) { return n }

var users = []string{"alice", "bob", "carol", "al", "malice", ""}

func login(n int) {
	user, vip := users[n%len(users)], n%3 == 0
	var p *Person
	if n%4 != 0 {
		p = person(user, n)
	}
	if n%4 == 3 {
		p.Addr = nil
	}
	var items []Item
	for i := 0; i < n%6; i++ {
		items = append(items, Item{SKU: fmt.Sprint("sku-", i+n%2), Count: i})
	}
	attrs := map[string]string{"n": fmt.Sprint(n)}
	if n%2 == 0 {
		attrs["role"] = []string{"admin", "guest"}[n/2%2]
	}
	var any interface{} = n
	switch n % 3 {
	case 1:
		any = user
	case 2:
		any = &Point{int32(n), 0}
	}
	x := given("main.Login", "n", &n, "user", &user, "vip", &vip, "p", &p, "items", &items, "attrs", &attrs, "any", &any)
	id, err := Login(n, user, vip, p, items, attrs, any)
	x.gave("id", &id, "err", &err)
}

func compared(n int) {
	w := &Widths{int8(n - 20), uint8(n * 7), int16(n*1000 - 20000), uint16(n * 1700), int32(n*100000000 - 2000000000),
		uint32(n * 110000000), int64(n-20) << 58, uint64(n) << 58, float32(n) / 4, float64(n-20) / 8,
		users[n%len(users)], n&1 == 1}
	small, large := int8(n-20), uint64(n)<<58
	x := given("main.Compared", "n", &n, "w", &w, "small", &small, "large", &large)
	back := Compared(n, w, small, large)
	x.gave("back", &back)
}

// Callers of one function, for caller and stack.
//
//go:noinline
func viaFirst(n int) { login(n) }

//go:noinline
func viaSecond(n int) { login(n) }

// tiny is inlined wherever it is called.
func tiny(n int) int { return n*3 + 1 }

//go:noinline
func Tinies(n int) (sum int) {
	for i := 0; i < n; i++ {
		sum += tiny(i)
	}
	return sum + tiny(n)
}

func numbered(f func(n int)) func(count int) map[string]interface{} {
	return func(count int) map[string]interface{} {
		for n := 0; n < count; n++ {
			f(n)
		}
		return nil
	}
}

func init() {
	scenarios["login"] = numbered(login)
	scenarios["compared"] = numbered(compared)
	scenarios["callers"] = numbered(func(n int) {
		if n%3 == 0 {
			viaFirst(n)
		} else {
			viaSecond(n)
		}
	})
	scenarios["sleep"] = numbered(func(n int) {
		var d time.Duration
		if n%4 == 3 {
			d = 60 * time.Millisecond
		}
		x := given("main.Sleeper", "n", &n, "for_", &d)
		slept := Sleeper(n, d)
		x.gave("slept", &slept)
	})
	scenarios["tiny"] = numbered(func(n int) {
		x := given("main.Tinies", "n", &n)
		sum := Tinies(n)
		x.gave("sum", &sum)
	})
	// Nothing is written for these: they are many.
	scenarios["quiet"] = func(count int) map[string]interface{} {
		failed := 0
		for n := 0; n < count; n++ {
			if _, err := Login(n, users[n%len(users)], n%3 == 0, nil, nil, nil, nil); err != nil {
				failed++
			}
		}
		return map[string]interface{}{"failed": failed}
	}
}
