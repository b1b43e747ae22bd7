/*
 * Records become spans. Each goroutine has a stack of open spans; a start pushes, an end takes the
 * innermost of its definition. What makes this more than a stack:
 *
 * Ends are where it is cheap to look, often another function's entry, so an end's depth says little about
 * the span it ends. Only when an end is a return of the very function that started must the depths agree:
 * recursion pairs by that, and an end whose start was lost is found out.
 *
 * A start at a depth where another span is still open proves that the older one has left the stack: its
 * end was lost. It is counted, not reported: nobody knows when it ended. But one call may be several spans, of
 * different definitions whose starts are at its entry: these are open at the same depth, and each ends by its own end.
 *
 * A panic runs deferred functions on top of the panicking stack, and one of them may be where a span ends
 * (the loop that serves a connection, say). Such an end is the panic's doing. When a deferred function recovered,
 * the runtime cuts the stack back to a frame: all spans deeper than that have ended, the frame's own too
 * if the pack says that it is one that recovers. Goexit ends all spans of its goroutine.
 *
 * A detached span leaves its goroutine's stack once a record has captured its key; none of the above holds for it then,
 * and records find it by that key.
 *
 * Ids and the sampling decision are made at the start, since children need them: here, unless the record has them.
 * Where probes decide (probe/mark.h), nothing comes of what is left out, and an end whose start never came is one that
 * its probe did not know any more.
 */
#include "span/assemble.h"

#include <string.h>

#include "base/clock.h"
#include "span/finished.h"
#include "span/parents.h"
#include "span/random_word.h"

#define DEFAULT_MAX_OPEN 100000

struct assembler {
	struct assembler_options o;
	VEC(struct probe *) probes;      /* by id; NULL: there is none */
	struct map targets;              /* by id */
	struct target *last_target;      /* of the last record, whose id is last_id; NULL: look it up */
	uint32_t last_id;
	struct interner interner;
	struct sql_cache statements;
	struct open_span_pool pool;
	uint64_t events, spans, spans_lost;
	uint64_t left_open;              /* in processes that we left */
	uint64_t requests[INJECT_OUTCOMES], states[INJECT_STATES];
	uint64_t last_ns;                /* the latest that a record was written */
	struct losses losses;
	struct parents parents;
	struct wall_clock wall;
	struct finished finished;        /* being emitted */
	struct buf scratch;
	struct random_words random;      /* of ids */
};

/* ---- set-up ---- */

struct assembler *assembler_new(const struct assembler_options *o)
{
	struct assembler *a = xcalloc(1, sizeof(*a));

	a->o = *o;
	if (!a->o.max_open)
		a->o.max_open = DEFAULT_MAX_OPEN;
	finished_init(&a->finished, &a->interner, &a->wall);
	a->parents.losses = &a->losses;
	a->parents.watch = &a->o.watch;
	a->parents.ignore_sdk = a->o.ignore_sdk;
	return a;
}

static struct target *target_of(struct assembler *a, uint32_t id)
{
	if (!a->last_target || a->last_id != id) {
		a->last_target = map_get(&a->targets, id);
		a->last_id = id;
	}
	return a->last_target;
}

static void target_free(struct assembler *a, struct target *t)
{
	a->last_target = NULL;
	for (struct open_entry *e = t->open.stacks.oldest; e; e = e->newer)
		parents_closing(&a->parents, t, open_span_of(e));
	open_spans_done(&t->open, &a->pool);
	contexts_done(&t->contexts);
	free(t);
}

void assembler_free(struct assembler *a)
{
	void *v;

	if (!a)
		return;
	for (size_t i = 0; map_next(&a->targets, &i, NULL, &v);)
		target_free(a, v);
	for (size_t i = 0; i < a->probes.len; i++)
		free(a->probes.data[i]);
	map_done(&a->targets);
	vec_done(&a->probes);
	parents_done(&a->parents);
	interner_done(&a->interner);
	sql_cache_done(&a->statements);
	open_span_pool_done(&a->pool);
	finished_done(&a->finished);
	buf_done(&a->scratch);
	free(a);
}

/* Whether end is at the return of the function at whose entry start is. */
static bool same_function(const struct probe *start, const struct probe *end)
{
	return end->p.variant->at_return && end->p.func.entry && start->p.point->role == POINT_START &&
	       start->p.span == end->p.span && start->p.func.entry == end->p.func.entry &&
	       start->p.binary == end->p.binary;
}

