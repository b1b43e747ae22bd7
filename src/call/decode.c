/*
 * Samples → calls. A sample says by number which capture program wrote it; the plan of that program says what the
 * slots mean. Everything of a call lives in an arena that ends with it: outputs keep what they want.
 */
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "call/decode.h"
#include "call/late.h"
#include "call/value_slot.h"
#include "plant/aggregate.h"
#include "probe/bind/builtin.h"

struct probe_plan {
	const struct call_plan *plan;
	struct call_function function;
	struct call_aggregate *aggregates; /* of plan->aggregates */
	const struct shape_table *shapes;
	struct probe_plan *next; /* all of them, to be freed */
	uint64_t passed, second, in_second; /* of a late_at_entry: what the control lets through */
};

struct call_decoder {
	struct call_decoder_options options;
	struct map probes;       /* id → struct probe_plan */
	struct map processes;    /* target + 1 → struct call_process */
	struct probe_plan *plans;
	struct wall_clock wall;
	uint64_t events;
	struct aggregates *late; /* of the plans whose condition is tested here */
	struct losses losses;
};

/* A call while it is put together. */
struct decoding {
	struct call_decoder *d;
	const struct probe_plan *probe;
	const struct call_process *process;
	const struct event *entry, *ret; /* ret: NULL where there is no record of a return */
	enum call_end end;
	uint64_t end_ns;
	const void *sample;              /* its bytes; NULL: it is not over */
	size_t size;
	struct arena arena;
};

struct call_decoder *call_decoder_new(const struct call_decoder_options *o)
{
	struct call_decoder *d = xcalloc(1, sizeof(*d));

	d->options = *o;
	return d;
}

void call_decoder_free(struct call_decoder *d)
{
	struct probe_plan *next;

	if (!d)
		return;
	for (struct probe_plan *p = d->plans; p; p = next) {
		next = p->next;
		free(p->aggregates);
		free(p);
	}
	aggregates_free(d->late);
	map_done(&d->probes);
	map_done(&d->processes);
	free(d);
}

/* ---- what a plan is to sinks ---- */

static struct call_function describe_function(const struct call_plan *plan)
{
	return (struct call_function){.question = plan->question ? plan->question->text : NULL,
				      .name = plan->name,
				      .inlined_into = plan->inlined ? plan->func.name : NULL,
				      .approximate = plan->approximate,
				      .followed = plan->followed,
				      .threads = plan->usdt,
				      .takes_all = !plan->question || !plan->question->nactions};
}

/* `latency`, or of type time.Duration. */
static bool is_duration(const struct plan_aggregate *a)
{
	const struct expr *e = a->action->nargs ? a->action->args[0] : NULL;
	const struct type *t = a->value ? a->value->type : NULL;

	return (e && e->op == EXPR_NAME && builtin_is(e->text, BUILTIN_LATENCY)) ||
	       (t && t->name && !strcmp(t->name, "time.Duration"));
}

static struct call_aggregate describe_aggregate(const struct plan_aggregate *a)
{
	const struct action *action = a->action;
	struct call_aggregate c = {.action = (uintptr_t)action,
				   .text = action->text,
				   .kind = action->aggregate,
				   .duration = is_duration(a),
				   .low = action->low,
				   .high = action->high,
				   .step = action->step,
				   .nkeys = action->nby};

	for (size_t i = 0; i < c.nkeys; i++) {
		c.keys[i].text = action->by_texts[i];
		c.keys[i].constant = a->constant_key[i];
		c.keys[i].stack = a->keys[i] && a->keys[i]->kind == VALUE_STACK;
	}
	return c;
}

const struct call_function *call_decoder_add_plan(struct call_decoder *d, const struct call_plan *plan,
						  const struct shape_table *shapes, uint32_t entry_id, uint32_t ret_id)
{
	struct probe_plan *p = xcalloc(1, sizeof(*p));

	*p = (struct probe_plan){
		.plan = plan, .function = describe_function(plan), .shapes = shapes, .next = d->plans};
	p->aggregates = xcalloc(plan->naggregates, sizeof(*p->aggregates));
	for (size_t i = 0; i < plan->naggregates; i++)
		p->aggregates[i] = describe_aggregate(&plan->aggregates[i]);
	d->plans = p;
	map_set(&d->probes, entry_id, p);
	if (ret_id)
		map_set(&d->probes, ret_id, p);
	if (!plan->counted)
		return &p->function;
	if (!d->late)
		d->late = aggregates_new(0);
	if (ret_id)
		aggregates_add(d->late, entry_id, &plan->entry, NULL);
	aggregates_add(d->late, ret_id ? ret_id : entry_id, plan->counted, NULL);
	return &p->function;
}

int call_decoder_aggregates(struct call_decoder *d, bool clear, plant_group_fn fn, void *arg)
{
	return d->late ? aggregates_read(d->late, clear, fn, arg) : 0;
}

