/*
 * Order matters at two places. A process is told to the user (enter) before its probes are planted, since events may
 * come at once. And probes are removed before the last drain, so that nothing is written after it.
 */
#include "cmd/observe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/vec.h"
#include "cmd/refusals.h"
#include "target/exec.h"
#include "target/foreign.h"
#include "target/hold.h"

#define DRAIN_NS 50000000u    /* how long a record may wait in the ring */
#define LAST_DRAINS 64
#define RESCAN_NS 2000000000u /* finds what exec events missed, and ports opened later */
#define ENDING_MS 100         /* what has begun to end has ended by then */
#define LOOK_NS 250000000u    /* likewise for observed processes, where nobody tells of execs */

/* ---- the sources ---- */

void observer_add_source(struct observer *ob, struct event_source *s)
{
	vec_push(&ob->sources, s);
}

void observer_drain(struct observer *ob)
{
	sources_drain(&ob->sources, ob->ops->sample, ob->arg);
}

void observer_drain_all(struct observer *ob)
{
	for (int i = 0; i < LAST_DRAINS && sources_drain(&ob->sources, ob->ops->sample, ob->arg) > 0; i++)
		;
}

static void on_drain(void *arg, uint32_t events)
{
	(void)events;
	hold_release_late(); /* a program that stopped too late for us stands still no longer than this takes */
	observer_drain(arg);
}

int observer_start(struct observer *ob, struct err *err)
{
	struct loop_source *added = NULL;
	int r = loop_add_timer(ob->loop, DRAIN_NS, DRAIN_NS, on_drain, ob, &added);

	for (size_t i = 0; i < ob->sources.len && r >= 0; i++) {
		struct event_source *s = ob->sources.data[i];

		vec_push(&ob->draining, added);
		r = loop_add_fd(ob->loop, s->ops->fd(s), EPOLLIN, on_drain, ob, &added);
	}
	if (r >= 0)
		vec_push(&ob->draining, added);
	return r < 0 ? err_set(err, r, "cannot wait for events: %s", strerror(-r)) : 0;
}

/* ---- processes ---- */

static void observed_free(struct observed *o)
{
	close_fd(o->pidfd);
	process_done(&o->process);
	arena_done(&o->arena);
	free(o->plants);
	free(o);
}

static void leave(struct observer *ob, struct observed *o, bool exited)
{
	observer_unplant(ob, o);
	observer_drain_all(ob); /* nothing of it may come after its end */
	ob->ops->leave(ob->arg, o, exited);
	sources_forget_target(&ob->sources, o->id);
	loop_remove(ob->loop, o->exit_source);
	map_del(&ob->processes, (uint64_t)o->process.pid);
	observed_free(o);
}

static void on_exit_of(void *arg, uint32_t events)
{
	struct observed *o = arg;
	struct observer *ob = o->observer;

	(void)events;
	ob->ops->note(ob->arg, "%s (pid %d) has exited", process_name(&o->process), o->process.pid);
	leave(ob, o, true);
	if (!ob->processes.len && ob->idle)
		ob->idle(ob->idle_arg);
}

/* How many are planted, and whether any is of use by itself. */
static int count_planted(const struct observed *o, bool *ret_useful)
{
	int n = 0;

	*ret_useful = false;
	for (size_t i = 0; i < o->subject->nprobes; i++) {
		n += o->plants[i] != NULL;
		*ret_useful |= o->plants[i] && !o->subject->probes[i].auxiliary;
	}
	return n;
}

/* The reason why the probes that matter are not planted. */
static int no_use(struct observer *ob, struct observed *o, const struct err *errs, struct err *err)
{
	const struct err *why = NULL;

	for (size_t i = 0; i < o->subject->nprobes && !why; i++)
		if (errs[i].code && !o->subject->probes[i].auxiliary)
			why = &errs[i];
	observer_unplant(ob, o);
	return err_set(err, why ? why->code : -EIO, "%s", why ? why->text : "no probe could be planted");
}

