/*
 * From the tables of all processes to the planter's aggregates (groups.h). A thread that may be in the code with a
 * table that was turned over has marked its slot before it looked which one is in use. Its mark is to be seen once
 * every processor has stood at a barrier after we turned it over: then a slot that is free, now, stays away from that
 * table.
 */
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "plant/patch/patch.h"

#define LOOKS 2000        /* at a slot that is in use, before it is left to the next time */
#define BARRIER_NS 2000000 /* where the kernel has none for us: no processor holds a store back for that long */

static uint32_t slots_of(const struct patched *d)
{
	return d->layout.ring.procs + d->layout.ring.extra;
}

static const struct patch_slot *slot_at(const struct patched *d, uint32_t i)
{
	return (const struct patch_slot *)(const void *)((const char *)d->area + d->layout.ring.slots_off +
							 (uint64_t)i * d->layout.ring.slot_bytes);
}

/* The programs that count nothing but their hits. */
static void tally_hits(struct patch_planter *p, struct patched *d)
{
	for (uint32_t i = 0; i < d->nprobes; i++) {
		const struct patch_sums *sums = d->forms.of ? d->forms.of[i] : NULL;
		uint64_t hits;

		if (!sums || !sums->hits || sums->refused)
			continue;
		hits = patch_area_hits(d->area, &d->layout, i);
		for (size_t k = 0; k < sums->forms->program->naggregates && hits != d->counted[i]; k++)
			aggregates_merge(p->reader.aggregates,
					 &(struct plant_group){.probe = d->probes[i], .target = d->target,
							       .aggregate = k,
							       .count = hits - d->counted[i], .min = WIDE_MAX,
							       .max = WIDE_MIN});
		d->counted[i] = hits;
	}
}

static void take(struct patch_planter *p, struct patched *d, uint32_t slot, uint32_t turn)
{
	patch_table_take(&d->forms, d->area, &d->layout, slot, turn, d->probes, d->target, p->reader.aggregates,
			 &p->reader.damaged);
}

static bool comes_free(const struct patch_slot *s)
{
	const struct timespec moment = {0, 1000};

	for (int i = 0; __atomic_load_n(&s->ring.busy, __ATOMIC_ACQUIRE); i++) {
		if (i == LOOKS)
			return false;
		if (i % 100 == 99)
			nanosleep(&moment, NULL);
		else
			__builtin_ia32_pause();
	}
	return true;
}

static void barrier(void)
{
	const struct timespec while_stores_are_held = {0, BARRIER_NS};

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		nanosleep(&while_stores_are_held, NULL);
}

static bool has_tables(const struct patched *d)
{
	return d->memory && d->layout.table_bytes;
}

void tally_all(struct patch_planter *p)
{
	bool any = false;

	for (struct patched *d = p->patched; d; d = d->next) {
		tally_hits(p, d);
		if (!has_tables(d))
			continue;
		d->turn ^= 1;
		__atomic_store_n(&d->area->turn, d->turn, __ATOMIC_SEQ_CST);
		any = true;
	}
	if (any)
		barrier();
	for (struct patched *d = p->patched; any && d; d = d->next)
		for (uint32_t i = 0; has_tables(d) && i < slots_of(d); i++)
			if (comes_free(slot_at(d, i)))
				take(p, d, i, !d->turn);
}

void tally_gone(struct patch_planter *p, struct patched *d)
{
	if (!d->memory)
		return;
	tally_hits(p, d);
	for (uint32_t i = 0; has_tables(d) && i < 2 * slots_of(d); i++)
		take(p, d, i / 2, i % 2);
}
