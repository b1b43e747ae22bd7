#include "plant/verdict.h"

#include <errno.h>

#include "base/map.h"

void verdicts_init(struct verdicts *v, const struct plant_probe *probes, size_t n, struct err *errs)
{
	struct map last = {0}; /* group → the last probe of it, plus one */

	*v = (struct verdicts){.probes = probes, .n = n, .errs = errs};
	v->refused = xcalloc(n + 1, sizeof(*v->refused));
	v->mate = xcalloc(n + 1, sizeof(*v->mate));
	for (size_t i = 0; i < n; i++) {
		uintptr_t before = probes[i].group ? (uintptr_t)map_get(&last, probes[i].group) : 0;

		v->mate[i] = before ? v->mate[before - 1] : i;
		if (before)
			v->mate[before - 1] = i;
		if (probes[i].group)
			map_set(&last, probes[i].group, (void *)(uintptr_t)(i + 1));
	}
	map_done(&last);
}

void verdicts_done(struct verdicts *v)
{
	free(v->refused);
	free(v->mate);
	*v = (struct verdicts){0};
}

static void refuse_one(struct verdicts *v, size_t probe, const struct err *why)
{
	if (v->refused[probe])
		return;
	if (v->errs)
		v->errs[probe] = *why;
	v->refused[probe] = true;
	v->nrefused++;
}

void verdict_refuse(struct verdicts *v, size_t probe, const struct err *why)
{
	const struct err first = *why; /* it may be one of errs */

	refuse_one(v, probe, &first);
	for (size_t i = v->mate[probe]; i != probe && !v->probes[probe].optional; i = v->mate[i])
		refuse_one(v, i, &first);
}

void verdicts_refuse_unlocated(struct verdicts *v)
{
	for (size_t i = 0; i < v->n; i++) {
		struct err why = {0};

		if (v->probes[i].sites)
			continue;
		if (v->probes[i].why)
			err_set(&why, -ENOTSUP, "%s", v->probes[i].why);
		else
			err_set(&why, -EINVAL, "%s has no site to put a probe at", v->probes[i].label);
		verdict_refuse(v, i, &why);
	}
}

void verdict_refuse_all(struct verdicts *v, const struct err *why)
{
	for (size_t i = 0; i < v->n; i++)
		refuse_one(v, i, why);
}

bool verdict_any_useful(struct verdicts *v)
{
	struct err why = {0};

	for (size_t i = 0; i < v->n; i++)
		if (!v->refused[i] && !v->probes[i].auxiliary)
			return true;
	err_set(&why, -ENODATA, "nothing is planted that it would serve");
	verdict_refuse_all(v, &why);
	return false;
}