int observer_plant(struct observer *ob, struct observed *o, struct err *err)
{
	const struct subject *s = o->subject;
	_cleanup_(cleanup_free) struct err *errs = xcalloc(s->nprobes, sizeof(*errs));
	const struct plant_target target = {.id = o->id,
					    .pid = o->process.pid,
					    .path = o->process.exe_path,
					    .bias = o->bias,
					    .binary = s->binary,
					    .image = binary_image(s->binary),
					    .binary_key = s->key};
	bool useful;
	int n;

	if (!ob->planter)
		return 0;
	o->plants = xcalloc(s->nprobes, sizeof(struct plant *));
	ob->planter->ops->plant(ob->planter, &target, s->probes, s->nprobes, o->plants, errs);
	n = count_planted(o, &useful);
	if (!useful)
		return no_use(ob, o, errs, err);
	refusals_tell(ob, o, errs);
	return n;
}

void observer_unplant(struct observer *ob, struct observed *o)
{
	if (o->plants)
		ob->planter->ops->remove(ob->planter, o->plants, o->subject->nprobes);
	free(o->plants);
	o->plants = NULL;
}

/* What goes wrong with a process that ends meanwhile is its end, whatever it looks like. */
static bool is_gone(const struct observer *ob, const struct observed *o)
{
	return process_start_ticks(ob->procfs, o->process.pid) != o->process.start_ticks ||
	       process_ended(ob->procfs, o->process.pid, ENDING_MS);
}

static int enter(struct observer *ob, struct observed *o, struct err *err)
{
	int r = process_bias(ob->procfs, &o->process, binary_image(o->subject->binary), &o->bias, err);

	if (r < 0)
		return r;
	ob->ops->enter(ob->arg, o);
	r = observer_plant(ob, o, err);
	if (r < 0 && is_gone(ob, o))
		return err_set(err, -ESRCH, "process %d exited while attaching", o->process.pid);
	ob->planted += (unsigned)MAX(r, 0);
	if (r >= 0 || map_get(&ob->failed, (uint64_t)o->process.pid) != o->subject) /* else it is counted already */
		ob->refused += (unsigned)o->subject->nprobes - (unsigned)MAX(r, 0);
	if (r < 0)
		map_set(&ob->failed, (uint64_t)o->process.pid, o->subject);
	if (r < 0)
		return r;
	return loop_add_fd(ob->loop, o->pidfd, EPOLLIN, on_exit_of, o, &o->exit_source);
}

static const char *pause_text(const struct observer *ob, const struct observed *o, char *buf, size_t size)
{
	buf[0] = 0;
	if (ob->planter && ob->planter->ops->pause_ns)
		snprintf(buf, size, ", which was stopped for %.1f ms to put the probes in",
			 (double)ob->planter->ops->pause_ns(ob->planter, o->id) / 1e6);
	return buf;
}

static int observe(struct observer *ob, struct process *proc, struct subject *s, uint64_t since_ns, struct err *err)
{
	struct observed *o = xcalloc(1, sizeof(*o));
	_cleanup_(buf_done) struct buf halted = {0};
	char pause[80];
	int r;

	*o = (struct observed){.observer = ob, .process = *proc, .subject = s, .since_ns = since_ns,
			       .id = ++ob->last_target};
	*proc = (struct process){0};
	o->pidfd = (int)syscall(SYS_pidfd_open, o->process.pid, 0);
	if (o->pidfd < 0) {
		r = err_set(err, -errno, "process %d went away while attaching", o->process.pid);
		observed_free(o);
		return r;
	}
	r = enter(ob, o, err);
	map_set(&ob->processes, (uint64_t)o->process.pid, o);
	if (r < 0) {
		leave(ob, o, true);
		return r;
	}
	ob->entered++;
	ob->ops->note(ob->arg, "observing %s (pid %d, %s)%s", process_name(&o->process), o->process.pid,
		      binary_build_info(s->binary)->go_version, pause_text(ob, o, pause, sizeof(pause)));
	/* What we started ourselves waits for us. */
	if (!process_descends(ob->procfs, o->process.pid, getpid()) &&
	    process_halted(ob->procfs, o->process.pid, &halted))
		ob->ops->note(ob->arg, "%s (pid %d) %s: until then nothing is seen of it", process_name(&o->process),
			      o->process.pid, halted.data);
	if (ob->ops->entered)
		ob->ops->entered(ob->arg, o);
	return 0;
}

