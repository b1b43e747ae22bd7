/*
 * An observation: one struct program per executable file (analysed once), one struct observed per process.
 *
 * Order matters at two places. A process is told to the assembler before its probes are planted, since
 * events may come at once. And probes are removed before the last drain, so that nothing is written after it.
 */
#include "cmd/session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "cmd/outputs.h"
#include "cmd/program.h"
#include "cmd/resource.h"
#include "plant/plant.h"
#include "span/assemble.h"
#include "target/exec.h"

#define DRAIN_NS 50000000u    /* how long a span may wait in the ring */
#define TICK_NS 100000000u
#define RESCAN_NS 2000000000u /* finds what exec events missed, and ports opened later */
#define FLUSH_MS 5000

/* A process under observation. */
struct observed {
	struct session *session;
	struct process process;
	struct program *program;
	struct plant **plants;
	uint32_t id;
	int pidfd;
	struct loop_source *exit_source;
	struct arena arena;
};

struct session {
	const struct session_options *options;
	struct loop *loop;
	const char *procfs;
	pack_set packs;
	const struct planter_ops *ops;
	struct planter *planter;
	struct assembler *assembler;
	struct map programs;  /* file key → struct program */
	struct map processes; /* pid → struct observed */
	sink_list sinks;
	struct otel_env env;
	uint32_t next_target, next_probe;
	struct run_summary summary;
	uint64_t started_ns;
	const struct target_query *query;
	struct exec_watch *exec_watch;
	struct loop_source *sources[8]; /* its own on the loop, which may outlive it */
	size_t nsources;
	void (*idle)(void *arg);
	void *idle_arg;
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
	{0, "for", "DURATION", "stop after this time: 10s, 1m30s", OPT_DURATION,
	 offsetof(struct session_options, for_ns)},
	{0, "planter", "NAME", "how probes get in: uprobe (default), patch (from inside the program), auto", OPT_STRING,
	 offsetof(struct session_options, planter)},
	{0, "ring-size", "BYTES", "size of the event ring (default 4 MiB)", OPT_UINT,
	 offsetof(struct session_options, ring_bytes)},
	{'q', "quiet", NULL, "no notes and no summary on standard error", OPT_FLAG,
	 offsetof(struct session_options, quiet)},
	{0},
};

