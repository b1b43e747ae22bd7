// golib is a library for programs of other languages (-buildmode=c-shared).
package main

import "C"

//export Twice
func Twice(n int) int { return work(n) }

//go:noinline
func work(n int) int { return n * 2 }

func main() {}
