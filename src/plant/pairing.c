#include "plant/pairing.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/vec.h"

#define OPEN_DEFAULT 65536
#define SECOND 1000000000u

struct joined {                        /* a probe */
	bool known;                    /* else only its control is */
	enum program_role role;
	uint32_t group;
	uint64_t func;
	struct plant_control control;
	uint64_t passed;               /* of control.every */
	uint64_t second, in_second;    /* of control.per_second */
	struct losses losses;
};

struct open_call {
	struct joined *of;
	uint64_t order;
	uint32_t epoch;
	bool unsure;                   /* its return may have been lost */
	struct event_header *record;   /* owned: the whole record */
};

/* The open calls of a goroutine, outermost first: the depth never falls from one to the next. */
struct goroutine {
	uint32_t target;
	VEC(struct open_call) calls;
};

struct pairing {
	struct map probes;             /* id + 1 → struct joined */
	struct map goroutines;         /* by goroutine_key */
	size_t open, max_open;
	uint64_t order;
	bool losing;
	struct buf sample;
};

struct pairing *pairing_new(size_t max_open)
{
	struct pairing *j = xcalloc(1, sizeof(*j));

	j->max_open = max_open ? max_open : OPEN_DEFAULT;
	return j;
}

static void goroutine_free(struct goroutine *g)
{
	for (size_t i = 0; i < g->calls.len; i++)
		free(g->calls.data[i].record);
	vec_done(&g->calls);
	free(g);
}

void pairing_free(struct pairing *j)
{
	void *value;

	if (!j)
		return;
	for (size_t i = 0; map_next(&j->goroutines, &i, NULL, &value);)
		goroutine_free(value);
	for (size_t i = 0; map_next(&j->probes, &i, NULL, &value);)
		free(value);
	map_done(&j->goroutines);
	map_done(&j->probes);
	buf_done(&j->sample);
	free(j);
}

static struct joined *joined_of(struct pairing *j, uint32_t probe)
{
	struct joined *of = map_get(&j->probes, probe + UINT64_C(1));

	if (!of) {
		of = xcalloc(1, sizeof(*of));
		map_set(&j->probes, probe + UINT64_C(1), of);
	}
	return of;
}

void pairing_add(struct pairing *j, uint32_t probe, enum program_role role, uint32_t group, uint64_t func)
{
	struct joined *of = joined_of(j, probe);

	if (of->known)
		return;
	of->known = true;
	of->role = role;
	of->group = group;
	of->func = func;
}

void pairing_control(struct pairing *j, uint32_t probe, const struct plant_control *c)
{
	joined_of(j, probe)->control = *c;
}

/* What the control lets through, by the time of the event. */
static bool admitted(struct joined *of, const struct event_header *h)
{
	const struct plant_control *c = &of->control;
	uint64_t second = h->time_ns / SECOND;

	if (c->every > 1 && of->passed++ % c->every) {
		of->losses.count[LOSS_EVERY]++;
		return false;
	}
	if (!c->per_second)
		return true;
	if (second != of->second)
		of->in_second = 0;
	of->second = second;
	if (of->in_second >= c->per_second) {
		of->losses.count[LOSS_RATE_LIMITED]++;
		return false;
	}
	of->in_second++;
	return true;
}

/* Go counts goroutines up from 1: 2^40 are years of them. */
static uint64_t goroutine_key(uint32_t target, uint64_t goid)
{
	return (uint64_t)target << 40 ^ goid;
}

static struct goroutine *goroutine_get(struct pairing *j, const struct event_header *h, bool make)
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
static void goroutine_put(struct pairing *j, const struct event_header *h, struct goroutine *g)
{
	if (g->calls.len)
		return;
	map_del(&j->goroutines, goroutine_key(h->target, h->goid));
	goroutine_free(g);
}

/* Takes the call out of its goroutine; the record is the caller's. */
static struct event_header *remove_call(struct pairing *j, struct goroutine *g, size_t i)
{
	struct event_header *record = g->calls.data[i].record;

	memmove(&g->calls.data[i], &g->calls.data[i + 1], (g->calls.len - i - 1) * sizeof(*g->calls.data));
	g->calls.len--;
	j->open--;
	return record;
}

static void give(struct pairing *j, const struct event_header *end, const struct event_header *call,
		 plant_event_fn fn, void *arg)
{
	buf_reset(&j->sample);
	buf_append(&j->sample, end, end->size);
	buf_append(&j->sample, call, call->size);
	fn(arg, j->sample.data, j->sample.len);
}

/* It ends without its return. said: something else than the next call says so. */
static void unwind(struct pairing *j, struct goroutine *g, size_t i, uint64_t time, bool said, plant_event_fn fn,
		   void *arg)
{
	bool unsure = g->calls.data[i].unsure && !said;
	struct joined *of = g->calls.data[i].of;
	_cleanup_(cleanup_free) struct event_header *call = remove_call(j, g, i);
	struct event_header end = {.size = sizeof(end), .version = EVENT_VERSION, .kind = EVENT_UNWOUND,
				   .probe = call->probe, .target = call->target, .time_ns = time,
				   .goid = call->goid, .depth = call->depth};

	if (unsure)
		of->losses.count[LOSS_UNPAIRED_START]++;
	else
		give(j, &end, call, fn, arg);
}

