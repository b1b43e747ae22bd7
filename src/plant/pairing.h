/*
 * Calls, put together by goroutine and depth from the records of their entries and returns. The code in the program
 * writes each as a record of its own; whoever drains passes them here in the order of time, and gets samples as they
 * come from sources: EVENT_POINT, or EVENT_RETURN or EVENT_UNWOUND with the EVENT_CALL behind it.
 *
 * An EVENT_UNWOUND of a return's probe is a return that did not pass its condition: the call ends and nothing is said.
 *
 * An entry, a return or an unwind ends the open calls of its goroutine that lie deeper: they were unwound. An entry
 * also ends those of its own depth, unless they belong to the same invocation (another group, the same function).
 */
#ifndef PLANT_PAIRING_H
#define PLANT_PAIRING_H

#include "plant/source.h"

struct pairing;

struct pairing *pairing_new(size_t max_open); /* calls open at once; more are dropped and counted.
						     * 0: the default */
void pairing_free(struct pairing *p);         /* NULL ok */

/* A probe's part in calls. func tells functions apart (the address of the entry); nothing when the probe is known. */
void pairing_add(struct pairing *p, uint32_t probe, enum program_role role, uint32_t group, uint64_t func);
/* As event_source_ops.control, of a probe that may be added later. Applied to points and entries as they are taken. */
void pairing_control(struct pairing *p, uint32_t probe, const struct plant_control *c);

/*
 * Record: one that event_decode takes; those of probes that are not known, or of another kind than their role's, are
 * dropped. A return ends only a call that began in the same epoch. What is handed over is valid during the call.
 */
void pairing_take(struct pairing *p, const void *record, uint32_t epoch, plant_event_fn fn, void *arg);
/*
 * Records of the process were lost (a ring was full). The calls that are open now may have returned unseen: where
 * nothing says that they were unwound, they are dropped and counted.
 */
void pairing_lost(struct pairing *p, uint32_t target);
/* Whether records are being lost: calls that begin meanwhile are treated as pairing_lost treats open ones. */
void pairing_losing(struct pairing *p, bool losing);
/* As event_source_ops.open_calls: a lone EVENT_CALL each, oldest first. */
int pairing_open_calls(struct pairing *p, uint32_t target, bool take, plant_event_fn fn, void *arg);
void pairing_forget(struct pairing *p, uint32_t target);
/* Adds LOSS_CALLS_FULL, LOSS_UNPAIRED_START, LOSS_EVERY and LOSS_RATE_LIMITED; of one probe, or (0) of all. */
void pairing_losses(const struct pairing *p, uint32_t probe, struct losses *ret);

#endif