void session_note(struct session *s, const char *fmt, ...)
{
	va_list ap;

	if (s->options->quiet)
		return;
	fputs("earshot: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static struct loop_source **next_source(struct session *s)
{
	return &s->sources[s->nsources++];
}

/* ---- programs ---- */

static void register_probes(struct session *s, const struct program *p)
{
	for (size_t i = 0; i < p->nprobes; i++) {
		const struct join *j = p->join_of_probe[i];

		assembler_add_probe(s->assembler, &(struct assembler_probe){.id = p->probes[i].id,
									    .pack = j->pack,
									    .span = j->span,
									    .point = j->point,
									    .variant = j->variant,
									    .program = &j->capture.program,
									    .slot_of_item = j->capture.slot_of_item,
									    .func = j->func,
									    .binary = p->binary});
	}
}

static struct program *program_of(struct session *s, const struct process *proc)
{
	struct program *p = map_get(&s->programs, proc->file_key);

	if (p)
		return p;
	p = program_new(proc, &s->packs, &s->next_probe);
	register_probes(s, p);
	s->summary.refused += p->refused;
	map_set(&s->programs, p->key, p);
	return p;
}

static void report_refusals(struct session *s, const struct program *p)
{
	for (size_t i = 0; i < p->njoins; i++) {
		const struct join *j = &p->joins[i];

		if (!j->variant && !j->absent)
			session_note(s, "%s/%s is not observed: %s", j->pack->name, j->point->name, j->why);
	}
}

/* ---- processes ---- */

static void drain_all(struct session *s);

static void observed_free(struct observed *o)
{
	close_fd(o->pidfd);
	process_done(&o->process);
	arena_done(&o->arena);
	free(o->plants);
	free(o);
}

static void leave(struct session *s, struct observed *o, bool exited)
{
	if (o->plants)
		s->ops->remove(s->planter, o->plants, o->program->nprobes);
	drain_all(s); /* nothing of it may come after its end */
	assembler_end_target(s->assembler, o->id, exited, clock_monotonic_ns());
	s->ops->forget_target(s->planter, o->id);
	loop_remove(s->loop, o->exit_source);
	map_del(&s->processes, (uint64_t)o->process.pid);
	observed_free(o);
}

static void on_exit_of(void *arg, uint32_t events)
{
	struct observed *o = arg;
	struct session *s = o->session;

	(void)events;
	session_note(s, "%s (pid %d) has exited", process_name(&o->process), o->process.pid);
	leave(s, o, true);
	if (!s->processes.len && s->idle)
		s->idle(s->idle_arg);
}

static int plant_all(struct session *s, struct observed *o, struct err *err)
{
	struct program *p = o->program;
	struct err *errs = xcalloc(p->nprobes, sizeof(*errs));
	struct plant_target target = {.id = o->id,
				      .pid = o->process.pid,
				      .path = o->process.exe_path,
				      .binary_key = p->key};
	int r = process_bias(s->procfs, &o->process, binary_image(p->binary), &target.bias, err);

	if (r >= 0) {
		assembler_add_target(s->assembler,
				     &(struct assembler_target){
					     .id = o->id,
					     .bias = target.bias,
					     .resource = resource_new(&o->arena, &o->process, p->binary,
								      s->options->service ? s->options->service
											  : s->env.service_name,
								      s->env.resource_attrs,
								      s->env.nresource_attrs, o->id)});
		o->plants = xcalloc(p->nprobes, sizeof(struct plant *));
		r = s->ops->plant(s->planter, &target, p->probes, p->nprobes, o->plants, errs);
		for (size_t i = 0; i < p->nprobes; i++) {
			if (o->plants[i])
				s->summary.planted++;
			else if (r > 0)
				session_note(s, "%s: %s", p->probes[i].label, errs[i].text);
			s->summary.refused += !o->plants[i];
		}
		if (r <= 0)
			r = err_set(err, errs[0].code ? errs[0].code : -EIO, "%s", errs[0].text);
	}
	free(errs);
	return r;
}

static const char *pause_text(const struct session *s, const struct observed *o, char *buf, size_t size)
{
	buf[0] = 0;
	if (s->ops->pause_ns)
		snprintf(buf, size, ", which was stopped for %.1f ms to put the probes in",
			 (double)s->ops->pause_ns(s->planter, o->id) / 1e6);
	return buf;
}

static int observe(struct session *s, struct process *proc, struct program *p, struct err *err)
{
	char pause[80];
	struct observed *o = xcalloc(1, sizeof(*o));
	int r;

	*o = (struct observed){.session = s, .process = *proc, .program = p, .id = s->next_target++};
	*proc = (struct process){0};
	o->pidfd = (int)syscall(SYS_pidfd_open, o->process.pid, 0);
	if (o->pidfd < 0) {
		r = err_set(err, -errno, "process %d went away while attaching", o->process.pid);
		observed_free(o);
		return r;
	}
	r = plant_all(s, o, err);
	if (r >= 0)
		r = loop_add_fd(s->loop, o->pidfd, EPOLLIN, on_exit_of, o, &o->exit_source);
	map_set(&s->processes, (uint64_t)o->process.pid, o);
	if (r < 0) {
		if (process_start_ticks(s->procfs, o->process.pid) != o->process.start_ticks)
			err_set(err, -ESRCH, "process %d exited while attaching", o->process.pid);
		leave(s, o, true);
		return r;
	}
	s->summary.processes++;
	session_note(s, "observing %s (pid %d, %s)%s", process_name(&o->process), o->process.pid,
		     binary_build_info(p->binary)->go_version, pause_text(s, o, pause, sizeof(pause)));
	report_refusals(s, p);
	return 0;
}

int session_attach(struct session *s, int pid, struct err *err)
{
	struct observed *old = map_get(&s->processes, (uint64_t)pid);
	struct process proc;
	struct program *p;
	int r = process_read(s->procfs, pid, &proc, err);

	if (r < 0)
		return r;
	if (old && old->process.file_key == proc.file_key && old->process.start_ticks == proc.start_ticks) {
		process_done(&proc);
		return err_set(err, -EALREADY, "process %d is observed already", pid);
	}
	if (old) /* it executed another program */
		leave(s, old, true);
	p = program_of(s, &proc);
	if (p->why[0])
		r = err_set(err, -ENODATA, "%s (pid %d): %s", process_name(&proc), pid, p->why);
	else
		r = observe(s, &proc, p, err);
	process_done(&proc);
	return r;
}

static void try_attach(struct session *s, int pid, bool explain)
{
	struct err err = {0};
	int r = session_attach(s, pid, &err);

	if (r < 0 && r != -EALREADY && r != -ESRCH && explain)
		session_note(s, "%s", err.text);
}

static void scan(struct session *s, bool explain)
{
	pid_vec pids = {0};

	if (target_find(s->procfs, s->query, &pids, NULL) >= 0)
		for (size_t i = 0; i < pids.len; i++)
			try_attach(s, pids.data[i], explain);
	vec_done(&pids);
}

static void on_exec(void *arg, int pid)
{
	struct session *s = arg;
	struct observed *old = map_get(&s->processes, (uint64_t)pid);
	struct process p;

	if (pid == getpid())
		return;
	if (process_read(s->procfs, pid, &p, NULL) < 0)
		return; /* gone already, or in a PID namespace above ours: the rescan finds it */
	if (old || target_matches(s->procfs, s->query, &p))
		try_attach(s, pid, s->query->descendants_of == 0);
	process_done(&p);
}

static void on_exec_ready(void *arg, uint32_t events)
{
	struct session *s = arg;

	(void)events;
	exec_watch_drain(s->exec_watch, on_exec, s);
}

static void on_rescan(void *arg, uint32_t events)
{
	(void)events;
	scan(arg, false);
}

int session_watch(struct session *s, const struct target_query *q, struct err *err)
{
	struct err why = {0};
	int r;

	s->query = q;
	r = exec_watch_new(&s->exec_watch, &why);
	if (r < 0)
		session_note(s, "%s; looking for new programs every 2 s instead", why.text);
	else
		r = loop_add_fd(s->loop, exec_watch_fd(s->exec_watch), EPOLLIN, on_exec_ready, s, next_source(s));
	scan(s, true);
	r = loop_add_timer(s->loop, RESCAN_NS, RESCAN_NS, on_rescan, s, next_source(s));
	return r < 0 ? err_set(err, r, "cannot make a timer: %s", strerror(-r)) : 0;
}

bool session_traces(const struct session *s)
{
	return s->ops->traces;
}

size_t session_processes(const struct session *s)
{
	return s->processes.len;
}

size_t session_ever_attached(const struct session *s)
{
	return s->summary.processes;
}

void session_on_idle(struct session *s, void (*fn)(void *arg), void *arg)
{
	s->idle = fn;
	s->idle_arg = arg;
}

/* ---- events and sinks ---- */

static void on_span(void *arg, const struct span *span)
{
	struct session *s = arg;

	outputs_span(&s->sinks, span);
}

static void on_record(void *arg, const void *record, size_t size)
{
	struct session *s = arg;

	assembler_event(s->assembler, record, size);
}

static void drain(struct session *s)
{
	s->ops->drain(s->planter, on_record, s);
}

/* Until the ring is seen empty; bounded, since other processes may write as fast as we read. */
static void drain_all(struct session *s)
{
	for (int i = 0; i < 64 && s->ops->drain(s->planter, on_record, s) > 0; i++)
		;
}

static void on_drain(void *arg, uint32_t events)
{
	(void)events;
	drain(arg);
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

static int add_timers(struct session *s)
{
	int r = loop_add_timer(s->loop, DRAIN_NS, DRAIN_NS, on_drain, s, next_source(s));

	if (r >= 0)
		r = loop_add_fd(s->loop, s->ops->fd(s->planter), EPOLLIN, on_drain, s, next_source(s));
	if (r >= 0)
		r = loop_add_timer(s->loop, TICK_NS, TICK_NS, on_tick, s, next_source(s));
	if (r >= 0 && s->options->for_ns)
		r = loop_add_timer(s->loop, s->options->for_ns, 0, on_deadline, s, next_source(s));
	return r;
}

static void session_free(struct session *s)
{
	uint64_t key;
	void *value;

	for (size_t i = 0; i < s->nsources; i++)
		loop_remove(s->loop, s->sources[i]);
	for (size_t pos = 0; map_next(&s->programs, &pos, &key, &value);)
		program_free(value);
	map_done(&s->programs);
	map_done(&s->processes);
	s->ops->close(s->planter);
	assembler_free(s->assembler);
	exec_watch_free(s->exec_watch);
	packs_done(&s->packs);
	otel_env_done(&s->env);
	free(s);
}

/* auto: uprobes where the kernel and the privileges allow them, since nothing of the program is changed then. */
static int open_planter(struct session *s, const struct planter_options *o, struct err *err)
{
	const char *name = s->options->planter ? s->options->planter : planter_uprobe.name;
	struct err why = {0};

	if (!strcmp(name, planter_patch.name)) {
		s->ops = &planter_patch;
	} else if (!strcmp(name, "auto")) {
		if (planter_uprobe.open(o, &s->planter, &why) >= 0)
			return 0;
		s->ops = &planter_patch;
		session_note(s, "patching programs from inside, since uprobes cannot be used: %s", why.text);
	} else if (strcmp(name, planter_uprobe.name)) {
		return err_set(err, -EINVAL, "--planter expects uprobe, patch or auto, not \"%s\"", name);
	}
	return s->ops->open(o, &s->planter, err);
}

static const char *env_get(void *arg, const char *name)
{
	(void)arg;
	return getenv(name);
}

int session_new(const struct session_options *o, struct loop *loop, struct session **ret, struct err *err)
{
	struct session *s = xcalloc(1, sizeof(*s));
	struct planter_options planter = {.ring_bytes = o->ring_bytes, .procfs = "/proc"};
	int r;

	*s = (struct session){.options = o,
			      .loop = loop,
			      .procfs = "/proc",
			      .ops = &planter_uprobe,
			      .next_target = 1,
			      .next_probe = 1,
			      .started_ns = clock_monotonic_ns()};
	r = otel_env_read(&s->env, env_get, NULL, err);
	if (r >= 0)
		r = packs_load(&o->packs, &s->packs, err);
	if (r >= 0)
		r = open_planter(s, &planter, err);
	if (r >= 0)
		r = outputs_open(o, &s->env, &s->sinks, err);
	if (r >= 0) {
		s->assembler = assembler_new(&(struct assembler_options){
			.emit = on_span,
			.arg = s,
			.sample = o->sample >= 0 ? o->sample : s->env.sample_ratio,
			.sample_parent_based = o->sample < 0 && s->env.sample_parent_based});
		r = add_timers(s);
	}
	if (r < 0) {
		session_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

static const char *plural(uint64_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

/* " (12 ring_full, 3 unpaired_end)", or nothing. */
static void print_losses(const struct losses *l, struct buf *out)
{
	bool any = false;

	for (int i = 0; i < LOSS_COUNT; i++) {
		if (!l->count[i] || !loss_name(i))
			continue;
		buf_printf(out, "%s%llu %s", any ? ", " : " (", (unsigned long long)l->count[i], loss_name(i));
		any = true;
	}
	if (any)
		buf_char(out, ')');
}

static void print_summary(struct session *s)
{
	const struct run_summary *sum = &s->summary;
	_cleanup_(buf_done) struct buf b = {0};

	buf_printf(&b, "%llu %s from %u %s in %.1f s (%llu events); ", (unsigned long long)sum->spans,
		   plural(sum->spans, "span", "spans"), sum->processes,
		   plural(sum->processes, "process", "processes"),
		   (double)(clock_monotonic_ns() - s->started_ns) / 1e9, (unsigned long long)sum->events);
	if (sum->spans_lost)
		buf_printf(&b, "%llu lost", (unsigned long long)sum->spans_lost);
	else
		buf_str(&b, "none lost");
	print_losses(&sum->losses, &b);
	if (sum->open)
		buf_printf(&b, ", %llu still open", (unsigned long long)sum->open);
	buf_printf(&b, "; %u %s planted", sum->planted, plural(sum->planted, "probe", "probes"));
	if (sum->refused)
		buf_printf(&b, ", %u refused", sum->refused);
	session_note(s, "%s", b.data);
}

/* All at once: removing probes waits for the kernel, once however many they are. */
static void leave_all(struct session *s)
{
	VEC(struct plant *) plants = {0};
	size_t pos = 0;
	void *value;

	while (map_next(&s->processes, &pos, NULL, &value)) {
		struct observed *o = value;

		for (size_t i = 0; o->plants && i < o->program->nprobes; i++)
			vec_push(&plants, o->plants[i]);
		free(o->plants);
		o->plants = NULL;
	}
	s->ops->remove(s->planter, plants.data, plants.len);
	vec_done(&plants);
	drain_all(s);
	for (pos = 0; map_next(&s->processes, &pos, NULL, &value); pos = 0)
		leave(s, value, false);
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
}

/* A start that was not written is a span that nobody will see. */
static void count_lost_starts(struct session *s, const struct program *p)
{
	struct losses lost = {0};

	for (size_t i = 0; i < p->nprobes; i++)
		if (p->join_of_probe[i]->point->role == POINT_START)
			s->ops->probe_losses(s->planter, p->probes[i].id, &lost);
	for (size_t i = 0; i < LOSS_COUNT; i++)
		s->summary.spans_lost += lost.count[i];
}

static void summarise(struct session *s)
{
	void *program;

	s->ops->losses(s->planter, &s->summary.losses);
	assembler_summary(s->assembler, &s->summary);
	for (size_t pos = 0; map_next(&s->programs, &pos, NULL, &program);)
		count_lost_starts(s, program);
}

void session_finish(struct session *s)
{
	const char *trouble;

	if (!s)
		return;
	leave_all(s);
	summarise(s);
	outputs_finish(&s->sinks, FLUSH_MS, &s->summary.losses);
	outputs_summary(&s->sinks, &s->summary);
	for (size_t pos = 0; (trouble = outputs_trouble(&s->sinks, &pos));)
		session_note(s, "%s", trouble);
	outputs_close(&s->sinks, FLUSH_MS);
	print_summary(s);
	session_free(s);
}