static void pair_with_others(struct assembler *a, struct probe *probe)
{
	for (size_t i = 0; i < a->probes.len; i++) {
		struct probe *other = a->probes.data[i];

		if (!other)
			continue;
		probe->ends_start |= same_function(other, probe);
		other->ends_start |= same_function(probe, other);
	}
}

void assembler_add_probe(struct assembler *a, const struct assembler_probe *p)
{
	struct probe *probe = probe_new(&a->interner, p);

	for (size_t i = 0; i < probe->rules.n; i++) {
		struct transform_wishes *w = &probe->rules.rules[i].wishes;

		if (w->redact && a->o.redact)
			w->redact = a->o.redact;
		w->sql_full = a->o.sql_full;
		w->statements = &a->statements;
	}
	pair_with_others(a, probe);
	while (a->probes.len <= p->id)
		vec_push(&a->probes, NULL);
	free(a->probes.data[p->id]);
	a->probes.data[p->id] = probe;
}

void assembler_add_target(struct assembler *a, const struct assembler_target *t)
{
	struct target *target = xcalloc(1, sizeof(*target)), *old;

	target->t = *t;
	old = map_set(&a->targets, t->id, target);
	a->last_target = NULL;
	if (old)
		target_free(a, old);
}

void assembler_planted(struct assembler *a, uint32_t id, uint64_t now_monotonic_ns, bool in_steps)
{
	struct target *t = map_get(&a->targets, id);

	if (!t)
		return;
	t->planted_ns = now_monotonic_ns;
	t->partial_ns = in_steps ? now_monotonic_ns : t->partial_ns;
	for (struct open_entry *e = t->open.stacks.oldest; e; e = e->newer) {
		open_span_of(e)->doubtful = true;
		open_span_of(e)->partial |= in_steps;
	}
}

/* ---- ids ---- */

static void random_id(struct assembler *a, uint8_t *ret, size_t words)
{
	uint64_t any = 0;

	for (int tries = 0; !any && tries < 8; tries++) {
		for (size_t i = 0; i < words; i++) {
			uint64_t r = a->o.random ? a->o.random(a->o.arg) : random_word(&a->random);

			memcpy(ret + i * sizeof(r), &r, sizeof(r));
			any |= r;
		}
	}
	if (!any) /* all zeroes is no id */
		ret[words * sizeof(any) - 1] = 1;
}

static void incoming_state(const struct arrival *in, struct buf *out)
{
	int slot = arrival_slot_of(in, &in->probe->tracestates);
	const char *field = arrival_has(in, slot) ? in->probe->field_of_slot[slot] : NULL;
	struct text_view t = {NULL, 0};

	if (arrival_has(in, slot))
		t.s = event_bytes(&in->e, (size_t)slot, &t.len);
	if (t.s && (!field || header_field(t, field, &t)))
		tracestate_read(t.s, t.len, !field && in->e.slots[slot].status == SLOT_CUT, out);
}

/* Whether the trace is kept: as the parent's process said, if we follow it; here it was said before. */
static bool keeps_trace(const struct assembler *a, const struct parent *p)
{
	if (p->open || p->where == SPAN_PARENT_LOCAL ||
	    (p->where == SPAN_PARENT_REMOTE && a->o.sample_parent_based && !p->trace.undecided))
		return p->trace.sampled;
	return trace_sampled(p->trace.trace_id, a->o.sample);
}

static bool is_known(const struct parent *p)
{
	return p->where == SPAN_PARENT_LOCAL || p->where == SPAN_PARENT_REMOTE;
}

/*
 * A probe that made the ids and sent them on has to be believed: what is in another trace is no parent of this span.
 * Where nobody was told of them, a parent of ours must be kept as the span was, unless its probe knew no parent.
 */
static bool disagrees(const struct event_context *own, const struct parent *p)
{
	if (!is_known(p))
		return false;
	if (!(own->flags & EVENT_CONTEXT_LOOSE))
		return memcmp(own->trace_id, p->trace.trace_id, sizeof(own->trace_id));
	return p->open && !p->trace.sampled && !(own->flags & EVENT_CONTEXT_UNDECIDED);
}

