/* What the parts of the assembler hand to each other: a record, and all that it refers to. */
#ifndef SPAN_ARRIVAL_H
#define SPAN_ARRIVAL_H

#include "span/contexts.h"
#include "span/open_span.h"

#define RECENT_EPOCHS 32

struct target {
	struct assembler_target t;
	struct open_spans open;
	struct contexts contexts;
	uint64_t planted_ns;     /* since then all of its probes are in */
	uint64_t partial_ns;     /* until then not all that were at work were in; 0: there was no such time */
	struct {
		uint64_t at_ns;
		struct goroutine_epoch epoch;
	} recent[RECENT_EPOCHS]; /* of the last records that had one, in no order */
	unsigned epochs;
};

struct arrival {
	struct event e;
	const struct probe *probe;
	struct target *target;
};

/* Whether the record has that slot; -1 is none. */
static inline bool arrival_has(const struct arrival *in, int slot)
{
	return slot >= 0 && slot < in->e.head->slots;
}

/*
 * The first of the slots with something in it, or with what could not be read; else the first one; -1: there is none.
 */
static inline int arrival_slot_of(const struct arrival *in, const struct attribute_slots *slots)
{
	for (size_t i = 0; i < slots->n; i++) {
		enum slot_status s = SLOT_ABSENT;

		if (arrival_has(in, slots->of[i]))
			s = in->e.slots[slots->of[i]].status;
		if (s == SLOT_OK || s == SLOT_CUT || slot_lost(s))
			return slots->of[i];
	}
	return slots->n ? slots->of[0] : -1;
}

/* False where the slot holds no word. */
static inline bool arrival_word(const struct arrival *in, int slot, uint64_t *ret)
{
	if (!arrival_has(in, slot) || in->e.slots[slot].status != SLOT_OK)
		return false;
	*ret = in->e.slots[slot].value;
	return true;
}

#endif
