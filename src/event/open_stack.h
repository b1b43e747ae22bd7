/*
 * What is open on goroutines, traced calls or spans: of each goroutine a stack. Who pairs ends with beginnings embeds
 * these structs in his own, each as the first member; which end belongs to which beginning is for him to say. Depths
 * never fall from one item of a goroutine to the next inner one, if he takes out what is deeper before he pushes.
 */
#ifndef EVENT_OPEN_STACK_H
#define EVENT_OPEN_STACK_H

#include "base/map.h"

struct open_item {
	struct open_item *outer, *inner; /* of the same goroutine */
	struct open_goroutine *goroutine;
	uint64_t depth;                  /* of the stack where it began, as in struct event_header */
};

struct open_goroutine {
	uint64_t key;
	struct open_item *innermost;     /* there is one: a goroutine without any takes no memory */
	struct open_goroutine *next_free;
};

struct open_stacks {
	size_t goroutine_size;           /* of the user's struct for a goroutine; the rest is zero to begin with */
	struct map goroutines;           /* by key */
	struct open_goroutine *free;
	size_t nfree, len;               /* len: items that are open */
};

struct open_goroutine *open_stacks_find(const struct open_stacks *o, uint64_t key); /* NULL: nothing is open there */
/* As the innermost of the goroutine, whose own members are zero where it is the first. */
void open_stacks_push(struct open_stacks *o, uint64_t key, struct open_item *item, uint64_t depth);
/* The goroutine goes with its last item; the item is the caller's. */
void open_stacks_remove(struct open_stacks *o, struct open_item *item);
void open_stacks_done(struct open_stacks *o); /* items that are still open are the caller's */

#endif
