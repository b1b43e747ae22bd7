#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>

#include "unit/value_stub.h"

#include "unit/groups.h"
#include "unit/written.h"

static struct sink *sink;
static struct call_value v[3];

static void begin_to(int fd)
{
	sink = written_open(&sink_json, (struct sink_setup){.fd = fd, .gives = SINK_CALLS});
}

static void begin(void)
{
	begin_to(0);
}

static void give(struct call_record c)
{
	sink->ops->call(sink, &c);
}

static void expect(const char *text)
{
	assert_string_equal(written_close(sink), text);
}

#define HEAD "{\"ts_unix_ns\":1700000000123456789,\"pid\":4711,\"goid\":17,\"func\":\"main.(*Cart).Add\","
#define ARGS "\"args\":{\"user\":\"alice\",\"n\":3}"

static void the_contract(void **state)
{
	begin();
	give(a_call(v, "alice", 3, 412000));
	expect(HEAD ARGS ",\"returns\":{\"err\":null},\"duration_ns\":412000}\n");
}

static void other_ends(void **state)
{
	struct call_record c = a_call(v, "alice", 3, 900);

	begin();
	call_ended(&c, v, CALL_PANICKED);
	give(c);
	call_ended(&c, v, CALL_OPEN);
	give(c);
	call_ended(&c, v, CALL_EXITED);
	give(c);
	call_ended(&c, v, CALL_POINT);
	give(c);
	expect(HEAD ARGS ",\"duration_ns\":900,\"panicked\":true}\n"
	       HEAD ARGS ",\"duration_ns\":900,\"open\":true}\n"
	       HEAD ARGS ",\"duration_ns\":900,\"exited\":true}\n"
	       HEAD ARGS "}\n");
}

static void unreadable_stacks_inlined_expressions(void **state)
{
	static const uint64_t stack[] = {0x1002, 0x1003};
	const struct call_function function = {.name = "main.f", .inlined_into = "main.g"};
	struct call_value e[] = {{.kind = CALL_ARG, .name = "x",
				  .value = {.form = FORM_UNREADABLE, .text = "not resident"}},
				 {.kind = CALL_EXPR, .name = "len(items)", .value = an_int(5)}};

	begin();
	give((struct call_record){.function = &function, .resource = &shop, .end = CALL_POINT,
				  .start_unix_ns = CALL_START,
				  .values = e, .nvalues = 2, .stack = stack, .nstack = 2, .stack_cut = true});
	expect("{\"ts_unix_ns\":1700000000123456789,\"pid\":4711,\"goid\":0,\"func\":\"main.f\","
	       "\"inlined_into\":\"main.g\",\"args\":{\"x\":{\"unreadable\":\"not resident\"}},"
	       "\"values\":{\"len(items)\":5},\"stack\":[\"main.f1 /src/f1.go:10\",\"main.f2 /src/f2.go:20\"],"
	       "\"stack_truncated\":true}\n");
}

/* Aggregates carry the time at which they were read: cut out. */
static void expect_groups(const char *text)
{
	static char got[10000];
	const char *from = written_close(sink), *at;

	got[0] = 0;
	while ((at = strstr(from, "\"ts_unix_ns\":"))) {
		strncat(got, from, (size_t)(at - from));
		from = strchr(at, ',') + 1;
	}
	strcat(got, from);
	assert_string_equal(got, text);
}

