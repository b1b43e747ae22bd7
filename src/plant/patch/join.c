#include "plant/patch/join.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/vec.h"

struct open_call {
	uint64_t func, order;
	uint32_t group;
	bool unsure;                   /* its return may have been lost */
	struct event_header *record;   /* owned: the whole record */
};

/* The open calls of a goroutine, outermost first: the depth never falls from one to the next. */
struct goroutine {
	uint32_t target;
	VEC(struct open_call) calls;
};

struct patch_join {
	struct map goroutines;         /* by goroutine_key */
	size_t open, max_open;
	uint64_t order;
	struct buf sample;
	struct losses losses;
};

struct patch_join *patch_join_new(size_t max_open)
{
	struct patch_join *j = xcalloc(1, sizeof(*j));

	j->max_open = max_open;
	return j;
}

static void goroutine_free(struct goroutine *g)
{
	for (size_t i = 0; i < g->calls.len; i++)
		free(g->calls.data[i].record);
	vec_done(&g->calls);
	free(g);
}

void patch_join_free(struct patch_join *j)
{
	uint64_t key;
	void *value;

	if (!j)
		return;
	for (size_t i = 0; map_next(&j->goroutines, &i, &key, &value);)
		goroutine_free(value);
	map_done(&j->goroutines);
	buf_done(&j->sample);
	free(j);
}

/* Go counts goroutines up from 1: 2^40 are years of them. */
static uint64_t goroutine_key(uint32_t target, uint64_t goid)
{
	return (uint64_t)target << 40 ^ goid;
}

static struct goroutine *goroutine_get(struct patch_join *j, const struct event_header *h, bool make)
{
	uint64_t key = goroutine_key(h->target, h->goid);
	struct goroutine *g = map_get(&j->goroutines, key);

	if (!g && make) {
		g = xcalloc(1, sizeof(*g));
		g->target = h->target;
		map_set(&j->goroutines, key, g);
	}
	return g;
}

/* Goroutines without calls take no memory. */
static void goroutine_put(struct patch_join *j, const struct event_header *h, struct goroutine *g)
{
	if (g->calls.len)
		return;
	map_del(&j->goroutines, goroutine_key(h->target, h->goid));
	goroutine_free(g);
}

/* Takes the call out of its goroutine; the record is the caller's. */
static struct event_header *remove_call(struct patch_join *j, struct goroutine *g, size_t i)
{
	struct event_header *record = g->calls.data[i].record;

	memmove(&g->calls.data[i], &g->calls.data[i + 1], (g->calls.len - i - 1) * sizeof(*g->calls.data));
	g->calls.len--;
	j->open--;
	return record;
}

static void give(struct patch_join *j, const struct event_header *end, const struct event_header *call,
		 plant_event_fn fn, void *arg)
{
	buf_reset(&j->sample);
	buf_append(&j->sample, end, end->size);
	buf_append(&j->sample, call, call->size);
	fn(arg, j->sample.data, j->sample.len);
}

/* It ends without its return. said: something else than the next call says so. */
static void unwind(struct patch_join *j, struct goroutine *g, size_t i, uint64_t time, bool said, plant_event_fn fn,
		   void *arg)
{
	bool unsure = g->calls.data[i].unsure && !said;
	_cleanup_(cleanup_free) struct event_header *call = remove_call(j, g, i);
	struct event_header end = {.size = sizeof(end), .version = EVENT_VERSION, .kind = EVENT_UNWOUND,
				   .probe = call->probe, .target = call->target, .time_ns = time,
				   .goid = call->goid, .depth = call->depth};

	if (unsure)
		j->losses.count[LOSS_UNPAIRED_START]++;
	else
		give(j, &end, call, fn, arg);
}

static void unwind_deeper(struct patch_join *j, struct goroutine *g, const struct event_header *h, bool said,
			  plant_event_fn fn, void *arg)
{
	while (g->calls.len && g->calls.data[g->calls.len - 1].record->depth > h->depth)
		unwind(j, g, g->calls.len - 1, h->time_ns, said, fn, arg);
}

