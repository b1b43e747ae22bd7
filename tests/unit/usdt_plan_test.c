/* Questions about USDT probes: what their arguments become, and what cannot be asked. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "binary/arch_x86_64.h"
#include "probe/plan/usdt_plan.h"

static const struct usdt_arg args[] = {
	{.size = 8, .place = USDT_REGISTER, .base = GPR_RDI, .index = -1},
	{.size = -1, .place = USDT_REGISTER, .base = GPR_RSI, .index = -1},
	{.size = -4, .place = USDT_MEMORY, .base = GPR_RSP, .index = -1, .constant = 16},
	{.size = 8, .place = USDT_MEMORY, .base = GPR_RAX, .index = GPR_RCX, .scale = 8, .constant = -8},
	{.size = 4, .place = USDT_MEMORY, .base = -1, .index = -1, .constant = 0x5000},
	{.size = 2, .place = USDT_CONSTANT, .constant = -1, .base = -1, .index = -1},
	{.size = 8, .is_float = true, .place = USDT_REGISTER, .base = GPR_RDX, .index = -1},
	{.size = 8, .place = USDT_REFUSED, .base = -1, .index = -1, .why = "it lies in %xmm0"},
};
static const struct usdt_site site = {.provider = "shop", .name = "order", .address = 0x4000, .args = args,
				      .n_args = ARRAY_SIZE(args)};
static const struct planter_caps caps = {.probes_any = true};

static struct arena arena;

static struct call_plan plan(const char *text)
{
	const struct call_plan_options o = {.limits = {.max_string = 256}, .caps = &caps};
	struct question *q = arena_new(&arena, struct question);
	struct err err = {0};
	struct call_plan p;

	if (question_parse(text, &arena, q, &err))
		fail_msg("%s", err.text);
	assert_true(q->usdt);
	usdt_plan_make(q, &site, &o, &arena, &p);
	return p;
}

static void has_code(const struct call_plan *p, const char *want)
{
	struct buf text = {0};

	if (p->why)
		fail_msg("%s", p->why);
	capture_print(&p->entry, &text);
	if (!strstr(text.data, want))
		fail_msg("no \"%s\" in\n%s", want, text.data);
	buf_done(&text);
}

static void test_places(void **state)
{
	struct call_plan p = plan("usdt:shop:order");

	(void)state;
	assert_true(p.entry.threads);
	assert_int_equal(p.nshown, ARRAY_SIZE(args));
	assert_int_equal(p.entry.nslots, ARRAY_SIZE(args) - 1);
	has_code(&p, "rdi u64");
	has_code(&p, "rsi i8");
	has_code(&p, "+16] i32");
	has_code(&p, "-8] u64");
	has_code(&p, "site+4096");
	has_code(&p, "= 65535");
	assert_int_equal(p.entry.slots[6].kind, VALUE_FLOAT64);
	assert_string_equal(p.shown[0].name, "arg0");
	assert_int_equal(p.shown[7].slot, -1);
	assert_non_null(strstr(p.shown[7].why, "%xmm0"));
}

static void test_questions(void **state)
{
	struct call_plan p;
	struct buf text = {0};

	(void)state;
	p = plan("usdt:shop:order if text(arg0) == \"alice\" && arg1 < 0 { print(text(arg0), tid, pid); "
		 "count() by arg2, tid }");
	has_code(&p, "str_len");
	has_code(&p, "str_eq");
	has_code(&p, "thread");
	assert_int_equal(p.entry.naggregates, 1);
	p = plan("usdt:shop:order { print(text(arg0, arg3)) }");
	assert_null(p.why);
	capture_print(&p.entry, &text);
	assert_null(strstr(text.data, "str_len"));
	buf_done(&text);
	p = plan("usdt:shop:order { count() by func }");
	assert_true(p.entry.no_record);
	assert_string_equal(p.name, "usdt:shop:order");
}

static void test_refused(void **state)
{
	static const struct {
		const char *question, *why;
	} cases[] = {
		{"{ print(arg8) }", "arg8 is not known here"},
		{"{ print(text(arg1)) }", "which has 8 bytes; arg1 is an int8"},
		{"{ print(text(arg0, arg1)) }", "the length of a text has 8 bytes; arg1 is an int8"},
		{"{ print(text()) }", "not 0 arguments"},
		{"{ sum(arg7) }", "it lies in %xmm0"},
		{"{ print(goid) }", "goid is not known here"},
		{"if latency > 1s", "a USDT probe is a point"},
		{"{ sum(arg6) }", "floating-point"},
		{"{ sum(text(arg0)) }", "only integers"},
		{"{ stack }", "stack is not known here"},
		{"if arg0.Name == \"x\"", "arg0"},
		{"if http.StatusOK == arg0", "http"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct call_plan p = plan(arena_printf(&arena, "usdt:shop:order %s", cases[i].question));

		if (!p.why || !strstr(p.why, cases[i].why))
			fail_msg("%s: %s", cases[i].question, p.why ? p.why : "not refused");
	}
}

static void test_parsed(void **state)
{
	static const char *const bad[] = {"usdt:", "usdt:order", "usdt::order", "usdt:shop:", "usdt:a:b:c"};
	struct question q;
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(question_parse(bad[i], &arena, &q, &err), -EINVAL);
		assert_non_null(strstr(err.text, "usdt:PROVIDER:NAME"));
	}
	assert_int_equal(question_parse("usdt:sh*:o?der{ count() }", &arena, &q, &err), 0);
	assert_true(usdt_question_matches(&q, &site));
	assert_int_equal(question_parse("usdt:shop:orders", &arena, &q, &err), 0);
	assert_false(usdt_question_matches(&q, &site));
	assert_int_equal(question_parse("main.F { print(text(x)) }", &arena, &q, &err), 0);
	assert_false(q.usdt);
}

static int done(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_parsed),
	};

	return cmocka_run_group_tests(tests, NULL, done);
}
