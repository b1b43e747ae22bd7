/* W3C trace context as it comes in with a request, and the decision whether a trace is kept. */
#ifndef SPAN_TRACE_CONTEXT_H
#define SPAN_TRACE_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_context {
	uint8_t trace_id[16], span_id[8];
	bool sampled;
};

/* False, and *ret untouched, when the len bytes at s are not a valid traceparent of any version. */
bool traceparent_parse(const char *s, size_t len, struct trace_context *ret);

/* OpenTelemetry's ratio sampling: the same answer for a trace id in every process. */
bool trace_sampled(const uint8_t trace_id[16], double ratio);

#endif
