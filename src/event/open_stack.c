#include "event/open_stack.h"

#include <string.h>

#include "base/macro.h"

#define SPARE_GOROUTINES 64

struct open_entry *open_stacks_innermost(const struct open_stacks *o, uint64_t key)
{
	const struct open_goroutine *g = map_get(&o->goroutines, key);

	return g ? g->innermost : NULL;
}

/* Most goroutines have nothing open between two requests: they come and go with each. */
static struct open_goroutine *goroutine_new(struct open_stacks *o)
{
	const size_t size = MAX(o->goroutine_size, sizeof(struct open_goroutine));
	struct open_goroutine *g = o->spare;

	if (!g)
		return xcalloc(1, size);
	o->spare = g->next_spare;
	o->nspare--;
	memset(g, 0, size);
	return g;
}

static void goroutine_free(struct open_stacks *o, struct open_goroutine *g)
{
	if (o->nspare == SPARE_GOROUTINES) {
		free(g);
		return;
	}
	g->next_spare = o->spare;
	o->spare = g;
	o->nspare++;
}

static struct open_goroutine *goroutine_of(struct open_stacks *o, uint64_t key)
{
	struct open_goroutine *g = map_get(&o->goroutines, key);

	if (!g) {
		g = goroutine_new(o);
		g->key = key;
		map_set(&o->goroutines, key, g);
	}
	return g;
}

void open_stacks_push(struct open_stacks *o, uint64_t key, struct open_entry *e, uint64_t depth)
{
	struct open_goroutine *g = goroutine_of(o, key);

	*e = (struct open_entry){.outer = g->innermost, .older = o->newest, .goroutine = g, .depth = depth};
	if (g->innermost)
		g->innermost->inner = e;
	g->innermost = e;
	*(o->newest ? &o->newest->newer : &o->oldest) = e;
	o->newest = e;
	o->len++;
}

void open_stacks_detach(struct open_stacks *o, struct open_entry *e)
{
	struct open_goroutine *g = e->goroutine;

	*(e->inner ? &e->inner->outer : &g->innermost) = e->outer;
	if (e->outer)
		e->outer->inner = e->inner;
	e->inner = e->outer = NULL;
	e->goroutine = NULL;
	if (g->innermost)
		return;
	map_del(&o->goroutines, g->key);
	goroutine_free(o, g);
}

void open_stacks_remove(struct open_stacks *o, struct open_entry *e)
{
	if (e->goroutine)
		open_stacks_detach(o, e);
	*(e->older ? &e->older->newer : &o->oldest) = e->newer;
	*(e->newer ? &e->newer->older : &o->newest) = e->older;
	o->len--;
}

void open_stacks_done(struct open_stacks *o)
{
	struct open_goroutine *next;

	for (struct open_goroutine *g = o->spare; g; g = next) {
		next = g->next_spare;
		free(g);
	}
	o->spare = NULL;
	o->nspare = 0;
	map_done(&o->goroutines);
}
