/* Traced calls: what observe.c finds and plants, the decoder reads, and the outputs get. */
#include "cmd/trace_session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/budget.h"
#include "cmd/packs.h"
#include "cmd/planter.h"
#include "cmd/summary.h"
#include "cmd/trace_groups.h"
#include "cmd/trace_list.h"
#include "cmd/trace_losses.h"
#include "cmd/trace_outputs.h"
#include "cmd/trace_subject.h"
#include "call/value_texts.h"

#define TICK_NS 100000000u

struct trace_session {
	const struct trace_options *options;
	struct trace_inquiry inquiry;  /* what is asked of every executable */
	struct loop *loop;
	pack_set packs;
	struct value_texts *texts;     /* which the packs tell */
	struct observer observer;
	const struct planter_ops *planter_ops; /* also where a list does without the planter itself */
	struct call_decoder *decoder;
	call_sink_list sinks;
	struct budget *budget;
	struct arena arena;            /* processes, which outlive their calls */
	struct call_summary summary;
	uint64_t named_calls;          /* of the calls shown, those that --limit is about */
	uint64_t ngroups;              /* shown */
	bool counts;                   /* a plan has aggregates */
	struct trace_losses losses;
	uint64_t started_ns;
	bool stopping;                 /* --limit is reached: what still comes is not shown */
	struct loop_source *sources[8];
	size_t nsources;
};

