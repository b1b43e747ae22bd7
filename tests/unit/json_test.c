#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit/spans.h"
#include "unit/written.h"

static struct sink *sink;

static void begin_to(int fd)
{
	sink = written_open(&sink_json, (struct sink_setup){.fd = fd, .gives = SINK_SPANS});
}

static void begin(void)
{
	begin_to(0);
}

static void expect(const char *text)
{
	assert_string_equal(written_close(sink), text);
}

static void the_contract(void **state)
{
	const struct attr a[] = {STR("http.request.method", "GET"), INT("http.response.status_code", 200),
				 {.key = "ratio", .kind = ATTR_DOUBLE, .d = 0.5},
				 {.key = "tls", .kind = ATTR_BOOL, .b = true}};
	struct span s = span_make("GET /cart", 1500, a, ARRAY_SIZE(a));

	s.parent_source = PARENT_NONE;
	begin();
	sink->ops->span(sink, &s);
	expect("{\"trace_id\":\"4bf92f00000000000000000000000036\",\"span_id\":\"01000000000000ab\","
	       "\"parent_span_id\":\"\",\"name\":\"GET /cart\",\"kind\":\"server\",\"service\":\"shop\","
	       "\"start_unix_ns\":1700000000123456789,\"duration_ns\":1500,\"status\":\"unset\","
	       "\"attributes\":{\"http.request.method\":\"GET\",\"http.response.status_code\":200,"
	       "\"ratio\":0.5,\"tls\":true,\"earshot.parent.source\":\"none\"},"
	       "\"pid\":4711,\"goid\":17,\"pack\":\"net-http\"}\n");
}

static void errors_and_parents(void **state)
{
	const struct attr a[] = {STR("url.path", "/\"\\\n\033\xff\xc3\xa9\0x")};
	struct span s = span_make("GET", 1500, a, 1);

	s.parent = SPAN_PARENT_LOCAL;
	s.parent_source = PARENT_LINEAGE;
	s.trace_state = "a=1";
	s.parent_id[7] = 0x31;
	s.status = SPAN_STATUS_ERROR;
	s.status_text = "panic";
	s.kind = SPAN_CONSUMER;
	s.resource = NULL;
	begin();
	sink->ops->span(sink, &s);
	expect("{\"trace_id\":\"4bf92f00000000000000000000000036\",\"span_id\":\"01000000000000ab\","
	       "\"parent_span_id\":\"0000000000000031\",\"trace_state\":\"a=1\",\"name\":\"GET\","
	       "\"kind\":\"consumer\","
	       "\"service\":\"\",\"start_unix_ns\":1700000000123456789,\"duration_ns\":1500,"
	       "\"status\":\"error\",\"status_text\":\"panic\","
	       "\"attributes\":{\"url.path\":\"/\\\"\\\\\\n\\u001b\xef\xbf\xbd\xc3\xa9\\u0000x\","
	       "\"earshot.parent.source\":\"lineage\"},"
	       "\"pid\":0,\"goid\":17,\"pack\":\"net-http\"}\n");
}

static void summary(void **state)
{
	struct run_summary sum = {.events = 20, .spans = 9, .open = 1, .spans_lost = 4, .planted = 8, .refused = 2,
				  .processes = 3};
	const char *text;

	sum.losses.count[LOSS_RING_FULL] = 5;
	begin();
	sink->ops->summary(sink, &sum);
	text = written_close(sink);
	assert_memory_equal(text,
			    "{\"summary\":{\"events\":20,\"spans\":9,\"open\":1,\"spans_lost\":4,\"processes\":3,"
			    "\"planted\":8,\"refused\":2,\"losses\":{\"ring_full\":5,",
			    strlen("{\"summary\":{\"events\":20,\"spans\":9,\"open\":1,\"spans_lost\":4,"
				   "\"processes\":3,"
				   "\"planted\":8,\"refused\":2,\"losses\":{\"ring_full\":5,"));
	assert_string_equal(text + strlen(text) - 4, "}}}\n");
	assert_non_null(strstr(text, "\"sink_refused\":0"));
}

