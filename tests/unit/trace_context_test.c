#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "span/trace_headers.h"

#define ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static void accepts(void **state)
{
	struct trace_context c;
	static const uint8_t parent[] = {0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7};
	static const char *const good[] = {
		"00-" ID "-" PARENT "-01",
		"00-" ID "-" PARENT "-03", /* the random flag */
		"00-" ID "-" PARENT "-ff",
		"01-" ID "-" PARENT "-01",
		"cc-" ID "-" PARENT "-01-what-the-future-brings",
		"cc-" ID "-" PARENT "-01-",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		memset(&c, 0, sizeof(c));
		assert_true(traceparent_parse(good[i], strlen(good[i]), &c));
		assert_int_equal(c.trace_id[0], 0x4b);
		assert_int_equal(c.trace_id[15], 0x36);
		assert_memory_equal(c.span_id, parent, 8);
		assert_true(c.sampled);
	}
	assert_true(traceparent_parse("00-" ID "-" PARENT "-00", 55, &c));
	assert_false(c.sampled);
	assert_true(traceparent_parse("00-" ID "-" PARENT "-02", 55, &c));
	assert_false(c.sampled);
}

static void refuses(void **state)
{
	struct trace_context c, untouched;
	static const char *const bad[] = {
		"",
		"00",
		"00-" ID "-" PARENT,
		"00-" ID "-" PARENT "-0",
		"00-" ID "-" PARENT "-01-extra",
		"00-" ID "-" PARENT "-01 ",
		"01-" ID "-" PARENT "-01x",
		"ff-" ID "-" PARENT "-01",
		"0g-" ID "-" PARENT "-01",
		"00-" ID "-" PARENT "-0x",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
		"00-" ID "-00F067AA0BA902B7-01",
		"00-00000000000000000000000000000000-" PARENT "-01",
		"00-" ID "-0000000000000000-01",
		"00_" ID "-" PARENT "-01",
		"00-" ID "_" PARENT "-01",
		"00-" ID "-" PARENT "_01",
		" 00-" ID "-" PARENT "-01",
	};

	memset(&c, 0x5a, sizeof(c));
	memset(&untouched, 0x5a, sizeof(untouched));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_false(traceparent_parse(bad[i], strlen(bad[i]), &c));
		assert_memory_equal(&c, &untouched, sizeof(c));
	}
}

static void ratio(void **state)
{
	uint8_t id[16] = {0};
	size_t kept = 0;
	uint64_t x = 1;

	assert_true(trace_sampled(id, 1));
	assert_false(trace_sampled(id, 0));
	assert_false(trace_sampled(id, -1));
	assert_false(trace_sampled(id, 0.5)); /* randomness 0 is below every threshold but 0 */
	memset(id + 9, 0xff, 7);
	assert_true(trace_sampled(id, 1e-9));
	memset(id + 9, 0, 7);
	id[9] = 0x80;
	assert_true(trace_sampled(id, 0.5));
	id[9] = 0x7f;
	assert_false(trace_sampled(id, 0.5));
	for (int i = 0; i < 100000; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		memcpy(id + 8, &x, 8);
		kept += trace_sampled(id, 0.1);
	}
	assert_in_range(kept, 9500, 10500);
}

/* What tracestate_read makes of the text, "-" where that is no list. */
static const char *state_of(const char *s, bool cut)
{
	static struct buf b;

	buf_reset(&b);
	if (!tracestate_read(s, strlen(s), cut, &b)) {
		assert_int_equal(b.len, 0);
		return "-";
	}
	return b.data;
}

