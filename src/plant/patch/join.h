/*
 * Calls, put together from the records of their entries and returns. The code in the program writes each as a record
 * of its own (code.h); whoever drains passes them here in the order of time, and gets samples as the uprobe planter
 * gives them: EVENT_POINT, or EVENT_RETURN or EVENT_UNWOUND with the EVENT_CALL behind it.
 *
 * An EVENT_UNWOUND of a return's probe is a return that did not pass its condition: the call ends and nothing is said.
 *
 * An entry, a return or an unwind ends the open calls of its goroutine that lie deeper: they were unwound. An entry
 * also ends those of its own depth, unless they belong to the same invocation (another group, the same function).
 */
#ifndef PLANT_PATCH_JOIN_H
#define PLANT_PATCH_JOIN_H

#include "plant/plant.h"

struct patch_join;

struct patch_join *patch_join_new(size_t max_open); /* calls open at once; more are dropped and counted.
						     * 0: the default */
void patch_join_free(struct patch_join *j);         /* NULL ok */

/* A probe's part in calls. func tells functions apart (the address of the entry); nothing when the probe is known. */
void patch_join_add(struct patch_join *j, uint32_t probe, enum program_role role, uint32_t group, uint64_t func);
/* As planter_ops.control, of a probe that may be added later. Applied to points and entries when they are taken. */
void patch_join_control(struct patch_join *j, uint32_t probe, const struct plant_control *c);

/*
 * Record: one that event_decode takes; those of probes that are not known, or of another kind than their role's, are
 * dropped. A return ends only a call that began in the same epoch. What is handed over is valid during the call.
 */
void patch_join_take(struct patch_join *j, const void *record, uint32_t epoch, plant_event_fn fn, void *arg);
/*
 * Records of the process were lost (a ring was full). The calls that are open now may have returned unseen: where
 * nothing says that they were unwound, they are dropped and counted.
 */
void patch_join_lost(struct patch_join *j, uint32_t target);
/* Whether records are lost at this time: then it is the same with calls that begin. */
void patch_join_losing(struct patch_join *j, bool losing);
/* As planter_ops.open_calls: a lone EVENT_CALL each, oldest first. */
int patch_join_open_calls(struct patch_join *j, uint32_t target, bool take, plant_event_fn fn, void *arg);
void patch_join_forget(struct patch_join *j, uint32_t target);
/* Adds LOSS_CALLS_FULL, LOSS_UNPAIRED_START, LOSS_EVERY and LOSS_RATE_LIMITED; of one probe, or (0) of all. */
void patch_join_losses(const struct patch_join *j, uint32_t probe, struct losses *ret);

#endif
