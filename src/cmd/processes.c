/*
 * The processes under observation: found now and later, each executable file analysed once, probes planted, taken out
 * again. Order matters at two places. A process is told to the consumers (enter) before its probes are planted, since
 * samples may come at once. And probes are removed before the last drain, so that nothing is written after it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/vec.h"
#include "cmd/observation_internal.h"
#include "cmd/own_points.h"
#include "cmd/refusals.h"
#include "cmd/resource.h"
#include "sink/otel_env.h"
#include "target/foreign.h"
#include "target/hold.h"

#define RESCAN_NS 2000000000u /* finds what exec events missed, and ports opened later */
#define ENDING_MS 100         /* what has begun to end has ended by then */
#define RECORDER_LOOK_NS 2000000u
#define RECORDER_COMES_NS 2000000000u /* on a machine that is busy */
#define NAMED_UNPLANTED 4u    /* of those that cannot be planted: more are a matter for `earshot inspect` */
#define LOOK_NS 250000000u    /* how often observed processes are looked at, where nobody tells of execs */

struct tracked {              /* an observed process */
	struct observed_process p;
	struct observation *observation;
	struct plant **plants;/* p.plants */
	bool own_waits;       /* for its recorder: it has not begun … */
	uint64_t own_until_ns; /* … or had not so long ago (CLOCK_MONOTONIC) */
	size_t spared;        /* probes that would only have helped others, or stand for others that are there */
	uint64_t since_ns;    /* CLOCK_MONOTONIC: what it executed after that is not this program any more */
	int pidfd;
	struct loop_source *exit_source;
};

static struct tracked *tracked_of(const struct observed_process *p)
{
	return (struct tracked *)p;
}

/* ---- probes in and out ---- */

static void unplant(struct observation *ob, struct tracked *t)
{
	if (t->p.own)
		woven_detach(ob->woven, t->p.id);
	t->p.own = t->own_waits = false;
	if (t->plants)
		ob->planter->ops->remove(ob->planter, t->plants, t->p.executable->nprobes);
	free(t->plants);
	t->p.plants = t->plants = NULL;
}

/* How many are planted, and whether any has a value on its own. */
static int count_planted(const struct tracked *t, bool *ret_useful)
{
	const struct executable *x = t->p.executable;
	int n = 0;

	*ret_useful = false;
	for (size_t i = 0; i < x->nprobes; i++) {
		bool in = t->plants[i] || (t->p.own && x->probes[i].own);

		n += in;
		*ret_useful |= in && !x->probes[i].auxiliary;
	}
	return n;
}

static bool any_planted(const struct tracked *t)
{
	size_t i = 0;

	while (i < t->p.executable->nprobes && !t->plants[i])
		i++;
	return i < t->p.executable->nprobes;
}

/* The reason why the probes that matter are not planted. */
static int explain_unplanted(struct observation *ob, struct tracked *t, const struct err *errs, struct err *err)
{
	const struct executable *x = t->p.executable;
	const struct err *why = NULL;

	for (size_t i = 0; i < x->nprobes && !why; i++)
		if (errs[i].code && !x->probes[i].auxiliary)
			why = &errs[i];
	unplant(ob, t);
	return err_set(err, why ? why->code : -EIO, "%s", why ? why->text : "no probe could be planted");
}

/* What the program has no point of its own for; without those that only help others, where there are no others. */
static size_t rest_of(struct tracked *t, size_t *ret)
{
	const struct executable *x = t->p.executable;
	bool useful = !t->p.own;
	size_t n = 0;

	t->spared = 0;
	for (size_t i = 0; i < x->nprobes; i++) {
		const struct plant_probe *p = &x->probes[i];

		if (t->p.own && p->own)
			continue;
		if (p->own_only || (t->p.own && p->unless_own)) {
			t->spared++;
			continue;
		}
		useful |= !p->auxiliary;
		ret[n++] = i;
	}
	if (useful)
		return n;
	t->spared += n;
	return 0;
}

