/* plant/aggregate: groups from samples, printed a group a line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "plant/aggregate.h"

enum { POINT = 1, ENTRY, RETURN };

static const struct ir_slot slots[] = {
	{.name = "n", .kind = VALUE_INT}, {.name = "text", .kind = VALUE_STRING},
	{.name = "stack", .kind = VALUE_STACK}};

struct record {
	struct event_header head;
	struct event_slot slots[3];
	_Alignas(8) char bytes[128];
};

static struct record record_of(uint32_t probe, enum event_kind kind, int64_t n, const char *text)
{
	struct record r = {.head = {.size = sizeof(r), .version = EVENT_VERSION, .kind = (uint8_t)kind, .slots = 3,
				    .probe = probe, .target = 7, .goid = 1, .depth = 100}};
	const uint64_t frames[] = {0x1000, 0x2000 + strlen(text)};

	r.slots[0] = (struct event_slot){.status = SLOT_OK, .value = (uint64_t)n};
	r.slots[1] = (struct event_slot){.status = SLOT_OK, .copied = (uint16_t)strlen(text),
					 .len = (uint32_t)strlen(text), .value = offsetof(struct record, bytes)};
	r.slots[2] = (struct event_slot){.status = SLOT_OK, .copied = 16, .len = 16,
					 .value = offsetof(struct record, bytes) + 112};
	memcpy(r.bytes, text, strlen(text));
	memcpy(r.bytes + 112, frames, sizeof(frames));
	return r;
}

static bool take_point(struct aggregates *a, int64_t n, const char *text)
{
	const struct record r = record_of(POINT, EVENT_POINT, n, text);

	return aggregates_take(a, &r, sizeof(r));
}

static bool take_call(struct aggregates *a, enum event_kind end, int64_t n, const char *entry_text)
{
	struct record r[2] = {record_of(RETURN, end, n, ""), record_of(ENTRY, EVENT_CALL, 0, entry_text)};

	if (end != EVENT_UNWOUND)
		return aggregates_take(a, r, sizeof(r));
	r[0].head.probe = ENTRY;
	r[0].head.slots = 0;
	r[0].head.size = sizeof(r[0].head);
	memmove((char *)r + sizeof(r[0].head), &r[1], sizeof(r[1]));
	return aggregates_take(a, r, sizeof(r[0].head) + sizeof(r[1]));
}

/* "aggregate key key = count sum min max bucket:count", sorted. */
static void on_group(void *arg, const struct plant_group *g)
{
	char (*lines)[256] = arg;
	struct buf b = {0};
	size_t i = 0;

	buf_printf(&b, "%zu", g->aggregate);
	for (size_t k = 0; k < AGG_MAX_KEYS && (g->keys[k].status || g->keys[k].word); k++) {
		const struct plant_key *key = &g->keys[k];

		if (key->bytes && key->len < 100 && *(const char *)key->bytes >= ' ')
			buf_printf(&b, " %.*s/%" PRIu64, (int)key->len, (const char *)key->bytes, key->word);
		else if (key->bytes)
			buf_printf(&b, " [%u]", (unsigned)key->len / 8);
		else
			buf_printf(&b, " %" PRIu64 "!%u", key->word, key->status);
	}
	buf_printf(&b, " = %" PRIu64 " %s", g->count, wide_text(g->sum, (char[WIDE_TEXT]){0}));
	if (g->min <= g->max)
		buf_printf(&b, " %s..%s", wide_text(g->min, (char[WIDE_TEXT]){0}),
			   wide_text(g->max, (char[WIDE_TEXT]){0}));
	for (size_t k = 0; k < g->nbuckets; k++)
		if (g->buckets[k])
			buf_printf(&b, " %zu:%" PRIu64, k, g->buckets[k]);
	while (lines[i][0])
		i++;
	assert_true(i < 16);
	snprintf(lines[i], sizeof(lines[i]), "%s", b.data);
	buf_done(&b);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void expect(struct aggregates *a, bool clear, const char *want)
{
	char lines[17][256] = {0};
	struct buf got = {0};
	size_t n = 0;

	assert_int_equal(aggregates_read(a, clear, on_group, lines), 0);
	while (lines[n][0])
		n++;
	qsort(lines, n, sizeof(lines[0]), by_text);
	for (size_t i = 0; i < n; i++)
		buf_printf(&got, "%s\n", lines[i]);
	assert_string_equal(got.data ? got.data : "", want);
	buf_done(&got);
}

static struct capture_program program_of(enum program_role role, const struct ir_aggregate *a, size_t n)
{
	return (struct capture_program){.role = role, .call_group = 1, .aggregates = a, .naggregates = n,
					.slots = (struct ir_slot *)slots, .nslots = ARRAY_SIZE(slots)};
}

static void add(struct aggregates *a, uint32_t probe, const struct capture_program *p)
{
	struct err err = {0};

	if (aggregates_add(a, probe, p, &err))
		fail_msg("%s", err.text);
}

static uint64_t lost(const struct aggregates *a, uint32_t probe, enum loss why)
{
	struct losses l = {0};

	aggregates_losses(a, probe, &l);
	return l.count[why];
}

static void test_kinds(void **state)
{
	static const struct ir_aggregate all[] = {
		{.kind = AGG_COUNT},
		{.kind = AGG_SUM},
		{.kind = AGG_MIN},
		{.kind = AGG_HIST},
		{.kind = AGG_LINEAR, .low = -10, .high = 20, .step = 10},
	};
	const struct capture_program p = program_of(PROGRAM_POINT, all, ARRAY_SIZE(all));
	static const int64_t values[] = {-11, -10, 0, 1, 9, 19, 20, INT64_MAX};
	struct aggregates *a = aggregates_new(0);

	add(a, POINT, &p);
	for (size_t i = 0; i < ARRAY_SIZE(values) - 1; i++)
		assert_true(take_point(a, values[i], "x"));
	expect(a, false, "0 = 7 0\n1 = 7 28 -11..20\n2 = 7 28 -11..20\n3 = 7 28 -11..20 0:2 1:1 2:1 5:1 6:2\n"
			 "4 = 7 28 -11..20 0:1 1:1 2:3 3:1 4:1\n");
	expect(a, true, "0 = 7 0\n1 = 7 28 -11..20\n2 = 7 28 -11..20\n3 = 7 28 -11..20 0:2 1:1 2:1 5:1 6:2\n"
			"4 = 7 28 -11..20 0:1 1:1 2:3 3:1 4:1\n");
	expect(a, false, "");
	take_point(a, INT64_MAX, "x");
	take_point(a, 1, "x"); /* a sum does not wrap */
	expect(a, false, "0 = 2 0\n1 = 2 9223372036854775808 1..9223372036854775807\n"
			 "2 = 2 9223372036854775808 1..9223372036854775807\n"
			 "3 = 2 9223372036854775808 1..9223372036854775807 2:1 64:1\n"
			 "4 = 2 9223372036854775808 1..9223372036854775807 2:1 4:1\n");
	aggregates_free(a);
	aggregates_free(NULL);
}

/* Unsigned values from 1<<63 on are no negative ones. */
static void test_unsigned(void **state)
{
	static const struct ir_aggregate all[] = {
		{.kind = AGG_SUM, .is_unsigned = true},
		{.kind = AGG_HIST, .is_unsigned = true},
		{.kind = AGG_LINEAR, .low = 0, .high = 20, .step = 10, .is_unsigned = true},
	};
	const struct capture_program p = program_of(PROGRAM_POINT, all, ARRAY_SIZE(all));
	struct aggregates *a = aggregates_new(0);

	add(a, POINT, &p);
	take_point(a, INT64_MIN, "x");
	take_point(a, -1, "x");
	take_point(a, 5, "x");
	expect(a, false, "0 = 3 27670116110564327428 5..18446744073709551615\n"
			 "1 = 3 27670116110564327428 5..18446744073709551615 4:1 65:2\n"
			 "2 = 3 27670116110564327428 5..18446744073709551615 1:1 3:2\n");
	aggregates_free(a);
}

static void test_keys(void **state)
{
	static const struct ir_aggregate all[] = {
		{.kind = AGG_COUNT, .keys = {{.slot = 1}, {.slot = 0}}, .nkeys = 2},
		{.kind = AGG_COUNT, .keys = {{.slot = 2}}, .nkeys = 1},
		{.kind = AGG_COUNT, .keys = {{.slot = 9}}, .nkeys = 1},
	};
	static const char eighty[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	const struct capture_program p = program_of(PROGRAM_POINT, all, ARRAY_SIZE(all));
	struct aggregates *a = aggregates_new(0);

	add(a, POINT, &p);
	take_point(a, 1, "ab");
	take_point(a, 1, "ab");
	take_point(a, 2, "ab");
	take_point(a, 1, "a");
	take_point(a, 1, eighty);
	expect(a, true,
	       "0 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef/80 1!1 = 1 0\n"
	       "0 a/1 1!1 = 1 0\n0 ab/2 1!1 = 2 0\n0 ab/2 2!1 = 1 0\n"
	       "1 [2] = 1 0\n1 [2] = 1 0\n1 [2] = 3 0\n2 = 5 0\n");
	aggregates_free(a);
}

/* Keys of the entry; nothing of calls that were unwound; records that nobody wants. */
static void test_calls(void **state)
{
	static const struct ir_aggregate sum = {
		.kind = AGG_SUM, .keys = {{.at_entry = true, .slot = 1}}, .nkeys = 1};
	struct capture_program ret = program_of(PROGRAM_RETURN, &sum, 1), entry = program_of(PROGRAM_ENTRY, NULL, 0);
	struct aggregates *a = aggregates_new(0);

	add(a, ENTRY, &entry);
	add(a, RETURN, &ret);
	assert_true(take_call(a, EVENT_RETURN, 5, "in"));
	assert_true(take_call(a, EVENT_RETURN, 6, "in"));
	assert_true(take_call(a, EVENT_UNWOUND, 0, "in"));
	expect(a, false, "0 in/2 = 2 11 5..6\n");
	entry.no_record = ret.no_record = true;
	assert_false(take_call(a, EVENT_RETURN, 7, "out"));
	assert_false(take_call(a, EVENT_UNWOUND, 0, "out"));
	expect(a, false, "0 in/2 = 2 11 5..6\n0 out/3 = 1 7 7..7\n");
	aggregates_free(a);
}

static void test_unreadable(void **state)
{
	static const struct ir_aggregate all[] = {{.kind = AGG_SUM},
						  {.kind = AGG_COUNT, .keys = {{.slot = 0}, {.slot = 1}}, .nkeys = 2}};
	const struct capture_program p = program_of(PROGRAM_POINT, all, ARRAY_SIZE(all));
	struct record r = record_of(POINT, EVENT_POINT, 3, "x");
	struct aggregates *a = aggregates_new(0);

	add(a, POINT, &p);
	r.slots[0].status = SLOT_NIL;
	r.slots[1] = (struct event_slot){.status = SLOT_UNREADABLE, .value = 0x1234};
	assert_true(aggregates_take(a, &r, sizeof(r)));
	expect(a, false, "1 0!3 0!5 = 1 0\n");
	assert_true(aggregates_take(a, &r, sizeof(r) - 8)); /* damaged: others say so */
	r.head.probe = 99;
	assert_true(aggregates_take(a, &r, sizeof(r)));
	expect(a, false, "1 0!3 0!5 = 1 0\n");
	assert_int_equal(lost(a, POINT, LOSS_AGGREGATE_UNREADABLE), 0); /* nil is what it is */
	r.head.probe = POINT;
	r.slots[0].status = SLOT_MAP_BUSY;
	assert_true(aggregates_take(a, &r, sizeof(r)));
	assert_int_equal(lost(a, POINT, LOSS_AGGREGATE_UNREADABLE), 1);
	aggregates_free(a);
}

static void test_bounds(void **state)
{
	static const struct ir_aggregate by_n = {.kind = AGG_COUNT, .keys = {{.slot = 0}}, .nkeys = 1},
					 wide = {.kind = AGG_LINEAR, .high = 1 << 20, .step = 1},
					 none = {.kind = AGG_LINEAR, .high = 5},
					 whole = {.kind = AGG_LINEAR, .low = INT64_MIN, .high = INT64_MAX, .step = 1},
					 keys = {.kind = AGG_COUNT, .nkeys = AGG_MAX_KEYS + 1};
	const struct ir_aggregate *const bad[] = {&wide, &none, &whole, &keys};
	const struct capture_program p = program_of(PROGRAM_POINT, &by_n, 1);
	struct aggregates *a = aggregates_new(2);

	add(a, POINT, &p);
	for (int i = 1; i <= 6; i++)
		take_point(a, i % 3 + 1, "x");
	assert_int_equal(lost(a, POINT, LOSS_GROUPS_FULL), 2);
	assert_int_equal(lost(a, 0, LOSS_GROUPS_FULL), 2);
	assert_int_equal(lost(a, ENTRY, LOSS_GROUPS_FULL), 0);
	expect(a, true, "0 2!1 = 2 0\n0 3!1 = 2 0\n");
	take_point(a, 1, "x"); /* there is room again */
	expect(a, false, "0 1!1 = 1 0\n");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct capture_program q = program_of(PROGRAM_POINT, bad[i], 1);
		struct err err = {0};

		assert_int_equal(aggregates_add(a, 50, &q, &err), -E2BIG);
		assert_true(err.text[0]);
	}
	aggregates_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),	   cmocka_unit_test(test_keys),	  cmocka_unit_test(test_calls),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_bounds),	  cmocka_unit_test(test_unsigned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