/* A new id, of those that are kept. */
static void kept_trace_id(struct assembler *a, uint8_t ret[16])
{
	const uint64_t all = UINT64_C(1) << 56, least = mark_threshold(a->o.sample);
	uint64_t low = 0;

	random_id(a, ret, 2);
	if (trace_sampled(ret, a->o.sample) || least >= all)
		return;
	for (int i = 9; i < 16; i++)
		low = low << 8 | ret[i];
	low = least + (uint64_t)((unsigned __int128)low * (all - least) >> 56);
	for (int i = 15; i >= 9; i--, low >>= 8)
		ret[i] = (uint8_t)low;
}

/*
 * The ids and the decision of the span's own probe. Loose ids may be of a trace that the span is not in, as far as we
 * know.
 */
static void set_own_trace(struct assembler *a, struct open_span *s, const struct event_context *own, struct parent *p)
{
	bool loose = own->flags & EVENT_CONTEXT_LOOSE;

	if (disagrees(own, p)) {
		*p = (struct parent){.where = SPAN_PARENT_UNKNOWN};
		a->losses.count[LOSS_SAMPLING_DISAGREES]++;
	}
	s->trace = trace_context_of(own);
	s->has_own_ids = !loose;
	if (loose && !is_known(p))
		kept_trace_id(a, s->trace.trace_id);
	if (!is_known(p))
		return;
	if (loose || own->flags & EVENT_CONTEXT_UNDECIDED)
		s->trace.sampled = keeps_trace(a, p);
	if (loose)
		memcpy(s->trace.trace_id, p->trace.trace_id, sizeof(s->trace.trace_id));
}

static bool own_context(const struct arrival *in, struct event_context *ret)
{
	int slot = in->probe->context_slot;

	return arrival_has(in, slot) && event_context(&in->e, (size_t)slot, ret);
}

/* Its ids, and its parent's. */
static void set_trace(struct assembler *a, struct open_span *s, const struct arrival *in)
{
	struct event_context own;
	bool has_own = own_context(in, &own);
	struct parent p;

	parents_find(&a->parents, in, s, &p);
	if (!is_known(&p))
		random_id(a, p.trace.trace_id, 2);
	s->trace = p.trace;
	if (p.by_sdk && (!has_own || own.flags & EVENT_CONTEXT_LOOSE)) {
		s->trace = p.sdk;
		s->by_sdk = true;
	} else if (attr_list_has(&s->attrs, in->probe->p.span->transparent)) {
		s->transparent = true;
		s->trace.sampled = keeps_trace(a, &p);
	} else if (has_own) {
		set_own_trace(a, s, &own, &p);
	} else {
		s->trace.sampled = keeps_trace(a, &p);
		random_id(a, s->trace.span_id, 1);
	}
	s->parent = p.where;
	memcpy(s->parent_id, p.trace.span_id, sizeof(s->parent_id));
	if (p.has_state)
		incoming_state(in, &s->trace_state);
	else if (p.open && p.open->trace_state.len)
		buf_append(&s->trace_state, p.open->trace_state.data, p.open->trace_state.len);
	parents_opened(&a->parents, in, s, &p);
}

/* ---- its end ---- */

static void emit(struct assembler *a, const struct target *t, struct open_span *s, const struct ending *end)
{
	const bool whole = !s->doubtful && s->start_ns > a->parents.lost_ns;
	const struct span *out = finished_span(&a->finished, s, end, whole, t->t.resource);

	a->spans++;
	ancestry_tell(&s->ancestry);
	a->o.emit(a->o.arg, out);
}

static void drop(struct assembler *a, struct target *t, struct open_span *s, uint64_t time_ns)
{
	parents_closing(&a->parents, t, s);
	open_spans_remove(&t->open, s, time_ns);
	trace_closed(&a->o.watch, s->trace.trace_id);
	open_span_release(&a->pool, s);
}

static void finish(struct assembler *a, struct target *t, struct open_span *s, const struct ending *end)
{
	if (s->by_sdk) {
		a->losses.count[LOSS_RECORDED_BY_SDK]++;
	} else if (s->transparent || s->partial) {
		/* nothing is lost */
	} else if (s->trace.sampled) {
		emit(a, t, s, end);
	} else {
		a->losses.count[LOSS_SAMPLED_OUT]++;
	}
	drop(a, t, s, end->time_ns);
}

static void lose(struct assembler *a, const struct arrival *in, struct open_span *s, enum loss why)
{
	a->losses.count[why]++;
	a->spans_lost++;
	drop(a, in->target, s, in->e.head->time_ns);
}

