// burst makes as many calls of one function as each line on its standard input says, as fast as it can, and tells how
// long that took. With -goroutines N they are spread over so many.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

//go:noinline
func spin(i int) uint64 {
	h := uint64(14695981039346656037)
	for k := 0; k < 200; k++ {
		h = (h ^ uint64(i+k)) * 1099511628211
	}
	return h
}

//go:noinline
func work(i int, name string, even bool) int {
	h := spin(i)
	if even {
		return i * 2
	}
	return i + len(name) + int(h>>63)
}

var names = []string{"one", "two", "three", "four", "five"}

func calls(from, to int) {
	for i := from; i < to; i++ {
		work(i, names[i%5], i%2 == 0)
	}
}

func main() {
	goroutines := flag.Int("goroutines", 1, "")
	flag.Parse()
	fmt.Println("ready", os.Getpid())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		n, _ := strconv.Atoi(in.Text())
		began := time.Now()
		var all sync.WaitGroup
		for g := 0; g < *goroutines; g++ {
			from, to := n/(*goroutines)*g, n/(*goroutines)*(g+1)
			all.Add(1)
			go func() {
				calls(from, to)
				all.Done()
			}()
		}
		all.Wait()
		fmt.Println("done", n, time.Since(began))
	}
}
