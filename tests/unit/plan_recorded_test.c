/*
 * Questions about calls that a program records itself: planned for a real program (tests/go/calls), with records that
 * are made here. What they mean is what they mean where probes answer them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lib/go_binaries.h"
#include "probe/plan/call_plan.h"
#include "unit/records.h"

#define FUNC "main.Recursive"
#define BIAS 0x10000
enum { N, NAME, DATA, PRICE, ON, ENTRY_SLOTS }; /* of an entry's record */
enum { SUM, ERR, RET_SLOTS };

static const struct recorded_variable given[] = {
	{"t", "", "*main.Outer", -1},      {"n", "int32", "main.NoSuchType", N}, {"name", "string", "string", NAME},
	{"data", "[]uint8", "[]uint8", DATA}, {"price", "float64", "float64", PRICE}, {"", "bool", "bool", ON},
};
static const struct recorded_variable returned[] = {{"sum", "int", "int", SUM}, {"", "error", "error", ERR}};
static const struct recorded_call call = {.func = FUNC,
					  .has_receiver = true,
					  .entry = {given, ARRAY_SIZE(given), ENTRY_SLOTS},
					  .ret = {returned, ARRAY_SIZE(returned), RET_SLOTS}};

/* ---- asking ---- */

struct asked {
	struct binary *b;
	struct call_plan_options options;
	struct question question;
	struct call_plans plans;
	struct record entry, ret; /* what the program has written */
	struct buf made;          /* the sample of what passed */
	struct event e[2];        /* … decoded: of an entry, of its return */
	struct err err;
};

static void open_asked(const char *path, struct asked *a)
{
	static const struct recorded_call *const calls[] = {&call};

	*a = (struct asked){.options = {.limits = SHAPE_LIMITS_DEFAULT, .recorded = calls, .nrecorded = 1,
					.cannot_plant = "nobody may"}};
	assert_int_equal(binary_open(path, &a->b, NULL), 0);
}

static void close_asked(struct asked *a)
{
	shape_table_free(a->plans.shapes);
	buf_done(&a->made);
	binary_free(a->b);
}

static int ask(struct asked *a, const char *text)
{
	int r;

	a->err = (struct err){0};
	shape_table_free(a->plans.shapes);
	a->plans = (struct call_plans){0};
	r = question_parse(text, binary_arena(a->b), &a->question, &a->err);
	return r ? r : call_plans_make(a->b, &a->question, 1, &a->options, &a->plans, &a->err);
}

static const struct call_plan *plan(struct asked *a, const char *text)
{
	if (ask(a, text))
		fail_msg("%s: %s", text, a->err.text);
	assert_true(a->plans.len >= 1);
	assert_non_null(a->plans.data[0].recorded);
	return &a->plans.data[0];
}

/* n = 7, name = "alice", data = "xy", price = 1.5, on; sum = 42, and an error of the type at that address. */
static void record(struct asked *a, uint64_t error_type)
{
	const double price = 1.5;
	uint64_t bits;

	memcpy(&bits, &price, sizeof(bits));
	record_init(&a->entry, 1, 3, 100, 1000, ENTRY_SLOTS);
	record_int(&a->entry, N, 7);
	record_str(&a->entry, NAME, "alice");
	record_str(&a->entry, DATA, "xy");
	record_int(&a->entry, PRICE, bits);
	record_int(&a->entry, ON, 1);
	record_init(&a->ret, 2, 3, 100, 1500, RET_SLOTS);
	record_int(&a->ret, SUM, 42);
	if (error_type)
		record_int(&a->ret, ERR, error_type);
	else
		record_status(&a->ret, ERR, SLOT_NIL, 0, 0);
}

/* Of both programs: the first that does not let it pass. */
static enum replay_verdict run(struct asked *a, const struct call_plan *p)
{
	struct replay with = {.forms = p->entry_forms, .n = ENTRY_SLOTS, .bias = BIAS, .probe = 11, .kind = EVENT_CALL};
	struct event from[2];
	enum replay_verdict v;
	size_t size;

