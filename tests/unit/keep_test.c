/* Which traces are kept: all of a trace or nothing of it, whatever the order in which its spans come; and the bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "span/keep.h"
#include "unit/spans.h"

#define SECOND UINT64_C(1000000000)

static struct arena arena;
static struct keeper *keeper;
static char given[1024]; /* names of the spans that went on */
static char texts[1024]; /* their attributes and states */

static void print_texts(const struct span *s)
{
	size_t len = strlen(texts);

	for (size_t i = 0; i < s->nattrs; i++)
		if (s->attrs[i].kind == ATTR_STRING)
			len += (size_t)snprintf(texts + len, sizeof(texts) - len, "%s=%zu:%s,%s ", s->attrs[i].key,
						s->attrs[i].len, s->attrs[i].s, s->attrs[i].s + 2);
		else
			len += (size_t)snprintf(texts + len, sizeof(texts) - len, "%s=%d ", s->attrs[i].key,
						(int)s->attrs[i].i);
	if (s->trace_state)
		snprintf(texts + len, sizeof(texts) - len, "%s", s->trace_state);
}

static void give(void *arg, const struct span *s)
{
	print_texts(s);
	snprintf(given + strlen(given), sizeof(given) - strlen(given), "%s%s", given[0] ? " " : "", s->name);
}

static void begin(const char *rule, size_t max_bytes)
{
	static const struct condition *rules[1];
	struct err err = {0};

	if (span_rule_parse(rule, &arena, &rules[0], &err) < 0)
		fail_msg("%s", err.text);
	given[0] = texts[0] = 0;
	keeper = keeper_new(&(struct keeper_options){.rules = rules, .nrules = 1, .emit = give, .max_bytes = max_bytes,
						     .quiet_ns = SECOND});
}

static void end(void)
{
	keeper_finish(keeper);
	keeper_free(keeper);
	keeper = NULL;
}

static int teardown(void **state)
{
	keeper_free(keeper);
	keeper = NULL;
	arena_done(&arena);
	return 0;
}

static const uint8_t *id_of(int trace)
{
	static uint8_t id[16];

	memset(id, 0, sizeof(id));
	id[0] = (uint8_t)trace;
	id[15] = 1;
	return id;
}

static struct span span_of(int trace, const char *name, uint64_t duration_ns)
{
	struct span s = span_make(name, duration_ns, NULL, 0);

	memcpy(s.trace_id, id_of(trace), sizeof(s.trace_id));
	return s;
}

static void ends(const struct span *s, uint64_t now_ns)
{
	keeper_span(keeper, s, now_ns);
	keeper_close(keeper, s->trace_id, now_ns);
}

static uint64_t lost(enum loss l)
{
	struct losses all = {0};

	keeper_losses(keeper, &all);
	return all.count[l];
}

static void rules_see_what_spans_have(void **state)
{
	static const struct attr attrs[] = {STR("http.route", "/checkout"), INT("rows", 3),
					    {.key = "ok", .kind = ATTR_BOOL, .b = true},
					    {.key = "no", .kind = ATTR_BOOL, .b = false},
					    {.key = "ratio", .kind = ATTR_DOUBLE, .d = 0.5}};
	static const struct {
		const char *rule;
		bool holds;
	} cases[] = {
		{"status == error", false},
		{"status == unset", true},
		{"status == \"unset\" && kind == server", true},
		{"kind == client", false},
		{"duration > 1s", false},
		{"duration >= 30ms && duration < 31ms", true},
		{"attr[\"http.route\"] == \"/checkout\"", true},
		{"http.route == \"/checkout\"", true},
		{"http.route == \"/cart\" || rows > 2", true},
		{"name == \"GET /\"", true},
		{"pack == \"net-http\" && ok", true},
		{"ratio < 0.4", false},
		{"error.type", false},
		{"nothing == \"\"", false},
		{"!error.type", true},
		{"latency > 29ms && panicked", true},
		{"panicked == false", false},
		/* Alternatives that are told at once, beside one that is not, or that is there and false. */
		{"nothing || status == error || latency > 1s || panicked", true},
		{"nothing || status == error || latency <= 20ms", false},
		{"nothing || ok || latency > 1s", true},
		{"no || status == error || latency > 1s", false},
		{"no || status == error || rows == 3", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct span s = span_make("GET /", 30000000, attrs, ARRAY_SIZE(attrs));

		s.panicked = true;
		begin(cases[i].rule, 0);
		keeper_span(keeper, &s, 0);
		if ((given[0] != 0) != cases[i].holds)
			fail_msg("%s: %d", cases[i].rule, !cases[i].holds);
		end();
	}
}

static void rules_that_are_none(void **state)
{
	static const char *const rules[] = {"",	      "status =",     "duration > 1s +",
					    "1 == 2", "attr[1] == 2", "attr[\"a\"][0]",
					    /* They would never hold. */
					    "status == err", "\"failed\" != status", "kind == Server", "kind == 2",
					    "duration > \"1s\"", "duration == true", "duration > 1",
					    "duration > 1.5",      "1 < duration",
					    "latency > 1"};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct condition *c;
		struct err err = {0};

		assert_int_equal(span_rule_parse(rules[i], &arena, &c, &err), -EINVAL);
		assert_true(strlen(err.text) > 0);
	}
}

