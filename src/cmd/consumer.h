/*
 * What an observation is for: spans (span_consumer.c), traced calls (call_consumer.c). A consumer says what it wants of
 * each executable, and gets the samples of its own probes and no others. The probes of all consumers are planted as one
 * step.
 */
#ifndef CMD_CONSUMER_H
#define CMD_CONSUMER_H

#include "base/arena.h"
#include "cmd/summary.h"
#include "plant/plant.h"
#include "sink/sink.h"
#include "target/process.h"

struct consumer;
struct observation;

/* What a consumer wants of an executable. The first member of a struct of its own. */
struct wanted {
	struct plant_probe *probes; /* ids and groups: the consumer numbers groups from 1, ids come later */
	size_t nprobes;
	size_t first;               /* the observation's: where its probes are among the executable's */
	unsigned refused;           /* probes that it cannot have */
	char why[600];              /* why it wants nothing at all, or "" */
};

/* A file, analysed once for all processes that run it. */
struct executable {
	struct binary *binary;      /* NULL: it is none that can be observed */
	struct wanted **wanted;     /* by consumer_index; NULL without a binary */
	struct plant_probe *probes; /* of all consumers */
	size_t nprobes;
	size_t nown;                /* of these, what the program has points of its own for */
	char why[1300];             /* why nothing can be planted, or "" */

	/* the observation's own */
	struct file_id file;        /* that was analysed */
	uint64_t key;               /* its number, from 1 */
	bool reported;              /* the user was told why nothing can be planted */
	bool explained;             /* or why one of the consumers wants nothing */
};

/* A running process under observation. What it becomes by executing something is another. */
struct observed_process {
	struct process process;
	struct executable *executable;
	const struct resource *resource;
	struct plant *const *plants; /* by executable->probes, NULL where refused; NULL: none is planted */
	bool own;                    /* its own points are switched on, or will be as soon as they can: for what has
				      * one nothing is planted */
	bool in_steps;               /* its own points were at work before the rest was planted */
	uint64_t bias;
	uint32_t id;                 /* its target number: unique in an observation, from 1 */
	struct arena arena;          /* until it is left; where a consumer keeps processes, until the end */
};

/* NULL where a consumer has none, but for analyse, release, enter, sample, summary, describe and free. */
struct consumer_ops {
	bool keeps_processes; /* what it gives to sinks at the end refers to processes that are gone */
	/* Samples may come from now on. Timers of its own begin. */
	int (*start)(struct consumer *c, struct err *err);
	/* x->binary is open. Never NULL. */
	struct wanted *(*analyse)(struct consumer *c, const struct executable *x);
	/* The probes of w have their numbers. Only where something of x can be planted. */
	void (*numbered)(struct consumer *c, const struct executable *x, struct wanted *w);
	void (*release)(struct wanted *w);
	/* Samples of it may come from now on. */
	void (*enter)(struct consumer *c, struct observed_process *p);
	/* Its probes are in, at first or again after a pause; what it did before was seen in part. */
	void (*planted)(struct consumer *c, struct observed_process *p);
	/* It is observed, and the user has been told. */
	void (*entered)(struct consumer *c, struct observed_process *p);
	/* Of one of its probes (event_decode_sample). */
	void (*sample)(struct consumer *c, const void *sample, size_t size);
	/* The probes of p are out, and what they wrote has been handed over. */
	void (*leave)(struct consumer *c, struct observed_process *p, bool exited);
	/* Hands over what is not finished, as it is now. In a copy of the process: nothing comes any more. */
	void (*unfinished)(struct consumer *c);
	/* About every 100 ms, behind the sinks' tick; what had been written before it was handed over before that. */
	void (*tick)(struct consumer *c);
	/* All processes are left: the last for sinks. */
	void (*finish)(struct consumer *c);
	/* Adds what it has seen, shown and lost. What sources and sinks lost is not its own. */
	void (*summary)(struct consumer *c, struct run_summary *sum);
	/* What the user's summary says of it beside that. */
	void (*describe)(struct consumer *c, struct summary_text *text);
	void (*free)(struct consumer *c);
};

struct consumer {                    /* the first member of each */
	const struct consumer_ops *ops;
	struct observation *observation; /* set when it is added, as is its index */
	size_t index;
};

static inline struct wanted *wanted_of(const struct executable *x, const struct consumer *c)
{
	return x->wanted ? x->wanted[c->index] : NULL;
}

#endif
