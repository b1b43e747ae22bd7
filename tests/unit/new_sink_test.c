/* A sink as somebody new to the project writes it: one file over file_sink.h, which prints spans and calls as CSV. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>

#include "sink/file_sink.h"
#include "unit/calls.h"
#include "unit/spans.h"
#include "unit/written.h"

/* ---- the sink ---- */

static struct output *output_of(struct sink *s)
{
	return &((struct file_sink *)s)->out;
}

static void put_row(struct sink *s, const char *what, const char *name, uint64_t start_unix_ns, uint64_t duration_ns)
{
	struct buf *out = output_begin(output_of(s));

	buf_printf(out, "%s,\"", what);
	for (; *name; name++)
		buf_printf(out, *name == '"' ? "\"\"" : "%c", *name);
	buf_printf(out, "\",%" PRIu64 ",%" PRIu64 "\n", start_unix_ns, duration_ns);
	output_end(output_of(s));
}

static void csv_span(struct sink *s, const struct span *span)
{
	put_row(s, "span", span->name, span->start_unix_ns, span->duration_ns);
}

static void csv_call(struct sink *s, const struct call_record *c)
{
	put_row(s, "call", c->function->name, c->start_unix_ns, c->duration_ns);
}

static const struct sink_ops csv_ops = {
	.name = "csv",
	.span = csv_span,
	.call = csv_call,
	.tick = file_sink_tick,
	.gone = file_sink_gone,
	.trouble = file_sink_trouble,
	.losses = file_sink_losses,
	.close = file_sink_close,
};

static int csv_open(const struct sink_setup *setup, struct sink **ret, struct err *err)
{
	struct file_sink *f = xcalloc(1, sizeof(*f));

	file_sink_open(f, &csv_ops, setup);
	*ret = &f->sink;
	return 0;
}

static const struct sink_kind sink_csv = {
	.name = "csv", .takes = SINK_SPANS | SINK_CALLS, .prints = true, .open = csv_open};

/* ---- what it does ---- */

static void rows(void **state)
{
	struct sink *s = written_open(&sink_csv, (struct sink_setup){0});
	struct span span = span_make("GET \"/\"", 412000, NULL, 0);
	struct call_value values[3];
	struct call_record call = a_call(values, "alice", 3, 900);

	s->ops->span(s, &span);
	assert_string_equal(written_so_far(), ""); /* it waits for the tick, or for more */
	s->ops->tick(s);
	assert_string_equal(written_so_far(), "span,\"GET \"\"/\"\"\",1700000000123456789,412000\n");
	s->ops->call(s, &call);
	assert_string_equal(written_close(s), "span,\"GET \"\"/\"\"\",1700000000123456789,412000\n"
					      "call,\"main.(*Cart).Add\",1700000000123456789,900\n");
}

static void a_full_disk(void **state)
{
	struct sink_setup setup = {.fd = open("/dev/full", O_WRONLY | O_CLOEXEC)};
	struct losses lost = {0};
	struct span span = span_make("GET /", 1, NULL, 0);
	struct sink *s;

	assert_true(setup.fd >= 0);
	s = written_open(&sink_csv, setup);
	s->ops->span(s, &span);
	assert_string_equal(s->ops->trouble(s), "the output cannot be written: No space left on device");
	assert_false(s->ops->gone(s));
	s->ops->losses(s, &lost);
	assert_int_equal(lost.count[LOSS_SINK_REFUSED] + lost.count[LOSS_SINK_QUEUE], 1);
	s->ops->close(s, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rows), cmocka_unit_test(a_full_disk)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