void call_decoder_add_process(struct call_decoder *d, const struct call_process *p)
{
	map_set(&d->processes, (uint64_t)p->resource->id + 1, (void *)p);
}

static const struct call_process *process_of(const struct call_decoder *d, uint32_t target)
{
	return map_get(&d->processes, (uint64_t)target + 1);
}

static struct value_node unreadable(const char *why)
{
	return (struct value_node){.form = FORM_UNREADABLE, .text = why};
}

/* Of an inlined call, at run time; 0 for others. */
static uint64_t call_pc(const struct call_plan *plan, const struct call_process *process)
{
	return plan->inlined ? plan->call_pc + process->bias : 0;
}

static struct value_context context_of(const struct call_decoder *d, const struct probe_plan *p,
				       const struct call_process *process, struct arena *arena)
{
	return (struct value_context){.binary = process->binary, .shapes = p->shapes, .bias = process->bias,
				      .arena = arena, .texts = d->options.texts,
				      .call_pc = call_pc(p->plan, process)};
}

static struct value_node text_value(const char *text)
{
	return (struct value_node){.form = FORM_TEXT, .text = text, .len = strlen(text)};
}

/*
 * What is known of a call without a slot: `func`, `pid`, `panicked`, who made an inlined one. False: it is none of
 * them.
 */
static bool known_value(const struct value_context *c, const char *name, const struct call_plan *plan,
			const struct call_process *process, enum call_end end, struct value_node *ret)
{
	const struct builtin *builtin = builtin_find(name);

	if (!builtin || !builtin_is_of_record(builtin, plan->inlined))
		return false;
	if (builtin->id == BUILTIN_FUNC)
		*ret = text_value(plan->name);
	else if (builtin->id == BUILTIN_PID)
		*ret = (struct value_node){.form = FORM_INT, .i = process->resource->pid};
	else if (builtin->id == BUILTIN_CALLER)
		*ret = text_value(code_name(c, c->call_pc, true));
	else
		*ret = (struct value_node){.form = FORM_BOOL, .u = end == CALL_PANICKED};
	return true;
}

static struct value_node make_value(struct decoding *c, const struct shown *shown)
{
	const struct call_plan *plan = c->probe->plan;
	const struct capture_program *program = shown->at_entry ? &plan->entry : &plan->ret;
	const struct event *e = shown->at_entry ? c->entry : c->ret;
	struct value_context context = context_of(c->d, c->probe, c->process, &c->arena);
	struct value_node v;

	if (shown->slot < 0 && !shown->why && known_value(&context, shown->name, plan, c->process, c->end, &v))
		return v;
	if (!e)
		return unreadable(NULL);
	if (shown->slot < 0)
		return unreadable(shown->why ? shown->why : "it could not be captured");
	if ((size_t)shown->slot >= program->nslots || shown->slot >= e->head->slots)
		return unreadable("it is not in the record");
	if (plan->recorded && e->slots[shown->slot].status == SLOT_NIL)
		return (struct value_node){.form = FORM_NIL}; /* of an error the type is all there is */
	value_from_slot(&context, e, (size_t)shown->slot, &program->slots[shown->slot], shown, &v);
	c->d->losses.count[LOSS_VALUE_UNREADABLE] += value_lost(&v);
	return v;
}

static void add_values(struct decoding *c, struct call_record *r)
{
	static const enum call_value_kind kinds[] = {
		[SHOWN_ARG] = CALL_ARG, [SHOWN_RESULT] = CALL_RESULT, [SHOWN_EXPR] = CALL_EXPR};
	const struct call_plan *plan = c->probe->plan;
	struct call_value *values = arena_array(&c->arena, struct call_value, plan->nshown);

	for (size_t i = 0; i < plan->nshown; i++) {
		const struct shown *shown = &plan->shown[i];

		values[i] = (struct call_value){.kind = kinds[shown->kind],
						.name = shown->name,
						.never_read = shown->why,
						.value = make_value(c, shown)};
	}
	r->values = values;
	r->nvalues = plan->nshown;
}

static void add_stack(struct decoding *c, struct call_record *r)
{
	uint64_t within = call_pc(c->probe->plan, c->process), *stack;
	int slot = c->probe->plan->stack_slot;
	const char *bytes;
	size_t n = 0;

	if (slot < 0)
		return;
	bytes = event_bytes(c->entry, (size_t)slot, &n);
	if (!bytes) {
		c->d->losses.count[LOSS_VALUE_UNREADABLE]++;
		return;
	}
	stack = arena_alloc(&c->arena, n + sizeof(*stack));
	if (within)
		stack[r->nstack++] = within + 1; /* as if it were a return address */
	memcpy(stack + r->nstack, bytes, n);
	r->nstack += n / sizeof(uint64_t);
	r->stack = stack;
	r->stack_cut = c->entry->slots[slot].status == SLOT_CUT;
}

