/*
 * Events → spans: pairs starts with ends by goroutine and depth, applies a pack's attribute rules,
 * finds parents, closes what panics and Goexit unwound, counts what does not fit.
 */
#ifndef SPAN_ASSEMBLE_H
#define SPAN_ASSEMBLE_H

#include "event/event.h"
#include "event/run_summary.h"
#include "probe/ir.h"
#include "probe/pack/pack.h"
#include "span/span.h"

struct assembler;

struct assembler_options {
	void (*emit)(void *arg, const struct span *span);
	/* A span of the trace has begun; one of those has ended, whether it was emitted before or not. NULL ok. */
	void (*opened)(void *arg, const uint8_t trace_id[16]);
	void (*closed)(void *arg, const uint8_t trace_id[16]);
	void *arg;
	double sample;              /* 0..1, by trace id; 1: all */
	bool sample_parent_based;   /* follow the sampled flag of an incoming traceparent */
	const char *const *redact;  /* NULL: as the packs say; else the query parameters whose values are hidden */
	size_t max_open;            /* per process; default 100,000 */
	uint64_t (*random)(void *arg); /* NULL: the system's; tests pass their own */
};

struct assembler *assembler_new(const struct assembler_options *o);
void assembler_free(struct assembler *a); /* NULL ok; does not emit what is open */

/* What the assembler must know about a probe: registered once, before its events come. */
struct assembler_probe {
	uint32_t id;
	const struct pack *pack;
	const struct pack_span *span;    /* NULL for hooks */
	const struct pack_point *point;
	const struct pack_variant *variant;
	const struct capture_program *program;
	const int *slot_of_item;         /* variant->ncaptures entries: slot or -1 */
	struct func func;                /* where it sits (own-frame recoveries) */
	struct binary *binary;           /* completes non-resident strings, names types */
};
void assembler_add_probe(struct assembler *a, const struct assembler_probe *p);

struct assembler_target {
	uint32_t id;
	uint64_t bias;
	const struct resource *resource; /* stays valid until assembler_end_target */
};
void assembler_add_target(struct assembler *a, const struct assembler_target *t);
/* The process is gone (its open spans end as errors, "process exited") or we leave it (they count as open). */
void assembler_end_target(struct assembler *a, uint32_t id, bool exited, uint64_t now_monotonic_ns);

void assembler_event(struct assembler *a, const void *record, size_t size);
void assembler_summary(const struct assembler *a, struct run_summary *ret); /* adds what was seen and lost here */

#endif
