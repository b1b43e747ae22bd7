// Package dep is a module of its own, so that it may be vendored, and be one of a workspace.
package dep

// Sum is generic, so that it is compiled where it is used.
func Sum[T int | float64](of ...T) (sum T) {
	for _, n := range of {
		sum += n
	}
	return sum
}
