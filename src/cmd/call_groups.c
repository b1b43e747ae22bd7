#include "cmd/call_groups.h"

#include <inttypes.h>
#include <string.h>

#include "probe/bind/builtin.h"

static void merge(struct call_group *into, const struct call_group *g)
{
	uint64_t *buckets = (uint64_t *)into->buckets; /* the arena's, made by the decoder for this group alone */

	into->inexact |= g->inexact;
	into->count += g->count;
	into->sum += g->sum;
	into->min = MIN(into->min, g->min);
	into->max = MAX(into->max, g->max);
	for (size_t i = 0; i < MIN(into->nbuckets, g->nbuckets); i++)
		buckets[i] += g->buckets[i];
}

/* What tells groups apart, as text; lives in the arena. */
static const char *identity(struct call_groups *t, const struct call_group *g, size_t *ret_len)
{
	_cleanup_(buf_done) struct buf b = {0};

	buf_printf(&b, "%" PRIxPTR " %u %s", g->aggregate->action, g->resource->id, g->function->name);
	for (size_t i = 0; i < g->nkeys; i++) {
		buf_char(&b, '\0');
		value_print(&g->keys[i], &b);
	}
	*ret_len = b.len;
	return arena_memdup(&t->arena, b.data, b.len);
}

void call_groups_add(struct call_groups *t, const struct plant_group *g)
{
	struct call_group group;
	const char *key;
	size_t len, at;

	if (!call_decoder_group(t->decoder, g, &t->arena, &group))
		return;
	key = identity(t, &group, &len);
	at = (uintptr_t)strmap_get(&t->index, key, len);
	if (at) {
		merge(&t->list.data[at - 1], &group);
		return;
	}
	vec_push(&t->list, group);
	strmap_set(&t->index, key, len, (void *)(uintptr_t)t->list.len);
}

static bool by_function(const struct call_group *g)
{
	for (size_t i = 0; i < g->nkeys; i++)
		if (g->aggregate->keys[i].constant && !builtin_is(g->aggregate->keys[i].text, BUILTIN_CALLER))
			return true;
	return false;
}

static int compare(const void *a, const void *b)
{
	const struct call_group *x = a, *y = b;
	uintptr_t ax = x->aggregate->action, ay = y->aggregate->action;
	int names = strcmp(x->function->name, y->function->name);

	if (ax != ay)
		return ax < ay ? -1 : 1;
	if (names && !by_function(x)) /* a table for each function */
		return names;
	return x->count != y->count ? (x->count > y->count ? -1 : 1) : names;
}

void call_groups_sort(struct call_groups *t)
{
	if (t->list.len)
		qsort(t->list.data, t->list.len, sizeof(t->list.data[0]), compare);
}

void call_groups_done(struct call_groups *t)
{
	vec_done(&t->list);
	strmap_done(&t->index);
	arena_done(&t->arena);
}
