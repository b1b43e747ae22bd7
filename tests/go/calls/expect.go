package main

import (
	"fmt"
	"math"
	"reflect"
	"runtime"
	"time"
	"unsafe"
)

// A value as the tests compare it: an array that begins with what it is, so that
// nothing is lost to JSON (tests/lib/govalue.py reads it).
//
//	["nil"] ["bool", b] ["int", n] ["uint", n] ["float", bits, "hex"] ["complex", bits, "hex", "hex"]
//	["string", text, bytes] ["bytes", [n…]] ["list", [v…]] ["struct", type, {name: v}]
//	["map", [[k, v]…]] ["ptr", v] ["iface", type, v] ["error", text, type, v] ["chan", len, cap]
//	["func", name] ["time", RFC 3339 in UTC] ["duration", text] ["cycle"] ["deep"]
type node []interface{}

const deepest = 12

type encoder struct {
	path map[uintptr]bool // pointers we came through
}

func float64bits(f float64) string { return fmt.Sprintf("%016x", math.Float64bits(f)) }
func float32bits(f float64) string { return fmt.Sprintf("%08x", math.Float32bits(float32(f))) }

// readable undoes what reflect forbids: looking into unexported fields.
func readable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
	}
	copied := reflect.New(v.Type()).Elem()
	if v.CanInterface() {
		copied.Set(v)
	}
	return copied
}

var (
	timeType     = reflect.TypeOf(time.Time{})
	durationType = reflect.TypeOf(time.Duration(0))
)

func (e *encoder) value(v reflect.Value, depth int) node {
	if depth > deepest {
		return node{"deep"}
	}
	v = readable(v)
	switch v.Type() {
	case timeType:
		return node{"time", v.Interface().(time.Time).UTC().Format(time.RFC3339Nano)}
	case durationType:
		return node{"duration", v.Interface().(time.Duration).String()}
	}
	switch v.Kind() {
	case reflect.Bool:
		return node{"bool", v.Bool()}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return node{"int", v.Int()}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return node{"uint", v.Uint()}
	case reflect.Float32:
		return node{"float", 32, float32bits(v.Float())}
	case reflect.Float64:
		return node{"float", 64, float64bits(v.Float())}
	case reflect.Complex64:
		return node{"complex", 32, float32bits(real(v.Complex())), float32bits(imag(v.Complex()))}
	case reflect.Complex128:
		return node{"complex", 64, float64bits(real(v.Complex())), float64bits(imag(v.Complex()))}
	case reflect.String:
		return node{"string", v.String(), v.Len()}
	case reflect.Slice, reflect.Array:
		return e.list(v, depth)
	case reflect.Struct:
		return e.fields(v, depth)
	case reflect.Map:
		return e.entries(v, depth)
	case reflect.Ptr:
		return e.pointer(v, depth)
	case reflect.Interface:
		return e.iface(v, depth)
	case reflect.Chan:
		if v.IsNil() {
			return node{"nil"}
		}
		return node{"chan", v.Len(), v.Cap()}
	case reflect.Func:
		if v.IsNil() {
			return node{"nil"}
		}
		return node{"func", runtime.FuncForPC(v.Pointer()).Name()}
	case reflect.UnsafePointer:
		return node{"uint", uint64(v.Pointer())}
	}
	panic("no encoding for " + v.Type().String())
}

func (e *encoder) list(v reflect.Value, depth int) node {
	if v.Kind() == reflect.Slice && v.IsNil() {
		return node{"nil"}
	}
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
		numbers := []int{}
		for _, b := range v.Bytes() {
			numbers = append(numbers, int(b))
		}
		return node{"bytes", numbers}
	}
	items := []node{}
	for i := 0; i < v.Len(); i++ {
		items = append(items, e.value(v.Index(i), depth+1))
	}
	return node{"list", items}
}

func (e *encoder) fields(v reflect.Value, depth int) node {
	fields := map[string]node{}
	for i := 0; i < v.NumField(); i++ {
		if name := v.Type().Field(i).Name; name != "_" {
			fields[name] = e.value(v.Field(i), depth+1)
		}
	}
	return node{"struct", v.Type().String(), fields}
}

func (e *encoder) entries(v reflect.Value, depth int) node {
	if v.IsNil() {
		return node{"nil"}
	}
	pairs := [][2]node{}
	for it := v.MapRange(); it.Next(); {
		pairs = append(pairs, [2]node{e.value(it.Key(), depth+1), e.value(it.Value(), depth+1)})
	}
	return node{"map", pairs}
}

func (e *encoder) pointer(v reflect.Value, depth int) node {
	if v.IsNil() {
		return node{"nil"}
	}
	if e.path[v.Pointer()] {
		return node{"cycle"}
	}
	e.path[v.Pointer()] = true
	defer delete(e.path, v.Pointer())
	return node{"ptr", e.value(v.Elem(), depth+1)}
}

func (e *encoder) iface(v reflect.Value, depth int) node {
	if v.IsNil() {
		return node{"nil"}
	}
	inner := e.value(v.Elem(), depth+1)
	if err, ok := v.Interface().(error); ok {
		return node{"error", err.Error(), v.Elem().Type().String(), inner}
	}
	return node{"iface", v.Elem().Type().String(), inner}
}

// encode takes a pointer, so that an interface keeps its static type.
func encode(pointer interface{}) node {
	e := encoder{path: map[uintptr]bool{}}
	return e.value(reflect.ValueOf(pointer).Elem(), 0)
}

// named is name, pointer, name, pointer, ….
func named(values []interface{}) map[string]node {
	result := map[string]node{}
	for i := 0; i+1 < len(values); i += 2 {
		result[values[i].(string)] = encode(values[i+1])
	}
	return result
}

type expectation struct {
	Func    string          `json:"func"`
	Args    map[string]node `json:"args"`
	Returns map[string]node `json:"returns"`
	Panics  bool            `json:"panics,omitempty"`
}

// given notes what a call is about to be given, before it can change it.
func given(function string, args ...interface{}) *expectation {
	return &expectation{Func: function, Args: named(args)}
}

func (x *expectation) gave(results ...interface{}) {
	x.Returns = named(results)
	say(x)
}

func (x *expectation) panicked() {
	x.Panics = true
	say(x)
}
