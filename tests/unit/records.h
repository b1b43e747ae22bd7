/*
 * Builds event records as a planter would, and keeps the spans that come of them in a form that is easy
 * to compare. For tests of span/.
 */
#ifndef TESTS_UNIT_RECORDS_H
#define TESTS_UNIT_RECORDS_H

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "event/event.h"
#include "span/assemble.h"

struct record {
	_Alignas(8) char bytes[EVENT_MAX_SIZE + 16];
	size_t size;
};

static inline struct event_header *record_head(struct record *r)
{
	return (struct event_header *)r->bytes;
}

static inline void record_init(struct record *r, uint32_t probe, uint64_t goid, uint64_t depth,
			       uint64_t time_ns, uint16_t slots)
{
	memset(r->bytes, 0, sizeof(struct event_header) + slots * sizeof(struct event_slot));
	r->size = sizeof(struct event_header) + slots * sizeof(struct event_slot);
	*record_head(r) = (struct event_header){.size = (uint32_t)r->size,
						.version = EVENT_VERSION,
						.slots = slots,
						.probe = probe,
						.target = 1,
						.time_ns = time_ns,
						.goid = goid,
						.depth = depth};
}

static inline struct event_slot *record_slot(struct record *r, unsigned i)
{
	return (struct event_slot *)(r->bytes + sizeof(struct event_header)) + i;
}

static inline void record_int(struct record *r, unsigned i, uint64_t value)
{
	*record_slot(r, i) = (struct event_slot){.status = SLOT_OK, .value = value};
}

static inline void record_bytes(struct record *r, unsigned i, const char *s, size_t len, uint32_t full)
{
	size_t padded = (len + 7) & ~(size_t)7;

	*record_slot(r, i) = (struct event_slot){.status = full > len ? SLOT_CUT : SLOT_OK,
						 .copied = (uint16_t)len,
						 .len = full,
						 .value = r->size};
	memset(r->bytes + r->size, 0, padded);
	memcpy(r->bytes + r->size, s, len);
	r->size += padded;
	record_head(r)->size = (uint32_t)r->size;
}

static inline void record_str(struct record *r, unsigned i, const char *s)
{
	record_bytes(r, i, s, strlen(s), (uint32_t)strlen(s));
}

static inline void record_status(struct record *r, unsigned i, enum slot_status s, uint64_t value,
				 uint32_t len)
{
	*record_slot(r, i) = (struct event_slot){.status = (uint8_t)s, .value = value, .len = len};
}

/* A trace context whose ids are that byte over and over. */
static inline void record_context(struct record *r, unsigned i, uint8_t trace, uint8_t span, uint32_t flags)
{
	struct event_context c = {.flags = flags};

	memset(c.trace_id, trace, sizeof(c.trace_id));
	memset(c.span_id, span, sizeof(c.span_id));
	record_bytes(r, i, (const char *)&c, sizeof(c), sizeof(c));
}

static inline void record_link(struct record *r, uint64_t goid, uint64_t parent, uint64_t epoch_ns, uint64_t time_ns)
{
	record_init(r, 0, goid, 0, time_ns, LINK_SLOTS);
	record_head(r)->kind = EVENT_LINK;
	record_int(r, LINK_PARENT, parent);
	record_int(r, LINK_EPOCH, epoch_ns);
}

/* A span as one line: "NAME status [status_text] {key=value …}". */
static inline void span_print(const struct span *s, struct buf *out)
{
	buf_printf(out, "%s %s", s->name, span_status_text(s->status));
	if (s->status_text)
		buf_printf(out, " [%s]", s->status_text);
	buf_str(out, " {");
	for (size_t i = 0; i < s->nattrs; i++) {
		const struct attr *a = &s->attrs[i];

		buf_printf(out, "%s%s=", i ? " " : "", a->key);
		if (a->kind == ATTR_STRING)
			buf_printf(out, "%.*s", (int)a->len, a->s);
		else if (a->kind == ATTR_INT)
			buf_printf(out, "#%" PRId64, a->i);
		else if (a->kind == ATTR_DOUBLE)
			buf_printf(out, "%g", a->d);
		else
			buf_str(out, a->b ? "true" : "false");
	}
	buf_str(out, "}");
}

#endif
