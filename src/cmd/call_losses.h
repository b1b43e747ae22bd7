/* What was lost, by function: so that it can be told beside the numbers it is missing from. */
#ifndef CMD_CALL_LOSSES_H
#define CMD_CALL_LOSSES_H

#include "base/map.h"
#include "base/vec.h"
#include "call/decode.h"
#include "cmd/call_wanted.h"

struct lossy_plan {
	const struct call_function *function;
	struct plan_ids ids;
	struct losses reported;
};
struct call_losses {            /* zero is empty */
	VEC(struct lossy_plan) plans;
	struct losses reported;  /* of all calls */
	struct arena arena;      /* of the round */
	struct strmap by_name;   /* question and function → its losses, of all plans */
	struct losses rest;      /* of the round: those of no plan */
};

/* The function outlives t. */
void call_losses_add(struct call_losses *t, const struct call_function *function, const struct plan_ids *ids);
/* A round: what was lost since the one before. now: all that was lost of calls so far, by sources and decoder. */
void call_losses_round(struct call_losses *t, const struct losses *now, const source_list *sources);
/* What this round lost of the function, NULL: nothing; until the next round. */
const struct losses *call_losses_of(const struct call_losses *t, const struct call_function *function);
void call_losses_done(struct call_losses *t);

#endif