/* How s ended, if it ends while a panic is under way. */
static struct ending ending_of(const struct open_span *s, uint64_t time_ns)
{
	const struct pending_panic *p = open_span_panic(s);
	struct ending end = {.time_ns = time_ns};

	if (p) {
		end.error_type = p->type ? p->type : "panic";
		end.status_text = "panic";
		end.panicked = true;
	}
	return end;
}

/* ---- records ---- */

static struct slot_source slot_source_of(const struct arrival *in, struct arena *arena)
{
	return (struct slot_source){.binary = in->probe->p.binary, .bias = in->target->t.bias,
				    .max_text = EVENT_MAX_STRING, .arena = arena};
}

static void capture_into(struct assembler *a, const struct arrival *in, struct attr_list *l)
{
	_cleanup_(arena_done) struct arena arena = {0};
	struct slot_source src = slot_source_of(in, &arena);

	attributes_capture(l, &in->probe->rules, &in->e, &src, &a->losses.count[LOSS_VALUE_UNREADABLE]);
	if (in->probe->lists)
		lists_capture(in->probe->lists, &a->interner, &in->e, &src, l, &a->losses);
}

static void capture(struct assembler *a, const struct arrival *in, struct open_span *s)
{
	capture_into(a, in, &s->attrs);
}

static struct goroutine *goroutine_of(const struct arrival *in)
{
	return open_spans_goroutine(&in->target->open, in->e.head->goid);
}

/* Whether the record is of the very call that s began with, as a span of another definition. */
static bool is_of_same_call(const struct arrival *in, const struct open_span *s)
{
	const struct assembler_probe *p = &in->probe->p, *start = &s->start->p;

	return s->entry.depth == in->e.head->depth && p->span != start->span && p->func.entry &&
	       p->func.entry == start->func.entry && p->binary == start->binary;
}

/* Spans at this depth or deeper, down to (without) `until`, are no longer on the stack. */
static void lose_stale(struct assembler *a, const struct arrival *in, const struct open_span *until,
		       uint64_t depth)
{
	struct goroutine *g = goroutine_of(in);
	struct open_span *s = goroutine_innermost(g), *outer;

	for (; s && s != until; s = outer) {
		outer = open_span_outer(s);
		if (s->entry.depth >= depth && !is_of_same_call(in, s))
			lose(a, in, s, LOSS_UNPAIRED_START);
	}
}

/* The keys that the record says, SPAN_KEYS of them: how many these are, and what was one too many. */
struct keys {
	uint64_t of[SPAN_KEYS]; /* 0: none */
	size_t n, over;
};

/* *ret_lost: there may be one that could not be read. */
static struct keys captured_keys(const struct arrival *in, bool *ret_lost)
{
	struct keys ret = {.n = 0};
	uint64_t key;

	*ret_lost = false;
	for (size_t i = 0; i < in->probe->keys.n; i++) {
		int slot = in->probe->keys.of[i];

		*ret_lost |= arrival_has(in, slot) && slot_lost(in->e.slots[slot].status);
		if (!arrival_word(in, slot, &key) || !key)
			continue;
		if (ret.n < SPAN_KEYS)
			ret.of[ret.n++] = key;
		else
			ret.over++;
	}
	return ret;
}

/* The first one; 0: none. */
static uint64_t captured_key(const struct arrival *in, bool *ret_lost)
{
	return captured_keys(in, ret_lost).of[0];
}

/* The span is found by the record's keys from here on. False where it says none. */
static bool give_keys(struct assembler *a, const struct arrival *in, struct open_span *s)
{
	bool lost;
	const struct keys keys = captured_keys(in, &lost);

	if (!keys.n)
		return false;
	open_spans_set_keys(&in->target->open, s, keys.of);
	a->losses.count[LOSS_KEY] += keys.over;
	return true;
}

/*
 * The record's keys are those of `owner`, or of nobody: who else has one has it no more. A span that has none left has
 * ended, and its end was lost. (Of an object that lies in memory twice one may be garbage while the other is in use.)
 */
static void lose_keyed(struct assembler *a, const struct arrival *in, const struct open_span *owner)
{
	bool lost;
	const struct keys keys = captured_keys(in, &lost);

	for (size_t i = 0; i < keys.n; i++) {
		struct open_span *older = open_spans_keyed(&in->target->open, in->probe->p.span, keys.of[i]);

		if (older && older != owner && !open_spans_drop_key(&in->target->open, older, keys.of[i]))
			lose(a, in, older, LOSS_UNPAIRED_START);
	}
}

