// Package p has functions of every kind.
package p

import (
	"fmt"
	h "net/http"
)

type (
	A      = h.Request
	B[P any] struct{ x, y P }
)

//go:noinline
func (b *B[P]) Map[Q any](f func(P) Q, _ int, xs ...string) (r Q, err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("%v", e)
		}
	}()
	for i := range xs {
		defer fmt.Println(`raw "` + xs[i])
	}
	return *new(f(b.x)), nil
}

func many(num, a1, a2, a3, a4, a5, a6, a7, a8 uintptr) (int, map[A]*B[int]) { return 0, nil }

func body()
