#include "sink/call_buckets.h"

#include <string.h>

static struct bucket_range log2_range(size_t bucket)
{
	unsigned k = (unsigned)bucket - 2;

	if (bucket == 0)
		return (struct bucket_range){WIDE_MIN, 0};
	if (bucket == 1)
		return (struct bucket_range){0, 1};
	return (struct bucket_range){(int128)1 << k, (int128)2 << k};
}

struct bucket_range bucket_range(const struct action *a, size_t bucket, size_t nbuckets)
{
	int128 from;

	if (a->aggregate == AGG_HIST)
		return log2_range(bucket);
	if (bucket == 0)
		return (struct bucket_range){WIDE_MIN, a->low};
	if (bucket + 1 == nbuckets)
		return (struct bucket_range){a->high, WIDE_MAX};
	from = a->low + (int128)(bucket - 1) * a->step;
	return (struct bucket_range){from, MIN(from + a->step, a->high)};
}

bool aggregate_is_duration(const struct plan_aggregate *a)
{
	const struct expr *e = a->action->nargs ? a->action->args[0] : NULL;
	const struct type *t = a->value ? a->value->type : NULL;

	return (e && e->op == EXPR_NAME && builtin_is(e->text, BUILTIN_LATENCY)) ||
	       (t && t->name && !strcmp(t->name, "time.Duration"));
}