	assert_true(event_decode(a->entry.bytes, a->entry.size, &from[0]));
	assert_true(event_decode(a->ret.bytes, a->ret.size, &from[1]));
	buf_done(&a->made);
	with.from = &from[0];
	v = replay_program(&p->entry, &with, &a->made);
	size = a->made.len;
	if (v != REPLAY_PASSED || !p->has_return) {
		assert_true(v != REPLAY_PASSED || event_decode(a->made.data, size, &a->e[0]));
		return v;
	}
	assert_true(event_decode(a->made.data, size, &a->e[0]));
	with = (struct replay){.from = &from[1], .forms = p->ret_forms, .n = RET_SLOTS, .bias = BIAS, .probe = 12,
			       .kind = EVENT_RETURN, .known.latency_ns = 500};
	replay_saved(&p->entry, &a->e[0], &with.known);
	v = replay_program(&p->ret, &with, &a->made);
	assert_true(event_decode(a->made.data, size, &a->e[0]));
	assert_true(v != REPLAY_PASSED || event_decode(a->made.data + size, a->made.len - size, &a->e[1]));
	return v;
}

static const struct event_slot *shown(const struct asked *a, const struct call_plan *p, size_t i)
{
	assert_true(i < p->nshown && p->shown[i].slot >= 0);
	return &a->e[!p->shown[i].at_entry].slots[p->shown[i].slot];
}

static void expect_text(const struct asked *a, const struct call_plan *p, size_t i, const char *want)
{
	size_t len;
	const char *got = event_bytes(&a->e[!p->shown[i].at_entry], (size_t)p->shown[i].slot, &len);

	assert_int_equal(len, strlen(want));
	assert_memory_equal(got, want, len);
}

/* ---- what they show ---- */

static void all_of_it(const char *path)
{
	struct asked a;
	const struct call_plan *p;

	open_asked(path, &a);
	record(&a, 0);
	p = plan(&a, FUNC);
	assert_int_equal(run(&a, p), REPLAY_PASSED);
	assert_int_equal(p->nshown, 8);
	assert_string_equal(p->shown[0].name, "t");
	assert_non_null(strstr(p->shown[0].why, "only numbers, bools, texts"));
	assert_int_equal(shown(&a, p, 1)->value, 7);
	expect_text(&a, p, 2, "alice");
	expect_text(&a, p, 3, "xy");
	assert_int_equal(shown(&a, p, 4)->value, 0x3ff8000000000000);
	assert_string_equal(p->shown[5].name, "arg4");
	assert_int_equal(shown(&a, p, 5)->value, 1);
	assert_int_equal(shown(&a, p, 6)->value, 42);
	assert_int_equal(shown(&a, p, 7)->status, SLOT_NIL);
	assert_int_equal(a.e[0].head->probe, 11);
	assert_int_equal(a.e[1].head->probe, 12);
	assert_int_equal(a.e[1].head->kind, EVENT_RETURN);
	assert_int_equal(a.e[0].head->goid, 3);
	close_asked(&a);
}

static void parts_of_it(const char *path)
{
	struct asked a;
	const struct call_plan *p;

	open_asked(path, &a);
	record(&a, 0x4000);
	p = plan(&a, FUNC " { print(name[1:3], n * 2 - 1, len(data), latency, goid, data[1], ret1 != nil, "
			  "int8(n) << 5) }");
	assert_int_equal(run(&a, p), REPLAY_PASSED);
	expect_text(&a, p, 0, "li");
	for (size_t i = 1; i < 8; i++)
		assert_int_equal(shown(&a, p, i)->value, ((uint64_t[]){0, 13, 2, 500, 3, 'y', 1, (uint64_t)-32})[i]);
	p = plan(&a, FUNC " { count() by name, n > 3; sum(sum) }");
	assert_int_equal(run(&a, p), REPLAY_PASSED);
	assert_int_equal(p->ret.naggregates, 2);
	close_asked(&a);
}