/* A subject whose file was only linked or renamed since is still the one. */
static bool is_of(struct subject *s, const struct file_id *file)
{
	if (file_id_alike(&s->file, file) && s->binary && binary_intact(s->binary))
		s->file = *image_file_id(binary_image(s->binary));
	return file_id_equal(&s->file, file);
}

static struct subject *subject_of(struct observer *ob, const struct process *proc)
{
	struct subject *s;

	for (size_t pos = 0; (s = observer_next_subject(ob, &pos));)
		if (is_of(s, &proc->file))
			return s;
	s = ob->ops->analyse(ob->arg, proc);
	s->file = s->binary ? *image_file_id(binary_image(s->binary)) : proc->file;
	s->key = ob->subjects.len + 1;
	map_set(&ob->subjects, s->key, s);
	return s;
}

/*
 * What is to be planted in a process. The sentence is what comes after its name; where the file is the reason, it is
 * in ret_refused, too.
 */
static int find_subject(struct observer *ob, const struct process *proc, struct subject **ret,
			struct subject **ret_refused, struct err *err)
{
	struct subject *s = subject_of(ob, proc);
	_cleanup_(buf_done) struct buf more = {0};

	if (!file_id_alike(&s->file, &proc->file))
		return err_set(err, -ESRCH, "it executed another program while attaching");
	if (!s->why[0]) {
		*ret = s;
		return 0;
	}
	if (!s->binary)
		foreign_explain(ob->procfs, proc->pid, &more);
	*ret_refused = s;
	return err_set(err, -ENODATA, "%s%s", s->why, more.len ? more.data : "");
}

/*
 * An observed process has executed something. Its probes are gone with its memory, or would be given a wrong load bias:
 * it is a new process for all that we do, of the same number.
 */
static void become(struct observer *ob, struct observed *old, struct process *now, uint64_t since_ns)
{
	_cleanup_(cleanup_free) char *was = xstrdup(process_name(&old->process)), *path = xstrdup(now->exe);
	struct err err = {0};
	struct subject *s, *refused;
	int pid = now->pid;

	leave(ob, old, true);
	if (find_subject(ob, now, &s, &refused, &err) == 0 && observe(ob, now, s, since_ns, &err) == 0)
		return;
	if (err.code != -ESRCH)
		ob->ops->note(ob->arg, "%s (pid %d) has become %s and is no longer observed: %s", was, pid, path,
			      err.text);
	if (!ob->processes.len && ob->idle)
		ob->idle(ob->idle_arg);
}

static void follow(struct observer *ob);

/* ret_refused: as of find_subject. */
static int attach(struct observer *ob, int pid, struct subject **ret_refused, struct err *err)
{
	struct observed *old = map_get(&ob->processes, (uint64_t)pid);
	uint64_t since_ns = clock_monotonic_ns();
	struct process proc;
	struct subject *s;
	int r = process_check_id(ob->procfs, pid, err);

	if (r >= 0)
		r = process_read(ob->procfs, pid, &proc, err);
	if (r < 0)
		return r;
	if (old && process_same(&old->process, &proc)) {
		process_done(&proc);
		return err_set(err, -EALREADY, "process %d is observed already", pid);
	}
	if (old) /* it executed another program, or has gone and another has its number */
		leave(ob, old, true);
	r = find_subject(ob, &proc, &s, ret_refused, err);
	if (r < 0)
		err_prefix(err, "%s (pid %d)", process_name(&proc), pid);
	else
		r = observe(ob, &proc, s, since_ns, err);
	process_done(&proc);
	if (r == 0)
		follow(ob);
	return r;
}

