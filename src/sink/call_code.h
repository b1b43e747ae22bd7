/* The names of code addresses, found once: stacks repeat. */
#ifndef SINK_CALL_CODE_H
#define SINK_CALL_CODE_H

#include "base/arena.h"
#include "base/map.h"
#include "call/call.h"

struct code_names {
	struct arena arena;
	struct map names;  /* of (process, address) */
	bool with_line;
};

/* The function, and with_line its file:line, of a frame of a call's stack. Valid until the next call. */
const char *frame_name(struct code_names *n, const struct call_process *p, uint64_t return_address);
void code_names_done(struct code_names *n);

#endif
