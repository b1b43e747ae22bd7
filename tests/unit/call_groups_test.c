/* Aggregates as tables and histograms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/value_stub.h"

#include "unit/groups.h"
#include "unit/written.h"

static struct sink *sink;

static void begin(struct sink_setup setup)
{
	setup.gives = SINK_CALLS;
	sink = written_open(&sink_line, setup);
}

static void give(const struct call_group *g, size_t n)
{
	sink->ops->groups(sink, g, n, true);
}

static void expect(const char *text)
{
	assert_string_equal(written_close(sink), text);
}

/* One table for all functions of a glob, the largest first. */
static void counts_by_func(void **state)
{
	const struct call_group g[] = {
		GROUP(&add_function, &count_by_func, .keys = {a_text("main.(*Cart).Add")}, .nkeys = 1, .count = 88),
		GROUP(&total_function, &count_by_func, .keys = {a_text("main.(*Cart).Total")}, .nkeys = 1,
		      .count = 1204),
	};

	begin((struct sink_setup){0});
	give(g, 2);
	expect("\n"
	       "count() by func\n"
	       "  func                count\n"
	       "  main.(*Cart).Total   1204\n"
	       "  main.(*Cart).Add       88\n");
}

static void what_the_question_does_not_name_is_shown(void **state)
{
	struct call_group g[] = {
		GROUP(&add_function, &count_by_user, .keys = {a_string("alice")}, .nkeys = 1, .count = 3),
		GROUP(&total_function, &count_by_user, .keys = {a_string("alice")}, .nkeys = 1, .count = 2),
		GROUP(&total_function, &count_by_user, .keys = {a_string("alice")}, .nkeys = 1, .count = 1),
	};

	g[2].resource = &cart;
	begin((struct sink_setup){.show_process = true});
	give(g, 3);
	expect("\n"
	       "count() by user\n"
	       "  func                process     user     count\n"
	       "  main.(*Cart).Add    shop[4711]  \"alice\"      3\n"
	       "  main.(*Cart).Total  shop[4711]  \"alice\"      2\n"
	       "  main.(*Cart).Total  cart[80]    \"alice\"      1\n");
}

/* One process that executed something else is two programs. */
static void programs_of_one_process_are_told_apart(void **state)
{
	static const struct resource store = {.id = 3, .pid = 4711, .name = "store"};
	struct call_group g[] = {
		GROUP(&add_function, &count_by_user, .keys = {a_string("alice")}, .nkeys = 1, .count = 3),
		GROUP(&add_function, &count_by_user, .keys = {a_string("alice")}, .nkeys = 1, .count = 2),
	};

	g[1].resource = &store;
	begin((struct sink_setup){0});
	give(g, 2);
	expect("\n"
	       "count() by user  main.(*Cart).Add\n"
	       "  process      user     count\n"
	       "  shop[4711]   \"alice\"      3\n"
	       "  store[4711]  \"alice\"      2\n");
}

static void averages_have_units(void **state)
{
	const struct call_group g[] = {
		GROUP(&add_function, &avg_latency, .keys = {a_string("al")}, .nkeys = 1, .count = 4, .sum = 4800),
		GROUP(&add_function, &avg_latency, .keys = {a_string("bob")}, .nkeys = 1, .count = 2, .sum = 5000000),
		GROUP(&add_function, &max_size, .count = 2, .max = -7),
	};

	begin((struct sink_setup){0});
	give(g, 3);
	expect("\n"
	       "avg(latency) by user  main.(*Cart).Add\n"
	       "  user   count      avg\n"
	       "  \"bob\"      2  2.50 ms\n"
	       "  \"al\"       4  1.20 µs\n"
	       "\n"
	       "max(size)  main.(*Cart).Add\n"
	       "  count  max\n"
	       "      2   -7\n");
}

/* Unsigned values from 1<<63 on, and sums beyond 64 bits. */
static void large_numbers(void **state)
{
	static const struct call_aggregate sum_size = {.action = 8, .text = "sum(size)", .kind = AGG_SUM};
	const uint64_t buckets[AGG_BUCKETS] = {[64] = 1, [65] = 2};
	const struct call_group g[] = {
		GROUP(&add_function, &max_size, .count = 2, .max = UINT64_MAX),
		GROUP(&add_function, &sum_size, .count = 4, .sum = (int128)UINT64_MAX * 4),
		GROUP(&add_function, &sum_size, .count = 4, .sum = (int128)INT64_MIN * 4),
		GROUP(&add_function, &hist_size, .count = 3, .sum = (int128)UINT64_MAX * 3, .buckets = buckets,
		      .nbuckets = AGG_BUCKETS),
	};

	begin((struct sink_setup){0});
	give(g, ARRAY_SIZE(g));
	expect("\n"
	       "max(size)  main.(*Cart).Add\n"
	       "  count                   max\n"
	       "      2  18446744073709551615\n"
	       "\n"
	       "sum(size)  main.(*Cart).Add\n"
	       "  count                    sum\n"
	       "      4   73786976294838206460\n"
	       "      4  -36893488147419103232\n"
	       "\n"
	       "hist(size)  main.(*Cart).Add\n"
	       "  count 3, avg 1.84467e+19\n"
	       "     4E…8E  1  ████████████████████\n"
	       "    8E…16E  2  ████████████████████████████████████████\n");
}

