/* The names of code addresses, found once: stacks repeat. */
#ifndef SINK_FRAME_NAMES_H
#define SINK_FRAME_NAMES_H

#include "base/arena.h"
#include "base/map.h"
#include "call/call.h"

struct frame_names {
	struct arena arena;
	struct map names;  /* (process, address) → struct frame_texts */
	bool with_line;
};

/* The functions, and with_line their file:line, of a frame of a call's stack: the innermost inlined one first. */
struct frame_texts {
	size_t n;
	const char *names[];
};
/* Valid until the next call. */
const struct frame_texts *frame_names_at(struct frame_names *n, const struct resource *p, uint64_t return_address);
void frame_names_done(struct frame_names *n);
/* The member "stack" of the object that is open: the frames of a call, the innermost first. */
void frame_names_json(struct frame_names *n, const struct call_record *c, struct json *j);

#endif