/* ---- what they test ---- */

static void conditions(const char *path)
{
	static const struct {
		const char *text;
		enum replay_verdict want;
	} cases[] = {
		{"n == 7", REPLAY_PASSED}, {"n > 7", REPLAY_DROPPED}, {"name == \"alice\"", REPLAY_PASSED},
		{"name != \"alice\"", REPLAY_DROPPED}, {"name < \"bob\" && name > \"al\"", REPLAY_PASSED},
		{"hasprefix(name, \"al\") && hassuffix(name, \"ice\") && contains(name, \"lic\")", REPLAY_PASSED},
		{"contains(name, \"x\")", REPLAY_DROPPED}, {"name[4] == 'e'", REPLAY_PASSED},
		{"name[5] == 'e'", REPLAY_DROPPED}, {"string(data) == \"xy\"", REPLAY_PASSED},
		{"name[:2] == string(data)", REPLAY_DROPPED}, {"price > 1.25", REPLAY_PASSED}, {"arg4", REPLAY_PASSED},
		{"latency > 499 && latency < 501", REPLAY_PASSED}, {"latency > 500", REPLAY_DROPPED},
		{"sum == 42 && n == 7", REPLAY_PASSED}, {"sum < int(n) || n == 8", REPLAY_DROPPED},
		{"ret1 == nil", REPLAY_PASSED}, {"err != nil", REPLAY_DROPPED},
		{"typeof(err) == \"*errors.errorString\"", REPLAY_DROPPED}, {"n / (n - 7) == 0", REPLAY_UNREADABLE},
		{"sum / (sum - 42) == 0", REPLAY_UNREADABLE}, {"goid == 3", REPLAY_PASSED},
	};
	struct asked a;

	open_asked(path, &a);
	record(&a, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *text = arena_printf(binary_arena(a.b), FUNC " if %s { print(n) }", cases[i].text);
		enum replay_verdict got = run(&a, plan(&a, text));

		if (got != cases[i].want)
			fail_msg("%s: %d instead of %d", text, got, cases[i].want);
	}
	close_asked(&a);
}

static void types_of_errors(const char *path)
{
	const struct type *t;
	struct asked a;

	open_asked(path, &a);
	t = binary_type(a.b, "*errors.errorString");
	assert_non_null(t);
	record(&a, t->rtype + BIAS);
	assert_int_equal(run(&a, plan(&a, FUNC " if typeof(err) == \"*errors.errorString\"")), REPLAY_PASSED);
	assert_int_equal(run(&a, plan(&a, FUNC " if err != nil")), REPLAY_PASSED);
	record(&a, t->rtype + BIAS + 64);
	assert_int_equal(run(&a, plan(&a, FUNC " if typeof(err) == \"*errors.errorString\"")), REPLAY_DROPPED);
	close_asked(&a);
}

/* A text that was cut when it was recorded, and what was never there. */
static void incomplete(const char *path)
{
	const struct call_plan *p;
	struct asked a;

	open_asked(path, &a);
	record(&a, 0);
	record_bytes(&a.entry, NAME, "alice", 5, 5000);
	p = plan(&a, FUNC " if hasprefix(name, \"ali\") { print(name, len(name)) }");
	assert_int_equal(run(&a, p), REPLAY_PASSED);
	expect_text(&a, p, 0, "alice");
	assert_int_equal(shown(&a, p, 0)->status, SLOT_CUT);
	assert_int_equal(shown(&a, p, 0)->len, 5000);
	assert_int_equal(shown(&a, p, 1)->value, 5000);
	assert_int_equal(run(&a, plan(&a, FUNC " if hassuffix(name, \"x\")")), REPLAY_UNREADABLE);
	assert_int_equal(run(&a, plan(&a, FUNC " if name == \"alice\"")), REPLAY_DROPPED);
	record_status(&a.entry, N, SLOT_ABSENT, 0, 0);
	assert_int_equal(run(&a, plan(&a, FUNC " if n == 0")), REPLAY_DROPPED);
	p = plan(&a, FUNC " { print(n, name) }");
	assert_int_equal(run(&a, p), REPLAY_PASSED);
	assert_int_equal(shown(&a, p, 0)->status, SLOT_ABSENT);
	a.entry.size = sizeof(struct event_header); /* a record of fewer slots than the point's text has */
	record_init(&a.entry, 1, 3, 100, 1000, 0);
	assert_int_equal(run(&a, p), REPLAY_PASSED);
	assert_int_equal(shown(&a, p, 0)->status, SLOT_UNREADABLE);
	close_asked(&a);
}

