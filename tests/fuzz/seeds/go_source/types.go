package x

import (
	"context"
	h "net/http"
)

type (
	ID   uint64
	Node struct {
		*Leaf
		name, Other string `json:"n"`
		next        map[string][]*Node
		f           func(a int) (b, c string)
		ch          <-chan [4]ID
	}
	Leaf  struct{ value float64; Any interface{ M() } }
	Alias = Node
	Pair[K comparable, V any] struct { k K; v V }
)

func (n *Node) Walk(ctx context.Context, _ ID, depth ...int) (out *Leaf, err error) {
	for i := range depth {
		defer func(i int) {}(i)
	}
	return n.Leaf, nil
}

func serve(string, []byte, h.Handler) (int, error) { return 0, nil }
func one(a, b Alias, p Pair[int, string]) error   { go func(x ID) bool { return x > 1 }(1); return nil }
func last(r *h.Request, ok bool, b [2]struct{ x int }) ID { return 1 }
