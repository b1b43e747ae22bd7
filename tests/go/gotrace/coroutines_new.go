//go:build go1.23

package main

import "iter"

// coroutines switches between goroutines without the scheduler.
func coroutines() {
	next, stop := iter.Pull(func(yield func(int) bool) {
		for i := 0; i < 5 && yield(i); i++ {
		}
	})
	for i := 0; i < 3; i++ {
		next()
	}
	stop()
}
