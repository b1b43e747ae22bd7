/*
 * Calls arrive as they end, children first, so they are held until
 * nothing can come above them: `running` lists the calls that are open, and what began before the outermost of its
 * goroutine is whole. A call that ended between the last records and that list is in neither; it is among the next
 * records, so only what arrived before a list is shown, and at the tick after it. Where nobody tells what is running,
 * a tree counts as whole when its goroutine's last call ended a second ago.
 *
 * Memory is bounded: a goroutine (or all of them) with too many calls is shown in part.
 */
#include "sink/call_tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "sink/call_words.h"

#define GRACE_NS UINT64_C(1000000000)
#define MAX_CALLS 10000         /* held of a goroutine */
#define MAX_ALL_CALLS 100000
#define MAX_INDENT 30
#define CLOCK_COLUMNS 12
#define STACK_INDENT 8

struct held {
	uint64_t start_ns, end_ns, start_unix_ns, depth;
	uint64_t list;          /* number of the last list of running calls before it arrived */
	struct call_words words;
	uint64_t *stack;
	size_t nstack;
	bool stack_cut;
};

struct goroutine {
	const struct resource *resource;
	uint64_t goid;
	VEC(struct held) calls;
	uint64_t outermost_ns;  /* when its outermost open call began, by the last list; UINT64_MAX: none is open */
	bool partial;           /* some of the tree was shown before */
};

struct call_tree {
	struct text_sink *text;
	struct map goroutines;
	size_t ncalls;
	uint64_t list;          /* how many there have been */
	bool began;
};

static uint64_t key_of(uint32_t target, uint64_t goid)
{
	return goid ^ (uint64_t)target << 40;
}

static void held_done(struct held *h)
{
	call_words_done(&h->words);
	free(h->stack);
}

/* ---- showing ---- */

static int by_start(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	if (x->start_ns != y->start_ns)
		return x->start_ns < y->start_ns ? -1 : 1;
	return x->depth < y->depth ? -1 : x->depth > y->depth;
}

static bool encloses(const struct held *outer, const struct held *c)
{
	if (c->start_ns < outer->start_ns || c->end_ns > outer->end_ns)
		return false;
	/* An inlined instance has the depth of the function that it is in. */
	return c->words.end == CALL_POINT ? c->depth >= outer->depth : c->depth > outer->depth;
}

static void show_head(struct call_tree *o, const struct goroutine *g, const struct held *first, bool in_part)
{
	struct text_sink *t = o->text;
	struct buf *out = output_begin(&t->file.out);
	char text[48];
	struct row r;

	if (o->began)
		buf_char(out, '\n');
	o->began = true;
	r = text_sink_row(t, out);
	row_clock(&r, &t->clock, first->start_unix_ns);
	snprintf(text, sizeof(text), "  goroutine %" PRIu64, g->goid);
	row_str(&r, STYLE_CYAN, text);
	row_spaces(&r, t->show_process ? 2 : 0);
	show_process(t, &r, g->resource, "");
	if (in_part)
		row_str(&r, STYLE_YELLOW, "  in part: an outer call may still be running");
	else if (g->partial)
		row_str(&r, STYLE_YELLOW, "  the rest of what was shown in part");
	row_end(&r);
	output_end(&t->file.out);
}

static void show_held(struct call_tree *o, const struct goroutine *g, const struct held *h, size_t level)
{
	struct text_sink *t = o->text;
	struct buf *out = output_begin(&t->file.out);
	const struct call_record stack = {
		.resource = g->resource, .stack = h->stack, .nstack = h->nstack, .stack_cut = h->stack_cut};
	unsigned indent = 2 + 2 * (unsigned)MIN(level, MAX_INDENT);
	struct row r = text_sink_row(t, out);
	char text[24] = "";

	if (h->words.end != CALL_POINT)
		format_duration(h->end_ns - h->start_ns, text);
	row_right(&r, STYLE_PLAIN, text, CLOCK_COLUMNS);
	row_spaces(&r, indent);
	call_words_show(&h->words, &r);
	row_end(&r);
	show_stack(t, out, &stack, CLOCK_COLUMNS + indent + STACK_INDENT);
	output_end(&t->file.out);
}

/* calls are in the order in which they began. */
static void show_trees(struct call_tree *o, struct goroutine *g, const struct held *calls, size_t n, bool in_part)
{
	VEC(const struct held *) outer = {0};

	for (size_t i = 0; i < n; i++) {
		while (outer.len && !encloses(outer.data[outer.len - 1], &calls[i]))
			outer.len--;
		if (!outer.len && !in_part && calls[i].words.function->followed) /* called by something else */
			continue;
		if (!outer.len) {
			if (!in_part || !i)
				show_head(o, g, &calls[i], in_part);
			g->partial &= in_part;
		}
		show_held(o, g, &calls[i], outer.len);
		vec_push(&outer, &calls[i]);
	}
	g->partial = in_part;
	vec_done(&outer);
}

