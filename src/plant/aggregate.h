/*
 * Aggregates in user space: computed from the samples of traced calls where a planter cannot compute them at the event,
 * or merged where it computes them in several places. Counts, sums and histograms by key, exactly as struct
 * ir_aggregate says. An event whose value could not be read counts in none.
 */
#ifndef PLANT_AGGREGATE_H
#define PLANT_AGGREGATE_H

#include "base/err.h"
#include "plant/plant.h"

struct aggregates;

struct aggregates *aggregates_new(size_t max_groups); /* of all aggregates together; 0: the default */
void aggregates_free(struct aggregates *a);           /* NULL ok */

/* A probe's program, with or without aggregates; it outlives a. Nothing when the probe is known. */
int aggregates_add(struct aggregates *a, uint32_t probe, const struct capture_program *program, struct err *err);

/* Adds a program whose groups are kept elsewhere, and merged here: its samples are not counted. */
int aggregates_add_kept(struct aggregates *a, uint32_t probe, const struct capture_program *program, struct err *err);
/* What was counted of a group meanwhile, of a probe that was added. */
void aggregates_merge(struct aggregates *a, const struct plant_group *g);

/* A sample goes into the groups. Whether it is wanted as a record too. */
bool aggregates_take(struct aggregates *a, const void *sample, size_t size);

/* As planter_ops.aggregates. */
int aggregates_read(struct aggregates *a, bool clear, plant_group_fn fn, void *arg);
/* Adds what was lost of a probe, 0: of all. */
void aggregates_losses(const struct aggregates *a, uint32_t probe, struct losses *to);

#endif