static void states(void **state)
{
	static const char *const cases[][2] = {
		{"a=1", "a=1"},
		{"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"},
		{" a=1\t, ,b=2 ,", "a=1,b=2"},
		{"0tenant@system=x", "0tenant@system=x"},
		{"a_-*/@9=~!<>", "a_-*/@9=~!<>"},
		{"a= b c", "a= b c"},
		{"", "-"},
		{", ,\t", "-"},
		{"a", "-"},
		{"a=", "-"},
		{"a= ", "-"},
		{"=1", "-"},
		{"A=1", "-"},
		{"_a=1", "-"},
		{"a b=1", "-"},
		{"a =1", "-"},
		{"a=1=2", "-"},
		{"a=\x7f", "-"},
		{"a=\xc3\xa4", "-"},
		{"a=1;b", "a=1;b"},
		{"a=1\tb", "-"},
		{"a=1,B=2", "-"}, /* one wrong member, and all of it goes */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(state_of(cases[i][0], false), cases[i][1]);
	assert_string_equal(state_of("a=1,b=2", true), "a=1");
	assert_string_equal(state_of("a=1,", true), "a=1");
	assert_string_equal(state_of("a=1", true), "-");
}

/* n members k00=vvv…, each of so many bytes. */
static char *members(unsigned n, int bytes)
{
	static char text[20000];
	char *at = text;

	for (unsigned i = 0; i < n; i++)
		at += sprintf(at, "%sk%02u=%0*d", i ? "," : "", i, bytes - 4, 0);
	return text;
}

static void states_that_are_long(void **state)
{
	char both[600], key[300], value[300];

	assert_int_equal(strlen(state_of(members(32, 8), false)), 32 * 8 + 31);
	assert_string_equal(state_of(members(33, 8), false), "-");
	/* from the end … */
	assert_int_equal(strlen(state_of(members(32, 16), false)), 30 * 16 + 29);
	assert_int_equal(strlen(state_of(members(4, 127), false)), 4 * 127 + 3);
	/* … but members of more than 128 bytes first */
	snprintf(both, sizeof(both), "first=1,%.520s,last=2", members(3, 170));
	assert_int_equal(strlen(state_of(both, false)), 8 + 170 * 2 + 1 + 7);
	assert_string_equal(state_of(both, false) + 8 + 170 * 2 + 1, ",last=2");
	/* the longest key and value: one byte more than what is kept */
	snprintf(key, sizeof(key), "k%0255d", 0);
	snprintf(value, sizeof(value), "%0256d", 0);
	snprintf(both, sizeof(both), "%s=%s", key, value);
	assert_string_equal(state_of(both, false), "-");
	snprintf(both, sizeof(both), "%s=%.255s", key, value);
	assert_string_equal(state_of(both, false), both);
	snprintf(both, sizeof(both), "a=%s0", value);
	assert_string_equal(state_of(both, false), "-");
	snprintf(both, sizeof(both), "%s0=1", key);
	assert_string_equal(state_of(both, false), "-");
}

/* ---- in other words ---- */

static struct text_view text_of(const char *s)
{
	return (struct text_view){s, s ? strlen(s) : 0};
}

/* "TRACE SPAN yes|no|?", or "-". */
static const char *shown(bool valid, const struct trace_context *c)
{
	static char text[64];
	char *at = text;

	if (!valid)
		return "-";
	for (size_t i = 0; i < 16; i++)
		at += sprintf(at, "%02x", c->trace_id[i]);
	*at++ = ' ';
	for (size_t i = 0; i < 8; i++)
		at += sprintf(at, "%02x", c->span_id[i]);
	sprintf(at, " %s", c->undecided ? "?" : c->sampled ? "yes" : "no");
	return text;
}

#define SHORT "00000000000000000123456789abcdef"
#define LONG "80f198ee56343ba864fe8b2a57d3eff7"
#define SPAN "e457b5a2e4d86bd1"

static void b3_in_one(void **state)
{
	static const char *const cases[][2] = {
		{LONG "-" SPAN "-1-05e3ac9a4f6e3b90", LONG " " SPAN " yes"},
		{LONG "-" SPAN "-d", LONG " " SPAN " yes"},
		{LONG "-" SPAN "-0", LONG " " SPAN " no"},
		{LONG "-" SPAN, LONG " " SPAN " ?"},
		{"0123456789abcdef-" SPAN "-1", SHORT " " SPAN " yes"},
		{"0", "-"}, {"1", "-"}, {"d", "-"}, {"", "-"}, {"-", "-"}, {LONG, "-"}, {LONG "-", "-"},
		{LONG "-" SPAN "-2", "-"}, {LONG "-" SPAN "-", "-"}, {LONG "-" SPAN "-1-", "-"},
		{LONG "-" SPAN "-1-05e3ac9a4f6e3b90-1", "-"}, {LONG "-" SPAN "-1-05e3", "-"},
		{"80F198ee56343ba864fe8b2a57d3eff7-" SPAN "-1", "-"}, {LONG "0-" SPAN "-1", "-"},
		{"00000000000000000000000000000000-" SPAN "-1", "-"}, {LONG "-0000000000000000-1", "-"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct trace_context c = {.sampled = false};

		assert_string_equal(shown(b3_parse(text_of(cases[i][0]), &c), &c), cases[i][1]);
	}
}

static void b3_in_several(void **state)
{
	static const char *const cases[][5] = {
		{LONG, SPAN, "1", NULL, LONG " " SPAN " yes"},	 {LONG, SPAN, NULL, NULL, LONG " " SPAN " ?"},
		{LONG, SPAN, "0", "1", LONG " " SPAN " yes"},	 {LONG, SPAN, "0", "0", LONG " " SPAN " no"},
		{LONG, SPAN, "true", NULL, LONG " " SPAN " yes"}, {LONG, SPAN, "false", NULL, LONG " " SPAN " no"},
		{"0123456789abcdef", SPAN, "1", NULL, SHORT " " SPAN " yes"},
		{LONG, NULL, "1", NULL, "-"},			 {NULL, SPAN, "1", NULL, "-"},
		{LONG, SPAN, "maybe", NULL, "-"},		 {LONG, "e457", "1", NULL, "-"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *const *t = cases[i];
		const struct b3_headers h = {text_of(t[0]), text_of(t[1]), text_of(t[2]), text_of(t[3])};
		struct trace_context c = {.sampled = false};

		assert_string_equal(shown(b3_headers_parse(&h, &c), &c), t[4]);
	}
}

static void datadog(void **state)
{
	static const char *const cases[][5] = {
		{"81985529216486895", "16453819474850114513", "1", NULL, SHORT " " SPAN " yes"},
		{"81985529216486895", "16453819474850114513", "2", "", SHORT " " SPAN " yes"},
		{"81985529216486895", "16453819474850114513", "0", NULL, SHORT " " SPAN " no"},
		{"81985529216486895", "16453819474850114513", "-1", NULL, SHORT " " SPAN " no"},
		{"81985529216486895", "16453819474850114513", NULL, NULL, SHORT " " SPAN " ?"},
		{"81985529216486895", "16453819474850114513", "1", "_dd.p.dm=-0,_dd.p.tid=640cfd8d00000000,x=1",
		 "640cfd8d000000000123456789abcdef " SPAN " yes"},
		{"81985529216486895", "16453819474850114513", "1", "x_dd.p.tid=640cfd8d00000000",
		 SHORT " " SPAN " yes"},
		{"81985529216486895", "16453819474850114513", "1", "_dd.p.tid=640cfd8d", "-"},
		{"81985529216486895", "16453819474850114513", "x", NULL, "-"},
		{"81985529216486895", "16453819474850114513", "-", NULL, "-"},
		{"18446744073709551616", "1", "1", NULL, "-"}, {"0", "1", "1", NULL, "-"}, {"1", "0", "1", NULL, "-"},
		{"", "1", "1", NULL, "-"}, {"1", NULL, "1", NULL, "-"}, {" 1", "1", "1", NULL, "-"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *const *t = cases[i];
		const struct datadog_headers h = {text_of(t[0]), text_of(t[1]), text_of(t[2]), text_of(t[3])};
		struct trace_context c = {.sampled = false};

		assert_string_equal(shown(datadog_parse(&h, &c), &c), t[4]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts),
		cmocka_unit_test(refuses),
		cmocka_unit_test(ratio),
		cmocka_unit_test(states),
		cmocka_unit_test(states_that_are_long),
		cmocka_unit_test(b3_in_one),
		cmocka_unit_test(b3_in_several),
		cmocka_unit_test(datadog),
	};

	return cmocka_run_group_tests_name("trace_context", tests, NULL, NULL);
}
