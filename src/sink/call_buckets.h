/* What the buckets of a histogram stand for. */
#ifndef SINK_CALL_BUCKETS_H
#define SINK_CALL_BUCKETS_H

#include "base/wide.h"
#include "probe/plan/call_plan.h"

struct bucket_range {
	int128 from, to;     /* [from, to); WIDE_MIN, WIDE_MAX: open on that side */
};
struct bucket_range bucket_range(const struct action *a, size_t bucket, size_t nbuckets);

/* Whether the value of an aggregate is a time in ns: `latency`, or of type time.Duration. */
bool aggregate_is_duration(const struct plan_aggregate *a);

#endif