/* No other open span of its definition has that key. */
static void take_key(struct assembler *a, const struct arrival *in, struct open_span *s)
{
	const bool detached = in->probe->p.span->detached;

	if (detached)
		lose_keyed(a, in, s);
	if (give_keys(a, in, s) && detached)
		open_spans_detach(&in->target->open, s, in->e.head->time_ns);
}

/* Whether it begins within a span that it is a part of, by its pack. */
static bool is_part(const struct goroutine *g, const struct assembler_probe *p)
{
	const char *const *part_of = p->span->part_of;

	if (!part_of)
		return false;
	for (const struct open_span *s = goroutine_innermost(g); s; s = open_span_outer(s)) {
		const struct assembler_probe *around = &s->start->p;

		for (const char *const *name = part_of; *name; name++)
			if (!strcmp(*name, around->pack->name) ||
			    (around->pack == p->pack && !strcmp(*name, around->span->name)))
				return true;
	}
	return false;
}

static void on_start(struct assembler *a, const struct arrival *in)
{
	const struct event_header *h = in->e.head;
	struct open_spans *open = &in->target->open;
	struct goroutine *g;
	struct open_span *s;

	if (h->goid == 0) {
		a->losses.count[LOSS_NO_GOROUTINE]++;
		a->spans_lost++;
		return;
	}
	lose_stale(a, in, NULL, h->depth);
	g = goroutine_of(in);
	if (g)
		goroutine_forget_panics(g, h->depth);
	if (in->probe->p.span->nested_same && goroutine_find(g, in->probe->p.span))
		return;
	if (is_part(g, &in->probe->p))
		return;
	if (open->stacks.len >= a->o.max_open)
		lose(a, in, open_spans_oldest(open), LOSS_OPEN_LIMIT);
	s = open_spans_push(open, &a->pool, h->goid, in->probe, h->depth, h->time_ns);
	capture(a, in, s);
	set_trace(a, s, in);
	trace_opened(&a->o.watch, s->trace.trace_id);
	take_key(a, in, s);
}

static bool discarded(const struct open_span *s, const struct pack_point *end, struct buf *scratch)
{
	const struct attr_value *v;

	if (!end->discard_attribute)
		return false;
	v = attr_list_find(&s->attrs, end->discard_attribute, strlen(end->discard_attribute));
	if (!v)
		return false;
	buf_reset(scratch);
	attr_list_print(&s->attrs, v, scratch);
	return end->discard_value && scratch->len == strlen(end->discard_value) &&
	       !memcmp(scratch->data, end->discard_value, scratch->len);
}

/*
 * Whether the record says which detached span it is about; *ret is NULL if that one is not open, or what it says could
 * not be read. Otherwise the span is one of its goroutine's.
 */
static bool names_span(const struct arrival *in, struct open_span **ret)
{
	const struct pack_span *span = in->probe->p.span;
	bool lost;
	uint64_t key = captured_key(in, &lost);

	if (!span->detached || (!key && !lost))
		return false;
	*ret = open_spans_keyed(&in->target->open, span, key);
	return true;
}

/*
 * The goroutine's span that this record ends (or detaches), or NULL. *ret_same: it is the return of a nested call that
 * counts as part of the span that is open.
 */
static struct open_span *ended_span(const struct arrival *in, bool *ret_same)
{
	const struct pack_span *span = in->probe->p.span;
	struct open_span *s = goroutine_find(goroutine_of(in), span);
	uint64_t depth = in->e.head->depth;

	*ret_same = false;
	if (!s || !in->probe->ends_start)
		return s;
	if (span->nested_same && s->entry.depth < depth)
		*ret_same = true;
	while (s && (s->start->p.span != span || s->entry.depth > depth))
		s = open_span_outer(s);
	return s && s->entry.depth == depth ? s : NULL;
}

/* The span that its goroutine works for, if it is of the probe's definition. */
static struct open_span *joined_span(const struct arrival *in)
{
	struct open_span *s = open_spans_joined(&in->target->open, in->e.head->goid);

	return s && s->start->p.span == in->probe->p.span ? s : NULL;
}

static void end_span(struct assembler *a, const struct arrival *in, struct open_span *s)
{
	struct ending end;

	capture(a, in, s);
	end = ending_of(s, in->e.head->time_ns);
	if (discarded(s, in->probe->p.point, &a->scratch))
		drop(a, in->target, s, in->e.head->time_ns);
	else
		finish(a, in->target, s, &end);
}

