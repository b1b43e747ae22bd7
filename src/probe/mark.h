/*
 * Marks: the open spans as the probes themselves know them, so that a trace is decided where its first probe fires,
 * and a probe that writes a request knows in which trace it is. The assembler finds parents without them: a wrong mark
 * costs a record too many or too few.
 *
 * Every span that begins leaves a mark, also one that is left out: who begins without a mark begins a trace. Each
 * process has its own marks. A mark is found
 *
 *   by its goroutine    while it is on it, by how deep it is: as the assembler's stack of open spans
 *   by a word           of some kind: one general table, (kind, group, word) → mark
 *
 * and by nothing once it has ended. There is room for a number of them: what does not fit, or had to give way to newer
 * ones, is not found, and that is counted (LOSS_MARKS_FULL). A word that leads to a mark that is gone leads nowhere.
 *
 * A program with marks has regions of IR_SLOT_MARK, behind the filter and before its captures. They share the run's
 * mark, which is none at first. What fails in such a region ends that region alone: so one region is one way to find a
 * mark.
 */
#ifndef PROBE_MARK_H
#define PROBE_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"

enum mark_kind {
	MARK_CONTEXT,    /* the address of a context's data: its span's own one */
	MARK_KEY,        /* the span's key; of a group */
	MARK_CARRIER,    /* an object that is handed on to whoever writes the request */
	MARK_KIND_COUNT
};

/* Of the marks on the record's goroutine, the deepest one (of several as deep, which are of one call, any): */
enum mark_which {
	MARK_AROUND,     /* that is less deep than the record. All that are deeper are gone, as are those as deep that
			  * are not of the same call as a span of another group: they have left the stack */
	MARK_OF_GROUP,   /* of the instruction's group */
	MARK_OF_CALL,    /* … that is just as deep as the record */
};

enum {
	/* What it knows of its trace. SAMPLED is the decision; UNDECIDED: no mark told whose trace it is, though it has
	 * one most likely, so records are written and who reads them decides */
	MARK_SAMPLED = EVENT_CONTEXT_SAMPLED,
	MARK_UNDECIDED = EVENT_CONTEXT_UNDECIDED,
};

struct mark {
	uint8_t trace_id[16], span_id[8]; /* in the order in which W3C's traceparent has them */
	uint32_t flags;
	uint32_t group;  /* the span's definition */
	uint32_t call;   /* the function that began it */
	uint64_t goid, depth;
	/* Which goroutines were created after it began: sched.goidgen, and the own P's goidcache and goidcacheend, as
	 * it began (USE_GOIDGEN …); 0: not known */
	uint64_t epoch[3];
};

#define MARK_LEVELS 6    /* marks on one goroutine */
#define MARK_NAMES 4     /* words that one mark is found by */
#define MARK_BATCH 16    /* ids that a P takes at once: a cache with more was read in the middle of a change */
#define MARK_STATE_MAX 512 /* bytes of a tracestate that is sent on */
#define MARK_TRACEPARENT 55 /* bytes of a traceparent of version 00 */
/* Where its parts begin. A dash stands before each, and behind the last one where a later version has more */
enum { HEADER_VERSION = 0, HEADER_TRACE_ID = 3, HEADER_SPAN_ID = 36, HEADER_FLAGS = 53, HEADER_END = MARK_TRACEPARENT };

/* Whether the goroutine was created within the mark: certain, or false. */
static inline bool mark_created_within(const struct mark *m, uint64_t goid)
{
	const uint64_t *e = m->epoch;

	return e[0] && (goid > e[0] || (goid >= e[1] && goid < e[2] && e[2] - e[1] <= MARK_BATCH));
}

/*
 * The lowest 56 bits of a trace id, as a number, are its randomness: a trace is kept where they are not below the
 * threshold (https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/).
 */
#define MARK_KEEP_NONE (UINT64_C(1) << 56)
static inline uint64_t mark_threshold(double ratio)
{
	return ratio >= 1 ? 0 : !(ratio > 0) ? MARK_KEEP_NONE : (uint64_t)((1 - ratio) * 0x1p56);
}
static inline bool mark_kept(const uint8_t trace_id[16], uint64_t threshold)
{
	uint64_t randomness = 0;

	for (int i = 9; i < 16; i++)
		randomness = randomness << 8 | trace_id[i];
	return randomness >= threshold;
}

#endif