static void plant_rest(struct observation *ob, struct tracked *t, struct err *errs)
{
	const struct executable *x = t->p.executable;
	_cleanup_(cleanup_free) size_t *which = xcalloc(x->nprobes + 1, sizeof(*which));
	const size_t n = rest_of(t, which);
	_cleanup_(cleanup_free) struct plant_probe *probes = xcalloc(n + 1, sizeof(*probes));
	_cleanup_(cleanup_free) struct plant **plants = xcalloc(n + 1, sizeof(*plants));
	_cleanup_(cleanup_free) struct err *why = xcalloc(n + 1, sizeof(*why));
	const struct plant_target target = {.id = t->p.id,
					    .pid = t->p.process.pid,
					    .path = t->p.process.exe_path,
					    .bias = t->p.bias,
					    .binary = x->binary,
					    .image = binary_image(x->binary),
					    .binary_key = x->key};

	for (size_t i = 0; i < n; i++)
		probes[i] = x->probes[which[i]];
	if (n)
		ob->planter->ops->plant(ob->planter, &target, probes, n, plants, why);
	for (size_t i = 0; i < n; i++) {
		t->plants[which[i]] = plants[i];
		errs[which[i]] = why[i];
	}
}

static void tell_planted(struct observation *ob, struct tracked *t)
{
	struct consumer *c;

	for_consumers(c, ob)
		if (c->ops->planted)
			c->ops->planted(c, &t->p);
}

/* Something has to be planted beside its own points. */
static bool is_mixed(const struct observation *ob, struct tracked *t)
{
	_cleanup_(cleanup_free) size_t *rest = xcalloc(t->p.executable->nprobes + 1, sizeof(*rest));
	const bool own = t->p.own;
	size_t n;

	if (!ob->planter)
		return false;
	t->p.own = true;
	n = rest_of(t, rest);
	t->p.own = own;
	return n;
}

/* -ENODATA, or -EAGAIN while it may still come: on a busy machine it may be seen when it is half made. */
static int look_for_recorder(struct observation *ob, struct tracked *t, struct err *err)
{
	const uint64_t now = clock_monotonic_ns();
	int r;

	if (own_points_begin(ob->procfs, &t->p.process))
		t->own_until_ns = now + RECORDER_COMES_NS;
	r = own_points_attach(ob->woven, &t->p, is_mixed(ob, t), err);
	return (r == -ENODATA || r == -EPROTO) && now < t->own_until_ns ? -EAGAIN : r;
}

static void wait_for_recorder(struct observation *ob, struct tracked *t);

/*
 * Switches on the points that the program has itself. How many; 0: it has none, or they cannot be used, and probes are
 * planted instead; -errno where there is no planter to do that.
 */
static int use_own(struct observation *ob, struct tracked *t, struct err *err)
{
	struct err why = {0};
	int r;

	if (!t->p.executable->nown)
		return 0;
	if (is_mixed(ob, t) && own_points_decide(&t->p))
		r = err_set(&why, -EXDEV,
			    "whoever decides which traces are kept, or sends ids, has to know all spans of it, and not "
			    "all is woven");
	else if (is_mixed(ob, t) && !ob->planter->ops->caps.kernel_clock)
		r = err_set(&why, -EXDEV,
			    "this planter's records and theirs have no common clock, and not all is woven");
	else
		r = look_for_recorder(ob, t, &why);
	if (r == -EAGAIN) {
		wait_for_recorder(ob, t);
		r = (int)t->p.executable->nown;
	}
	t->p.own = r > 0;
	if (r < 0 && ob->planter) {
		observation_note(ob, "%s (pid %d): probes are planted, since its own points cannot be used: %s",
				 process_name(&t->p.process), t->p.process.pid, why.text);
		return 0;
	}
	return r < 0 ? err_set(err, r, "%s", why.text) : r;
}

