/* Trace contexts as they come in with a request in other words than W3C's (trace_context.h). */
#ifndef SPAN_TRACE_HEADERS_H
#define SPAN_TRACE_HEADERS_H

#include "base/text_view.h"
#include "span/trace_context.h"

/*
 * A header with s NULL is not there. Each: false, and *ret untouched, where the headers are no valid context with a
 * trace and a parent. Trace ids of 64 bits are the lower half of one of 128. A decision on sampling that is left to
 * others makes *ret undecided.
 */
bool b3_parse(struct text_view single, struct trace_context *ret);
struct b3_headers {
	struct text_view trace, span, sampled, flags;
};
bool b3_headers_parse(const struct b3_headers *h, struct trace_context *ret);
struct datadog_headers {
	struct text_view trace, parent, priority, tags;
};
bool datadog_parse(const struct datadog_headers *h, struct trace_context *ret);

#endif
