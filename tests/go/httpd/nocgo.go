//go:build !(cgo && withcgo)

package main

func viaCgo() int { return 0 }