/* What it has no points for would have to be planted, and cannot be. */
static void tell_unplanted(struct observation *ob, struct tracked *t)
{
	_cleanup_(cleanup_free) size_t *rest = xcalloc(t->p.executable->nprobes + 1, sizeof(*rest));
	const struct executable *x = t->p.executable;
	const size_t n = rest_of(t, rest);
	_cleanup_(buf_done) struct buf text = {0};

	if (!n)
		return;
	buf_printf(&text, "%s was built without %zu of the %zu probes for it (", process_name(&t->p.process), n,
		   x->nprobes);
	for (size_t i = 0; i < MIN(n, NAMED_UNPLANTED); i++)
		buf_printf(&text, "%s%s", i ? ", " : "", x->probes[rest[i]].label);
	buf_printf(&text, "%s), and these cannot be planted: %s", n > NAMED_UNPLANTED ? " …" : "", ob->no_planter.text);
	observation_note_once(ob, text.data);
}

static void tell_lacks(struct observation *ob, struct tracked *t)
{
	const struct executable *x = t->p.executable;
	_cleanup_(buf_done) struct buf lacks = {0}, text = {0};

	own_points_lacks(x->probes, x->nprobes, &lacks);
	if (!lacks.len)
		return;
	buf_printf(&text, "%s: its spans are without what could not be built into it, %s, and a probe that would have "
		   "it cannot be planted: %s", process_name(&t->p.process), lacks.data, ob->no_planter.text);
	observation_note_once(ob, text.data);
}

/*
 * Returns the number planted (at least one that has a value on its own), or -errno. Without a planter the program was
 * built with its probes, and they are all there.
 */
static int plant(struct observation *ob, struct tracked *t, struct err *err)
{
	const struct executable *x = t->p.executable;
	_cleanup_(cleanup_free) struct err *errs = xcalloc(x->nprobes, sizeof(*errs));
	int n = use_own(ob, t, err);
	bool useful;

	if (n < 0)
		return n;
	if (!ob->planter && !n)
		return (int)x->nprobes;
	if (!ob->planter) {
		tell_planted(ob, t);
		tell_unplanted(ob, t);
		tell_lacks(ob, t);
		return n;
	}
	t->p.plants = t->plants = xcalloc(x->nprobes, sizeof(struct plant *));
	plant_rest(ob, t, errs);
	n = count_planted(t, &useful);
	if (!useful)
		return explain_unplanted(ob, t, errs, err);
	t->p.in_steps = t->p.own && !t->own_waits && any_planted(t);
	tell_planted(ob, t);
	refusals_tell(ob, &t->p, errs);
	return n;
}

/* Again. Where it will not come any more, the program is planted after all. */
static void look_again(struct observation *ob, struct tracked *t)
{
	struct err err = {0};
	int r = look_for_recorder(ob, t, &err);

	if (r == -EAGAIN)
		return;
	t->own_waits = t->p.in_steps = false;
	if (r > 0) {
		tell_planted(ob, t);
		return;
	}
	unplant(ob, t);
	if (plant(ob, t, &err) < 0 && r != -ESRCH)
		observation_note(ob, "%s (pid %d) is not observed: %s", process_name(&t->p.process), t->p.process.pid,
				 err.text);
}

static void on_recorder_look(void *arg, uint32_t events)
{
	struct observation *ob = arg;
	struct observed_process *p;
	bool more = false;

	(void)events;
	for (size_t pos = 0; (p = observation_next_process(ob, &pos));) {
		if (tracked_of(p)->own_waits)
			look_again(ob, tracked_of(p));
		more |= tracked_of(p)->own_waits;
	}
	if (!more) {
		loop_remove(ob->loop, ob->processes.recorder_look);
		ob->processes.recorder_look = NULL;
	}
}

