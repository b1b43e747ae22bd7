/* The expression language: what is parsed as what, how it prints, what the errors say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "probe/lang/expr.h"
#include "probe/lang/nearest.h"

static const char *round_trip(struct arena *a, const char *text)
{
	struct err err = {0};
	struct expr *e;
	struct buf b = {0};
	const char *out;

	if (expr_parse(text, a, &e, &err) < 0)
		return arena_printf(a, "error: %s", err.text);
	expr_print(e, &b);
	out = arena_strdup(a, b.data);
	buf_done(&b);
	return out;
}

static void test_print(void **state)
{
	static const char *const pairs[][2] = {
		{"req.URL.Path", "req.URL.Path"},
		{" rw . (*response) . status ", "rw.(*response).status"},
		{"x.(map[string]func(int) (a, b))", "x.(map[string]func(int) (a, b))"},
		{"len(items)>3", "len(items) > 3"},
		{"h[\"User-Agent\"][0]", "h[\"User-Agent\"][0]"},
		{"*p", "*p"},
		{"(*p).x", "(*p).x"},
		{"*p.x", "*p.x"},
		{"x.y[2].z", "x.y[2].z"},
		{"a==\"x\"&&!b||n>=10", "a == \"x\" && !b || n >= 10"},
		{"a && (b || c)", "a && (b || c)"},
		{"(a && b) || c", "a && b || c"},
		{"a - (b - c)", "a - (b - c)"},
		{"(a - b) - c", "a - b - c"},
		{"a + b * c", "a + b * c"},
		{"(a + b) * c", "(a + b) * c"},
		{"a & 3 == 1", "a & 3 == 1"},
		{"(a == b) == c", "a == b == c"},
		{"a | b ^ c << 2 >> 1", "a | b ^ c << 2 >> 1"},
		{"!(a == b)", "!(a == b)"},
		{"-x + -1", "-x + -1"},
		{"hasprefix(s, \"GET \")", "hasprefix(s, \"GET \")"},
		{"f()", "f()"},
		{"nil == true != false", "nil == true != false"},
		{"0x1f", "31"},
		{"0b101 + 0o17 + 017 + 1_000", "5 + 15 + 15 + 1000"},
		{"0xffffffffffffffff", "18446744073709551615"},
		{"'c' + '\\n' + '\\x41' + 'é' + '\\u00e9'", "99 + 10 + 65 + 233 + 233"},
		{"10ms + 1m30s + 5\xc2\xb5s + 2ns", "10000000 + 90000000000 + 5000 + 2"},
		{"1.5 + .25 + 1e3", "1.5 + 0.25 + 1000.0"},
		{"\"a\\\"b\\\\\\t\\x00é\\377\"", "\"a\\\"b\\\\\\x09\\x00é\\xff\""},
		{"`raw\\n\"x`", "\"raw\\\\n\\\"x\""},
		{"größe.x", "größe.x"},
		{"a%b/c", "a % b / c"},
		{"a % (b / c)", "a % (b / c)"},
		{"+a&^-b ^ ^c", "+a &^ -b ^ ^c"},
		{"s[:2]+s[ 1 : ]+s[:]+s[a:b+1]", "s[:2] + s[1:] + s[:] + s[a:b + 1]"},
		{"strings.HasSuffix(s, t[:3])", "hassuffix(s, t[:3])"},
		{"(p == Point{1, -2})", "p == (Point{1, -2})"},
		{"m[pkg.Key{ID: 5, Name: s}].x", "m[(pkg.Key{ID: 5, Name: s})].x"},
		{"a == [2]int{1, 2}", "a == [2]int{1, 2}"},
		{"m[[4]byte{}] == [ 2 ]string{\"a\"} [0]", "m[[4]byte{}] == [ 2 ]string{\"a\"}[0]"},
		{"(a == T{T{1}, T{}})", "a == (T{(T{1}), (T{})})"},
	};
	struct arena a = {0};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		const char *once = round_trip(&a, pairs[i][0]);

		assert_string_equal(once, pairs[i][1]);
		assert_string_equal(round_trip(&a, once), once);
	}
	arena_done(&a);
}

static void test_tree(void **state)
{
	struct arena a = {0};
	struct err err = {0};
	struct expr *e;

	assert_int_equal(expr_parse("a.b == len(c) + 2", &a, &e, &err), 0);
	assert_int_equal(e->op, EXPR_BINARY);
	assert_string_equal(e->text, "==");
	assert_int_equal(e->column, 4);
	assert_int_equal(e->a->op, EXPR_FIELD);
	assert_int_equal(e->a->column, 2);
	assert_string_equal(e->a->text, "b");
	assert_int_equal(e->b->a->op, EXPR_CALL);
	assert_int_equal(e->b->a->nargs, 1);
	assert_int_equal(e->b->b->number, 2);
	assert_int_equal(expr_parse("x.(*net/http.response)", &a, &e, &err), 0);
	assert_int_equal(e->op, EXPR_ASSERT);
	assert_string_equal(e->text, "*net/http.response");
	arena_done(&a);
}

static void test_errors(void **state)
{
	static const char *const cases[][2] = {
		{"", "a value is expected here, but the expression ends\n  \n  ^"},
		{"a +", "a value is expected here, but the expression ends\n  a +\n     ^"},
		{"a b", "an operator or the end of the expression is expected here\n  a b\n    ^"},
		{"a = 3", "= assigns in Go; to compare, write ==\n  a = 3\n    ^"},
		{"a)", "this bracket closes nothing\n  a)\n   ^"},
		{"(a", "the ) that closes this is missing\n  (a\n  ^"},
		{"a[1", "the ] that closes this is missing\n  a[1\n   ^"},
		{"f(1, 2, 3, 4, 5)", "too many arguments\n  f(1, 2, 3, 4, 5)\n                ^"},
		{"\"abc", "this string has no closing \"\n  \"abc\n  ^"},
		{"`abc", "this string has no closing `\n  `abc\n  ^"},
		{"x == 'ab'", "a character is written like 'c' or '\\n'; text goes in \"…\"\n"
			      "  x == 'ab'\n       ^"},
		{"a # b", "this character has no meaning in an expression\n  a # b\n    ^"},
		{"x.", "a field name is expected behind the dot\n  x.\n    ^"},
		{"x.(T", "the ) that closes this is missing\n  x.(T\n     ^"},
		{"x.()", "a type is expected here, as in x.(*T)\n  x.()\n    ^"},
		{"é && &x", "addresses cannot be taken; a pointer's value is uintptr(p)\n"
			    "  é && &x\n       ^"},
		{"0x", "this is not a number as Go writes them\n  0x\n  ^"},
		{"18446744073709551616", "this number does not fit into 64 bits\n"
					 "  18446744073709551616\n  ^"},
		{"p == T{1}", "an operator or the end of the expression is expected here\n  p == T{1}\n        ^"},
		{"(p == T{1)", "the } that closes this is missing\n  (p == T{1)\n         ^"},
		{"(p == T{a.b: 1})",
		 "only fields are named in a literal, as in Point{X: 1}\n  (p == T{a.b: 1})\n            ^"},
		{"s[1:2:3]", "a slice's capacity has no meaning here: s[low:high]\n  s[1:2:3]\n       ^"},
		{"[3] == 1",
		 "a value is expected here; an array is written with its type, as in [2]int{1, 2}\n  [3] == 1\n  ^"},
		{"1 + 12abc", "this is not a number as Go writes them\n  1 + 12abc\n      ^"},
	};
	struct arena a = {0};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = {0};
		struct expr *e = NULL;

		assert_int_equal(expr_parse(cases[i][0], &a, &e, &err), -EINVAL);
		assert_string_equal(err.text, cases[i][1]);
		assert_int_equal(err.code, -EINVAL);
		assert_null(e);
		assert_int_equal(expr_parse(cases[i][0], &a, &e, NULL), -EINVAL);
	}
	arena_done(&a);
}

static void test_method_call(void **state)
{
	struct arena a = {0};

	assert_non_null(strstr(round_trip(&a, "strings.Title(s)"), "cannot be called"));
	assert_non_null(strstr(round_trip(&a, "3(x)"), "only functions can be called"));
	arena_done(&a);
}

/* Deep and long inputs end in a sentence, not in a deep stack. */
static void test_limits(void **state)
{
	static char text[8192];
	struct arena a = {0};

	for (const char *unit = "(!-*"; *unit; unit++) {
		memset(text, *unit, 4000);
		text[4000] = '\0';
		assert_non_null(strstr(round_trip(&a, text), "too large"));
	}
	strcpy(text, "a");
	for (int i = 0; i < 1500; i++)
		strcat(text, ".b");
	assert_non_null(strstr(round_trip(&a, text), "too large"));
	strcpy(text, "a");
	for (int i = 0; i < 1500; i++)
		strcat(text, "+b");
	assert_non_null(strstr(round_trip(&a, text), "too large"));
	memset(text, ' ', 5000);
	text[5000] = '\0';
	assert_non_null(strstr(round_trip(&a, text), "longer than"));
	arena_done(&a);
}

