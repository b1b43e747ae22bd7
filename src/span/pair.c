#include "span/pair.h"

#define POOL_KEEP 4096

/* ---- the pool ---- */

static struct call *take_call(struct call_pool *p)
{
	struct call *c = p->calls;

	if (!c)
		return xcalloc(1, sizeof(*c));
	p->calls = c->outer;
	p->ncalls--;
	return c;
}

static void call_free(struct call *c)
{
	attr_list_done(&c->attrs);
	buf_done(&c->trace_state);
	free(c);
}

void call_release(struct call_pool *p, struct call *c)
{
	if (p->ncalls >= POOL_KEEP) {
		call_free(c);
		return;
	}
	attr_list_reset(&c->attrs);
	buf_reset(&c->trace_state);
	c->outer = p->calls;
	p->calls = c;
	p->ncalls++;
}

static struct goroutine *take_goroutine(struct call_pool *p, uint64_t id)
{
	struct goroutine *g = p->goroutines;

	if (g) {
		p->goroutines = g->next_free;
		p->ngoroutines--;
	} else {
		g = xmalloc(sizeof(*g));
	}
	*g = (struct goroutine){.id = id};
	return g;
}

static void release_goroutine(struct call_pool *p, struct goroutine *g)
{
	if (p->ngoroutines >= POOL_KEEP) {
		free(g);
		return;
	}
	g->next_free = p->goroutines;
	p->goroutines = g;
	p->ngoroutines++;
}

void call_pool_done(struct call_pool *p)
{
	while (p->calls)
		call_free(take_call(p));
	while (p->goroutines) {
		struct goroutine *g = p->goroutines;

		p->goroutines = g->next_free;
		free(g);
	}
	*p = (struct call_pool){0};
}

/* ---- open calls ---- */

/* A goid is never 0 here, and a map takes any key. */
struct goroutine *open_calls_goroutine(const struct open_calls *o, uint64_t goid)
{
	return map_get(&o->goroutines, goid);
}

static struct goroutine *goroutine_of(struct open_calls *o, struct call_pool *pool, uint64_t goid)
{
	struct goroutine *g = open_calls_goroutine(o, goid);

	if (!g) {
		g = take_goroutine(pool, goid);
		map_set(&o->goroutines, goid, g);
	}
	return g;
}

struct call *open_calls_push(struct open_calls *o, struct call_pool *pool, uint64_t goid,
			     const struct probe *start, uint64_t depth, uint64_t start_ns)
{
	struct goroutine *g = goroutine_of(o, pool, goid);
	struct call *c = take_call(pool);

	*c = (struct call){.outer = g->innermost,
			   .older = o->newest,
			   .goroutine = g,
			   .start = start,
			   .depth = depth,
			   .start_ns = start_ns,
			   .trace_state = c->trace_state,
			   .attrs = c->attrs};
	if (g->innermost)
		g->innermost->inner = c;
	g->innermost = c;
	*(o->newest ? &o->newest->newer : &o->oldest) = c;
	o->newest = c;
	o->len++;
	return c;
}

void open_calls_set_key(struct open_calls *o, struct call *c, uint64_t key)
{
	c->key = key;
	map_set(&o->keys, key, c);
}

static void leave(struct open_calls *o, struct call *c)
{
	if (c->joined && map_get(&o->joined, c->joined) == c)
		map_del(&o->joined, c->joined);
	c->joined = 0;
}

void open_calls_join(struct open_calls *o, uint64_t goid, uint64_t key)
{
	struct call *c = key ? map_get(&o->keys, key) : NULL;

	if (!c || c->goroutine->id == goid)
		return;
	leave(o, c);
	c->joined = goid;
	map_set(&o->joined, goid, c);
}

struct call *open_calls_joined(const struct open_calls *o, uint64_t goid)
{
	return map_get(&o->joined, goid);
}

void open_calls_remove(struct open_calls *o, struct call_pool *pool, struct call *c)
{
	struct goroutine *g = c->goroutine;

	*(c->inner ? &c->inner->outer : &g->innermost) = c->outer;
	if (c->outer)
		c->outer->inner = c->inner;
	*(c->older ? &c->older->newer : &o->oldest) = c->newer;
	*(c->newer ? &c->newer->older : &o->newest) = c->older;
	o->len--;
	leave(o, c);
	if (c->key && map_get(&o->keys, c->key) == c)
		map_del(&o->keys, c->key);
	c->goroutine = NULL;
	if (!g->innermost) {
		map_del(&o->goroutines, g->id);
		release_goroutine(pool, g);
	}
}

void open_calls_done(struct open_calls *o, struct call_pool *pool)
{
	while (o->oldest) {
		struct call *c = o->oldest;

		open_calls_remove(o, pool, c);
		call_release(pool, c);
	}
	map_done(&o->goroutines);
	map_done(&o->keys);
	map_done(&o->joined);
}

/* ---- goroutines ---- */

struct call *goroutine_find(const struct goroutine *g, const struct pack_span *span)
{
	struct call *c = g ? g->innermost : NULL;

	while (c && c->start->p.span != span)
		c = c->outer;
	return c;
}

void goroutine_panic(struct goroutine *g, const char *type, uint64_t depth)
{
	goroutine_forget_panics(g, depth);
	if (g->npanics == MAX_PENDING_PANICS)
		g->npanics--;
	g->panics[g->npanics++] = (struct pending_panic){type, depth};
}

void goroutine_forget_panics(struct goroutine *g, uint64_t depth)
{
	while (g->npanics && g->panics[g->npanics - 1].depth >= depth)
		g->npanics--;
}

/* Deferred functions run on top of the panic, so what they call is deeper than it. */
const struct pending_panic *call_panic(const struct call *c)
{
	const struct goroutine *g = c->goroutine;
	const struct pending_panic *p = g && g->npanics ? &g->panics[g->npanics - 1] : NULL;

	return p && p->depth > c->depth ? p : NULL;
}
