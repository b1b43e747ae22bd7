/* From samples to calls, from planters' groups to those of the question. */
#ifndef CALL_DECODE_H
#define CALL_DECODE_H

#include "call/call.h"
#include "event/run_summary.h"
#include "plant/plant.h"
#include "probe/plan/call_plan.h"

struct call_process {            /* outlives its calls */
	const struct resource *resource; /* its id is the target's */
	uint64_t bias;
	struct binary *binary;
};

struct call_decoder;
struct value_texts; /* value_texts.h */
struct call_decoder_options {
	void (*emit)(void *arg, const struct call_record *c);
	void *arg;
	const struct value_texts *texts; /* of value_context */
	struct plant_control control;    /* for plans whose condition at the entry is tested here
					  * (call_plan.late_at_entry) */
};
struct call_decoder *call_decoder_new(const struct call_decoder_options *o);
void call_decoder_free(struct call_decoder *d); /* NULL ok */
/* Probe ids of a plan's programs (ret_id 0: none). Plans outlive the decoder. Returns what its calls are of. */
const struct call_function *call_decoder_add_plan(struct call_decoder *d, const struct call_plan *plan,
						  const struct shape_table *shapes, uint32_t entry_id, uint32_t ret_id);
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
