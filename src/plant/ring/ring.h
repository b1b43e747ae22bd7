/*
 * The memory that an observed program and earshot share for records: a slot for each P with the ring that this P's
 * goroutines write to, and the pool of memory that the rings are made of. Who writes there on the program's side is the
 * planter's: code that it patched in, or code that the program was built with.
 *
 * A slot is used by one thread at a time. The first `procs` slots belong to Ps: a P runs one goroutine, and the code
 * that writes is not preempted by Go. The `extra` slots behind them are for threads without a P, for Ps with an id
 * beyond, and for a P whose slot is in use (a signal handler in the middle of that code): such a thread takes one by an
 * atomic exchange of `busy` and gives it back. When all are taken the event is dropped and counted (LOSS_BUSY); nobody
 * ever waits.
 *
 * A ring: positions only grow, in segments of RING_CHUNK bytes. For each segment the slot takes a chunk out of the
 * pool that all slots share, and writes its number into its table at segment & (table_len - 1). The producer writes
 * entries at `write` and then moves it: all before `write` is complete. An entry is never split: a RING_ENTRY_PAD
 * fills up the end of a segment. The consumer alone moves `read`, and gives a chunk back when it has read it to its
 * end. So a slot holds as much of the pool as it needs, a chunk at least; one that is hot can have all of it. Records
 * of one goroutine can lie in several rings; their time orders them. header.time_ns holds the time-stamp counter:
 * whoever drains converts it (tsc.h).
 *
 * The pool: chunks that are free lie on two stacks, so that those used last are used next and the rest stay as they
 * are. Those on the second one are taken when the first is empty; they come and go with what is written (pool.h). A
 * stack's word has a count of its changes beside the top: whoever takes a chunk does so by one compare-and-exchange,
 * and only the consumer puts any there.
 *
 * Nobody listening: a ring that gets no chunk looks at the heartbeat. When it is older than stale_tsc, `on` becomes 0,
 * and nothing is written from then on, until a consumer sets it to 1 again.
 */
#ifndef PLANT_RING_RING_H
#define PLANT_RING_RING_H

#include "base/macro.h"
#include "event/event.h"

#define RING_EPOCHS 64           /* power of two */

/* At the start of the memory; what else the planter keeps there comes behind. */
struct ring_area {
	uint32_t magic, size;        /* size: of the planter's struct, tells versions apart */
	uint32_t on;                 /* 0: nothing is written */
	uint32_t target;             /* goes into event_header.target */
	uint32_t procs, extra;       /* numbers of slots; extra is at least 1 */
	uint32_t slot_bytes;         /* from one slot to the next */
	uint32_t chunks;             /* of the pool, those that are not there yet too: the first is number 1 */
	uint32_t table_len, reserved; /* of a slot's table: a power of two, as many as chunks at least */
	uint64_t slots_off;          /* of the first slot, from the area's start; a multiple of 4096 */
	uint64_t links_off;          /* uint32_t for each chunk: the number of the next one on its stack, 0: none */
	uint64_t bytes;              /* of the whole area, without the pool */
	uint64_t pool_off;           /* of chunk 1, from the area's start; at bytes or behind, a multiple of 4096 */
	uint64_t free[2];            /* stacks: the number on top, 0: none; in the upper half the number of changes */
	uint64_t heartbeat_tsc;      /* the consumer stores rdtsc here, each time it drains */
	uint64_t stale_tsc;
	uint64_t ring_full;          /* records that were dropped for want of room, of all probes */
	uint64_t lost[RING_EPOCHS];  /* by goid: records of calls that are apart that were dropped: see
				      * ring_entry.kind */
};

#define RING_CHUNK_SHIFT 17
#define RING_CHUNK (1u << RING_CHUNK_SHIFT)
#define RING_MAX_CHUNKS (1u << 14)
_Static_assert(RING_CHUNK >= 3 * EVENT_MAX_SIZE, "the end that stays unused is the smaller part");

/* At the start of a slot; what else the planter's code keeps there comes behind. */
struct ring_slot {
	/* the producer's */
	uint64_t write;
	uint64_t limit;              /* where the segment ends; 0: there is none yet */
	uint64_t to_chunk;           /* a position plus this is its address */
	uint32_t busy, reserved0;
	uint64_t reserved1[4];
	/* the consumer's */
	uint64_t read;
	uint64_t reserved2[7];
	/* at RING_TABLE_OFF uint32_t table[table_len] */
};
#define RING_TABLE_OFF 4096

/*
 * Of calls that are apart (an entry's record and a return's that are not tied together where they are written) the kind
 * has, above its lowest bit, the epoch: area.lost of the goroutine. An entry and a return of the same epoch belong
 * together, since nothing of the goroutine was dropped between them. Without that, the entry of one call and the return
 * of a later one could look like one, when what lies between was lost.
 */
enum ring_entry_kind { RING_ENTRY_RECORD, RING_ENTRY_PAD };
#define RING_KIND_MASK 1u
struct ring_entry {
	uint32_t size;               /* of the whole entry, this header too; a multiple of 8 */
	uint32_t kind;               /* enum ring_entry_kind, and the epoch */
	/* a record follows (event.h), its time_ns being a time stamp */
};
_Static_assert(sizeof(struct ring_entry) == 8, "shared layout");

/* The offset is the layout's: what the program may have written over is not asked. */
static inline struct ring_slot *ring_slot_at(struct ring_area *a, const struct ring_area *layout, uint32_t i)
{
	return (struct ring_slot *)(void *)((char *)a + layout->slots_off + (uint64_t)i * layout->slot_bytes);
}

/* Of a slot: the number of the chunk that a position lies in. */
static inline uint32_t *ring_slot_chunk(const struct ring_slot *s, const struct ring_area *layout, uint64_t pos)
{
	return (uint32_t *)(void *)((char *)s + RING_TABLE_OFF) + (pos >> RING_CHUNK_SHIFT & (layout->table_len - 1));
}

#endif
