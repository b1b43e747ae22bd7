/* Whatever the bytes are: no read outside them, and what is accepted has the form it must have. */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "span/trace_headers.h"

/* What is taken of a tracestate is one that is taken as it is. */
static void read_state(const char *s, size_t size)
{
	struct buf once = {0}, twice = {0};
	bool cut = size & 1;

	if (tracestate_read(s, size, cut, &once)) {
		if (!once.len || once.len > TRACESTATE_MAX || !tracestate_read(once.data, once.len, false, &twice) ||
		    once.len != twice.len || memcmp(once.data, twice.data, once.len))
			abort();
	} else if (once.len) {
		abort();
	}
	buf_done(&once);
	buf_done(&twice);
}

static void check_context(bool valid, const struct trace_context *c)
{
	static const uint8_t zero[16];

	if (valid && (!memcmp(c->trace_id, zero, 16) || !memcmp(c->span_id, zero, 8) || (c->sampled && c->undecided)))
		abort();
	if (!valid && (memcmp(c->trace_id, zero, 16) || memcmp(c->span_id, zero, 8)))
		abort();
}

/* Others' headers: the input as one, and as several with a line each. */
static void read_others(const char *s, size_t size)
{
	struct text_view part[4] = {{NULL, 0}};
	struct trace_context c[3] = {{.sampled = false}};

	for (size_t i = 0, start = 0, n = 0; n < 4 && i <= size; i++)
		if (i == size || s[i] == '\n') {
			part[n++] = (struct text_view){s + start, i - start};
			start = i + 1;
		}
	check_context(b3_parse((struct text_view){s, size}, &c[0]), &c[0]);
	check_context(b3_headers_parse(&(struct b3_headers){part[0], part[1], part[2], part[3]}, &c[1]), &c[1]);
	check_context(datadog_parse(&(struct datadog_headers){part[0], part[1], part[2], part[3]}, &c[2]), &c[2]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t zero[16];
	struct trace_context c = {0};

	read_state((const char *)data, size);
	read_others((const char *)data, size);
	if (!traceparent_parse((const char *)data, size, &c))
		return 0;
	if (size < 55 || !memcmp(c.trace_id, zero, 16) || !memcmp(c.span_id, zero, 8))
		abort();
	if (data[2] != '-' || (data[0] == '0' && data[1] == '0' && size != 55))
		abort();
	if (!trace_sampled(c.trace_id, 1) || trace_sampled(c.trace_id, 0))
		abort();
	return 0;
}
