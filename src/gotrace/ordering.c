/*
 * The next event is the earliest of those that come next on their threads, if it can happen now: a goroutine is started
 * only when it is runnable and all that was before it, by its sequence number, has been seen. Otherwise that thread
 * waits and the next one is tried. Ps are left out: what they order, goroutines order as well.
 */
#include "gotrace/ordering.h"

#include <errno.h>

#define STALLS_EACH    64 /* events that could not happen yet, for each one that did: far more than Go's own have */
#define STALLS_FREE    1000000
#define GOROUTINES_MAX (8u << 20) /* at once */

/* ---- states, packed into the maps' values ---- */

struct order_state {
	enum go_status status; /* GO_STATUS_BAD: there is no such goroutine */
	uint64_t sequence;
	uint64_t generation; /* its low bits */
};
#define SEQUENCE_BITS   40
#define GENERATION_BITS 21

static struct order_state state_of(const struct gotrace_ordering *o, uint64_t goid)
{
	uint64_t v = (uintptr_t)map_get(&o->goroutines, goid);

	return (struct order_state){
		.status = v & 7,
		.sequence = v >> 3 & ((1ull << SEQUENCE_BITS) - 1),
		.generation = v >> (3 + SEQUENCE_BITS),
	};
}

static uint64_t low_bits(uint64_t generation)
{
	return generation & ((1ull << GENERATION_BITS) - 1);
}

static void set_state(struct gotrace_ordering *o, uint64_t goid, enum go_status status, uint64_t sequence,
		      uint64_t generation)
{
	uint64_t v =
		(uint64_t)status | (sequence & ((1ull << SEQUENCE_BITS) - 1)) << 3 | generation << (3 + SEQUENCE_BITS);

	map_set(&o->goroutines, goid, (void *)(uintptr_t)v);
}

static void set_new(struct gotrace_ordering *o, uint64_t goid, enum go_status status)
{
	set_state(o, goid, status, 0, low_bits(o->current));
}

static void set_status(struct gotrace_ordering *o, uint64_t goid, enum go_status status)
{
	struct order_state s = state_of(o, goid);

	set_state(o, goid, status, s.sequence, s.generation);
}

struct order_thread {
	bool known;                   /* what runs on it */
	uint64_t goid;                /* that does; 0: none */
};

static struct order_thread *thread_of(struct gotrace_ordering *o, uint64_t m)
{
	struct order_thread *t = map_get(&o->threads, m);

	if (t)
		return t;
	t = xcalloc(1, sizeof(*t));
	map_set(&o->threads, m, t);
	return t;
}

static void set_goid_on(struct order_thread *t, uint64_t goid)
{
	t->known = true;
	t->goid = goid;
}

/* ---- events ---- */

enum step { STEP_BROKEN = -1, STEP_NOT_YET, STEP_DONE };

static bool may_be_goid(const struct gotrace_ordering *o, uint64_t goid)
{
	return goid && goid <= INT64_MAX && o->goroutines.len < GOROUTINES_MAX;
}

static bool comes_next(const struct gotrace_ordering *o, uint64_t goid, enum go_status in, uint64_t sequence)
{
	struct order_state s = state_of(o, goid);

	return s.status == in && s.generation == low_bits(o->current) && sequence == s.sequence + 1;
}

static enum step step_create(struct gotrace_ordering *o, struct order_thread *t, const struct gotrace_event *e)
{
	if (!may_be_goid(o, e->args[1]) || state_of(o, e->args[1]).status)
		return STEP_BROKEN;
	if (e->type == GO_CREATE_SYSCALL) {
		if (e->goid)
			return STEP_BROKEN;
		set_goid_on(t, e->args[1]);
	}
	set_new(o, e->args[1],
		e->type == GO_CREATE           ? GO_RUNNABLE
		: e->type == GO_CREATE_BLOCKED ? GO_WAITING
					       : GO_SYSCALL);
	return STEP_DONE;
}

static enum step step_start(struct gotrace_ordering *o, struct order_thread *t, const struct gotrace_event *e)
{
	if (!comes_next(o, e->args[1], GO_RUNNABLE, e->args[2]))
		return STEP_NOT_YET;
	if (e->goid)
		return STEP_BROKEN;
	set_state(o, e->args[1], GO_RUNNING, e->args[2], low_bits(o->current));
	set_goid_on(t, e->args[1]);
	return STEP_DONE;
}

