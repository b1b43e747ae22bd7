/* What rules make of a value, one at a time: texts, addresses, and templates of paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "span/route.h"
#include "span/transform.h"

static struct attr_list attrs;
static struct transform_wishes wishes;

static void set(const char *key, const char *text)
{
	attr_list_set_string(&attrs, key, text, strlen(text));
}

static void set_number(const char *key, int64_t i)
{
	attr_list_set(&attrs, key, ATTR_INT)->i = i;
}

static int done(void **state)
{
	attr_list_done(&attrs);
	attrs = (struct attr_list){0};
	wishes = (struct transform_wishes){0};
	return 0;
}

/* What becomes of the text; NULL: no attribute. Valid until the next call. */
static const char *apply_bytes(const struct transform *t, const char *s, size_t len)
{
	static char out[256];
	struct captured_value v = {.port = -1};

	captured_set_text(&v, s, len);
	if (!transform_apply(t, transform_steps(t, &wishes), &wishes, &attrs, &v))
		return NULL;
	if (v.kind == ATTR_INT)
		v.len = (size_t)snprintf(v.scratch, sizeof(v.scratch), "#%lld", (long long)v.i);
	if (v.kind == ATTR_INT)
		v.s = v.scratch;
	assert_true(v.len < sizeof(out));
	memcpy(out, v.s, v.len);
	out[v.len] = 0;
	return out;
}

static const char *apply(const struct transform *t, const char *s)
{
	return apply_bytes(t, s, strlen(s));
}

static void parts_of_texts(void **state)
{
	const struct transform path = {.until = "?", .unescape = true}, query = {.after = "?"};

	assert_string_equal(apply(&path, "/a%20b?x=1?y"), "/a b");
	assert_string_equal(apply(&path, "/a%3Fb?x"), "/a?b");
	assert_string_equal(apply(&path, "/a"), "/a");
	assert_null(apply(&path, "?x"));
	assert_string_equal(apply(&query, "/a?x=1?y"), "x=1?y");
	assert_null(apply(&query, "/a"));
	assert_null(apply(&query, "/a?"));
}

