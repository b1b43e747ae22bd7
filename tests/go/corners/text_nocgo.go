//go:build !withcgo

package main

// As cgo names it.
type _Ctype_char int8

type text = _Ctype_char
