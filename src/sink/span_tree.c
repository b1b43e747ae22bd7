/*
 * Spans arrive as they end, children first, so they are held until the root that this machine knows has ended (it has
 * no parent, or one in another process that is not observed), and a second more for those that outlive it. What comes
 * later still is shown by itself.
 * A trace of one span looks as in `-o line`.
 *
 * Memory is bounded: when too much is held, the trace that has waited longest is shown as far as it is known.
 */
#include "sink/span_tree.h"

#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/vec.h"

#define GRACE_NS 1000000000u
#define MAX_HELD_BYTES (16u << 20)
#define MAX_TRACE_SPANS 1000    /* a longer one is shown in parts */
#define RECENT 256              /* traces shown lately: what else comes of them is not held for a root */
#define MAX_INDENT 16
#define NOT_DUE UINT64_MAX

struct held {
	struct span *span;
	struct resource resource;
	char *service;
	struct held *parent, *child, *last_child, *next; /* while shown */
	size_t bytes;
	bool shown;
};

struct trace {
	uint64_t key, due_ns;
	struct trace *older, *newer;
	VEC(struct held *) spans;
};

struct span_tree {
	struct text_sink *text;
	uint64_t (*clock)(void);
	struct map traces;
	struct trace *oldest, *newest;
	size_t bytes;
	uint64_t recent[RECENT];
	size_t nrecent;
	bool measuring;         /* the rows of a trace are gone through twice: their widths first */
};

/* ---- holding ---- */

/* Of the resource only what is shown: it may be gone by then. */
static struct held *hold(const struct span *s)
{
	struct held *h = xcalloc(1, sizeof(*h));

	h->span = span_copy(s, &h->bytes);
	h->bytes += sizeof(*h);
	if (s->resource && s->resource->service)
		h->resource.service = h->service = xstrdup(s->resource->service);
	h->resource.pid = s->resource ? s->resource->pid : 0;
	h->span->resource = &h->resource;
	return h;
}

static void held_free(struct held *h)
{
	free(h->service);
	free(h->span);
	free(h);
}

static uint64_t key_of(const struct span *s)
{
	uint64_t a, b;

	memcpy(&a, s->trace_id, sizeof(a));
	memcpy(&b, s->trace_id + sizeof(a), sizeof(b));
	return a ^ b;
}

static bool shown_lately(const struct span_tree *t, uint64_t key)
{
	for (size_t i = 0; i < MIN(t->nrecent, RECENT); i++)
		if (t->recent[i] == key)
			return true;
	return false;
}

static struct trace *trace_of(struct span_tree *t, uint64_t key)
{
	struct trace *tr = map_get(&t->traces, key);

	if (tr)
		return tr;
	tr = xcalloc(1, sizeof(*tr));
	tr->key = key;
	tr->due_ns = shown_lately(t, key) ? t->clock() + GRACE_NS : NOT_DUE;
	tr->older = t->newest;
	*(t->newest ? &t->newest->newer : &t->oldest) = tr;
	t->newest = tr;
	map_set(&t->traces, key, tr);
	return tr;
}

/* ---- showing ---- */

static int by_start(const void *a, const void *b)
{
	const struct held *x = *(struct held *const *)a, *y = *(struct held *const *)b;

	return x->span->start_unix_ns < y->span->start_unix_ns   ? -1
	       : x->span->start_unix_ns > y->span->start_unix_ns ? 1
								: 0;
}

static uint64_t id_key(const uint8_t id[8])
{
	uint64_t k;

	memcpy(&k, id, sizeof(k));
	return k;
}

static void link_children(struct trace *tr)
{
	struct map by_id = {0};

	for (size_t i = 0; i < tr->spans.len; i++)
		map_set(&by_id, id_key(tr->spans.data[i]->span->span_id), tr->spans.data[i]);
	for (size_t i = 0; i < tr->spans.len; i++) {
		struct held *h = tr->spans.data[i];
		struct held *p = span_has_parent(h->span) ? map_get(&by_id, id_key(h->span->parent_id)) : NULL;

		if (!p || p == h)
			continue;
		h->parent = p;
		*(p->last_child ? &p->last_child->next : &p->child) = h;
		p->last_child = h;
	}
	map_done(&by_id);
}