static void call_begins(struct patch_join *j, const struct patch_join_probe *of, const struct event_header *h,
			plant_event_fn fn, void *arg)
{
	struct goroutine *g = goroutine_get(j, h, true);
	struct event_header *record;

	unwind_deeper(j, g, h, false, fn, arg);
	for (size_t i = g->calls.len; i-- && g->calls.data[i].record->depth == h->depth;)
		if (g->calls.data[i].group == of->group || g->calls.data[i].func != of->func)
			unwind(j, g, i, h->time_ns, false, fn, arg);
	if (j->open >= j->max_open) {
		j->losses.count[LOSS_CALLS_FULL]++;
		goroutine_put(j, h, g);
		return;
	}
	record = xmalloc(h->size);
	memcpy(record, h, h->size);
	vec_push(&g->calls, ((struct open_call){.func = of->func, .order = j->order++, .group = of->group,
						.record = record}));
	j->open++;
}

static void call_returns(struct patch_join *j, const struct patch_join_probe *of, const struct event_header *h,
			 plant_event_fn fn, void *arg)
{
	struct goroutine *g = goroutine_get(j, h, false);
	size_t i;

	if (!g) {
		j->losses.count[LOSS_UNPAIRED_END]++;
		return;
	}
	unwind_deeper(j, g, h, false, fn, arg);
	for (i = g->calls.len; i; i--)
		if (g->calls.data[i - 1].record->depth == h->depth && g->calls.data[i - 1].group == of->group)
			break;
	if (i) {
		_cleanup_(cleanup_free) struct event_header *call = remove_call(j, g, i - 1);

		give(j, h, call, fn, arg);
	} else {
		j->losses.count[LOSS_UNPAIRED_END]++;
	}
	goroutine_put(j, h, g);
}

static void calls_unwind(struct patch_join *j, const struct event_header *h, plant_event_fn fn, void *arg)
{
	struct goroutine *g = goroutine_get(j, h, false);

	if (!g)
		return;
	unwind_deeper(j, g, h, true, fn, arg);
	goroutine_put(j, h, g);
}

void patch_join_take(struct patch_join *j, const struct patch_join_probe *of, const void *record,
		     plant_event_fn fn, void *arg)
{
	const struct event_header *h = record;

	switch (h->kind) {
	case EVENT_CALL:
		call_begins(j, of, h, fn, arg);
		break;
	case EVENT_RETURN:
		call_returns(j, of, h, fn, arg);
		break;
	case EVENT_UNWOUND:
		calls_unwind(j, h, fn, arg);
		break;
	default:
		fn(arg, record, h->size);
	}
}

void patch_join_lost(struct patch_join *j, uint32_t target)
{
	uint64_t key;
	void *value;

	for (size_t i = 0; map_next(&j->goroutines, &i, &key, &value);) {
		struct goroutine *g = value;

		for (size_t k = 0; g->target == target && k < g->calls.len; k++)
			g->calls.data[k].unsure = true;
	}
}

static int by_order(const void *pa, const void *pb)
{
	const struct open_call *a = pa, *b = pb;

	return a->order < b->order ? -1 : a->order > b->order;
}

int patch_join_open_calls(struct patch_join *j, uint32_t target, bool take, plant_event_fn fn, void *arg)
{
	VEC(struct open_call) all = {0};
	uint64_t key;
	void *value;
	int n;

	for (size_t i = 0; map_next(&j->goroutines, &i, &key, &value);) {
		const struct goroutine *g = value;

		for (size_t k = 0; g->target == target && k < g->calls.len; k++)
			vec_push(&all, g->calls.data[k]);
	}
	if (all.len)
		qsort(all.data, all.len, sizeof(*all.data), by_order);
	for (size_t i = 0; i < all.len; i++)
		fn(arg, all.data[i].record, all.data[i].record->size);
	n = (int)all.len;
	vec_done(&all);
	if (take)
		patch_join_forget(j, target);
	return n;
}

void patch_join_forget(struct patch_join *j, uint32_t target)
{
	VEC(uint64_t) keys = {0};
	uint64_t key;
	void *value;

	for (size_t i = 0; map_next(&j->goroutines, &i, &key, &value);)
		if (((struct goroutine *)value)->target == target)
			vec_push(&keys, key);
	for (size_t i = 0; i < keys.len; i++) {
		struct goroutine *g = map_del(&j->goroutines, keys.data[i]);

		j->open -= g->calls.len;
		goroutine_free(g);
	}
	vec_done(&keys);
}

void patch_join_losses(const struct patch_join *j, struct losses *ret)
{
	for (size_t i = 0; i < LOSS_COUNT; i++)
		ret->count[i] += j->losses.count[i];
}
