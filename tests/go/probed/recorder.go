//go:build probed

package main

import (
	"encoding/json"
	"fmt"
	"os"
)

type recorder struct{ values map[string]interface{} }

func (r *recorder) Value(name string, value interface{}) {
	if b, is := value.([]byte); is {
		value = string(b)
	}
	r.values[name] = value
}
func (r *recorder) Type(name string, of interface{})    { r.values[name] = fmt.Sprintf("%T", of) }
func (r *recorder) Carry(number int, value interface{}) {}
func (r *recorder) Carried(number int) interface{}      { return nil }
func (r *recorder) SameType(a, b interface{}) bool      { return fmt.Sprintf("%T", a) == fmt.Sprintf("%T", b) }
func (r *recorder) GoID() uint64                        { return 0 }
func (r *recorder) Caller() string                      { return "" }
func (r *recorder) Stack() []uintptr                    { return nil }
func (r *recorder) Latency() int64                      { return 0 }

func init() {
	entry = func(n int, o *Order, x interface{}, s string, b []byte, i8 int8, m map[string]int) {
		r := &recorder{map[string]interface{}{}}
		r.values["passes"] = earshot_call_take(r, n, o, x, s, b, i8, m)
		line, err := json.Marshal(r.values)
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(os.Stdout, string(line))
	}
}