static enum step step_unblock(struct gotrace_ordering *o, const struct gotrace_event *e)
{
	if (!comes_next(o, e->args[1], GO_WAITING, e->args[2]))
		return STEP_NOT_YET;
	set_state(o, e->args[1], GO_RUNNABLE, e->args[2], low_bits(o->current));
	return STEP_DONE;
}

/* The goroutine leaves `from` for `to` (GO_STATUS_BAD: it ends). */
static enum step step_leave(struct gotrace_ordering *o, struct order_thread *t, const struct gotrace_event *e,
			    enum go_status from, enum go_status to)
{
	if (!e->goid || state_of(o, e->goid).status != from)
		return STEP_BROKEN;
	if (to)
		set_status(o, e->goid, to);
	else
		map_del(&o->goroutines, e->goid);
	if (to != GO_RUNNING && to != GO_SYSCALL)
		set_goid_on(t, 0);
	return STEP_DONE;
}

static enum step step_switch(struct gotrace_ordering *o, struct order_thread *t, const struct gotrace_event *e)
{
	if (!e->goid || e->goid == e->args[1] || state_of(o, e->goid).status != GO_RUNNING)
		return STEP_BROKEN;
	if (!comes_next(o, e->args[1], GO_WAITING, e->args[2]))
		return STEP_NOT_YET;
	step_leave(o, t, e, GO_RUNNING, e->type == GO_SWITCH ? GO_WAITING : GO_STATUS_BAD);
	set_state(o, e->args[1], GO_RUNNING, e->args[2], low_bits(o->current));
	set_goid_on(t, e->args[1]);
	return STEP_DONE;
}

/* In which state a goroutine was when the generation began. Its sequence numbers begin anew. */
static enum step step_status(struct gotrace_ordering *o, struct order_thread *t, const struct gotrace_event *e)
{
	uint64_t goid = e->args[1], m = e->args[2], status = e->args[3];
	enum go_status known = state_of(o, goid).status;

	if (!may_be_goid(o, goid) || !status || status > GO_WAITING ||
		(known ? known != status : o->current != o->first))
		return STEP_BROKEN;
	if (status == GO_RUNNING)
		set_goid_on(t, goid);
	if (status == GO_SYSCALL) {
		struct order_thread *there = m == e->m ? t : thread_of(o, m);

		if (m == GOTRACE_NO_M || (there->known && there->goid != goid && !(there == t && !known)))
			return STEP_BROKEN;
		set_goid_on(there, goid);
	}
	set_new(o, goid, (enum go_status)status);
	return STEP_DONE;
}

/* Cycles of the garbage collector: their beginnings and ends may be on any thread. */
static enum step step_gc(struct gotrace_ordering *o, const struct gotrace_event *e)
{
	if (o->gc_known && e->args[1] != o->gc_sequence + 1)
		return STEP_NOT_YET;
	if (!o->gc_known && e->type == GO_GC_END)
		return STEP_NOT_YET; /* a cycle that had begun before is told of by GCActive */
	o->gc_known = true;
	o->gc_sequence = e->args[1];
	return STEP_DONE;
}

