#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/value_stub.h"

#include "unit/calls.h"
#include "unit/spans.h"
#include "unit/written_file.h"

static struct sink *sink;
static struct call_value v[3];

static void begin(void)
{
	struct err err = {0};

	assert_int_equal(open_file(&sink_perfetto, file_new(), &sink, &err), 0);
}

static void give(struct call_record c)
{
	sink->ops->call(sink, &c);
}

#define NAMES                                                                                                          \
	"[\n"                                                                                                          \
	"{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":4711,\"tid\":17,\"args\":{\"name\":\"shop\"}},\n"             \
	"{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":4711,\"tid\":17,\"args\":{\"name\":\"goroutine 17\"}},\n"
#define ADD(duration, end)                                                                                             \
	"{\"ph\":\"X\",\"name\":\"main.(*Cart).Add\",\"pid\":4711,\"tid\":17,\"ts\":5000000.000,\"dur\":" duration end \
	"}"
#define ARGS "\"args\":{\"args\":{\"user\":\"alice\",\"n\":3}"

static void calls_on_a_timeline(void **state)
{
	static const uint64_t stack[] = {0x1002};
	struct call_record c = a_call(v, "alice", 3, 412007);

	begin();
	give(c);
	c.goid = 18;
	c.stack = stack;
	c.nstack = 1;
	c.duration_ns = 5;
	call_ended(&c, v, CALL_PANICKED);
	give(c);
	c.stack = NULL;
	call_ended(&c, v, CALL_POINT);
	give(c);
	sink->ops->close(sink, 2000);
	assert_string_equal(
	    file_text(),
	    NAMES ADD("412.007,", ARGS
		      ",\"returns\":{\"err\":null}}") ",\n"
						      "{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":4711,\"tid\":18,"
						      "\"args\":{\"name\":\"goroutine 18\"}},\n"
						      "{\"ph\":\"X\",\"name\":\"main.(*Cart).Add\",\"pid\":4711,"
						      "\"tid\":18,\"ts\":5000000.000,\"dur\":0.005,"
						      "\"cname\":\"terrible\"," ARGS
						      ",\"end\":\"panicked\",\"stack\":[\"main.f1 /src/f1.go:10\"]}},\n"
						      "{\"ph\":\"i\",\"name\":\"main.(*Cart).Add\",\"pid\":4711,"
						      "\"tid\":18,\"ts\":5000000.000,\"s\":\"t\"," ARGS "}}"
						      "\n]\n");
}

/* What it does not need to know of a span's goroutine: each has its own track, told by its id. */
static void spans_on_a_timeline(void **state)
{
	const struct attr attrs[] = {STR("url.path", "/cart"), INT("n", 3)};
	const struct attr message[] = {STR("message", "no \"stock\"")};
	const struct span_event event = {.name = "log", .unix_ns = SPAN_START + 1000, .attrs = message, .nattrs = 1};
	static const struct resource server = {.id = 3, .pid = 4711, .name = "shop", .service = "shop"};
	struct span s = span_make("GET /cart", 412007, attrs, 2);

	s.events = &event;
	s.nevents = 1;
	s.resource = &server;
	s.parent = SPAN_PARENT_LOCAL;
	begin();
	sink->ops->span(sink, &s);
	sink->ops->close(sink, 2000);
	/* The times are before this machine's start: an hour is put before the first of them. */
	assert_string_equal(
		file_text(),
		"[\n"
		"{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":4711,\"tid\":17,\"args\":{\"name\":\"shop\"}"
		"},\n"
		"{\"ph\":\"b\",\"name\":\"GET /cart\",\"cat\":\"span\",\"id\":\"01000000000000ab\",\"pid\":4711,"
		"\"tid\":17,\"ts\":3600000000.000,\"args\":{\"trace_id\":\"4bf92f00000000000000000000000036\","
		"\"parent_span_id\":\"0000000000000000\",\"goid\":17,\"url.path\":\"/cart\",\"n\":3}},\n"
		"{\"ph\":\"n\",\"name\":\"log\",\"cat\":\"span\",\"id\":\"01000000000000ab\",\"pid\":4711,"
		"\"tid\":17,\"ts\":3600000001.000,\"args\":{\"message\":\"no \\\"stock\\\"\"}},\n"
		"{\"ph\":\"e\",\"name\":\"GET /cart\",\"cat\":\"span\",\"id\":\"01000000000000ab\",\"pid\":4711,"
		"\"tid\":17,\"ts\":3600000412.007}\n]\n");
}

static void no_calls(void **state)
{
	begin();
	sink->ops->close(sink, 2000);
	assert_string_equal(file_text(), "[\n\n]\n");
}

/* Killed between ticks: all but the closing bracket is there. */
static void what_is_written_meanwhile(void **state)
{
	begin();
	give(a_call(v, "alice", 3, 412007));
	sink->ops->tick(sink);
	assert_string_equal(file_text(), NAMES ADD("412.007,", ARGS ",\"returns\":{\"err\":null}}"));
	sink->ops->close(sink, 2000);
}

static void cannot_be_written(void **state)
{
	struct err err = {0};

	assert_int_equal(open_file(&sink_perfetto, "/nonexistent/x", &sink, &err), -ENOENT);
	assert_string_equal(err.text, "/nonexistent/x cannot be written: No such file or directory");
	assert_int_equal(open_file(&sink_perfetto, "/dev/full", &sink, &err), 0);
	give(a_call(v, "alice", 3, 412007));
	sink->ops->tick(sink);
	assert_string_equal(sink->ops->trouble(sink), "/dev/full cannot be written: No space left on device");
	sink->ops->close(sink, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_on_a_timeline),
		cmocka_unit_test(spans_on_a_timeline),
		cmocka_unit_test(no_calls),
		cmocka_unit_test(what_is_written_meanwhile),
		cmocka_unit_test(cannot_be_written),
	};
	return cmocka_run_group_tests(tests, NULL, file_end);
}
