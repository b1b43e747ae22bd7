/*
 * The memory that a patched program and earshot share: rings (plant/ring/ring.h), and what the code that code.h makes
 * has beside them: counters, what calls and spans keep, aggregates, and its own scratch memory in each slot.
 */
#ifndef PLANT_PATCH_AREA_H
#define PLANT_PATCH_AREA_H

#include "event/loss.h"
#include "plant/ring/ring.h"
#include "plant/tracestate.h"
#include "probe/ir.h"

#define PATCH_MAGIC 0x36504145u /* "EAP6" */
#define PATCH_MAX_CODE 128       /* regions of code */
#define PATCH_LOSSES 10          /* enum loss below this, counted in the program */

struct patch_counts {            /* of one probe */
	uint64_t loss[PATCH_LOSSES];
	uint64_t slotless_hits;      /* of a controlled program, where it found no slot; else behind the slots' rings */
	uint64_t passed, window;     /* of the control, where the program applies it (groups.h) */
	uint64_t reserved[3];
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

/* Marks (marks.c). What all of its entries begin with is the same. */
struct patch_mark_link {
	uint64_t key, at;            /* of a mark, which has ended if it has that key no more; its run-time address */
};
struct patch_mark_name {             /* a word that leads to a mark */
	uint64_t key;                /* 0: free. The lowest bit: it is being written */
	uint64_t tsc;                /* of the last write */
	struct patch_mark_link to;
};
struct patch_mark_stack {            /* a goroutine, and what is on it */
	uint64_t key, tsc;
	struct patch_mark_link to[MARK_LEVELS];
	uint64_t reserved[2];
};
struct patch_mark {
	uint64_t key, tsc;
	struct patch_mark_link self;
	uint64_t ids[3];
	uint32_t flags, group, call, reserved0;
	uint64_t goid, depth, epoch[3];
	struct patch_mark_link state; /* the mark with whose trace a tracestate came in; key 0: with none */
};
struct patch_state {                 /* a tracestate: of the marks whose place is this modulo the number of these */
	uint64_t key, at;            /* of its mark, likewise; key 0: free. The lowest bit: it is being written */
	uint64_t len;                /* more than MARK_STATE_MAX: that was too long */
	uint8_t text[MARK_STATE_MAX];
};
#define PATCH_MARK_WAYS 4        /* as of PATCH_SAVED_WAYS */

/* A probe's counters lie at counts_off + index * 128: whoever plants gives each probe an index. */
struct patch_area {
	struct ring_area ring;
	uint64_t counts_off, ncounts;
	uint64_t saved_off, nsaved;  /* power of two, at least PATCH_SAVED_WAYS */
	uint32_t turn, nindex;       /* aggregates (groups.h): which of a slot's tables; offsets and sizes, 0: none */
	uint32_t max_groups, reserved0;
	uint64_t tables_off, table_bytes, extra_table_bytes, entries_off;
	uint64_t scratch_off, scratch_bytes;
	uint64_t kept_off, kept_bytes;
	uint64_t marks_off, nmarks;  /* a power of two, or 0: no program has marks */
	uint64_t names_off, nnames, stacks_off, nstacks; /* likewise */
	uint64_t rules_off, states_off, nstates; /* likewise; 0: none is kept. What is valid: struct tracestate_rules */
	uint64_t ncode;              /* our code, for the fault handler. The entry first, then the number */
	struct {
		uint64_t low, high;
	} code[PATCH_MAX_CODE];
};

#define PATCH_WORK 512
#define PATCH_PATIENCE 65536

struct patch_slot {
	struct ring_slot ring;
	/* private to the code */
	uint64_t fault;              /* where a read that faults goes on */
	uint64_t gpr[8];             /* the site's registers that the code uses itself */
	uint64_t given_g, given_sp;  /* IR_GOROUTINE */
	uint64_t more_gpr[5];        /* those that only the walk over chunks uses */
	uint64_t words[8];           /* of a map's search, or of the walk */
	uint64_t saved[IR_MAX_SAVED], saved_valid;
	uint64_t anew[IR_MAX_SAVED]; /* of a point that uses saved words, too: those that it saves */
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
	/* marks: the run's, and what its search needs */
	uint64_t random[2];          /* of ids: not both 0 */
	uint64_t mark_place;         /* where there was a free mark last: an offset from the first one */
	uint32_t mark_state, mark_flags;
	uint64_t mark_ids[3], mark_at, mark_key;
	uint64_t mark_tries;         /* at an entry that others take as well */
	struct patch_mark_link mark_root; /* whose tracestate it is, */
	uint64_t mark_place_of_state; /* and where that is being put */
	uint64_t mark_goid, mark_links_end, mark_best_at, mark_best_key, mark_best_depth;
	char mark_text[64];
	uint64_t links[EVENT_CHAIN_BYTES / 8];
	/* behind the ring's table a word for each probe: hits of its program, filtered ones too; and another one for
	 * each: starts that were left out */
};
_Static_assert(sizeof(struct patch_slot) <= RING_TABLE_OFF, "the table comes behind");

#endif
