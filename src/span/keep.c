/*
 * Traces are in two lists, by when something of them was seen last: undecided and decided ones. What was decided is
 * remembered as long as the trace may still be heard of, and then forgotten.
 */
#include "span/keep.h"

#include <string.h>

#include "base/map.h"
#include "span/condition.h"

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
	VEC(const char *) names;           /* that rules name, each once */
	struct attr_list values;           /* of these, of the span at hand */
	struct losses losses;
};

/* ---- rules ---- */

static const char *const statuses[] = {"error", "unset", NULL};
static const struct condition_domain domains[] = {
	{"status", statuses}, {"kind", span_kind_names}, {"duration", NULL}, {0}};

int keep_rule_parse(const char *text, struct arena *arena, const struct condition **ret, struct err *err)
{
	return condition_parse(text, domains, arena, ret, err);
}

static void add_names(struct keeper *k, const struct condition *c)
{
	if (!c)
		return;
	add_names(k, c->a);
	add_names(k, c->b);
	if (c->op != CONDITION_ATTRIBUTE)
		return;
	for (size_t i = 0; i < k->names.len; i++)
		if (!strcmp(k->names.data[i], c->text))
			return;
	vec_push(&k->names, c->text);
}

static void set_text(struct keeper *k, const char *name, const char *text)
{
	attr_list_set_string(&k->values, name, text, strlen(text));
}

static void set_value(struct keeper *k, const char *name, const struct attr *a)
{
	struct attr_value *v;

	if (a->kind == ATTR_STRING) {
		attr_list_set_string(&k->values, name, a->s, a->len);
		return;
	}
	v = attr_list_set(&k->values, name, a->kind);
	if (a->kind == ATTR_INT)
		v->i = a->i;
	else if (a->kind == ATTR_DOUBLE)
		v->d = a->d;
	else
		v->b = a->b;
}

static void set_named(struct keeper *k, const char *name, const struct span *s)
{
	const struct attr *a;

	if (!strcmp(name, "status"))
		set_text(k, name, span_status_text(s->status));
	else if (!strcmp(name, "kind"))
		set_text(k, name, span_kind_text(s->kind));
	else if (!strcmp(name, "name"))
		set_text(k, name, s->name);
	else if (!strcmp(name, "pack"))
		set_text(k, name, s->pack);
	else if (!strcmp(name, "duration"))
		attr_list_set(&k->values, name, ATTR_INT)->i = (int64_t)s->duration_ns;
	else if ((a = span_attr(s, name)))
		set_value(k, name, a);
}

static bool is_worth_keeping(struct keeper *k, const struct span *s)
{
	const struct attr_value *cause;

	attr_list_reset(&k->values);
	for (size_t i = 0; i < k->names.len; i++)
		set_named(k, k->names.data[i], s);
	for (size_t i = 0; i < k->o.nrules; i++)
		if (condition_holds(k->o.rules[i], &k->values, &cause))
			return true;
	return false;
}

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

	if (t->decision != KEPT && is_worth_keeping(k, s))
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
	for (size_t i = 0; i < o->nrules; i++)
		add_names(k, o->rules[i]);
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
	attr_list_done(&k->values);
	vec_done(&k->names);
	free(k);
}
