/* What was lost, by function: so that it can be told beside the numbers it is missing from. */
#ifndef CMD_TRACE_LOSSES_H
#define CMD_TRACE_LOSSES_H

#include "base/map.h"
#include "base/vec.h"
#include "call/decode.h"
#include "cmd/trace_subject.h"

struct lossy_plan {
	const struct call_function *function;
	struct plan_ids ids;
	struct losses told;
};
struct trace_losses {            /* zero is empty */
	VEC(struct lossy_plan) plans;
	struct losses told;      /* of all that is planted */
	struct arena arena;      /* of the round */
	struct strmap by_name;   /* question and function → its losses, of all plans */
	struct losses rest;      /* of the round: those of no plan */
};

/* The function outlives t. */
void trace_losses_add(struct trace_losses *t, const struct call_function *function, const struct plan_ids *ids);
/* A round: what was lost since the one before. */
void trace_losses_round(struct trace_losses *t, const struct planter_ops *ops, struct planter *p,
			const struct call_decoder *d);
/* What this round lost of the function, NULL: nothing; until the next round. */
const struct losses *trace_losses_of(const struct trace_losses *t, const struct call_function *function);
void trace_losses_done(struct trace_losses *t);

#endif
