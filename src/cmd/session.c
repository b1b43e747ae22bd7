/* An observation of spans: what observe.c finds and plants, the assembler pairs, and the sinks get. */
#include "cmd/session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "cmd/observe.h"
#include "cmd/outputs.h"
#include "cmd/planter.h"
#include "cmd/program.h"
#include "cmd/resource.h"
#include "cmd/summary.h"
#include "plant/plant.h"
#include "span/assemble.h"

#define TICK_NS 100000000u
#define FLUSH_MS 5000

struct session {
	const struct session_options *options;
	struct loop *loop;
	pack_set packs;
	struct observer observer;
	struct assembler *assembler;
	sink_list sinks;
	struct otel_env env;
	struct arena arena;
	uint32_t next_probe;
	struct run_summary summary;
	uint64_t started_ns;
	struct loop_source *sources[8]; /* its own on the loop, which may outlive it */
	size_t nsources;
};

const struct option_def session_option_defs[] = {
	{'o', "output", "FORM", "what to print of each span: line (default), tree, json, none", OPT_STRING,
	 offsetof(struct session_options, output)},
	{0, "otlp", "URL", "send spans to a collector: http://host:4318 or grpc://host:4317", OPT_STRING,
	 offsetof(struct session_options, otlp)},
	{0, "otlp-header", "NAME=VALUE", "add a header to what is sent (repeatable)", OPT_LIST,
	 offsetof(struct session_options, otlp_headers)},
	{0, "service", "NAME", "service.name (default: OTEL_SERVICE_NAME, else the program's name)", OPT_STRING,
	 offsetof(struct session_options, service)},
	{0, "packs", "GLOB|FILE", "use only these packs; a path adds a pack file (repeatable)", OPT_LIST,
	 offsetof(struct session_options, packs)},
	{0, "sample", "RATIO", "keep this share of traces, 0 to 1", OPT_RATIO,
	 offsetof(struct session_options, sample)},
	{0, "redact", "NAME,…", "hide the values of these query parameters instead of the usual secrets; \"\" for none",
	 OPT_LIST, offsetof(struct session_options, redact)},
	{0, "for", "DURATION", "stop after this time: 10s, 1m30s", OPT_DURATION,
	 offsetof(struct session_options, for_ns)},
	PLANTER_OPTION(offsetof(struct session_options, planter)),
	{0, "ring-size", "BYTES", "size of the event ring (default 4 MiB); with patch what it may grow to", OPT_UINT,
	 offsetof(struct session_options, ring_bytes)},
	{'q', "quiet", NULL, "no notes and no summary on standard error", OPT_FLAG,
	 offsetof(struct session_options, quiet)},
	{0},
};