/* One observation can give both. */
static void spans_and_calls(void **state)
{
	static const struct call_function function = {.name = "main.f"};
	const struct run_summary sum = {.events = 20, .spans = 9, .calls = 3, .open = 1, .spans_lost = 4, .planted = 8,
					.refused = 2, .processes = 3};
	struct span s = span_make("GET /cart", 1500, NULL, 0);
	const char *text;

	sink = written_open(&sink_json, (struct sink_setup){.gives = SINK_SPANS | SINK_CALLS});
	sink->ops->span(sink, &s);
	sink->ops->call(sink, &(struct call_record){.function = &function, .resource = s.resource, .end = CALL_POINT});
	sink->ops->summary(sink, &sum);
	text = written_close(sink);
	assert_memory_equal(text, "{\"trace_id\":", 12);
	assert_non_null(strstr(text, "\n{\"ts_unix_ns\":0,\"pid\":4711,\"goid\":0,\"func\":\"main.f\",\"args\":{}}\n"
				     "{\"summary\":{\"events\":20,\"spans\":9,\"open\":1,\"spans_lost\":4,\"calls\":3,"
				     "\"processes\":3,\"planted\":8,\"refused\":2,"));
}

static uint64_t lost(enum loss l)
{
	struct losses losses = {0};

	sink->ops->losses(sink, &losses);
	return losses.count[l];
}

static void many(unsigned n)
{
	const struct attr a[] = {STR("url.path", "/some/path/that/is/not/too/short")};
	struct span s = span_make("GET", 1500, a, 1);

	for (unsigned i = 0; i < n; i++)
		sink->ops->span(sink, &s);
}

static void reader_goes_away(void **state)
{
	int p[2];

	assert_int_equal(pipe(p), 0); /* and SIGPIPE is as it is: it is not raised */
	begin_to(p[1]);
	assert_null(sink->ops->trouble(sink));
	many(10);
	close(p[0]);
	sink->ops->tick(sink);
	many(5);
	assert_int_equal(lost(LOSS_SINK_REFUSED), 15);
	assert_non_null(strstr(sink->ops->trouble(sink), "closed"));
	sink->ops->close(sink, 1000);
}

/* A reader that does not read delays nobody; what it misses is counted. */
static void reader_sleeps(void **state)
{
	int p[2];
	uint64_t from = clock_monotonic_ns(), got = 0, newlines = 0;
	static char text[65536];
	ssize_t n;

	assert_int_equal(pipe(p), 0);
	begin_to(p[1]);
	many(100000);
	assert_true(clock_monotonic_ns() - from < UINT64_C(5000000000));
	assert_true(lost(LOSS_SINK_QUEUE) > 1000);
	assert_int_equal(lost(LOSS_SINK_REFUSED), 0);
	assert_non_null(strstr(sink->ops->trouble(sink), "slow"));
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 1000; i++) {
		while ((n = read(p[0], text, sizeof(text))) > 0) {
			got += (uint64_t)n;
			for (ssize_t k = 0; k < n; k++)
				newlines += text[k] == '\n';
		}
		sink->ops->tick(sink);
	}
	assert_int_equal(newlines + lost(LOSS_SINK_QUEUE), 100000); /* whole lines, each once */
	assert_true(got > 8 << 20);
	sink->ops->close(sink, 10);
	close(p[0]);
}

static void disk_is_full(void **state)
{
	int fd = open("/dev/full", O_WRONLY);

	if (fd < 0) {
		print_message("skipped: no /dev/full\n");
		skip();
	}
	begin_to(fd);
	many(3);
	sink->ops->tick(sink);
	assert_non_null(strstr(sink->ops->trouble(sink), "No space left"));
	assert_int_equal(lost(LOSS_SINK_REFUSED), 3);
	many(30000);
	assert_int_equal(lost(LOSS_SINK_REFUSED), 30003);
	sink->ops->close(sink, 10);
}

static void speed(void **state)
{
	int fd = open("/dev/null", O_WRONLY);
	uint64_t from = clock_monotonic_ns();

	begin_to(fd);
	many(100000);
	print_message("# %.0f ns a line\n", (double)(clock_monotonic_ns() - from) / 100000);
	sink->ops->close(sink, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_contract),	    cmocka_unit_test(errors_and_parents),
		cmocka_unit_test(summary),	    cmocka_unit_test(spans_and_calls),
		cmocka_unit_test(reader_goes_away), cmocka_unit_test(reader_sleeps),
		cmocka_unit_test(disk_is_full),	    cmocka_unit_test(speed),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
