#include "span/open_span.h"

#define POOL_KEEP 4096

/* ---- the pool ---- */

static struct open_span *take_span(struct open_span_pool *p)
{
	struct open_span *s = p->spans;

	if (!s)
		return xcalloc(1, sizeof(*s));
	p->spans = s->outer;
	p->nspans--;
	return s;
}

static void open_span_free(struct open_span *s)
{
	attr_list_done(&s->attrs);
	buf_done(&s->trace_state);
	free(s);
}

void open_span_release(struct open_span_pool *p, struct open_span *s)
{
	if (p->nspans >= POOL_KEEP) {
		open_span_free(s);
		return;
	}
	attr_list_reset(&s->attrs);
	buf_reset(&s->trace_state);
	s->outer = p->spans;
	p->spans = s;
	p->nspans++;
}

static struct goroutine *take_goroutine(struct open_span_pool *p, uint64_t id)
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

static void release_goroutine(struct open_span_pool *p, struct goroutine *g)
{
	if (p->ngoroutines >= POOL_KEEP) {
		free(g);
		return;
	}
	g->next_free = p->goroutines;
	p->goroutines = g;
	p->ngoroutines++;
}

void open_span_pool_done(struct open_span_pool *p)
{
	while (p->spans)
		open_span_free(take_span(p));
	while (p->goroutines) {
		struct goroutine *g = p->goroutines;

		p->goroutines = g->next_free;
		free(g);
	}
	*p = (struct open_span_pool){0};
}

/* ---- open spans ---- */

/* A goid is never 0 here, and a map takes any key. */
struct goroutine *open_spans_goroutine(const struct open_spans *o, uint64_t goid)
{
	return map_get(&o->goroutines, goid);
}

static struct goroutine *goroutine_of(struct open_spans *o, struct open_span_pool *pool, uint64_t goid)
{
	struct goroutine *g = open_spans_goroutine(o, goid);

	if (!g) {
		g = take_goroutine(pool, goid);
		map_set(&o->goroutines, goid, g);
	}
	return g;
}

struct open_span *open_spans_push(struct open_spans *o, struct open_span_pool *pool, uint64_t goid,
				  const struct probe *start, uint64_t depth, uint64_t start_ns)
{
	struct goroutine *g = goroutine_of(o, pool, goid);
	struct open_span *s = take_span(pool);

	*s = (struct open_span){.outer = g->innermost,
				.older = o->newest,
				.goroutine = g,
				.start = start,
				.depth = depth,
				.start_ns = start_ns,
				.trace_state = s->trace_state,
				.attrs = s->attrs};
	if (g->innermost)
		g->innermost->inner = s;
	g->innermost = s;
	g->since_ns = start_ns;
	*(o->newest ? &o->newest->newer : &o->oldest) = s;
	o->newest = s;
	o->len++;
	return s;
}

void open_spans_set_key(struct open_spans *o, struct open_span *s, uint64_t key)
{
	s->key = key;
	map_set(&o->keys, key, s);
}

static void leave(struct open_spans *o, struct open_span *s)
{
	if (s->joined && map_get(&o->joined, s->joined) == s)
		map_del(&o->joined, s->joined);
	s->joined = 0;
}

void open_spans_join(struct open_spans *o, uint64_t goid, uint64_t key)
{
	struct open_span *s = key ? map_get(&o->keys, key) : NULL;

	if (!s || s->goroutine->id == goid)
		return;
	leave(o, s);
	s->joined = goid;
	map_set(&o->joined, goid, s);
}

struct open_span *open_spans_joined(const struct open_spans *o, uint64_t goid)
{
	return map_get(&o->joined, goid);
}

bool open_spans_link(struct open_spans *o, const struct event_link *l, size_t max)
{
	struct goroutine *g = open_spans_goroutine(o, l->parent);
	struct created *c;

	if (!g || g->since_ns > l->epoch_ns || map_get(&o->creators, l->goid))
		return true;
	if (o->ncreated >= max)
		return false;
	c = xmalloc(sizeof(*c));
	*c = (struct created){l->goid, g->innermost->created};
	g->innermost->created = c;
	map_set(&o->creators, l->goid, g->innermost);
	o->ncreated++;
	return true;
}

struct open_span *open_spans_creator(const struct open_spans *o, uint64_t goid)
{
	return map_get(&o->creators, goid);
}

static void forget_created(struct open_spans *o, struct open_span *s)
{
	while (s->created) {
		struct created *c = s->created;

		s->created = c->next;
		map_del(&o->creators, c->goid);
		o->ncreated--;
		free(c);
	}
}

void open_spans_remove(struct open_spans *o, struct open_span_pool *pool, struct open_span *s, uint64_t time_ns)
{
	struct goroutine *g = s->goroutine;

	if (g->innermost == s)
		g->since_ns = time_ns;
	*(s->inner ? &s->inner->outer : &g->innermost) = s->outer;
	if (s->outer)
		s->outer->inner = s->inner;
	*(s->older ? &s->older->newer : &o->oldest) = s->newer;
	*(s->newer ? &s->newer->older : &o->newest) = s->older;
	o->len--;
	leave(o, s);
	forget_created(o, s);
	if (s->key && map_get(&o->keys, s->key) == s)
		map_del(&o->keys, s->key);
	s->goroutine = NULL;
	if (!g->innermost) {
		map_del(&o->goroutines, g->id);
		release_goroutine(pool, g);
	}
}

void open_spans_done(struct open_spans *o, struct open_span_pool *pool)
{
	while (o->oldest) {
		struct open_span *s = o->oldest;

		open_spans_remove(o, pool, s, 0);
		open_span_release(pool, s);
	}
	map_done(&o->goroutines);
	map_done(&o->keys);
	map_done(&o->joined);
	map_done(&o->creators);
}

/* ---- goroutines ---- */

struct open_span *goroutine_find(const struct goroutine *g, const struct pack_span *span)
{
	struct open_span *s = g ? g->innermost : NULL;

	while (s && s->start->p.span != span)
		s = s->outer;
	return s;
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

/* Deferred functions run on top of the panic, so the spans that they open are deeper than it. */
const struct pending_panic *open_span_panic(const struct open_span *s)
{
	const struct goroutine *g = s->goroutine;
	const struct pending_panic *p = g && g->npanics ? &g->panics[g->npanics - 1] : NULL;

	return p && p->depth > s->depth ? p : NULL;
}