/* It is held at its first instruction, or has just passed it. */
static void wait_for_recorder(struct observation *ob, struct tracked *t)
{
	t->own_waits = true;
	if (!ob->processes.recorder_look)
		loop_add_timer(ob->loop, RECORDER_LOOK_NS, RECORDER_LOOK_NS, on_recorder_look, ob,
			       &ob->processes.recorder_look);
}

void observation_pause(struct observation *ob)
{
	struct observed_process *p;

	for (size_t pos = 0; (p = observation_next_process(ob, &pos));)
		unplant(ob, tracked_of(p));
	observation_drain_all(ob);
}

void observation_resume(struct observation *ob)
{
	struct observed_process *p;

	for (size_t pos = 0; (p = observation_next_process(ob, &pos));)
		if (!p->plants && !p->own && plant(ob, tracked_of(p), NULL) < 0)
			observation_note(ob, "%s (pid %d) is no longer observed: its probes could not be put back",
					 process_name(&p->process), p->process.pid);
}

/* ---- processes ---- */

/*
 * What is to be planted in a process. The sentence is what comes after its name; where the file is the reason, it is
 * in ret_refused, too.
 */
static int find_executable(struct observation *ob, const struct process *proc, struct executable **ret,
			   struct executable **ret_refused, struct err *err)
{
	struct executable *x = executable_of(ob, proc);
	_cleanup_(buf_done) struct buf more = {0};

	if (!file_id_alike(&x->file, &proc->file))
		return err_set(err, -ESRCH, "it executed another program while attaching");
	if (!x->why[0]) {
		*ret = x;
		return 0;
	}
	if (!x->binary)
		foreign_explain(ob->procfs, proc->pid, &more);
	*ret_refused = x;
	return err_set(err, -ENODATA, "%s%s", x->why, more.len ? more.data : "");
}

static bool keeps_processes(const struct observation *ob)
{
	struct consumer *c;

	for_consumers(c, ob)
		if (c->ops->keeps_processes)
			return true;
	return false;
}

static void tracked_free(struct tracked *t)
{
	close_fd(t->pidfd);
	process_done(&t->p.process);
	if (keeps_processes(t->observation))
		vec_push(&t->observation->processes.kept, t->p.arena);
	else
		arena_done(&t->p.arena);
	free(t->plants);
	free(t);
}

static void leave(struct observation *ob, struct tracked *t, bool exited)
{
	struct consumer *c;

	unplant(ob, t);
	observation_drain_all(ob); /* nothing of it may come after its end */
	for_consumers(c, ob)
		if (c->ops->leave)
			c->ops->leave(c, &t->p, exited);
	if (ob->processes.left)
		ob->processes.left(ob->processes.left_arg, &t->p, t->pidfd);
	sources_forget_target(&ob->sources, t->p.id);
	loop_remove(ob->loop, t->exit_source);
	map_del(&ob->processes.observed, (uint64_t)t->p.process.pid);
	tracked_free(t);
}

static void tell_idle(struct observation *ob)
{
	if (!ob->processes.observed.len && ob->processes.idle)
		ob->processes.idle(ob->processes.idle_arg);
}

/* Where nobody looks for new programs, only what observed processes execute is worth to be woken for. */
static void tell_of_execs(struct observation *ob, int pid, bool tell)
{
	if (!ob->processes.exec_watch)
		return;
	if (tell)
		exec_watch_add(ob->processes.exec_watch, (uint64_t)pid);
	else
		exec_watch_remove(ob->processes.exec_watch, (uint64_t)pid);
}

static void on_exit_of(void *arg, uint32_t events)
{
	struct tracked *t = arg;
	struct observation *ob = t->observation;

	(void)events;
	observation_note(ob, "%s (pid %d) has exited", process_name(&t->p.process), t->p.process.pid);
	tell_of_execs(ob, t->p.process.pid, false);
	leave(ob, t, true);
	tell_idle(ob);
}

