/* Chains of contexts: what a program must write of one, and some in memory whose kinds and ends are random. */
#ifndef TESTS_IR_CHAIN_H
#define TESTS_IR_CHAIN_H

#include "event/event.h"
#include "probe/ir.h"

struct chain_memory {
	bool (*read)(void *arg, uint64_t addr, void *out, size_t n); /* false: unreadable */
	void *arg;
	uint64_t bias;
};

/* What is behind the end of the chain: the span of a link that is the link-th; how many words. */
static inline size_t chain_span_words(const struct span_type *t, const struct chain_memory *m, uint64_t at, size_t link,
				      uint64_t *words)
{
	struct event_chain_span s = {.link = link, .object = at};
	uint64_t tracer;

	if (!m->read(m->arg, at + t->ids, s.trace_id, 32) || !m->read(m->arg, at + t->remote, &s.remote, 1))
		return 0;
	if (t->kind)
		m->read(m->arg, at + t->kind, &s.kind, 8);
	if (t->tracer && m->read(m->arg, at + t->tracer, &tracer, 8) && tracer)
		m->read(m->arg, tracer + t->scope, &s.scope, 16);
	memcpy(words, &s, sizeof(s));
	return sizeof(s) / 8;
}

enum { CHAIN_WORDS_MAX = EVENT_CHAIN_BYTES / 8 };

/* The words that IR_EMIT_CHAIN writes, as context_types.h says it; how many. */
static inline size_t chain_words(const struct context_table *t, const struct chain_memory *m, uint64_t type,
				 uint64_t data, size_t max, uint64_t words[CHAIN_WORDS_MAX])
{
	const struct span_type *span = NULL, *held;
	uint64_t pooled = 0, itab[6], at, span_at = 0;
	size_t link = 0;
	enum event_chain_end end;
	size_t n = 0;

	for (;; data = itab[1]) {
		const struct context_type *c = type ? context_type_find(t, type - m->bias) : NULL;

		end = CHAIN_ROOT;
		if (!type || !data)
			break;
		end = CHAIN_UNKNOWN_TYPE;
		if (!c)
			break;
		pooled |= c->is_link && c->is_pooled ? CHAIN_POOLED : 0;
		end = n == max ? CHAIN_TOO_LONG : CHAIN_UNREADABLE;
		if (c->is_link && (data & CHAIN_BITS))
			end = CHAIN_UNREADABLE;
		if (c->is_link && (n == max || data & CHAIN_BITS))
			break;
		if (c->is_link)
			words[n++] = data | pooled;
		end = c->parent == CONTEXT_ROOT ? CHAIN_ROOT : CHAIN_UNKNOWN_TYPE;
		if (c->parent == CONTEXT_ROOT || c->parent == CONTEXT_UNKNOWN)
			break;
		end = CHAIN_UNREADABLE;
		at = data;
		if (c->parent == CONTEXT_VIA && !m->read(m->arg, data + c->via, &at, sizeof(at)))
			break;
		end = at ? CHAIN_UNREADABLE : CHAIN_ROOT;
		if (!at || !m->read(m->arg, at + c->offset, itab, t->span_key && c->is_value ? 48 : 16))
			break;
		held = t->span_key && c->is_value && itab[2] == t->span_key + m->bias && !span_at ?
			       span_type_find(t, itab[4] - m->bias) : NULL;
		if (held) {
			span = held;
			span_at = itab[5];
			link = n;
		}
		end = CHAIN_ROOT;
		if (!itab[0])
			break;
		end = CHAIN_UNREADABLE;
		if (!m->read(m->arg, itab[0] + t->itab_type_off, &type, sizeof(type)))
			break;
	}
	words[n++] = end;
	return n + (span_at ? chain_span_words(span, m, span_at, link, words + n) : 0);
}

/* ---- contexts in memory ---- */

enum { CHAIN_RTYPES = 0x4000, CHAIN_ITAB_TYPE = 8, CHAIN_NODE_WORDS = 8, CHAIN_NODES = 400 };

static struct context_type chain_types[] = {
	{.rtype = CHAIN_RTYPES, .parent = CONTEXT_FIELD, .is_link = true, .is_value = true},
	{.rtype = CHAIN_RTYPES + 0x40, .parent = CONTEXT_FIELD, .offset = 24, .is_link = true},
	{.rtype = CHAIN_RTYPES + 0x80, .parent = CONTEXT_VIA, .via = 8, .offset = 16, .is_link = true},
	{.rtype = CHAIN_RTYPES + 0xc0, .parent = CONTEXT_VIA, .via = 32, .offset = 40, .is_link = true,
	 .is_pooled = true},
	{.rtype = CHAIN_RTYPES + 0x100, .parent = CONTEXT_ROOT},
	{.rtype = CHAIN_RTYPES + 0x140, .parent = CONTEXT_ROOT, .is_link = true, .is_pooled = true},
	{.rtype = CHAIN_RTYPES + 0x180, .parent = CONTEXT_UNKNOWN},
	{.rtype = CHAIN_RTYPES + 0x1c0, .parent = CONTEXT_UNKNOWN, .is_link = true, .is_pooled = true},
};
enum { CHAIN_TYPES = sizeof(chain_types) / sizeof(*chain_types) };
static struct span_type chain_spans[] = {
	{.rtype = CHAIN_RTYPES + 0x400, .ids = 8, .remote = 64, .kind = 56, .tracer = 48, .scope = 16},
	{.rtype = CHAIN_RTYPES + 0x440, .ids = 0, .remote = 56},
};
enum { CHAIN_SPAN_TYPES = sizeof(chain_spans) / sizeof(*chain_spans), CHAIN_SPAN_KEY = CHAIN_RTYPES + 0x800,
       CHAIN_SPANS = 8 };
