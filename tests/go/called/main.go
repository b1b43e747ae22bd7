// Called asks who has called, where the weaver makes two functions of the caller (one more defer would make its own
// dearer), and where a function returns.
package main

import "fmt"

var ran int

//go:noinline
func inner(x int) int {
	ran++
	return x + 1
}

func count() { ran++ }

//go:noinline
func outer(x int) (r int) {
	defer count()
	defer count()
	defer count()
	defer count()
	defer count()
	defer count()
	defer count()
	defer count()
	return inner(x)
}

func main() {
	for i := 0; i < 3; i++ {
		outer(i)
		inner(10 + i)
	}
	fmt.Println(ran)
}