int observer_attach(struct observer *ob, int pid, struct err *err)
{
	struct subject *refused;

	return attach(ob, pid, &refused, err);
}

void observer_tell(struct observer *ob, const char *text)
{
	size_t n = strlen(text);
	char *copy;

	if (strmap_get(&ob->told, text, n))
		return;
	copy = arena_strndup(&ob->told_texts, text, n);
	strmap_set(&ob->told, copy, n, copy);
	ob->ops->note(ob->arg, "%s", text);
}

/* What is the file's fault is told of its first process. explain: also of processes that are no Go programs. */
static int try_attach(struct observer *ob, int pid, bool explain)
{
	struct subject *refused = NULL;
	struct err err = {0};
	int r = attach(ob, pid, &refused, &err);

	if (r >= 0 || r == -EALREADY)
		return r;
	if (!refused && r != -ESRCH && process_ended(ob->procfs, pid, ENDING_MS))
		r = -ESRCH;
	if (r == -ESRCH || !(explain || (refused && refused->binary)) || (refused && refused->told))
		return r;
	if (refused)
		refused->told = true;
	observer_tell(ob, err.text);
	return r;
}

void observer_attach_child(struct observer *ob, int pid)
{
	if (try_attach(ob, pid, true) < 0)
		ob->ops->note(ob->arg, "what the command starts is observed");
}

static void scan(struct observer *ob, bool explain)
{
	pid_vec pids = {0};

	if (target_find(ob->procfs, ob->query, &pids, NULL) >= 0)
		for (size_t i = 0; i < pids.len; i++)
			try_attach(ob, pids.data[i], explain);
	vec_done(&pids);
}

/* ---- what processes execute ---- */

/* What executes is held until its probes are in place, unless the planter itself has to hold it by the same means. */
static void enter_at_exec(struct observer *ob, struct observed *old, struct process *p, uint64_t since_ns)
{
	struct hold hold;
	bool by_planter = ob->planter && ob->planter->ops->caps.needs_ptrace;
	bool held = !by_planter && hold_process(p->pid, &hold);

	if (old && old->process.start_ticks == p->start_ticks)
		become(ob, old, p, since_ns);
	else if (try_attach(ob, p->pid, ob->query->descendants_of == 0) == -ESRCH)
		ob->too_short++;
	if (held)
		hold_release(&hold);
}

static void on_exec(void *arg, const struct exec_event *e)
{
	struct observer *ob = arg;
	int pid = (int)e->pid;
	struct observed *old = map_get(&ob->processes, e->pid);
	uint64_t since_ns = clock_monotonic_ns();
	struct process p;

	if (pid == getpid() || (old && e->monotonic_ns < old->since_ns))
		return;
	/* Gone already, or in a PID namespace above ours: the rescan finds it. */
	if (process_read(ob->procfs, pid, &p, NULL) < 0) {
		ob->too_short += ob->query && !ob->query->descendants_of && target_matches_name(ob->query, e->name);
		return;
	}
	if ((old && old->process.start_ticks == p.start_ticks) ||
	    (ob->query && (old || target_matches(ob->procfs, ob->query, &p))))
		enter_at_exec(ob, old, &p, since_ns);
	process_done(&p);
}

static void on_exec_ready(void *arg, uint32_t events)
{
	struct observer *ob = arg;

	(void)events;
	exec_watch_drain(ob->exec_watch, on_exec, ob);
}

/* Whether an observed process is still the program that it was. */
static void look_at(struct observer *ob, int pid)
{
	struct observed *o = map_get(&ob->processes, (uint64_t)pid);
	uint64_t since_ns = clock_monotonic_ns();
	struct process now;

	if (!o || process_read(ob->procfs, pid, &now, NULL) < 0)
		return;
	if (o->process.start_ticks == now.start_ticks && !process_same(&o->process, &now))
		become(ob, o, &now, since_ns);
	process_done(&now);
}

