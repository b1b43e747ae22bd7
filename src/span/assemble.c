/*
 * Records become spans. Each goroutine has a stack of open calls; a start pushes, an end takes the
 * innermost of its definition. What makes this more than a stack:
 *
 * Ends are where it is cheap to look, often another function's entry, so an end's depth says little about
 * the call it ends. Only when an end is a return of the very function that started must the depths agree:
 * recursion pairs by that, and an end whose start was lost is found out.
 *
 * A start at a depth where another call is still open proves that the older one has left the stack: its
 * end was lost. It is counted, not reported: nobody knows when it ended.
 *
 * A panic runs deferred functions on top of the panicking stack, and one of them may be where a span ends
 * (the loop that serves a connection, say). Such an end is the panic's doing. When a deferred function recovered,
 * the runtime cuts the stack back to a frame: all calls deeper than that have ended, the frame's own too
 * if the pack says that it is one that recovers. Goexit ends all calls of its goroutine.
 *
 * Ids and the sampling decision are made at the start, since children need them.
 */
#include "span/assemble.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "span/condition.h"
#include "span/pair.h"

#define WALL_OFFSET_AGE_NS 2000000000u /* clocks are adjusted: measured again after this */
#define DEFAULT_MAX_OPEN 100000

struct target {
	struct assembler_target t;
	struct open_calls open;
};

struct assembler {
	struct assembler_options o;
	struct map probes, targets;      /* by id */
	struct interner interner;
	struct call_pool pool;
	const char *error_type;          /* "error.type", interned */
	uint64_t events, spans, spans_lost;
	uint64_t left_open;              /* in processes that we left */
	struct losses losses;
	int64_t wall_offset;
	uint64_t wall_offset_at;
	VEC(struct attr) attrs;          /* of the span being emitted */
	struct buf name;
	uint64_t entropy[64];
	size_t entropy_left;
};

/* How a call ended. Zero strings: it simply returned. */
struct ending {
	uint64_t time_ns;
	const char *error_type, *status_text;
};

/* One record and all it refers to. */
struct arrival {
	struct event e;
	const struct probe *probe;
	struct target *target;
};

/* ---- set-up ---- */

struct assembler *assembler_new(const struct assembler_options *o)
{
	struct assembler *a = xcalloc(1, sizeof(*a));

	a->o = *o;
	if (!a->o.max_open)
		a->o.max_open = DEFAULT_MAX_OPEN;
	a->error_type = intern(&a->interner, "error.type");
	return a;
}

static void target_free(struct assembler *a, struct target *t)
{
	open_calls_done(&t->open, &a->pool);
	free(t);
}

void assembler_free(struct assembler *a)
{
	void *v;

	if (!a)
		return;
	for (size_t i = 0; map_next(&a->targets, &i, NULL, &v);)
		target_free(a, v);
	for (size_t i = 0; map_next(&a->probes, &i, NULL, &v);)
		free(v);
	map_done(&a->targets);
	map_done(&a->probes);
	interner_done(&a->interner);
	call_pool_done(&a->pool);
	vec_done(&a->attrs);
	buf_done(&a->name);
	free(a);
}

static int control_slot(const struct assembler_probe *p, const char *name)
{
	for (size_t i = 0; name && i < p->variant->ncaptures; i++) {
		int slot = p->slot_of_item[i];

		if (!strcmp(p->variant->captures[i].name, name) && slot >= 0 &&
		    (size_t)slot < p->program->nslots)
			return slot;
	}
	return -1;
}

void assembler_add_probe(struct assembler *a, const struct assembler_probe *p)
{
	struct probe *probe = xcalloc(1, sizeof(*probe));

	probe->p = *p;
	probe->rules = capture_rules_new(&a->interner, p->variant, p->program, p->slot_of_item,
					 &probe->nrules);
	for (size_t i = 0; a->o.redact && i < probe->nrules; i++)
		if (probe->rules[i].redact)
			probe->rules[i].redact = a->o.redact;
	probe->traceparent_slot = control_slot(p, p->span ? p->span->traceparent : NULL);
	probe->tracestate_slot = control_slot(p, p->span ? p->span->tracestate : NULL);
	probe->key_slot = control_slot(p, p->span ? p->span->key : NULL);
	probe->type_slot = control_slot(p, p->span ? NULL : "type");
	probe->pc_slot = control_slot(p, p->span ? NULL : "pc");
	free(map_set(&a->probes, p->id, probe));
}

