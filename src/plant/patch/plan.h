/* What planting into one process is made of: plan.c (sites, places, putting it in), trampoline.c (the code). */
#ifndef PLANT_PATCH_PLAN_H
#define PLANT_PATCH_PLAN_H

#include "plant/patch/patch.h"
#include "plant/patch/place.h"
#include "plant/verdict.h"

typedef VEC(size_t) probe_list;

/*
 * What lies at one address: an entry or a return. In a function of a few instructions one of them can be both: the
 * return is moved whole then, with the entry in front. Of several probes the last one runs first, as uprobes do.
 */
struct planned {
	uint64_t addr;
	struct patch_part {
		const struct patch_site *site;
		probe_list probes;
	} parts[SITE_RETURN + 1]; /* by enum site_kind */
	struct trampoline *at;
	uint32_t bytes, entry; /* the trampoline's, as measured; no bytes: not yet */
};

struct plan {
	struct patch_planter *p;
	const struct plant_target *t;
	const struct plant_probe *probes;
	size_t nprobes;
	struct verdicts verdicts;
	bool *apart;             /* by probe: patch_calls_apart */
	struct patch_forms forms; /* of their aggregates */
	const struct facts *facts;
	VEC(struct planned) sites;
	struct map tables;       /* of the probes' programs: struct shape_table and struct context_table → its offset in
				  * table_bytes, plus one */
	struct buf table_bytes;
	uint64_t tables_addr;
	struct buf chain_code;   /* patch_chain_compile; empty: nobody wants it */
	struct map by_addr;      /* address → its index in sites, plus one */
	struct trampoline *trampolines; /* as many */
	region_vec regions;
	struct patch_area layout;
	struct shared_map maps[SHARED_MAPS_MAX];
	size_t nmaps;
	uint64_t area_addr, bytes, handler_addr, chain_addr, fork_guard_addr;
	uint64_t loans_addr;     /* 0: no probe lends */
};

/* That its jump is made of: where there are two, they agree in all that matters for that. */
static inline const struct patch_site *site_of(const struct planned *s)
{
	return s->parts[s->parts[SITE_ENTRY].probes.len ? SITE_ENTRY : SITE_RETURN].site;
}

static inline size_t probes_of(const struct planned *s)
{
	return s->parts[SITE_ENTRY].probes.len + s->parts[SITE_RETURN].probes.len;
}

static inline size_t probe_of(const struct planned *s, size_t i)
{
	const struct patch_part *entry = &s->parts[SITE_ENTRY];

	return i < entry->probes.len ? entry->probes.data[i]
				     : s->parts[SITE_RETURN].probes.data[i - entry->probes.len];
}

static inline const char *site_label(const struct plan *pl, const struct planned *s)
{
	return pl->probes[probe_of(s, 0)].label;
}

/*
 * trampoline.c. Both append to out, for run-time address addr; addresses of the plan that are not known yet only have
 * to be likely, then. 0, or why there can be no such code.
 */
int plan_probe_code(const struct plan *pl, size_t probe, const struct patch_site *site, uint64_t addr, uint64_t back,
		    struct buf *out, struct err *err);
/* ret_entry: where in the trampoline the jump goes. */
int plan_trampoline(const struct plan *pl, const struct planned *s, uint64_t addr, struct buf *out, uint32_t *ret_entry,
		    struct err *err);

#endif
