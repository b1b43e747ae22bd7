/*
 * Traced calls, put together from the single records that the code inside writes: a return is handed on with its
 * entry right behind it, and what ended otherwise as unwound (see probe/ir.h, enum program_role).
 */
#ifndef PLANT_PATCH_CALLS_H
#define PLANT_PATCH_CALLS_H

#include "base/vec.h"
#include "event/event.h"
#include "plant/plant.h"

struct calls;

struct calls *calls_new(void);
void calls_free(struct calls *c); /* NULL ok */

/* How calls of a target are told apart; group 0: the program takes no part in calls. */
void calls_add_probe(struct calls *c, uint32_t probe, enum program_role role, uint32_t group);
/* One record, in the order of time. What is complete goes to fn. */
void calls_record(struct calls *c, const void *record, size_t size, plant_event_fn fn, void *arg);
/* The calls of a target that are open, oldest first, a lone EVENT_CALL each. With take they end. How many. */
int calls_open(struct calls *c, uint32_t target, bool take, plant_event_fn fn, void *arg);
uint64_t calls_lost(const struct calls *c, uint32_t probe); /* for want of room (LOSS_CALLS_FULL); 0: of all */

#endif
