/*
 * Calls, put together from the records of their entries and returns. The code in the program writes each as a record
 * of its own (code.h); whoever drains passes them here in the order of time, and gets samples as the uprobe planter
 * gives them: EVENT_POINT, or EVENT_RETURN or EVENT_UNWOUND with the EVENT_CALL behind it.
 *
 * An entry, a return or an unwind ends the open calls of its goroutine that lie deeper: they were unwound. An entry
 * also ends those of its own depth, unless they belong to the same invocation (another group, the same function).
 */
#ifndef PLANT_PATCH_JOIN_H
#define PLANT_PATCH_JOIN_H

#include "plant/plant.h"

struct patch_join;

/* Of the record's probe. */
struct patch_join_probe {
	uint32_t group;  /* call_group */
	uint64_t func;   /* tells functions apart: the address of the entry site */
};

struct patch_join *patch_join_new(size_t max_open); /* calls open at once; more are dropped and counted */
void patch_join_free(struct patch_join *j);         /* NULL ok */

/* Record: one that event_decode takes. What is handed over is valid during the call. */
void patch_join_take(struct patch_join *j, const struct patch_join_probe *of, const void *record,
		     plant_event_fn fn, void *arg);
/*
 * Records of the process were lost (a ring was full). The calls that are open now may have returned unseen: where
 * nothing says that they were unwound, they are dropped and counted.
 */
void patch_join_lost(struct patch_join *j, uint32_t target);
/* As planter_ops.open_calls: a lone EVENT_CALL each, oldest first. */
int patch_join_open_calls(struct patch_join *j, uint32_t target, bool take, plant_event_fn fn, void *arg);
void patch_join_forget(struct patch_join *j, uint32_t target);
/* Adds LOSS_CALLS_FULL, LOSS_UNPAIRED_START and LOSS_UNPAIRED_END. */
void patch_join_losses(const struct patch_join *j, struct losses *ret);

#endif
