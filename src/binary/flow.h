/*
 * Where control goes in one function: basic blocks, which of them every way to a block leads through (dominators), and
 * loops. Calls return, but for those of functions that never do; where the runtime continues after a panic is left out.
 */
#ifndef BINARY_FLOW_H
#define BINARY_FLOW_H

#include "binary/insn.h"

#define FLOW_NONE UINT32_MAX

struct flow_block {
	uint32_t first, end;     /* instructions [first, end) */
	uint32_t succ, nsucc;    /* in struct flow's edges */
	uint32_t npred;          /* from blocks that can be reached */
	uint32_t order;          /* in reverse postorder; FLOW_NONE: never reached from the entry */
	uint32_t idom;           /* the entry's is itself */
	uint32_t enter, leave;   /* of the walk over the dominator tree */
	uint32_t loop;           /* the header of the innermost loop, which may be itself, or FLOW_NONE */
	uint32_t outer;          /* of a header: that of the loop around its own */
	bool leaves;             /* returns, or jumps to another function */
};

struct flow {
	const struct disasm *code;
	struct flow_block *blocks;
	size_t nblocks;
	uint32_t *edges;
	uint32_t *block_of;      /* of each instruction */
	uint32_t *rpo;           /* blocks that are reached, in reverse postorder */
	size_t nrpo;
	const char *why;         /* why nothing can be said of the function; NULL: all is known */
};

/* code must outlive ret. Never fails: see why. */
void flow_make(struct binary *b, const struct disasm *code, struct flow *ret);
void flow_done(struct flow *f);

/* Whether every way from the entry to block b leads through block a (a block dominates itself). */
bool flow_dominates(const struct flow *f, uint32_t a, uint32_t b);
/* Whether block b lies in the loop with that header; true for FLOW_NONE, the function itself. */
bool flow_in_loop(const struct flow *f, uint32_t b, uint32_t header);

#endif
