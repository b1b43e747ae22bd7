#include "cmd/summary.h"

const char *plural(uint64_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

bool losses_list(const struct losses *l, struct buf *out)
{
	bool any = false;

	for (int i = 0; i < LOSS_COUNT; i++) {
		if (!l->count[i] || !loss_name(i))
			continue;
		buf_printf(out, "%s%llu %s", any ? ", " : "", (unsigned long long)l->count[i], loss_name(i));
		any = true;
	}
	return any;
}
