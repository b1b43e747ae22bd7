// Orders that tell of themselves as USDT probes, and workers that number their calls.
package main

import (
	"bufio"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

type Item struct {
	Name  string
	Count int32
}

type Order struct {
	ID    string
	Total int64
	First *Item
	Paid  bool
}

type failed struct{}

func (failed) Error() string { return "failed" }

//earshot:usdt shop:order_placed o.ID, o.Total, o.First.Name, o.Paid
func place(o *Order, priority int8) (sum int64, err error) {
	for i := int64(0); i < o.Total && i < 3; i++ {
		sum += i //earshot:usdt shop:item int64(i), priority
	}
	note := []byte("sum " + strconv.FormatInt(sum, 10))
	_ = note // for Go a comment is no use of it
	func(inner string) {
		//earshot:usdt shop:inner inner, len(note)
		sum++
	}(o.ID + "!")
	if o.Total < 0 {
		//earshot:usdt shop:rejected
		return 0, failed{}
	}
	//earshot:usdt shop:summed []byte(note), uint64(sum)
	return sum, nil
}

//earshot:usdt load:numbered worker, seq
//go:noinline
func numbered(worker, seq int64) int64 {
	return worker + seq
}

func work(worker int64, stop *uint32, done *sync.WaitGroup, calls *int64) {
	for atomic.LoadUint32(stop) == 0 {
		*calls++
		numbered(worker, *calls)
	}
	done.Done()
}

func load(in *bufio.Scanner, workers int) {
	var stop uint32
	var done sync.WaitGroup
	calls := make([]int64, workers*16)
	done.Add(workers)
	for i := 0; i < workers; i++ {
		go work(int64(i), &stop, &done, &calls[i*16])
	}
	in.Scan()
	atomic.StoreUint32(&stop, 1)
	done.Wait()
	for i := 0; i < workers; i++ {
		os.Stdout.WriteString("worker " + strconv.Itoa(i) + " " + strconv.FormatInt(calls[i*16], 10) + "\n")
	}
}

// Each line is the total of an order, or "load" with the next line ending it.
func main() {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if in.Text() == "load" {
			load(in, 2)
			continue
		}
		n, _ := strconv.ParseInt(in.Text(), 10, 64)
		o := &Order{ID: "order-" + in.Text(), Total: n, Paid: n > 5}
		if n > 5 {
			o.First = &Item{"pear", int32(n)}
		}
		sum, err := place(o, -3)
		if err != nil {
			os.Stdout.WriteString(err.Error() + "\n")
			continue
		}
		os.Stdout.WriteString("sum " + strconv.FormatInt(sum, 10) + "\n")
	}
}
