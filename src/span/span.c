#include "span/span.h"

#include <string.h>

#include "base/macro.h"

const char *span_kind_text(enum span_kind k)
{
	return span_kind_names[k >= SPAN_INTERNAL && k <= SPAN_CONSUMER ? k - SPAN_INTERNAL : 0];
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
					   [PARENT_HEADER] = "header",       [PARENT_SDK] = "sdk"};

	return (size_t)p < ARRAY_SIZE(text) ? text[p] : "unknown";
}

bool span_has_parent(const struct span *s)
{
	return s->parent == SPAN_PARENT_LOCAL || s->parent == SPAN_PARENT_REMOTE;
}

static size_t text_bytes(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

static size_t copy_bytes(const struct span *s)
{
	size_t n = sizeof(*s) + s->nattrs * sizeof(*s->attrs) + text_bytes(s->name) + text_bytes(s->status_text) +
		   text_bytes(s->trace_state);

	for (size_t i = 0; i < s->nattrs; i++)
		n += text_bytes(s->attrs[i].key) + (s->attrs[i].kind == ATTR_STRING ? s->attrs[i].len + 1 : 0);
	return n;
}

static const char *put(char **at, const char *s, size_t n)
{
	char *d = *at;

	if (n)
		memcpy(d, s, n);
	d[n] = 0;
	*at += n + 1;
	return d;
}

static const char *put_text(char **at, const char *s)
{
	return s ? put(at, s, strlen(s)) : NULL;
}

struct span *span_copy(const struct span *s, size_t *ret_bytes)
{
	size_t bytes = copy_bytes(s);
	struct span *copy = xmalloc(bytes);
	struct attr *attrs = (struct attr *)(copy + 1);
	char *at = (char *)(attrs + s->nattrs);

	*copy = *s;
	copy->name = put_text(&at, s->name);
	copy->status_text = put_text(&at, s->status_text);
	copy->trace_state = put_text(&at, s->trace_state);
	for (size_t i = 0; i < s->nattrs; i++) {
		attrs[i] = s->attrs[i];
		attrs[i].key = put_text(&at, s->attrs[i].key);
		if (attrs[i].kind == ATTR_STRING)
			attrs[i].s = put(&at, s->attrs[i].s, s->attrs[i].len);
	}
	copy->attrs = attrs;
	*ret_bytes = bytes;
	return copy;
}

const struct attr *span_attr(const struct span *s, const char *key)
{
	for (size_t i = 0; i < s->nattrs; i++)
		if (!strcmp(s->attrs[i].key, key))
			return &s->attrs[i];
	return NULL;
}
