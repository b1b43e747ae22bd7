//go:build !withplugin

package main

import "time"

func pluginWork(worker uint64, burst int, pause time.Duration) {}
