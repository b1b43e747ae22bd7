/*
 * Traces are in two lists, by when something of them was seen last: undecided and decided ones. What was decided is
 * remembered as long as the trace may still be heard of, and then forgotten.
 */
#include "span/keep.h"

#include <string.h>

#include "base/map.h"

#define DEFAULT_BYTES    (64u << 20)
#define DEFAULT_QUIET_NS 2000000000ull
#define MAX_DECIDED      65536

enum decision { UNDECIDED, KEPT, GIVEN_UP };

struct waiting {
	struct waiting *next;
	struct span *span;
};

struct trace {
	uint8_t id[16];
	enum decision decision;
	struct trace *before, *behind;     /* of its list, the quietest first */
	struct waiting *first, **last;
	size_t open, bytes, nspans;
	uint64_t seen_ns;
};

struct trace_list {
	struct trace *quietest, *newest;
	size_t len;
};

struct keeper {
	struct keeper_options o;
	struct map traces;                 /* by the id's first eight bytes → struct trace */
	struct trace_list undecided, decided;
	size_t bytes;
	struct span_rules rules;
	struct losses losses;
};

/* ---- traces ---- */

static struct trace_list *list_of(struct keeper *k, const struct trace *t)
{
	return t->decision == UNDECIDED ? &k->undecided : &k->decided;
}

static void take_out(struct keeper *k, struct trace *t)
{
	struct trace_list *l = list_of(k, t);

	*(t->before ? &t->before->behind : &l->quietest) = t->behind;
	*(t->behind ? &t->behind->before : &l->newest) = t->before;
	l->len--;
}

static void put_last(struct keeper *k, struct trace *t)
{
	struct trace_list *l = list_of(k, t);

	t->before = l->newest;
	t->behind = NULL;
	*(l->newest ? &l->newest->behind : &l->quietest) = t;
	l->newest = t;
	l->len++;
}

static uint64_t key_of(const uint8_t id[16])
{
	uint64_t key;

	memcpy(&key, id, sizeof(key));
	return key;
}

static void empty(struct keeper *k, struct trace *t)
{
	struct waiting *w, *next;

	for (w = t->first; w; w = next) {
		next = w->next;
		free(w->span);
		free(w);
	}
	k->bytes -= t->bytes;
	t->first = NULL;
	t->last = &t->first;
	t->bytes = t->nspans = 0;
}

static void forget(struct keeper *k, struct trace *t)
{
	take_out(k, t);
	empty(k, t);
	map_del(&k->traces, key_of(t->id));
	free(t);
}

static void decide(struct keeper *k, struct trace *t, enum decision d)
{
	take_out(k, t);
	t->decision = d;
	put_last(k, t);
	if (k->decided.len > MAX_DECIDED)
		forget(k, k->decided.quietest);
}

static void give_up(struct keeper *k, struct trace *t, enum loss why)
{
	k->losses.count[why] += t->nspans;
	empty(k, t);
	decide(k, t, GIVEN_UP);
}

/* Traces whose ids begin alike are told apart; there is room for one of them, the one that is heard of. */
static struct trace *trace_of(struct keeper *k, const uint8_t id[16], uint64_t now_ns)
{
	struct trace *t = map_get(&k->traces, key_of(id));

	if (t && memcmp(t->id, id, sizeof(t->id))) {
		k->losses.count[LOSS_KEEP_MEMORY] += t->nspans;
		forget(k, t);
		t = NULL;
	}
	if (t) {
		take_out(k, t);
	} else {
		t = xcalloc(1, sizeof(*t));
		memcpy(t->id, id, sizeof(t->id));
		t->last = &t->first;
		map_set(&k->traces, key_of(id), t);
	}
	t->seen_ns = now_ns;
	put_last(k, t);
	return t;
}

/* ---- spans that wait ---- */

static void wait_with(struct keeper *k, struct trace *t, const struct span *s)
{
	struct waiting *w = xcalloc(1, sizeof(*w));
	size_t bytes;

	w->span = span_copy(s, &bytes);
	bytes += sizeof(*w);
	*t->last = w;
	t->last = &w->next;
	t->nspans++;
	t->bytes += bytes;
	k->bytes += bytes;
	while (k->bytes > k->o.max_bytes)
		give_up(k, k->undecided.quietest, LOSS_KEEP_MEMORY);
}

static void keep(struct keeper *k, struct trace *t)
{
	for (struct waiting *w = t->first; w; w = w->next)
		k->o.emit(k->o.arg, w->span);
	empty(k, t);
	decide(k, t, KEPT);
}

/* ---- what is told ---- */

void keeper_open(struct keeper *k, const uint8_t trace_id[16], uint64_t now_ns)
{
	trace_of(k, trace_id, now_ns)->open++;
}

void keeper_close(struct keeper *k, const uint8_t trace_id[16], uint64_t now_ns)
{
	struct trace *t = trace_of(k, trace_id, now_ns);

	t->open -= t->open > 0;
}

/* A span of a trace that was given up may be worth keeping all the same: then it and what follows are. */
void keeper_span(struct keeper *k, const struct span *s, uint64_t now_ns)
{
	struct trace *t = trace_of(k, s->trace_id, now_ns);

	if (t->decision != KEPT && span_rules_hold(&k->rules, s))
		keep(k, t);
	if (t->decision == KEPT)
		k->o.emit(k->o.arg, s);
	else if (t->decision == UNDECIDED)
		wait_with(k, t, s);
	else
		k->losses.count[LOSS_NOT_KEPT]++;
}

static bool is_quiet(const struct keeper *k, const struct trace *t, uint64_t now_ns)
{
	return t->seen_ns + k->o.quiet_ns <= now_ns;
}

void keeper_tick(struct keeper *k, uint64_t now_ns)
{
	struct trace *t, *behind;

	for (t = k->undecided.quietest; t && is_quiet(k, t, now_ns); t = behind) {
		behind = t->behind;
		if (!t->open)
			give_up(k, t, LOSS_NOT_KEPT);
	}
	for (t = k->decided.quietest; t && is_quiet(k, t, now_ns); t = behind) {
		behind = t->behind;
		if (!t->open && t->seen_ns + 2 * k->o.quiet_ns <= now_ns)
			forget(k, t);
	}
}

void keeper_finish(struct keeper *k)
{
	while (k->undecided.quietest)
		give_up(k, k->undecided.quietest, LOSS_NOT_KEPT);
}

void keeper_losses(const struct keeper *k, struct losses *ret)
{
	losses_add(ret, &k->losses);
}

struct keeper *keeper_new(const struct keeper_options *o)
{
	struct keeper *k = xcalloc(1, sizeof(*k));

	k->o = *o;
	if (!k->o.max_bytes)
		k->o.max_bytes = DEFAULT_BYTES;
	if (!k->o.quiet_ns)
		k->o.quiet_ns = DEFAULT_QUIET_NS;
	span_rules_init(&k->rules, o->rules, o->nrules);
	return k;
}

void keeper_free(struct keeper *k)
{
	uint64_t key;
	void *t;

	if (!k)
		return;
	for (size_t i = 0; map_next(&k->traces, &i, &key, &t);) {
		empty(k, t);
		free(t);
	}
	map_done(&k->traces);
	span_rules_done(&k->rules);
	free(k);
}
