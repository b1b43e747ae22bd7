/* The names of code addresses, found once: stacks repeat. */
#ifndef SINK_CALL_CODE_H
#define SINK_CALL_CODE_H

#include "base/arena.h"
#include "base/map.h"
#include "call/call.h"

struct code_names {
	struct arena arena;
	struct map names;  /* (process, address) → struct frame_names */
	bool with_line;
};

/* The functions, and with_line their file:line, of a frame of a call's stack: the innermost inlined one first. */
struct frame_names {
	size_t n;
	const char *names[];
};
/* Valid until the next call. */
const struct frame_names *frame_names(struct code_names *n, const struct resource *p, uint64_t return_address);
void code_names_done(struct code_names *n);

#endif
