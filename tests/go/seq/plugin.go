//go:build withplugin

package main

import (
	"os"
	"plugin"
	"time"
)

// A worker whose code is that of a plugin, beside the program's file.
func pluginWork(worker uint64, burst int, pause time.Duration) {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	p, err := plugin.Open(path + ".so")
	if err != nil {
		panic(err)
	}
	run, err := p.Lookup("Work")
	if err != nil {
		panic(err)
	}
	run.(func(func(uint64), int, time.Duration))(func(n uint64) {
		small(worker, n)
		large(worker, n)
		text(worker, n, words[n%4])
		choose(worker, n)
		leaf(worker, n)
	}, burst, pause)
}
