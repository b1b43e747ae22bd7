// dotted calls functions of a package whose import path has a dot in its last element.
package main

import (
	"time"

	store "earshot.test/dotted/store.v2"
)

func main() {
	s := &store.Shelf{}
	for i := 0; i < 3000; i++ {
		s.Put(i)
		time.Sleep(20 * time.Millisecond)
	}
}
