/*
 * Events in an order in which they can have happened. Each thread writes its own, in order; clocks of threads tie and
 * may disagree. What orders them are the states of goroutines, and the sequence numbers of what starts and unblocks
 * them.
 */
#ifndef GOTRACE_ORDERING_H
#define GOTRACE_ORDERING_H

#include "gotrace/events.h"
#include "gotrace/generation.h"

struct gotrace_event {
	enum gotrace_event_type type;
	uint64_t ns; /* CLOCK_MONOTONIC; may be before that of the event that came before it */
	uint64_t m;
	uint64_t goid;               /* that runs on m, or is in a system call there; 0: none */
	uint64_t args[GOTRACE_ARGS]; /* [0]: as it is in the file */
	const struct generation *generation;
};
typedef void (*gotrace_event_fn)(void *arg, const struct gotrace_event *e);

/* The states of goroutines and threads, from generation to generation. Zero-initialised is before the first. */
struct gotrace_ordering {
	uint64_t first, current; /* numbers of generations */
	struct map goroutines, threads;
	uint64_t gc_sequence;
	bool gc_known;
};
void gotrace_ordering_done(struct gotrace_ordering *o);

/*
 * Gives each event of the generation to fn (NULL: nobody), in order. -EBADMSG with what is wrong, behind "generation
 * N", when there is no such order, or an event is damaged or names what is not there; the state is of no use then.
 */
int gotrace_order(struct gotrace_ordering *o, const struct generation *g, gotrace_event_fn fn, void *arg,
		  struct err *err);

#endif
