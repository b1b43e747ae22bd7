/* What is found in Go source: functions with their parts, and what the grammar of the parser cannot read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "weave/go_mask.h"
#include "weave/go_source.h"

static struct go_source *parse(const char *text)
{
	struct go_source *s = NULL;
	struct err err = {0};

	if (go_source_parse(text, strlen(text), &s, &err))
		fail_msg("%s", err.text);
	for (size_t i = 0; i < s->nfunctions; i++)
		go_function_read(s, &s->functions[i]);
	return s;
}

static const struct go_function *function_named(const struct go_source *s, const char *name)
{
	for (size_t i = 0; i < s->nfunctions; i++)
		if (!strcmp(s->functions[i].name, name))
			return &s->functions[i];
	fail_msg("there is no function %s", name);
	return NULL;
}

static void print_list(const struct go_source *s, const struct go_param *p, size_t n, struct buf *out)
{
	buf_str(out, "(");
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s%s%s%s%.*s", i ? ", " : "", p[i].name ? p[i].name : "", p[i].name ? " " : "",
		           p[i].variadic ? "..." : "", (int)(p[i].type.end - p[i].type.start),
		           s->text + p[i].type.start);
	buf_str(out, ")");
}

/* The signature of one function, written out with a name at each type. */
static void check_signature(const char *head, const char *want)
{
	_cleanup_(buf_done) struct buf text = {0}, got = {0};
	_cleanup_(cleanup_go_source) struct go_source *s = NULL;

	buf_printf(&text, "package p\n\nfunc %s {}\n", head);
	s = parse(text.data);
	assert_int_equal(s->nfunctions, 1);
	assert_false(s->functions[0].broken);
	print_list(s, s->functions[0].params, s->functions[0].nparams, &got);
	print_list(s, s->functions[0].results, s->functions[0].nresults, &got);
	if (strcmp(got.data, want))
		fail_msg("%s is read as %s, not as %s", head, got.data, want);
}

static void signatures(void **state)
{
	check_signature("f()", "()()");
	check_signature("f(a, b int, c string) error", "(a int, b int, c string)(error)");
	check_signature("f(int, string) (bool, error)", "(int, string)(bool, error)");
	check_signature("(c *conn) f(_ int, xs ...string) (n int, err error)",
	                "(c *conn, _ int, xs ...string)(n int, err error)");
	check_signature("(*T) f(func(a, b int) error, map[string]int)", "(*T, func(a, b int) error, map[string]int)()");
	check_signature("f() (int, map[K]*V)", "()(int, map[K]*V)");
	check_signature("f(num, a1, a2, a3, a4, a5, a6, a7, a8, a9 uintptr)",
	                "(num uintptr, a1 uintptr, a2 uintptr, a3 uintptr, a4 uintptr, a5 uintptr, a6 uintptr, "
	                "a7 uintptr, a8 uintptr, a9 uintptr)()");
	check_signature("f(a [4]int, b []int, c T[int], d pkg.T[int])",
	                "(a [4]int, b []int, c T[int], d pkg.T[int])()");
	check_signature("f(T[int], pkg.T[int], [4]int, ...pkg.T)", "(T[int], pkg.T[int], [4]int, ...pkg.T)()");
	check_signature("f(\n\ta int, // a, the first\n\tb /* or c */ struct{ x, y int },\n)",
	                "(a int, b struct{ x, y int })()");
	check_signature("f(ch <-chan int, d chan<- int) <-chan int", "(ch <-chan int, d chan<- int)(<-chan int)");
	check_signature("f(interface{ M(a, b int) }, struct{ a, b int })",
	                "(interface{ M(a, b int) }, struct{ a, b int })()");
}