static enum step step(struct gotrace_ordering *o, struct order_thread *t, const struct gotrace_event *e)
{
	switch (e->type) {
	case GO_CREATE:
	case GO_CREATE_BLOCKED:
	case GO_CREATE_SYSCALL:
		return step_create(o, t, e);
	case GO_START:
		return step_start(o, t, e);
	case GO_UNBLOCK:
		return step_unblock(o, e);
	case GO_DESTROY:
		return step_leave(o, t, e, GO_RUNNING, GO_STATUS_BAD);
	case GO_DESTROY_SYSCALL:
		return step_leave(o, t, e, GO_SYSCALL, GO_STATUS_BAD);
	case GO_STOP:
		return step_leave(o, t, e, GO_RUNNING, GO_RUNNABLE);
	case GO_BLOCK:
		return step_leave(o, t, e, GO_RUNNING, GO_WAITING);
	case GO_SYSCALL_BEGIN:
		return step_leave(o, t, e, GO_RUNNING, GO_SYSCALL);
	case GO_SYSCALL_END:
		return step_leave(o, t, e, GO_SYSCALL, GO_RUNNING);
	case GO_SYSCALL_END_BLOCKED:
		return step_leave(o, t, e, GO_SYSCALL, GO_RUNNABLE);
	case GO_SWITCH:
	case GO_SWITCH_DESTROY:
		return step_switch(o, t, e);
	case GO_STATUS:
	case GO_STATUS_STACK:
		return step_status(o, t, e);
	case GO_GC_ACTIVE:
	case GO_GC_BEGIN:
	case GO_GC_END:
		return step_gc(o, e);
	case GO_STW_BEGIN:
	case GO_STW_END:
	case GO_ASSIST_BEGIN:
	case GO_ASSIST_END:
	case GO_TASK_BEGIN:
	case GO_TASK_END:
	case GO_REGION_BEGIN:
	case GO_REGION_END:
	case GO_LOG:
		return e->goid ? STEP_DONE : STEP_BROKEN;
	default:
		return STEP_DONE;
	}
}

/* ---- threads ---- */

/* A thread in its generation: what comes next of it. */
struct cursor {
	struct order_thread *thread;
	const struct event_batch *batch, *end;
	size_t at;      /* behind what comes next */
	uint64_t ticks; /* of what comes next */
	struct gotrace_event next;
};

struct merge_heap {
	const struct generation *generation;
	struct cursor *cursors;
	struct cursor **heap; /* the earliest first */
	size_t n;
	bool check; /* what events name is looked for */
	uint64_t events, stalls;
};

static bool names_what_is_there(const struct generation *g, const struct event_shape *shape, const uint64_t *args)
{
	for (unsigned i = 1; i < shape->args; i++)
		if ((shape->strings >> i & 1 && !generation_has_string(g, args[i])) ||
		    (shape->stacks >> i & 1 && !generation_has_stack(g, args[i])))
			return false;
	return true;
}

static bool decode(struct merge_heap *h, struct cursor *c)
{
	const struct generation *g = h->generation;
	const size_t end = c->batch->at + c->batch->len;
	const struct event_shape *shape = &gotrace_shapes[g->data[c->at]];
	struct gotrace_event *e = &c->next;

	if (!shape->name)
		return false;
	e->type = g->data[c->at++];
	for (unsigned i = 0; i < shape->args; i++)
		if (!gotrace_varint(g->data, end, &c->at, &e->args[i]))
			return false;
	if (c->ticks + e->args[0] < c->ticks)
		return false;
	c->ticks += e->args[0];
	return !h->check || names_what_is_there(g, shape, e->args);
}

/* 1: there is a next one; 0: there is none; -EBADMSG. */
static int cursor_next(struct merge_heap *h, struct cursor *c)
{
	while (c->batch < c->end && c->at == c->batch->at + c->batch->len) {
		c->batch++;
		if (c->batch < c->end) {
			c->at = c->batch->at;
			c->ticks = c->batch->ticks;
		}
	}
	if (c->batch == c->end)
		return 0;
	return decode(h, c) ? 1 : -EBADMSG;
}

static void heap_down(struct merge_heap *h, size_t i)
{
	struct cursor *c = h->heap[i];

	for (size_t k; (k = 2 * i + 1) < h->n; i = k) {
		k += k + 1 < h->n && h->heap[k + 1]->ticks < h->heap[k]->ticks;
		if (h->heap[k]->ticks >= c->ticks)
			break;
		h->heap[i] = h->heap[k];
	}
	h->heap[i] = c;
}

static void heap_push(struct merge_heap *h, struct cursor *c)
{
	size_t i = h->n++;

	for (; i && h->heap[(i - 1) / 2]->ticks > c->ticks; i = (i - 1) / 2)
		h->heap[i] = h->heap[(i - 1) / 2];
	h->heap[i] = c;
}

/* The earliest one, behind the heap, which gets shorter. */
static void set_aside(struct merge_heap *h)
{
	struct cursor *c = h->heap[0];

	h->heap[0] = h->heap[--h->n];
	if (h->n)
		heap_down(h, 0);
	h->heap[h->n] = c;
}

