/*
 * Programs that were built with their probes (plant/woven.h): which probes of an executable its own points stand for,
 * and switching them on in a process.
 */
#ifndef CMD_OWN_POINTS_H
#define CMD_OWN_POINTS_H

#include "base/buf.h"
#include "cmd/consumer.h"
#include "plant/woven.h"

/*
 * Leaves only what can be used together: a group that lacks a point which is not optional, or an end, has none, so that
 * nothing of a span is seen by one way and its rest by another, or not at all. plants: what is left can be planted, so
 * a point that lacks a value is none. How many probes have one.
 */
size_t own_points_choose(struct plant_probe *probes, size_t n, bool plants);
/* The values that the chosen ones lack, each once: "NAME (PACK: why), …". Nothing is appended where they lack none. */
void own_points_lacks(const struct plant_probe *probes, size_t n, struct buf *out);
/*
 * Switches them on. kernel_clock: others are planted beside them, whose records have that time. How many there are, or
 * -errno as of woven_attach.
 */
int own_points_attach(struct woven *w, const struct observed_process *p, bool kernel_clock, struct err *err);
/* Whether they keep marks (probe/mark.h), so that nothing may be planted beside them. */
bool own_points_decide(const struct observed_process *p);
/*
 * Whether the program has hardly begun, and wants a recorder. Package runtime starts threads before it makes that: it
 * comes a moment after this has ceased to be so.
 */
bool own_points_begin(const char *procfs, const struct process *p);

#endif
