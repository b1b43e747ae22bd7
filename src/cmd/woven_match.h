/* Which of a program's own points (plant/woven.h) is the point of a pack that a probe is about. */
#ifndef CMD_WOVEN_MATCH_H
#define CMD_WOVEN_MATCH_H

#include "base/map.h"
#include "cmd/targets.h"
#include "plant/plant.h"
#include "plant/woven.h"
#include "probe/pack/join.h"
#include "probe/plan/call_plan.h"

struct woven_set {            /* of an executable */
	struct woven_point *points;
	size_t n, broken;
	const struct woven_known *known; /* of what all of them ask for */
	size_t nknown;
	struct map missing;   /* keys of fields that a type of the program does not have so */
	struct arena arena;
};
/* What points need to be told of types is looked up in b; what is not as they were built to expect is left out. */
void woven_set_read(struct binary *b, struct woven_set *ret);
void woven_set_done(struct woven_set *s);

/*
 * The point that stands for the join's, behind `after` where that is not NULL: what several starts of a span could tell
 * is a point of each. NULL: there is none. ret_slots, in the set's arena: for each slot of the join's program the
 * point's slot that has the same capture; -1 where the point has none of it.
 */
const struct woven_point *woven_match(struct woven_set *s, const struct join *j, const struct woven_point *after,
				      const int **ret_slots);
/*
 * What the point does with marks, by its own slots, where the join's does anything; in the set's arena. NULL: nothing,
 * or it has more words than a plan.
 */
const struct woven_plan *woven_plan_of(struct woven_set *s, const struct woven_point *p, const struct join *j);
/* A function of which the program records each call, and by which points. */
struct recorded_points {
	struct recorded_call call; /* plans have it */
	const struct woven_point *entry, *ret;
};
/* All of them, in the set's arena. Where points of a span do so as well, those that are for questions are taken. */
const struct recorded_call *const *woven_calls(struct woven_set *s, size_t *ret_n);
/* What the join's program would capture and none of its points (all) does; in the set's arena. */
const struct own_lack *woven_lacks(struct woven_set *s, const struct join *j, const struct own_point *all,
				   size_t *ret_n);
/* Whether an executable has points of its own: nothing needs to be planted in it. Opens the file. */
bool woven_file(const char *path);
/* … all that is to be observed: what runs; a command that is to be started. A mere word is a system's program. */
bool targets_woven(const struct target_plan *plan);
bool command_woven(const char *command);
/* What we start records before we can listen to it, and may have ended before: in our environment, if it says nothing
 * of that. */
void woven_record_at_once(void);

#endif
