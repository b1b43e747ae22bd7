#include "span/open_span.h"

#include <string.h>

#define POOL_KEEP 4096

/* ---- the pool ---- */

static struct open_span *take_span(struct open_span_pool *p)
{
	struct open_span *s = p->spans;

	if (!s)
		return xcalloc(1, sizeof(*s));
	p->spans = s->next_free;
	p->n--;
	return s;
}

static void open_span_free(struct open_span *s)
{
	attr_list_done(&s->attrs);
	moments_done(&s->moments);
	buf_done(&s->trace_state);
	free(s);
}

void open_span_release(struct open_span_pool *p, struct open_span *s)
{
	if (p->n >= POOL_KEEP) {
		open_span_free(s);
		return;
	}
	attr_list_reset(&s->attrs);
	moments_reset(&s->moments);
	buf_reset(&s->trace_state);
	s->next_free = p->spans;
	p->spans = s;
	p->n++;
}

void open_span_pool_done(struct open_span_pool *p)
{
	while (p->spans)
		open_span_free(take_span(p));
}

/* ---- open spans ---- */

/* A goid is never 0 here, and a map takes any key. */
struct goroutine *open_spans_goroutine(const struct open_spans *o, uint64_t goid)
{
	struct open_span *innermost = open_span_of(open_stacks_innermost(&o->stacks, goid));

	return innermost ? open_span_goroutine(innermost) : NULL;
}

struct open_span *open_spans_push(struct open_spans *o, struct open_span_pool *pool, uint64_t goid,
				  const struct probe *start, uint64_t depth, uint64_t start_ns)
{
	struct open_span *s = take_span(pool);

	memset(s, 0, offsetof(struct open_span, trace_state));
	s->start = start;
	s->start_ns = start_ns;
	s->goid = goid;
	o->stacks.goroutine_size = sizeof(struct goroutine);
	open_stacks_push(&o->stacks, goid, &s->entry, depth);
	open_span_goroutine(s)->since_ns = start_ns;
	return s;
}

static struct span_key *find_key(const struct open_spans *o, const struct pack_span *span, uint64_t key)
{
	struct span_key *k = key ? map_get(&o->keys, key) : NULL;

	while (k && k->span->start->p.span != span)
		k = k->same;
	return k;
}

struct open_span *open_spans_keyed(const struct open_spans *o, const struct pack_span *span, uint64_t key)
{
	struct span_key *k = find_key(o, span, key);

	return k ? k->span : NULL;
}

bool open_span_has_key(const struct open_span *s, uint64_t key)
{
	for (size_t i = 0; key && i < SPAN_KEYS; i++)
		if (s->keys[i].key == key)
			return true;
	return false;
}

static void forget_key(struct open_spans *o, struct span_key *k)
{
	struct span_key *first = k->key ? map_get(&o->keys, k->key) : NULL, **at = &first;

	if (!first)
		return;
	while (*at != k)
		at = &(*at)->same;
	*at = k->same;
	if (first)
		map_set(&o->keys, k->key, first);
	else
		map_del(&o->keys, k->key);
	k->key = 0;
}

static void forget_keys(struct open_spans *o, struct open_span *s)
{
	for (size_t i = 0; i < SPAN_KEYS; i++)
		forget_key(o, &s->keys[i]);
}

bool open_spans_drop_key(struct open_spans *o, struct open_span *s, uint64_t key)
{
	bool left = false;

	for (size_t i = 0; i < SPAN_KEYS; i++) {
		if (s->keys[i].key == key)
			forget_key(o, &s->keys[i]);
		left |= s->keys[i].key != 0;
	}
	return left;
}

static void set_key(struct open_spans *o, struct open_span *s, size_t i, uint64_t key)
{
	struct span_key *older = find_key(o, s->start->p.span, key), *k = &s->keys[i];

	if (older)
		forget_key(o, older);
	*k = (struct span_key){.key = key, .span = s};
	k->same = map_set(&o->keys, key, k);
}

void open_spans_set_keys(struct open_spans *o, struct open_span *s, const uint64_t *keys)
{
	forget_keys(o, s);
	for (size_t i = 0; i < SPAN_KEYS; i++)
		if (keys[i])
			set_key(o, s, i, keys[i]);
}

static void leave(struct open_spans *o, struct open_span *s)
{
	if (s->joined && map_get(&o->joined, s->joined) == s)
		map_del(&o->joined, s->joined);
	s->joined = 0;
}

void open_spans_join(struct open_spans *o, uint64_t goid, struct open_span *s)
{
	if (s->entry.goroutine && s->goid == goid)
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
	struct open_span *s = goroutine_innermost(g);
	struct created *c;

	if (!g || g->since_ns > l->epoch_ns || map_get(&o->creators, l->goid))
		return true;
	if (o->ncreated >= max)
		return false;
	c = xmalloc(sizeof(*c));
	*c = (struct created){l->goid, s->created};
	s->created = c;
	map_set(&o->creators, l->goid, s);
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

void open_spans_detach(struct open_spans *o, struct open_span *s, uint64_t time_ns)
{
	struct goroutine *g = open_span_goroutine(s);

	if (!g)
		return;
	if (goroutine_innermost(g) == s)
		g->since_ns = time_ns;
	open_stacks_detach(&o->stacks, &s->entry);
}

void open_spans_remove(struct open_spans *o, struct open_span *s, uint64_t time_ns)
{
	leave(o, s);
	forget_created(o, s);
	forget_keys(o, s);
	open_spans_detach(o, s, time_ns);
	open_stacks_remove(&o->stacks, &s->entry);
}

void open_spans_done(struct open_spans *o, struct open_span_pool *pool)
{
	struct open_span *s;

	while ((s = open_spans_oldest(o))) {
		open_spans_remove(o, s, 0);
		open_span_release(pool, s);
	}
	open_stacks_done(&o->stacks);
	map_done(&o->keys);
	map_done(&o->joined);
	map_done(&o->creators);
}

/* ---- goroutines ---- */

struct open_span *goroutine_find(const struct goroutine *g, const struct pack_span *span)
{
	struct open_span *s = goroutine_innermost(g);

	while (s && s->start->p.span != span)
		s = open_span_outer(s);
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
	const struct goroutine *g = open_span_goroutine(s);
	const struct pending_panic *p = g && g->npanics ? &g->panics[g->npanics - 1] : NULL;

	return p && p->depth > s->entry.depth ? p : NULL;
}
