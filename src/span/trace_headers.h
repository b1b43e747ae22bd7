/* Trace contexts as they come in with a request in other words than W3C's (trace_context.h). */
#ifndef SPAN_TRACE_HEADERS_H
#define SPAN_TRACE_HEADERS_H

#include "span/trace_context.h"

struct header_text {           /* s NULL: the request does not have it */
	const char *s;
	size_t len;
};

/*
 * Each: false, and *ret untouched, where the headers are no valid context with a trace and a parent. Trace ids of 64
 * bits are the lower half of one of 128. A decision on sampling that is left to others makes *ret undecided.
 */
bool b3_parse(struct header_text single, struct trace_context *ret);
struct b3_headers {
	struct header_text trace, span, sampled, flags;
};
bool b3_headers_parse(const struct b3_headers *h, struct trace_context *ret);
struct datadog_headers {
	struct header_text trace, parent, priority, tags;
};
bool datadog_parse(const struct datadog_headers *h, struct trace_context *ret);

#endif
