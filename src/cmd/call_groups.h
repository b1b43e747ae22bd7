/* The groups of all aggregates, as outputs get them: together where they belong together, sorted. */
#ifndef CMD_CALL_GROUPS_H
#define CMD_CALL_GROUPS_H

#include "base/map.h"
#include "base/vec.h"
#include "call/decode.h"

struct call_groups {            /* but for the decoder, zero is empty */
	struct call_decoder *decoder;
	struct arena arena;      /* the groups' keys */
	struct strmap index;
	VEC(struct call_group) list;
};

/*
 * Adds a planter's group. A function can have several plans (out of line, and each place where it was inlined): their
 * groups with the same keys are one.
 */
void call_groups_add(struct call_groups *t, const struct plant_group *g);
/* Aggregates in the order of the questions; within one the largest count first. */
void call_groups_sort(struct call_groups *t);
void call_groups_done(struct call_groups *t);

#endif