void assembler_add_target(struct assembler *a, const struct assembler_target *t)
{
	struct target *target = xcalloc(1, sizeof(*target)), *old;

	target->t = *t;
	old = map_set(&a->targets, t->id, target);
	if (old)
		target_free(a, old);
}

/* ---- ids ---- */

static uint64_t system_random(struct assembler *a)
{
	size_t got = 0;

	if (a->entropy_left)
		return a->entropy[--a->entropy_left];
	while (got < sizeof(a->entropy)) {
		ssize_t n = getrandom((char *)a->entropy + got, sizeof(a->entropy) - got, 0);

		if (n < 0 && errno != EINTR)
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	/* Without getrandom (a seccomp filter may refuse it) ids need only be different. */
	for (size_t i = got / sizeof(uint64_t); i < ARRAY_SIZE(a->entropy); i++)
		a->entropy[i] = clock_monotonic_ns() * 0x9e3779b97f4a7c15u ^ (a->events << 20 | i);
	a->entropy_left = ARRAY_SIZE(a->entropy);
	return a->entropy[--a->entropy_left];
}

static void random_id(struct assembler *a, uint8_t *ret, size_t words)
{
	uint64_t any = 0;

	for (int tries = 0; !any && tries < 8; tries++) {
		for (size_t i = 0; i < words; i++) {
			uint64_t r = a->o.random ? a->o.random(a->o.arg) : system_random(a);

			memcpy(ret + i * sizeof(r), &r, sizeof(r));
			any |= r;
		}
	}
	if (!any) /* all zeroes is no id */
		ret[words * sizeof(any) - 1] = 1;
}

/* What the request's header says of the parent: remote (then it is in *ret), none or unknown. */
static enum span_parent incoming_parent(const struct arrival *in, struct trace_context *ret)
{
	int slot = in->probe->traceparent_slot;
	const char *s;
	size_t len;

	if (slot < 0 || slot >= in->e.head->slots)
		return SPAN_PARENT_UNKNOWN;
	s = event_bytes(&in->e, (size_t)slot, &len);
	if (s && traceparent_parse(s, len, ret))
		return SPAN_PARENT_REMOTE;
	return slot_lost(in->e.slots[slot].status) ? SPAN_PARENT_UNKNOWN : SPAN_PARENT_NONE;
}

static void incoming_state(const struct arrival *in, struct buf *out)
{
	int slot = in->probe->tracestate_slot;
	const char *s = NULL;
	size_t len;

	if (slot >= 0 && slot < in->e.head->slots)
		s = event_bytes(&in->e, (size_t)slot, &len);
	if (s)
		tracestate_read(s, len, in->e.slots[slot].status == SLOT_CUT, out);
}

static void set_trace(struct assembler *a, struct call *c, const struct arrival *in)
{
	struct trace_context remote;

	c->parent = incoming_parent(in, &remote);
	if (c->parent == SPAN_PARENT_REMOTE) {
		c->trace = remote;
		memcpy(c->parent_id, remote.span_id, sizeof(c->parent_id));
		incoming_state(in, &c->trace_state);
		if (!a->o.sample_parent_based)
			c->trace.sampled = trace_sampled(c->trace.trace_id, a->o.sample);
	} else if (c->outer) {
		c->trace = c->outer->trace;
		c->parent = SPAN_PARENT_LOCAL;
		memcpy(c->parent_id, c->outer->trace.span_id, sizeof(c->parent_id));
		if (c->outer->trace_state.len)
			buf_append(&c->trace_state, c->outer->trace_state.data, c->outer->trace_state.len);
	} else {
		random_id(a, c->trace.trace_id, 2);
		c->trace.sampled = trace_sampled(c->trace.trace_id, a->o.sample);
	}
	random_id(a, c->trace.span_id, 1);
}

/* ---- from a call to a span ---- */

static uint64_t wall_clock(struct assembler *a, uint64_t monotonic_ns)
{
	uint64_t now = clock_monotonic_ns();

	if (!a->wall_offset_at || now - a->wall_offset_at > WALL_OFFSET_AGE_NS) {
		a->wall_offset = clock_wall_offset_ns();
		a->wall_offset_at = now;
	}
	return monotonic_ns + (uint64_t)a->wall_offset;
}

/* What error.type becomes where nothing captured says it: the value that made it an error. */
static void set_error_type(struct assembler *a, struct call *c, const char *ended_by, const struct attr_value *cause)
{
	buf_reset(&a->name);
	if (ended_by)
		buf_str(&a->name, ended_by);
	else if (cause && cause->kind != ATTR_BOOL)
		attr_list_print(&c->attrs, cause, &a->name);
	if (!a->name.len)
		buf_str(&a->name, "_OTHER"); /* the conventions' word for an error without a type */
	attr_list_set_string(&c->attrs, a->error_type, a->name.data, a->name.len);
}

static enum span_status set_error(struct assembler *a, struct call *c, const struct ending *end)
{
	const struct condition *error = c->start->p.span->error;
	const struct attr_value *cause = NULL;

	if (!(error && condition_holds(error, &c->attrs, &cause)) && !end->error_type)
		return SPAN_STATUS_UNSET;
	if (!attr_list_find(&c->attrs, a->error_type, strlen(a->error_type)))
		set_error_type(a, c, end->error_type, cause);
	return SPAN_STATUS_ERROR;
}

static void emit(struct assembler *a, const struct target *t, struct call *c,
		 const struct ending *end, uint64_t goid)
{
	const struct pack_span *def = c->start->p.span;
	struct span s = {
		.parent = c->parent,
		.trace_state = c->trace_state.len ? c->trace_state.data : NULL,
		.pack = c->start->p.pack->name,
		.kind = def->kind,
		.status = set_error(a, c, end),
		.status_text = end->status_text,
		.start_unix_ns = wall_clock(a, c->start_ns),
		.duration_ns = end->time_ns > c->start_ns ? end->time_ns - c->start_ns : 0,
		.goid = goid,
		.resource = t->t.resource,
	};
	struct attr attr;

	memcpy(s.trace_id, c->trace.trace_id, sizeof(s.trace_id));
	memcpy(s.span_id, c->trace.span_id, sizeof(s.span_id));
	memcpy(s.parent_id, c->parent_id, sizeof(s.parent_id));
	a->attrs.len = 0;
	for (size_t i = 0; i < c->attrs.values.len; i++)
		if (attr_list_get(&c->attrs, i, &attr))
			vec_push(&a->attrs, attr);
	title_render(&c->attrs, def->titles, def->name, &a->name);
	s.name = a->name.data;
	s.attrs = a->attrs.data;
	s.nattrs = a->attrs.len;
	a->spans++;
	a->o.emit(a->o.arg, &s);
}

static void finish(struct assembler *a, struct target *t, struct call *c, const struct ending *end)
{
	uint64_t goid = c->goroutine->id;

	open_calls_remove(&t->open, &a->pool, c);
	if (c->trace.sampled)
		emit(a, t, c, end, goid);
	else
		a->losses.count[LOSS_SAMPLED_OUT]++;
	call_release(&a->pool, c);
}

static void drop(struct assembler *a, struct target *t, struct call *c)
{
	open_calls_remove(&t->open, &a->pool, c);
	call_release(&a->pool, c);
}

static void lose(struct assembler *a, struct target *t, struct call *c, enum loss why)
{
	a->losses.count[why]++;
	a->spans_lost++;
	drop(a, t, c);
}

/* How c ended, if it ends while a panic is under way. */
static struct ending ending_of(const struct call *c, uint64_t time_ns)
{
	const struct pending_panic *p = call_panic(c);
	struct ending end = {.time_ns = time_ns};

	if (p) {
		end.error_type = p->type ? p->type : "panic";
		end.status_text = "panic";
	}
	return end;
}

/* ---- records ---- */

static void capture(struct assembler *a, const struct arrival *in, struct call *c)
{
	struct value_source src = {in->probe->p.binary, in->target->t.bias,
				   &a->losses.count[LOSS_VALUE_UNREADABLE]};

	attributes_capture(&c->attrs, in->probe->rules, in->probe->nrules, &in->e, &src);
}

static struct goroutine *goroutine_of(const struct arrival *in)
{
	return open_calls_goroutine(&in->target->open, in->e.head->goid);
}

/* Calls at this depth or deeper, down to (without) `until`, are no longer on the stack. */
static void lose_stale(struct assembler *a, const struct arrival *in, const struct call *until,
		       uint64_t depth)
{
	struct goroutine *g = goroutine_of(in);
	struct call *c = g ? g->innermost : NULL, *outer;

	for (; c && c != until; c = outer) {
		outer = c->outer;
		if (c->depth >= depth)
			lose(a, in->target, c, LOSS_UNPAIRED_START);
	}
}

static bool control_word(const struct arrival *in, int slot, uint64_t *ret)
{
	if (slot < 0 || slot >= in->e.head->slots || in->e.slots[slot].status != SLOT_OK)
		return false;
	*ret = in->e.slots[slot].value;
	return true;
}

static void on_start(struct assembler *a, const struct arrival *in)
{
	const struct event_header *h = in->e.head;
	struct open_calls *open = &in->target->open;
	struct goroutine *g;
	struct call *c;
	uint64_t key;

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
	if (open->len >= a->o.max_open)
		lose(a, in->target, open->oldest, LOSS_OPEN_LIMIT);
	c = open_calls_push(open, &a->pool, h->goid, in->probe, h->depth, h->time_ns);
	set_trace(a, c, in);
	capture(a, in, c);
	if (control_word(in, in->probe->key_slot, &key) && key)
		open_calls_set_key(open, c, key);
}

static bool same_function(const struct probe *start, const struct probe *end)
{
	return end->p.variant->at_return && end->p.func.entry &&
	       start->p.func.entry == end->p.func.entry && start->p.binary == end->p.binary;
}

static bool discarded(const struct call *c, const struct pack_point *end, struct buf *scratch)
{
	const struct attr_value *v;

	if (!end->discard_attribute)
		return false;
	v = attr_list_find(&c->attrs, end->discard_attribute, strlen(end->discard_attribute));
	if (!v)
		return false;
	buf_reset(scratch);
	attr_list_print(&c->attrs, v, scratch);
	return end->discard_value && scratch->len == strlen(end->discard_value) &&
	       !memcmp(scratch->data, end->discard_value, scratch->len);
}

/* The call that this record ends, or NULL. *ret_same: it is the return of a nested call that counts as
 * part of the one that is open. */
static struct call *ended_call(const struct arrival *in, bool *ret_same)
{
	const struct pack_span *span = in->probe->p.span;
	struct call *c = goroutine_find(goroutine_of(in), span);
	uint64_t depth = in->e.head->depth;

	*ret_same = false;
	if (!c || !same_function(c->start, in->probe))
		return c;
	if (span->nested_same && c->depth < depth)
		*ret_same = true;
	while (c && (c->start->p.span != span || c->depth > depth))
		c = c->outer;
	return c && c->depth == depth ? c : NULL;
}

static void on_end(struct assembler *a, const struct arrival *in)
{
	bool nested;
	struct call *c = ended_call(in, &nested);
	struct ending end;

	if (nested)
		return;
	if (!c) {
		a->losses.count[LOSS_UNPAIRED_END] += !in->probe->p.point->may_miss;
		return;
	}
	lose_stale(a, in, c, in->e.head->depth);
	capture(a, in, c);
	end = ending_of(c, in->e.head->time_ns);
	if (discarded(c, in->probe->p.point, &a->name))
		drop(a, in->target, c);
	else
		finish(a, in->target, c, &end);
}

static void on_note(struct assembler *a, const struct arrival *in)
{
	struct call *c = goroutine_find(goroutine_of(in), in->probe->p.span);

	if (!c)
		c = open_calls_joined(&in->target->open, in->e.head->goid);
	if (c && c->start->p.span == in->probe->p.span)
		capture(a, in, c);
}

static void on_join(struct assembler *a, const struct arrival *in)
{
	uint64_t key;

	if (in->e.head->goid && !goroutine_find(goroutine_of(in), in->probe->p.span) &&
	    control_word(in, in->probe->key_slot, &key))
		open_calls_join(&in->target->open, in->e.head->goid, key);
	on_note(a, in);
}

static void on_panic(struct assembler *a, const struct arrival *in)
{
	struct value_source src = {in->probe->p.binary, in->target->t.bias, NULL};
	struct goroutine *g = goroutine_of(in);
	const char *type = NULL;
	uint64_t word;

	if (!g)
		return;
	if (control_word(in, in->probe->type_slot, &word))
		type = type_word_name(&src, word);
	goroutine_panic(g, type, in->e.head->depth);
}

/* Whether c's own frame is the one that recovered. SP is within the frame: depth says how far down. */
static bool recovered_itself(const struct call *c, const struct arrival *in)
{
	const struct func *f = &c->start->p.func;
	uint64_t depth = in->e.head->depth, pc;

	if (!c->start->p.point->recovers || !control_word(in, in->probe->pc_slot, &pc))
		return false;
	pc -= in->target->t.bias;
	return pc >= f->entry && pc < f->end && c->depth < depth &&
	       depth - c->depth <= (uint64_t)MAX(f->frame_size, 0) + 16;
}

/* A recovery that no panic was seen for (the hook is optional) is one all the same. */
static struct ending unwound(const struct call *c, uint64_t time_ns)
{
	struct ending end = ending_of(c, time_ns);

	if (!end.error_type)
		end.error_type = end.status_text = "panic";
	return end;
}

static void on_unwind(struct assembler *a, const struct arrival *in)
{
	const struct event_header *h = in->e.head;
	struct goroutine *g = goroutine_of(in);
	struct call *c = g ? g->innermost : NULL, *outer;

	for (; c; c = outer) {
		struct ending end = unwound(c, h->time_ns);

		outer = c->outer;
		if (c->depth > h->depth || recovered_itself(c, in))
			finish(a, in->target, c, &end);
	}
	g = goroutine_of(in); /* gone with its last call */
	if (g)
		goroutine_forget_panics(g, h->depth);
}

static void on_exit_goroutine(struct assembler *a, const struct arrival *in)
{
	struct ending end = {in->e.head->time_ns, "runtime.Goexit", "goroutine exited"};
	struct goroutine *g;

	while ((g = goroutine_of(in)))
		finish(a, in->target, g->innermost, &end);
}

typedef void (*record_fn)(struct assembler *a, const struct arrival *in);
static const record_fn on_record[] = {
	[POINT_START] = on_start,   [POINT_END] = on_end,     [POINT_NOTE] = on_note,
	[POINT_UNWIND] = on_unwind, [POINT_EXIT] = on_exit_goroutine, [POINT_PANIC] = on_panic,
	[POINT_JOIN] = on_join,
};

void assembler_event(struct assembler *a, const void *record, size_t size)
{
	struct arrival in = {0};
	enum point_role role;

	a->events++;
	if (event_decode(record, size, &in.e)) {
		in.probe = map_get(&a->probes, in.e.head->probe);
		in.target = map_get(&a->targets, in.e.head->target);
	}
	if (!in.probe || !in.target) {
		a->losses.count[LOSS_BAD_RECORD]++;
		return;
	}
	role = in.probe->p.point->role;
	if (in.probe->p.span || role >= POINT_UNWIND)
		on_record[role](a, &in);
}

/* ---- the end ---- */

static const char *fatal_panic(const struct target *t)
{
	for (const struct call *c = t->open.oldest; c; c = c->newer)
		if (c->goroutine->npanics)
			return c->goroutine->panics[c->goroutine->npanics - 1].type;
	return NULL;
}

/* A panic that nobody recovered took the process with it, and all that was open elsewhere. */
static void end_open(struct assembler *a, struct target *t, uint64_t now_ns)
{
	const char *fatal = fatal_panic(t);

	while (t->open.oldest) {
		struct ending end = ending_of(t->open.oldest, now_ns);

		if (!end.error_type) {
			end.error_type = fatal ? fatal : "process exited";
			end.status_text = "process exited";
		}
		finish(a, t, t->open.oldest, &end);
	}
}

void assembler_end_target(struct assembler *a, uint32_t id, bool exited, uint64_t now_monotonic_ns)
{
	struct target *t = map_del(&a->targets, id);

	if (!t)
		return;
	if (exited)
		end_open(a, t, now_monotonic_ns);
	a->left_open += t->open.len;
	target_free(a, t);
}

void assembler_summary(const struct assembler *a, struct run_summary *ret)
{
	void *v;

	ret->events += a->events;
	ret->spans += a->spans;
	ret->spans_lost += a->spans_lost;
	ret->open += a->left_open;
	for (size_t i = 0; map_next(&a->targets, &i, NULL, &v);)
		ret->open += ((struct target *)v)->open.len;
	losses_add(&ret->losses, &a->losses);
}