/* What goes wrong with a process that ends meanwhile is its end, whatever it looks like. */
static bool is_gone(const struct observation *ob, const struct process *proc)
{
	return process_start_ticks(ob->procfs, proc->pid) != proc->start_ticks ||
	       process_ended(ob->procfs, proc->pid, ENDING_MS);
}

static void count_probes(struct observation *ob, const struct tracked *t, int planted)
{
	struct processes *all = &ob->processes;
	uint64_t pid = (uint64_t)t->p.process.pid;
	unsigned n = (unsigned)MAX(planted, 0);

	all->planted += n;
	if (planted >= 0 || map_get(&all->failed, pid) != t->p.executable) /* else it is counted already */
		all->refused += (unsigned)(t->p.executable->nprobes - n - (planted >= 0 ? t->spared : 0));
	if (planted < 0)
		map_set(&all->failed, pid, t->p.executable);
}

static const struct resource *make_resource(const struct observation *ob, struct tracked *t)
{
	const struct observation_options *o = ob->options;
	const char *service = o->service || !o->env ? o->service : o->env->service_name;

	return resource_new(&t->p, service, o->env ? o->env->resource_attrs : NULL,
			    o->env ? o->env->nresource_attrs : 0);
}

static int enter(struct observation *ob, struct tracked *t, struct err *err)
{
	struct process *proc = &t->p.process;
	int r = process_bias(ob->procfs, proc, binary_image(t->p.executable->binary), &t->p.bias, err);
	struct consumer *c;

	if (r < 0)
		return r;
	t->p.resource = make_resource(ob, t);
	for_consumers(c, ob)
		c->ops->enter(c, &t->p);
	r = plant(ob, t, err);
	if (r < 0 && is_gone(ob, proc))
		return err_set(err, -ESRCH, "process %d exited while attaching", proc->pid);
	count_probes(ob, t, r);
	if (r < 0)
		return r;
	return loop_add_fd(ob->loop, t->pidfd, EPOLLIN, on_exit_of, t, &t->exit_source);
}

static const char *pause_text(const struct observation *ob, const struct tracked *t, char *buf, size_t size)
{
	const struct planter *planter = ob->planter;

	buf[0] = 0;
	if (planter && planter->ops->pause_ns)
		snprintf(buf, size, ", which was stopped for %.1f ms to put the probes in",
			 (double)planter->ops->pause_ns(ob->planter, t->p.id) / 1e6);
	return buf;
}

/* What one consumer wants nothing of, though another does: told once of each executable. */
static void explain_unwanted(struct observation *ob, const struct observed_process *p)
{
	struct executable *x = p->executable;
	struct consumer *c;

	for_consumers(c, ob)
		if (!x->explained && wanted_of(x, c)->why[0])
			observation_note(ob, "%s (pid %d): %s", process_name(&p->process), p->process.pid,
					 wanted_of(x, c)->why);
	x->explained = true;
}

static void tell_entered(struct observation *ob, struct tracked *t)
{
	struct observed_process *p = &t->p;
	_cleanup_(buf_done) struct buf halted = {0};
	struct consumer *c;
	char pause[80];

	observation_note(ob, "observing %s (pid %d, %s)%s", process_name(&p->process), p->process.pid,
			 binary_build_info(p->executable->binary)->go_version, pause_text(ob, t, pause, sizeof(pause)));
	/* What we started ourselves waits for us. */
	if (!process_descends(ob->procfs, p->process.pid, getpid()) &&
	    process_halted(ob->procfs, p->process.pid, &halted))
		observation_note(ob, "%s (pid %d) %s: until then nothing is seen of it", process_name(&p->process),
				 p->process.pid, halted.data);
	explain_unwanted(ob, p);
	for_consumers(c, ob)
		if (c->ops->entered)
			c->ops->entered(c, p);
}

static int observe(struct observation *ob, struct process *proc, struct executable *x, uint64_t since_ns,
		   struct err *err)
{
	struct tracked *t = xcalloc(1, sizeof(*t));
	int r;

