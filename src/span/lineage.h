/*
 * Whether a goroutine was created within a span, told from what their records say. Ids are handed out from the
 * scheduler's counter in batches, one to each P, so they are no clock; but which batches had been handed out is exact.
 */
#ifndef SPAN_LINEAGE_H
#define SPAN_LINEAGE_H

#include "binary/binary.h"

struct goroutine_epoch {                 /* of a record; zero: it says nothing */
	bool known;
	uint64_t generated;              /* sched.goidgen */
	uint64_t cached, cached_end;     /* the batch of the P that the record was written on */
};

/* Whether the goroutine was certainly created after the record. False is not the opposite. */
bool lineage_after(const struct goroutine_epoch *e, uint64_t goid);
/*
 * Whether a goroutine that began at this address of the image is nobody's child, whoever created it: the runtime's own
 * (the collector's workers, finalizers, iter.Pull's bodies, which run for whoever asks for the next value) and the one
 * that waits for signals. True as well where the binary cannot tell.
 */
bool lineage_is_cut(const struct binary *b, uint64_t start_pc);

#endif
