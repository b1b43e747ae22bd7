// Package store lies in a folder with a dot, which the linker writes in another way.
package store

type Shelf struct{ N int }

//go:noinline
func (s *Shelf) Put(n int) int {
	s.N += n
	return count(s.N)
}

//go:noinline
func count(n int) int { return n + 1 }
