/*
 * Whether a process runs the code that was analysed, at the places where it is going to be changed. A file may have been
 * overwritten between the two, and two builds may look alike from outside (same size, same time); another tool may have
 * changed the code in memory.
 */
#ifndef PLANT_CODE_CHECK_H
#define PLANT_CODE_CHECK_H

#include "plant/plant.h"

#define CODE_PLACE_BYTES 16 /* what is compared at a site: enough that other code is not taken for it */
#define CODE_PLACE_MAX 64

struct code_place {
	uint64_t addr;    /* image address */
	uint32_t n;       /* bytes, CODE_PLACE_MAX at most */
	uint32_t strict;  /* in the first so many of them a breakpoint is refused; elsewhere it may be anybody's */
	size_t probe;     /* index */
};

/*
 * Sorts the places, reads them from the process, many in one system call, and sets refused[probe], with a sentence in
 * errs[probe] (errs NULL ok), where one differs from t->image. Where the process's memory may not be read (that takes more
 * rights than uprobes do) it is only checked that the file has not changed since it was analysed. Returns how many probes
 * were refused. Without t->image nothing is checked.
 */
size_t code_check(const struct plant_target *t, const struct plant_probe *probes, struct code_place *places, size_t n,
		  bool *refused, struct err *errs);
/* The same at all sites of n probes, where breakpoints may be anybody's. */
size_t code_check_sites(const struct plant_target *t, const struct plant_probe *probes, size_t n, bool *refused,
			struct err *errs);

#endif
