#include "sink/call_buckets.h"

static struct bucket_range log2_range(size_t bucket)
{
	unsigned k = (unsigned)bucket - 2;

	if (bucket == 0)
		return (struct bucket_range){WIDE_MIN, 0};
	if (bucket == 1)
		return (struct bucket_range){0, 1};
	return (struct bucket_range){(int128)1 << k, (int128)2 << k};
}

struct bucket_range bucket_range(const struct call_aggregate *a, size_t bucket, size_t nbuckets)
{
	int128 from;

	if (a->kind == AGG_HIST)
		return log2_range(bucket);
	if (bucket == 0)
		return (struct bucket_range){WIDE_MIN, a->low};
	if (bucket + 1 == nbuckets)
		return (struct bucket_range){a->high, WIDE_MAX};
	from = a->low + (int128)(bucket - 1) * a->step;
	return (struct bucket_range){from, MIN(from + a->step, a->high)};
}
