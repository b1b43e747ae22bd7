/* Whatever the bytes are: no read outside them, and what is accepted has the form it must have. */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "span/trace_context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t zero[16];
	struct trace_context c = {0};

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
