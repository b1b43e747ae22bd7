package main

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// How calls come and go: recursion, stacks that grow, goroutines that are
// switched, panics, Goexit.

//go:noinline
func Recursive(n int) (sum int) {
	if n == 0 {
		return 0
	}
	return n + Recursive(n-1)
}

//go:noinline
func Fib(n int) (f int) {
	if n < 2 {
		return n
	}
	return Fib(n-1) + Fib(n-2)
}

//go:noinline
func Ping(n int, id int) (r int) {
	if n == 0 {
		return id
	}
	return Pong(n-1, id) + 1
}

//go:noinline
func Pong(n int, id int) (r int) {
	if n == 0 {
		return id
	}
	return Ping(n-1, id) + 1
}

// Deep's frames are large, so that the stack grows ten times on the way down, while
// text points into it and moves along.
//
//go:noinline
func Deep(n int, text string, p *int) (sum int, same string) {
	var room [32]int
	for i := range room {
		room[i] = n + i
	}
	if n > 0 {
		sum, _ = Deep(n-1, text, &room[n%32])
	}
	return sum + room[n%32] - n%32 + *p - *p, text
}

//go:noinline
func Switches(id int, c chan int) (twice int) {
	runtime.Gosched()
	n := <-c
	for i := 0; i < 3; i++ {
		runtime.Gosched()
	}
	return n * 2
}

//go:noinline
func Recovers(n int) (r int, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = -n, fmt.Errorf("recovered: %v", p)
		}
	}()
	if n%2 == 1 {
		panic(fmt.Sprint("odd ", n))
	}
	return n, nil
}

//go:noinline
func Throws(n int) (r int) {
	if n%3 != 0 {
		panic(errors.New("thrown"))
	}
	return n
}

//go:noinline
func Between(n int) (r int) { return Throws(n) + 1 }

//go:noinline
func Catches(n int) (r int) {
	defer func() {
		if recover() != nil {
			r = -1
		}
	}()
	return Between(n) + 1
}

//go:noinline
func Deferred(n int) (r int) {
	if n > 0 {
		panic("in a deferred function")
	}
	return n
}

//go:noinline
func NestedPanic(n int) (r int) {
	defer func() { Deferred(n) }()
	panic("first")
}

// Repanics recovers and panics again.
//
//go:noinline
func Repanics(n int) (r int) {
	defer func() { panic(recover()) }()
	panic(n)
}

// Ignores uses no argument: morestack is called without saving them.
//
//go:noinline
func Ignores(n int, text string) (r int) { return ignored() + 1000 }

//go:noinline
func ignored() int { return len(scenarios) }

//go:noinline
func Exits(n int) (r int) {
	defer func() {
		Recursive(3)
	}()
	runtime.Goexit()
	return n
}

//go:noinline
func UnderExit(n int) (r int) { return Exits(n) + 1 }

func swallow(f func()) {
	defer func() { recover() }()
	f()
}

type Inner struct{ N int }

//go:noinline
func (i *Inner) Get(by int) (n int) { return i.N + by }

// Outer's Get is a wrapper that jumps to Inner's.
type Outer struct{ *Inner }

type Getter interface{ Get(by int) int }

// What is in it is not known where it is called.
//
//go:noinline
func asGetter(o *Outer) Getter { return o }

// Busy is what the load calls; it checks itself.
//
//go:noinline
func Busy(id int, text string) (sum int) {
	for i := 0; i < len(text); i++ {
		sum += int(text[i])
	}
	return sum + id
}

//go:noinline
func Grows(n int) (r int) {
	var room [64]int
	if n == 0 {
		return 1
	}
	room[n%64] = n
	return Grows(n-1) + room[n%64] - n
}

type load struct {
	stop          chan struct{}
	done          sync.WaitGroup
	calls, wrong  int64
	panics, deeps int64
}

var loads load

func (l *load) worker(id int) {
	defer l.done.Done()
	text := fmt.Sprint("worker ", id)
	want := Busy(0, text)
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		for i := 0; i < 100; i++ {
			if Busy(i, text) != want+i {
				atomic.AddInt64(&l.wrong, 1)
			}
		}
		atomic.AddInt64(&l.calls, 100)
		if Catches(1) != -1 || Catches(3) != 5 {
			atomic.AddInt64(&l.wrong, 1)
		}
		ran := make(chan int)
		go func() { ran <- Grows(100) }()
		if <-ran != 1 {
			atomic.AddInt64(&l.wrong, 1)
		}
		atomic.AddInt64(&l.deeps, 1)
		time.Sleep(time.Millisecond)
	}
}

// collecting runs the garbage collector over and over, which also shrinks stacks.
func collecting(f func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	}()
	f()
	close(stop)
	<-stopped
}

func each(count int, f func(n int)) map[string]interface{} {
	for n := 0; n < count; n++ {
		f(n)
	}
	return nil
}

