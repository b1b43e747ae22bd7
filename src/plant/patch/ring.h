/*
 * The memory that a patched program and earshot share: settings, counters, a slot for each P with the ring that this
 * P's goroutines write to, and the pool of memory that the rings are made of. Only code made by code.h runs on the
 * program's side.
 *
 * A slot is used by one thread at a time. The first `procs` slots belong to Ps: a P runs one goroutine, and our
 * code is never preempted by Go (its pc is not Go code). The `extra` slots behind them are for threads without a
 * P, for Ps with an id beyond, and for a P whose slot is in use (a signal handler in the middle of our code): such
 * a thread takes one by an atomic exchange of `busy` and gives it back. When all are taken the event is dropped
 * and counted (LOSS_BUSY); nobody ever waits.
 *
 * A ring: positions only grow, in segments of PATCH_CHUNK bytes. For each segment the slot takes a chunk out of the
 * pool that all slots share, and writes its number into its table at segment & (table_len - 1). The producer writes
 * entries at `write` and then moves it: all before `write` is complete. An entry is never split: a PATCH_ENTRY_PAD
 * fills up the end of a segment. The consumer alone moves `read`, and gives a chunk back when it has read it to its
 * end. So a slot holds as much of the pool as it needs, a chunk at least; one that is hot can have all of it. Records
 * of one goroutine can lie in several rings; their time orders them. header.time_ns holds the time-stamp counter:
 * whoever drains converts it (constant_tsc and nonstop_tsc are required, see /proc/cpuinfo).
 *
 * The pool: chunks that are free lie on two stacks, so that those used last are used next and the rest stay as they
 * are. Those on the second one are taken when the first is empty; they come and go with what is written (pool.h). A
 * stack's word has a count of its changes beside the top: whoever takes a chunk does so by one compare-and-exchange,
 * and only the consumer puts any there.
 *
 * Nobody listening: a ring that gets no chunk looks at the heartbeat. When it is older than stale_tsc, `on` becomes 0,
 * and all code takes the short way out from then on, until a consumer sets it to 1 again.
 */
#ifndef PLANT_PATCH_RING_H
#define PLANT_PATCH_RING_H

#include "event/event.h"
#include "event/loss.h"
#include "probe/ir.h"

#define PATCH_MAGIC 0x33504145u /* "EAP3" */
#define PATCH_MAX_CODE 128       /* regions of code */
#define PATCH_LOSSES 9           /* enum loss below this, counted in the program */

struct patch_counts {            /* of one probe */
	uint64_t loss[PATCH_LOSSES];
	uint64_t slotless_hits;      /* of a controlled program, where it found no slot; else behind the slots' rings */
	uint64_t passed, window;     /* of the control, where the program applies it (groups.h) */
	uint64_t reserved[4];
};
_Static_assert(sizeof(struct patch_counts) == 128, "whole cache lines");

/* A call, or what a span keeps: found by key, which is made of goroutine, group and (of calls) depth. */
struct patch_saved {
	uint64_t key;                /* 0: free. The lowest bit: its owner is writing */
	uint64_t tsc;                /* of the last write: the oldest of a set gives way */
	uint64_t word[IR_MAX_SAVED];
	uint64_t valid;              /* bit k: word[k] was kept (of calls; else a word of 0 is none) */
	uint64_t kept;               /* run-time address of what aggregates keep of the entry's slots (groups.h) */
};
_Static_assert(sizeof(struct patch_saved) == 64, "a cache line");
#define PATCH_SAVED_WAYS 4       /* a key can lie in these, from (hash & (nsaved - 1) & ~3) on */

#define PATCH_EPOCHS 64          /* power of two */

