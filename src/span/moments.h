/* What a program says of moments within an open span: its events. The memory is reused from span to span. */
#ifndef SPAN_MOMENTS_H
#define SPAN_MOMENTS_H

#include "span/attr_list.h"

#define MOMENTS_MAX 128 /* of a span; what is beyond is the caller's to count */

struct moment {
	uint64_t time_ns;
	struct attr_list attrs; /* its name is one of these */
};
struct moments {
	struct moment **of;
	size_t n, room;         /* room: those that have memory */
};

/* A new one, without attributes; NULL: there are too many. */
struct moment *moments_add(struct moments *m, uint64_t time_ns);
void moments_reset(struct moments *m); /* empties; keeps the memory */
void moments_done(struct moments *m);

#endif
