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
					   [PARENT_HEADER] = "header",       [PARENT_SDK] = "sdk",
					   [PARENT_THREAD] = "thread"};

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

static size_t attrs_bytes(const struct attr *attrs, size_t n)
{
	size_t bytes = n * sizeof(*attrs);

	for (size_t i = 0; i < n; i++)
		bytes += text_bytes(attrs[i].key) + (attrs[i].kind == ATTR_STRING ? attrs[i].len + 1 : 0);
	return bytes;
}

static size_t copy_bytes(const struct span *s)
{
	size_t n = sizeof(*s) + attrs_bytes(s->attrs, s->nattrs) + s->nevents * sizeof(*s->events) +
		   text_bytes(s->name) + text_bytes(s->status_text) + text_bytes(s->trace_state);

	for (size_t i = 0; i < s->nevents; i++)
		n += text_bytes(s->events[i].name) + attrs_bytes(s->events[i].attrs, s->events[i].nattrs);
	return n;
}

/* A copy's memory: what has an alignment from its beginning on, texts from behind that. */
struct copy_room {
	char *aligned, *texts;
};

static const char *put(struct copy_room *room, const char *s, size_t n)
{
	char *d = room->texts;

	if (n)
		memcpy(d, s, n);
	d[n] = 0;
	room->texts += n + 1;
	return d;
}

static const char *put_text(struct copy_room *room, const char *s)
{
	return s ? put(room, s, strlen(s)) : NULL;
}

static const struct attr *put_attrs(struct copy_room *room, const struct attr *attrs, size_t n)
{
	struct attr *copy = (struct attr *)(void *)room->aligned;

	room->aligned += n * sizeof(*copy);
	for (size_t i = 0; i < n; i++) {
		copy[i] = attrs[i];
		copy[i].key = put_text(room, attrs[i].key);
		if (attrs[i].kind == ATTR_STRING)
			copy[i].s = put(room, attrs[i].s, attrs[i].len);
	}
	return copy;
}

static const struct span_event *put_events(struct copy_room *room, const struct span_event *events, size_t n)
{
	struct span_event *copy = (struct span_event *)(void *)room->aligned;

	room->aligned += n * sizeof(*copy);
	for (size_t i = 0; i < n; i++) {
		copy[i] = events[i];
		copy[i].name = put_text(room, events[i].name);
		copy[i].attrs = put_attrs(room, events[i].attrs, events[i].nattrs);
	}
	return copy;
}

struct span *span_copy(const struct span *s, size_t *ret_bytes)
{
	size_t bytes = copy_bytes(s), nattrs = s->nattrs;
	struct span *copy = xmalloc(bytes);
	struct copy_room room = {.aligned = (char *)(copy + 1)};

	for (size_t i = 0; i < s->nevents; i++)
		nattrs += s->events[i].nattrs;
	room.texts = room.aligned + nattrs * sizeof(struct attr) + s->nevents * sizeof(struct span_event);
	*copy = *s;
	copy->name = put_text(&room, s->name);
	copy->status_text = put_text(&room, s->status_text);
	copy->trace_state = put_text(&room, s->trace_state);
	copy->attrs = put_attrs(&room, s->attrs, s->nattrs);
	copy->events = put_events(&room, s->events, s->nevents);
	*ret_bytes = bytes;
	return copy;
}

const struct attr *span_attr(const struct span *s, const char *key)
{
	for (size_t i = 0; i < s->nattrs; i++)
		if (*s->attrs[i].key == *key && !strcmp(s->attrs[i].key, key))
			return &s->attrs[i];
	return NULL;
}