static void on_look(void *arg, uint32_t events)
{
	struct observer *ob = arg;
	struct observed *o;
	pid_vec pids = {0};

	(void)events;
	for (size_t pos = 0; (o = observer_next(ob, &pos));)
		vec_push(&pids, o->process.pid);
	for (size_t i = 0; i < pids.len; i++)
		look_at(ob, pids.data[i]);
	vec_done(&pids);
}

/*
 * From the first process on. What is executed before the kernel tells of it, and what it does not tell, is
 * seen by looking.
 */
static void follow(struct observer *ob)
{
	uint64_t every = RESCAN_NS;

	if (ob->follows)
		return;
	ob->follows = true;
	if (exec_watch_new(&ob->exec_watch, &ob->no_exec_watch) < 0)
		every = LOOK_NS;
	else
		loop_add_fd(ob->loop, exec_watch_fd(ob->exec_watch), EPOLLIN, on_exec_ready, ob, &ob->watching);
	loop_add_timer(ob->loop, 1, every, on_look, ob, &ob->look);
}

static void on_rescan(void *arg, uint32_t events)
{
	(void)events;
	scan(arg, false);
}

int observer_watch(struct observer *ob, const struct target_query *q, struct err *err)
{
	int r;

	ob->query = q;
	follow(ob);
	if (!ob->exec_watch)
		ob->ops->note(ob->arg, "%s; looking for new programs every 2 s instead", ob->no_exec_watch.text);
	scan(ob, true);
	r = loop_add_timer(ob->loop, RESCAN_NS, RESCAN_NS, on_rescan, ob, &ob->rescan);
	return r < 0 ? err_set(err, r, "cannot make a timer: %s", strerror(-r)) : 0;
}

struct observed *observer_next(const struct observer *ob, size_t *pos)
{
	void *o;

	return map_next(&ob->processes, pos, NULL, &o) ? o : NULL;
}

struct subject *observer_next_subject(const struct observer *ob, size_t *pos)
{
	void *s;

	return map_next(&ob->subjects, pos, NULL, &s) ? s : NULL;
}

void observer_leave_all(struct observer *ob)
{
	VEC(struct plant *) plants = {0};
	struct observed *o;

	if (ob->too_short)
		ob->ops->note(ob->arg, "%u %s that matched ended before %s probes were in place, and nothing is known "
				       "of %s",
			      ob->too_short, ob->too_short == 1 ? "program" : "programs",
			      ob->too_short == 1 ? "its" : "their", ob->too_short == 1 ? "it" : "them");
	for (size_t pos = 0; (o = observer_next(ob, &pos));) {
		for (size_t i = 0; o->plants && i < o->subject->nprobes; i++)
			vec_push(&plants, o->plants[i]);
		free(o->plants);
		o->plants = NULL;
	}
	if (ob->planter)
		ob->planter->ops->remove(ob->planter, plants.data, plants.len);
	vec_done(&plants);
	observer_drain_all(ob);
	for (size_t pos = 0; (o = observer_next(ob, &pos)); pos = 0)
		leave(ob, o, false);
}

void observer_done(struct observer *ob)
{
	struct subject *s;

	for (size_t i = 0; i < ob->draining.len; i++)
		loop_remove(ob->loop, ob->draining.data[i]);
	vec_done(&ob->draining);
	vec_done(&ob->sources);
	loop_remove(ob->loop, ob->watching);
	loop_remove(ob->loop, ob->look);
	loop_remove(ob->loop, ob->rescan);
	exec_watch_free(ob->exec_watch);
	for (size_t pos = 0; (s = observer_next_subject(ob, &pos));)
		ob->ops->release(s);
	map_done(&ob->subjects);
	map_done(&ob->processes);
	strmap_done(&ob->told);
	arena_done(&ob->told_texts);
	map_done(&ob->failed);
}
