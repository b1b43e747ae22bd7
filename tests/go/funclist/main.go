// funclist FILE...: the functions of Go source by go/parser, a line for each, as tools/go-functions.c prints them.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
)

var fset = token.NewFileSet()

func at(p token.Pos) int { return fset.Position(p).Offset }

func params(lists ...*ast.FieldList) string {
	var out []string
	for _, list := range lists {
		if list == nil {
			continue
		}
		for _, f := range list.List {
			typ, dots := f.Type, ""
			if e, ok := typ.(*ast.Ellipsis); ok {
				typ, dots = e.Elt, "..."
			}
			where := fmt.Sprintf("@%d-%d%s", at(typ.Pos()), at(typ.End()), dots)
			for _, n := range f.Names {
				out = append(out, n.Name+where)
			}
			if len(f.Names) == 0 {
				out = append(out, "-"+where)
			}
		}
	}
	return strings.Join(out, ",")
}

func receiver(d *ast.FuncDecl) (name string, pointer, generic bool) {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			pointer, t = true, x.X
		case *ast.ParenExpr:
			t = x.X
		case *ast.IndexExpr:
			generic, t = true, x.X
		case *ast.IndexListExpr:
			generic, t = true, x.X
		case *ast.Ident:
			return x.Name, pointer, generic
		default:
			return "?", pointer, generic
		}
	}
}

type body struct {
	returns, defers, gotos, labels int
	loop, recovers, caller         bool
}

func (b *body) walk(n ast.Node, literal, loop bool) {
	ast.Inspect(n, func(x ast.Node) bool {
		switch x := x.(type) {
		case *ast.FuncLit:
			if x != n {
				b.walk(x.Body, true, false)
				return false
			}
		case *ast.ForStmt, *ast.RangeStmt:
			if x != n && !literal && !loop {
				b.walk(x, literal, true)
				return false
			}
		case *ast.CallExpr:
			if id, ok := x.Fun.(*ast.Ident); ok && id.Name == "recover" && !literal {
				b.recovers = true
			}
			if s, ok := x.Fun.(*ast.SelectorExpr); ok {
				if id, ok := s.X.(*ast.Ident); ok && id.Name == "runtime" && (s.Sel.Name == "Caller" || s.Sel.Name == "Callers") {
					b.caller = true
				}
			}
		}
		if literal {
			return true
		}
		switch x := x.(type) {
		case *ast.ReturnStmt:
			b.returns++
		case *ast.DeferStmt:
			b.defers++
			b.loop = b.loop || loop
		case *ast.BranchStmt:
			if x.Tok == token.GOTO {
				b.gotos++
			}
		case *ast.LabeledStmt:
			b.labels++
		}
		return true
	})
}

func function(path string, d *ast.FuncDecl) {
	recv, pointer, generic := receiver(d)
	name := d.Name.Name
	switch {
	case pointer:
		name = "(*" + recv + ")." + name
	case d.Recv != nil:
		name = recv + "." + name
	}
	generic = generic || d.Type.TypeParams != nil
	word := map[bool]string{true: "generic", false: "-"}
	var b body
	start, end := 0, 0
	if d.Body != nil {
		start, end = at(d.Body.Pos()), at(d.Body.End())
		b.walk(d.Body, false, false)
	}
	flag := func(is bool, text string) string {
		if is {
			return text
		}
		return ""
	}
	from := at(d.Type.Func)
	fmt.Printf("%s\t%s\t%d-%d\t%d-%d\t%s\t%s\t%s\treturns %d defers %d%s gotos %d labels %d%s%s\n", path, name, from, at(d.End()),
		start, end, params(d.Recv, d.Type.Params), params(d.Type.Results), word[generic], b.returns, b.defers, flag(b.loop, " loop"),
		b.gotos, b.labels, flag(b.recovers, " recovers"), flag(b.caller, " caller"))
}

func main() {
	for _, path := range os.Args[1:] {
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: invalid\n", path)
			continue
		}
		for _, d := range f.Decls {
			if d, ok := d.(*ast.FuncDecl); ok {
				function(path, d)
			}
		}
	}
}
