/* From the rings of all processes to the consumer: in the order of time, calls put together, aggregates counted. */
#ifndef PLANT_RING_DRAIN_H
#define PLANT_RING_DRAIN_H

#include "base/buf.h"
#include "base/vec.h"
#include "plant/aggregate.h"
#include "plant/pairing.h"
#include "plant/ring/pool.h"
#include "plant/ring/tsc.h"

/*
 * Where the program's own code numbers its points and has slots as it likes: what records become. from: a whole and
 * consistent record, with its time. Appends to out the records that probes have of it: none, one or several, each a
 * multiple of 8 bytes.
 */
struct ring_rewriter {
	void (*rewrite)(void *arg, const struct event *from, struct buf *out);
	void *arg;
};

/*
 * What becomes of a sample (event_decode_sample) that was put together, before it is counted and handed over: false:
 * nothing. *ret is valid until the next call.
 */
struct ring_editor {
	bool (*edit)(void *arg, const void *sample, size_t size, const void **ret, size_t *ret_size);
	void *arg;
};

/* The rings of one process, as the consumer has them. */
struct ring {
	struct ring_area *area;          /* the shared one: only to be read where the program cannot harm us. NULL:
					  * there is none yet */
	const struct ring_area *layout;  /* its settings, as they were made */
	struct chunk_pool pool;
	uint64_t *beat;                  /* a word of ours that is counted up at each drain; NULL: none */
	uint64_t full;                   /* records lost for want of room, as of the last drain */
	const struct ring_rewriter *rewriter; /* NULL: records are what they are */
};

struct waiting {                  /* a record that was read and not handed over yet */
	uint64_t tsc;
	uint64_t order;           /* of reading, for equal time stamps */
	size_t off;               /* in the reader's bytes */
	uint32_t size;
	uint32_t epoch;           /* for pairing_take */
};
typedef VEC(struct waiting) waiting_list;
struct ring_reader {              /* the consumer of all rings */
	struct tsc_clock clock;
	struct pairing *pairing;
	struct aggregates *aggregates;
	const struct ring_editor *editor; /* NULL: samples are what they are */
	struct buf bytes, one;    /* one: the record that is being rewritten */
	struct buf spare;         /* bytes, when what stays was copied */
	waiting_list records, sorted; /* sorted: where they are merged */
	uint64_t order, damaged;
	bool losing;              /* since the drain before this one a ring was full */
	uint64_t left_tsc;        /* what was left in the rings is newer; UINT64_MAX: nothing was */
	uint64_t until_ns;        /* all that is older was handed over by the last drain */
	bool busy;                /* the last drain found so much that the next one should be soon */
};

/* Hands samples over, as event_source_ops.drain. fn may be called for a long time: the rings are emptied meanwhile. */
int ring_drain(struct ring_reader *r, struct ring *const *rings, size_t n, plant_event_fn fn, void *arg);
/* Reads the rings of one; what was read waits for the next ring_drain. Whether they were empty after it. */
bool ring_read(struct ring_reader *r, struct ring *g);
void ring_reader_done(struct ring_reader *r); /* of what waits; clock, pairing and aggregates are the owner's */

#endif