static void show_row(struct span_tree *t, const struct held *h, const struct held *root,
		     const char *branch)
{
	uint64_t start = h->span->start_unix_ns, from = root->span->start_unix_ns;
	char offset[32] = "+", text[24];

	if (t->measuring) {
		headline_fit(&t->text->headline, h->span, branch);
		return;
	}
	format_duration(start > from ? start - from : 0, text);
	strcat(offset, text);
	headline_row(&t->text->headline, output_begin(&t->text->file.out), h->span, h == root ? NULL : offset, branch);
	output_end(&t->text->file.out);
}

/* indent: the lines that go on from above, for each level. */
static void show_below(struct span_tree *t, struct held *h, const struct held *root,
		       struct buf *indent, unsigned level)
{
	size_t len = indent->len;

	h->shown = true;
	for (struct held *c = h->child; c; c = c->next) {
		if (c->shown)
			continue;
		buf_str(indent, c->next ? "├─ " : "└─ ");
		show_row(t, c, root, indent->data);
		indent->len = len;
		if (level < MAX_INDENT)
			buf_str(indent, c->next ? "│  " : "   ");
		show_below(t, c, root, indent, level + 1);
		indent->len = len;
	}
}

/* Ids come from outside too: should parents ever form a ring, the second round still shows all. */
static void show_rows(struct span_tree *t, struct trace *tr)
{
	struct buf indent = {0};

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < tr->spans.len; i++) {
			struct held *h = tr->spans.data[i];

			if (h->shown || (!round && h->parent))
				continue;
			show_row(t, h, h, "");
			show_below(t, h, h, &indent, 0);
		}
	}
	buf_done(&indent);
}

static void show_trace(struct span_tree *t, struct trace *tr)
{
	qsort(tr->spans.data, tr->spans.len, sizeof(*tr->spans.data), by_start);
	link_children(tr);
	t->measuring = true;
	show_rows(t, tr);
	for (size_t i = 0; i < tr->spans.len; i++)
		tr->spans.data[i]->shown = false;
	t->measuring = false;
	show_rows(t, tr);
}

static void finish_trace(struct span_tree *t, struct trace *tr)
{
	show_trace(t, tr);
	t->recent[t->nrecent++ % RECENT] = tr->key;
	map_del(&t->traces, tr->key);
	*(tr->older ? &tr->older->newer : &t->oldest) = tr->newer;
	*(tr->newer ? &tr->newer->older : &t->newest) = tr->older;
	for (size_t i = 0; i < tr->spans.len; i++) {
		t->bytes -= tr->spans.data[i]->bytes;
		held_free(tr->spans.data[i]);
	}
	vec_done(&tr->spans);
	free(tr);
}

/* ---- from outside ---- */

/* Whether the parent is a span that we have seen begin, and shall see end. */
static bool parent_comes(const struct span *s)
{
	return (s->parent == SPAN_PARENT_LOCAL && s->parent_source != PARENT_SDK) ||
	       s->parent_source == PARENT_CONNECTION;
}

void span_tree_add(struct span_tree *t, const struct span *span)
{
	struct trace *tr = trace_of(t, key_of(span));
	struct held *h = hold(span);

	vec_push(&tr->spans, h);
	t->bytes += h->bytes;
	if (!parent_comes(span) && tr->due_ns == NOT_DUE)
		tr->due_ns = t->clock() + GRACE_NS;
	if (tr->spans.len >= MAX_TRACE_SPANS)
		finish_trace(t, tr);
	while (t->bytes > MAX_HELD_BYTES && t->oldest)
		finish_trace(t, t->oldest);
}

void span_tree_tick(struct span_tree *t)
{
	uint64_t now = t->clock();
	struct trace *newer;

	for (struct trace *tr = t->oldest; tr; tr = newer) {
		newer = tr->newer;
		if (tr->due_ns <= now)
			finish_trace(t, tr);
	}
}

struct span_tree *span_tree_new(struct text_sink *text, uint64_t (*clock)(void))
{
	struct span_tree *t = xcalloc(1, sizeof(*t));

	t->text = text;
	t->clock = clock ? clock : clock_monotonic_ns;
	return t;
}

void span_tree_free(struct span_tree *t)
{
	while (t->oldest)
		finish_trace(t, t->oldest);
	map_done(&t->traces);
	free(t);
}
