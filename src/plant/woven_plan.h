/*
 * What a point that a program has itself does with marks (probe/mark.h). The program's recorder keeps the marks, and
 * has these bytes as they are (plant/woven/area.h): so it is decided at run time, and no program is built for it.
 */
#ifndef PLANT_WOVEN_PLAN_H
#define PLANT_WOVEN_PLAN_H

#include <stdint.h>

#define WOVEN_PLANS 2048u
#define WOVEN_PLAN_WORDS 16
enum { WOVEN_PLAN_BY_RATIO = 1, WOVEN_PLAN_CHILD = 2, WOVEN_PLAN_CREATOR = 4, WOVEN_PLAN_OF_CALL = 8,
       WOVEN_PLAN_DETACHED = 16, WOVEN_PLAN_OR_END = 32,
       WOVEN_PLAN_ALONE = 64 };      /* a start: nothing else asks for this span's mark but its own return, so within a
				      * trace that is left out it needs none */
enum woven_plan_use { WOVEN_BY_HEADER, WOVEN_BY_PARENT, WOVEN_BY_OWN, WOVEN_BY_KEY, WOVEN_CARRIED,
		      WOVEN_STATE, WOVEN_BY_OTHER }; /* enum mark_use */
#define WOVEN_PLAN_AROUND 8
struct woven_plan {
	uint8_t action, flags;       /* enum mark_action (probe/lower/lower.h) */
	uint8_t nwords, creator;     /* creator, epoch: 1 + the number of the first slot of these; 0: it has none */
	uint32_t group, call, id_flags;
	uint64_t threshold;
	uint8_t epoch;
	uint8_t inject;              /* of an inject: 1 + the first slot of what it takes (weave/recorder/sent.go) */
	uint8_t reserved[6];
	union {
		struct {
			uint8_t use, slot; /* enum woven_plan_use; the point's slot */
		} words[WOVEN_PLAN_WORDS];
		/* of an inject: nwords numbers of definitions, looked for on the goroutine before that of group; where
		 * that is 0, none is looked for there */
		uint32_t around[WOVEN_PLAN_AROUND];
	};
};
_Static_assert(sizeof(struct woven_plan) == 64, "the recorder has the same");

#endif
