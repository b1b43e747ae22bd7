/* Texts, each once, so that equal ones are equal pointers: the keys of all packs' attributes. */
#ifndef SPAN_INTERNER_H
#define SPAN_INTERNER_H

#include "base/arena.h"
#include "base/map.h"

struct interner { /* zero-initialised is empty */
	struct strmap keys;
	struct arena arena;
};
const char *intern(struct interner *in, const char *s);
/* NULL where it is a new one, and there are max already. */
const char *intern_at_most(struct interner *in, const char *s, size_t max);
void interner_done(struct interner *in);

#endif