/* Shows those of the goroutine's calls that began before a time, and forgets them. */
static void show_until(struct call_tree *o, struct goroutine *g, uint64_t until, bool in_part)
{
	size_t n = 0;

	qsort(g->calls.data, g->calls.len, sizeof(*g->calls.data), by_start);
	while (n < g->calls.len && g->calls.data[n].start_ns < until)
		n++;
	show_trees(o, g, g->calls.data, n, in_part);
	for (size_t i = 0; i < n; i++)
		held_done(&g->calls.data[i]);
	g->calls.len -= n;
	if (n)
		memmove(g->calls.data, g->calls.data + n, g->calls.len * sizeof(*g->calls.data));
	o->ncalls -= n;
}

static void show_everything(struct call_tree *o, bool in_part)
{
	uint64_t key;
	void *value;

	for (size_t i = 0; map_next(&o->goroutines, &i, &key, &value);)
		if (((struct goroutine *)value)->calls.len)
			show_until(o, value, UINT64_MAX, in_part);
}

/* ---- what is whole ---- */

static bool settled(const struct call_tree *o, const struct goroutine *g, const struct held *h, uint64_t now)
{
	if (!o->list)
		return h->end_ns + GRACE_NS < now;
	return h->start_ns < g->outermost_ns && h->list < o->list;
}

/* The time before which the goroutine's calls are whole: up to the end of those above the settled ones. */
static uint64_t whole_until(const struct call_tree *o, const struct goroutine *g)
{
	uint64_t now = clock_monotonic_ns(), until = 0, before;

	do {
		before = until;
		for (size_t i = 0; i < g->calls.len; i++) {
			const struct held *h = &g->calls.data[i];

			if (settled(o, g, h, now) || h->start_ns < until)
				until = MAX(until, h->end_ns + 1);
		}
	} while (until != before);
	return until;
}

static void forget_goroutine(struct call_tree *o, uint64_t key, struct goroutine *g)
{
	map_del(&o->goroutines, key);
	for (size_t i = 0; i < g->calls.len; i++)
		held_done(&g->calls.data[i]);
	vec_done(&g->calls);
	free(g);
}

void call_tree_tick(struct call_tree *o)
{
	VEC(uint64_t) empty = {0};
	uint64_t key;
	void *value;

	for (size_t i = 0; map_next(&o->goroutines, &i, &key, &value);) {
		struct goroutine *g = value;
		uint64_t until = whole_until(o, g);

		if (until)
			show_until(o, g, until, false);
		if (!g->calls.len && !g->partial)
			vec_push(&empty, key);
	}
	for (size_t i = 0; i < empty.len; i++)
		forget_goroutine(o, empty.data[i], map_get(&o->goroutines, empty.data[i]));
	vec_done(&empty);
}

void call_tree_running(struct call_tree *o, const struct call_running *r, size_t n)
{
	struct goroutine *g;
	void *value;

	for (size_t i = 0; map_next(&o->goroutines, &i, NULL, &value);)
		((struct goroutine *)value)->outermost_ns = UINT64_MAX;
	for (size_t i = 0; i < n; i++) {
		g = map_get(&o->goroutines, key_of(r[i].target, r[i].goid));
		if (g)
			g->outermost_ns = MIN(g->outermost_ns, r[i].start_ns);
	}
	o->list++;
}

/* ---- from outside ---- */

static struct goroutine *goroutine_of(struct call_tree *o, const struct call_record *c)
{
	uint64_t key = key_of(c->resource->id, c->goid);
	struct goroutine *g = map_get(&o->goroutines, key);

	if (g)
		return g;
	g = xcalloc(1, sizeof(*g));
	g->resource = c->resource;
	g->goid = c->goid;
	g->outermost_ns = UINT64_MAX;
	map_set(&o->goroutines, key, g);
	return g;
}

void call_tree_add(struct call_tree *o, const struct call_record *c)
{
	struct goroutine *g = goroutine_of(o, c);
	struct held *h = vec_add(&g->calls);

	*h = (struct held){.start_ns = c->start_ns, .end_ns = c->start_ns + c->duration_ns,
			   .start_unix_ns = c->start_unix_ns, .depth = c->depth, .list = o->list};
	call_words_make(c, &h->words);
	if (c->nstack)
		h->stack = memcpy(xmalloc(c->nstack * sizeof(*c->stack)), c->stack, c->nstack * sizeof(*c->stack));
	h->nstack = c->nstack;
	h->stack_cut = c->stack_cut;
	o->ncalls++;
	if (g->calls.len > MAX_CALLS)
		show_until(o, g, UINT64_MAX, true);
	else if (o->ncalls > MAX_ALL_CALLS)
		show_everything(o, true);
}

void call_tree_flush(struct call_tree *o)
{
	show_everything(o, false);
}

struct call_tree *call_tree_new(struct text_sink *text)
{
	struct call_tree *o = xcalloc(1, sizeof(*o));

	o->text = text;
	return o;
}

void call_tree_free(struct call_tree *o)
{
	uint64_t key;
	void *value;

	show_everything(o, false);
	for (size_t i = 0; map_next(&o->goroutines, &i, &key, &value);) {
		vec_done(&((struct goroutine *)value)->calls);
		free(value);
	}
	map_done(&o->goroutines);
	free(o);
}
