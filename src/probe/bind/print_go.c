#include "probe/bind/print_go.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "probe/bind/bind.h"
#include "probe/bind/go_printer.h"

struct go_files {
	struct arena arena;
	VEC(struct go_file *) files;
};

struct go_files *go_files_new(void)
{
	return xcalloc(1, sizeof(struct go_files));
}

void go_files_free(struct go_files *f)
{
	for (size_t i = 0; f && i < f->files.len; i++) {
		buf_done(&f->files.data[i]->body);
		vec_done(&f->files.data[i]->imports);
	}
	if (f) {
		vec_done(&f->files);
		arena_done(&f->arena);
	}
	free(f);
}

static struct go_file *file_of(struct go_files *f, const char *package)
{
	struct go_file *file;

	for (size_t i = 0; i < f->files.len; i++)
		if (!strcmp(f->files.data[i]->package, package))
			return f->files.data[i];
	file = arena_new(&f->arena, struct go_file);
	file->package = arena_strdup(&f->arena, package);
	file->arena = &f->arena;
	vec_push(&f->files, file);
	return file;
}

/* ---- which package ---- */

/* What of the function, and what of carried values, a tree looks at. */
struct looked_at {
	bool own;
	const struct type *carried;
};

static void look(const struct bound *n, struct looked_at *ret)
{
	if (!n)
		return;
	if (n->op == BOUND_CARRIED && !ret->carried)
		ret->carried = n->type;
	ret->own |= n->op == BOUND_PARAM || n->op == BOUND_RESULT || n->op == BOUND_CAPTURED || n->op == BOUND_GLOBAL;
	look(n->a, ret);
	look(n->b, ret);
	look(n->c, ret);
	for (size_t i = 0; n->op == BOUND_LITERAL && i < n->nelements; i++)
		look(n->elements[i].value, ret);
}

/* The alternative that is taken where none is found to have no place: the first that binds. */
static const struct bound_alternative *alternative_of(const struct bound_capture *c)
{
	for (size_t i = 0; i < c->nalternatives; i++)
		if (!c->alternatives[i].why)
			return &c->alternatives[i];
	return NULL;
}

static const char *home_of(struct arena *arena, const struct bound_capture *c, const char *own)
{
	struct looked_at at = {0};
	const char *package;

	look(c->when.root, &at);
	look(alternative_of(c)->value.root, &at);
	package = !at.own && at.carried ? go_package_of(arena, at.carried) : NULL;
	return package ? package : own;
}

/* ---- one capture ---- */

static void print_value(struct go_printer *g, const struct bound_capture *c, const char *name, const char *e)
{
	const struct bound *n = alternative_of(c)->value.root;
	bool of_type = n && n->type == &type_word_type;

	if (c->carry && e)
		e = go_temp(g, e);
	go_line(g, "earshot.%s(%s, %s)", of_type ? "Type" : "Value", name, e ? e : "true");
	if (c->carry && e)
		go_line(g, "earshot.Carry(%d, %s)", c->carry - 1, e);
}

static bool print_when(struct go_printer *g, const struct bound_capture *c)
{
	const char *e = c->when.root ? go_expr(g, c->when.root) : NULL;

	if (e) {
		go_line(g, "if !%s {", e);
		go_line(g, "\treturn");
		go_line(g, "}");
	}
	return e || !c->when.root;
}

/* What was printed until then: what Go cannot write is taken back to it. */
struct go_mark {
	size_t out, imports;
};

static struct go_mark go_mark(const struct go_printer *g)
{
	return (struct go_mark){g->out->len, g->file->imports.len};
}

static void take_back(struct go_printer *g, struct go_mark mark)
{
	g->out->len = mark.out;
	g->file->imports.len = mark.imports;
}

/* Go cannot ask where a context has its parent, nor what the runtime knows. */
static bool is_printable(const struct bound_alternative *a)
{
	return a->form != CAPTURE_CHAIN && a->form != CAPTURE_FACT;
}

