#include "cmd/span_consumer.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/sdk_text.h"
#include "cmd/span_wanted.h"
#include "sink/text.h"
#include "span/assemble.h"
#include "span/keep.h"

#define DEAR_NS 2000 /* a call that costs more is worth a word */
#define CLOCK_SLACK_NS 100000u /* by so much a planter's clock may be ahead of ours */

struct span_consumer {
	struct consumer consumer;
	struct assembler *assembler;
	struct keeper *keeper;     /* NULL: all spans go on at once */
	uint64_t given;            /* spans that the sinks got */
	bool ignores_sdk;
	struct spans_asked asked;  /* but for packs and planter */
	pack_set made;             /* of functions, for executables: the assembler has spans of them */
	struct join_marks marks;
	VEC(uint32_t) vital;    /* probes whose records say what is open */
	uint64_t lost;          /* of these records, as of checked_ns */
	uint64_t checked_ns;
};

static struct span_consumer *self(struct consumer *c)
{
	return (struct span_consumer *)c; /* its first member */
}

static const struct span_wanted *points_of(const struct wanted *w)
{
	return (const struct span_wanted *)w; /* its first member */
}

static struct wanted *analyse(struct consumer *c, const struct executable *x)
{
	struct spans_asked asked = self(c)->asked;
	struct span_wanted *s;

	asked.packs = observation_packs(c->observation);
	asked.planter = observation_planter_ops(c->observation);
	s = span_wanted_new(x->binary, &asked);
	if (s->functions.pack)
		vec_push(&self(c)->made, s->functions.pack);
	return &s->wanted;
}

static void numbered(struct consumer *c, const struct executable *x, struct wanted *w)
{
	for (size_t i = 0; i < w->nprobes; i++) {
		const struct join *j = points_of(w)->join_of_probe[i];

		if (j->point->role != POINT_NOTE && !point_writes(j->point))
			vec_push(&self(c)->vital, w->probes[i].id);
		assembler_add_probe(self(c)->assembler,
				    &(struct assembler_probe){.id = w->probes[i].id,
							      .pack = j->pack,
							      .span = j->span,
							      .point = j->point,
							      .variant = j->variant,
							      .program = &j->capture.program,
							      .slot_of_item = j->capture.slot_of_item,
							      .func = j->func,
							      .binary = x->binary});
	}
}

static void release(struct wanted *w)
{
	span_wanted_free((struct span_wanted *)w);
}

static void enter(struct consumer *c, struct observed_process *p)
{
	const uint64_t network = process_network(observation_procfs(c->observation), p->process.pid);

	assembler_add_target(self(c)->assembler, &(struct assembler_target){.id = p->id,
									    .bias = p->bias,
									    .network = network,
									    .resource = p->resource});
}

static bool is_built_in(const struct pack *p)
{
	for (const struct pack_source *s = pack_builtin; s->file; s++)
		if (!strcmp(s->file, p->file))
			return true;
	return false;
}

/* What a built-in pack knows need not be there. The user's own is for this very program, or has a slip of the pen. */
static void report_absent(struct observation *ob, const struct observed_process *p, const struct span_wanted *s,
			  const struct join *j)
{
	_cleanup_(buf_done) struct buf text = {0};

	if (j->point->optional || j->pack == s->functions.pack || is_built_in(j->pack))
		return;
	buf_printf(&text, "%s: %s/%s is not there: %s", process_name(&p->process), j->pack->name, j->point->name,
		   j->why);
	observation_note_once(ob, text.data);
}

static void report_join(struct observation *ob, const struct observed_process *p, const struct span_wanted *s,
			const struct join *j)
{
	if (j->variant)
		return;
	if (j->absent)
		report_absent(ob, p, s, j);
	else if (j->pack != s->functions.pack)
		observation_note(ob, "%s/%s is not observed: %s", j->pack->name, j->point->name, j->why);
	else if (j->point->role == POINT_START) /* its two points are refused for the same reason */
		observation_note(ob, "no span: %s", j->why);
}