/* A probe's counters lie at counts_off + index * 128: whoever plants gives each probe an index. */
struct patch_area {
	uint32_t magic, size;        /* size: of this struct, tells versions apart */
	uint32_t on;                 /* 0: all code takes the short way out */
	uint32_t target;             /* goes into event_header.target */
	uint32_t procs, extra;       /* numbers of slots; extra is at least 1 */
	uint32_t slot_bytes;         /* from one slot to the next */
	uint32_t chunks;             /* of the pool, those that are not there yet too: the first is number 1 */
	uint32_t table_len, reserved; /* of a slot's table: a power of two, as many as chunks at least */
	uint64_t slots_off;          /* of the first slot, from the area's start; a multiple of 4096 */
	uint64_t counts_off, ncounts;
	uint64_t saved_off, nsaved;  /* power of two, at least PATCH_SAVED_WAYS */
	uint64_t links_off;          /* uint32_t for each chunk: the number of the next one on its stack, 0: none */
	uint64_t bytes;              /* of the whole area, without the pool */
	uint64_t pool_off;           /* of chunk 1, from the area's start; at bytes or behind, a multiple of 4096 */
	uint64_t free[2];            /* stacks: the number on top, 0: none; in the upper half the number of changes */
	uint64_t heartbeat_tsc;      /* the consumer stores rdtsc here, each time it drains */
	uint64_t stale_tsc;
	uint64_t ring_full;          /* of all probes: the sum of their loss[LOSS_RING_FULL] */
	uint64_t lost[PATCH_EPOCHS]; /* by goid: records of calls that are apart that were dropped: see
				      * patch_entry.kind */
	uint32_t turn, nindex;       /* aggregates (groups.h): which of a slot's tables; offsets and sizes, 0: none */
	uint32_t max_groups, reserved0;
	uint64_t tables_off, table_bytes, extra_table_bytes, entries_off;
	uint64_t scratch_off, scratch_bytes;
	uint64_t kept_off, kept_bytes;
	uint64_t ncode;              /* our code, for the fault handler. The entry first, then the number */
	struct {
		uint64_t low, high;
	} code[PATCH_MAX_CODE];
};

#define PATCH_CHUNK_SHIFT 17
#define PATCH_CHUNK (1u << PATCH_CHUNK_SHIFT)
#define PATCH_MAX_CHUNKS (1u << 14)
_Static_assert(PATCH_CHUNK >= 3 * EVENT_MAX_SIZE, "the end that stays unused is the smaller part");
#define PATCH_WORK 512
#define PATCH_PATIENCE 65536

struct patch_slot {
	/* the producer's */
	uint64_t write;
	uint64_t limit;              /* where the segment ends; 0: there is none yet */
	uint64_t to_chunk;           /* a position plus this is its address */
	uint32_t busy, reserved0;
	uint64_t reserved1[4];
	/* the consumer's */
	uint64_t read;
	uint64_t reserved2[7];
	/* private to the code */
	uint64_t fault;              /* where a read that faults goes on */
	uint64_t gpr[8];             /* the site's registers that the code uses itself */
	uint64_t given_g, given_sp;  /* IR_GOROUTINE */
	uint64_t more_gpr[5];        /* those that only the walk over chunks uses */
	uint64_t words[8];           /* of a map's search, or of the walk */
	uint64_t saved[IR_MAX_SAVED], saved_valid;
	uint64_t goid, depth;
	uint64_t size;               /* of the record so far */
	uint64_t now;                /* time stamp of this event, */
	uint64_t call_tsc;           /* and of the call that returns */
	uint64_t table[2], scratch;  /* run-time addresses (groups.h) */
	uint64_t held, held_parts;   /* the call that returns, 0: none; what was kept of its entry's slots */
	uint32_t patience;           /* hits until it looks whether somebody listens, */
	uint32_t spilled;            /* and whether the record lies in the scratch memory: the ring had no room */
	uint64_t regs[IR_MAX_REGS];
	uint8_t work[PATCH_WORK];
	/*
	 * at PATCH_TABLE_OFF uint32_t table[table_len]; then a word for each probe: hits of its program,
	 * filtered ones too
	 */
};
#define PATCH_TABLE_OFF 4096
_Static_assert(sizeof(struct patch_slot) <= PATCH_TABLE_OFF, "the table comes behind");

/*
 * Of calls that are apart (code.h) the kind has, above its lowest bit, the epoch: area.lost of the goroutine. An entry
 * and a return of the same epoch belong together, since nothing of the goroutine was dropped between them. Without
 * that, the entry of one call and the return of a later one could look like one, when what lies between was lost.
 */
enum patch_entry_kind { PATCH_ENTRY_RECORD, PATCH_ENTRY_PAD };
#define PATCH_KIND_MASK 1u
struct patch_entry {
	uint32_t size;               /* of the whole entry, this header too; a multiple of 8 */
	uint32_t kind;               /* enum patch_entry_kind, and the epoch */
	/* a record follows (event.h), its time_ns being a time stamp */
};
_Static_assert(sizeof(struct patch_entry) == 8, "shared layout");

#endif
