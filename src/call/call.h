/*
 * The waist of trace: planters end here, sinks begin here. A call and a group of an aggregate as every sink gets them.
 * (span/span.h is the same for spans.)
 */
#ifndef CALL_CALL_H
#define CALL_CALL_H

#include "call/value.h"
#include "event/run_summary.h"
#include "plant/plant.h"
#include "target/resource.h"

enum call_end {
	CALL_RETURNED,
	CALL_PANICKED,     /* a panic or Goexit unwound it */
	CALL_OPEN,         /* still running when we left */
	CALL_EXITED,       /* the process ended during it */
	CALL_POINT,        /* only its entry was observed */
};

struct call_process {      /* outlives its calls */
	const struct resource *resource; /* its id is the target's */
	uint64_t bias;
	struct binary *binary;
};

struct call_value {
	const struct shown *shown;
	struct value_node value;
};

struct call_record {
	const struct call_plan *plan;
	const struct call_process *process;
	enum call_end end;
	uint64_t start_unix_ns, start_ns /* monotonic */, duration_ns; /* 0 for CALL_POINT */
	uint64_t goid, depth;
	const struct call_value *values; /* plan->nshown: args, results, printed expressions, in the question's order;
	                                  * results are left out where there are none to show (ret value form
	                                  * FORM_UNREADABLE with text NULL) */
	size_t nvalues;
	/*
	 * Return addresses, run-time; NULL if not asked for. Of an inlined call the first lies in the function it is
	 * in.
	 */
	const uint64_t *stack;
	size_t nstack;
	bool stack_cut;
};

/* A group of an aggregate, with its keys as values. */
struct call_group {
	const struct call_plan *plan;
	const struct plan_aggregate *aggregate;
	const struct call_process *process;
	struct value_node keys[AGG_MAX_KEYS];
	size_t nkeys;
	uint64_t count;
	int128 sum, min, max;
	const uint64_t *buckets;
	size_t nbuckets;
	bool inexact;                    /* plan->inexact, or that of another plan that belongs to the group */
	const struct losses *lost; /* of its function, in the same time; NULL: nothing */
};

/* A call that is open, as a planter's open_calls tells: from its record's header. */
struct call_running {
	uint32_t target;
	uint64_t goid, start_ns;
};

/* ---- from samples to calls (decode.c) ---- */

struct call_decoder;
struct call_decoder_options {
	void (*emit)(void *arg, const struct call_record *c);
	void *arg;
	const struct value_texts *texts; /* of value_context */
	struct plant_control control;    /* for plans whose condition at the entry is tested here
					  * (call_plan.late_at_entry) */
};
struct call_decoder *call_decoder_new(const struct call_decoder_options *o);
void call_decoder_free(struct call_decoder *d); /* NULL ok */
/* Probe ids of a plan's programs (ret_id 0: none). Plans outlive the decoder. */
void call_decoder_add_plan(struct call_decoder *d, const struct call_plan *plan, const struct shape_table *shapes,
			   uint32_t entry_id, uint32_t ret_id);
void call_decoder_add_process(struct call_decoder *d, const struct call_process *p);
/* A sample from the planter. open_end: what a lone EVENT_CALL means (CALL_OPEN or CALL_EXITED; its end is now). */
void call_decoder_sample(struct call_decoder *d, const void *sample, size_t size);
void call_decoder_open(struct call_decoder *d, const void *sample, size_t size, enum call_end open_end,
		       uint64_t now_ns);
/* A planter's group → call_group, in arena. False when its probe is not known. */
bool call_decoder_group(struct call_decoder *d, const struct plant_group *g, struct arena *arena,
			struct call_group *ret);
/* As planter_ops.aggregates, of the plans whose condition is tested here (call_plan.counted). */
int call_decoder_aggregates(struct call_decoder *d, bool clear, plant_group_fn fn, void *arg);
void call_decoder_losses(const struct call_decoder *d, struct run_summary *ret); /* adds events and losses */

#endif
