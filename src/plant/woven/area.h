/*
 * The memory file of a program that was built with its probes (woven): rings (plant/ring/ring.h), and what its
 * recorder has beside them. weave/recorder/recorder.go is the other side, and has the same layout. The program
 * makes the file, of its final size and sealed so, and maps all of it; nothing of it but the first page exists
 * until somebody listens. Who listens holds an exclusive flock of the file, so a killed reader leaves nothing
 * behind that the next one must wait for.
 *
 * A session is the time in which one reader listens. `session` is the switch that the program's code looks at
 * before each point: the number of the session, 0 while nobody listens. What is wanted stands in a hash table, by
 * the key of the point; a point is looked up when it comes by for the first time in a session, so a change of what
 * is wanted is a new session.
 *
 * What the types of contexts keep where (plant/contexts.h) is put there by the first reader that has it, and stays: it
 * is the same as long as the program runs. Until then no chain can be followed, which the slots say. Likewise the
 * facts: what a package cannot know in Go of another one's types, and its points ask for by the key of the fact's text.
 *
 * Where traces are decided by the points, each has a plan: what it does with marks (probe/mark.h), and by which of its
 * slots. The marks themselves are the recorder's (weave/recorder/marks.go): the reader gives it the memory, and a seed
 * for ids. What is left out is counted, and leaves no record; a start that leaves a mark tells its function so, whether
 * it was written or not, so that its end comes as well.
 *
 *	slot found busy or its P has none     another one, by an exchange of its busy; none is free: `busy` of the entry
 *	no chunk                              `lost` of the entry, ring.ring_full, ring.lost
 *	no chunk, or the next one, and the    the program ends the session by itself, gives the memory of all chunks
 *	heartbeat is stale                    back, and notes the session in thrown_away
 *
 * To end a session: `session` becomes 0, a barrier of all threads, and no slot is busy any more (the program sets
 * busy before it looks at the session again). Then nobody writes, and everything can be begun anew.
 *
 * With EARSHOT_RECORD=on the program begins its first session itself, with chunks of its own: it is `fresh`, and
 * `all` points put themselves into the table. The first reader can go on with it. With EARSHOT_RECORD=on:PID it waits
 * before its first instruction until `fresh` is 0 (a futex), process PID is gone, or a second has passed.
 */
#ifndef PLANT_WOVEN_AREA_H
#define PLANT_WOVEN_AREA_H

#include "plant/ring/ring.h"
#include "plant/tracestate.h"
#include "plant/woven_plan.h"
#include "probe/mark.h"

#define WOVEN_NAME "earshot-woven" /* of the memory, as it shows in /proc/PID/fd and maps */
#define WOVEN_MAGIC 0x33574145u    /* "EAW3" */
#define WOVEN_HEAD 4096            /* bytes of the area */
#define WOVEN_MAX_WANTED (1u << 14)
#define WOVEN_MAX_SLOTS 1024
#define WOVEN_CONTEXTS_MAX 65536u  /* bytes */

enum woven_clock { WOVEN_MONOTONIC, WOVEN_TSC };

struct woven_area {
	struct ring_area ring;       /* ring.on is not looked at by the program; pool_off is bytes */
	uint32_t clock, can_tsc;     /* enum woven_clock, of records and heartbeat. Whether it may read the counter */
	uint64_t pid;                /* the maker's, in its own PID namespace */
	/* a cache line that the program only reads */
	uint32_t session, all;
	uint32_t wanted_len, fresh;  /* of the table: a power of two, at most WOVEN_MAX_WANTED; 0: there is none */
	uint64_t wanted_off;
	uint32_t sessions, thrown_away; /* number of the last one */
	uint64_t chunks_on;          /* chunks that the program itself has made */
	uint64_t contexts_off;       /* where struct woven_contexts goes, before the table of what is wanted */
	uint32_t contexts, facts;    /* bytes of it; 0: it is not there. Places for facts, a power of two; likewise */
	uint64_t facts_off;          /* where they are, behind it */
	uint64_t no_room;            /* points that found no room in the table */
	uint64_t plans_off, marks_off; /* WOVEN_PLANS places; behind marks_off all that the marks need */
	uint32_t marks, marks_on;    /* room for so many: a power of two. Whether the session has them */
	uint64_t marks_full;         /* what found no room among marks, or had to give way */
	uint64_t seed[2];            /* of ids: random, not both 0 */
};
_Static_assert(sizeof(struct ring_area) == 624 && offsetof(struct woven_area, session) == 640,
	       "the recorder has the same");
_Static_assert(sizeof(struct woven_area) == 760, "likewise");

/* Behind marks_off: a mark and a goroutine of 128 bytes each, and four words of 32, for each mark */
#define WOVEN_MARKS_BYTES(marks) ((uint64_t)(marks) * (128 + 128 + 4 * 32))
/* … and behind these what is valid as a tracestate (struct tracestate_rules), and room for one for every 8 marks */
#define WOVEN_STATES_BYTES(marks) (sizeof(struct tracestate_rules) + (uint64_t)(marks) / 8 * 544)
_Static_assert(sizeof(struct tracestate_rules) == 320 && TS_IN_VALUE == 4 && TS_NEXT == 7 && TS_FIRST == 8 &&
		       TS_COUNT == 16 && TS_LIMIT == 32 && TS_MEMBER == 64 && TS_CLASSES == 8 &&
		       TRACESTATE_PART == 256 && TRACESTATE_MEMBERS == 32 && MARK_STATE_MAX == 512,
	       "the recorder has the same");

/*
 * Nothing stands behind the program where it follows a chain: a read that faults ends it. So the word by which an
 * interface tells its type is only followed into the program's own file, where the compiler has put nearly all of them.
 */
struct woven_contexts {
	uint64_t low, high;          /* where the file is mapped */
	uint64_t itab_type_off, reserved;
	/* then the bytes of contexts_put */
};
_Static_assert(sizeof(struct woven_contexts) == 32, "the recorder has the same");

#define WOVEN_FACTS_MAX 1024u
struct woven_fact_place {            /* at key & (facts - 1) or behind, where one is free */
	uint64_t key, value;         /* 0: free */
};

/* An entry of the table. Keys lie at key & (wanted_len - 1) or behind. A record's probe is the entry's number. */
struct woven_wanted {
	uint64_t key;                /* 0: free */
	uint32_t every, plan;        /* records of which one is written; 0: it is not wanted. 1 + its plan's number */
	uint64_t lost, busy;
};
_Static_assert(sizeof(struct woven_wanted) == 32, "the recorder has the same");

/* What is counted of each entry, at the end of each slot. */
struct woven_tally {
	uint64_t phase, left_out;
	uint64_t starts, others;     /* that were left out with their traces */
};
_Static_assert(sizeof(struct woven_tally) == 32, "the recorder has the same");
#define WOVEN_TALLY_OFF(layout) (RING_TABLE_OFF + 4 * (uint64_t)(layout)->table_len)

struct woven_slot {                  /* its first part is a ring's */
	uint64_t write, limit, to_chunk, busy;
	uint64_t records;            /* written so far */
};
_Static_assert(offsetof(struct ring_slot, busy) == offsetof(struct woven_slot, busy) &&
		       offsetof(struct ring_slot, reserved1) == offsetof(struct woven_slot, records),
	       "the recorder has the same");

#endif
