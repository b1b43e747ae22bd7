#include "cmd/call_consumer.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "call/value_texts.h"
#include "cmd/budget.h"
#include "cmd/call_groups.h"
#include "cmd/call_losses.h"

struct call_consumer {
	struct consumer consumer;
	const struct call_options *options;
	struct inquiry inquiry;        /* what is asked of every executable */
	struct value_texts *texts;     /* which the packs tell */
	struct call_decoder *decoder;
	struct budget *budget;
	struct loop_source *interval;
	uint64_t calls;                /* shown */
	uint64_t named_calls;          /* of them, those that --limit is about */
	uint64_t ngroups;              /* shown */
	bool counts;                   /* a plan has aggregates */
	struct call_losses losses;
	uint64_t paused_calls;         /* that were open when the probes were taken out for a while */
	bool stopping;                 /* --limit is reached: what still comes is not shown */
};

static struct call_consumer *self(struct consumer *c)
{
	return (struct call_consumer *)c; /* its first member */
}

static const source_list *sources_of(const struct call_consumer *s)
{
	return observation_sources(s->consumer.observation);
}

static const sink_list *sinks_of(const struct call_consumer *s)
{
	return observation_sinks(s->consumer.observation);
}

/* ---- calls ---- */

static void on_call(void *arg, const struct call_record *call)
{
	struct call_consumer *s = arg;

	if (s->stopping)
		return;
	outputs_call(sinks_of(s), call);
	s->calls++;
	s->named_calls += !call->function->followed;
	if (s->options->limit && s->named_calls >= s->options->limit) {
		s->stopping = true;
		observation_quit(s->consumer.observation);
	}
}

static void on_sample(struct consumer *c, const void *sample, size_t size)
{
	call_decoder_sample(self(c)->decoder, sample, size);
}

/* ---- open calls ---- */

struct open_calls_end {
	struct call_decoder *decoder;
	enum call_end end;
	uint64_t now_ns;
};

static void on_open_call(void *arg, const void *sample, size_t size)
{
	const struct open_calls_end *o = arg;

	call_decoder_open(o->decoder, sample, size, o->end, o->now_ns);
}

typedef VEC(struct call_running) running_list;

static void on_running(void *arg, const void *sample, size_t size)
{
	running_list *l = arg;
	struct event e;

	if (event_decode(sample, size, &e))
		vec_push(l, ((struct call_running){.target = e.head->target, .goid = e.head->goid,
						   .start_ns = e.head->time_ns}));
}

/* For the sinks that show a call only once nothing can come above it. */
static void tell_running(struct consumer *c)
{
	struct call_consumer *s = self(c);
	struct observed_process *p;
	running_list l = {0};

	if (!outputs_want_running(sinks_of(s)))
		return;
	for (size_t pos = 0; (p = observation_next_process(c->observation, &pos));)
		sources_open_calls(sources_of(s), p->id, false, on_running, &l);
	outputs_running(sinks_of(s), l.data, l.len);
	vec_done(&l);
}

static void count_open_call(void *arg, const void *sample, size_t size)
{
	struct call_consumer *s = arg;

	s->paused_calls++;
}

/* ---- executables and processes ---- */

static struct call_wanted *plans_of(const struct wanted *w)
{
	return (struct call_wanted *)w; /* its first member */
}

static struct wanted *analyse(struct consumer *c, const struct executable *x)
{
	struct call_consumer *s = self(c);
	struct call_wanted *t = call_wanted_new(x->binary, &s->inquiry);

	call_wanted_check_price(t, observation_planter(c->observation), s->inquiry.yes);
	return &t->wanted;
}

static void add_plan(struct call_consumer *s, const struct call_wanted *t, size_t i)
{
	const struct call_plan *plan = &t->plans.data[i];
	const struct plan_ids ids = call_wanted_ids(t, i);
	const struct plant_control control = {.every = s->options->every, .per_second = s->options->rate};

	call_losses_add(&s->losses, call_decoder_add_plan(s->decoder, plan, t->plans.shapes, ids.entry, ids.ret), &ids);
	s->counts |= plan->naggregates > 0;
	/* Behind a condition that the decoder tests, the decoder also applies --every and --rate. */
	if ((control.every || control.per_second) && plan->entry.controlled && !plan->late_at_entry)
		sources_control(sources_of(s), ids.entry, &control);
}

static void numbered(struct consumer *c, const struct executable *x, struct wanted *w)
{
	const struct call_wanted *t = plans_of(w);

	for (size_t i = 0; i < t->plans.len; i++)
		if (!t->plans.data[i].why)
			add_plan(self(c), t, i);
	call_wanted_announce(t, x->binary, c->observation);
}