// together runs f in count goroutines at once.
func together(count int, f func(n int)) {
	var all sync.WaitGroup
	all.Add(count)
	for n := 0; n < count; n++ {
		go func(n int) {
			defer all.Done()
			f(n)
		}(n)
	}
	all.Wait()
}

func init() {
	scenarios["recursive"] = func(count int) map[string]interface{} {
		return each(count, func(n int) { Recursive(n) })
	}
	scenarios["fib"] = func(count int) map[string]interface{} {
		return map[string]interface{}{"result": Fib(count)}
	}
	scenarios["mutual"] = func(count int) map[string]interface{} {
		together(count, func(n int) { Ping(10, n*1000) })
		return nil
	}
	scenarios["deep"] = func(count int) map[string]interface{} {
		collecting(func() {
			together(2, func(n int) {
				p := n
				Deep(count, fmt.Sprint("goroutine ", n), &p)
			})
		})
		return nil
	}
	scenarios["switches"] = func(count int) map[string]interface{} {
		c := make(chan int)
		go func() {
			for n := 0; n < count; n++ {
				c <- n
			}
		}()
		var sum int64
		together(count, func(n int) { atomic.AddInt64(&sum, int64(Switches(n, c))) })
		return map[string]interface{}{"sum": sum}
	}
	scenarios["recovers"] = func(count int) map[string]interface{} {
		return each(count, func(n int) {
			x := given("main.Recovers", "n", &n)
			r, err := Recovers(n)
			x.gave("r", &r, "err", &err)
		})
	}
	scenarios["catches"] = func(count int) map[string]interface{} {
		return each(count, func(n int) { Catches(n) })
	}
	scenarios["nested"] = func(count int) map[string]interface{} {
		return each(count, func(n int) { swallow(func() { NestedPanic(n) }) })
	}
	scenarios["repanics"] = func(count int) map[string]interface{} {
		return each(count, func(n int) { swallow(func() { Repanics(n) }) })
	}
	scenarios["ignores"] = func(count int) map[string]interface{} {
		return each(count, func(n int) { Ignores(n, "ignored") })
	}
	scenarios["exits"] = func(count int) map[string]interface{} {
		together(count, func(n int) { UnderExit(n) })
		return nil
	}
	scenarios["wrapper"] = func(count int) map[string]interface{} {
		g := asGetter(&Outer{&Inner{1000}})
		return each(count, func(n int) {
			if g.Get(n) != 1000+n {
				panic("wrong")
			}
		})
	}
	scenarios["load-on"] = func(count int) map[string]interface{} {
		loads = load{stop: make(chan struct{})}
		loads.done.Add(count)
		for id := 0; id < count; id++ {
			go loads.worker(id)
		}
		return nil
	}
	scenarios["load-off"] = func(int) map[string]interface{} {
		close(loads.stop)
		loads.done.Wait()
		return map[string]interface{}{"calls": loads.calls, "wrong": loads.wrong, "deep": loads.deeps}
	}
	// Calls at a steady pace in the background, until load-off: a call a millisecond or so.
	scenarios["pace"] = func(count int) map[string]interface{} {
		loads = load{stop: make(chan struct{})}
		loads.done.Add(1)
		go func() {
			defer loads.done.Done()
			for n := 0; ; n++ {
				select {
				case <-loads.stop:
					return
				case <-time.After(time.Second / time.Duration(count)):
					Login(n, users[n%len(users)], n%3 == 0, nil, nil, nil, nil)
					loads.calls++
				}
			}
		}()
		return nil
	}
	// As many calls as this core can make, until load-off: what a budget is for.
	scenarios["hot"] = func(count int) map[string]interface{} {
		loads = load{stop: make(chan struct{})}
		loads.done.Add(count)
		for id := 0; id < count; id++ {
			go func(id int) {
				defer loads.done.Done()
				for n := 0; ; n++ {
					select {
					case <-loads.stop:
						return
					default:
						Busy(n, "hot")
						atomic.AddInt64(&loads.calls, 1)
					}
				}
			}(id)
		}
		return nil
	}
	// Calls that are still running when the tracer leaves.
	scenarios["open"] = func(count int) map[string]interface{} {
		release = make(chan int)
		for n := 0; n < count; n++ {
			go Switches(n, release)
		}
		time.Sleep(50 * time.Millisecond)
		return nil
	}
	scenarios["release"] = func(count int) map[string]interface{} {
		for n := 0; n < count; n++ {
			release <- n
		}
		time.Sleep(50 * time.Millisecond)
		return nil
	}
	scenarios["leave"] = func(count int) map[string]interface{} {
		go Switches(1, make(chan int))
		time.Sleep(20 * time.Millisecond)
		exit(count)
		return nil
	}
}

var release chan int
