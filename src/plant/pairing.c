#include "plant/pairing.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "event/open_stack.h"

#define OPEN_DEFAULT 65536
#define SECOND 1000000000u

struct paired_probe {
	bool known;                    /* else only its control is */
	enum program_role role;
	uint32_t group;
	uint64_t func;
	struct plant_control control;
	uint64_t passed;               /* of control.every */
	uint64_t second, in_second;    /* of control.per_second */
	struct losses *losses;         /* NULL: none so far */
};

/* The depth never falls from one call of a goroutine to the next inner one. */
struct open_call {
	struct open_entry open;
	struct paired_probe *of;
	uint32_t epoch;
	bool unsure;                   /* its return may have been lost */
	struct event_header record[];  /* the whole record */
};

struct pairing {
	struct map probes;             /* id + 1 → struct paired_probe */
	struct open_stacks calls;
	size_t max_open;
	bool losing;
	struct buf sample;
	plant_event_fn fn;             /* of pairing_take, while it is at work */
	void *arg;
};

static struct open_call *call_of(struct open_entry *e)
{
	return e ? CONTAINER_OF(e, struct open_call, open) : NULL;
}

struct pairing *pairing_new(size_t max_open)
{
	struct pairing *p = xcalloc(1, sizeof(*p));

	p->max_open = max_open ? max_open : OPEN_DEFAULT;
	return p;
}

static void call_free(struct pairing *p, struct open_call *c)
{
	if (c->open.goroutine)
		open_stacks_remove(&p->calls, &c->open);
	free(c);
}

void pairing_free(struct pairing *p)
{
	void *value;

	if (!p)
		return;
	while (p->calls.oldest)
		call_free(p, call_of(p->calls.oldest));
	open_stacks_done(&p->calls);
	for (size_t i = 0; map_next(&p->probes, &i, NULL, &value);) {
		free(((struct paired_probe *)value)->losses);
		free(value);
	}
	map_done(&p->probes);
	buf_done(&p->sample);
	free(p);
}

static struct paired_probe *probe_of(struct pairing *p, uint32_t probe)
{
	struct paired_probe *of = map_get(&p->probes, probe + UINT64_C(1));

	if (!of) {
		of = xcalloc(1, sizeof(*of));
		map_set(&p->probes, probe + UINT64_C(1), of);
	}
	return of;
}

void pairing_add(struct pairing *p, uint32_t probe, enum program_role role, uint32_t group, uint64_t func)
{
	struct paired_probe *of = probe_of(p, probe);

	if (of->known)
		return;
	of->known = true;
	of->role = role;
	of->group = group;
	of->func = func;
}

void pairing_control(struct pairing *p, uint32_t probe, const struct plant_control *c)
{
	probe_of(p, probe)->control = *c;
}

static void lose(struct paired_probe *of, enum loss why)
{
	if (!of->losses)
		of->losses = xcalloc(1, sizeof(*of->losses));
	of->losses->count[why]++;
}

/* What the control lets through, by the time of the event. */
static bool admitted(struct paired_probe *of, const struct event_header *h)
{
	const struct plant_control *c = &of->control;
	uint64_t second = h->time_ns / SECOND;

	if (c->every > 1 && of->passed++ % c->every) {
		lose(of, LOSS_EVERY);
		return false;
	}
	if (!c->per_second)
		return true;
	if (second != of->second)
		of->in_second = 0;
	of->second = second;
	if (of->in_second >= c->per_second) {
		lose(of, LOSS_RATE_LIMITED);
		return false;
	}
	of->in_second++;
	return true;
}

static struct open_call *innermost(const struct pairing *p, const struct event_header *h)
{
	return call_of(open_stacks_innermost(&p->calls, open_goroutine_key(h->target, h->goid)));
}

static void give(struct pairing *p, const struct event_header *end, const struct event_header *call)
{
	buf_reset(&p->sample);
	buf_append(&p->sample, end, end->size);
	buf_append(&p->sample, call, call->size);
	p->fn(p->arg, p->sample.data, p->sample.len);
}

/* What shows that a call ended without its return. */
enum unwound_by {
	UNWOUND_BY_HOOK,  /* the runtime's: it did */
	UNWOUND_BY_CALL,  /* another call is in its place: its return may have been lost, too */
};

static void unwind(struct pairing *p, struct open_call *c, uint64_t time, enum unwound_by by)
{
	struct event_header end = {.size = sizeof(end), .version = EVENT_VERSION, .kind = EVENT_UNWOUND,
				   .probe = c->record->probe, .target = c->record->target, .time_ns = time,
				   .goid = c->record->goid, .depth = c->record->depth};

	open_stacks_remove(&p->calls, &c->open);
	if (c->unsure && by == UNWOUND_BY_CALL)
		lose(c->of, LOSS_UNPAIRED_START);
	else
		give(p, &end, c->record);
	call_free(p, c);
}