/* The slow one is the last to end: what waited goes on before it, and what comes later behind. */
static void the_whole_trace_or_nothing(void **state)
{
	struct span a = span_of(1, "a", SECOND / 10), b = span_of(1, "b", 2 * SECOND), late = span_of(1, "late", 1);
	struct span other = span_of(2, "other", 1);

	begin("duration > 1s", 0);
	keeper_open(keeper, a.trace_id, 0);
	keeper_open(keeper, b.trace_id, 0);
	ends(&other, 1);
	ends(&a, 2);
	assert_string_equal(given, "");
	ends(&b, 3);
	assert_string_equal(given, "a b");
	ends(&late, 4);
	assert_string_equal(given, "a b late");
	assert_int_equal(lost(LOSS_NOT_KEPT), 0);
	keeper_tick(keeper, 2 * SECOND);
	assert_int_equal(lost(LOSS_NOT_KEPT), 1);
	end();
}

/* An open span may still be the slow one: its trace waits, however long that takes. */
static void it_waits_for_what_is_open(void **state)
{
	struct span child = span_of(1, "child", 1), root = span_of(1, "root", 60 * SECOND);

	begin("duration > 1s", 0);
	keeper_open(keeper, root.trace_id, 0);
	keeper_open(keeper, child.trace_id, 0);
	ends(&child, 1);
	for (int i = 1; i < 60; i++)
		keeper_tick(keeper, (uint64_t)i * SECOND);
	ends(&root, 60 * SECOND);
	assert_string_equal(given, "child root");
	end();
}

/* Another process's part of a trace that was given up is judged for itself, and what was missed is counted. */
static void what_was_given_up(void **state)
{
	struct span quick = span_of(1, "quick", 1), slow = span_of(1, "slow", 2 * SECOND), more = span_of(1, "more", 1);

	begin("duration > 1s", 0);
	ends(&quick, 0);
	keeper_tick(keeper, SECOND);
	ends(&quick, SECOND + 1);
	assert_int_equal(lost(LOSS_NOT_KEPT), 2);
	ends(&slow, SECOND + 2);
	ends(&more, SECOND + 3);
	assert_string_equal(given, "slow more");
	end();
}

static void memory_has_a_bound(void **state)
{
	struct span slow = span_of(99, "slow", 2 * SECOND);

	begin("duration > 1s", 4096);
	for (int i = 1; i < 100; i++) {
		struct span s = span_of(i, "x", 1);

		keeper_open(keeper, s.trace_id, (uint64_t)i); /* and never ends */
		keeper_span(keeper, &s, (uint64_t)i);
	}
	assert_true(lost(LOSS_KEEP_MEMORY) > 70 && lost(LOSS_KEEP_MEMORY) < 99);
	keeper_span(keeper, &slow, 100);
	assert_string_equal(given, "x slow");
	keeper_finish(keeper);
	assert_int_equal(lost(LOSS_KEEP_MEMORY) + lost(LOSS_NOT_KEPT), 98);
	end();
}

/* What is handed on is what came: attributes, texts with zeros in them, the state of the trace. */
static void copies_are_whole(void **state)
{
	char text[] = "a\0b", name[] = "GET /", st[] = "rojo=1";
	struct attr attrs[] = {{.key = "k", .kind = ATTR_STRING, .s = text, .len = 3}, INT("i", -5)};
	struct span s = span_make(name, 1, attrs, 2);

	s.trace_state = st;
	begin("name == \"last\"", 0);
	keeper_span(keeper, &s, 0);
	memset(text, 'x', sizeof(text) - 1);
	memset(name, 'x', sizeof(name) - 1);
	memset(st, 'x', sizeof(st) - 1);
	s = span_of(1, "last", 1);
	memcpy(s.trace_id, span_make("", 0, NULL, 0).trace_id, sizeof(s.trace_id));
	keeper_span(keeper, &s, 0);
	assert_string_equal(given, "GET / last");
	assert_string_equal(texts, "k=3:a,b i=-5 rojo=1");
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(rules_see_what_spans_have, teardown),
		cmocka_unit_test_teardown(rules_that_are_none, teardown),
		cmocka_unit_test_teardown(the_whole_trace_or_nothing, teardown),
		cmocka_unit_test_teardown(it_waits_for_what_is_open, teardown),
		cmocka_unit_test_teardown(what_was_given_up, teardown),
		cmocka_unit_test_teardown(memory_has_a_bound, teardown),
		cmocka_unit_test_teardown(copies_are_whole, teardown),
	};

	return cmocka_run_group_tests_name("keep", tests, NULL, NULL);
}