static void vnote(bool quiet, const char *fmt, va_list ap)
{
	if (quiet)
		return;
	fputs("earshot: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void session_note(struct session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vnote(s->options->quiet, fmt, ap);
	va_end(ap);
}

static struct loop_source **next_source(struct session *s)
{
	return &s->sources[s->nsources++];
}

/* ---- programs and processes ---- */

static struct program *program_of(const struct subject *s)
{
	return (struct program *)s; /* the subject is its first member */
}

static void register_probes(struct session *s, const struct program *p)
{
	for (size_t i = 0; i < p->subject.nprobes; i++) {
		const struct join *j = p->join_of_probe[i];

		assembler_add_probe(s->assembler, &(struct assembler_probe){.id = p->subject.probes[i].id,
									    .pack = j->pack,
									    .span = j->span,
									    .point = j->point,
									    .variant = j->variant,
									    .program = &j->capture.program,
									    .slot_of_item = j->capture.slot_of_item,
									    .func = j->func,
									    .binary = p->subject.binary});
	}
}

static struct subject *analyse(void *arg, const struct process *proc)
{
	struct session *s = arg;
	struct program *p = program_new(proc, &s->packs, s->observer.planter->ops, &s->next_probe);

	register_probes(s, p);
	s->observer.refused += p->refused;
	return &p->subject;
}

static void release(struct subject *s)
{
	program_free(program_of(s));
}

static void enter(void *arg, struct observed *o)
{
	struct session *s = arg;
	const char *service = s->options->service ? s->options->service : s->env.service_name;

	assembler_add_target(s->assembler,
			     &(struct assembler_target){
				     .id = o->id,
				     .bias = o->bias,
				     .resource = resource_new(&o->arena, &o->process, o->subject->binary, service,
							      s->env.resource_attrs, s->env.nresource_attrs, o->id)});
}

static void report_refusals(void *arg, struct observed *o)
{
	const struct program *p = program_of(o->subject);

	for (size_t i = 0; i < p->njoins; i++) {
		const struct join *j = &p->joins[i];

		if (!j->variant && !j->absent)
			session_note(arg, "%s/%s is not observed: %s", j->pack->name, j->point->name, j->why);
	}
}

static void leave(void *arg, struct observed *o, bool exited)
{
	struct session *s = arg;

	assembler_end_target(s->assembler, o->id, exited, clock_monotonic_ns());
}

static void note(void *arg, const char *fmt, ...)
{
	const struct session *s = arg;
	va_list ap;

	va_start(ap, fmt);
	vnote(s->options->quiet, fmt, ap);
	va_end(ap);
}

static void on_sample(void *arg, const void *sample, size_t size);

static const struct observer_ops observer_ops = {
	.analyse = analyse,
	.release = release,
	.enter = enter,
	.entered = report_refusals,
	.sample = on_sample,
	.leave = leave,
	.note = note,
};

int session_attach(struct session *s, int pid, struct err *err)
{
	return observer_attach(&s->observer, pid, err);
}

void session_attach_child(struct session *s, int pid)
{
	observer_attach_child(&s->observer, pid);
}

int session_watch(struct session *s, const struct target_query *q, struct err *err)
{
	return observer_watch(&s->observer, q, err);
}

bool session_needs_ptrace(const struct session *s)
{
	return s->observer.planter->ops->caps.needs_ptrace;
}

size_t session_processes(const struct session *s)
{
	return s->observer.processes.len;
}

size_t session_ever_attached(const struct session *s)
{
	return s->observer.entered;
}

void session_on_idle(struct session *s, void (*fn)(void *arg), void *arg)
{
	s->observer.idle = fn;
	s->observer.idle_arg = arg;
}

/* ---- events and sinks ---- */

static void on_span(void *arg, const struct span *span)
{
	struct session *s = arg;

	outputs_span(&s->sinks, span);
}

static void on_sample(void *arg, const void *sample, size_t size)
{
	struct session *s = arg;

	assembler_event(s->assembler, sample, size);
}

static void on_tick(void *arg, uint32_t events)
{
	struct session *s = arg;

	(void)events;
	outputs_tick(&s->sinks);
	if (outputs_gone(&s->sinks))
		loop_quit(s->loop);
}

/* ---- beginning and end ---- */

static void on_deadline(void *arg, uint32_t events)
{
	struct session *s = arg;

	(void)events;
	loop_quit(s->loop);
}

static int add_timers(struct session *s, struct err *err)
{
	int r = observer_start(&s->observer, err);

	if (r >= 0)
		r = loop_add_timer(s->loop, TICK_NS, TICK_NS, on_tick, s, next_source(s));
	if (r >= 0 && s->options->for_ns)
		r = loop_add_timer(s->loop, s->options->for_ns, 0, on_deadline, s, next_source(s));
	return r;
}

static void session_free(struct session *s)
{
	for (size_t i = 0; i < s->nsources; i++)
		loop_remove(s->loop, s->sources[i]);
	planter_close(s->observer.planter); /* probes and programs outlive it */
	observer_done(&s->observer);
	assembler_free(s->assembler);
	packs_done(&s->packs);
	otel_env_done(&s->env);
	arena_done(&s->arena);
	free(s);
}

static const char *env_get(void *arg, const char *name)
{
	(void)arg;
	return getenv(name);
}

/* The names of --redact, which may be given more than once; NULL without it. */
static const char *const *redact_names(struct session *s)
{
	const string_list *given = &s->options->redact;
	VEC(const char *) names = {0};
	const char *const *all;

	for (size_t i = 0; i < given->len; i++)
		for (const char *p = given->data[i], *end; *p; p = end + (*end == ',')) {
			end = strchrnul(p, ',');
			if (end > p)
				vec_push(&names, arena_strndup(&s->arena, p, (size_t)(end - p)));
		}
	vec_push(&names, NULL);
	all = given->len ? arena_memdup(&s->arena, names.data, names.len * sizeof(*names.data)) : NULL;
	vec_done(&names);
	return all;
}

int session_new(const struct session_options *o, struct loop *loop, struct session **ret, struct err *err)
{
	struct session *s = xcalloc(1, sizeof(*s));
	struct planter_options planter = {.ring_bytes = o->ring_bytes, .procfs = "/proc"};
	const struct planter_ops *which;
	int r;

	*s = (struct session){.options = o,
			      .loop = loop,
			      .observer = {.ops = &observer_ops,
					   .arg = s,
					   .loop = loop,
					   .procfs = "/proc"},
			      .next_probe = 1,
			      .started_ns = clock_monotonic_ns()};
	r = otel_env_read(&s->env, env_get, NULL, err);
	if (r >= 0)
		r = packs_load(&o->packs, &s->packs, err);
	if (r >= 0)
		r = planter_open(&s->observer, o->planter, &planter, &which, err);
	if (r >= 0)
		r = outputs_open(o, &s->env, &s->sinks, err);
	if (r >= 0) {
		s->assembler = assembler_new(&(struct assembler_options){
			.emit = on_span,
			.arg = s,
			.redact = redact_names(s),
			.sample = o->sample >= 0 ? o->sample : s->env.sample_ratio,
			.sample_parent_based = o->sample < 0 && s->env.sample_parent_based});
		r = add_timers(s, err);
	}
	if (r < 0) {
		session_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

static void print_summary(struct session *s)
{
	const struct run_summary *sum = &s->summary;
	_cleanup_(buf_done) struct buf b = {0}, losses = {0};

	buf_printf(&b, "%llu %s from %u %s in %.1f s (%llu events); ", (unsigned long long)sum->spans,
		   plural(sum->spans, "span", "spans"), sum->processes,
		   plural(sum->processes, "process", "processes"),
		   (double)(clock_monotonic_ns() - s->started_ns) / 1e9, (unsigned long long)sum->events);
	if (sum->spans_lost)
		buf_printf(&b, "%llu lost", (unsigned long long)sum->spans_lost);
	else
		buf_str(&b, "none lost");
	if (losses_list(&sum->losses, &losses))
		buf_printf(&b, " (%s)", losses.data);
	if (sum->open)
		buf_printf(&b, ", %llu still open", (unsigned long long)sum->open);
	buf_printf(&b, "; %u %s planted", sum->planted, plural(sum->planted, "probe", "probes"));
	if (sum->refused)
		buf_printf(&b, ", %u refused", sum->refused);
	session_note(s, "%s", b.data);
}

void session_cancel(struct session *s)
{
	if (!s)
		return;
	outputs_close(&s->sinks, 0);
	session_free(s);
}

void session_options_done(struct session_options *o)
{
	vec_done(&o->packs);
	vec_done(&o->otlp_headers);
	vec_done(&o->redact);
}

/* A start that was not written is a span that nobody will see. */
static void count_lost_starts(struct session *s, const struct program *p)
{
	struct losses lost = {0};

	for (size_t i = 0; i < p->subject.nprobes; i++)
		if (p->join_of_probe[i]->point->role == POINT_START)
			sources_probe_losses(&s->observer.sources, p->subject.probes[i].id, &lost);
	for (size_t i = 0; i < LOSS_COUNT; i++)
		s->summary.spans_lost += lost.count[i];
}

static void summarise(struct session *s)
{
	const struct subject *subject;

	s->summary.processes = s->observer.entered;
	s->summary.planted = s->observer.planted;
	s->summary.refused = s->observer.refused;
	sources_losses(&s->observer.sources, &s->summary.losses);
	assembler_summary(s->assembler, &s->summary);
	for (size_t pos = 0; (subject = observer_next_subject(&s->observer, &pos));)
		count_lost_starts(s, program_of(subject));
}

void session_finish(struct session *s)
{
	const char *trouble;

	if (!s)
		return;
	observer_leave_all(&s->observer);
	summarise(s);
	outputs_finish(&s->sinks, FLUSH_MS, &s->summary.losses);
	outputs_summary(&s->sinks, &s->summary);
	for (size_t pos = 0; (trouble = outputs_trouble(&s->sinks, &pos));)
		session_note(s, "%s", trouble);
	outputs_close(&s->sinks, FLUSH_MS);
	print_summary(s);
	session_free(s);
}
