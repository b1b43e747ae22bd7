/*
 * Which traces are worth keeping, decided when they are whole: spans wait by trace until a rule holds for one of them,
 * then all of the trace goes on, what is there and what is still to come. A trace in which no span is open any more,
 * and of which nothing came for a while (another process may have a part in it), is given up.
 *
 * The memory of what waits has a bound. Beyond it the trace that has been quiet for longest is given up, counted apart.
 */
#ifndef SPAN_KEEP_H
#define SPAN_KEEP_H

#include "event/loss.h"
#include "span/rules.h"

struct keeper;

struct keeper_options {
	const struct condition *const *rules; /* of span_rule_parse: one that holds is enough */
	size_t nrules;
	void (*emit)(void *arg, const struct span *span);
	void *arg;
	size_t max_bytes;                     /* of spans that wait; 0: 64 MiB */
	uint64_t quiet_ns;                    /* how long it waits for other processes' parts; 0: 2 s */
};

/* The options' rules outlive it, as do packs and resources of spans. */
struct keeper *keeper_new(const struct keeper_options *o);
void keeper_free(struct keeper *k); /* NULL ok; what waits is gone */

/* A span of the trace has begun; it has ended, whether it is handed over or not. */
void keeper_open(struct keeper *k, const uint8_t trace_id[16], uint64_t now_ns);
void keeper_close(struct keeper *k, const uint8_t trace_id[16], uint64_t now_ns);
/* A whole span: copied, or handed on. */
void keeper_span(struct keeper *k, const struct span *span, uint64_t now_ns);
/* Gives up traces that are quiet. */
void keeper_tick(struct keeper *k, uint64_t now_ns);
/* Gives up all that waits: nothing will come any more. */
void keeper_finish(struct keeper *k);
/* Adds LOSS_NOT_KEPT and LOSS_KEEP_MEMORY. Spans. */
void keeper_losses(const struct keeper *k, struct losses *ret);

#endif
