/*
 * The processes under observation: found now and later, each executable file analysed once, probes planted, taken out
 * again. What is planted and what becomes of it is the user's: spans in session.c, calls in trace_session.c.
 */
#ifndef CMD_OBSERVE_H
#define CMD_OBSERVE_H

#include "base/arena.h"
#include "base/loop.h"
#include "base/map.h"
#include "plant/plant.h"
#include "target/find.h"
#include "target/process.h"

/* An executable file, analysed once for all processes that run it. The user embeds it in a struct of its own. */
struct subject {
	struct binary *binary;
	struct plant_probe *probes;
	size_t nprobes;
	char why[600];                     /* why nothing can be planted, or "" */
	bool told;                         /* the user was told why */
	struct file_id file;               /* that was analysed */
	uint64_t key;                      /* its number, from 1 */
};

struct observer;

struct observed { /* a process */
	struct observer *observer;
	struct process process;
	struct subject *subject;
	struct plant **plants;             /* subject->nprobes, NULL where refused; NULL while none is planted */
	uint64_t bias;
	uint64_t since_ns;                 /* CLOCK_MONOTONIC: what it executed after that is not this
					    * program any more */
	uint32_t id;                       /* its target number: unique in a run, from 1 */
	int pidfd;
	struct loop_source *exit_source;
	struct arena arena;
};

struct observer_ops {
	/* Never NULL; the reason is in `why` when there is nothing to plant. */
	struct subject *(*analyse)(void *arg, const struct process *proc);
	void (*release)(struct subject *s);
	/* Events of it may come from now on. */
	void (*enter)(void *arg, struct observed *o);
	/* It is observed. NULL ok. */
	void (*entered)(void *arg, struct observed *o);
	/* A sample of a source (event_decode_sample). */
	plant_event_fn sample;
	/* Its probes are out, and what they wrote has been drained. */
	void (*leave)(void *arg, struct observed *o, bool exited);
	void (*note)(void *arg, const char *fmt, ...) PRINTF_LIKE(2, 3);
};

struct observer {
	const struct observer_ops *ops;
	void *arg;
	struct loop *loop;
	const char *procfs;
	struct planter *planter;           /* NULL: nothing is planted */
	source_list sources;               /* that of the planter too; nobody's but the observer's to drain */
	void (*idle)(void *arg);           /* the last observed process has gone; NULL ok */
	void *idle_arg;
	unsigned planted, refused, entered;/* probes; processes so far */
	unsigned too_short;                /* programs that matched and ended before their probes were in place */

	/* its own */
	struct map subjects;               /* key → struct subject */
	struct map processes;              /* pid → struct observed */
	struct strmap told;                /* refusals that were said, in told_texts */
	struct arena told_texts;
	struct map failed;                 /* pid → the subject of which no probe could be planted in it */
	uint32_t last_target;
	const struct target_query *query;
	bool follows;                      /* it is told of execs, or looks */
	struct exec_watch *exec_watch;     /* NULL: it looks */
	struct err no_exec_watch;          /* why */
	VEC(struct loop_source *) draining;
	struct loop_source *watching, *look, *rescan;
};

/* Events of it are read, too. The source outlives the observer's last drain. Before observer_start. */
void observer_add_source(struct observer *ob, struct event_source *s);
/* Reads the sources whenever a good deal waits in one, and every 50 ms. Once all are added. */
int observer_start(struct observer *ob, struct err *err);
/* Reads what waits in the sources now. */
void observer_drain(struct observer *ob);
/* Until they are seen empty; bounded, since other processes may write as fast as we read. */
void observer_drain_all(struct observer *ob);

/*
 * Observes process pid, and what it becomes by executing another program, or the same again. 0; -EALREADY when it is
 * observed already; -ENODATA when nothing can be planted in it, and other errors, each with a sentence.
 */
int observer_attach(struct observer *ob, int pid, struct err *err);
/* Likewise the command that we have started; what cannot be observed of it is told. */
void observer_attach_child(struct observer *ob, int pid);
/* A note that is given once, however many processes meet it. */
void observer_tell(struct observer *ob, const char *text);
/* Goes on finding processes that match q, now and later. q outlives the observer. */
int observer_watch(struct observer *ob, const struct target_query *q, struct err *err);
/* Puts an observed process's probes in, or takes them out for a while. Returns the number planted (at least one that
 * is not auxiliary), or -errno. */
int observer_plant(struct observer *ob, struct observed *o, struct err *err);
void observer_unplant(struct observer *ob, struct observed *o);
/* for (size_t pos = 0; (o = observer_next(ob, &pos));) … */
struct observed *observer_next(const struct observer *ob, size_t *pos);
struct subject *observer_next_subject(const struct observer *ob, size_t *pos);
/* Leaves every process: all probes are taken out at once, since that waits for the kernel. */
void observer_leave_all(struct observer *ob);
/* Frees what it knows of files and processes; not the planter. */
void observer_done(struct observer *ob);

#endif
