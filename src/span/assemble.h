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
#include "span/trace_watch.h"

struct assembler;

struct assembler_options {
	void (*emit)(void *arg, const struct span *span);
	void *arg;
	struct trace_watch watch;   /* zero: nobody */
	double sample;              /* 0..1, by trace id; 1: all */
	bool sample_parent_based;   /* follow the sampled flag of an incoming traceparent */
	const char *const *redact;  /* NULL: as the packs say; else the query parameters whose values are hidden */
	bool sql_full;              /* statements of SQL are shown with their literals */
	bool ignore_sdk;            /* the program's SDK is nobody's parent, and what it records is here, too */
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
	uint64_t network;                /* its network namespace (process_network); 0: not known */
	const struct resource *resource; /* stays valid until assembler_end_target */
};
void assembler_add_target(struct assembler *a, const struct assembler_target *t);
/*
 * The probes are in, all of them, from now on. What has begun there before may have ended unseen: it is nobody's
 * parent. in_steps: some were at work when others were not in yet, starts of spans before notes. Then what has begun
 * before is no span either, as what began before any of them.
 */
void assembler_planted(struct assembler *a, uint32_t id, uint64_t now_monotonic_ns, bool in_steps);
/* The process is gone (its open spans end as errors, "process exited") or we leave it (they count as open). */
void assembler_end_target(struct assembler *a, uint32_t id, bool exited, uint64_t now_monotonic_ns);

/*
 * Emits what is open as if it ended now, with UNFINISHED_KEY. Nothing may come any more: it is for a copy of the
 * process.
 */
void assembler_unfinished(struct assembler *a, uint64_t now_monotonic_ns);
#define UNFINISHED_KEY "earshot.unfinished"

/*
 * Records that were written until then may be missing, of any process. What is open since before that may have ended
 * unseen: it can still end, but is nobody's parent any more.
 */
void assembler_lost(struct assembler *a, uint64_t until_monotonic_ns);

void assembler_event(struct assembler *a, const void *record, size_t size);
void assembler_summary(const struct assembler *a, struct run_summary *ret); /* adds what was seen and lost here */

#endif
