/*
 * The memory that a value consists of, as far as the record has it: chunks by address and shape. What a program cannot
 * write (literals, itabs, closures of plain functions) is in its file as well.
 */
#include <string.h>

#include "call/value_reader.h"

struct window window_part(struct window w, uint64_t offset, uint64_t n)
{
	struct window part = {.root = w.root == NOT_IN_ROOT ? NOT_IN_ROOT : w.root + offset, .depth = w.depth,
			      .chunk = w.chunk};

	if (offset < w.n) {
		part.p = w.p + offset;
		part.n = MIN(n, w.n - offset);
	}
	return part;
}

bool window_lost(struct window w, uint64_t offset, uint64_t n)
{
	if (!w.chunk || offset >= w.n)
		return false;
	return event_chunk_lost(w.chunk, (uint64_t)(w.p - (const uint8_t *)event_chunk_bytes(w.chunk)) + offset,
				MIN(n, w.n - offset));
}

uint64_t window_readable(struct window w, uint64_t n)
{
	uint64_t at = 0,
		 begin = w.chunk ? w.chunk->addr + (uint64_t)(w.p - (const uint8_t *)event_chunk_bytes(w.chunk)) : 0;

	while (at < n && !window_lost(w, at, 1)) /* page by page */
		at += EVENT_PAGE - (begin + at) % EVENT_PAGE;
	return MIN(at, n);
}

uint64_t window_word(struct window w, uint64_t offset)
{
	uint64_t v;

	if (offset > w.n || w.n - offset < 8)
		return 0;
	memcpy(&v, w.p + offset, 8);
	return v;
}

enum found memory_find(const struct reader *r, uint64_t addr, uint32_t shape, struct window *ret)
{
	const struct event_chunk *best = NULL;
	enum found f = FOUND_NOT;

	if (!shape)
		return FOUND_NOT;
	for (const struct event_chunk *c = event_chunk_next(r->e, NULL); c; c = event_chunk_next(r->e, c)) {
		if (c->addr != addr || c->shape != shape)
			continue;
		if (event_chunk_status(c) != SLOT_OK && event_chunk_status(c) != SLOT_CUT)
			f = best ? f : FOUND_UNREADABLE;
		else if (!best || c->len > best->len || (c->len == best->len && c->depth > best->depth))
			best = c;
	}
	if (!best)
		return f;
	*ret = (struct window){.p = event_chunk_bytes(best), .n = best->len, .root = NOT_IN_ROOT, .depth = best->depth,
			       .chunk = best};
	return FOUND;
}

struct slot_source slot_source_of(const struct value_context *c)
{
	return (struct slot_source){.binary = c->binary, .bias = c->bias, .arena = c->arena,
				    .max_text = c->shapes ? c->shapes->limits.max_string : EVENT_MAX_STRING};
}

const uint8_t *memory_literal(const struct value_context *c, uint64_t addr, uint64_t max, uint64_t *ret_n)
{
	struct slot_source src = slot_source_of(c);

	return slot_constant(&src, addr, max, ret_n);
}

const uint8_t *memory_constant(const struct value_context *c, uint64_t addr, uint64_t n)
{
	uint64_t have = 0;
	const uint8_t *p = memory_literal(c, addr, n, &have);

	return have == n ? p : NULL;
}

const char *memory_why(const struct reader *r, enum found f)
{
	if (f == FOUND_UNREADABLE)
		return slot_status_text(SLOT_UNREADABLE);
	if (r->c->binary && !binary_intact(r->c->binary))
		return "its file has changed";
	if (f == FOUND_CUT)
		return "no room in the record";
	return r->e->head->missed ? "the record was full" : "not captured";
}

bool visit_begin(struct reader *r, struct visit *v, uint64_t addr, const struct type *t, struct value_node *ret)
{
	for (const struct visit *up = r->visits; up; up = up->up) {
		if (up->addr != addr || up->type != t)
			continue;
		*ret = (struct value_node){.form = FORM_CYCLE, .name = ret->name, .u = addr};
		return false;
	}
	*v = (struct visit){addr, t, r->visits};
	r->visits = v;
	return true;
}

void visit_end(struct reader *r)
{
	r->visits = r->visits->up;
}
