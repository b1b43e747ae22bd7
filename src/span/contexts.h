/*
 * The contexts of a process that its open spans were given, by address. The address of a request's own context is the
 * request's as long as that is open, and anybody's afterwards: garbage is collected, and the memory used again.
 */
#ifndef SPAN_CONTEXTS_H
#define SPAN_CONTEXTS_H

#include "base/map.h"

struct open_span;

struct contexts {                /* zero is empty */
	struct map spans;        /* address → struct open_span */
	uint64_t *ended;         /* addresses that were one's, by hash; NULL: there was none */
};

/*
 * The context at that address is s's until contexts_forget. A span that hands on what it was given itself does not own
 * it: the address stays its ancestor's then.
 */
void contexts_give(struct contexts *c, uint64_t addr, struct open_span *s);
void contexts_forget(struct contexts *c, struct open_span *s);
/* The open span whose context that is, or NULL. *ret_ended becomes true where it was one's that has ended. */
struct open_span *contexts_find(const struct contexts *c, uint64_t addr, bool *ret_ended);
void contexts_done(struct contexts *c);

#endif
