/*
 * The helper: a child of earshot that does everything to other processes for which ptrace is needed. It is in a
 * session of its own, ignores signals, and does not die with us: when we are gone (the socket ends) it finishes its
 * step, takes everything out of every process again, and exits. So the only way to lose a process in the middle of a
 * step is to kill the helper itself with SIGKILL in that moment.
 *
 * All errors come with a sentence.
 */
#ifndef PLANT_PATCH_HELPER_H
#define PLANT_PATCH_HELPER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "plant/patch/shared.h"
#include "plant/patch/stop.h"

struct helper;

int helper_start(struct helper **ret, struct err *err);
void helper_stop(struct helper *h); /* takes everything out first; NULL ok */

struct helper_target {
	int pid;
	struct syscall_insns calls; /* run-time addresses */
	uint64_t main_entry;   /* of main.main */
	uint64_t text, etext;  /* run-time: the program's own signal handlers lie there */
};

/*
 * Makes shared memory of `bytes` in the process and maps its parts there; the first begins at offset 0, can be written,
 * and has shared_head_bytes(npatches) bytes that are not the caller's. A program at its very start is first run to its
 * main function. -EEXIST: an address is in use by now, choose others. Then the process goes on, but for one at its very
 * start, which stays stopped until helper_patch, helper_leave or the helper's end.
 */
struct helper_mapped {
	int fd;              /* the shared memory, the caller's */
	uint32_t handle;
	uint64_t next[2];    /* the program's own handlers of SIGSEGV and SIGBUS */
};
struct helper_memory {
	const struct shared_map *maps;
	size_t nmaps;        /* at most SHARED_MAPS_MAX */
	uint64_t bytes;
	uint64_t existing;   /* so many bytes of it are allocated at once; the caller allocates the rest before anything
			      * is written there */
	size_t npatches;     /* the most that are in place at one time */
	uint64_t loans;      /* run-time address of the struct shared_loans, which begins a map; 0: none */
};
int helper_map(struct helper *h, const struct helper_target *t, const struct helper_memory *m,
	       struct helper_mapped *ret, struct err *err);

/*
 * handlers: for SIGSEGV and SIGBUS; a zero leaves the program's own. ret_pause_ns: for how long the process was
 * stopped, altogether, since many patches are put in by many short stops. After a failure some may be in place, and
 * the caller calls helper_leave.
 */
int helper_patch(struct helper *h, uint32_t handle, const struct shared_patch *patches, size_t n,
		 const uint64_t handlers[2], uint64_t *ret_pause_ns, struct err *err);
/* Restores the bytes of some. */
int helper_unpatch(struct helper *h, uint32_t handle, const struct shared_patch *patches, size_t n, struct err *err);
/*
 * Restores everything, waits until no thread is inside, unmaps. -EBUSY: a thread may still be inside, so that the
 * code stays mapped, unused. The handle ends in any case.
 */
int helper_leave(struct helper *h, uint32_t handle, struct err *err);
/*
 * Takes the leftovers of an earshot that is gone out of a process. 0 also when there are none. -EBUSY: another earshot
 * is at work there, or they could not be taken out.
 */
int helper_clean(struct helper *h, const struct helper_target *t, struct err *err);

#endif