static void a_histogram_of_latency(void **state)
{
	const uint64_t buckets[AGG_BUCKETS] = {[11] = 1, [12] = 80, [14] = 20};
	const struct call_group g[] = {GROUP(&add_function, &hist_latency, .keys = {a_string("al")}, .nkeys = 1,
					     .count = 101, .sum = 202000, .buckets = buckets, .nbuckets = AGG_BUCKETS)};

	begin((struct sink_setup){0});
	give(g, 1);
	expect("\n"
	       "hist(latency) by user  main.(*Cart).Add\n"
	       "  user=\"al\"  count 101, avg 2.00 µs\n"
	       "    512ns…1µs   1  ▌\n"
	       "      1µs…2µs  80  ████████████████████████████████████████\n"
	       "      2µs…4µs   0\n"
	       "      4µs…8µs  20  ██████████\n");
}

static void histograms_of_numbers(void **state)
{
	const uint64_t buckets[AGG_BUCKETS] = {[0] = 1, [1] = 2, [2] = 1, [3] = 0, [12] = 1, [13] = 1};
	const uint64_t linear[6] = {[0] = 1, [2] = 4, [5] = 1};
	const struct call_group g[] = {
		GROUP(&add_function, &hist_size, .count = 6, .sum = 12, .buckets = buckets, .nbuckets = AGG_BUCKETS),
		GROUP(&add_function, &linear_size, .count = 6, .sum = 30, .buckets = linear, .nbuckets = 6),
	};

	begin((struct sink_setup){0});
	give(g, 2);
	expect("\n"
	       "hist(size)  main.(*Cart).Add\n"
	       "  count 6, avg 2\n"
	       "        < 0  1  ████████████████████\n"
	       "          0  2  ████████████████████████████████████████\n"
	       "          1  1  ████████████████████\n"
	       "        2…4  0\n"
	       "        4…8  0\n"
	       "       8…16  0\n"
	       "      16…32  0\n"
	       "      32…64  0\n"
	       "     64…128  0\n"
	       "    128…256  0\n"
	       "    256…512  0\n"
	       "     512…1K  0\n"
	       "      1K…2K  1  ████████████████████\n"
	       "      2K…4K  1  ████████████████████\n"
	       "\n"
	       "hist(size, 0, 100, 25)  main.(*Cart).Add\n"
	       "  count 6, avg 5\n"
	       "       < 0  1  ██████████\n"
	       "      0…25  0\n"
	       "     25…50  4  ████████████████████████████████████████\n"
	       "     50…75  0\n"
	       "    75…100  0\n"
	       "     ≥ 100  1  ██████████\n");
}

static void stacks_as_keys(void **state)
{
	static const struct call_aggregate by_stack = {.action = 1, .text = "count() by stack", .kind = AGG_COUNT,
						       .keys = {{.text = "stack", .stack = true}}, .nkeys = 1};
	struct value_node frames[] = {a_text("main.handle"), a_text("net/http.serve")};
	struct call_group g = GROUP(&add_function, &by_stack, .nkeys = 1, .count = 5,
				    .keys = {{.form = FORM_LIST, .children = frames, .nchildren = 2}});

	begin((struct sink_setup){0});
	give(&g, 1);
	expect("\n"
	       "count() by stack  main.(*Cart).Add\n"
	       "  count 5\n"
	       "    main.handle\n"
	       "    net/http.serve\n");
}

/* Each round is headed by the time. */
static void rounds(void **state)
{
	const struct call_group g[] = {GROUP(&add_function, &max_size, .count = 2, .max = 7)};
	const char *text, *round = "\n\nmax(size)  main.(*Cart).Add\n  count  max\n      2    7\n";

	begin((struct sink_setup){0});
	sink->ops->groups(sink, g, 1, false);
	sink->ops->groups(sink, g, 0, false);
	sink->ops->groups(sink, g, 1, true);
	text = written_close(sink);
	for (int i = 0; i < 2; i++) {
		int hours, minutes, seconds, ms, used = 0;

		assert_int_equal(sscanf(text, "\n%2d:%2d:%2d.%3d%n", &hours, &minutes, &seconds, &ms, &used), 4);
		text += used;
		assert_memory_equal(text, round, strlen(round));
		text += strlen(round);
	}
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_by_func),
		cmocka_unit_test(what_the_question_does_not_name_is_shown),
		cmocka_unit_test(programs_of_one_process_are_told_apart),
		cmocka_unit_test(averages_have_units),
		cmocka_unit_test(a_histogram_of_latency), cmocka_unit_test(large_numbers),
		cmocka_unit_test(histograms_of_numbers),
		cmocka_unit_test(stacks_as_keys),
		cmocka_unit_test(rounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