static int broken(struct err *err, const struct cursor *c, const char *what)
{
	return err_set(err, -EBADMSG, "%s (%s of thread %llu)", what, gotrace_shapes[c->next.type].name,
		       (unsigned long long)c->next.m);
}

static enum step try(struct gotrace_ordering *o, struct cursor *c)
{
	c->next.goid = c->thread->goid;
	return step(o, c->thread, &c->next);
}

/*
 * Brings the cursor whose event happens next to the heap's root. Those before it, which have to wait, are set aside:
 * how many they are. -EBADMSG.
 */
static int choose(struct gotrace_ordering *o, struct merge_heap *h, size_t *ret_aside, struct err *err)
{
	enum step s = STEP_NOT_YET;
	size_t aside = 0;

	while (h->n && (s = try(o, h->heap[0])) == STEP_NOT_YET) {
		set_aside(h);
		aside++;
	}
	h->stalls += aside;
	if (s == STEP_BROKEN)
		return broken(err, h->heap[0], "has an event that cannot have happened there");
	if (s == STEP_NOT_YET || h->stalls > STALLS_FREE + STALLS_EACH * h->events)
		return broken(err, h->heap[0], "has events that cannot be put in order");
	*ret_aside = aside;
	return 0;
}

/* The i-th's next event. Its children, if there are any, are heaps. */
static int advance(struct merge_heap *h, size_t i, struct err *err)
{
	struct cursor *c = h->heap[i];
	int r = cursor_next(h, c);

	if (r < 0)
		return err_set(err, r, "has an event that is damaged, or names a text or a stack that is not there");
	if (!r)
		h->heap[i] = h->heap[--h->n];
	if (i < h->n)
		heap_down(h, i);
	return 0;
}

/* A cursor for each thread: batches lie by thread. */
static int heap_fill(struct gotrace_ordering *o, struct merge_heap *h, struct err *err)
{
	const struct event_batch *b = h->generation->batches.data, *end = b + h->generation->batches.len;

	for (struct cursor *c = h->cursors; b < end; c++) {
		const struct event_batch *first = b;

		while (b < end && b->m == first->m)
			b++;
		*c = (struct cursor){.thread = thread_of(o, first->m), .batch = first, .end = b, .at = first->at,
				     .ticks = first->ticks, .next.m = first->m,
				     .next.generation = h->generation};
		h->heap[h->n++] = c;
	}
	for (size_t i = h->n; i-- > 0;) {
		int r = advance(h, i, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int run(struct gotrace_ordering *o, struct merge_heap *h, gotrace_event_fn fn, void *arg, struct err *err)
{
	int r = heap_fill(o, h, err);
	size_t aside = 0, behind;

	while (r >= 0 && h->n) {
		r = choose(o, h, &aside, err);
		if (r < 0)
			break;
		h->events++;
		h->heap[0]->next.ns = generation_ns(h->generation, h->heap[0]->ticks);
		if (fn)
			fn(arg, &h->heap[0]->next);
		behind = h->n;
		r = advance(h, 0, err);
		for (size_t i = 0; r >= 0 && i < aside; i++)
			heap_push(h, h->heap[behind + i]);
	}
	return r;
}

int gotrace_order(struct gotrace_ordering *o, const struct generation *g, gotrace_event_fn fn, void *arg,
		  struct err *err)
{
	struct merge_heap h = {.generation = g, .check = !fn};
	int r;

	o->current = g->number;
	o->first = o->first ? o->first : g->number;
	h.cursors = xcalloc(g->batches.len + 1, sizeof(*h.cursors));
	h.heap = xcalloc(g->batches.len + 1, sizeof(*h.heap));
	r = run(o, &h, fn, arg, err);
	free(h.cursors);
	free(h.heap);
	return r < 0 ? r : 0;
}

void gotrace_ordering_done(struct gotrace_ordering *o)
{
	uint64_t m;
	void *t;

	for (size_t pos = 0; map_next(&o->threads, &pos, &m, &t);)
		free(t);
	map_done(&o->goroutines);
	map_done(&o->threads);
}