static void release(struct wanted *w)
{
	call_wanted_free(plans_of(w));
}

static void enter(struct consumer *c, struct observed_process *p)
{
	struct call_process *process = arena_new(&p->arena, struct call_process);

	*process = (struct call_process){.resource = p->resource, .bias = p->bias, .binary = p->executable->binary};
	call_decoder_add_process(self(c)->decoder, process);
}

static void entered(struct consumer *c, struct observed_process *p)
{
	struct call_wanted *t = plans_of(wanted_of(p->executable, c));

	if (t->wanted.why[0])
		return;
	call_wanted_mark_unplanted(t, p);
	call_wanted_explain(t, c->observation);
}

struct resolving {
	struct call_groups groups;
	uint32_t target;
};

static void resolve_group(void *arg, const struct plant_group *g)
{
	struct resolving *r = arg;

	if (g->target == r->target)
		call_groups_add(&r->groups, g);
}

/*
 * The names in the keys of its groups are asked for as long as its file is what it was: the kernel lets nobody write to
 * it while it runs, and a deployment may overwrite it right after that. They are remembered (binary_remembered).
 */
static void resolve_groups(struct call_consumer *s, const struct observed_process *p)
{
	struct resolving r = {.groups = {.decoder = s->decoder}, .target = p->id};

	sources_aggregates(sources_of(s), false, resolve_group, &r);
	call_groups_done(&r.groups);
}

static void leave(struct consumer *c, struct observed_process *p, bool exited)
{
	struct call_consumer *s = self(c);
	struct open_calls_end o = {s->decoder, exited ? CALL_EXITED : CALL_OPEN, clock_monotonic_ns()};

	sources_open_calls(sources_of(s), p->id, true, on_open_call, &o);
	if (exited)
		resolve_groups(s, p);
}

/* ---- aggregates ---- */

static void on_group(void *arg, const struct plant_group *g)
{
	call_groups_add(arg, g);
}

/* Of functions of which there is no number to put it beside, and of none. */
static void tell_other_losses(struct call_consumer *s, const struct call_groups *shown)
{
	struct losses others = s->losses.rest;
	struct map reported = {0};

	for (size_t i = 0; i < shown->list.len; i++)
		if (shown->list.data[i].lost)
			map_set(&reported, (uintptr_t)shown->list.data[i].lost, &others);
	for (size_t i = 0; i < s->losses.by_name.cap; i++) {
		const struct losses *l = s->losses.by_name.entries[i].key ? s->losses.by_name.entries[i].value : NULL;

		if (l && !map_get(&reported, (uintptr_t)l))
			losses_add(&others, l);
	}
	map_done(&reported);
	if (s->counts && losses_any(&others))
		outputs_lost(sinks_of(s), &others);
}

/* A round of losses: all that was lost of calls until now, by the sources and by the decoder. */
static void look_at_losses(struct call_consumer *s)
{
	struct run_summary seen = {0};

	observation_losses(s->consumer.observation, &s->consumer, &seen.losses);
	call_decoder_losses(s->decoder, &seen);
	call_losses_round(&s->losses, &seen.losses, sources_of(s));
}

static void show_aggregates(struct call_consumer *s, bool last)
{
	struct call_groups groups = {.decoder = s->decoder};
	bool anew = s->options->interval_ns != 0;

	sources_aggregates(sources_of(s), anew, on_group, &groups);
	call_decoder_aggregates(s->decoder, anew, on_group, &groups);
	call_groups_sort(&groups);
	look_at_losses(s);
	for (size_t i = 0; i < groups.list.len; i++)
		groups.list.data[i].lost = call_losses_of(&s->losses, groups.list.data[i].function);
	outputs_groups(sinks_of(s), groups.list.data, groups.list.len, last);
	tell_other_losses(s, &groups);
	s->ngroups += groups.list.len;
	call_groups_done(&groups);
}

static void on_interval(void *arg, uint32_t events)
{
	(void)events;
	show_aggregates(arg, false);
}

static void finish(struct consumer *c)
{
	show_aggregates(self(c), true);
}

/* ---- the budget ---- */

/* What all calls so far cost the programs. */
static double cost_of_calls(void *arg)
{
	struct call_consumer *s = arg;
	struct observation *ob = s->consumer.observation;
	const struct executable *x;
	double sum = 0;

	for (size_t pos = 0; (x = observation_next_executable(ob, &pos));) {
		const struct call_wanted *t = plans_of(wanted_of(x, &s->consumer));

		for (size_t i = 0; t && !x->why[0] && i < t->wanted.nprobes; i++)
			if (t->wanted.probes[i].program->controlled)
				sum += (double)sources_hits(sources_of(s), t->wanted.probes[i].id) *
				       call_wanted_price(t, i, observation_planter(ob));
	}
	return sum;
}

