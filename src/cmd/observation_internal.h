/* What observation.c, executables.c and processes.c share. */
#ifndef CMD_OBSERVATION_INTERNAL_H
#define CMD_OBSERVATION_INTERNAL_H

#include "base/map.h"
#include "cmd/observation.h"
#include "plant/merge.h"
#include "plant/woven.h"
#include "target/exec.h"

struct processes {                 /* of an observation; processes.c's own */
	struct map executables;    /* key → struct executable */
	struct map observed;       /* pid → struct tracked */
	VEC(struct arena) kept;    /* of processes that are gone */
	struct map failed;         /* pid → the executable of which no probe could be planted in it */
	struct strmap reported;    /* notes that are given once, in reported_texts */
	struct arena reported_texts;
	uint32_t last_target;
	const struct target_query *query;
	bool follows;              /* it is told of execs, or looks */
	struct exec_watch *exec_watch; /* NULL: it looks */
	struct err no_exec_watch;  /* why */
	struct loop_source *watching, *look, *rescan, *recorder_look;
	void (*idle)(void *arg);
	void *idle_arg;
	observation_left_fn left;
	void *left_arg;
	unsigned planted, refused, entered; /* probes; processes so far */
	unsigned too_short;        /* programs that matched and ended before their probes were in place */
};

struct observation {
	const struct observation_options *options;
	struct loop *loop;
	const char *procfs;
	pack_set packs;
	struct planter *planter;
	const struct planter_ops *planter_ops; /* also where there is none: what it would be */
	struct err no_planter;     /* why there is none */
	struct woven *woven;       /* the source of programs that have points of their own */
	source_list sources;
	struct merge merge;            /* of what they hand over */
	VEC(struct consumer *) consumers;
	VEC(struct consumer *) owners; /* of each probe id */
	sink_list sinks;
	struct processes processes;
	uint64_t strays;               /* samples of no probe that there is */
	uint64_t started_ns;
	struct loop_source *drain_timer, *deadline;
	unsigned drains;               /* of the timer's */
	VEC(struct loop_source *) rings;
};

/* for_consumers(c, ob): each in turn. */
#define for_consumers(c, ob)                                                                                           \
	for (size_t i_ = 0; i_ < (ob)->consumers.len && ((c) = (ob)->consumers.data[i_], true); i_++)

/* The next number for a probe of c's. */
uint32_t observation_number(struct observation *ob, struct consumer *c);
/* Until the sources are seen empty; bounded, since other processes may write as fast as we read. */
void observation_drain_all(struct observation *ob);

/* That of a process's file, analysed now or before. Never NULL: its why may say that there is nothing to observe. */
struct executable *executable_of(struct observation *ob, const struct process *proc);
/* Puts the probes of all consumers together and numbers them. Groups of different consumers are different groups. */
void executable_collect(struct observation *ob, struct executable *x);
void executable_free(struct observation *ob, struct executable *x);

/* Leaves every process: all probes are taken out at once, since that waits for the kernel. */
void processes_leave_all(struct observation *ob);
/* Frees what is known of files and processes. The planter is closed already. */
void processes_done(struct observation *ob);

#endif
