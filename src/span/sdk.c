#include "span/sdk.h"

#include <string.h>

enum { SCOPE_MAX = 256 };

struct trace_context sdk_context(const struct event_chain_span *s)
{
	struct trace_context c = {.sampled = s->flags & EVENT_CONTEXT_SAMPLED};

	memcpy(c.trace_id, s->trace_id, sizeof(c.trace_id));
	memcpy(c.span_id, s->span_id, sizeof(c.span_id));
	return c;
}

/* The numbers of OpenTelemetry's package trace, which are those of its protocol. */
_Static_assert(SPAN_INTERNAL == 1 && SPAN_SERVER == 2 && SPAN_CLIENT == 3 && SPAN_PRODUCER == 4 && SPAN_CONSUMER == 5,
	       "kinds are compared");

bool sdk_records(const struct arrival *in, const struct event_chain_span *s, enum span_kind kind,
		 const char *const *scopes)
{
	_cleanup_(arena_done) struct arena arena = {0};
	const struct slot_source src = {.binary = in->probe->p.binary, .bias = in->target->t.bias,
					.max_text = SCOPE_MAX, .arena = &arena};
	const char *name = NULL;
	uint64_t n = 0;

	if (!scopes || s->remote || s->kind != (uint64_t)kind)
		return false;
	if (s->scope && s->scope_len && s->scope_len < SCOPE_MAX)
		name = slot_constant(&src, s->scope, s->scope_len, &n);
	if (!name || n != s->scope_len)
		return false;
	for (; *scopes; scopes++)
		if (strlen(*scopes) == n && !memcmp(*scopes, name, n))
			return true;
	return false;
}
