/*
 * The table of contexts (binary/context_types.h) as bytes that lie in the memory of a program, where its chains are
 * followed. It is a hash table with open addressing: a head, places, and behind them the types of spans. It has twice
 * as many places as types, or more. A search only goes up, and the last place is free.
 */
#ifndef PLANT_CONTEXTS_H
#define PLANT_CONTEXTS_H

#include "base/buf.h"
#include "binary/context_types.h"

struct contexts_head {
	uint64_t mask;       /* of a hash: an offset from the first place on */
	uint64_t span_key;   /* run-time address */
	uint64_t spans;      /* offset of the types of spans from here on, of which the last one is 0 */
	uint64_t reserved;
};
struct contexts_place {
	uint64_t rtype;      /* run-time address; 0: free */
	uint32_t offset, via;
	uint8_t parent, is_link, pooled; /* enum context_parent; bool; CHAIN_POOLED or 0 */
	uint8_t is_value;    /* … and there are spans */
	uint8_t reserved[12];
};
struct contexts_span {       /* struct span_type */
	uint64_t rtype;      /* run-time address; 0: the end */
	uint32_t ids, remote, kind, tracer, scope, pad;
};
_Static_assert(sizeof(struct contexts_head) == 32 && sizeof(struct contexts_place) == 32 &&
		       sizeof(struct contexts_span) == 32,
	       "whoever walks computes with them");

/*
 * Where the search for a type begins: (rtype * FACTOR >> SHIFT) & mask. The upper bits of a product are the mixed ones;
 * the factor is some 2^32 / 2.6.
 */
enum { CONTEXTS_FACTOR = 0x61c88647, CONTEXTS_SHIFT = 24 };

/* Appends it, for a program at that load bias. It may lie at any 8-aligned address. */
void contexts_put(const struct context_table *t, uint64_t bias, struct buf *out);

#endif
