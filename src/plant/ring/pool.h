/*
 * The consumer's side of the chunks that rings are made of (ring.h). So many exist from the beginning, which is enough
 * for a burst of some hundred thousand records; while more is written than is read, there come to be more, until a
 * bound is reached, and they go again when it is calm. The consumer makes each exist before the program can take it:
 * there is never a signal for want of memory in the program, and the memory is on the consumer's account.
 *
 * What comes from the program's side is checked: a chunk is in one place at a time, or it counts as damaged.
 */
#ifndef PLANT_RING_POOL_H
#define PLANT_RING_POOL_H

#include "plant/ring/ring.h"

struct chunk_pool {
	struct ring_area *area;       /* the shared one */
	uint8_t *memory;               /* our mapping of the chunks */
	uint32_t chunks, links_off;    /* of the layout; offset of the links */
	uint32_t first;                /* so many of them always exist; the others come and go */
	uint32_t more;                 /* how many of the others do */
	uint8_t *state;                /* of each: enum chunk_state */
	uint32_t *of_slot;             /* the number of the chunk that is being read, 0: none */
	uint64_t *last_tsc;            /* of each slot: of the last record that was read (drain.c) */
	int fd;                        /* of the shared memory; -1: nothing more can come to be */
	uint64_t off;                  /* of the first chunk in it */
	uint64_t busy_ns;              /* when the others were last needed */
	uint64_t *budget;              /* bytes that may still come to be, of all pools; NULL: none */
};

/*
 * Puts the first chunks, which exist, where the program finds them. fd stays the caller's; budget outlives it. memory
 * and area are our mappings, as is all that is changed; the layout is trusted.
 */
void pool_init(struct chunk_pool *p, struct ring_area *area, const struct ring_area *layout, uint8_t *memory,
	       uint32_t first);
/* Likewise, of a pool that the program has begun itself: its first chunks are there, on the stack or in use. */
void pool_take_over(struct chunk_pool *p, struct ring_area *area, const struct ring_area *layout, uint8_t *memory,
		    uint32_t first);
void pool_may_grow(struct chunk_pool *p, int fd, uint64_t off, uint64_t *budget);
void pool_done(struct chunk_pool *p); /* gives its part of the budget back */

/* The chunk that a slot's segment begins in. NULL: it cannot be that one. */
const uint8_t *pool_enter(struct chunk_pool *p, uint32_t slot, uint32_t number);
/* The one that was entered and not left; NULL: none. */
const uint8_t *pool_current(const struct chunk_pool *p, uint32_t slot);
/* It was read to its end, or will not be read: the program may take it again. */
void pool_leave(struct chunk_pool *p, uint32_t slot);

/* Reads nothing of what the slot has written: its whole segments are the program's again. Where nobody drains. */
void pool_pass_over(struct chunk_pool *p, const struct ring_area *layout, struct ring_slot *s, uint32_t slot);

/* After a look at all slots, in which so many bytes waited: makes more chunks, or takes some away. */
void pool_adjust(struct chunk_pool *p, uint64_t waited, uint64_t now_ns);

#endif
