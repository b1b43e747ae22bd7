/*
 * What is open (calls, spans), by goroutine: a stack each, since what a goroutine begins last it ends first. All of it
 * is also in one list, by age. Whoever keeps something open embeds a struct open_entry in it, and owns it.
 */
#ifndef EVENT_OPEN_STACK_H
#define EVENT_OPEN_STACK_H

#include "base/map.h"

struct open_entry {
	struct open_entry *outer, *inner;        /* of the same goroutine */
	struct open_entry *older, *newer;        /* of all */
	struct open_goroutine *goroutine;        /* NULL: it is in no stack */
	uint64_t depth;                          /* as in event_header */
};

/* Exists while something of it is open. Who keeps more of a goroutine puts this first, and says how large his is. */
struct open_goroutine {
	uint64_t key;
	struct open_entry *innermost;
	struct open_goroutine *next_spare;
};

struct open_stacks {                             /* zero is empty */
	struct map goroutines;                   /* key → struct open_goroutine */
	struct open_entry *oldest, *newest;
	size_t len;
	size_t goroutine_size;                   /* 0: of struct open_goroutine. What is behind that begins as zeros */
	struct open_goroutine *spare;            /* to be used again: as many as SPARE_GOROUTINES, by next_spare */
	size_t nspare;
};

/* One key for the goroutines of all processes. Go counts goroutines up from 1: 2^40 are years of them. */
static inline uint64_t open_goroutine_key(uint32_t target, uint64_t goid)
{
	return (uint64_t)target << 40 ^ goid;
}

/* The innermost entry of a goroutine; NULL: nothing of it is open. */
struct open_entry *open_stacks_innermost(const struct open_stacks *o, uint64_t key);
/* The entry becomes the innermost of its goroutine, and the newest of all. */
void open_stacks_push(struct open_stacks *o, uint64_t key, struct open_entry *e, uint64_t depth);
/* From its goroutine's stack. It is still one of all, until it is removed. */
void open_stacks_detach(struct open_stacks *o, struct open_entry *e);
/* From wherever it is. */
void open_stacks_remove(struct open_stacks *o, struct open_entry *e);
/* Of what it owns itself; the entries are to be removed before. */
void open_stacks_done(struct open_stacks *o);

#endif
