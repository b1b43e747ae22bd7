#include "span/lineage.h"

#include <string.h>

#include "probe/pack/pack.h"

bool lineage_after(const struct goroutine_epoch *e, uint64_t goid)
{
	if (!e->known)
		return false;
	if (goid > e->generated)
		return true;
	/* Another P may be in the middle of taking a batch: what was read then is no batch, or an older one. */
	return e->cached <= e->cached_end && e->cached_end - e->cached <= LINEAGE_BATCH && goid >= e->cached &&
	       goid < e->cached_end;
}

bool lineage_is_cut(const struct binary *b, uint64_t start_pc)
{
	static const char *const packages[] = {"runtime.", "runtime/", "internal/runtime/", "os/signal."};
	struct func f;

	if (!b || !binary_func_at(b, start_pc, &f))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(packages); i++)
		if (!strncmp(f.name, packages[i], strlen(packages[i])))
			return true;
	return false;
}
