/* Traced calls: what observe.c finds and plants, the decoder reads, and the outputs get. */
#include "cmd/trace_session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/budget.h"
#include "cmd/packs.h"
#include "cmd/planter.h"
#include "cmd/summary.h"
#include "cmd/trace_groups.h"
#include "cmd/trace_list.h"
#include "cmd/trace_subject.h"
#include "call/value_texts.h"
#include "sink/call_sinks.h"

#define DRAIN_NS 50000000u /* how long a call may wait in the ring */
#define TICK_NS 100000000u
#define RESULTS_KEPT 64    /* batches that a last drain reads at most */

typedef VEC(struct call_sink *) call_sink_list;

struct trace_session {
	const struct trace_options *options;
	struct trace_inquiry inquiry;  /* what is asked of every executable */
	struct loop *loop;
	pack_set packs;
	struct value_texts *texts;     /* which the packs tell */
	struct observer observer;
	struct call_decoder *decoder;
	call_sink_list sinks;
	struct budget *budget;
	struct arena arena;            /* processes, which outlive their calls */
	struct call_summary summary;
	uint64_t ngroups;              /* shown */
	uint64_t started_ns;
	bool stopping;                 /* --limit is reached: what still comes is not shown */
	struct loop_source *sources[8];
	size_t nsources;
};

const struct option_def trace_what_defs[] = {
	{'l', "list", NULL, "only list what would be traced, with signatures and prices", OPT_FLAG,
	 offsetof(struct trace_options, list)},
	{0, "depth", "N", "pointers followed within a value (default 1)", OPT_UINT, offsetof(struct trace_options, depth)},
	{0, "max-string", "N", "bytes shown of a string (default 256, at most 4096)", OPT_UINT,
	 offsetof(struct trace_options, max_string)},
	{0, "max-items", "N", "elements shown of a slice, an array, a map (default 16)", OPT_UINT,
	 offsetof(struct trace_options, max_items)},
	{0, "packs", "GLOB|FILE", "packs that say how panics end calls and errors are read (repeatable)", OPT_LIST,
	 offsetof(struct trace_options, packs)},
	{0},
};

const struct option_def trace_bound_defs[] = {
	{0, "for", "DURATION", "stop after this time: 10s, 1m30s", OPT_DURATION, offsetof(struct trace_options, for_ns)},
	{0, "limit", "N", "stop after N calls", OPT_UINT, offsetof(struct trace_options, limit)},
	{0, "every", "N", "of the calls that pass the condition take each Nth", OPT_UINT,
	 offsetof(struct trace_options, every)},
	{0, "rate", "N", "take at most N calls a second of each function", OPT_UINT, offsetof(struct trace_options, rate)},
	{0, "budget", "PERCENT", "keep what the probes cost below this share of the program's CPU time: 5%", OPT_STRING,
	 offsetof(struct trace_options, budget)},
	{0, "yes", NULL, "plant more than 1,000 sites without asking back", OPT_FLAG, offsetof(struct trace_options, yes)},
	PLANTER_OPTION(offsetof(struct trace_options, planter)),
	{0, "ring-size", "BYTES", "size of the event ring (default 4 MiB)", OPT_UINT,
	 offsetof(struct trace_options, ring_bytes)},
	{0},
};

const struct option_def trace_output_defs[] = {
	{0, "json", NULL, "print calls, aggregates and the summary as JSON lines", OPT_FLAG,
	 offsetof(struct trace_options, json)},
	{0, "graph", NULL, "print an indented call tree with durations, per goroutine", OPT_FLAG,
	 offsetof(struct trace_options, graph)},
	{0, "interval", "DURATION", "print aggregates this often, each time anew", OPT_DURATION,
	 offsetof(struct trace_options, interval_ns)},
	{'o', "output", "FILE", "print to this file instead of standard output", OPT_STRING,
	 offsetof(struct trace_options, output)},
	{0, "perfetto", "FILE", "write a timeline for ui.perfetto.dev or chrome://tracing, instead of lines", OPT_STRING,
	 offsetof(struct trace_options, perfetto)},
	{0, "folded", "FILE", "write the stacks of calls for flame graph tools, instead of lines", OPT_STRING,
	 offsetof(struct trace_options, folded)},
	{0, "pprof", "FILE", "write the stacks of calls as a profile for `go tool pprof`, instead of lines", OPT_STRING,
	 offsetof(struct trace_options, pprof)},
	{'q', "quiet", NULL, "no notes and no summary on standard error", OPT_FLAG,
	 offsetof(struct trace_options, quiet)},
	{0},
};

