#include "span/span.h"

#include <string.h>

#include "base/macro.h"

const char *span_kind_text(enum span_kind k)
{
	static const char *const text[] = {[SPAN_INTERNAL] = "internal",
					   [SPAN_SERVER] = "server",
					   [SPAN_CLIENT] = "client",
					   [SPAN_PRODUCER] = "producer",
					   [SPAN_CONSUMER] = "consumer"};

	return (size_t)k < ARRAY_SIZE(text) && text[k] ? text[k] : "internal";
}

const char *span_status_text(enum span_status s)
{
	return s == SPAN_STATUS_ERROR ? "error" : "unset";
}

const char *parent_source_text(enum parent_source p)
{
	static const char *const text[] = {[PARENT_UNKNOWN] = "unknown",     [PARENT_NONE] = "none",
					   [PARENT_CONTEXT] = "context",     [PARENT_GOROUTINE] = "goroutine",
					   [PARENT_LINEAGE] = "lineage",     [PARENT_CONNECTION] = "connection",
					   [PARENT_HEADER] = "header"};

	return (size_t)p < ARRAY_SIZE(text) ? text[p] : "unknown";
}

bool span_has_parent(const struct span *s)
{
	return s->parent == SPAN_PARENT_LOCAL || s->parent == SPAN_PARENT_REMOTE;
}

const struct attr *span_attr(const struct span *s, const char *key)
{
	for (size_t i = 0; i < s->nattrs; i++)
		if (!strcmp(s->attrs[i].key, key))
			return &s->attrs[i];
	return NULL;
}
