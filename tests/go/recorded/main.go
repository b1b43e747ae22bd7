// Recorded is woven by hand: it calls the recorder that is put into its package runtime (src/weave/recorder), and knows
// what it has recorded. Each line of its standard input is a command; each answer is a line.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var texts = [...]string{"", "a", "some words", "a text that is longer than thirty-two bytes and a little more", strings.Repeat("long ", 1000)}

var written, lost, ends, endsLost uint64

//go:noinline
func work(worker, n uint64, s string) (result uint64) {
	if *earshotSwitch != atBegin.off {
		slots := [8]earshotSlot{number(worker), number(n), text(s)}
		depth := earshotDepth()
		earshotLineage(&slots[3])
		earshotEpoch(&slots[5])
		if earshotWrite(&atBegin, depth, &slots[0], 8) {
			atomic.AddUint64(&written, 1)
			panicking := earshotPanic()
			defer func() {
				slots := [1]earshotSlot{number(result)}
				if earshotPanic() != panicking {
					slots[0] = earshotSlot{}
				}
				if earshotWrite(&atEnd, depth, &slots[0], 1) {
					atomic.AddUint64(&ends, 1)
				} else {
					atomic.AddUint64(&endsLost, 1)
				}
			}()
		} else {
			atomic.AddUint64(&lost, 1)
		}
	}
	if n%1000 == 999 {
		panic(n)
	}
	if s == nested {
		begin(worker)
	}
	return n
}

const nested = "it begins goroutines"

// What has work within work: on goroutines that it creates, and on one that has waited since before.
func begin(worker uint64) {
	done := make(chan bool)
	for i := uint64(1); i <= 3; i++ {
		go func(i uint64) {
			work(worker+i, 0, "on another goroutine")
			done <- true
		}(i)
		<-done
	}
	pool <- worker + 4
	<-pooled
}

var pool, pooled = make(chan uint64), make(chan bool)

func wait() {
	for worker := range pool {
		work(worker, 0, "on one that was there before")
		pooled <- true
	}
}

//go:noinline
func other() {
	if *earshotSwitch != atOther.off {
		earshotWrite(&atOther, earshotDepth(), nil, 0)
	}
}

func guarded(worker, n uint64, s string) {
	defer func() { recover() }()
	work(worker, n, s)
}

//go:noinline
func deep(levels int, worker, n uint64) {
	var pad [200]byte
	if levels > 0 {
		deep(levels-1, worker, n)
		pad[levels%200]++
		return
	}
	guarded(worker, n, texts[n%uint64(len(texts))])
}

// Consecutive numbers, from several goroutines at once; some on growing stacks, while the collector moves them.
func run(workers, each uint64) {
	var wait sync.WaitGroup
	for w := uint64(0); w < workers; w++ {
		wait.Add(1)
		go func(w uint64) {
			defer wait.Done()
			for n := uint64(0); n < each; n++ {
				if n%257 == 0 {
					deep(int(n%64), w, n)
				} else {
					guarded(w, n, texts[n%uint64(len(texts))])
				}
				other()
			}
		}(w)
	}
	wait.Wait()
}

func counts() string {
	return fmt.Sprintf("written %d lost %d ends %d ends_lost %d", atomic.SwapUint64(&written, 0), atomic.SwapUint64(&lost, 0),
		atomic.SwapUint64(&ends, 0), atomic.SwapUint64(&endsLost, 0))
}

// Each is born, recorded, and dies.
func goroutines(n int) string {
	var wait sync.WaitGroup
	var before, after runtime.MemStats
	batch := func(n int) {
		for i := 0; i < n; i++ {
			wait.Add(1)
			go func(i int) {
				defer wait.Done()
				guarded(99, uint64(i)%999, "")
			}(i)
			if i%1000 == 999 {
				wait.Wait()
			}
		}
		wait.Wait()
	}
	batch(100000)
	runtime.GC()
	runtime.ReadMemStats(&before)
	batch(n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	return fmt.Sprintf("grew %d", int64(after.HeapInuse+after.StackInuse)-int64(before.HeapInuse+before.StackInuse))
}

// A child that goes on in this very program, without executing another: it must not write into our rings.
func fork() string {
	before := atomic.LoadUint64(&written)
	pid, _, errno := syscall.RawSyscall(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0)
	if errno != 0 {
		return errno.Error()
	}
	if pid == 0 {
		for n := uint64(0); n < 100; n++ {
			work(77, n, "of the child")
		}
		status := uintptr(0)
		if atomic.LoadUint64(&written) != before {
			status = 1
		}
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, status, 0, 0)
	}
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(int(pid), &status, 0, nil); err != syscall.EINTR {
			return fmt.Sprintf("child %d", status.ExitStatus())
		}
	}
}

// The same program again, which has memory of its own.
func again(arg string) string {
	out, err := exec.Command("/proc/self/exe", arg).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(out))
}

func open() string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err.Error()
	}
	low, memory := 0, 0
	for _, e := range entries {
		to, _ := os.Readlink("/proc/self/fd/" + e.Name())
		if strings.HasPrefix(to, "/memfd:earshot-woven") {
			memory++
		} else if len(e.Name()) == 1 {
			low++
		}
	}
	return fmt.Sprintf("memory %d low %d", memory, low)
}

// The best of many short bursts, between which whoever listens can read.
func perCall(f func()) float64 {
	const calls = 5000
	best := 1e9
	for i := 0; i < 100; i++ {
		begin := time.Now()
		for n := 0; n < calls; n++ {
			f()
		}
		if ns := float64(time.Since(begin)) / calls; ns < best {
			best = ns
		}
		time.Sleep(15 * time.Millisecond)
	}
	return best
}

//go:noinline
func bare() {}

//go:noinline
func point() {
	if *earshotSwitch != atOther.off {
		earshotWrite(&atOther, earshotDepth(), nil, 0)
	}
}

// What work would be without its points.
//
//go:noinline
func plain(worker, n uint64, s string) (result uint64) {
	if n%1000 == 999 {
		panic(n)
	}
	return n
}

// Nanoseconds: of a call, and what one point, and the two of a span, add to it. Who listens makes the difference.
func bench() string {
	call := perCall(bare)
	unwoven := perCall(func() { plain(1, 2, "some words") })
	one := perCall(point) - call
	return fmt.Sprintf("call %.2f point %.2f span %.2f", call, one, perCall(func() { work(1, 2, "some words") })-unwoven)
}

func command(line string) string {
	var name string
	var a, b uint64
	fmt.Sscan(line, &name, &a, &b)
	switch name {
	case "run":
		run(a, b)
		return counts()
	case "goroutines":
		return goroutines(int(a))
	case "procs":
		return fmt.Sprint("procs ", runtime.GOMAXPROCS(int(a)))
	case "nested":
		for i := uint64(0); i < a; i++ {
			work(i*10, 0, nested)
		}
		return counts()
	case "gc":
		debug.SetGCPercent(int(a))
		return "gc"
	case "fork":
		return fork()
	case "again":
		return again("count")
	case "bench":
		return bench()
	case "open":
		return open()
	}
	return "what?"
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "count" {
		run(1, 10)
		fmt.Println(counts())
		return
	}
	go wait()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println(command(in.Text()))
	}
}