static void print_capture(struct go_printer *g, const struct bound_capture *c)
{
	const struct bound_alternative *a = alternative_of(c);
	const char *name = arena_printf(g->arena, "\"%s\"", c->name), *e = NULL;
	struct go_mark before = go_mark(g);
	bool good;

	go_line(g, "func() {");
	g->indent++;
	good = print_when(g, c);
	if (good && a->value.root) {
		e = go_expr(g, a->value.root);
		good = e;
	}
	if (good)
		print_value(g, c, name, e);
	g->indent--;
	go_line(g, "}()");
	if (good)
		return;
	take_back(g, before);
	go_line(g, "// without %s: %s", c->name, g->why);
}

/* ---- one function ---- */

static void print_params(struct go_printer *g, enum bound_op op, const struct bound_variable *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *type =
		    v[i].type && !v[i].as_word && v[i].name && *v[i].name != '.' ? go_type(g, v[i].type) : NULL;

		if (type)
			buf_printf(g->out, ", %s %s", go_variable(g->arena, &g->program->variables, op, i), type);
	}
}

static const char *identifier(struct arena *arena, const char *name)
{
	char *id = arena_printf(arena, "earshot_%s", name);

	for (char *c = id; *c; c++)
		if (!isalnum((unsigned char)*c))
			*c = '_';
	return id;
}

static void print_filter(struct go_printer *g)
{
	struct go_mark before = go_mark(g);
	const char *e = go_expr(g, g->program->filter.root);

	if (e) {
		go_line(g, "passes = %s", e);
		return;
	}
	take_back(g, before);
	go_line(g, "return false // its filter: %s", g->why);
}

static void print_address(struct go_printer *g, const char *name, const struct bound_text *t)
{
	struct go_mark before = go_mark(g);
	const char *e = t->root ? go_expr(g, t->root) : NULL;

	if (e || !t->root) {
		if (e)
			go_line(g, "earshot.Value(\"%s\", %s)", name, e);
		return;
	}
	take_back(g, before);
	go_line(g, "// without %s: %s", name, g->why);
}

/* own: the function's own package, whose function has the parameters and the filter. */
static void print_function(struct go_printer *g, const char *name, const char *comment, bool own, const bool *here)
{
	const struct bound_program *p = g->program;

	buf_printf(g->out, "\n// %s: %s of %s\nfunc %s(earshot earshotProbe", comment,
		   p->side == SIDE_RETURN ? "the return" : "the entry", p->func, identifier(g->arena, name));
	if (own && p->side == SIDE_RETURN)
		print_params(g, BOUND_RESULT, p->variables.results, p->variables.nresults);
	else if (own)
		print_params(g, BOUND_PARAM, p->variables.params, p->variables.nparams);
	if (own && p->side != SIDE_RETURN)
		print_params(g, BOUND_CAPTURED, p->variables.captured, p->variables.ncaptured);
	buf_printf(g->out, ") (passes bool) {\n");
	g->indent = 1;
	if (own && p->filter.root) {
		print_filter(g);
		go_line(g, "if !passes {");
		go_line(g, "\treturn");
		go_line(g, "}");
	}
	if (own) {
		print_address(g, "goroutine", &p->goroutine);
		print_address(g, "sp", &p->sp);
	}
	for (size_t i = 0; i < p->ncaptures; i++)
		if (here[i] && is_printable(alternative_of(&p->captures[i])))
			print_capture(g, &p->captures[i]);
	buf_printf(g->out, "\treturn true\n}\n");
}

static void add_function(struct go_files *f, const char *name, const char *package, bool own,
			 const struct bound_program *p, const bool *here)
{
	struct go_file *file = file_of(f, package);
	struct arena arena = {0};
	struct go_printer g = {.file = file, .program = p, .out = &file->body, .arena = &arena};

	print_function(&g, name, name, own, here);
	arena_done(&arena);
}

