//go:build !go1.24

package main

func useAuto() { panic("auto/sdk needs a newer Go") }