static uint64_t since(const struct event *entry, uint64_t end_ns)
{
	return end_ns > entry->head->time_ns ? end_ns - entry->head->time_ns : 0;
}

/* --every and --rate, where they come behind a condition that is tested here. */
static bool control_passes(struct call_decoder *d, struct probe_plan *p, const struct event *entry)
{
	const struct plant_control *c = &d->options.control;
	uint64_t second = entry->head->time_ns / UINT64_C(1000000000);

	if (!p->plan->late_at_entry)
		return true;
	if (c->every > 1 && p->passed++ % c->every) {
		d->losses.count[LOSS_EVERY]++;
		return false;
	}
	if (p->second != second) {
		p->second = second;
		p->in_second = 0;
	}
	if (c->per_second && p->in_second++ >= c->per_second) {
		d->losses.count[LOSS_RATE_LIMITED]++;
		return false;
	}
	return true;
}

/* Whether the part of the condition that could not be tested in the probe holds; c has no values yet. */
static bool passes(struct decoding *c)
{
	const struct call_plan *plan = c->probe->plan;
	struct value_context context = context_of(c->d, c->probe, c->process, &c->arena);
	const struct late_call call = {.plan = plan, .entry = c->entry, .ret = c->ret, .end = c->end,
				       .context = &context};
	enum late_verdict v;

	if (!plan->late)
		return true;
	v = late_test(&call, plan->late);
	c->d->losses.count[LOSS_FILTER_UNREADABLE] += v == LATE_UNREADABLE;
	if (v != LATE_TRUE || !control_passes(c->d, (struct probe_plan *)c->probe, c->entry))
		return false;
	return plan->counted && c->sample ? aggregates_take(c->d->late, c->sample, c->size) : plan->prints;
}

static uint64_t code_address(const struct call_plan *plan)
{
	return plan->pc ? plan->pc : plan->func.entry;
}

/* The call of records that were found to belong together. */
static void emit(struct decoding *c)
{
	const struct event_header *h = c->entry->head;
	struct call_record r = {
		.function = &c->probe->function,
		.resource = c->process->resource,
		.address = code_address(c->probe->plan) + c->process->bias,
		.end = c->end,
		.start_ns = h->time_ns,
		.start_unix_ns = wall_clock_ns(&c->d->wall, h->time_ns, h->time_ns),
		.duration_ns = c->end != CALL_POINT ? since(c->entry, c->end_ns) : 0,
		.goid = h->goid,
		.depth = h->depth,
	};

	if (passes(c)) {
		add_values(c, &r);
		add_stack(c, &r);
		c->d->options.emit(c->d->options.arg, &r);
	}
	arena_done(&c->arena);
}

static const struct probe_plan *probe_of(const struct call_decoder *d, const struct event *e)
{
	return map_get(&d->probes, e->head->probe);
}

static bool decode_end(struct call_decoder *d, const void *sample, size_t size, const struct event *end,
		       const struct event *call)
{
	const struct probe_plan *probe = probe_of(d, call);
	const struct call_process *process = process_of(d, call->head->target);
	bool returned = end->head->kind == EVENT_RETURN;

	if (!probe || !process || end->head->target != call->head->target)
		return false;
	if (returned && probe_of(d, end) != probe) /* an unwinding has a program of its own */
		return false;
	if (returned || plan_ending_holds(probe->plan, &probe->plan->panicked, call, since(call, end->head->time_ns)))
		emit(&(struct decoding){.d = d, .probe = probe, .process = process, .entry = call,
					.ret = returned ? end : NULL, .end = returned ? CALL_RETURNED : CALL_PANICKED,
					.end_ns = end->head->time_ns, .sample = sample, .size = size});
	return true;
}

static bool decode_point(struct call_decoder *d, const void *sample, size_t size, const struct event *e)
{
	const struct probe_plan *probe = probe_of(d, e);
	const struct call_process *process = process_of(d, e->head->target);

	if (e->head->kind != EVENT_POINT || !probe || !process)
		return false;
	emit(&(struct decoding){.d = d, .probe = probe, .process = process, .entry = e, .end = CALL_POINT,
				.sample = sample, .size = size});
	return true;
}

void call_decoder_sample(struct call_decoder *d, const void *sample, size_t size)
{
	struct event e[2];
	size_t n;
	bool ok = event_decode_sample(sample, size, e, &n);

	d->events++;
	if (ok)
		ok = n == 2 ? decode_end(d, sample, size, &e[0], &e[1]) : decode_point(d, sample, size, &e[0]);
	d->losses.count[LOSS_BAD_RECORD] += !ok;
}

