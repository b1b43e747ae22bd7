/* What an observation comes to. Whoever counts a part of it adds to this one. */
#ifndef EVENT_RUN_SUMMARY_H
#define EVENT_RUN_SUMMARY_H

#include "event/inject.h"
#include "event/loss.h"

struct run_summary {
	uint64_t events;                 /* records, and samples of calls, that were seen */
	uint64_t spans, calls;           /* given to the sinks */
	uint64_t open;                   /* spans that are still open at the end */
	uint64_t spans_lost;             /* began while we observed, but are neither spans nor open */
	uint32_t planted, refused;       /* probes */
	uint32_t processes;
	bool propagates;                 /* --propagate: whether these count */
	uint64_t requests[INJECT_OUTCOMES]; /* that could have got a trace context */
	uint64_t states[INJECT_STATES];     /* of those that got one */
	struct losses losses;
};

#endif
