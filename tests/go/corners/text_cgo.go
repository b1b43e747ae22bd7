//go:build withcgo

package main

import "C"

type text = C.char
