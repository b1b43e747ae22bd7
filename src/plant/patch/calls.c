/*
 * A goroutine's open calls are a stack: depth grows towards the top. What comes at some depth ends all that is
 * deeper, and an entry what is at its own depth as well, since nothing else can have happened to those.
 */
#include "plant/patch/calls.h"

#include <string.h>

#include "base/map.h"

#define OPEN_MAX 65536         /* calls, of all targets together */

struct call {
	uint32_t group, probe;
	uint64_t depth, time_ns;
	struct event_header *record; /* the entry's */
};
struct goroutine {
	uint64_t goid;
	uint32_t target;
	VEC(struct call) open;
	struct goroutine *next;      /* of the same key */
};
struct role {
	enum program_role role;
	uint32_t group;
	uint64_t lost;
};
struct calls {
	struct map roles;            /* probe → struct role */
	struct map goroutines;       /* key_of → struct goroutine */
	size_t open;
	struct buf sample;
};

struct calls *calls_new(void)
{
	return xcalloc(1, sizeof(struct calls));
}

static uint64_t key_of(uint32_t target, uint64_t goid)
{
	return (goid << 20 ^ target) + 1;
}

static void goroutine_free(struct goroutine *g)
{
	for (size_t i = 0; i < g->open.len; i++)
		free(g->open.data[i].record);
	vec_done(&g->open);
	free(g);
}

void calls_free(struct calls *c)
{
	void *value;

	if (!c)
		return;
	for (size_t pos = 0; map_next(&c->roles, &pos, NULL, &value);)
		free(value);
	for (size_t pos = 0; map_next(&c->goroutines, &pos, NULL, &value);)
		for (struct goroutine *g = value, *next; g; g = next) {
			next = g->next;
			goroutine_free(g);
		}
	map_done(&c->roles);
	map_done(&c->goroutines);
	buf_done(&c->sample);
	free(c);
}

void calls_add_probe(struct calls *c, uint32_t probe, enum program_role role, uint32_t group)
{
	struct role *r = map_get(&c->roles, probe);

	if (!r) {
		r = xcalloc(1, sizeof(*r));
		map_set(&c->roles, probe, r);
	}
	r->role = role;
	r->group = group;
}

static struct goroutine *goroutine_of(struct calls *c, const struct event_header *h, bool make)
{
	uint64_t key = key_of(h->target, h->goid);
	struct goroutine *first = map_get(&c->goroutines, key), *g = first;

	while (g && (g->goid != h->goid || g->target != h->target))
		g = g->next;
	if (g || !make)
		return g;
	g = xcalloc(1, sizeof(*g));
	*g = (struct goroutine){.goid = h->goid, .target = h->target, .next = first};
	map_set(&c->goroutines, key, g);
	return g;
}

/* A goroutine without calls is not kept: there are many, and they end unseen. */
static void drop_if_idle(struct calls *c, struct goroutine *g)
{
	uint64_t key = key_of(g->target, g->goid);
	struct goroutine *first = map_get(&c->goroutines, key), **at = &first;

	if (g->open.len)
		return;
	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	if (first)
		map_set(&c->goroutines, key, first);
	else
		map_del(&c->goroutines, key);
	goroutine_free(g);
}

/* The end, then the entry. */
static void hand_over(struct calls *c, const struct event_header *end, const struct call *call, plant_event_fn fn,
		      void *arg)
{
	buf_reset(&c->sample);
	buf_append(&c->sample, end, end->size);
	buf_append(&c->sample, call->record, call->record->size);
	fn(arg, c->sample.data, c->sample.len);
}

/* The topmost call ends without a return. */
static void unwind_top(struct calls *c, struct goroutine *g, uint64_t time_ns, plant_event_fn fn, void *arg)
{
	struct call *call = &g->open.data[g->open.len - 1];
	struct event_header end = {.size = sizeof(end),
				   .version = EVENT_VERSION,
				   .kind = EVENT_UNWOUND,
				   .probe = call->probe,
				   .target = g->target,
				   .time_ns = time_ns,
				   .goid = g->goid,
				   .depth = call->depth};

	hand_over(c, &end, call, fn, arg);
	free(call->record);
	g->open.len--;
	c->open--;
}

static void unwind_deeper(struct calls *c, struct goroutine *g, const struct event_header *h, bool own_depth,
			  plant_event_fn fn, void *arg)
{
	while (g->open.len) {
		uint64_t depth = g->open.data[g->open.len - 1].depth;

		if (depth < h->depth || (depth == h->depth && !own_depth))
			break;
		unwind_top(c, g, h->time_ns, fn, arg);
	}
}