static void test_column_window(void **state)
{
	char text[300];
	struct err err = {0};

	memset(text, 'x', sizeof(text));
	text[200] = '!';
	text[299] = '\0';
	assert_int_equal(err_at_column(&err, -EINVAL, text, 200, "here"), -EINVAL);
	assert_memory_equal(err.text, "here\n  ...xxx", 12);
	/* the caret stands under the mark */
	const char *line = strchr(err.text, '\n') + 1, *caret = strchr(line, '\n') + 1;

	assert_int_equal(strchr(line, '!') - line, strchr(caret, '^') - caret);
	assert_int_equal(err_at_column(&err, -EINVAL, "a\tb\n", 99, "%s", "end"), -EINVAL);
	assert_string_equal(err.text, "end\n  a b \n      ^");
}

static void test_nearest(void **state)
{
	static const char *const names[] = {"Method", "URL", "Header", NULL, "Body"};

	assert_string_equal(nearest_name("Methd", names, 5), "Method");
	assert_string_equal(nearest_name("url", names, 5), "URL");
	assert_null(nearest_name("completely", names, 5));
	assert_null(nearest_name("x", names, 5));
	assert_null(nearest_name("x", NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_print),	    cmocka_unit_test(test_tree),
		cmocka_unit_test(test_errors),	    cmocka_unit_test(test_method_call),
		cmocka_unit_test(test_limits),	    cmocka_unit_test(test_column_window),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests_name("expr", tests, NULL, NULL);
}
