/*
 * What the helper keeps of a process it works on, and the steps it does there. A step knows nothing of who asked for
 * it: the messages to the helper are in helper.c.
 */
#ifndef PLANT_PATCH_REMOTE_H
#define PLANT_PATCH_REMOTE_H

#include "base/vec.h"
#include "plant/patch/helper.h"
#include "plant/patch/stop.h"

struct remote {
	struct helper_target target;
	int mem;                        /* /proc/PID/mem: of this very program, not of what it executes later */
	int shared;                     /* the memory; -1 when it was taken over */
	struct shared_page page;        /* what is to be there, but for the heartbeat */
	VEC(struct shared_patch) patches; /* in place */
	struct stopped stopped;
	bool held;                      /* stopped is in use */
	bool waited;                    /* in vain, for a thread that can make calls without danger, since it is held */
	bool at_main;                   /* held where its main function begins */
	uint64_t held_since, held_ns;   /* since when; for how long altogether */
};

int remote_open(const struct helper_target *t, struct remote *ret, struct err *err);
void remote_done(struct remote *r); /* lets the process go on when held */
int remote_map(struct remote *r, const struct helper_memory *m, struct err *err);
/* Patches are to be sorted. */
void remote_sort(struct shared_patch *p, size_t n);
int remote_patch(struct remote *r, const struct shared_patch *patches, size_t n, const uint64_t handlers[2],
		 uint64_t *ret_pause_ns, struct err *err);
int remote_unpatch(struct remote *r, const struct shared_patch *patches, size_t n, struct err *err);
int remote_leave(struct remote *r, struct err *err);
/*
 * The leftovers of a dead earshot in the process, as a remote that the caller then leaves (remote_leave). The process
 * is held: the helper of the dead one may still be at work.
 */
int remote_take_over(const struct helper_target *t, struct remote *ret, bool *ret_found, struct err *err);

/* ---- what remote.c, remote_map.c and remote_leftovers.c share ---- */

bool remote_read(const struct remote *r, uint64_t addr, void *p, size_t n);
bool remote_write(const struct remote *r, uint64_t addr, const void *p, size_t n); /* what is mapped writable */
uint64_t remote_page_addr(const struct remote *r);
bool remote_publish(const struct remote *r);     /* puts r->page there, but for the heartbeat */
bool remote_claim(struct remote *r);             /* publishes it with a token of our own: others can find it now */
bool remote_same_code(const struct remote *r);   /* the instruction to borrow is there, in what the process runs now */
int remote_hold(struct remote *r, struct err *err);
/* Tries for seconds, for what must be done: a thread may be in the kernel for a while, a debugger may be there. */
int remote_hold_retry(struct remote *r, struct err *err);
void remote_release(struct remote *r);
int remote_gone(const struct remote *r, struct err *err); /* -ESRCH with the sentence */
int remote_calls(struct remote *r, struct system_call *calls, size_t n, struct err *err);
struct system_call remote_unmap_call(uint64_t addr, uint64_t len);
/* The calls that unmap all, n of them: the first map, by which the others are found, comes last. */
void remote_unmap_calls(const struct shared_map *maps, size_t n, struct system_call *ret);
int remote_install_handlers(struct remote *r, const uint64_t handlers[2], struct err *err);
/* -EBUSY when someone has put another handler over ours, which may still call it. */
int remote_remove_handlers(struct remote *r, struct err *err);

#endif