static void on_end(struct assembler *a, const struct arrival *in)
{
	bool nested = false, named;
	struct open_span *s;

	named = names_span(in, &s);
	if (!named)
		s = ended_span(in, &nested);
	if (nested)
		return;
	if (!s && !named) {
		s = joined_span(in);
		named = s != NULL;
	}
	if (!s) {
		a->losses.count[in->probe->has_marks ? LOSS_LEFT_OUT_LATE : LOSS_UNPAIRED_END] +=
			!in->probe->p.point->may_miss && !is_part(goroutine_of(in), &in->probe->p);
		return;
	}
	if (!named)
		lose_stale(a, in, s, in->e.head->depth);
	end_span(a, in, s);
}

/* An event of the span s, or of none that is known. One without a name is none. */
static void on_event(struct assembler *a, const struct arrival *in, struct open_span *s)
{
	const char *name = in->probe->p.span->event_name;
	struct moment *m = s ? moments_add(&s->moments, in->e.head->time_ns) : NULL;
	const struct attr_value *v;

	if (!m) {
		a->losses.count[LOSS_SPAN_EVENT]++;
		return;
	}
	capture_into(a, in, &m->attrs);
	v = attr_list_find(&m->attrs, name, strlen(name));
	if (v && v->kind == ATTR_STRING)
		return;
	attr_list_reset(&m->attrs);
	s->moments.n--;
	a->losses.count[LOSS_SPAN_EVENT]++;
}

static void on_note(struct assembler *a, const struct arrival *in)
{
	struct open_span *s;

	if (!names_span(in, &s)) {
		if (is_part(goroutine_of(in), &in->probe->p))
			return;
		s = goroutine_find(goroutine_of(in), in->probe->p.span);
		if (!s)
			s = open_spans_joined(&in->target->open, in->e.head->goid);
		if (!s && in->probe->p.point->by_lineage)
			s = parents_creator(&a->parents, in);
	}
	if (s && s->start->p.span != in->probe->p.span)
		s = NULL;
	if (in->probe->is_event)
		on_event(a, in, s);
	else if (s)
		capture(a, in, s);
	if (s)
		parents_noted(&a->parents, in, s);
}

static void on_join(struct assembler *a, const struct arrival *in)
{
	struct open_spans *open = &in->target->open;
	bool lost;
	struct open_span *s = open_spans_keyed(open, in->probe->p.span, captured_key(in, &lost));

	if (!s) {
		on_note(a, in);
		return;
	}
	if (in->e.head->goid && !goroutine_find(goroutine_of(in), in->probe->p.span))
		open_spans_join(open, in->e.head->goid, s);
	capture(a, in, s);
	parents_noted(&a->parents, in, s);
}

/* The key is the goroutine's word to those that will work for its span, which stays where it is. */
static void on_tie(struct assembler *a, const struct arrival *in)
{
	struct open_span *s = goroutine_find(goroutine_of(in), in->probe->p.span);

	if (!s)
		return;
	give_keys(a, in, s);
	capture(a, in, s);
	parents_noted(&a->parents, in, s);
}

/* Comes again for a span that has its key already: a note then. */
static void on_detach(struct assembler *a, const struct arrival *in)
{
	bool nested, lost;
	struct open_span *s = ended_span(in, &nested);

	if (nested)
		return;
	if (!s && in->probe->ends_start && in->probe->p.span->context_holds_key) {
		lose_keyed(a, in, NULL);
		return;
	}
	if (!s) {
		on_note(a, in);
		return;
	}
	if (in->probe->p.point->or_end && !captured_key(in, &lost)) {
		lose_stale(a, in, s, in->e.head->depth);
		end_span(a, in, s);
		return;
	}
	take_key(a, in, s);
	capture(a, in, s);
	parents_noted(&a->parents, in, s);
}

static void on_panic(struct assembler *a, const struct arrival *in)
{
	struct slot_source src = slot_source_of(in, NULL);
	struct goroutine *g = goroutine_of(in);
	const char *type = NULL;
	uint64_t word;

	if (!g)
		return;
	if (arrival_word(in, in->probe->type_slot, &word))
		type = slot_type_name(&src, word);
	goroutine_panic(g, type, in->e.head->depth);
}

