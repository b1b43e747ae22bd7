//go:build cgo && withcgo

package main

// static int answer(int n) { return n * 2; }
import "C"

// viaCgo makes the program a cgo one: external linking, C frames, libc.
func viaCgo() int { return int(C.answer(21)) }
