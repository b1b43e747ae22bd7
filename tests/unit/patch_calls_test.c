/* plant/patch/calls: single records put together to calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "plant/patch/calls.h"

enum { ENTRY = 1, BACK, OTHER, OTHER_BACK, UNWIND, EXIT, POINT };

static struct calls *fresh(void)
{
	struct calls *c = calls_new();

	calls_add_probe(c, ENTRY, PROGRAM_ENTRY, 1);
	calls_add_probe(c, BACK, PROGRAM_RETURN, 1);
	calls_add_probe(c, OTHER, PROGRAM_ENTRY, 2);
	calls_add_probe(c, OTHER_BACK, PROGRAM_RETURN, 2);
	calls_add_probe(c, UNWIND, PROGRAM_UNWIND, 0);
	calls_add_probe(c, EXIT, PROGRAM_EXIT, 0);
	calls_add_probe(c, POINT, PROGRAM_POINT, 0);
	return c;
}

/* "kind probe depth[:time of its entry] ", one after the other */
static void on_sample(void *arg, const void *sample, size_t size)
{
	static const char kinds[] = {[EVENT_POINT] = 'p', [EVENT_CALL] = 'c', [EVENT_RETURN] = 'r', [EVENT_UNWOUND] = 'u'};
	struct event e[2];
	size_t n;

	assert_true(event_decode_sample(sample, size, e, &n));
	buf_printf(arg, "%c%u@%llu", kinds[e[0].head->kind], e[0].head->probe, (unsigned long long)e[0].head->depth);
	if (n == 2)
		buf_printf(arg, ":%llu", (unsigned long long)e[1].head->time_ns);
	buf_char(arg, ' ');
}

static void put(struct calls *c, struct buf *out, uint32_t probe, uint64_t goid, uint64_t depth, uint64_t time)
{
	static const uint8_t kinds[] = {0, EVENT_CALL, EVENT_RETURN, EVENT_CALL, EVENT_RETURN, EVENT_UNWOUND, EVENT_UNWOUND,
					EVENT_POINT};
	struct event_header h = {.size = sizeof(h),
				 .version = EVENT_VERSION,
				 .kind = kinds[probe],
				 .probe = probe,
				 .target = 3,
				 .goid = goid,
				 .depth = depth,
				 .time_ns = time};

	calls_record(c, &h, sizeof(h), on_sample, out);
}

static void expect(struct buf *out, const char *want)
{
	assert_string_equal(out->data ? out->data : "", want);
	buf_reset(out);
}

static void test_pairs(void **state)
{
	struct calls *c = fresh();
	struct buf out = {0};

	put(c, &out, BACK, 1, 10, 1); /* its entry was before us */
	put(c, &out, POINT, 1, 10, 2);
	expect(&out, "p7@10 ");
	put(c, &out, ENTRY, 1, 10, 3); /* recursion, and another goroutine */
	put(c, &out, ENTRY, 1, 20, 4);
	put(c, &out, ENTRY, 2, 10, 5);
	put(c, &out, BACK, 1, 20, 6);
	put(c, &out, BACK, 1, 10, 7);
	put(c, &out, BACK, 2, 10, 8);
	expect(&out, "r2@20:4 r2@10:3 r2@10:5 ");
	assert_int_equal(calls_open(c, 3, false, on_sample, &out), 0);
	calls_free(c);
	buf_done(&out);
}

static void test_two_questions(void **state)
{
	struct calls *c = fresh();
	struct buf out = {0};

	put(c, &out, ENTRY, 1, 10, 1);
	put(c, &out, OTHER, 1, 10, 2);
	put(c, &out, BACK, 1, 10, 3);
	put(c, &out, OTHER_BACK, 1, 10, 4);
	expect(&out, "r2@10:1 r4@10:2 ");
	calls_free(c);
	buf_done(&out);
}

static void test_unwound(void **state)
{
	struct calls *c = fresh();
	struct buf out = {0};

	put(c, &out, ENTRY, 1, 10, 1);
	put(c, &out, ENTRY, 1, 20, 2);
	put(c, &out, ENTRY, 1, 30, 3);
	put(c, &out, UNWIND, 1, 10, 4); /* recovered in the first */
	expect(&out, "u1@30:3 u1@20:2 ");
	put(c, &out, ENTRY, 1, 20, 5);
	put(c, &out, BACK, 1, 10, 6); /* the second did not come back */
	expect(&out, "u1@20:5 r2@10:1 ");
	put(c, &out, ENTRY, 1, 20, 7);
	put(c, &out, ENTRY, 1, 20, 8); /* nor did this */
	expect(&out, "u1@20:7 ");
	put(c, &out, EXIT, 1, 0, 9);
	expect(&out, "u1@20:8 ");
	calls_free(c);
	buf_done(&out);
}

static void test_open(void **state)
{
	struct calls *c = fresh();
	struct buf out = {0};

	put(c, &out, ENTRY, 1, 10, 5);
	put(c, &out, ENTRY, 2, 30, 4);
	assert_int_equal(calls_open(c, 4, true, on_sample, &out), 0);
	assert_int_equal(calls_open(c, 3, true, on_sample, &out), 2);
	expect(&out, "c1@30 c1@10 ");
	assert_int_equal(calls_open(c, 3, false, on_sample, &out), 0);
	assert_int_equal(calls_lost(c, 0), 0);
	put(c, &out, ENTRY, 1, 10, 6); /* freed with the rest */
	calls_free(c);
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_two_questions),
		cmocka_unit_test(test_unwound),
		cmocka_unit_test(test_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