	*t = (struct tracked){.observation = ob,
			      .p = {.process = *proc, .executable = x, .id = ++ob->processes.last_target},
			      .since_ns = since_ns};
	*proc = (struct process){0};
	t->pidfd = (int)syscall(SYS_pidfd_open, t->p.process.pid, 0);
	if (t->pidfd < 0) {
		r = err_set(err, -errno, "process %d went away while attaching", t->p.process.pid);
		tracked_free(t);
		return r;
	}
	r = enter(ob, t, err);
	map_set(&ob->processes.observed, (uint64_t)t->p.process.pid, t);
	if (r < 0) {
		leave(ob, t, true);
		return r;
	}
	ob->processes.entered++;
	tell_entered(ob, t);
	return 0;
}

/*
 * An observed process has executed something. Its probes are gone with its memory, or would be given a wrong load bias:
 * it is a new process for all that we do, of the same number.
 */
static void become(struct observation *ob, struct tracked *old, struct process *now, uint64_t since_ns)
{
	_cleanup_(cleanup_free) char *was = xstrdup(process_name(&old->p.process)), *path = xstrdup(now->exe);
	struct executable *x, *refused;
	struct err err = {0};
	int pid = now->pid;

	leave(ob, old, true);
	if (find_executable(ob, now, &x, &refused, &err) == 0 && observe(ob, now, x, since_ns, &err) == 0)
		return;
	if (err.code != -ESRCH)
		observation_note(ob, "%s (pid %d) has become %s and is no longer observed: %s", was, pid, path,
				 err.text);
	tell_of_execs(ob, pid, false);
	tell_idle(ob);
}

static void follow(struct observation *ob);

/* ret_refused: as of find_executable. */
static int attach(struct observation *ob, int pid, struct executable **ret_refused, struct err *err)
{
	struct tracked *old = map_get(&ob->processes.observed, (uint64_t)pid);
	uint64_t since_ns = clock_monotonic_ns();
	struct executable *x;
	struct process proc;
	int r = process_check_id(ob->procfs, pid, err);

	if (r >= 0)
		tell_of_execs(ob, pid, true); /* from here on, or a program that it becomes meanwhile would be missed */
	if (r >= 0)
		r = process_read(ob->procfs, pid, &proc, err);
	if (r < 0) {
		tell_of_execs(ob, pid, old != NULL);
		return r;
	}
	if (old && process_same(&old->p.process, &proc)) {
		process_done(&proc);
		return err_set(err, -EALREADY, "process %d is observed already", pid);
	}
	if (old) /* it executed another program, or has gone and another has its number */
		leave(ob, old, true);
	r = find_executable(ob, &proc, &x, ret_refused, err);
	if (r < 0)
		err_prefix(err, "%s (pid %d)", process_name(&proc), pid);
	else
		r = observe(ob, &proc, x, since_ns, err);
	process_done(&proc);
	if (r == 0)
		follow(ob);
	else
		tell_of_execs(ob, pid, false);
	return r;
}

int observation_attach(struct observation *ob, int pid, struct err *err)
{
	struct executable *refused;

	return attach(ob, pid, &refused, err);
}

void observation_note_once(struct observation *ob, const char *text)
{
	struct processes *all = &ob->processes;
	size_t n = strlen(text);
	char *copy;

	if (strmap_get(&all->reported, text, n))
		return;
	copy = arena_strndup(&all->reported_texts, text, n);
	strmap_set(&all->reported, copy, n, copy);
	observation_note(ob, "%s", text);
}

/* What is the file's fault is told of its first process. explain: also of processes that are no Go programs. */
static int try_attach(struct observation *ob, int pid, bool explain)
{
	struct executable *refused = NULL;
	struct err err = {0};
	int r = attach(ob, pid, &refused, &err);

	if (r >= 0 || r == -EALREADY)
		return r;
	if (!refused && r != -ESRCH && process_ended(ob->procfs, pid, ENDING_MS))
		r = -ESRCH;
	if (r == -ESRCH || !(explain || (refused && refused->binary)) || (refused && refused->reported))
		return r;
	if (refused)
		refused->reported = true;
	observation_note_once(ob, err.text);
	return r;
}