static void unwind_deeper(struct pairing *j, struct goroutine *g, const struct event_header *h, bool said,
			  plant_event_fn fn, void *arg)
{
	while (g->calls.len && g->calls.data[g->calls.len - 1].record->depth > h->depth)
		unwind(j, g, g->calls.len - 1, h->time_ns, said, fn, arg);
}

static void call_begins(struct pairing *j, struct joined *of, const struct event_header *h, uint32_t epoch,
			plant_event_fn fn, void *arg)
{
	struct goroutine *g = goroutine_get(j, h, true);
	bool full;

	unwind_deeper(j, g, h, false, fn, arg);
	for (size_t i = g->calls.len; i-- && g->calls.data[i].record->depth == h->depth;)
		if (g->calls.data[i].of->group == of->group || g->calls.data[i].of->func != of->func)
			unwind(j, g, i, h->time_ns, false, fn, arg);
	full = j->open >= j->max_open;
	of->losses.count[LOSS_CALLS_FULL] += full;
	if (!full && admitted(of, h)) {
		struct event_header *record = xmalloc(h->size);

		memcpy(record, h, h->size);
		vec_push(&g->calls, ((struct open_call){.of = of, .order = j->order++, .epoch = epoch,
							.unsure = j->losing, .record = record}));
		j->open++;
	}
	goroutine_put(j, h, g);
}

/*
 * A return without its call says nothing: the entry was before us, or left out. end: what is handed on of it, or NULL
 * when it did not pass its condition.
 */
static void call_returns(struct pairing *j, const struct joined *of, const struct event_header *h, uint32_t epoch,
			 const struct event_header *end, plant_event_fn fn, void *arg)
{
	struct goroutine *g = goroutine_get(j, h, false);
	size_t i;

	if (!g)
		return;
	unwind_deeper(j, g, h, false, fn, arg);
	for (i = g->calls.len; i; i--)
		if (g->calls.data[i - 1].record->depth == h->depth && g->calls.data[i - 1].of->group == of->group)
			break;
	if (i) {
		const struct open_call began = g->calls.data[i - 1];
		_cleanup_(cleanup_free) struct event_header *call = remove_call(j, g, i - 1);

		/*
		 * In another epoch it may be the return of a later call, whose entry was lost with this one's return.
		 */
		if (began.epoch != epoch)
			began.of->losses.count[LOSS_UNPAIRED_START]++;
		else if (end)
			give(j, end, call, fn, arg);
	}
	goroutine_put(j, h, g);
}

static void calls_unwind(struct pairing *j, const struct event_header *h, plant_event_fn fn, void *arg)
{
	struct goroutine *g = goroutine_get(j, h, false);

	if (!g)
		return;
	unwind_deeper(j, g, h, true, fn, arg);
	goroutine_put(j, h, g);
}

void pairing_take(struct pairing *j, const void *record, uint32_t epoch, plant_event_fn fn, void *arg)
{
	static const enum event_kind kinds[] = {
		[PROGRAM_POINT] = EVENT_POINT,	  [PROGRAM_ENTRY] = EVENT_CALL,	  [PROGRAM_RETURN] = EVENT_RETURN,
		[PROGRAM_UNWIND] = EVENT_UNWOUND, [PROGRAM_EXIT] = EVENT_UNWOUND,
	};
	const struct event_header *h = record;
	struct joined *of = map_get(&j->probes, h->probe + UINT64_C(1));

	if (!of || !of->known)
		return;
	if (of->role == PROGRAM_RETURN && h->kind == EVENT_UNWOUND)
		call_returns(j, of, h, epoch, NULL, fn, arg);
	else if (h->kind != kinds[of->role])
		return;
	else if (h->kind == EVENT_CALL)
		call_begins(j, of, h, epoch, fn, arg);
	else if (h->kind == EVENT_RETURN)
		call_returns(j, of, h, epoch, h, fn, arg);
	else if (h->kind == EVENT_UNWOUND)
		calls_unwind(j, h, fn, arg);
	else if (admitted(of, h))
		fn(arg, record, h->size);
}

void pairing_losing(struct pairing *j, bool losing)
{
	j->losing = losing;
}

void pairing_lost(struct pairing *j, uint32_t target)
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

int pairing_open_calls(struct pairing *j, uint32_t target, bool take, plant_event_fn fn, void *arg)
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
	for (size_t i = 0; i < all.len && fn; i++)
		fn(arg, all.data[i].record, all.data[i].record->size);
	n = (int)all.len;
	vec_done(&all);
	if (take)
		pairing_forget(j, target);
	return n;
}

void pairing_forget(struct pairing *j, uint32_t target)
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

void pairing_losses(const struct pairing *j, uint32_t probe, struct losses *ret)
{
	const struct joined *one = probe ? map_get(&j->probes, probe + UINT64_C(1)) : NULL;
	void *value;

	if (one)
		losses_add(ret, &one->losses);
	for (size_t i = 0; !probe && map_next(&j->probes, &i, NULL, &value);)
		losses_add(ret, &((const struct joined *)value)->losses);
}
