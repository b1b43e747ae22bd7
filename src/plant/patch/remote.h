/*
 * What the hand keeps of a process it works on, and the steps it does there. The steps are without memory of
 * who asked: the hand's messages are in hand.c.
 */
#ifndef PLANT_PATCH_REMOTE_H
#define PLANT_PATCH_REMOTE_H

#include "base/vec.h"
#include "plant/patch/hand.h"
#include "plant/patch/stop.h"

#define REMOTE_NAME "earshot-patch" /* of the shared memory, as it shows in /proc/PID/maps */
#define REMOTE_MAGIC 0x3244414548534145ull /* "EASHEAD2" */

struct remote_action { /* the kernel's struct sigaction */
	uint64_t handler, flags, restorer, mask;
};

/*
 * The hand's own page (see hand_own), and right behind it the list of the patches in place: so whoever finds this in a
 * process can restore it. The gate lies over the first page of the first map, and both are unmapped by one call, after
 * all others: as long as anything of ours is in a process, this is.
 */
struct remote_page {
	uint64_t magic;
	uint64_t beat;        /* counts up while its earshot lives; the only word that earshot itself writes */
	uint64_t token;       /* whose it is: two hands of dead earshots can be at work at one time, at
			       * the same addresses */
	uint64_t npatches, npatches_max;
	uint64_t nmaps;
	struct hand_map maps[HAND_MAPS_MAX];
	struct remote_action before[2], scratch;
	uint64_t handlers[2]; /* ours; 0: not installed */
};
_Static_assert(sizeof(struct remote_page) <= HAND_PAGE, "one page");

struct remote {
	struct hand_target target;
	int mem;                        /* /proc/PID/mem: of this very program, not of what it executes later */
	int shared;                     /* the memory; -1 when adopted */
	struct remote_page page;        /* what is to be there, but for beat */
	VEC(struct hand_patch) patches; /* in place */
	struct stopped stopped;
	bool held;                      /* stopped is in use */
	bool at_main;                   /* held where its main function begins */
	uint64_t held_since, held_ns;   /* since when; for how long altogether */
};

int remote_open(const struct hand_target *t, struct remote *ret, struct err *err);
void remote_done(struct remote *r); /* lets the process go on when held */
int remote_map(struct remote *r, const struct hand_memory *m, struct err *err);
/* Patches are to be sorted. */
void remote_sort(struct hand_patch *p, size_t n);
int remote_patch(struct remote *r, const struct hand_patch *patches, size_t n, const uint64_t handlers[2],
		 uint64_t *ret_pause_ns, struct err *err);
int remote_unpatch(struct remote *r, const struct hand_patch *patches, size_t n, struct err *err);
int remote_leave(struct remote *r, struct err *err);
/* What a dead earshot left in the process, as a remote to be left: held, since its hand may still be at work. */
int remote_adopt(const struct hand_target *t, struct remote *ret, bool *ret_found, struct err *err);

/* ---- what remote.c, remote_map.c and remote_left.c share ---- */

bool remote_read(const struct remote *r, uint64_t addr, void *p, size_t n);
bool remote_write(const struct remote *r, uint64_t addr, const void *p, size_t n); /* what is mapped writable */
uint64_t remote_own(const struct remote *r);     /* the address of the hand's page */
bool remote_publish(const struct remote *r);     /* puts r->page there */
bool remote_sign(struct remote *r);              /* makes it one that others can find, and ours */
bool remote_ours(const struct remote *r);        /* still the program we know, with our page; to be asked when held */
bool remote_same_code(const struct remote *r);   /* the instruction to borrow is there, in what the process runs now */
int remote_hold(struct remote *r, struct err *err);
/* For what must be done: a thread may be in the kernel for a while, a debugger may be there. */
int remote_hold_at_last(struct remote *r, struct err *err);
void remote_release(struct remote *r);
int remote_gone(const struct remote *r, struct err *err); /* -ESRCH with the sentence */
int remote_calls(struct remote *r, struct system_call *calls, size_t n, struct err *err);
struct system_call remote_unmap_call(uint64_t addr, uint64_t len);
/* The calls that unmap all, n of them: the first map, by which the others are found, comes last. */
void remote_unmap_calls(const struct hand_map *maps, size_t n, struct system_call *ret);
int remote_install_handlers(struct remote *r, const uint64_t handlers[2], struct err *err);
/* -EBUSY when someone has put another handler over ours, which may still call it. */
int remote_remove_handlers(struct remote *r, struct err *err);

#endif