void observation_attach_child(struct observation *ob, int pid)
{
	if (try_attach(ob, pid, true) < 0)
		observation_note(ob, "what the command starts is observed");
}

static void scan(struct observation *ob, bool explain)
{
	pid_vec pids = {0};

	if (target_find(ob->procfs, ob->processes.query, &pids, NULL) >= 0)
		for (size_t i = 0; i < pids.len; i++)
			try_attach(ob, pids.data[i], explain);
	vec_done(&pids);
}

/* ---- what processes execute ---- */

/* What executes is held until its probes are in place, unless the planter itself has to hold it by the same means. */
static void enter_at_exec(struct observation *ob, struct tracked *old, struct process *proc, uint64_t since_ns)
{
	struct hold hold;
	bool held = ob->planter && !ob->planter->ops->caps.needs_ptrace && hold_process(proc->pid, &hold);

	if (old && old->p.process.start_ticks == proc->start_ticks)
		become(ob, old, proc, since_ns);
	else if (try_attach(ob, proc->pid, ob->processes.query->descendants_of == 0) == -ESRCH)
		ob->processes.too_short++;
	if (held)
		hold_release(&hold);
}

static void on_exec(void *arg, const struct exec_event *e)
{
	struct observation *ob = arg;
	const struct target_query *query = ob->processes.query;
	int pid = (int)e->pid;
	struct tracked *old = map_get(&ob->processes.observed, e->pid);
	uint64_t since_ns = clock_monotonic_ns();
	struct process proc;

	if (pid == getpid() || (old ? e->monotonic_ns < old->since_ns : !query))
		return;
	/* Gone already, or in a PID namespace above ours: the rescan finds it. */
	if (process_read(ob->procfs, pid, &proc, NULL) < 0) {
		ob->processes.too_short += query && !query->descendants_of && target_matches_name(query, e->name);
		return;
	}
	if ((old && old->p.process.start_ticks == proc.start_ticks) ||
	    (query && (old || target_matches(ob->procfs, query, &proc))))
		enter_at_exec(ob, old, &proc, since_ns);
	process_done(&proc);
}

static void on_exec_ready(void *arg, uint32_t events)
{
	struct observation *ob = arg;

	(void)events;
	exec_watch_drain(ob->processes.exec_watch, on_exec, ob);
}

/* Whether an observed process is still the program that it was. */
static void look_at(struct observation *ob, int pid)
{
	struct tracked *t = map_get(&ob->processes.observed, (uint64_t)pid);
	uint64_t since_ns = clock_monotonic_ns();
	struct process now;

	if (!t || process_read(ob->procfs, pid, &now, NULL) < 0)
		return;
	if (t->p.process.start_ticks == now.start_ticks && !process_same(&t->p.process, &now))
		become(ob, t, &now, since_ns);
	process_done(&now);
}

static void on_look(void *arg, uint32_t events)
{
	struct observation *ob = arg;
	struct observed_process *p;
	pid_vec pids = {0};

	(void)events;
	for (size_t pos = 0; (p = observation_next_process(ob, &pos));)
		vec_push(&pids, p->process.pid);
	for (size_t i = 0; i < pids.len; i++)
		look_at(ob, pids.data[i]);
	vec_done(&pids);
}

/*
 * From the first process on. What is executed before the kernel tells of it, and what it does not tell, is
 * seen by looking.
 */