/* Returns the innermost call that is left of the goroutine. */
static struct open_call *unwind_deeper(struct pairing *p, const struct event_header *h, enum unwound_by by)
{
	struct open_call *c = innermost(p, h), *outer;

	for (; c && c->open.depth > h->depth; c = outer) {
		outer = call_of(c->open.outer);
		unwind(p, c, h->time_ns, by);
	}
	return c;
}

static void call_begins(struct pairing *p, struct paired_probe *of, const struct event_header *h, uint32_t epoch)
{
	struct open_call *c = unwind_deeper(p, h, UNWOUND_BY_CALL), *outer;

	for (; c && c->open.depth == h->depth; c = outer) {
		outer = call_of(c->open.outer);
		if (c->of->group == of->group || c->of->func != of->func)
			unwind(p, c, h->time_ns, UNWOUND_BY_CALL);
	}
	if (p->calls.len >= p->max_open) {
		lose(of, LOSS_CALLS_FULL);
		return;
	}
	if (!admitted(of, h))
		return;
	c = xmalloc(offsetof(struct open_call, record) + h->size);
	*c = (struct open_call){.of = of, .epoch = epoch, .unsure = p->losing};
	memcpy(c->record, h, h->size);
	open_stacks_push(&p->calls, open_goroutine_key(h->target, h->goid), &c->open, h->depth);
}

/*
 * A return without its call says nothing: the entry was before us, or left out. end: what is handed on of it, or NULL
 * when it did not pass its condition.
 */
static void call_returns(struct pairing *p, const struct paired_probe *of, const struct event_header *h, uint32_t epoch,
			 const struct event_header *end)
{
	struct open_call *c = unwind_deeper(p, h, UNWOUND_BY_CALL);

	while (c && (c->open.depth != h->depth || c->of->group != of->group))
		c = call_of(c->open.outer);
	if (!c)
		return;
	open_stacks_remove(&p->calls, &c->open);
	/* In another epoch it may be the return of a later call, whose entry was lost with this one's return. */
	if (c->epoch != epoch)
		lose(c->of, LOSS_UNPAIRED_START);
	else if (end)
		give(p, end, c->record);
	call_free(p, c);
}

void pairing_take(struct pairing *p, const void *record, uint32_t epoch, plant_event_fn fn, void *arg)
{
	static const enum event_kind kinds[] = {
		[PROGRAM_POINT] = EVENT_POINT,	  [PROGRAM_ENTRY] = EVENT_CALL,	  [PROGRAM_RETURN] = EVENT_RETURN,
		[PROGRAM_UNWIND] = EVENT_UNWOUND, [PROGRAM_EXIT] = EVENT_UNWOUND,
	};
	const struct event_header *h = record;
	struct paired_probe *of = map_get(&p->probes, h->probe + UINT64_C(1));

	if (!of || !of->known)
		return;
	p->fn = fn;
	p->arg = arg;
	if (of->role == PROGRAM_RETURN && h->kind == EVENT_UNWOUND)
		call_returns(p, of, h, epoch, NULL);
	else if (h->kind != kinds[of->role])
		return;
	else if (h->kind == EVENT_CALL)
		call_begins(p, of, h, epoch);
	else if (h->kind == EVENT_RETURN)
		call_returns(p, of, h, epoch, h);
	else if (h->kind == EVENT_UNWOUND)
		unwind_deeper(p, h, UNWOUND_BY_HOOK);
	else if (admitted(of, h))
		fn(arg, record, h->size);
}

void pairing_losing(struct pairing *p, bool losing)
{
	p->losing = losing;
}

void pairing_lost(struct pairing *p, uint32_t target)
{
	for (struct open_entry *e = p->calls.oldest; e; e = e->newer)
		call_of(e)->unsure |= call_of(e)->record->target == target;
}

int pairing_open_calls(struct pairing *p, uint32_t target, bool take, plant_event_fn fn, void *arg)
{
	int n = 0;

	for (struct open_entry *e = p->calls.oldest; e; e = e->newer) {
		const struct event_header *record = call_of(e)->record;

		if (record->target != target)
			continue;
		if (fn)
			fn(arg, record, record->size);
		n++;
	}
	if (take)
		pairing_forget(p, target);
	return n;
}

void pairing_forget(struct pairing *p, uint32_t target)
{
	struct open_entry *e, *newer;

	for (e = p->calls.oldest; e; e = newer) {
		newer = e->newer;
		if (call_of(e)->record->target == target)
			call_free(p, call_of(e));
	}
}

static void add_losses(struct losses *to, const struct paired_probe *of)
{
	if (of && of->losses)
		losses_add(to, of->losses);
}

void pairing_losses(const struct pairing *p, uint32_t probe, struct losses *ret)
{
	void *value;

	if (probe)
		add_losses(ret, map_get(&p->probes, probe + UINT64_C(1)));
	for (size_t i = 0; !probe && map_next(&p->probes, &i, NULL, &value);)
		add_losses(ret, value);
}
