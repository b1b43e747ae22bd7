#include "event/open_stack.h"

#include <string.h>

#define FREE_KEEP 4096

struct open_goroutine *open_stacks_find(const struct open_stacks *o, uint64_t key)
{
	return map_get(&o->goroutines, key);
}

static struct open_goroutine *take_goroutine(struct open_stacks *o, uint64_t key)
{
	struct open_goroutine *g = o->free;

	if (g) {
		o->free = g->next_free;
		o->nfree--;
		memset(g, 0, o->goroutine_size);
	} else {
		g = xcalloc(1, o->goroutine_size);
	}
	g->key = key;
	map_set(&o->goroutines, key, g);
	return g;
}

static void release_goroutine(struct open_stacks *o, struct open_goroutine *g)
{
	map_del(&o->goroutines, g->key);
	if (o->nfree >= FREE_KEEP) {
		free(g);
		return;
	}
	g->next_free = o->free;
	o->free = g;
	o->nfree++;
}

void open_stacks_push(struct open_stacks *o, uint64_t key, struct open_item *item, uint64_t depth)
{
	struct open_goroutine *g = open_stacks_find(o, key);

	if (!g)
		g = take_goroutine(o, key);
	item->outer = g->innermost;
	item->inner = NULL;
	item->goroutine = g;
	item->depth = depth;
	if (g->innermost)
		g->innermost->inner = item;
	g->innermost = item;
	o->len++;
}

void open_stacks_remove(struct open_stacks *o, struct open_item *item)
{
	struct open_goroutine *g = item->goroutine;

	*(item->inner ? &item->inner->outer : &g->innermost) = item->outer;
	if (item->outer)
		item->outer->inner = item->inner;
	item->goroutine = NULL;
	o->len--;
	if (!g->innermost)
		release_goroutine(o, g);
}

void open_stacks_done(struct open_stacks *o)
{
	void *g;

	for (size_t i = 0; map_next(&o->goroutines, &i, NULL, &g);)
		free(g);
	while ((g = o->free)) {
		o->free = o->free->next_free;
		free(g);
	}
	map_done(&o->goroutines);
	o->nfree = o->len = 0;
}