static int at_most(const char *name, uint64_t value, uint64_t low, uint64_t high, struct err *err)
{
	if (value >= low && value <= high)
		return 0;
	return err_set(err, -EINVAL, "--%s expects a number from %llu to %llu, not %llu", name, (unsigned long long)low,
		       (unsigned long long)high, (unsigned long long)value);
}

int trace_options_check(const struct trace_options *o, struct err *err)
{
	double share;
	int r = at_most("depth", o->depth, 0, 64, err);

	if (r == 0)
		r = at_most("max-string", o->max_string, 1, EVENT_MAX_STRING, err);
	if (r == 0)
		r = at_most("max-items", o->max_items, 1, 4096, err);
	if (r == 0 && o->budget)
		r = budget_parse(o->budget, &share, err);
	if (r == 0 && o->json && o->graph)
		r = err_set(err, -EINVAL, "--json and --graph are two forms of the same output: choose one");
	return r;
}

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
	for (size_t i = 0; i < s->sinks.len; i++)
		s->sinks.data[i]->ops->call(s->sinks.data[i], c);
	s->summary.calls++;
	if (s->options->limit && s->summary.calls >= s->options->limit) {
		s->stopping = true;
		loop_quit(s->loop);
	}
}

static void on_sample(void *arg, const void *sample, size_t size)
{
	struct trace_session *s = arg;

	call_decoder_sample(s->decoder, sample, size);
}

static int drain(struct trace_session *s)
{
	return s->observer.planting->drain(s->observer.planter, on_sample, s);
}

/* Until the ring is seen empty; bounded, since other processes may write as fast as we read. */
static void drain_all(void *arg)
{
	for (int i = 0; i < RESULTS_KEPT && drain(arg) > 0; i++)
		;
}

static void on_drain(void *arg, uint32_t events)
{
	(void)events;
	drain(arg);
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
	const struct planter_ops *ops = s->observer.planting;
	running_list l = {0};
	struct observed *o;
	bool wanted = false;

	for (size_t i = 0; i < s->sinks.len; i++)
		wanted |= s->sinks.data[i]->ops->running != NULL;
	if (!wanted || !ops->open_calls)
		return;
	for (size_t pos = 0; (o = observer_next(&s->observer, &pos));)
		ops->open_calls(s->observer.planter, o->id, false, on_running, &l);
	for (size_t i = 0; i < s->sinks.len; i++)
		if (s->sinks.data[i]->ops->running)
			s->sinks.data[i]->ops->running(s->sinks.data[i], l.data, l.len);
	vec_done(&l);
}

