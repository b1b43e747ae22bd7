// Calls a function with contexts of every kind, and tells before each call where they lie: for tests/unit/contexts_test.c.
//
// A line is "case NAME FLAGS ADDRESS… END": FLAGS has an i for each link that is an object of its own, p for each that was
// reached through a pooled one. What is printed comes from Go's own words of an interface, and from how the contexts were
// made; nothing here knows how Earshot finds them.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// ---- contexts of a program's own ----

type embeds struct {
	context.Context
	n int
}

type behind struct {
	name string
	n    [3]int
	context.Context
}

type inner struct {
	n int
	context.Context
}

// A pointer by form: an interface holds it in its data word.
type shaped struct{ *inner }

type named struct {
	n      int
	parent context.Context
}

func (c *named) Deadline() (t time.Time, ok bool) { return }
func (c *named) Done() <-chan struct{}            { return nil }
func (c *named) Err() error                       { return nil }
func (c *named) Value(key any) any                { return nil }

type several struct {
	named
	a, b context.Context
}

func (c *several) Value(key any) any { return c.a }

// As gin.Context: pooled, and its parent is the request's context.
type handles struct {
	pad     [4]uintptr
	Request *http.Request
}

func (c *handles) Deadline() (t time.Time, ok bool) { return }
func (c *handles) Done() <-chan struct{}            { return nil }
func (c *handles) Err() error                       { return nil }
func (c *handles) Value(key any) any                { return nil }

type wrapsHandles struct{ *handles }

type rooted struct {
	name string
	left *rooted
}

func (c *rooted) Deadline() (t time.Time, ok bool) { return }
func (c *rooted) Done() <-chan struct{}            { return nil }
func (c *rooted) Err() error                       { return nil }
func (c *rooted) Value(key any) any                { return nil }

type plain struct{ n int }

func (c *plain) Deadline() (t time.Time, ok bool) { return }
func (c *plain) Done() <-chan struct{}            { return nil }
func (c *plain) Err() error                       { return nil }
func (c *plain) Value(key any) any                { return nil }

type wider interface {
	context.Context
	Extra() int
}

func (c *embeds) Extra() int { return c.n }

type holdsWider struct {
	n int
	wider
}

// Tells who waits for it, so that context makes a stopCtx of it.
type tells struct{ context.Context }

func (c *tells) Done() <-chan struct{}          { return make(chan struct{}) }
func (c *tells) AfterFunc(f func()) func() bool { return func() bool { return false } }
func (c *tells) Value(key any) any              { return nil }

// ---- what is true ----

const (
	root    = "root"
	unknown = "unknown"
	long    = "long"
)

type chain struct {
	ctx   context.Context
	links []uintptr // the nearest first
	flags string
	end   string
}

func words(ctx context.Context) [2]uintptr { return *(*[2]uintptr)(unsafe.Pointer(&ctx)) }

// The chain with one more context before it, which was made of it.
func (c chain) made(ctx context.Context) chain {
	return chain{ctx, append([]uintptr{words(ctx)[1]}, c.links...), "i" + c.flags, c.end}
}

// Everything from here on was reached through a pooled object.
func (c chain) pooled() chain {
	flags := ""
	for range c.flags {
		flags += "p"
	}
	return chain{c.ctx, c.links, flags, c.end}
}

func (c chain) cut() chain {
	if len(c.links) > 64 {
		return chain{c.ctx, c.links[:64], c.flags[:64], long}
	}
	return c
}

type key int

func (c chain) values(n int) chain {
	for i := 0; i < n; i++ {
		c = c.made(context.WithValue(c.ctx, key(i), i))
	}
	return c
}

// ---- what is called ----

var sink int

//go:noinline
func add(n int) { sink += n }

//go:noinline
func join(n int, ctx context.Context) { add(n) }

//go:noinline
func joinPointer(n int, c *embeds) { add(n) }

//go:noinline
func done() { add(1) }

var cases int

func tell(name string, c chain) {
	c = c.cut()
	fmt.Printf("case %s %s.", name, c.flags)
	for _, l := range c.links {
		fmt.Printf(" %#x", l)
	}
	fmt.Println("", c.end)
	cases++
}

func call(name string, c chain) {
	tell(name, c)
	join(cases, c.ctx)
	done()
	runtime.KeepAlive(c.ctx)
}

