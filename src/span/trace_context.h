/* W3C trace context as it comes in with a request, and the decision whether a trace is kept. */
#ifndef SPAN_TRACE_CONTEXT_H
#define SPAN_TRACE_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "event/event.h"

struct trace_context {
	uint8_t trace_id[16], span_id[8];
	bool sampled;
	bool undecided;        /* who sent it left that to us */
};

struct trace_context trace_context_of(const struct event_context *c);

/* False, and *ret untouched, when the len bytes at s are not a valid traceparent of any version. */
bool traceparent_parse(const char *s, size_t len, struct trace_context *ret);

/*
 * Appends a tracestate header's list to *out, its members joined by single commas: all of them where that is no more
 * than TRACESTATE_MAX bytes, otherwise without those that the specification gives up first. Cut: the header is longer
 * than the len bytes at s. False, and *out untouched, where it is no valid list or an empty one.
 */
#define TRACESTATE_MAX 512
bool tracestate_read(const char *s, size_t len, bool cut, struct buf *out);

/* OpenTelemetry's ratio sampling: the same answer for a trace id in every process. */
bool trace_sampled(const uint8_t trace_id[16], double ratio);

#endif