static void on_paused(void *arg)
{
	struct call_consumer *s = arg;
	struct observed_process *p;

	for (size_t pos = 0; (p = observation_next_process(s->consumer.observation, &pos));)
		sources_open_calls(sources_of(s), p->id, true, count_open_call, s);
}

static int start_budget(struct call_consumer *s, struct err *err)
{
	struct budget_options b = {.observation = s->consumer.observation,
				   .cost_ns = cost_of_calls,
				   .paused = on_paused,
				   .arg = s};

	if (!s->options->budget)
		return 0;
	if (!sources_count_hits(sources_of(s)))
		return err_set(err, -ENOSYS, "--budget: this planter does not count hits");
	budget_parse(s->options->budget, &b.share, NULL);
	return budget_new(&b, observation_loop(b.observation), &s->budget, err);
}

/* ---- beginning and end ---- */

static int start(struct consumer *c, struct err *err)
{
	struct call_consumer *s = self(c);
	uint64_t every = s->options->interval_ns;
	int r = every ? loop_add_timer(observation_loop(c->observation), every, every, on_interval, s, &s->interval)
		      : 0;

	return r < 0 ? err_set(err, r, "cannot make a timer: %s", strerror(-r)) : start_budget(s, err);
}

static void summary(struct consumer *c, struct run_summary *sum)
{
	struct call_consumer *s = self(c);

	sum->calls += s->calls;
	sum->losses.count[LOSS_EVERY] += s->paused_calls;
	call_decoder_losses(s->decoder, sum);
}

static void describe(struct consumer *c, struct summary_text *text)
{
	struct call_consumer *s = self(c);
	double share, duty;

	text->calls = true;
	text->groups = s->ngroups;
	if (!s->budget)
		return;
	budget_report(s->budget, &share, &duty);
	buf_printf(&text->more, "; the probes took up to %.1f %% of the program's CPU time", 100 * share);
	if (duty < 1)
		buf_printf(&text->more, ", in place %.0f %% of the time", 100 * duty);
}

static void call_consumer_free(struct consumer *c)
{
	struct call_consumer *s = self(c);

	budget_free(s->budget);
	loop_remove(observation_loop(c->observation), s->interval);
	call_decoder_free(s->decoder);
	value_texts_free(s->texts);
	call_losses_done(&s->losses);
	free(s);
}

static const struct consumer_ops ops = {
	.keeps_processes = true,
	.start = start,
	.analyse = analyse,
	.numbered = numbered,
	.release = release,
	.enter = enter,
	.entered = entered,
	.sample = on_sample,
	.leave = leave,
	.tick = tell_running,
	.finish = finish,
	.summary = summary,
	.describe = describe,
	.free = call_consumer_free,
};

void inquiry_make(const struct call_options *o, const struct question *questions, size_t n, unsigned needs,
		  const struct observation *ob, struct inquiry *ret)
{
	const pack_set *packs = observation_packs(ob);

	*ret = (struct inquiry){
		.questions = questions,
		.nquestions = n,
		.yes = o->yes,
		.planter = observation_planter_ops(ob),
		.plan = {.packs = packs->data,
			 .npacks = packs->len,
			 .limits = {.depth = (unsigned)o->depth,
				    .max_string = (unsigned)o->max_string,
				    .max_items = (unsigned)o->max_items},
			 .caps = &observation_planter_ops(ob)->caps,
			 .cannot_plant = observation_cannot_plant(ob),
			 .locate = observation_planter_ops(ob)->locate,
			 .follow = (unsigned)o->follow,
			 .wants_return = needs & SINK_NEEDS_RETURN,
			 .wants_stack = needs & SINK_NEEDS_STACK},
	};
}

void call_consumer_new(struct observation *ob, const struct call_options *o, const struct inquiry *q)
{
	struct call_consumer *s = xcalloc(1, sizeof(*s));
	const pack_set *packs = observation_packs(ob);

	s->consumer.ops = &ops;
	s->options = o;
	s->inquiry = *q;
	s->texts = value_texts_new(packs->data, packs->len);
	s->decoder = call_decoder_new(&(struct call_decoder_options){.emit = on_call, .arg = s, .texts = s->texts,
								     .control = {.every = o->every,
										 .per_second = o->rate}});
	observation_add(ob, &s->consumer);
}