static const struct context_table chain_table = {.types = {.data = chain_types, .len = CHAIN_TYPES},
						 .itab_type_off = CHAIN_ITAB_TYPE, .span_key = CHAIN_SPAN_KEY,
						 .spans = {.data = chain_spans, .len = CHAIN_SPAN_TYPES}};

/* All of it lies where the program can read it. */
struct chain_world {
	uint64_t itabs[CHAIN_TYPES + 1][3];  /* the last one is of a type that the table has not */
	uint64_t nodes[CHAIN_NODES][CHAIN_NODE_WORDS], beside[CHAIN_NODES][CHAIN_NODE_WORDS];
	uint64_t spans[CHAIN_SPANS][10];
};

static inline void chain_itabs(struct chain_world *w, uint64_t bias)
{
	for (size_t i = 0; i <= CHAIN_TYPES; i++)
		w->itabs[i][CHAIN_ITAB_TYPE / 8] = bias + (i < CHAIN_TYPES ? chain_types[i].rtype : 0x9000);
}

/* Context k, of that type, has that parent. */
static inline void chain_node(struct chain_world *w, size_t k, size_t type, uint64_t itab, uint64_t data)
{
	const struct context_type *c = &chain_types[type];
	uint64_t *at = w->nodes[k];

	if (type >= CHAIN_TYPES)
		return;
	if (c->parent == CONTEXT_VIA) {
		at[c->via / 8] = (uintptr_t)w->beside[k];
		at = w->beside[k];
	}
	if (c->parent == CONTEXT_ROOT || c->parent == CONTEXT_UNKNOWN)
		return;
	at[c->offset / 8] = itab;
	at[c->offset / 8 + 1] = data;
}

/* Context k, which is a value, has that span. */
static inline void chain_value(struct chain_world *w, size_t k, uint64_t key, uint64_t type, uint64_t span)
{
	const uint64_t words[] = {key, 0x77, type, span};

	memcpy(&w->nodes[k][2], words, sizeof(words));
}

/* One in some has a span, or what looks like one. */
static inline void chain_values(struct chain_world *w, size_t n, uint64_t (*rnd)(uint64_t n), uint64_t bias)
{
	const uint64_t keys[] = {0, bias + 0x50000, bias + CHAIN_SPAN_KEY, bias + CHAIN_SPAN_KEY};
	const uint64_t types[] = {0, bias + 0x50000, bias + chain_spans[0].rtype, bias + chain_spans[1].rtype};

	for (size_t k = 0; k < CHAIN_SPANS; k++)
		for (size_t i = 0; i < 10; i++)
			w->spans[k][i] = rnd(3) ? UINT64_C(0x0123456789abcdef) * (rnd(1000) + 1) : 0;
	for (size_t k = 0; k < CHAIN_SPANS; k++)
		w->spans[k][6] = rnd(3) ? (uintptr_t)w->spans[rnd(CHAIN_SPANS)] : rnd(2) * 8;
	for (size_t k = 0; k < n; k++)
		chain_value(w, k, rnd(6) ? 0 : keys[rnd(4)], types[rnd(4)],
			    rnd(9) ? (uintptr_t)w->spans[rnd(CHAIN_SPANS)] : rnd(2) * 8);
}

/*
 * n contexts, one at least, the nearest first: of types that have a parent, mostly the first one, as rnd says; the
 * last of them has the parent that is given (words of an interface).
 */
static inline void chain_make(struct chain_world *w, size_t n, uint64_t (*rnd)(uint64_t n), uint64_t itab,
			      uint64_t data, uint64_t *ret_type, uint64_t *ret_data)
{
	size_t type = 0;

	for (size_t k = n; k-- > 0;) {
		type = rnd(3) ? 0 : rnd(4);
		chain_node(w, k, type, itab, data);
		itab = (uintptr_t)w->itabs[type];
		data = (uintptr_t)w->nodes[k];
	}
	*ret_type = w->itabs[type][CHAIN_ITAB_TYPE / 8];
	*ret_data = data;
}

#endif
