/*
 * Functions as spans, against real programs (tests/go/calls, tests/go/trio): the pack that is made of them, what its
 * probes capture, what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "lib/go_binaries.h"
#include "plant/planters.h"
#include "probe/pack/join.h"
#include "probe/plan/span_plan.h"

#define MAX_QUESTIONS 4

struct planned {
	struct binary *b;
	struct span_question questions[MAX_QUESTIONS];
	struct span_plan plan;
	struct join *joins;
	size_t n;
};

static struct planned plan(const char *path, const char *const *questions)
{
	const struct join_options with = {.caps = &planters[0]->caps};
	struct planned p = {0};
	struct err err = {0};
	size_t n = 0;

	if (binary_open(path, &p.b, &err) < 0)
		fail_msg("%s", err.text);
	for (; n < MAX_QUESTIONS && questions[n]; n++)
		if (span_question_parse(questions[n], binary_arena(p.b), &p.questions[n], &err) < 0)
			fail_msg("%s", err.text);
	span_plan_make(p.b, p.questions, n, &p.plan);
	if (p.plan.pack && join_packs(p.b, &p.plan.pack, 1, &with, &p.joins, &p.n, &err) < 0)
		fail_msg("%s", err.text);
	return p;
}

static void done(struct planned *p)
{
	pack_free(p->plan.pack);
	span_plan_done(&p->plan);
	binary_free(p->b);
}

/* "NAME: attribute,…" of a point's captures that have a slot; contexts and lineage as +parent and nothing. */
static const char *captured(struct planned *p, const struct join *j)
{
	struct buf out = {0};
	const char *text;

	buf_printf(&out, "%s:", j->span->titles[0]);
	for (size_t i = 0; j->variant && i < j->variant->ncaptures; i++) {
		const struct pack_capture *c = &j->variant->captures[i];

		if (j->capture.slot_of_item[i] >= 0 && c->use <= USE_ATTRIBUTE && strcmp(c->name, "code.function.name"))
			buf_printf(&out, " %s", c->name);
		if (j->capture.slot_of_item[i] >= 0 && c->use == USE_PARENT_CHAIN)
			buf_str(&out, " +parent");
	}
	if (!j->variant)
		buf_printf(&out, " refused: %s", j->why);
	text = arena_strndup(binary_arena(p->b), out.data, out.len);
	buf_done(&out);
	return text;
}

static void check(const char *path, const char *const *questions, const char *const *want)
{
	struct planned p = plan(path, questions);

	for (size_t i = 0; want[i]; i++) {
		if (i >= p.n)
			fail_msg("%s: only %zu points", path, p.n);
		if (strcmp(captured(&p, &p.joins[i]), want[i]))
			fail_msg("%s: %s, wanted %s", path, captured(&p, &p.joins[i]), want[i]);
		assert_int_equal(p.joins[i].point->role, i % 2 ? POINT_END : POINT_START);
		assert_int_equal(p.joins[i].span->kind, SPAN_INTERNAL);
	}
	done(&p);
}

/* ---- arguments, results ---- */

static void with_dwarf(const char *path)
{
	check(path, (const char *[]){"main.Strings", "Errors", "main.Login", "main.Pointers", NULL},
	      (const char *[]){"main.Strings: a b", "main.Strings:", "main.Errors: n", "main.Errors: error.type",
			       "main.Login: n user vip", "main.Login: error.type", "main.Pointers:", "main.Pointers:",
			       NULL});
	check(path, (const char *[]){"main.Login if n > 3 { name: p.Name, len(items), id }", "main.Strings {}", NULL},
	      (const char *[]){"main.Login: name len(items)", "main.Login: id error.type", "main.Strings:",
			       "main.Strings:", NULL});
}

static void stripped(const char *path)
{
	static const char *const questions[] = {"main.Strings", "main.Errors(n int, given error) (err error)", NULL};
	struct planned p = plan(path, questions);

	assert_string_equal(captured(&p, &p.joins[0]), "main.Strings:");
	assert_string_equal(captured(&p, &p.joins[2]), "main.Errors: n");
	assert_string_equal(captured(&p, &p.joins[3]), "main.Errors: error.type");
	assert_int_equal(p.plan.partial.len, 1); /* once, and not of what is declared */
	assert_non_null(strstr(p.plan.partial.data[0], "whether it fails cannot be told"));
	done(&p);
}

static void test_arguments(void **state)
{
	if (!go_binaries_each("bin/calls-go1.*-plain", with_dwarf) | !go_binaries_each("bin/calls-go1.*-sw", stripped))
		skip();
}

/* ---- contexts ---- */

static void with_contexts(const char *path)
{
	check(path, (const char *[]){"main.(*front).place", "main.(*front).order", "main.(*front).pack", NULL},
	      (const char *[]){"main.(*front).place: number +parent", "main.(*front).place: error.type",
			       "main.(*front).order: +parent", "main.(*front).order:",
			       "main.(*front).pack: number +parent", "main.(*front).pack: error.type", NULL});
	check(path, (const char *[]){"github.com/jackc/pgx/v5.(*Conn).Ping", NULL},
	      (const char *[]){"pgx/v5.(*Conn).Ping: +parent", "pgx/v5.(*Conn).Ping: error.type", NULL});
}

static void test_contexts(void **state)
{
	if (!go_binaries_each("bin/trio-go1.*-plain", with_contexts))
		skip();
}

/* ---- what is refused ---- */

static void refuses(const char *path)
{
	static const struct {
		const char *question, *sentence;
	} cases[] = {
		{"main.None", "has no function main.None"},
		{"main.*None", "no function of "},
		{"runtime.*", "and 100 are possible: narrow the pattern"},
		{"main.Errors if err != nil", "this is known when it returns only; --keep keeps"},
		{"main.Strings(a int) (n int)", "main.Strings is no span: "},
		{"main.Repanics.func1", "its span would have no end: "},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct planned p = plan(path, (const char *[]){cases[i].question, NULL});

		if (p.plan.refused.len != 1 || !strstr(p.plan.refused.data[0], cases[i].sentence))
			fail_msg("%s: %s: %zu refused, %s", path, cases[i].question, p.plan.refused.len,
				 p.plan.refused.len ? p.plan.refused.data[0] : "");
		assert_null(p.plan.pack);
		done(&p);
	}
}

/* Named twice, a function is the first one's; what a choice does not fit is refused with both of its points. */
static void first_counts(const char *path)
{
	static const char *const questions[] = {"main.Strings { a }", "main.S*s", "main.Errors { nothing }", NULL};
	struct planned p = plan(path, questions);
	size_t strings = 0;

	for (size_t i = 0; i < p.n; i++) {
		if (!strcmp(p.joins[i].span->titles[0], "main.Strings"))
			strings += strcmp(captured(&p, &p.joins[i]), "main.Strings: a b") != 0;
		if (!strcmp(p.joins[i].span->titles[0], "main.Errors"))
			assert_non_null(strstr(captured(&p, &p.joins[i]), "nothing is not known here"));
	}
	assert_int_equal(strings, 2);
	assert_true(p.n > 6);
	done(&p);
}

static void test_refused(void **state)
{
	if (!go_binaries_each("bin/calls-go1.27-plain", refuses) |
	    !go_binaries_each("bin/calls-go1.27-plain", first_counts))
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_contexts),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
