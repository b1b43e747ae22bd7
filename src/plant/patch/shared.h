/*
 * The memory that a patched process shares with us, as it begins; what follows (the area of ring/ring.h, the code, the
 * pool) belongs to who calls helper.h. In this order:
 *
 *	the fork guard, a page that is the process's alone. Its first word is 1, and 0 in a child that the process
 *	forks: a child has all the rest of this memory, but must not write there
 *	struct shared_page, whose second word is the caller's heartbeat: it must change at least every 100 ms, or
 *	another earshot takes this one for dead
 *	the list of the patches in place (struct shared_patch)
 *
 * So whoever finds this memory in a process, by its name, can restore the process. The fork guard lies over the first
 * page of the first map, and both are unmapped by one call, after all others: as long as anything of ours is in a
 * process, this is.
 *
 * Other processes read this, of this version of earshot or another: a change of it is a change of SHARED_MAGIC.
 */
#ifndef PLANT_PATCH_SHARED_H
#define PLANT_PATCH_SHARED_H

#include <stddef.h>
#include <stdint.h>

#define SHARED_NAME "earshot-patch" /* of the memory, as it shows in /proc/PID/maps */
#define SHARED_MAGIC 0x3344414548534145ull /* "EASHEAD3" */
#define SHARED_PAGE 4096
#define SHARED_MAPS_MAX 64
#define SHARED_PATCH_MAX 8
#define SHARED_HEARTBEAT_OFF (SHARED_PAGE + offsetof(struct shared_page, heartbeat))

/* A part of the memory, mapped; prot: PROT_*. */
struct shared_map {
	uint64_t addr, len, off;
	uint64_t prot;
};

struct shared_patch {
	uint64_t addr;
	uint64_t n;
	uint8_t old[SHARED_PATCH_MAX], new[SHARED_PATCH_MAX];
};
_Static_assert(sizeof(struct shared_patch) == 32, "other processes read it");

struct shared_action { /* the kernel's struct sigaction */
	uint64_t handler, flags, restorer, mask;
};

struct shared_page {
	uint64_t magic;
	uint64_t heartbeat;   /* counts up while its earshot lives; the only word that earshot itself writes */
	uint64_t token;       /* whose it is: the helpers of two dead earshots can be at work at one time, at the
			       * same addresses */
	uint64_t npatches, npatches_max;
	uint64_t loans;       /* run-time address of a struct shared_loans; 0: none */
	uint64_t nmaps;
	struct shared_map maps[SHARED_MAPS_MAX];
	struct shared_action before[2], scratch;
	uint64_t handlers[2]; /* ours; 0: not installed */
};
_Static_assert(sizeof(struct shared_page) <= SHARED_PAGE, "one page");

/*
 * Memory that is lent to calls of the program (IR_LEND), a map of its own, apart from all others: it stays where a call
 * has not returned that may still read there. Behind this, from a whole page on, the bytes, IR_LOAN_BYTES of each loan.
 */
#define SHARED_LOANS 1024
struct shared_loans {
	uint64_t lending;     /* 0: nothing more is lent */
	uint64_t reserved[7];
	uint64_t owner[SHARED_LOANS]; /* whose call has it; 0: nobody's. A call's loan is one of SHARED_LOAN_WAYS, */
};
#define SHARED_LOAN_WAYS 32    /* from (key >> 26 & (SHARED_LOANS - 1) & ~31) on */
#define SHARED_LOANS_HEAD ((sizeof(struct shared_loans) + SHARED_PAGE - 1) / SHARED_PAGE * SHARED_PAGE)

/* Bytes of all this, when there are to be as many patches as that. */
static inline uint64_t shared_head_bytes(size_t npatches)
{
	return 2 * SHARED_PAGE +
	       (npatches * sizeof(struct shared_patch) + SHARED_PAGE - 1) / SHARED_PAGE * SHARED_PAGE;
}

#endif