static void what_a_function_has(void **state)
{
	_cleanup_(cleanup_go_source) struct go_source *s =
	    parse("package p\n"
	          "\n"
	          "// About it.\n"
	          "//\n"
	          "//go:noinline\n"
	          "//go:nosplit\n"
	          "func (q *Queue[T]) Push(x T) (n int) {\n"
	          "\tdefer func() { defer q.unlock(); recover(); return }()\n"
	          "again:\n"
	          "\tfor range q.all {\n"
	          "\t\tdefer q.done()\n"
	          "\t\tgoto again\n"
	          "\t}\n"
	          "\treturn 1\n"
	          "}\n"
	          "//go:linkname elsewhere runtime.elsewhere\n"
	          "func elsewhere()\n"
	          "\n"
	          "func one() { recover(); runtime.Callers(0, nil) }\n");
	const struct go_function *f = function_named(s, "Push");
	struct arena arena = {0};

	assert_true(s->clean);
	assert_string_equal(go_function_name(&arena, f), "(*Queue).Push");
	assert_true(f->generic && f->by_pointer);
	assert_int_equal(f->directives, GO_NOINLINE | GO_NOSPLIT);
	assert_int_equal(f->returns, 1);
	assert_int_equal(f->defers, 2);
	assert_true(f->loops_defer && f->ends_in_return);
	assert_int_equal(f->labels, 1);
	assert_int_equal(f->gotos, 1);
	assert_false(f->recovers);
	f = function_named(s, "elsewhere");
	assert_int_equal(f->directives, GO_LINKNAME);
	assert_int_equal(f->body.start, f->body.end);
	f = function_named(s, "one");
	assert_true(f->recovers && f->asks_caller);
	assert_false(f->generic || f->ends_in_return);
	assert_int_equal(f->directives, 0);
	arena_done(&arena);
}

static void declarations(void **state)
{
	_cleanup_(cleanup_go_source) struct go_source *s =
	    parse("// Package p.\npackage p\n\nimport \"fmt\"\nimport (\n\t_ \"embed\"\n\th \"net/http\"\n)\n\n"
	          "type A struct{ x int }\ntype (\n\tB = h.Request\n\tC[P any] []P\n)\n"
	          "func f() { type local int }\n");

	assert_string_equal(s->package, "p");
	assert_int_equal(s->nimports, 3);
	assert_null(s->imports[0].name);
	assert_string_equal(s->imports[1].name, "_");
	assert_string_equal(s->imports[2].path, "net/http");
	assert_int_equal(s->ntypes, 3);
	assert_true(s->types[1].alias && !s->types[0].alias);
	assert_int_equal(s->types[2].params.end - s->types[2].params.start, 5);
	assert_memory_equal(s->text + s->types[2].params.start, "P any", 5);
	assert_int_equal(s->types[0].params.end, 0);
	assert_memory_equal(s->text + s->types[0].type.start, "struct{ x int }", 15);
}

/* What the grammar does not know hides neither the function that it is in nor any other. */
static void newer_than_the_grammar(void **state)
{
	_cleanup_(cleanup_go_source) struct go_source *s =
	    parse("package p\n\n"
	          "func (r *R) Map[P any, Q interface{ ~[]P }](f func(P) Q) *Q { return new(f(r.x)) }\n"
	          "func (R) One[P any]() { _ = new(int); _ = new([]int); _ = new(1 + 2); _ = new(map[string]int) }\n"
	          "func (r *R) news(new func(int) int) { r.new(1); _ = \"new(\" /* new(a+b) */ }\n"
	          "func after() { x := new(struct{ a int }); _ = new(x.a + 1) }\n");

	assert_true(s->clean);
	assert_int_equal(s->nmissing, 0);
	assert_int_equal(s->nfunctions, 4);
	assert_true(s->functions[0].generic && s->functions[1].generic);
	assert_string_equal(s->functions[0].name, "Map");
	assert_false(s->functions[2].generic || s->functions[3].generic);
}