static void report_price(struct observation *ob, const struct span_wanted *s)
{
	double ns = span_wanted_price(s, observation_planter(ob));
	const char *cheaper = observation_planter_ops(ob)->cheaper;
	char price[24], text[160];

	if (ns < DEAR_NS)
		return;
	format_duration((uint64_t)ns, price);
	snprintf(text, sizeof(text), "a call that is a span by --span costs the program about %s more%s%s%s", price,
		 cheaper ? "; by --planter " : "", cheaper ? cheaper : "", cheaper ? " a fraction of that" : "");
	observation_note_once(ob, text);
}

static void report_sdk(struct consumer *c, const struct observed_process *p)
{
	_cleanup_(buf_done) struct buf text = {0};

	buf_printf(&text, "%s: ", process_name(&p->process));
	if (!sdk_text(p->executable->binary, observation_packs(c->observation), &text))
		return;
	buf_str(&text, self(c)->ignores_sdk ? "; what it records is recorded here as well" :
					      "; what it records is left to it (--ignore-sdk)");
	observation_note_once(c->observation, text.data);
}

static void report_refusals(struct consumer *c, struct observed_process *p)
{
	const struct span_wanted *s = points_of(wanted_of(p->executable, c));
	struct observation *ob = c->observation;

	if (s->wanted.why[0])
		return;
	for (size_t i = 0; i < s->functions.refused.len; i++)
		observation_note_once(ob, s->functions.refused.data[i]);
	for (size_t i = 0; i < s->functions.partial.len; i++)
		observation_note_once(ob, s->functions.partial.data[i]);
	for (size_t i = 0; i < s->njoins; i++)
		report_join(ob, p, s, &s->joins[i]);
	report_price(ob, s);
	report_sdk(c, p);
}

static void planted(struct consumer *c, struct observed_process *p)
{
	assembler_planted(self(c)->assembler, p->id, clock_monotonic_ns(), p->in_steps);
}

/* Of records that should have been written: without those that were to be left out. */
static uint64_t sum_lost(struct losses *l)
{
	uint64_t sum = 0;

	l->count[LOSS_SAMPLED_OUT] = l->count[LOSS_MARKS_FULL] = 0;
	for (size_t i = 0; i < LOSS_COUNT; i++)
		sum += l->count[i];
	return sum;
}

/*
 * Losses are counted before the program goes on. So a count that is read now has all that was lost before whatever was
 * written until now: records that are older than the last look need no other one, however long the drain goes on.
 */
static void look_for_losses(struct span_consumer *s)
{
	const source_list *sources = observation_sources(s->consumer.observation);
	uint64_t now = clock_monotonic_ns(), lost;
	struct losses losses = {0};

	for (size_t i = 0; i < s->vital.len; i++)
		sources_probe_losses(sources, s->vital.data[i], &losses);
	lost = sum_lost(&losses);
	if (lost != s->lost)
		assembler_lost(s->assembler, clock_monotonic_ns() + CLOCK_SLACK_NS);
	s->lost = lost;
	s->checked_ns = now - CLOCK_SLACK_NS;
}

static void on_sample(struct consumer *c, const void *sample, size_t size)
{
	struct event_header head;

	memcpy(&head, sample, sizeof(head)); /* its owner was found by it */
	if (head.time_ns > self(c)->checked_ns)
		look_for_losses(self(c));
	assembler_event(self(c)->assembler, sample, size);
}

static void give(void *arg, const struct span *span)
{
	struct span_consumer *s = arg;

	s->given++;
	outputs_span(observation_sinks(s->consumer.observation), span);
}

static void keep(void *arg, const struct span *span)
{
	keeper_span(((struct span_consumer *)arg)->keeper, span, clock_monotonic_ns());
}

static void keep_opened(void *arg, const uint8_t trace_id[16])
{
	keeper_open(((struct span_consumer *)arg)->keeper, trace_id, clock_monotonic_ns());
}

static void keep_closed(void *arg, const uint8_t trace_id[16])
{
	keeper_close(((struct span_consumer *)arg)->keeper, trace_id, clock_monotonic_ns());
}

static void keep_tick(struct consumer *c)
{
	keeper_tick(self(c)->keeper, clock_monotonic_ns());
}