static void take_open_calls(struct trace_session *s, const struct observed *o, enum call_end end)
{
	struct open_calls open = {s, end, clock_monotonic_ns()};
	const struct planter_ops *ops = s->observer.planting;

	if (ops->open_calls)
		ops->open_calls(s->observer.planter, o->id, true, on_open_call, &open);
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

static struct subject *analyse(void *arg, const struct process *proc)
{
	struct trace_session *s = arg;
	struct trace_subject *t = trace_subject_new(proc->exe_path, &s->inquiry);
	const struct plant_control control = {.every = s->options->every, .per_second = s->options->rate};

	s->observer.refused += t->refused;
	for (size_t i = 0; i < t->plans.len; i++)
		if (!t->plans.data[i].why)
			call_decoder_add_plan(s->decoder, &t->plans.data[i], t->plans.shapes, t->ids[i].entry,
					      t->ids[i].ret);
	for (size_t i = 0; i < t->subject.nprobes && (control.every || control.per_second); i++)
		if (t->subject.probes[i].program->controlled)
			s->observer.planting->control(s->observer.planter, t->subject.probes[i].id, &control);
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

static void planted(void *arg, struct observed *o)
{
	struct trace_session *s = arg;

	trace_subject_pair(subject_of(o->subject), &s->observer, o);
}

static void leave(void *arg, struct observed *o, bool exited)
{
	take_open_calls(arg, o, exited ? CALL_EXITED : CALL_OPEN);
}

static const struct observer_ops observer_ops = {
	.analyse = analyse,
	.release = release,
	.enter = enter,
	.planted = planted,
	.drain = drain_all,
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

static void show_aggregates(struct trace_session *s, bool last)
{
	const struct planter_ops *ops = s->observer.planting;
	struct trace_groups groups = {.decoder = s->decoder};

	if (ops->aggregates)
		ops->aggregates(s->observer.planter, s->options->interval_ns != 0, on_group, &groups);
	trace_groups_sort(&groups);
	for (size_t i = 0; i < s->sinks.len; i++)
		if (s->sinks.data[i]->ops->groups && (groups.list.len || last))
			s->sinks.data[i]->ops->groups(s->sinks.data[i], groups.list.data, groups.list.len, last);
	s->ngroups += groups.list.len;
	trace_groups_done(&groups);
}

static void on_interval(void *arg, uint32_t events)
{
	(void)events;
	show_aggregates(arg, false);
}

/* ---- time ---- */

static bool all_gone(const struct trace_session *s)
{
	size_t gone = 0;

	for (size_t i = 0; i < s->sinks.len; i++) {
		const struct call_sink_ops *ops = s->sinks.data[i]->ops;

		gone += ops->gone && ops->gone(s->sinks.data[i]);
	}
	return s->sinks.len && gone == s->sinks.len;
}

static void on_tick(void *arg, uint32_t events)
{
	struct trace_session *s = arg;

	(void)events;
	drain(s); /* the calls that ended before the last list of running ones are in now */
	for (size_t i = 0; i < s->sinks.len; i++)
		if (s->sinks.data[i]->ops->tick)
			s->sinks.data[i]->ops->tick(s->sinks.data[i]);
	tell_running(s);
	if (all_gone(s))
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
	const struct planter_ops *ops = s->observer.planting;

	if (ops->open_calls)
		ops->open_calls(s->observer.planter, o->id, true, discard_open_call, s);
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
	if (!s->observer.planting->hits)
		return err_set(err, -ENOSYS, "--budget: this planter does not count hits");
	budget_parse(s->options->budget, &b.share, NULL);
	return budget_new(&b, s->loop, &s->budget, err);
}

static int add_timers(struct trace_session *s, struct err *err)
{
	const struct trace_options *o = s->options;
	struct observer *ob = &s->observer;
	int r = loop_add_timer(s->loop, DRAIN_NS, DRAIN_NS, on_drain, s, &s->sources[s->nsources++]);

	if (r >= 0)
		r = loop_add_fd(s->loop, ob->planting->fd(ob->planter), EPOLLIN, on_drain, s, &s->sources[s->nsources++]);
	if (r >= 0)
		r = loop_add_timer(s->loop, TICK_NS, TICK_NS, on_tick, s, &s->sources[s->nsources++]);
	if (r >= 0 && o->for_ns)
		r = loop_add_timer(s->loop, o->for_ns, 0, on_deadline, s, &s->sources[s->nsources++]);
	if (r >= 0 && o->interval_ns)
		r = loop_add_timer(s->loop, o->interval_ns, o->interval_ns, on_interval, s, &s->sources[s->nsources++]);
	return r < 0 ? err_set(err, r, "cannot make a timer: %s", strerror(-r)) : start_budget(s, err);
}

/* ---- outputs ---- */

static int open_output(const char *path, struct err *err)
{
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return err_set(err, -errno, "cannot write to %s: %s", path ? path : "standard output", strerror(errno));
	return fd;
}

static bool use_colour(int fd)
{
	return isatty(fd) && !getenv("NO_COLOR");
}

static int add_text(struct trace_session *s, struct err *err)
{
	const struct trace_options *o = s->options;
	struct call_text_options text = {.show_process = o->show_process,
					 .no_calls = !o->graph && (o->perfetto || o->folded || o->pprof)};
	struct call_sink **sink = vec_add(&s->sinks);
	int r, fd = open_output(o->output, err);

	if (fd < 0)
		r = fd;
	else if (o->json)
		r = call_json_new(fd, sink, err);
	else if ((text.color = use_colour(fd)), o->graph)
		r = call_graph_new(fd, &text, sink, err);
	else
		r = call_line_new(fd, &text, sink, err);
	if (r < 0)
		s->sinks.len--;
	return r;
}

static int add_file(struct trace_session *s, const char *path,
		    int (*make)(const char *, struct call_sink **, struct err *), struct err *err)
{
	struct call_sink *sink;
	int r = path ? make(path, &sink, err) : 0;

	if (path && r >= 0)
		vec_push(&s->sinks, sink);
	return r;
}

static int add_outputs(struct trace_session *s, struct err *err)
{
	const struct trace_options *o = s->options;
	int r = add_text(s, err);

	if (r >= 0)
		r = add_file(s, o->perfetto, call_perfetto_new, err);
	if (r >= 0)
		r = add_file(s, o->folded, call_folded_new, err);
	if (r >= 0)
		r = add_file(s, o->pprof, call_pprof_new, err);
	return r;
}

static void close_outputs(struct trace_session *s)
{
	for (size_t i = 0; i < s->sinks.len; i++)
		s->sinks.data[i]->ops->close(s->sinks.data[i]);
	vec_done(&s->sinks);
}

/* ---- listing ---- */

int trace_session_list(struct trace_session *s, int pid, struct err *err)
{
	struct process proc;
	int r = process_read(s->observer.procfs, pid, &proc, err);

	if (r < 0)
		return r;
	r = trace_session_list_file(s, proc.exe_path, err);
	process_done(&proc);
	return r;
}

int trace_session_list_file(struct trace_session *s, const char *path, struct err *err)
{
	return trace_list(path, &s->inquiry, s->observer.planter ? &s->observer : NULL, s->options->json, err);
}

/* ---- beginning and end ---- */

static void session_free(struct trace_session *s)
{
	budget_free(s->budget);
	for (size_t i = 0; i < s->nsources; i++)
		loop_remove(s->loop, s->sources[i]);
	s->observer.planting->close(s->observer.planter);
	call_decoder_free(s->decoder);
	value_texts_free(s->texts);
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
		.plan = {.packs = s->packs.data,
			 .npacks = s->packs.len,
			 .limits = {.depth = (unsigned)o->depth,
				    .max_string = (unsigned)o->max_string,
				    .max_items = (unsigned)o->max_items},
			 .xmm_readable = s->observer.planting->xmm_readable,
			 .wants_return = o->graph || o->perfetto || o->pprof,
			 .wants_stack = o->folded || o->pprof},
	};
}

static int open_planter(struct trace_session *s, struct err *err)
{
	const struct planter_options planter = {.ring_bytes = s->options->ring_bytes, .procfs = s->observer.procfs};
	int r = planter_open(&s->observer, s->options->planter, &planter, err);

	return s->options->list ? 0 : r; /* a list needs no privileges: it has no prices then */
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
						 .procfs = "/proc",
						 .planting = &planter_uprobe},
				    .started_ns = clock_monotonic_ns()};
	r = packs_load(&o->packs, &s->packs, err);
	if (r >= 0)
		r = open_planter(s, err);
	if (r >= 0)
		inquire(s, questions, n);
	if (r >= 0 && !o->list)
		r = add_outputs(s, err);
	s->texts = value_texts_new(s->packs.data, s->packs.len);
	s->decoder = call_decoder_new(&(struct call_decoder_options){.emit = on_call, .arg = s, .texts = s->texts});
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
	close_outputs(s);
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
	s->observer.planting->losses(s->observer.planter, &s->summary.losses);
	call_decoder_losses(s->decoder, &s->summary);
	for (size_t i = 0; i < s->sinks.len; i++)
		if (s->sinks.data[i]->ops->losses)
			s->sinks.data[i]->ops->losses(s->sinks.data[i], &s->summary.losses);
}

void trace_session_finish(struct trace_session *s)
{
	const char *trouble;

	if (!s)
		return;
	observer_leave_all(&s->observer);
	show_aggregates(s, true);
	summarise(s);
	for (size_t i = 0; i < s->sinks.len; i++)
		if (s->sinks.data[i]->ops->summary)
			s->sinks.data[i]->ops->summary(s->sinks.data[i], &s->summary);
	for (size_t i = 0; i < s->sinks.len; i++) {
		const struct call_sink_ops *ops = s->sinks.data[i]->ops;

		trouble = ops->trouble ? ops->trouble(s->sinks.data[i]) : NULL;
		if (trouble)
			note(s, "%s", trouble);
	}
	print_summary(s);
	close_outputs(s);
	session_free(s);
}
