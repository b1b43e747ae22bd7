//go:build !withcgo

package main

func foreign(worker, n uint64) {}
