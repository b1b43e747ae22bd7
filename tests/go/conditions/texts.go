package main

import "strings"

type Texts struct {
	A, B  string
	Data  []byte
	Lines []string
	Fixed [8]byte
}

//go:noinline
func Strings(n int, s, t string, b []byte, p *Texts, k int) int {
	kept += keep(n, s, t, b, p, k)
	return kept
}

type someTexts struct {
	s, t string
	b    []byte
	p    *Texts
	k    int
}

func texts() {
	long := strings.Repeat("x", 700)
	add("main.Strings", []someTexts{
		{"", "", nil, &Texts{}, 0},
		{"alice", "alice", []byte("alice"), &Texts{A: "al", B: "ice", Data: []byte("xyz"), Lines: []string{"one", "two"}}, 2},
		{"alice", "bob", []byte("bob"), &Texts{A: "ce", B: "li", Lines: []string{"alice"}}, 5},
		{"bob", "alice and bob", []byte{0, 1, 2}, &Texts{A: "bob", Fixed: [8]byte{'b'}}, 3},
		{"hello", "hell", []byte("hello world"), nil, 4},
		{"ab\x00c", "ab", []byte("ab\x00c"), &Texts{A: "ab"}, -1},
		{long + "a", long + "b", []byte(long), &Texts{A: long}, 700},
		{"Zürich", "zürich", []byte("Zür"), &Texts{A: "Z"}, 1},
		{"GET /items/5", "GET /", []byte("GET"), &Texts{A: "GET ", B: "/5"}, 4},
	}, func(n int, c *someTexts) { Strings(n, c.s, c.t, c.b, c.p, c.k) }, []row[someTexts]{
		{`s == "alice"`, func(c *someTexts) bool { return c.s == "alice" }},
		{`s != "alice"`, func(c *someTexts) bool { return c.s != "alice" }},
		{`"bob" == s`, func(c *someTexts) bool { return "bob" == c.s }},
		{`s == ""`, func(c *someTexts) bool { return c.s == "" }},
		{"s == `hello`", func(c *someTexts) bool { return c.s == `hello` }},
		{`s == t`, func(c *someTexts) bool { return c.s == c.t }},
		{`s != t`, func(c *someTexts) bool { return c.s != c.t }},
		{`s == greeting`, func(c *someTexts) bool { return c.s == greeting }},
		{`s < t`, func(c *someTexts) bool { return c.s < c.t }},
		{`s <= t`, func(c *someTexts) bool { return c.s <= c.t }},
		{`s > t`, func(c *someTexts) bool { return c.s > c.t }},
		{`s >= t`, func(c *someTexts) bool { return c.s >= c.t }},
		{`s < "b"`, func(c *someTexts) bool { return c.s < "b" }},
		{`s >= "alice"`, func(c *someTexts) bool { return c.s >= "alice" }},
		{`"alice" < s`, func(c *someTexts) bool { return "alice" < c.s }},
		{`s > "ab"`, func(c *someTexts) bool { return c.s > "ab" }},
		{`s > ""`, func(c *someTexts) bool { return c.s > "" }},
		{`hasprefix(s, "al")`, func(c *someTexts) bool { return strings.HasPrefix(c.s, "al") }},
		{`hassuffix(s, "ice")`, func(c *someTexts) bool { return strings.HasSuffix(c.s, "ice") }},
		{`contains(s, "lic")`, func(c *someTexts) bool { return strings.Contains(c.s, "lic") }},
		{`strings.HasPrefix(s, "GET ")`, func(c *someTexts) bool { return strings.HasPrefix(c.s, "GET ") }},
		{`strings.Contains(s, "items")`, func(c *someTexts) bool { return strings.Contains(c.s, "items") }},
		{`hasprefix(s, p.A)`, func(c *someTexts) bool { return strings.HasPrefix(c.s, c.p.A) }},
		{`hasprefix(t, s)`, func(c *someTexts) bool { return strings.HasPrefix(c.t, c.s) }},
		{`hassuffix(s, p.B)`, func(c *someTexts) bool { return strings.HasSuffix(c.s, c.p.B) }},
		{`hassuffix(t, s)`, func(c *someTexts) bool { return strings.HasSuffix(c.t, c.s) }},
		{`hasprefix(b, "al")`, func(c *someTexts) bool { return strings.HasPrefix(string(c.b), "al") }},
		{`contains(b, "llo w")`, func(c *someTexts) bool { return strings.Contains(string(c.b), "llo w") }},
		{`string(b) == "alice"`, func(c *someTexts) bool { return string(c.b) == "alice" }},
		{`string(b) == s`, func(c *someTexts) bool { return string(c.b) == c.s }},
		{`len(s) == 5`, func(c *someTexts) bool { return len(c.s) == 5 }},
		{`len(s) > len(t)`, func(c *someTexts) bool { return len(c.s) > len(c.t) }},
		{`len(s) == k`, func(c *someTexts) bool { return len(c.s) == c.k }},
		{`s[0] == 'h'`, func(c *someTexts) bool { return c.s[0] == 'h' }},
		{`s[k] == 'c'`, func(c *someTexts) bool { return c.s[c.k] == 'c' }},
		{`s[len(s)-1] == 'e'`, func(c *someTexts) bool { return c.s[len(c.s)-1] == 'e' }},
		{`s[:2] == "al"`, func(c *someTexts) bool { return c.s[:2] == "al" }},
		{`s[1:] == "ob"`, func(c *someTexts) bool { return c.s[1:] == "ob" }},
		{`s[2:4] == "ic"`, func(c *someTexts) bool { return c.s[2:4] == "ic" }},
		{`s[:k] == t[:k]`, func(c *someTexts) bool { return c.s[:c.k] == c.t[:c.k] }},
		{`s[:] == t`, func(c *someTexts) bool { return c.s[:] == c.t }},
		{`len(s[k:]) == 0`, func(c *someTexts) bool { return len(c.s[c.k:]) == 0 }},
		{`string(b[:3]) == "bob"`, func(c *someTexts) bool { return string(c.b[:3]) == "bob" }},
		{`b[1] == 1`, func(c *someTexts) bool { return c.b[1] == 1 }},
		{`b == nil`, func(c *someTexts) bool { return c.b == nil }},
		{`len(b) >= 5`, func(c *someTexts) bool { return len(c.b) >= 5 }},
		{`p.Lines[0] == "alice"`, func(c *someTexts) bool { return c.p.Lines[0] == "alice" }},
		{`p.Lines[0] == s`, func(c *someTexts) bool { return c.p.Lines[0] == c.s }},
		{`len(p.Lines) == 2 && p.Lines[1] == "two"`, func(c *someTexts) bool { return len(c.p.Lines) == 2 && c.p.Lines[1] == "two" }},
		{`p.Fixed[0] == 'b'`, func(c *someTexts) bool { return c.p.Fixed[0] == 'b' }},
		{`s == "al" + "ice"`, func(c *someTexts) bool { return c.s == "al"+"ice" }},
		{`s == "ab\x63"`, func(c *someTexts) bool { return c.s == "ab\x63" }},
		{`s == "Z\u00fcrich"`, func(c *someTexts) bool { return c.s == "Zürich" }},
		{`caller == "main.texts.func1"`, func(c *someTexts) bool { return true }},
		{`caller != "main.maps.func1" && s == "bob"`, func(c *someTexts) bool { return c.s == "bob" }},
		{`hasprefix(caller, "main.texts")`, func(c *someTexts) bool { return true }},
		{`contains(caller, "runtime.")`, func(c *someTexts) bool { return false }},
		{`func == "main.Strings" && k == 3`, func(c *someTexts) bool { return c.k == 3 }},
		{`goid == 1 && k == 3`, func(c *someTexts) bool { return c.k == 3 }},
	})
}