static void follow(struct observation *ob)
{
	struct processes *all = &ob->processes;
	struct observed_process *p;
	uint64_t every = RESCAN_NS;

	if (all->follows)
		return;
	all->follows = true;
	if (exec_watch_new(&all->exec_watch, &all->no_exec_watch) < 0)
		every = LOOK_NS;
	for (size_t pos = 0; (p = observation_next_process(ob, &pos));)
		tell_of_execs(ob, p->process.pid, true);
	if (all->exec_watch)
		loop_add_fd(ob->loop, exec_watch_fd(all->exec_watch), EPOLLIN, on_exec_ready, ob, &all->watching);
	loop_add_timer(ob->loop, 1, every, on_look, ob, &all->look);
}

static void on_rescan(void *arg, uint32_t events)
{
	(void)events;
	scan(arg, false);
}

int observation_watch(struct observation *ob, const struct target_query *q, struct err *err)
{
	struct processes *all = &ob->processes;
	int r;

	all->query = q;
	follow(ob);
	tell_of_execs(ob, EXEC_ALL, true);
	if (!all->exec_watch)
		observation_note(ob, "%s; looking for new programs every 2 s instead", all->no_exec_watch.text);
	scan(ob, true);
	r = loop_add_timer(ob->loop, RESCAN_NS, RESCAN_NS, on_rescan, ob, &all->rescan);
	return r < 0 ? err_set(err, r, "cannot make a timer: %s", strerror(-r)) : 0;
}

/* ---- all of them ---- */

void observation_on_left(struct observation *ob, observation_left_fn fn, void *arg)
{
	ob->processes.left = fn;
	ob->processes.left_arg = arg;
}

void observation_on_idle(struct observation *ob, void (*fn)(void *arg), void *arg)
{
	ob->processes.idle = fn;
	ob->processes.idle_arg = arg;
}

size_t observation_processes(const struct observation *ob)
{
	return ob->processes.observed.len;
}

size_t observation_ever_attached(const struct observation *ob)
{
	return ob->processes.entered;
}

struct observed_process *observation_next_process(const struct observation *ob, size_t *pos)
{
	void *p;

	return map_next(&ob->processes.observed, pos, NULL, &p) ? p : NULL;
}

/* All at once, since a removal waits for the kernel. */
static void unplant_all(struct observation *ob)
{
	VEC(struct plant *) plants = {0};
	struct observed_process *p;

	for (size_t pos = 0; (p = observation_next_process(ob, &pos));) {
		for (size_t i = 0; p->plants && i < p->executable->nprobes; i++)
			vec_push(&plants, p->plants[i]);
		free(tracked_of(p)->plants);
		p->plants = tracked_of(p)->plants = NULL;
		unplant(ob, tracked_of(p));
	}
	if (ob->planter)
		ob->planter->ops->remove(ob->planter, plants.data, plants.len);
	vec_done(&plants);
}

void processes_leave_all(struct observation *ob)
{
	unsigned n = ob->processes.too_short;
	struct observed_process *p;

	if (n)
		observation_note(ob, "%u %s that matched ended before %s probes were in place, and nothing is known "
				     "of %s", n, n == 1 ? "program" : "programs", n == 1 ? "its" : "their",
				 n == 1 ? "it" : "them");
	unplant_all(ob);
	observation_drain_all(ob);
	for (size_t pos = 0; (p = observation_next_process(ob, &pos)); pos = 0)
		leave(ob, tracked_of(p), false);
}

void processes_done(struct observation *ob)
{
	struct processes *all = &ob->processes;
	struct executable *x;

	loop_remove(ob->loop, all->watching);
	loop_remove(ob->loop, all->look);
	loop_remove(ob->loop, all->rescan);
	loop_remove(ob->loop, all->recorder_look);
	exec_watch_free(all->exec_watch);
	for (size_t pos = 0; (x = observation_next_executable(ob, &pos));)
		executable_free(ob, x);
	map_done(&all->executables);
	map_done(&all->observed);
	strmap_done(&all->reported);
	arena_done(&all->reported_texts);
	map_done(&all->failed);
	for (size_t i = 0; i < all->kept.len; i++)
		arena_done(&all->kept.data[i]);
	vec_done(&all->kept);
}
