/*
 * An observation from beginning to end: packs, planter, processes that come and go, samples for whoever asked for
 * them, sinks, losses, summary. What it is for is its consumers' (consumer.h). The verbs differ in consumers and sinks,
 * and in how processes get here.
 */
#ifndef CMD_OBSERVATION_H
#define CMD_OBSERVATION_H

#include "base/loop.h"
#include "base/options.h"
#include "cmd/consumer.h"
#include "cmd/outputs.h"
#include "cmd/packs.h"
#include "target/find.h"

struct observation_options {         /* what every verb that observes has */
	string_list packs;           /* packs_load */
	bool local_packs;            /* the verb's: those in the working directory count, too */
	const char *planter;         /* planter_open */
	uint64_t for_ns, ring_bytes;
	bool quiet;                  /* no notes and no summary */
	bool offline;                /* the verb's: it needs no planter, if there is none */
	/* What resources are made with; the verb's. NULL: processes are named as their executables. */
	const char *service;
	const struct otel_env *env;
};

extern const struct option_def observation_for_defs[], observation_planter_defs[], observation_quiet_defs[];

/* Opens packs and planter. o stays the caller's and must outlive it. Errors as packs and planter give them. */
int observation_new(const struct observation_options *o, struct loop *loop, struct observation **ret, struct err *err);
/* Where sinks are added before it starts. They end with it. */
sink_list *observation_sinks(struct observation *ob);
/* c is freed with it. Before it starts. */
void observation_add(struct observation *ob, struct consumer *c);
/*
 * Events of it are read, too: records have the numbers of the consumers' probes (numbered) and of processes (enter).
 * It outlives the observation. Before it starts.
 */
void observation_add_source(struct observation *ob, struct event_source *s);
/* Reads events from now on: whenever a good deal waits, and every 50 ms. */
int observation_start(struct observation *ob, struct err *err);
/*
 * What runs is attached: the time of --for begins. Planting many sites one by one, as kernels before 6.6 want it, may
 * take longer than that.
 */
int observation_begin(struct observation *ob, struct err *err);
/* Ends one that never attached, without a summary. NULL ok. */
void observation_cancel(struct observation *ob);
/* Takes everything out of the programs, shows what is left, prints the summary. NULL ok. */
void observation_finish(struct observation *ob);

/* ---- processes (processes.c) ---- */

/*
 * Observes process pid, and what it becomes by executing another program, or the same again. 0; -EALREADY when it is
 * observed already; -ENODATA when nothing can be planted in it, and other errors, each with a sentence.
 */
int observation_attach(struct observation *ob, int pid, struct err *err);
/* The same for the command that we have started; what cannot be observed of it is told. */
void observation_attach_child(struct observation *ob, int pid);
/* Goes on finding processes that match q, now and later. q outlives the observation. */
int observation_watch(struct observation *ob, const struct target_query *q, struct err *err);
/* Called when the last observed process has gone. */
void observation_on_idle(struct observation *ob, void (*fn)(void *arg), void *arg);
/*
 * Called when a process has been left, with all that it wrote handed over, and what was open in it ended. pidfd:
 * readable where it has ended; else it executes something else, or goes on.
 */
typedef void (*observation_left_fn)(void *arg, const struct observed_process *p, int pidfd);
void observation_on_left(struct observation *ob, observation_left_fn fn, void *arg);
size_t observation_processes(const struct observation *ob);     /* observed now */
size_t observation_ever_attached(const struct observation *ob); /* observed so far */
/* Takes the probes out of all processes, for a while. Consumers do not see it. */
void observation_pause(struct observation *ob);
void observation_resume(struct observation *ob);
/* for (size_t pos = 0; (p = observation_next_process(ob, &pos));) … */
struct observed_process *observation_next_process(const struct observation *ob, size_t *pos);
struct executable *observation_next_executable(const struct observation *ob, size_t *pos);

/* ---- for verbs and consumers ---- */

void observation_note(struct observation *ob, const char *fmt, ...) PRINTF_LIKE(2, 3); /* unless --quiet */
/* A note that is given once, however many processes meet it. */
void observation_note_once(struct observation *ob, const char *text);
void observation_quit(struct observation *ob); /* its loop */
struct loop *observation_loop(const struct observation *ob);
const char *observation_procfs(const struct observation *ob);
const pack_set *observation_packs(const struct observation *ob);
struct planter *observation_planter(const struct observation *ob); /* NULL: nothing is planted */
const char *observation_cannot_plant(const struct observation *ob); /* … and why; NULL: it is */
const struct planter_ops *observation_planter_ops(const struct observation *ob); /* also where nothing is planted */
const source_list *observation_sources(const struct observation *ob);
/* Hands over what waits now. */
void observation_drain(struct observation *ob);
/* Adds what sources lost of the consumer's probes, and what they cannot say whose it is. */
void observation_losses(const struct observation *ob, const struct consumer *c, struct losses *ret);
/* Hands over what is not finished, as it is now. In a copy of the process (fork): nothing else may come there. */
void observation_unfinished(struct observation *ob);
/* What it comes to so far, but for what sinks lost. */
void observation_summary(struct observation *ob, struct run_summary *ret);

#endif
