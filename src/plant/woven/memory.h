/* The memory file of a woven process (area.h): found, checked, taken for us alone; sessions in it. */
#ifndef PLANT_WOVEN_MEMORY_H
#define PLANT_WOVEN_MEMORY_H

#include "base/err.h"
#include "plant/ring/pool.h"
#include "plant/ring/tsc.h"
#include "plant/woven/area.h"

struct woven_memory {
	int fd;                     /* has the lock */
	struct woven_area *area;    /* shared: only to be read where the program cannot harm us */
	struct woven_area layout;   /* as it was checked */
	uint64_t bytes;             /* of the file */
	uint32_t session;           /* ours; 0: none */
};

/* What is wanted of one point. */
struct woven_key {
	uint64_t key;
	uint32_t *ret_index;        /* its entry's number, which its records have as their probe */
	const struct woven_plan *plan; /* what it does with marks; NULL: nothing. Copied */
};

/*
 * Opens that of process pid; with the lock, so there is no other reader. -ENODATA: it has none, with the reason;
 * -EBUSY: another earshot listens; -EPROTO: it is not as area.h says; -EACCES; -ESRCH. Needs the same user or
 * CAP_SYS_PTRACE.
 */
int woven_memory_open(const char *procfs, int pid, struct woven_memory *ret, struct err *err);
/* What fits neither area.h nor a file of that size, in one sentence: -EPROTO; -EINPROGRESS: it is about to be
 * made. */
int woven_area_check(const struct woven_area *a, uint64_t bytes, struct err *err);
/* Ends the session if there is one, gives the memory of the rings back. Zero-initialised: nothing. */
void woven_memory_close(struct woven_memory *m);

/*
 * Begins a session in which these points are wanted. Sets up the pool, with as many chunks at first, and layout. Where
 * the program began to record before anybody listened, that goes on and *ret_went_on is true. -EBUSY: a thread stands
 * still in the middle of a record; -ENOMEM and what fallocate says; -E2BIG: more points than the table has room for.
 */
int woven_session_begin(struct woven_memory *m, uint32_t target, const struct woven_key *keys, size_t n,
			const struct tsc_clock *clock, uint32_t chunks, struct chunk_pool *pool, bool *ret_went_on,
			struct err *err);
/* Nothing is written behind it; -EBUSY: but by a thread that stands still. What was written can be read. */
int woven_session_end(struct woven_memory *m);
/* The program took us for dead: it has thrown away what it had recorded. */
bool woven_session_lost(const struct woven_memory *m);

/*
 * Where nobody has, gives the program what it takes to follow chains of contexts: n bytes, a struct woven_contexts with
 * its table. -E2BIG: it has no room for so many types; or what fallocate says.
 */
int woven_contexts_put(struct woven_memory *m, const void *bytes, size_t n);
/* Likewise the values of facts, none of which has the key 0. */
int woven_facts_put(struct woven_memory *m, const struct woven_fact_place *facts, size_t n);

struct woven_wanted *woven_wanted_at(const struct woven_memory *m, uint32_t index);
/* Over all slots: records that were written in the session; of an entry, what was left out (phase says nothing). */
uint64_t woven_records(const struct woven_memory *m);
struct woven_tally woven_left_out(const struct woven_memory *m, uint32_t index);

#endif