static void vnote(const struct trace_session *s, const char *fmt, va_list ap)
{
	if (s->options->quiet)
		return;
	fputs("earshot: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

static void note(void *arg, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void note(void *arg, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vnote(arg, fmt, ap);
	va_end(ap);
}

/* ---- events ---- */

static void on_call(void *arg, const struct call_record *c)
{
	struct trace_session *s = arg;

	if (s->stopping)
		return;
	trace_outputs_call(&s->sinks, c);
	s->summary.calls++;
	s->named_calls += !c->plan->followed;
	if (s->options->limit && s->named_calls >= s->options->limit) {
		s->stopping = true;
		loop_quit(s->loop);
	}
}

static void on_sample(void *arg, const void *sample, size_t size)
{
	struct trace_session *s = arg;

	call_decoder_sample(s->decoder, sample, size);
}

/* ---- open calls ---- */

struct open_calls {
	struct trace_session *session;
	enum call_end end;
	uint64_t now_ns;
};

static void on_open_call(void *arg, const void *sample, size_t size)
{
	const struct open_calls *o = arg;

	call_decoder_open(o->session->decoder, sample, size, o->end, o->now_ns);
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

/* For the outputs that show a call only once nothing can come above it. */
static void tell_running(struct trace_session *s)
{
	running_list l = {0};
	struct observed *o;

	if (!trace_outputs_want_running(&s->sinks))
		return;
	for (size_t pos = 0; (o = observer_next(&s->observer, &pos));)
		sources_open_calls(&s->observer.sources, o->id, false, on_running, &l);
	trace_outputs_running(&s->sinks, l.data, l.len);
	vec_done(&l);
}

static void take_open_calls(struct trace_session *s, const struct observed *o, enum call_end end)
{
	struct open_calls open = {s, end, clock_monotonic_ns()};

	sources_open_calls(&s->observer.sources, o->id, true, on_open_call, &open);
}

static void discard_open_call(void *arg, const void *sample, size_t size)
{
	struct trace_session *s = arg;

	s->summary.losses.count[LOSS_EVERY]++;
}

/* ---- programs and processes ---- */

static struct trace_subject *subject_of(const struct subject *s)
{
	return (struct trace_subject *)s; /* the subject is its first member */
}

static void add_plan(struct trace_session *s, const struct call_plan *plan, const struct shape_table *shapes,
		     const struct plan_ids *ids)
{
	call_decoder_add_plan(s->decoder, plan, shapes, ids->entry, ids->ret);
	trace_losses_add(&s->losses, plan, ids);
	s->counts |= plan->naggregates > 0;
}

/* Whether --every and --rate apply to what passed a condition that the decoder tests: it also applies them. */
static bool is_late(const struct trace_subject *t, uint32_t probe)
{
	for (size_t i = 0; i < t->plans.len; i++)
		if (t->ids[i].entry == probe)
			return t->plans.data[i].late_at_entry;
	return false;
}

static struct subject *analyse(void *arg, const struct process *proc)
{
	struct trace_session *s = arg;
	struct trace_subject *t = trace_subject_new(proc->exe_path, proc->exe, &s->inquiry);
	const struct plant_control control = {.every = s->options->every, .per_second = s->options->rate};

	s->observer.refused += t->refused;
	for (size_t i = 0; i < t->plans.len; i++)
		if (!t->plans.data[i].why)
			add_plan(s, &t->plans.data[i], t->plans.shapes, &t->ids[i]);
	for (size_t i = 0; i < t->subject.nprobes && (control.every || control.per_second); i++)
		if (t->subject.probes[i].program->controlled && !is_late(t, t->subject.probes[i].id))
			sources_control(&s->observer.sources, t->subject.probes[i].id, &control);
	trace_subject_check_price(t, &s->observer, s->options->yes);
	if (!t->subject.why[0])
		trace_subject_announce(t, &s->observer, note, s);
	return &t->subject;
}

static void release(struct subject *s)
{
	trace_subject_free(subject_of(s));
}

static void enter(void *arg, struct observed *o)
{
	struct trace_session *s = arg;
	struct call_process *p = arena_new(&s->arena, struct call_process);

	*p = (struct call_process){.target = o->id,
				   .pid = o->process.pid,
				   .name = arena_strdup(&s->arena, process_name(&o->process)),
				   .bias = o->bias,
				   .binary = o->subject->binary};
	call_decoder_add_process(s->decoder, p);
}

static void entered(void *arg, struct observed *o)
{
	trace_subject_mark_unplanted(subject_of(o->subject), o);
	trace_subject_explain(subject_of(o->subject), note, arg);
}

struct resolving {
	struct trace_groups groups;
	uint32_t target;
};

static void resolve_group(void *arg, const struct plant_group *g)
{
	struct resolving *r = arg;

	if (g->target == r->target)
		trace_groups_add(&r->groups, g);
}

/*
 * The names in the keys of its groups are asked for as long as its file is what it was: the kernel lets nobody write to
 * it while it runs, and a deployment may overwrite it right after that. They are remembered (binary_remembered).
 */
static void resolve_groups(struct trace_session *s, const struct observed *o)
{
	struct resolving r = {.groups = {.decoder = s->decoder}, .target = o->id};

	sources_aggregates(&s->observer.sources, false, resolve_group, &r);
	trace_groups_done(&r.groups);
}

static void leave(void *arg, struct observed *o, bool exited)
{
	take_open_calls(arg, o, exited ? CALL_EXITED : CALL_OPEN);
	if (exited)
		resolve_groups(arg, o);
}

static const struct observer_ops observer_ops = {
	.analyse = analyse,
	.release = release,
	.enter = enter,
	.entered = entered,
	.sample = on_sample,
	.leave = leave,
	.note = note,
};

struct observer *trace_session_observer(struct trace_session *s)
{
	return &s->observer;
}

uint64_t trace_session_calls(const struct trace_session *s)
{
	return s->summary.calls;
}

/* ---- aggregates ---- */

static void on_group(void *arg, const struct plant_group *g)
{
	trace_groups_add(arg, g);
}

/* Of functions of which there is no number to put it beside, and of none. */
static void tell_other_losses(struct trace_session *s, const struct trace_groups *shown)
{
	struct losses others = s->losses.rest;
	struct map told = {0};

	for (size_t i = 0; i < shown->list.len; i++)
		if (shown->list.data[i].lost)
			map_set(&told, (uintptr_t)shown->list.data[i].lost, &others);
	for (size_t i = 0; i < s->losses.by_name.cap; i++) {
		const struct losses *l = s->losses.by_name.entries[i].key ? s->losses.by_name.entries[i].value : NULL;

		if (l && !map_get(&told, (uintptr_t)l))
			losses_add(&others, l);
	}
	map_done(&told);
	if (s->counts && losses_any(&others))
		trace_outputs_lost(&s->sinks, &others);
}

static void show_aggregates(struct trace_session *s, bool last)
{
	struct trace_groups groups = {.decoder = s->decoder};

	sources_aggregates(&s->observer.sources, s->options->interval_ns != 0, on_group, &groups);
	call_decoder_aggregates(s->decoder, s->options->interval_ns != 0, on_group, &groups);
	trace_groups_sort(&groups);
	trace_losses_round(&s->losses, &s->observer.sources, s->decoder);
	for (size_t i = 0; i < groups.list.len; i++)
		groups.list.data[i].lost = trace_losses_of(&s->losses, groups.list.data[i].plan);
	trace_outputs_groups(&s->sinks, groups.list.data, groups.list.len, last);
	tell_other_losses(s, &groups);
	s->ngroups += groups.list.len;
	trace_groups_done(&groups);
}

static void on_interval(void *arg, uint32_t events)
{
	(void)events;
	show_aggregates(arg, false);
}

/* ---- time ---- */

static void on_tick(void *arg, uint32_t events)
{
	struct trace_session *s = arg;

	(void)events;
	observer_drain(&s->observer); /* the calls that ended before the last list of running ones are in now */
	trace_outputs_tick(&s->sinks);
	tell_running(s);
	if (trace_outputs_gone(&s->sinks))
		loop_quit(s->loop);
}

static void on_deadline(void *arg, uint32_t events)
{
	struct trace_session *s = arg;

	(void)events;
	loop_quit(s->loop);
}

static double event_price(void *arg, const struct subject *subject, size_t probe)
{
	struct trace_session *s = arg;

	return trace_subject_price(subject_of(subject), probe, &s->observer);
}

static void on_paused(void *arg, struct observed *o)
{
	struct trace_session *s = arg;

	sources_open_calls(&s->observer.sources, o->id, true, discard_open_call, s);
}

static void on_exhausted(void *arg)
{
	struct trace_session *s = arg;

	loop_quit(s->loop);
}

static int start_budget(struct trace_session *s, struct err *err)
{
	struct budget_options b = {.observer = &s->observer,
				   .price_ns = event_price,
				   .paused = on_paused,
				   .exhausted = on_exhausted,
				   .note = note,
				   .arg = s};

	if (!s->options->budget)
		return 0;
	if (!sources_count_hits(&s->observer.sources))
		return err_set(err, -ENOSYS, "--budget: this planter does not count hits");
	budget_parse(s->options->budget, &b.share, NULL);
	return budget_new(&b, s->loop, &s->budget, err);
}

static int add_timers(struct trace_session *s, struct err *err)
{
	const struct trace_options *o = s->options;
	int r = observer_start(&s->observer, err);

	if (r < 0)
		return r;
	r = loop_add_timer(s->loop, TICK_NS, TICK_NS, on_tick, s, &s->sources[s->nsources++]);
	if (r >= 0 && o->interval_ns)
		r = loop_add_timer(s->loop, o->interval_ns, o->interval_ns, on_interval, s, &s->sources[s->nsources++]);
	return r < 0 ? err_set(err, r, "cannot make a timer: %s", strerror(-r)) : start_budget(s, err);
}

int trace_session_begin(struct trace_session *s, struct err *err)
{
	int r = 0;

	if (s->options->for_ns)
		r = loop_add_timer(s->loop, s->options->for_ns, 0, on_deadline, s, &s->sources[s->nsources++]);
	return r < 0 ? err_set(err, r, "cannot make a timer: %s", strerror(-r)) : 0;
}

/* ---- listing ---- */

static int list_file(struct trace_session *s, const char *path, const char *name, struct err *err)
{
	return trace_list(path, name, &s->inquiry, s->observer.planter ? &s->observer : NULL, s->options->json, err);
}

int trace_session_list(struct trace_session *s, int pid, struct err *err)
{
	struct process proc;
	int r = process_read(s->observer.procfs, pid, &proc, err);

	if (r < 0)
		return r;
	r = list_file(s, proc.exe_path, proc.exe, err);
	process_done(&proc);
	return r;
}

int trace_session_list_file(struct trace_session *s, const char *path, struct err *err)
{
	return list_file(s, path, path, err);
}

/* ---- beginning and end ---- */

static void session_free(struct trace_session *s)
{
	budget_free(s->budget);
	for (size_t i = 0; i < s->nsources; i++)
		loop_remove(s->loop, s->sources[i]);
	planter_close(s->observer.planter);
	call_decoder_free(s->decoder);
	value_texts_free(s->texts);
	trace_losses_done(&s->losses);
	observer_done(&s->observer);
	packs_done(&s->packs);
	arena_done(&s->arena);
	free(s);
}

static void inquire(struct trace_session *s, const struct question *questions, size_t n)
{
	const struct trace_options *o = s->options;

	s->inquiry = (struct trace_inquiry){
		.questions = questions,
		.nquestions = n,
		.yes = o->yes || o->list,
		.planter = s->planter_ops,
		.plan = {.packs = s->packs.data,
			 .npacks = s->packs.len,
			 .limits = {.depth = (unsigned)o->depth,
				    .max_string = (unsigned)o->max_string,
				    .max_items = (unsigned)o->max_items},
			 .caps = &s->planter_ops->caps,
			 .locate = s->planter_ops->locate,
			 .follow = (unsigned)o->follow,
			 .wants_return = o->graph || o->perfetto || o->pprof,
			 .wants_stack = o->folded || o->pprof},
	};
}

static int open_planter(struct trace_session *s, struct err *err)
{
	const struct planter_options planter = {.ring_bytes = s->options->ring_bytes, .procfs = s->observer.procfs};
	int r = planter_open(&s->observer, s->options->planter, &planter, &s->planter_ops, err);

	return s->options->list && s->planter_ops ? 0 : r; /* a list needs no privileges: it has no prices then */
}

int trace_session_new(const struct trace_options *o, const struct question *questions, size_t n, struct loop *loop,
		      struct trace_session **ret, struct err *err)
{
	struct trace_session *s = xcalloc(1, sizeof(*s));
	int r;

	*s = (struct trace_session){.options = o,
				    .loop = loop,
				    .observer = {.ops = &observer_ops,
						 .arg = s,
						 .loop = loop,
						 .procfs = "/proc"},
				    .started_ns = clock_monotonic_ns()};
	r = packs_load(&o->packs, &s->packs, err);
	if (r >= 0)
		r = open_planter(s, err);
	if (r >= 0)
		inquire(s, questions, n);
	if (r >= 0 && !o->list)
		r = trace_outputs_open(o, &s->sinks, err);
	s->texts = value_texts_new(s->packs.data, s->packs.len);
	s->decoder = call_decoder_new(&(struct call_decoder_options){.emit = on_call, .arg = s, .texts = s->texts,
								 .control = {.every = o->every,
									     .per_second = o->rate}});
	if (r >= 0 && !o->list)
		r = add_timers(s, err);
	if (r < 0) {
		trace_session_cancel(s);
		return r;
	}
	*ret = s;
	return 0;
}

void trace_session_cancel(struct trace_session *s)
{
	if (!s)
		return;
	trace_outputs_close(&s->sinks);
	session_free(s);
}

static void print_summary(struct trace_session *s)
{
	const struct call_summary *sum = &s->summary;
	_cleanup_(buf_done) struct buf b = {0};
	double share, duty;

	if (sum->calls || !s->ngroups)
		buf_printf(&b, "%llu %s", (unsigned long long)sum->calls, plural(sum->calls, "call", "calls"));
	if (s->ngroups)
		buf_printf(&b, "%s%llu %s", b.len ? ", " : "", (unsigned long long)s->ngroups,
			   plural(s->ngroups, "group", "groups"));
	buf_printf(&b, " from %u %s in %.1f s; ", sum->processes, plural(sum->processes, "process", "processes"),
		   (double)(clock_monotonic_ns() - s->started_ns) / 1e9);
	if (!losses_list(&sum->losses, &b))
		buf_str(&b, "none lost");
	buf_printf(&b, "; %u %s planted", sum->planted, plural(sum->planted, "probe", "probes"));
	if (sum->refused)
		buf_printf(&b, ", %u refused", sum->refused);
	if (s->budget) {
		budget_report(s->budget, &share, &duty);
		buf_printf(&b, "; the probes took up to %.1f %% of the program's CPU time", 100 * share);
		if (duty < 1)
			buf_printf(&b, ", in place %.0f %% of the time", 100 * duty);
	}
	note(s, "%s", b.data);
}

static void summarise(struct trace_session *s)
{
	s->summary.processes = s->observer.entered;
	s->summary.planted = s->observer.planted;
	s->summary.refused = s->observer.refused;
	sources_losses(&s->observer.sources, &s->summary.losses);
	call_decoder_losses(s->decoder, &s->summary);
	trace_outputs_losses(&s->sinks, &s->summary.losses);
}

void trace_session_finish(struct trace_session *s)
{
	const char *trouble;

	if (!s)
		return;
	observer_leave_all(&s->observer);
	show_aggregates(s, true);
	summarise(s);
	trace_outputs_summary(&s->sinks, &s->summary);
	for (size_t pos = 0; (trouble = trace_outputs_trouble(&s->sinks, &pos));)
		note(s, "%s", trouble);
	print_summary(s);
	trace_outputs_close(&s->sinks);
	session_free(s);
}
