/*
 * That an address was an ended span's is remembered only to tell what is not known from what is known to be nothing: a
 * goroutine that goes on after its request has a parent, which has ended. So it may be forgotten at any time, and is
 * where another one comes to its place: the table is asked for each link, and must be small.
 */
#include "span/contexts.h"

#include "base/hash.h"
#include "span/open_span.h"

#define ENDED_PLACES 4096

static size_t place_of(uint64_t addr)
{
	return hash_next(0, addr) % ENDED_PLACES;
}

static bool has_ended(const struct contexts *c, uint64_t addr)
{
	return c->ended && c->ended[place_of(addr)] == addr;
}

void contexts_give(struct contexts *c, uint64_t addr, struct open_span *s)
{
	struct open_span *owner = map_get(&c->spans, addr);

	if (owner && ancestry_within(&s->ancestry, &owner->ancestry))
		return;
	if (owner)
		owner->context = 0;
	else if (has_ended(c, addr))
		c->ended[place_of(addr)] = 0;
	s->context = addr;
	map_set(&c->spans, addr, s);
}

void contexts_forget(struct contexts *c, struct open_span *s)
{
	if (!s->context)
		return;
	map_del(&c->spans, s->context);
	if (!c->ended)
		c->ended = xcalloc(ENDED_PLACES, sizeof(*c->ended));
	c->ended[place_of(s->context)] = s->context;
	s->context = 0;
}

struct open_span *contexts_find(const struct contexts *c, uint64_t addr, bool *ret_ended)
{
	struct open_span *s = map_get(&c->spans, addr);

	*ret_ended |= !s && has_ended(c, addr);
	return s;
}

void contexts_done(struct contexts *c)
{
	map_done(&c->spans);
	free(c->ended);
	c->ended = NULL;
}