void go_files_add(struct go_files *f, const char *name, const struct bound_program *p)
{
	struct arena arena = {0};
	const char *own = package_of(&arena, p->symbol), **home = arena_array(&arena, const char *, p->ncaptures + 1);
	bool *here = arena_array(&arena, bool, p->ncaptures + 1);

	for (size_t i = 0; i < p->ncaptures; i++) {
		home[i] = alternative_of(&p->captures[i]) ? home_of(&arena, &p->captures[i], own) : NULL;
		here[i] = home[i] && !strcmp(home[i], own);
	}
	add_function(f, name, own, true, p, here);
	for (size_t i = 0; i < p->ncaptures; i++) {
		const char *other = home[i];

		if (!other || !strcmp(other, own))
			continue;
		for (size_t k = 0; k < p->ncaptures; k++) {
			here[k] = home[k] && !strcmp(home[k], other);
			home[k] = here[k] ? NULL : home[k];
		}
		add_function(f, name, other, false, p, here);
	}
	arena_done(&arena);
}

/* ---- files ---- */

static const char interface[] =
	"\n// earshotProbe takes what a probe captures.\n"
	"type earshotProbe interface {\n"
	"\tValue(name string, value interface{})\n"
	"\tType(name string, of interface{}) // its dynamic type\n"
	"\tCarry(number int, value interface{}) // for a later probe of this span or call\n"
	"\tCarried(number int) interface{}\n"
	"\tSameType(a, b interface{}) bool\n"
	"\tGoID() uint64\n"
	"\tCaller() string\n"
	"\tStack() []uintptr\n"
	"\tLatency() int64 // ns\n"
	"}\n";

static const char contains_text[] =
	"\nfunc earshotContains(s, part string) bool {\n"
	"\tfor i := 0; i+len(part) <= len(s); i++ {\n"
	"\t\tif s[i:i+len(part)] == part {\n"
	"\t\t\treturn true\n"
	"\t\t}\n"
	"\t}\n"
	"\treturn false\n"
	"}\n";

/* part is of small letters. */
static const char named_text[] =
	"\nfunc earshotNamed(s, part string) bool {\n"
	"\tif len(s) != len(part) {\n"
	"\t\treturn false\n"
	"\t}\n"
	"\tfor i := 0; i < len(s); i++ {\n"
	"\t\tif s[i]|0x20 != part[i] {\n"
	"\t\t\treturn false\n"
	"\t\t}\n"
	"\t}\n"
	"\treturn true\n"
	"}\n";

static const char equal_text[] =
	"\n// earshotEqual does not know of values that Go does not compare.\n"
	"func earshotEqual(a, b interface{}) (equal, known bool) {\n"
	"\tdefer func() {\n"
	"\t\tif !known {\n"
	"\t\t\trecover()\n"
	"\t\t}\n"
	"\t}()\n"
	"\treturn a == b, true\n"
	"}\n";

void go_helpers_print(const struct go_file *f, struct buf *out)
{
	buf_printf(out, "%s%s%s", f->contains ? contains_text : "", f->equal ? equal_text : "",
	           f->named ? named_text : "");
}

static void print_file(const struct go_file *f, struct buf *out)
{
	struct arena arena = {0};

	buf_printf(out, "-- %s/earshot_probes.go --\n// Printed by earshot inspect --go-probe.\npackage %s\n",
		   f->package, go_package_name(&arena, f->package));
	for (size_t i = 0; i < f->imports.len; i++)
		buf_printf(out, "%simport %s \"%s\"\n", i ? "" : "\n", go_import_name(f, &arena, i),
			   f->imports.data[i]);
	buf_printf(out, "%s", interface);
	go_helpers_print(f, out);
	buf_printf(out, "%.*s", (int)f->body.len, f->body.data);
	arena_done(&arena);
}

void go_files_print(const struct go_files *f, struct buf *out)
{
	for (size_t i = 0; i < f->files.len; i++)
		print_file(f->files.data[i], out);
}
