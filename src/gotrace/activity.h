/*
 * What an execution trace says, as spans: tasks and regions of runtime/trace, with the logs within them, each with what
 * its goroutine did with its time (breakdown.h); and known spans, which get the same.
 */
#ifndef GOTRACE_ACTIVITY_H
#define GOTRACE_ACTIVITY_H

#include "event/loss.h"
#include "gotrace/known_spans.h"
#include "gotrace/ordering.h"

struct activity_setup {
	void (*span)(void *arg, const struct span *s); /* valid during the call only, but for its resource */
	void *arg;
	const struct resource *resource; /* of tasks and regions */
	const struct summary *summary;   /* of all spans, or NULL */
	int64_t wall_offset;             /* ns from CLOCK_MONOTONIC to the time of day, for traces that do not tell */
	struct known_spans *known;       /* or NULL */
};

struct activity_counts {
	uint64_t events, tasks, regions, logs;
	uint64_t joined, beside;    /* known spans: with times of the trace, without */
	uint64_t unfinished;        /* tasks and regions that are open at the end; they are given as well */
	uint64_t first_ns, last_ns; /* CLOCK_MONOTONIC */
	int64_t wall_offset;        /* the last one */
	struct losses losses;
};

struct activity;
struct activity *activity_new(const struct activity_setup *setup);
void activity_free(struct activity *a);

/* Around the events of each generation. */
void activity_generation(struct activity *a, const struct generation *g);
void activity_event(void *activity, const struct gotrace_event *e); /* a gotrace_event_fn */
void activity_generation_over(struct activity *a);
/* Gives what is open, as unfinished, and the known spans that are left. */
void activity_finish(struct activity *a);
/* Also -errno with a sentence: the known spans could not be read again. */
int activity_counts(const struct activity *a, struct activity_counts *ret, struct err *err);

#endif
