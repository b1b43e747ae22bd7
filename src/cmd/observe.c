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

#include "base/vec.h"
#include "cmd/refusals.h"
#include "target/exec.h"

#define DRAIN_NS 50000000u    /* how long a record may wait in the ring */
#define LAST_DRAINS 64
#define RESCAN_NS 2000000000u /* finds what exec events missed, and ports opened later */

/* ---- the ring ---- */

void observer_drain(struct observer *ob)
{
	ob->planting->drain(ob->planter, ob->ops->sample, ob->arg);
}

void observer_drain_all(struct observer *ob)
{
	for (int i = 0; i < LAST_DRAINS && ob->planting->drain(ob->planter, ob->ops->sample, ob->arg) > 0; i++)
		;
}

static void on_drain(void *arg, uint32_t events)
{
	(void)events;
	observer_drain(arg);
}

int observer_start(struct observer *ob, struct err *err)
{
	int r = loop_add_timer(ob->loop, DRAIN_NS, DRAIN_NS, on_drain, ob, &ob->drain_timer);

	if (r >= 0)
		r = loop_add_fd(ob->loop, ob->planting->fd(ob->planter), EPOLLIN, on_drain, ob, &ob->ring);
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
	ob->planting->forget_target(ob->planter, o->id);
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
					    .binary_key = s->key};
	bool useful;
	int n;

	o->plants = xcalloc(s->nprobes, sizeof(struct plant *));
	ob->planting->plant(ob->planter, &target, s->probes, s->nprobes, o->plants, errs);
	n = count_planted(o, &useful);
	if (!useful)
		return no_use(ob, o, errs, err);
	refusals_tell(ob, o, errs);
	return n;
}

void observer_unplant(struct observer *ob, struct observed *o)
{
	if (o->plants)
		ob->planting->remove(ob->planter, o->plants, o->subject->nprobes);
	free(o->plants);
	o->plants = NULL;
}

static int enter(struct observer *ob, struct observed *o, struct err *err)
{
	int r = process_bias(ob->procfs, &o->process, binary_image(o->subject->binary), &o->bias, err);

	if (r < 0)
		return r;
	ob->ops->enter(ob->arg, o);
	r = observer_plant(ob, o, err);
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
	if (ob->planting->pause_ns)
		snprintf(buf, size, ", which was stopped for %.1f ms to put the probes in",
			 (double)ob->planting->pause_ns(ob->planter, o->id) / 1e6);
	return buf;
}

static int observe(struct observer *ob, struct process *proc, struct subject *s, struct err *err)
{
	struct observed *o = xcalloc(1, sizeof(*o));
	char pause[80];
	int r;

	*o = (struct observed){.observer = ob, .process = *proc, .subject = s, .id = ++ob->last_target};
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
		if (process_start_ticks(ob->procfs, o->process.pid) != o->process.start_ticks)
			r = err_set(err, -ESRCH, "process %d exited while attaching", o->process.pid);
		leave(ob, o, true);
		return r;
	}
	ob->entered++;
	ob->ops->note(ob->arg, "observing %s (pid %d, %s)%s", process_name(&o->process), o->process.pid,
		      binary_build_info(s->binary)->go_version, pause_text(ob, o, pause, sizeof(pause)));
	if (ob->ops->entered)
		ob->ops->entered(ob->arg, o);
	return 0;
}

static struct subject *subject_of(struct observer *ob, const struct process *proc)
{
	struct subject *s = map_get(&ob->subjects, proc->file_key);

	if (s)
		return s;
	s = ob->ops->analyse(ob->arg, proc);
	s->key = proc->file_key;
	map_set(&ob->subjects, s->key, s);
	return s;
}

int observer_attach(struct observer *ob, int pid, struct err *err)
{
	struct observed *old = map_get(&ob->processes, (uint64_t)pid);
	struct process proc;
	struct subject *s;
	int r = process_read(ob->procfs, pid, &proc, err);

	if (r < 0)
		return r;
	if (old && old->process.file_key == proc.file_key && old->process.start_ticks == proc.start_ticks) {
		process_done(&proc);
		return err_set(err, -EALREADY, "process %d is observed already", pid);
	}
	if (old) /* it executed another program */
		leave(ob, old, true);
	s = subject_of(ob, &proc);
	if (s->why[0])
		r = err_set(err, -ENODATA, "%s (pid %d): %s", process_name(&proc), pid, s->why);
	else
		r = observe(ob, &proc, s, err);
	process_done(&proc);
	return r;
}

static void try_attach(struct observer *ob, int pid, bool explain)
{
	struct err err = {0};
	int r = observer_attach(ob, pid, &err);

	if (r < 0 && r != -EALREADY && r != -ESRCH && explain)
		ob->ops->note(ob->arg, "%s", err.text);
}

static void scan(struct observer *ob, bool explain)
{
	pid_vec pids = {0};

	if (target_find(ob->procfs, ob->query, &pids, NULL) >= 0)
		for (size_t i = 0; i < pids.len; i++)
			try_attach(ob, pids.data[i], explain);
	vec_done(&pids);
}

static void on_exec(void *arg, int pid)
{
	struct observer *ob = arg;
	struct observed *old = map_get(&ob->processes, (uint64_t)pid);
	struct process p;

	if (pid == getpid())
		return;
	if (process_read(ob->procfs, pid, &p, NULL) < 0)
		return; /* gone already, or in a PID namespace above ours: the rescan finds it */
	if (old || target_matches(ob->procfs, ob->query, &p))
		try_attach(ob, pid, ob->query->descendants_of == 0);
	process_done(&p);
}

static void on_exec_ready(void *arg, uint32_t events)
{
	struct observer *ob = arg;

	(void)events;
	exec_watch_drain(ob->exec_watch, on_exec, ob);
}

static void on_rescan(void *arg, uint32_t events)
{
	(void)events;
	scan(arg, false);
}

int observer_watch(struct observer *ob, const struct target_query *q, struct err *err)
{
	struct err why = {0};
	int r;

	ob->query = q;
	r = exec_watch_new(&ob->exec_watch, &why);
	if (r < 0)
		ob->ops->note(ob->arg, "%s; looking for new programs every 2 s instead", why.text);
	else
		r = loop_add_fd(ob->loop, exec_watch_fd(ob->exec_watch), EPOLLIN, on_exec_ready, ob, &ob->watching);
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

	for (size_t pos = 0; (o = observer_next(ob, &pos));) {
		for (size_t i = 0; o->plants && i < o->subject->nprobes; i++)
			vec_push(&plants, o->plants[i]);
		free(o->plants);
		o->plants = NULL;
	}
	ob->planting->remove(ob->planter, plants.data, plants.len);
	vec_done(&plants);
	observer_drain_all(ob);
	for (size_t pos = 0; (o = observer_next(ob, &pos)); pos = 0)
		leave(ob, o, false);
}

void observer_done(struct observer *ob)
{
	struct subject *s;

	loop_remove(ob->loop, ob->ring);
	loop_remove(ob->loop, ob->drain_timer);
	loop_remove(ob->loop, ob->watching);
	loop_remove(ob->loop, ob->rescan);
	exec_watch_free(ob->exec_watch);
	for (size_t pos = 0; (s = observer_next_subject(ob, &pos));)
		ob->ops->release(s);
	map_done(&ob->subjects);
	map_done(&ob->processes);
	map_done(&ob->failed);
}
