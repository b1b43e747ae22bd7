#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/value_stub.h"

#include "base/clock.h"
#include "unit/groups.h"
#include "unit/written.h"

static struct sink *sink;

static void begin(struct sink_setup setup)
{
	setup.gives = SINK_CALLS;
	sink = written_open(&sink_tree, setup);
}

static void give_end(const char *name, uint64_t start, uint64_t end, uint64_t depth, uint64_t goid, enum call_end how)
{
	static struct call_function functions[50];
	static size_t n;
	struct call_function *function = &functions[n++ % 50];

	*function = (struct call_function){.name = name, .takes_all = true};
	sink->ops->call(sink, &(struct call_record){
				      .function = function, .resource = &shop, .end = how, .goid = goid,
				      .start_ns = start, .start_unix_ns = CALL_START + start,
				      .duration_ns = end - start, .depth = depth});
}

static void give(const char *name, uint64_t start, uint64_t end, uint64_t depth)
{
	give_end(name, start, end, depth, 17, CALL_RETURNED);
}

static void running(uint64_t goid, uint64_t start)
{
	const struct call_running r = {.target = 1, .goid = goid, .start_ns = start};

	sink->ops->running(sink, &r, goid ? 1 : 0);
}

static void expect(const char *text)
{
	assert_string_equal(written_close(sink), text);
}

static void expect_so_far(const char *text)
{
	sink->ops->tick(sink);
	assert_string_equal(written_so_far(), text);
}

static void children_end_first(void **state)
{
	begin((struct sink_setup){0});
	give("main.c", 300, 400, 30);
	give("main.b", 200, 500, 20);
	give_end("main.b", 600, 900, 20, 17, CALL_PANICKED);
	give("main.a", 100, 1100, 10);
	give_end("main.other", 150, 250, 10, 18, CALL_RETURNED);
	expect("22:13:20.123  goroutine 17\n"
	       "     1.00 µs  main.a()\n"
	       "      300 ns    main.b()\n"
	       "      100 ns      main.c()\n"
	       "      300 ns    main.b() → panicked\n"
	       "\n"
	       "22:13:20.123  goroutine 18\n"
	       "      100 ns  main.other()\n");
}

/* What is below an open call waits for it; what began before does not. */
static void a_tree_is_whole(void **state)
{
	begin((struct sink_setup){0});
	give("main.first", 10, 20, 10);
	give("main.b", 200, 500, 20);
	running(17, 100);
	expect_so_far("22:13:20.123  goroutine 17\n"
		      "       10 ns  main.first()\n");
	running(17, 100);
	sink->ops->tick(sink);
	give("main.a", 100, 1100, 10);
	running(0, 0);
	expect_so_far("22:13:20.123  goroutine 17\n"
		      "       10 ns  main.first()\n"
		      "\n"
		      "22:13:20.123  goroutine 17\n"
		      "     1.00 µs  main.a()\n"
		      "      300 ns    main.b()\n");
	written_close(sink);
}

/* An outer call that ended between the last records and the list is among the next records. */
static void between_records_and_list(void **state)
{
	begin((struct sink_setup){0});
	running(0, 0);
	give("main.b", 200, 500, 20);
	expect_so_far("");
	running(0, 0);
	give("main.a", 100, 1100, 10);
	give("main.next", 2000, 2100, 20);
	expect_so_far("22:13:20.123  goroutine 17\n"
		      "     1.00 µs  main.a()\n"
		      "      300 ns    main.b()\n");
	written_close(sink);
}

static void nobody_tells_what_is_running(void **state)
{
	uint64_t now = clock_monotonic_ns();

	begin((struct sink_setup){0});
	give("main.old", now - 5000000000, now - 5000000000 + 100, 20);
	give("main.new", now + 100000000000, now + 100000000100, 20);
	sink->ops->tick(sink);
	assert_non_null(strstr(written_so_far(), "main.old"));
	assert_null(strstr(written_so_far(), "main.new"));
	written_close(sink);
}

static void recursion_points_open_calls(void **state)
{
	begin((struct sink_setup){.show_process = true});
	give_end("main.inlined", 160, 160, 20, 17, CALL_POINT);
	give("main.r", 150, 200, 20);
	give_end("main.r", 150, 210, 10, 17, CALL_OPEN);
	expect("22:13:20.123  goroutine 17  shop[4711]\n"
	       "       60 ns  main.r() → still running\n"
	       "       50 ns    main.r()\n"
	       "                  main.inlined()\n");
}

static void with_stacks(void **state)
{
	static const uint64_t stack[] = {0x1002, 0x1003};
	struct call_value v[3];
	struct call_record c = a_call(v, "al", 3, 900);

	begin((struct sink_setup){0});
	c.stack = stack;
	c.nstack = 2;
	sink->ops->call(sink, &c);
	expect("22:13:20.123  goroutine 17\n"
	       "      900 ns  main.(*Cart).Add(user=\"al\", n=3) → err=nil\n"
	       "                      main.f1 /src/f1.go:10\n"
	       "                      main.f2 /src/f2.go:20\n");
}

static void too_many_to_wait(void **state)
{
	const char *text;
	size_t lines = 0;

	begin((struct sink_setup){0});
	running(17, 1);
	for (uint64_t i = 0; i < 10001; i++)
		give("main.b", 100 + 10 * i, 105 + 10 * i, 20);
	sink->ops->tick(sink);
	text = written_so_far();
	assert_non_null(strstr(text, "goroutine 17  in part: an outer call may still be running\n"));
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, 10002);
	give("main.a", 1, 1000000, 10);
	running(0, 0);
	sink->ops->tick(sink);
	assert_non_null(strstr(written_so_far(), "goroutine 17  the rest of what was shown in part\n"
						 "     1.00 ms  main.a()\n"));
	written_close(sink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_end_first),
		cmocka_unit_test(a_tree_is_whole),
		cmocka_unit_test(between_records_and_list),
		cmocka_unit_test(nobody_tells_what_is_running),
		cmocka_unit_test(recursion_points_open_calls),
		cmocka_unit_test(with_stacks),
		cmocka_unit_test(too_many_to_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