static void addresses(void **state)
{
	const struct transform t = {.ip = true};

	assert_string_equal(apply_bytes(&t, "\x7f\0\0\1", 4), "127.0.0.1");
	assert_string_equal(apply_bytes(&t, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\3\7", 16), "10.0.3.7");
	assert_string_equal(apply_bytes(&t, "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16), "2001:db8::1");
	assert_string_equal(apply_bytes(&t, "\xff\x64\x63\x0a", 4), "255.100.99.10");
	assert_string_equal(apply_bytes(&t, "\0\x09\x6d\xc8", 4), "0.9.109.200");
	assert_null(apply_bytes(&t, "\x7f\0\0", 3));
	assert_null(apply_bytes(&t, "", 0));
}

static void joined_and_replaced(void **state)
{
	static const char *const append[] = {"b", "c", "none", NULL},
		*const pairs[] = {"/*/", "/", "//$", "", "/$", "", "$", "x", "a", "aa", NULL};
	const struct transform t = {.append = append, .replace = pairs};

	set("b", "/v1/*");
	set("c", "/things/{thing}/");
	assert_string_equal(apply(&t, "/api/*"), "/api/v1/things/{thing}");
	set("b", "/*/*/*");
	set("c", "//");
	assert_string_equal(apply(&t, "/*"), "/");
	set("b", "");
	set("c", "");
	assert_string_equal(apply(&t, "/"), "/"); /* nothing would be left */
	assert_string_equal(apply(&t, "/a//"), "/a"); /* no text is made longer: it would not end */
}

static void routes_below_routes(void **state)
{
	static const char *const names[] = {"route", "path", "whole", NULL};
	static const struct {
		const char *route, *path, *whole, *value, *want;
	} cases[] = {
		{"/", "/users/7", "/users/7", "/users/{id}", "/users/{id}"}, /* the whole path: the route itself */
		{"/below/", "/users/7", "/below/users/7", "/users/{id}", "/below/users/{id}"},
		{"/t/{tenant}/", "/users/7", "/t/acme/users/7", "/users/{id}", "/t/{tenant}/users/{id}"},
		{"/t/:tenant/*rest", "/x", "/t/acme/x", "/x", "/t/:tenant/x"},
		{"/std/*", "/x", "/std/x", "/x", "/std/x"},
		{"/a/b/", "/x", "/a/c/x", "/x", NULL},          /* another path than the route's */
		{"/*", "/x", "/a/x", "/x", NULL},                /* how many segments? */
		{"/{rest...}", "/x", "/a/x", "/x", NULL},
		{"/{rest:.*}", "/x", "/a/x", "/x", NULL},
		{"/:id?", "/x", "/a/x", "/x", NULL},
		{"/a", "/x", "/a/b/x", "/x", NULL},              /* the route is shorter */
		{"/a/", "/y", "/a/x", "/y", NULL},               /* not the end of the whole: it was rewritten */
		{"/a/", "x", "/a/x", "/x", NULL},
		{"", "/x", "/a/x", "/x", NULL},                  /* nobody has matched what is before it */
		{"/a/", "/x", "/a/x", "x", NULL},
	};
	const struct transform t = {.mounted = names};

	assert_string_equal(apply(&t, "/as/it/is"), "/as/it/is");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *got;

		set("route", cases[i].route);
		set("path", cases[i].path);
		set("whole", cases[i].whole);
		got = apply(&t, cases[i].value);
		if (!cases[i].want != !got || (got && strcmp(got, cases[i].want)))
			fail_msg("%s below %s: %s", cases[i].value, cases[i].route, got ? got : "(none)");
	}
}

static void parameters(void **state)
{
	const struct transform t = {.parameters = "p"};

	assert_null(apply(&t, "/users/7"));
	set_number("p.n", 0);
	assert_string_equal(apply(&t, "/users/7"), "/users/7");
	set_number("p.n", 2);
	set_number("p.0.at", 7);
	set_number("p.0.len", 1);
	set("p.0.name", "id");
	assert_null(apply(&t, "/users/7/7/x")); /* the other one is not known */
	set_number("p.1.at", 8);
	set_number("p.1.len", 4);
	set("p.1.name", "rest");
	assert_string_equal(apply(&t, "/users/7/7/x"), "/users/:id/*rest");
	set_number("p.1.len", 5);
	assert_null(apply(&t, "/users/7/7/x")); /* beyond the path */
	set_number("p.1.at", 7);
	assert_null(apply(&t, "/users/7/7/x")); /* not in order */
	set_number("p.1.at", -8);
	assert_null(apply(&t, "/users/7/7/x"));
	set_number("p.n", 9);
	assert_null(apply(&t, "/users/7/7/x"));
}

static void capitals_and_numbers(void **state)
{
	const struct transform upper = {.upper = true}, number = {.trailing_number = true};

	assert_string_equal(apply(&upper, "hset_1 \xc3\xa4Z"), "HSET_1 \xc3\xa4Z");
	assert_string_equal(apply(&number, "INSERT 0 3"), "#3");
	assert_string_equal(apply(&number, "123456789012345678"), "#123456789012345678");
	assert_string_equal(apply(&number, "0"), "#0");
	assert_null(apply(&number, "CREATE TABLE"));
	assert_null(apply(&number, "3 "));
	assert_null(apply(&number, ""));
}

/* Lines of HTTP: the first with that name, wherever and however it is spelt. One without an end may go on. */
static void fields(void **state)
{
	const struct transform t = {.field = "traceparent"};

	assert_string_equal(apply(&t, "Host: a\r\nTraceParent:\t 00-ab \r\nTraceparent: x\r\n\r\n"), "00-ab");
	assert_string_equal(apply(&t, "traceparent:00\n"), "00");
	assert_null(apply(&t, "traceparent:\r\n"));
	assert_null(apply(&t, "Host: a\r\nTraceparent: 00-ab"));
	assert_null(apply(&t, "X-Traceparent: a\r\ntraceparents: a\r\ntraceparen: a\r\ntraceparent : a\r\n"));
	assert_null(apply(&t, "Host: traceparent: 00\r\n"));
	assert_null(apply(&t, "traceparent\n"));
	assert_null(apply(&t, ""));
}

/* The system's quotes count; what was read in it is the same when the text is shown as it is. */
static void statements(void **state)
{
	const struct sql_attributes names = {.system = "system"};
	const struct transform t = {.sql = &names};
	const char *text = "SELECT \"a\", 'b' FROM t";

	assert_string_equal(apply(&t, text), "SELECT ?, ? FROM t");
	set("system", "postgresql");
	assert_string_equal(apply(&t, text), "SELECT \"a\", ? FROM t");
	set("system", "a name that is longer than that of any system");
	assert_string_equal(apply(&t, text), "SELECT ?, ? FROM t");
	wishes.sql_full = true;
	assert_string_equal(apply(&t, text), text);
	assert_string_equal(attrs.sql->summary.data, "SELECT t");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(parts_of_texts, done), cmocka_unit_test_teardown(addresses, done),
		cmocka_unit_test_teardown(joined_and_replaced, done),
		cmocka_unit_test_teardown(capitals_and_numbers, done), cmocka_unit_test_teardown(statements, done),
		cmocka_unit_test_teardown(routes_below_routes, done), cmocka_unit_test_teardown(parameters, done),
		cmocka_unit_test_teardown(fields, done)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