/* ---- what they cannot have ---- */

static void refused(const char *path)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"if t.N > 1", "t cannot be read: only numbers, bools, texts and the types of errors are woven"},
		{"if err == \"empty\"", "what an error says is not woven"},
		{"if caller == \"main.main\"", "who calls a woven function is not recorded"},
		{"{ stack }", "call stacks are not woven"},
		{"if err == io.EOF", "only values are woven"},
		{"if nothing > 1", "nothing"},
		{"(n int) { count() }", "a declaration is for planting"},
	};
	struct asked a;

	open_asked(path, &a);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *text = arena_printf(binary_arena(a.b), FUNC " %s", cases[i].text);

		if (cases[i].text[0] == '(')
			text = arena_printf(binary_arena(a.b), FUNC "%s", cases[i].text);
		assert_true(ask(&a, text) < 0);
		if (!strstr(a.err.text, cases[i].why) || !strstr(a.err.text, "nothing can be planted: nobody may"))
			fail_msg("%s: %s", text, a.err.text);
		assert_null(strchr(a.err.text, '\n'));
	}
	assert_int_equal(ask(&a, "main.Fib"), -ENODATA);
	assert_non_null(strstr(a.err.text, "main.Fib is not woven"));
	assert_int_equal(ask(&a, "main.Re*"), 0); /* of a pattern what is there is enough */
	assert_int_equal(a.plans.len, 1);
	assert_true(a.plans.unrecorded > 0);
	close_asked(&a);
}

/* Where probes can be planted, they answer what records do not, and stand by for programs that have no recorder. */
static void planted(const char *path)
{
	struct asked a;

	open_asked(path, &a);
	a.options.cannot_plant = NULL;
	assert_int_equal(ask(&a, FUNC " { print(n) }"), 0);
	assert_int_equal(a.plans.len, 2);
	assert_non_null(a.plans.data[0].recorded);
	assert_true(a.plans.data[1].unless_recorded);
	assert_true(a.plans.data[1].at_entry.nspots > 0);
	assert_int_equal(ask(&a, FUNC), 0); /* it could not show the receiver */
	assert_int_equal(a.plans.len, 1);
	assert_null(a.plans.data[0].recorded);
	assert_non_null(a.plans.data[0].not_recorded);
	close_asked(&a);
}

static void each(void (*fn)(const char *path))
{
	if (!go_binaries_each("bin/calls-go1.2[17]-plain", fn))
		skip();
}

static void test_all(void **state) { (void)state, each(all_of_it); }
static void test_parts(void **state) { (void)state, each(parts_of_it); }
static void test_conditions(void **state) { (void)state, each(conditions); }
static void test_types(void **state) { (void)state, each(types_of_errors); }
static void test_incomplete(void **state) { (void)state, each(incomplete); }
static void test_refused(void **state) { (void)state, each(refused); }
static void test_planted(void **state) { (void)state, each(planted); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),	   cmocka_unit_test(test_parts),   cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_types),	   cmocka_unit_test(test_incomplete), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_planted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