/* Whatever looks like the end of a body, or of a signature. */
static void bodies_are_read_when_they_are_asked_for(void **state)
{
	static const char text[] =
	    "package p\n\n"
	    "func (t *T[P]) a(x interface{ m() struct{} }) (r struct{ b int }, err error) { return }\n"
	    "func b() interface{ M() } { return f(\"}\", '}', '\\'', `}\n}\nfunc no() {}\n`) } // }\n"
	    "func c() map[struct{}]func() struct{} { /* } */ return nil } /* here */\n"
	    "func d()\n"
	    "func e() { // }\n\tfor { defer func() { return }() }\n};func f() { goto x\n}\n"
	    "func bad() { if { } ) }\n"
	    "func g[P any](p P) (P) { x: return p }";
	static const char *const names[] = {"a", "b", "c", "d", "e", "f", "bad", "g"};
	struct go_source *s;

	assert_int_equal(go_source_parse(text, strlen(text), &s, NULL), 0);
	assert_true(s->nmissing == 0 && s->nfunctions == ARRAY_SIZE(names));
	for (size_t i = 0; i < s->nfunctions; i++) {
		struct go_function *f = &s->functions[i];

		assert_string_equal(f->name, names[i]);
		assert_false(f->read);
		assert_int_equal(f->returns + f->defers + f->gotos + f->nliterals, 0);
		assert_true(!strcmp(f->name, "d") == (f->body.end == f->body.start));
		go_function_read(s, f);
		go_function_read(s, f);
		assert_true(f->read && f->broken == !strcmp(f->name, "bad"));
	}
	assert_true(s->functions[0].ends_in_return && s->functions[0].returns == 1);
	assert_true(s->functions[1].returns == 1 && s->functions[2].returns == 1);
	assert_true(s->functions[4].loops_defer && s->functions[4].nliterals == 1 && !s->functions[4].returns);
	assert_string_equal(s->functions[4].literals[0].name, "func1");
	assert_true(s->functions[5].gotos == 1 && s->functions[7].labels == 1);
	go_source_free(s);
}

static void broken_functions_are_named(void **state)
{
	_cleanup_(cleanup_go_source) struct go_source *s =
	    parse("package p\n\nfunc good() {}\n\nfunc bad() { if { } ) }\n\nfunc worse( {\n\nfunc last() {}\n");
	bool named = s->nmissing > 0;

	assert_false(s->clean);
	assert_false(function_named(s, "good")->broken);
	for (size_t i = 0; i < s->nfunctions; i++)
		if (!strcmp(s->functions[i].name, "bad") || !strcmp(s->functions[i].name, "worse"))
			named |= s->functions[i].broken;
	assert_true(named);
}

static void a_function_that_is_missing_is_told(void **state)
{
	/* An error that reaches over its neighbours. */
	_cleanup_(cleanup_go_source) struct go_source *s =
	    parse("package p\n\nfunc a() {}\n\nfunc (b B) b§(x int) { ) ( }\n\nfunc c() {}\n");
	size_t sound = 0;

	for (size_t i = 0; i < s->nfunctions; i++)
		sound += !s->functions[i].broken;
	assert_true(sound + s->nmissing >= 2);
	if (s->nmissing)
		assert_true(s->missing_line >= 5 && s->missing);
}

static void the_copy_has_all_at_its_place(void **state)
{
	static const char text[] = "func (r T) M[P any,\n\tQ any](x P) { return new(x) }\n";
	char copy[sizeof(text)];
	go_heads heads = {0};
	go_gaps gaps = {0};

	go_mask(text, sizeof(text), copy);
	assert_string_equal(copy, "func (r T) M       \n       (x P) { return nEw(x) }\n");
	go_mask_outline(text, sizeof(text), copy, &heads, &gaps);
	assert_string_equal(copy, "func (r T) M       \n       (x P) {               }\n");
	assert_int_equal(heads.len, 1);
	assert_int_equal(heads.data[0], 0);
	vec_done(&heads);
	vec_done(&gaps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(signatures),
	    cmocka_unit_test(what_a_function_has),
	    cmocka_unit_test(declarations),
	    cmocka_unit_test(newer_than_the_grammar),
	    cmocka_unit_test(bodies_are_read_when_they_are_asked_for),
	    cmocka_unit_test(broken_functions_are_named),
	    cmocka_unit_test(a_function_that_is_missing_is_told),
	    cmocka_unit_test(the_copy_has_all_at_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
