/*
 * Samples of several sources in one order of time. Each source hands over its own in order. A process may have probes
 * of two: what a goroutine does within one source's span is told by the other, and its parent is found only if it comes
 * behind that span's start.
 *
 * What is newer than the moment before the first source was asked waits: a record of a goroutine is complete before the
 * next one of that goroutine is begun, so nothing older can come any more from there.
 */
#ifndef PLANT_MERGE_H
#define PLANT_MERGE_H

#include "base/buf.h"
#include "plant/source.h"

struct merged_sample {
	uint64_t time_ns, order;
	size_t off, size;
};

struct merge { /* zero-initialised: nothing waits */
	struct buf bytes;
	VEC(struct merged_sample) samples;
	uint64_t order;
};

/*
 * As sources_drain; that is what it is where only one of them has anything. What still waits is counted, too, so that
 * nothing waits where 0 is returned.
 */
int merge_drain(struct merge *m, const source_list *l, plant_event_fn fn, void *arg);
void merge_done(struct merge *m);

#endif
