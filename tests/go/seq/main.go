// Seq calls functions with consecutive numbers, from several goroutines, while
// everything that could disturb a probe inside of it goes on: garbage
// collections, profiling signals, growing stacks, panics, nil dereferences,
// changes of GOMAXPROCS, other programs being started; with cgo, C code that
// calls back, and forks; with a plugin, code of another module that calls.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
)

type node struct {
	next  *node
	value uint64
}

var (
	sink  [64]uint64
	calls uint64
)

// A small frame: cmp rsp, [r14+16]; jbe.
//
//go:noinline
func small(worker, n uint64) uint64 {
	sink[worker] += helper(n)
	return n
}

// A large frame: lea r12, [rsp-N]; cmp r12, [r14+16]; jbe.
//
//go:noinline
func large(worker, n uint64) uint64 {
	var pad [300]uint64

	for i := range pad {
		pad[i] = helper(n + uint64(i))
	}
	sink[worker] += pad[n%300]
	return n
}

//go:noinline
func text(worker, n uint64, s string) uint64 {
	sink[worker] += uint64(len(s)) + helper(n)
	return n
}

// Several returns and a jump table.
//
//go:noinline
func choose(worker, n uint64) uint64 {
	switch n % 9 {
	case 0:
		return helper(n)
	case 1:
		sink[worker]++
		return n
	case 2:
		sink[worker] += helper(1)
		return n
	case 3:
		return n + helper(0)
	case 4:
		sink[worker] += 4
	case 5:
		sink[worker] += helper(5)
	case 6:
		return helper(helper(n))
	case 7:
		sink[worker] += 7
	}
	return n
}

// No stack check.
//
//go:noinline
//go:nosplit
func leaf(worker, n uint64) uint64 {
	var pad [4]uint64

	pad[n%4] = worker + n
	return pad[n%4] + pad[(n+1)%4]
}

//go:noinline
func helper(n uint64) uint64 { return n }

// Ends by a panic that the caller recovers; half of them are nil dereferences.
//
//go:noinline
func fail(worker, n uint64, p *node) uint64 {
	if n%2 == 0 {
		sink[worker] += p.value
	}
	panic(n)
}

func failing(worker, n uint64) {
	defer func() { recover() }()
	fail(worker, n, nil)
}

//go:noinline
func deep(worker, n uint64, depth int) uint64 {
	var pad [16]uint64

	pad[n%16] = n
	if depth > 0 {
		return deep(worker, n, depth-1) + pad[depth%16]
	}
	return small(worker, n) + pad[0]
}

var words = []string{"", "a", "some words", "a text that is longer than thirty-two bytes, to be cut"}

func work(worker uint64, burst int, pause time.Duration) {
	var n, d uint64

	for {
		for i := 0; i < burst; i++ {
			if n%1000 == 999 {
				done := make(chan bool)
				go func() { deep(worker, n, 1500); done <- true }()
				<-done
			} else {
				small(worker, n)
			}
			large(worker, n)
			text(worker, n, words[n%4])
			choose(worker, n)
			leaf(worker, n)
			foreign(worker, n)
			if n%8 == 0 {
				failing(worker, d)
				d++
			}
			n++
		}
		atomic.AddUint64(&calls, uint64(burst))
		if pause > 0 {
			time.Sleep(pause)
		} else {
			runtime.Gosched()
		}
	}
}

func disturb(procs int) {
	runtime.SetCPUProfileRate(1000)
	go func() {
		for range time.Tick(time.Millisecond) {
			runtime.GC()
		}
	}()
	go func() {
		for i := 0; ; i++ {
			time.Sleep(50 * time.Millisecond)
			runtime.GOMAXPROCS(1 + i%procs)
		}
	}()
	go func() {
		for range time.Tick(200 * time.Millisecond) {
			exec.Command("/bin/true").Run()
		}
	}()
}

// On SIGUSR1 it becomes itself anew.
func executing() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	go func() {
		<-c
		syscall.Exec("/proc/self/exe", os.Args, os.Environ())
	}()
}

func main() {
	workers := flag.Int("workers", 3, "goroutines that call")
	burst := flag.Int("burst", 100, "calls between two pauses")
	pause := flag.Duration("pause", 2*time.Millisecond, "between two bursts")
	executes := flag.Bool("exec-on-usr1", false, "execute this program anew on SIGUSR1")
	quiet := flag.Bool("quiet", false, "no disturbances")
	flag.Parse()
	if *executes {
		executing()
	}
	if !*quiet {
		debug.SetGCPercent(5)
		disturb(6)
	}
	for i := 0; i < *workers; i++ {
		go work(uint64(i), *burst, *pause)
	}
	pluginWork(uint64(*workers), *burst, *pause)
	fmt.Println("ready", os.Getpid())
	for range time.Tick(100 * time.Millisecond) {
		fmt.Println(atomic.LoadUint64(&calls))
	}
}
