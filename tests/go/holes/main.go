// holes passes values of which a part lies in memory that cannot be read: pages that nothing has touched yet, which only
// a page fault brings, and pages that nobody may read. And it has functions that panic, one of them always.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"unsafe"
)

const page = 4096

type pair struct{ A, B int }

type wide struct {
	Head [8]int64
	Tail [8]int64
}

var (
	maps  []map[string]pair
	fresh []int64
)

//go:noinline
func Map(round int, m map[string]pair) int { return same(len(m)) + round }

//go:noinline
func same(n int) int { return n }

//go:noinline
func Slice(n int, s []int64) int { return len(s) + n }

//go:noinline
func Bytes(n int, b []byte) int { return len(b) + n }

//go:noinline
func Text(n int, s string) int { return len(s) + n }

//go:noinline
func Struct(n int, w *wide) int { return n + int(uintptr(unsafe.Pointer(w))&1) }

//go:noinline
func Texts(n int, list []string) int { return len(list) + n }

//go:noinline
func Reject(n int) int { panic("no " + strconv.Itoa(n)) }

//go:noinline
func Maybe(n int) int {
	if n > 2 {
		panic("too many")
	}
	return n
}

// Forever never returns and never panics while it is looked at. It tells when it has begun.
//
//go:noinline
func Forever(n int, c chan int) { c <- n; <-c; panic(n) }

// around gives memory of three pages of which the middle one may be read: nothing else may, or nothing else is there yet.
func around(protection int) []byte {
	b, err := syscall.Mmap(-1, 0, 3*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	_ = syscall.Madvise(b, 15) // MADV_NOHUGEPAGE
	for i := page; i < 2*page; i++ {
		b[i] = byte('a' + i%26)
	}
	if protection != 0 {
		for _, at := range []int{0, 2 * page} {
			if err := syscall.Mprotect(b[at:at+page:at+page], syscall.PROT_NONE); err != nil {
				panic(err)
			}
		}
	}
	return b
}

func words(b []byte, at, n int) []int64 {
	for i := page; i < 2*page; i += 8 {
		*(*int64)(unsafe.Pointer(&b[i])) = int64(i)
	}
	return unsafe.Slice((*int64)(unsafe.Pointer(&b[at])), n)
}

func text(b []byte, at, n int) string {
	part := b[at : at+n]
	return *(*string)(unsafe.Pointer(&part))
}

// values: of each kind one whose end cannot be read, one whose beginning cannot, and one of which nothing can.
func values(protection int) {
	b := around(protection)
	Text(1, text(b, 2*page-10, 30))
	Text(2, text(b, page-10, 30))
	Text(3, text(b, 2*page, 30))
	Bytes(1, b[2*page-10:2*page+20])
	Bytes(3, b[2*page:2*page+20])
	b = around(protection)
	w := words(b, 2*page-4*8, 12)
	Slice(1, w)
	Slice(2, words(b, page-4*8, 12))
	Slice(3, words(b, 2*page, 12))
	Slice(4, words(b, 2*page-4*8, 400))
	Struct(1, (*wide)(unsafe.Pointer(&b[2*page-64])))
	Struct(2, (*wide)(unsafe.Pointer(&b[page-64])))
	Struct(3, (*wide)(unsafe.Pointer(&b[2*page])))
	Texts(1, []string{"here", text(b, 2*page, 5), "there"})
}

// freshMaps fills memory that the process gets for them: what lies at the end of a table is not there yet.
func freshMaps(n int) {
	for r := 0; r < n; r++ {
		m := map[string]pair{}
		for i := 0; i < 60; i++ {
			m["k"+strconv.Itoa(i)] = pair{i, r}
		}
		maps = append(maps, m)
		Map(r, m)
	}
}

func freshSlice() {
	fresh = make([]int64, 4<<20)
	Slice(9, fresh)
}

func try(f func(int) int, n int) {
	defer func() { _ = recover() }()
	f(n)
}

func panics() {
	for n := 1; n < 5; n++ {
		try(Reject, n)
		try(Maybe, n)
	}
}

func main() {
	debug.SetGCPercent(-1) // what was freed and is used again has been touched
	in := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	for in.Scan() {
		switch in.Text() {
		case "untouched":
			values(0)
		case "forbidden":
			values(1)
		case "maps":
			freshMaps(400)
		case "slice":
			freshSlice()
		case "panics":
			panics()
		case "forever":
			begun := make(chan int)
			go Forever(7, begun)
			<-begun
		}
		fmt.Println("done", in.Text())
	}
}
