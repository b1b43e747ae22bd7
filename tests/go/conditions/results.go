package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

type Failure struct{ Code int }

func (f *Failure) Error() string { return fmt.Sprint("failure ", f.Code) }

var errBusy = errors.New("busy")

//go:noinline
func Answer(n int, user string, give error, count int) (id int, text string, at Point, err error) {
	kept += keep(n, user, count)
	if give != nil {
		return -n, "", Point{}, give
	}
	return n * 10, user, Point{int32(n), 1}, nil
}

//go:noinline
func Given(n int, e error) int {
	kept += keep(n, e)
	return kept
}

//go:noinline
func Custom(n int, code int) (err error) {
	kept += keep(n)
	if code > 0 {
		return &Failure{code}
	}
	return nil
}

type answer struct {
	user  string
	err   error
	count int
}

// What a traced call's error says, where Earshot knows how: as it is printed.
func said(e error) string {
	if e == nil {
		panic("nothing is said")
	}
	return e.Error()
}

func results() {
	cases := []answer{
		{"alice", nil, 0},
		{"bob", errors.New("not found"), 1},
		{"carol", fmt.Errorf("loading carol: %w", errors.New("not found")), 2},
		{"dave", &fs.PathError{Op: "open", Path: "/none", Err: syscall.ENOENT}, 3},
		{"erin", syscall.EACCES, 4},
		{"", io.EOF, 5},
		{"frank", errBusy, 60},
		{"grace", nil, 70},
		{"heidi", os.NewSyscallError("connect", syscall.ECONNREFUSED), 8},
	}
	add("main.Answer", cases, func(n int, c *answer) { Answer(n, c.user, c.err, c.count) }, []row[answer]{
		{`err != nil`, func(c *answer) bool { return c.err != nil }},
		{`err == nil`, func(c *answer) bool { return c.err == nil }},
		{`err == nil && user == "grace"`, func(c *answer) bool { return c.err == nil && c.user == "grace" }},
		{`id < 0`, func(c *answer) bool { return c.err != nil }},
		{`id == 70 || count == 60`, func(c *answer) bool { return c.count == 70 || c.count == 60 }},
		{`id > count`, func(c *answer) bool { return c.count == 0 && false }},
		{`text == "grace"`, func(c *answer) bool { return c.err == nil && c.user == "grace" }},
		{`text != ""`, func(c *answer) bool { return c.err == nil && c.user != "" }},
		{`hasprefix(text, "gr")`, func(c *answer) bool { return c.err == nil && strings.HasPrefix(c.user, "gr") }},
		{`at.X == 7`, func(c *answer) bool { return c.user == "grace" }},
		{`(at == Point{7, 1})`, func(c *answer) bool { return c.user == "grace" }},
		{`err == "not found"`, func(c *answer) bool { return said(c.err) == "not found" }},
		{`err != "not found"`, func(c *answer) bool { return said(c.err) != "not found" }},
		{`contains(err, "not found")`, func(c *answer) bool { return strings.Contains(said(c.err), "not found") }},
		{`hasprefix(err, "loading")`, func(c *answer) bool { return strings.HasPrefix(said(c.err), "loading") }},
		{`hassuffix(err, "such file or directory")`, func(c *answer) bool { return strings.HasSuffix(said(c.err), "such file or directory") }},
		{`err == "open /none: no such file or directory"`, func(c *answer) bool { return c.user == "dave" }},
		{`contains(err, "refused") || count == 70`, func(c *answer) bool { return c.user == "heidi" }},
		{`err == "EOF" && count < 10`, func(c *answer) bool { return c.user == "" }},
		{`!contains(err, "found") && err != nil`, func(c *answer) bool { return c.err != nil && !strings.Contains(said(c.err), "found") }},
		{`err == io.EOF`, func(c *answer) bool { return c.err == io.EOF }},
		{`err != io.EOF && err != nil`, func(c *answer) bool { return c.err != io.EOF && c.err != nil }},
		{`err == errBusy`, func(c *answer) bool { return c.err == errBusy }},
		{`err.(syscall.Errno) == 13`, func(c *answer) bool { return c.err.(syscall.Errno) == 13 }},
		{`err.(syscall.Errno) == syscall.EACCES`, func(c *answer) bool { return c.err.(syscall.Errno) == syscall.EACCES }},
		{`err.(*fs.PathError).Path == "/none"`, func(c *answer) bool { return c.err.(*fs.PathError).Path == "/none" }},
		{`err.(*fs.PathError) != nil`, func(c *answer) bool { _, ok := c.err.(*fs.PathError); return ok }},
		{`typeof(err) == "*errors.errorString"`, func(c *answer) bool { return c.err != nil && fmt.Sprintf("%T", c.err) == "*errors.errorString" }},
		{`latency >= 0 && user == "bob"`, func(c *answer) bool { return c.user == "bob" }},
		{`latency < 1h && err == nil`, func(c *answer) bool { return c.err == nil }},
		{`count % 2 == 1 && err != nil`, func(c *answer) bool { return c.count%2 == 1 && c.err != nil }},
		{`user == "alice" || err != nil && count > 50`, func(c *answer) bool { return c.user == "alice" || c.err != nil && c.count > 50 }},
		{`ret0 == 0`, func(c *answer) bool { return c.user == "alice" }},
	})
	add("main.Given", cases, func(n int, c *answer) { Given(n, c.err) }, []row[answer]{
		{`e == "not found"`, func(c *answer) bool { return said(c.err) == "not found" }},
		{`contains(e, "file")`, func(c *answer) bool { return strings.Contains(said(c.err), "file") }},
		{`e == io.EOF`, func(c *answer) bool { return c.err == io.EOF }},
		{`arg0 == 3`, func(c *answer) bool { return c.user == "dave" }},
	})
	add("main.Custom", []answer{{count: 0}, {count: 1}, {count: 2}}, func(n int, c *answer) { Custom(n, c.count) }, []row[answer]{
		{`err.(*Failure).Code == 2`, func(c *answer) bool { return c.count == 2 }},
	})
}
