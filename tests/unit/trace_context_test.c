#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "span/trace_context.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts),
		cmocka_unit_test(refuses),
		cmocka_unit_test(ratio),
	};

	return cmocka_run_group_tests_name("trace_context", tests, NULL, NULL);
}