static void keep_finish(struct consumer *c)
{
	keeper_finish(self(c)->keeper);
}

static void leave(struct consumer *c, struct observed_process *p, bool exited)
{
	assembler_end_target(self(c)->assembler, p->id, exited, clock_monotonic_ns());
}

static void unfinished(struct consumer *c)
{
	assembler_unfinished(self(c)->assembler, clock_monotonic_ns());
}

/* A start that was not written is a span that nobody will see. */
static void count_lost_starts(struct consumer *c, const struct wanted *w, struct run_summary *sum)
{
	struct losses lost = {0};

	for (size_t i = 0; i < w->nprobes; i++)
		if (w->probes[i].id && points_of(w)->join_of_probe[i]->point->role == POINT_START)
			sources_probe_losses(observation_sources(c->observation), w->probes[i].id, &lost);
	sum->spans_lost += sum_lost(&lost);
}

static void summary(struct consumer *c, struct run_summary *sum)
{
	const struct executable *x;
	uint64_t before = sum->spans;

	assembler_summary(self(c)->assembler, sum);
	sum->spans = before + self(c)->given;
	sum->propagates |= self(c)->asked.propagate;
	if (self(c)->keeper)
		keeper_losses(self(c)->keeper, &sum->losses);
	for (size_t pos = 0; (x = observation_next_executable(c->observation, &pos));)
		if (wanted_of(x, c))
			count_lost_starts(c, wanted_of(x, c), sum);
}

static void describe(struct consumer *c, struct summary_text *text)
{
	text->spans = true;
}

static void span_consumer_free(struct consumer *c)
{
	assembler_free(self(c)->assembler);
	keeper_free(self(c)->keeper);
	packs_done(&self(c)->made);
	vec_done(&self(c)->vital);
	free(c);
}

#define COMMON_OPS                                                                                                    \
	.analyse = analyse, .numbered = numbered, .release = release, .enter = enter, .planted = planted,              \
	.entered = report_refusals, .sample = on_sample, .leave = leave, .unfinished = unfinished,                     \
	.summary = summary, .describe = describe, .free = span_consumer_free

static const struct consumer_ops ops = {COMMON_OPS};
/* Spans that wait refer to processes that may have gone. */
static const struct consumer_ops keeping_ops = {COMMON_OPS, .keeps_processes = true, .tick = keep_tick,
						.finish = keep_finish};

/*
 * Other headers than W3C's are read by the assembler alone, and so is which client of one process asked which server of
 * another, where no header says it: it decides then, or a trace would be kept by one service and left out by the next.
 */
static bool probes_decide(const struct span_consumer_options *o)
{
	return !o->propagators && !o->several;
}

void span_consumer_new(struct observation *ob, const struct span_consumer_options *o)
{
	struct span_consumer *s = xcalloc(1, sizeof(*s));
	struct assembler_options to = {.emit = give,
				       .arg = s,
				       .sample = o->sample,
				       .sample_parent_based = o->sample_parent_based,
				       .sql_full = o->sql_full,
				       .ignore_sdk = o->ignore_sdk,
				       .redact = o->redact};

	s->asked = (struct spans_asked){.functions = o->functions, .nfunctions = o->nfunctions, .alone = o->alone,
					.propagators = o->propagators, .propagate = o->propagate};
	s->ignores_sdk = o->ignore_sdk;
	s->marks = (struct join_marks){.ratio = o->sample, .parent_based = o->sample_parent_based,
				       .sent = o->propagate};
	if (o->propagate || (o->sample < 1 && probes_decide(o)))
		s->asked.marks = &s->marks;
	s->consumer.ops = o->nkeep ? &keeping_ops : &ops;
	if (o->nkeep) {
		s->keeper = keeper_new(&(struct keeper_options){.rules = o->keep, .nrules = o->nkeep, .emit = give,
								.arg = s});
		to.emit = keep;
		to.watch = (struct trace_watch){keep_opened, keep_closed, s};
	}
	s->assembler = assembler_new(&to);
	observation_add(ob, &s->consumer);
}
