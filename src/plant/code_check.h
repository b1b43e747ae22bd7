/*
 * Whether a process runs the code that was analysed, at the places where it is going to be changed. A file may have
 * been overwritten between the two, and two builds may look alike from outside (same size, same time); another tool may
 * have changed the code in memory.
 */
#ifndef PLANT_CODE_CHECK_H
#define PLANT_CODE_CHECK_H

#include "plant/verdict.h"

#define CODE_PLACE_BYTES 16 /* what is compared at a site: enough that other code is not taken for it */
#define CODE_PLACE_MAX 64

struct code_place {
	uint64_t addr;    /* image address */
	uint32_t n;       /* bytes, CODE_PLACE_MAX at most */
	uint32_t strict;  /* in the first so many of them a breakpoint is refused; elsewhere it may be anybody's */
	size_t probe;     /* index */
	uint32_t site;    /* the byte that a uprobe is to be put on … */
	bool shared;      /* … and has one already, of whomever; set by code_check */
};

/*
 * Sorts the places, reads them from the process, many in one system call, and refuses the probes of those that differ
 * from t->image. Where the process's memory may not be read (that takes more rights than uprobes do) it is only checked
 * that the file has not changed since it was analysed. Without t->image nothing is checked.
 */
void code_check(const struct plant_target *t, struct code_place *places, size_t n, struct verdicts *verdicts);
/*
 * The same at all sites of the probes that are not refused, where breakpoints may be anybody's. Returns how many of the
 * probes have a site with a uprobe (or a debugger's breakpoint) already, which works beside ours; ret_first: one of
 * them.
 */
size_t code_check_sites(const struct plant_target *t, struct verdicts *verdicts, size_t *ret_first);

#endif