static void aggregates(void **state)
{
	const uint64_t buckets[AGG_BUCKETS] = {[0] = 1, [1] = 2, [11] = 3};
	const uint64_t linear[6] = {[0] = 1, [4] = 4, [5] = 1}, large[AGG_BUCKETS] = {[65] = 1};
	const struct call_group g[] = {
		GROUP(&add_function, &count_by_func, .keys = {a_text("main.(*Cart).Add")}, .nkeys = 1, .count = 88),
		GROUP(&add_function, &avg_latency, .keys = {a_string("al")}, .nkeys = 1, .count = 4, .sum = 10),
		GROUP(&add_function, &max_size, .count = 2, .max = -7),
		GROUP(&add_function, &hist_latency, .keys = {a_string("al")}, .nkeys = 1, .count = 6, .sum = 1800,
		      .buckets = buckets, .nbuckets = AGG_BUCKETS),
		GROUP(&add_function, &linear_size, .count = 6, .sum = 30, .buckets = linear, .nbuckets = 6),
		GROUP(&add_function, &max_size, .count = 2, .max = UINT64_MAX),
		GROUP(&add_function, &hist_size, .count = 1, .sum = (int128)UINT64_MAX * 2, .buckets = large,
		      .nbuckets = AGG_BUCKETS),
	};

	begin();
	sink->ops->groups(sink, g, ARRAY_SIZE(g), true);
	expect_groups(
		"{\"aggregate\":\"count() by func\",\"pid\":4711,\"func\":\"main.(*Cart).Add\","
		"\"key\":{\"func\":\"main.(*Cart).Add\"},\"count\":88}\n"
		"{\"aggregate\":\"avg(latency) by user\",\"pid\":4711,\"func\":\"main.(*Cart).Add\","
		"\"key\":{\"user\":\"al\"},\"count\":4,\"sum\":10,\"avg\":2.5}\n"
		"{\"aggregate\":\"max(size)\",\"pid\":4711,\"func\":\"main.(*Cart).Add\",\"key\":{},\"count\":2,"
		"\"max\":-7}\n"
		"{\"aggregate\":\"hist(latency) by user\",\"pid\":4711,\"func\":\"main.(*Cart).Add\","
		"\"key\":{\"user\":\"al\"},\"count\":6,\"sum\":1800,\"buckets\":[{\"to\":0,\"count\":1},"
		"{\"from\":0,\"to\":1,\"count\":2},{\"from\":512,\"to\":1024,\"count\":3}]}\n"
		"{\"aggregate\":\"hist(size, 0, 100, 25)\",\"pid\":4711,\"func\":\"main.(*Cart).Add\",\"key\":{},"
		"\"count\":6,\"sum\":30,\"buckets\":[{\"to\":0,\"count\":1},{\"from\":75,\"to\":100,\"count\":4},"
		"{\"from\":100,\"count\":1}]}\n"
		"{\"aggregate\":\"max(size)\",\"pid\":4711,\"func\":\"main.(*Cart).Add\",\"key\":{},\"count\":2,"
		"\"max\":18446744073709551615}\n"
		"{\"aggregate\":\"hist(size)\",\"pid\":4711,\"func\":\"main.(*Cart).Add\",\"key\":{},\"count\":1,"
		"\"sum\":36893488147419103230,\"buckets\":[{\"from\":9223372036854775808,"
		"\"to\":18446744073709551616,\"count\":1}]}\n");
}

static void summary(void **state)
{
	struct run_summary sum = {.events = 20, .calls = 9, .planted = 8, .refused = 2, .processes = 3};
	const char *text, *begins = "{\"summary\":{\"events\":20,\"calls\":9,\"processes\":3,\"planted\":8,"
				    "\"refused\":2,"
				    "\"losses\":{\"ring_full\":5,\"scratch_busy\":0,";

	sum.losses.count[LOSS_RING_FULL] = 5;
	begin();
	sink->ops->summary(sink, &sum);
	text = written_close(sink);
	assert_memory_equal(text, begins, strlen(begins));
	assert_string_equal(text + strlen(text) - 4, "}}}\n");
}

/* A reader that does not read: what was kept for it is bounded, and the rest counted. */
static void a_slow_reader(void **state)
{
	struct losses l = {0};
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	begin_to(fds[1]);
	for (int i = 0; i < 70000; i++)
		give(a_call(v, "alice", 3, 412000));
	sink->ops->losses(sink, &l);
	assert_true(l.count[LOSS_SINK_QUEUE] > 0 && l.count[LOSS_SINK_QUEUE] < 70000);
	assert_string_equal(sink->ops->trouble(sink),
			    "the reader of the output was too slow; some calls were not written");
	close(fds[0]);
	sink->ops->close(sink, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_contract),
		cmocka_unit_test(other_ends),
		cmocka_unit_test(unreadable_stacks_inlined_expressions),
		cmocka_unit_test(aggregates),
		cmocka_unit_test(summary),
		cmocka_unit_test(a_slow_reader),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