/* At one depth several questions can have a call open at once: an entry of one of those does not end the others. */
static bool has_sibling(const struct goroutine *g, const struct event_header *h, uint32_t group)
{
	for (size_t i = g->open.len; i-- > 0 && g->open.data[i].depth == h->depth;)
		if (g->open.data[i].group == group)
			return false;
	return g->open.len && g->open.data[g->open.len - 1].depth == h->depth;
}

static void on_entry(struct calls *c, struct role *r, const struct event_header *h, plant_event_fn fn, void *arg)
{
	struct goroutine *g = goroutine_of(c, h, true);
	struct call call = {.group = r->group, .probe = h->probe, .depth = h->depth, .time_ns = h->time_ns};

	unwind_deeper(c, g, h, !has_sibling(g, h, r->group), fn, arg);
	if (c->open >= OPEN_MAX) {
		r->lost++;
		drop_if_idle(c, g);
		return;
	}
	call.record = xmalloc(h->size);
	memcpy(call.record, h, h->size);
	vec_push(&g->open, call);
	c->open++;
}

static void on_return(struct calls *c, const struct role *r, const struct event_header *h, plant_event_fn fn, void *arg)
{
	struct goroutine *g = goroutine_of(c, h, false);

	if (!g)
		return;
	unwind_deeper(c, g, h, false, fn, arg);
	for (size_t i = g->open.len; i-- > 0 && g->open.data[i].depth == h->depth;) {
		struct call call = g->open.data[i];

		if (call.group != r->group)
			continue;
		memmove(&g->open.data[i], &g->open.data[i + 1], (g->open.len - i - 1) * sizeof(call));
		g->open.len--;
		c->open--;
		hand_over(c, h, &call, fn, arg);
		free(call.record);
		break;
	}
	drop_if_idle(c, g);
}

static void on_unwind(struct calls *c, const struct role *r, const struct event_header *h, plant_event_fn fn, void *arg)
{
	struct goroutine *g = goroutine_of(c, h, false);

	if (!g)
		return;
	unwind_deeper(c, g, h, r->role == PROGRAM_EXIT, fn, arg);
	drop_if_idle(c, g);
}

void calls_record(struct calls *c, const void *record, size_t size, plant_event_fn fn, void *arg)
{
	const struct event_header *h = record;
	struct role *r = map_get(&c->roles, h->probe);

	if (!r)
		return;
	switch (r->role) {
	case PROGRAM_ENTRY:
		on_entry(c, r, h, fn, arg);
		break;
	case PROGRAM_RETURN:
		on_return(c, r, h, fn, arg);
		break;
	case PROGRAM_UNWIND:
	case PROGRAM_EXIT:
		on_unwind(c, r, h, fn, arg);
		break;
	default:
		fn(arg, record, size);
	}
}

/* ---- calls that are open ---- */

static int older(const void *pa, const void *pb)
{
	const struct call *a = *(struct call *const *)pa, *b = *(struct call *const *)pb;

	return a->time_ns < b->time_ns ? -1 : a->time_ns > b->time_ns;
}

static void forget_target(struct calls *c, uint32_t target)
{
	VEC(struct goroutine *) gone = {0};
	void *value;

	for (size_t pos = 0; map_next(&c->goroutines, &pos, NULL, &value);)
		for (struct goroutine *g = value; g; g = g->next)
			if (g->target == target)
				vec_push(&gone, g);
	for (size_t i = 0; i < gone.len; i++) {
		struct goroutine *g = gone.data[i];

		while (g->open.len) {
			free(g->open.data[--g->open.len].record);
			c->open--;
		}
		drop_if_idle(c, g);
	}
	vec_done(&gone);
}

int calls_open(struct calls *c, uint32_t target, bool take, plant_event_fn fn, void *arg)
{
	VEC(struct call *) open = {0};
	int n;
	void *value;

	for (size_t pos = 0; map_next(&c->goroutines, &pos, NULL, &value);)
		for (struct goroutine *g = value; g; g = g->next)
			for (size_t i = 0; g->target == target && i < g->open.len; i++)
				vec_push(&open, &g->open.data[i]);
	if (open.len)
		qsort(open.data, open.len, sizeof(struct call *), older);
	for (size_t i = 0; i < open.len && fn; i++)
		fn(arg, open.data[i]->record, open.data[i]->record->size);
	n = (int)open.len;
	vec_done(&open);
	if (take)
		forget_target(c, target);
	return n;
}

uint64_t calls_lost(const struct calls *c, uint32_t probe)
{
	uint64_t n = 0, key;
	void *value;

	for (size_t pos = 0; map_next(&c->roles, &pos, &key, &value);)
		if (!probe || key == probe)
			n += ((struct role *)value)->lost;
	return n;
}