func makers() {
	background := chain{context.Background(), nil, "", root}
	call("background", background)
	call("todo", chain{context.TODO(), nil, "", root})
	call("nil", chain{nil, nil, "", root})
	call("typed-nil", chain{(*embeds)(nil), nil, "", root})

	three := background.values(3)
	call("values", three)
	cancel, stop := context.WithCancel(three.ctx)
	defer stop()
	call("cancel", three.made(cancel))
	timer, stop2 := context.WithTimeout(cancel, time.Hour)
	defer stop2()
	two := three.made(cancel).made(timer)
	call("timer", two)
	call("without-cancel", two.made(context.WithoutCancel(timer)))
	call("without-cancel-of-it", two.made(context.WithoutCancel(timer)).values(2))

	t := &tells{timer}
	told := two.made(t)
	stopping, stop3 := context.WithCancel(t)
	defer stop3()
	held := (*[2]unsafe.Pointer)(unsafe.Pointer(&stopping))[1]
	kept := (*[2]uintptr)(held)[1] // the stopCtx, in the cancelCtx's first field
	told.links = append([]uintptr{words(stopping)[1], kept}, told.links...)
	told.flags = "ii" + told.flags
	told.ctx = stopping
	call("stop", told)
	context.AfterFunc(timer, func() {})
	call("after-func", two)

	call("embeds", two.made(&embeds{timer, 1}))
	call("embeds-value", two.made(embeds{timer, 1}))
	call("embeds-behind", two.made(&behind{Context: timer}))
	call("embeds-behind-value", two.made(behind{Context: timer}).values(1))
	in := &inner{1, timer}
	call("pointer-shaped", two.made(shaped{in}))
	call("pointer-to-shaped", two.made(&shaped{in}).values(1))
	call("named", two.made(&named{1, timer}))
	call("wider", two.made(&embeds{timer, 2}).made(&holdsWider{3, &embeds{timer, 2}}).skip(1, &embeds{timer, 2}))

	call("several", chain{nil, nil, "", unknown}.made(&several{a: timer, b: cancel}).pooled())
	call("rooted", chain{nil, nil, "", unknown}.made(&rooted{name: "x"}).pooled())
	call("plain", chain{nil, nil, "", root}.made(&plain{1}).pooled())

	request, _ := http.NewRequestWithContext(timer, "GET", "http://x/", nil)
	h := &handles{Request: request}
	call("handles", two.made(h).pooled())
	call("handles-below", two.made(h).pooled().values(2))
	call("wraps-handles", two.made(wrapsHandles{h}).pooled())
	call("handles-nothing", chain{nil, nil, "", root}.made(&handles{}).pooled())

	call("64", background.values(64))
	call("65", background.values(65))
	call("100", background.values(100))
	call("1000", background.values(1000))
	loop := &named{n: 1}
	loop.parent = loop
	round := chain{loop, nil, "", long}
	for i := 0; i < 64; i++ {
		round = round.made(loop)
	}
	call("cycle", round)

	e := &embeds{timer, 4}
	tell("concrete", two.made(e))
	joinPointer(cases, e)
	done()
}

// The chain whose second link is that of another object than was made.
func (c chain) skip(i int, ctx context.Context) chain {
	w := c.ctx.(*holdsWider)
	c.links[i] = words(w.wider)[1]
	return c
}

// ---- goroutines ----

func calls(name string, wait <-chan struct{}, out *sync.WaitGroup) {
	defer out.Done()
	<-wait
	join(0, nil)
	_ = name
}

// With one P: what began after the call on this goroutine is told apart from all that began before.
func goroutines() {
	runtime.GOMAXPROCS(1)
	var early, late sync.WaitGroup
	go_, now := make(chan struct{}), make(chan struct{})
	close(now)
	for i := 0; i < 40; i++ {
		early.Add(1)
		go calls("early", go_, &early)
	}
	fmt.Println("goroutines")
	join(-1, nil)
	for i := 0; i < 40; i++ {
		late.Add(1)
		go calls("late", now, &late)
	}
	late.Wait()
	join(-2, nil)
	close(go_)
	early.Wait()
	join(-3, nil)
}

func main() {
	in := bufio.NewReader(os.Stdin)
	fmt.Println("ready")
	for {
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
		cases = 0
		makers()
		goroutines()
		fmt.Println("end")
	}
}
