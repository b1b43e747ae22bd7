#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/spans.h"
#include "unit/written.h"

static struct sink *sink;
static uint64_t now_ns;

static uint64_t test_clock(void)
{
	return now_ns;
}

static void begin(void)
{
	now_ns = 1000000000;
	sink = written_open(&sink_tree, (struct sink_setup){.clock = test_clock});
}

/* trace, id, parent (0: none), start after SPAN_START and duration in ms */
static void give(uint8_t trace, uint8_t id, uint8_t parent, const char *name, unsigned start,
		 unsigned ms)
{
	const struct attr a[] = {STR("url.path", "/p")};
	struct span s = span_make(name, ms * UINT64_C(1000000), a, 1);

	s.trace_id[0] = trace;
	s.span_id[0] = id;
	s.parent = parent ? SPAN_PARENT_LOCAL : SPAN_PARENT_UNKNOWN;
	s.parent_id[0] = parent;
	s.parent_id[7] = parent ? 0xab : 0;
	s.start_unix_ns += start * UINT64_C(1000000);
	sink->ops->span(sink, &s);
}

static const char *so_far(void)
{
	sink->ops->tick(sink);
	return written_so_far();
}

static void expect(const char *text)
{
	assert_string_equal(written_close(sink), text);
}

static void finish(void)
{
	written_close(sink);
}

static void nested(void **state)
{
	begin();
	give(1, 3, 2, "grandchild", 20, 5);
	give(1, 2, 1, "first", 10, 20);
	give(2, 9, 0, "another", 0, 1);
	give(1, 5, 4, "below the last", 50, 5);
	give(1, 4, 1, "second", 40, 20);
	give(1, 1, 0, "root", 0, 100);
	assert_string_equal(so_far(), "");
	now_ns += 1000000000;
	so_far();
	expect("22:13:20.223  root                        100 ms  /p\n"
	       "    +10.0 ms  ├─ first                   20.0 ms  /p\n"
	       "    +20.0 ms  │  └─ grandchild           5.00 ms  /p\n"
	       "    +40.0 ms  └─ second                  20.0 ms  /p\n"
	       "    +50.0 ms     └─ below the last       5.00 ms  /p\n"
	       "22:13:20.124  another                    1.00 ms  /p\n");
}

static void waits_for_the_root(void **state)
{
	begin();
	give(1, 2, 1, "child", 10, 20);
	now_ns += 60000000000;
	assert_string_equal(so_far(), "");
	give(1, 1, 0, "root", 0, 100);
	now_ns += 999999999;
	assert_string_equal(so_far(), "");
	now_ns += 1;
	assert_string_equal(so_far(), "22:13:20.223  root                        100 ms  /p\n"
				      "    +10.0 ms  └─ child                   20.0 ms  /p\n");
	finish();
}

static void stragglers(void **state)
{
	begin();
	give(1, 1, 0, "root", 0, 100);
	now_ns += 1000000000;
	so_far();
	give(1, 2, 1, "late", 10, 2000);
	now_ns += 1000000000;
	assert_string_equal(so_far(), "22:13:20.223  root                        100 ms  /p\n"
				      "22:13:22.133  late                        2.00 s  /p\n");
	finish();
}

static void remote_parent_is_a_root(void **state)
{
	struct span s = span_make("remote", 1000000, NULL, 0);

	begin();
	s.parent = SPAN_PARENT_REMOTE;
	s.parent_id[0] = 0x77;
	sink->ops->span(sink, &s);
	now_ns += 1000000000;
	assert_string_equal(so_far(), "22:13:20.124  remote                     1.00 ms\n");
	finish();
}

static void ring_of_parents(void **state)
{
	begin();
	give(1, 1, 2, "a", 0, 1);
	give(1, 2, 1, "b", 1, 1);
	give(1, 3, 3, "own parent", 2, 1);
	expect("22:13:20.126  own parent                 1.00 ms  /p\n"
	       "22:13:20.124  a                          1.00 ms  /p\n"
	       "    +1.00 ms  └─ b                       1.00 ms  /p\n");
}

static size_t rows(const char *text)
{
	size_t n = 0;

	while ((text = strchr(text, '\n')))
		n++, text++;
	return n;
}

/* Roots that never end do not hold memory for ever. */
static void bounded(void **state)
{
	enum { SPANS = 100000 };

	begin();
	for (unsigned i = 0; i < SPANS; i++)
		give((uint8_t)(i % 200), (uint8_t)(i / 200 % 250 + 1), 251, "child", 0, 1);
	assert_true(rows(so_far()) > SPANS / 4);
	assert_int_equal(rows(written_close(sink)), SPANS);
}

static void deep(void **state)
{
	char name[16];

	begin();
	for (unsigned i = 100; i > 0; i--) {
		snprintf(name, sizeof(name), "level %u", i);
		give(1, (uint8_t)i, (uint8_t)(i - 1), name, i, 1);
	}
	now_ns += 1000000000;
	assert_int_equal(rows(so_far()), 100);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nested),     cmocka_unit_test(waits_for_the_root),
		cmocka_unit_test(stragglers), cmocka_unit_test(remote_parent_is_a_root),
		cmocka_unit_test(ring_of_parents), cmocka_unit_test(bounded),
		cmocka_unit_test(deep),
	};

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
