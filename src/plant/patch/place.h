/*
 * Where trampolines go: into free address space that the jumps of their sites reach. Pure: what is occupied
 * is a parameter.
 *
 * A punned jump reaches 16 MiB, which it shares with all others of its kind nearby: enough for thousands of
 * trampolines. Where there are too many, its window gets a landing pad only: a jump to a trampoline that may lie
 * anywhere around.
 */
#ifndef PLANT_PATCH_PLACE_H
#define PLANT_PATCH_PLACE_H

#include "base/vec.h"
#include "plant/patch/site.h"

struct range {
	uint64_t start, end;
};
typedef VEC(struct range) range_vec; /* sorted by start, not overlapping */

/* The mappings of a process. 0 or -errno. */
int occupied_read(const char *procfs, int pid, range_vec *ret);

struct trampoline {
	const struct patch_site *site;
	uint32_t bytes, entry; /* its size, and where in it the site's jump goes */
	bool placed;
	uint64_t addr;         /* run-time */
	uint64_t landing_pad;  /* run-time, where the site's jump leads: the entry, or PATCH_JUMP bytes for
				* a jump there */
};
struct region {
	uint64_t addr;         /* run-time, of whole pages */
	uint64_t used, size;   /* bytes taken; reserved */
};
typedef VEC(struct region) region_vec;

/*
 * Gives each a place, or leaves placed false where there is none. Regions are added to ret; not more than max in
 * all. bias: load bias of the sites' image.
 */
void trampolines_place(const range_vec *occupied, uint64_t bias, struct trampoline *t, size_t n, size_t max,
		       region_vec *ret);

#endif
