/*
 * Spans of an OpenTelemetry SDK in the observed program, as chains of contexts tell them (event.h): what they are to
 * ours.
 */
#ifndef SPAN_SDK_H
#define SPAN_SDK_H

#include "span/arrival.h"

struct trace_context sdk_context(const struct event_chain_span *s);
/*
 * Whether the SDK's span stands for the same operation as a span of that kind: it is of that kind, and was made by one
 * of these libraries (scopes, NULL-terminated; NULL: none). Who made it is known where its name is a constant.
 */
bool sdk_records(const struct arrival *in, const struct event_chain_span *s, enum span_kind kind,
		 const char *const *scopes);

#endif