/*
 * Whether s's own frame is the one that recovered. SP is within the frame: depth says how far down. A woven start has
 * the depth of its frame, not of its entry.
 */
static bool recovered_itself(const struct open_span *s, const struct arrival *in)
{
	const struct func *f = &s->start->p.func;
	uint64_t depth = in->e.head->depth, pc;

	if (!s->start->p.point->recovers || !arrival_word(in, in->probe->pc_slot, &pc))
		return false;
	pc -= in->target->t.bias;
	return pc >= f->entry && pc < f->end && s->entry.depth <= depth &&
	       depth - s->entry.depth <= (uint64_t)MAX(f->frame_size, 0) + 16;
}

/* A recovery that no panic was seen for (the hook is optional) is one all the same. */
static struct ending unwound(const struct open_span *s, uint64_t time_ns)
{
	struct ending end = ending_of(s, time_ns);

	if (!end.error_type)
		end.error_type = end.status_text = "panic";
	end.panicked = true;
	return end;
}

static void on_unwind(struct assembler *a, const struct arrival *in)
{
	const struct event_header *h = in->e.head;
	struct goroutine *g = goroutine_of(in);
	struct open_span *s = goroutine_innermost(g), *outer;

	for (; s; s = outer) {
		struct ending end = unwound(s, h->time_ns);

		outer = open_span_outer(s);
		if (s->entry.depth > h->depth || recovered_itself(s, in))
			finish(a, in->target, s, &end);
	}
	g = goroutine_of(in); /* gone with its last span */
	if (g)
		goroutine_forget_panics(g, h->depth);
}

static void on_exit_goroutine(struct assembler *a, const struct arrival *in)
{
	const struct ending end = {.time_ns = in->e.head->time_ns, .error_type = "runtime.Goexit",
				   .status_text = "goroutine exited"};
	struct goroutine *g;

	while ((g = goroutine_of(in)))
		finish(a, in->target, goroutine_innermost(g), &end);
}

/* The slot of the first capture with that use, or NULL. */
static const struct event_slot *slot_used(const struct arrival *in, enum capture_use use)
{
	const struct assembler_probe *p = &in->probe->p;

	for (size_t i = 0; i < p->variant->ncaptures; i++) {
		int slot = p->variant->captures[i].use == use ? p->slot_of_item[i] : -1;

		if (slot >= 0 && slot < in->e.head->slots)
			return &in->e.slots[slot];
	}
	return NULL;
}

/* Nothing that a span is made of. A request that is not armed is not seen again. */
static void on_arm(struct assembler *a, const struct arrival *in)
{
	const struct event_slot *present = slot_used(in, USE_PRESENT);

	if (present && present->status == SLOT_OK)
		a->requests[INJECT_PRESENT]++;
	else if (present && present->status == SLOT_MAP_BUSY)
		a->requests[INJECT_MAP_BUSY]++;
	else if (present && present->status == SLOT_UNREADABLE)
		a->requests[INJECT_UNREADABLE]++;
}

/* By what IR_INJECT says. */
static void count_request(struct assembler *a, uint64_t said)
{
	const uint64_t state = said >> INJECT_STATE_SHIFT;

	a->requests[MIN(said & INJECT_OUTCOME_MASK, (uint64_t)INJECT_UNREADABLE)]++;
	if (state < INJECT_STATES)
		a->states[state]++;
}

/* What the slot does not say its status does: why it could not be found out. */
static void on_inject(struct assembler *a, const struct arrival *in)
{
	const struct event_slot *armed = slot_used(in, USE_ARMED), *s = slot_used(in, USE_INJECT);

	if (!armed || armed->status != SLOT_OK || !s)
		return;
	if (s->status == SLOT_OK)
		count_request(a, s->value);
	else if (s->status == SLOT_ABSENT)
		a->requests[INJECT_NO_SPAN]++;
	else
		a->requests[s->status == SLOT_MAP_BUSY ? INJECT_MAP_BUSY : INJECT_UNREADABLE]++;
}

/* Its probe writes no records. */
static void on_release(struct assembler *a, const struct arrival *in)
{
}

static void on_sdk(struct assembler *a, const struct arrival *in)
{
	parents_sdk_began(&a->parents, in);
}

/* A link is of the process, whichever probe wrote it. */
static void on_link(struct assembler *a, struct target *t, const struct event *e)
{
	struct event_link link;

	if (event_link(e, &link) && !open_spans_link(&t->open, &link, a->o.max_open))
		a->losses.count[LOSS_OPEN_LIMIT]++;
}