void call_decoder_open(struct call_decoder *d, const void *sample, size_t size, enum call_end open_end, uint64_t now_ns)
{
	const struct call_process *process;
	const struct probe_plan *probe;
	struct event e[2];
	size_t n;

	d->events++;
	if (!event_decode_sample(sample, size, e, &n) || n != 1 || e[0].head->kind != EVENT_CALL ||
	    !(probe = probe_of(d, &e[0])) || !(process = process_of(d, e[0].head->target))) {
		d->losses.count[LOSS_BAD_RECORD]++;
		return;
	}
	if (probe->plan->prints && /* else it was kept for the sake of aggregates */
	    plan_ending_holds(probe->plan, &probe->plan->open, &e[0], since(&e[0], now_ns)))
		emit(&(struct decoding){.d = d, .probe = probe, .process = process, .entry = &e[0], .end = open_end,
					.end_ns = now_ns});
}

void call_decoder_losses(const struct call_decoder *d, struct run_summary *ret)
{
	ret->events += d->events;
	losses_add(&ret->losses, &d->losses);
	if (d->late)
		aggregates_losses(d->late, 0, &ret->losses);
}

/* ---- groups of aggregates ---- */

/* A key as the record it could have come from, so that values are made in one place. */
struct key_record {
	struct event_header head;
	struct event_slot slot;
	_Alignas(8) char bytes[IR_MAX_STACK * sizeof(uint64_t)];
};
_Static_assert(sizeof(((struct key_record *)0)->bytes) >= AGG_KEY_STR, "a text fits");

static struct value_node slot_key(const struct value_context *context, const struct plant_key *k,
				  const struct ir_slot *what)
{
	struct key_record *r = arena_new(context->arena, struct key_record); /* the value may point into it */
	struct event e = {.head = &r->head, .slots = &r->slot};
	size_t n = k->bytes ? MIN(k->len, sizeof(r->bytes)) : 0;
	struct value_node v;

	if (k->status == SLOT_NOT_RESIDENT) /* all such keys are one: what could be read is not told apart */
		return unreadable(slot_status_text(SLOT_UNREADABLE));
	r->head = (struct event_header){.size = sizeof(*r), .version = EVENT_VERSION, .kind = EVENT_POINT, .slots = 1};
	r->slot = (struct event_slot){.status = k->status, .value = k->word};
	if (what->kind == VALUE_STRING || what->kind == VALUE_STACK) {
		r->slot.copied = (uint16_t)n;
		r->slot.len = (uint32_t)(what->kind == VALUE_STRING ? MAX(MIN(k->word, UINT32_MAX), n) : n);
		r->slot.value = offsetof(struct key_record, bytes);
		if (k->status == SLOT_OK && r->slot.len > n)
			r->slot.status = SLOT_CUT;
		if (n)
			memcpy(r->bytes, k->bytes, n);
	}
	value_from_slot(context, &e, 0, what, NULL, &v);
	return v;
}

static struct value_node constant_key(const struct value_context *c, const struct call_plan *plan,
				      const struct expr *by, const struct call_process *process)
{
	struct value_node v;

	return known_value(c, by->text, plan, process, CALL_RETURNED, &v) ? v : unreadable("it could not be captured");
}

/* Its number among the plan's; plan->naggregates: there is none. */
static size_t aggregate_of(const struct call_plan *plan, size_t index)
{
	size_t i = 0;

	while (i < plan->naggregates && plan->aggregates[i].index != index)
		i++;
	return i;
}

bool call_decoder_group(struct call_decoder *d, const struct plant_group *g, struct arena *arena,
			struct call_group *ret)
{
	const struct probe_plan *probe = map_get(&d->probes, g->probe);
	const struct call_process *process = process_of(d, g->target);
	const struct plan_aggregate *a;
	struct value_context context;
	size_t captured = 0; /* the planter knows of the keys that have a slot only */
	size_t n;

	if (!probe || !process || (n = aggregate_of(probe->plan, g->aggregate)) == probe->plan->naggregates)
		return false;
	a = &probe->plan->aggregates[n];
	context = context_of(d, probe, process, arena);
	*ret = (struct call_group){.function = &probe->function, .aggregate = &probe->aggregates[n],
				   .resource = process->resource, .nkeys = a->action->nby,
				   .count = g->count, .sum = g->sum, .min = g->min, .max = g->max,
				   .nbuckets = g->nbuckets, .inexact = probe->plan->inexact};
	ret->buckets = arena_memdup(arena, g->buckets, g->nbuckets * sizeof(*g->buckets));
	for (size_t i = 0; i < ret->nkeys; i++)
		ret->keys[i] = a->constant_key[i]
				       ? constant_key(&context, probe->plan, a->action->by[i], process)
				       : slot_key(&context, &g->keys[captured++], a->keys[i]);
	return true;
}
