/* What the buckets of a histogram stand for. */
#ifndef SINK_CALL_BUCKETS_H
#define SINK_CALL_BUCKETS_H

#include "call/call.h"

struct bucket_range {
	int128 from, to;     /* [from, to); WIDE_MIN, WIDE_MAX: open on that side */
};
struct bucket_range bucket_range(const struct call_aggregate *a, size_t bucket, size_t nbuckets);

#endif