typedef void (*record_fn)(struct assembler *a, const struct arrival *in);
static const record_fn on_record[] = {
	[POINT_START] = on_start,   [POINT_END] = on_end,     [POINT_NOTE] = on_note,
	[POINT_UNWIND] = on_unwind, [POINT_EXIT] = on_exit_goroutine, [POINT_PANIC] = on_panic,
	[POINT_JOIN] = on_join,	    [POINT_TIE] = on_tie,     [POINT_DETACH] = on_detach,
	[POINT_SDK] = on_sdk,	    [POINT_ARM] = on_arm,     [POINT_INJECT] = on_inject,
	[POINT_RELEASE] = on_release,
};

void assembler_lost(struct assembler *a, uint64_t until_monotonic_ns)
{
	a->parents.lost_ns = MAX(a->parents.lost_ns, until_monotonic_ns);
}

void assembler_event(struct assembler *a, const void *record, size_t size)
{
	struct arrival in = {0};
	enum point_role role;

	a->events++;
	if (event_decode(record, size, &in.e)) {
		a->last_ns = MAX(a->last_ns, in.e.head->time_ns);
		in.probe = in.e.head->probe < a->probes.len ? a->probes.data[in.e.head->probe] : NULL;
		in.target = target_of(a, in.e.head->target);
	}
	if (in.target && in.e.head->kind == EVENT_LINK) {
		on_link(a, in.target, &in.e);
		return;
	}
	if (!in.probe || !in.target) {
		a->losses.count[LOSS_BAD_RECORD]++;
		assembler_lost(a, a->last_ns);
		return;
	}
	role = in.probe->p.point->role;
	if (in.probe->p.span || role >= POINT_UNWIND)
		on_record[role](a, &in);
}

/* ---- the end ---- */

static const char *fatal_panic(const struct target *t)
{
	for (struct open_entry *e = t->open.stacks.oldest; e; e = e->newer) {
		const struct goroutine *g = open_span_goroutine(open_span_of(e));

		if (g && g->npanics)
			return g->panics[g->npanics - 1].type;
	}
	return NULL;
}

/* A panic that nobody recovered took the process with it, and all that was open elsewhere. */
static void end_open(struct assembler *a, struct target *t, uint64_t now_ns)
{
	const char *fatal = fatal_panic(t);
	struct open_span *s;

	while ((s = open_spans_oldest(&t->open))) {
		struct ending end = ending_of(s, now_ns);

		if (!end.error_type) {
			end.error_type = fatal ? fatal : "process exited";
			end.status_text = "process exited";
		}
		finish(a, t, s, &end);
	}
}

void assembler_end_target(struct assembler *a, uint32_t id, bool exited, uint64_t now_monotonic_ns)
{
	struct target *t = map_del(&a->targets, id);

	if (!t)
		return;
	if (exited)
		end_open(a, t, now_monotonic_ns);
	a->left_open += t->open.stacks.len;
	for (struct open_entry *e = t->open.stacks.oldest; e; e = e->newer)
		trace_closed(&a->o.watch, open_span_of(e)->trace.trace_id);
	target_free(a, t);
}

void assembler_unfinished(struct assembler *a, uint64_t now_monotonic_ns)
{
	const char *key = intern(&a->interner, UNFINISHED_KEY);
	struct open_span *s;
	void *v;

	for (size_t i = 0; map_next(&a->targets, &i, NULL, &v);)
		while ((s = open_spans_oldest(&((struct target *)v)->open))) {
			struct ending end = ending_of(s, now_monotonic_ns);

			attr_list_set(&s->attrs, key, ATTR_BOOL)->b = true;
			finish(a, v, s, &end);
		}
}

void assembler_summary(const struct assembler *a, struct run_summary *ret)
{
	void *v;

	ret->events += a->events;
	ret->spans += a->spans;
	ret->spans_lost += a->spans_lost;
	ret->open += a->left_open;
	for (size_t i = 0; map_next(&a->targets, &i, NULL, &v);)
		ret->open += ((struct target *)v)->open.stacks.len;
	for (size_t i = 0; i < INJECT_OUTCOMES; i++)
		ret->requests[i] += a->requests[i];
	for (size_t i = 0; i < INJECT_STATES; i++)
		ret->states[i] += a->states[i];
	losses_add(&ret->losses, &a->losses);
}
