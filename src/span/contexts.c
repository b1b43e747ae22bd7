/*
 * That an address was an ended span's is remembered only to tell what is not known from what is known to be nothing: a
 * goroutine that goes on after its request has a parent, which has ended. So it may be forgotten at any time, and is
 * where there are many.
 */
#include "span/contexts.h"

#include "span/open_span.h"

#define ENDED_MAX 8192

static struct open_span ended;

void contexts_give(struct contexts *c, uint64_t addr, struct open_span *s)
{
	bool had_ended = false;
	struct open_span *owner = contexts_find(c, addr, &had_ended);

	if (owner && ancestry_within(&s->ancestry, &owner->ancestry))
		return;
	if (owner)
		owner->context = 0;
	c->ended -= had_ended;
	s->context = addr;
	map_set(&c->spans, addr, s);
}

static void forget_ended(struct contexts *c)
{
	struct map open = {0};
	uint64_t addr;
	void *s;

	for (size_t pos = 0; map_next(&c->spans, &pos, &addr, &s);)
		if (s != &ended)
			map_set(&open, addr, s);
	map_done(&c->spans);
	*c = (struct contexts){.spans = open};
}

void contexts_forget(struct contexts *c, struct open_span *s)
{
	if (!s->context)
		return;
	map_set(&c->spans, s->context, &ended);
	s->context = 0;
	if (++c->ended > ENDED_MAX)
		forget_ended(c);
}

struct open_span *contexts_find(const struct contexts *c, uint64_t addr, bool *ret_ended)
{
	struct open_span *s = map_get(&c->spans, addr);

	*ret_ended |= s == &ended;
	return s == &ended ? NULL : s;
}

void contexts_done(struct contexts *c)
{
	map_done(&c->spans);
}
