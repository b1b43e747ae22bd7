/* Whatever the bytes are: no read outside them, and what is accepted has the form it must have. */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "span/trace_context.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t zero[16];
	struct trace_context c = {0};

	read_state((const char *)data, size);
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
