/*
 * The hand: a child of earshot that does everything to other processes that ptrace is needed for. It is in a
 * session of its own, ignores signals, and does not die with us: when we are gone (the socket ends) it finishes the
 * step it is in, takes everything out of every process again, and exits. So the only way to lose a process in
 * the middle of a step is to kill the hand itself with SIGKILL in that moment.
 *
 * All errors come with a sentence.
 */
#ifndef PLANT_PATCH_HAND_H
#define PLANT_PATCH_HAND_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct hand;

int hand_start(struct hand **ret, struct err *err);
void hand_stop(struct hand *h); /* takes everything out first; NULL ok */

struct hand_target {
	int pid;
	uint64_t syscall_insn; /* run-time address of a `syscall` */
	uint64_t main_entry;   /* of main.main */
	uint64_t text, etext;  /* run-time: the program's own signal handlers lie there */
};

/* Part of the shared memory; prot: PROT_*. */
struct hand_map {
	uint64_t addr, len, off;
	uint64_t prot;
};

#define HAND_PATCH_MAX 8
struct hand_patch {
	uint64_t addr;
	uint64_t n;
	uint8_t old[HAND_PATCH_MAX], new[HAND_PATCH_MAX];
};
_Static_assert(sizeof(struct hand_patch) == 32, "found by other processes");
#define HAND_MAPS_MAX 64
#define HAND_PAGE 4096
/*
 * What the hand keeps at the start of the shared memory, before the caller's own, when there are to be that many
 * patches:
 *	a page that is the process's alone, the gate. Its first word is 1, and 0 in a child that the process forks: a
 *	child has all the rest of ours, but must not write there
 *	the hand's page, whose second word is the caller's sign of life: it must change at least every 100 ms, or
 *	another earshot takes this one for dead
 *	the list of patches
 */
static inline uint64_t hand_own(size_t npatches)
{
	return 2 * HAND_PAGE + (npatches * sizeof(struct hand_patch) + HAND_PAGE - 1) / HAND_PAGE * HAND_PAGE;
}
#define HAND_BEAT_OFF (HAND_PAGE + 8)

/*
 * Makes shared memory of `bytes` in the process and maps its parts there; the first begins at offset 0, can be written,
 * and has hand_own(npatches) bytes that are not the caller's. A program at its very start is run to its main function
 * first. ret_next: the handlers of SIGSEGV and SIGBUS. -EEXIST: an address is in use by now, choose others.
 * Then the process goes on, but for one at its very start, which stays stopped until hand_patch, hand_leave or the
 * hand's end.
 */
struct hand_mapped {
	int fd;              /* the shared memory, the caller's */
	uint32_t handle;
	uint64_t next[2];
};
struct hand_memory {
	const struct hand_map *maps;
	size_t nmaps;        /* HAND_MAPS_MAX at most */
	uint64_t bytes;
	uint64_t existing;   /* bytes of it that are made to exist at once. The rest the caller does, before they
			      * are written to */
	size_t npatches;     /* in place at once, at most */
};
int hand_map(struct hand *h, const struct hand_target *t, const struct hand_memory *m, struct hand_mapped *ret,
	     struct err *err);

/*
 * handlers: for SIGSEGV and SIGBUS; zeros leave what is there. ret: for how long the process was stopped, altogether:
 * many patches are put in by many short stops. On failure some may be in place: hand_leave is to follow.
 */
int hand_patch(struct hand *h, uint32_t handle, const struct hand_patch *patches, size_t n,
	       const uint64_t handlers[2], uint64_t *ret_pause_ns, struct err *err);
/* Restores the bytes of some. */
int hand_unpatch(struct hand *h, uint32_t handle, const struct hand_patch *patches, size_t n, struct err *err);
/*
 * Restores everything, waits until no thread is inside, unmaps. -EBUSY: a thread may still be inside, so that the
 * code stays mapped, unused. The handle ends in any case.
 */
int hand_leave(struct hand *h, uint32_t handle, struct err *err);
/*
 * Takes out what an earshot that is gone has left in a process. 0 also when there is nothing. -EBUSY: another
 * earshot is at work there, or it could not be taken out.
 */
int hand_clean(struct hand *h, const struct hand_target *t, struct err *err);

#endif
