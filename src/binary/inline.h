/*
 * Inlined calls: which there are (inltree.c, from the tables that the runtime itself uses; dwarf_inline.c knows their
 * parameters, too), and where a probe stands for a call (inline_site.c).
 */
#ifndef BINARY_INLINE_H
#define BINARY_INLINE_H

#include "base/vec.h"
#include "binary/internal.h"

enum { INLINE_NONE = -1 };

struct inline_call {
	const char *name;     /* of the function that was inlined; NULL: there is no such call */
	int32_t parent;       /* the call whose body makes this one; INLINE_NONE: the function itself does */
	uint64_t call;        /* an instruction of the function whose position is the call's */
};

/* The inlined calls of one function, and to which of them its instructions belong. */
struct inline_tree {
	VEC(struct inline_call) calls;
	VEC(struct pc_range) ranges;   /* in order; the value is the index of the innermost call */
};
/* False when nothing is inlined into f, as far as the binary tells. */
bool inline_tree_read(const struct binary *b, const struct func *f, struct inline_tree *ret);
void inline_tree_done(struct inline_tree *t);
/* Whether what belongs to the call index belongs to call, too: it is that, or was inlined into it. */
bool inline_tree_covers(const struct inline_tree *t, int32_t index, int32_t call);

/* All inlined calls of the program, sorted by name (as pclntab has it: equal names are one string), function, index. */
struct inline_entry {
	const char *name;
	uint32_t func;        /* that it was inlined into, at whatever depth */
	int32_t index;
};
struct inline_index {
	VEC(struct inline_entry) entries;
};
const struct inline_index *inline_index_get(struct binary *b); /* made at the first call; never NULL */
void inline_index_free(struct inline_index *x); /* NULL ok */

struct inline_host;
void inline_host_free(struct inline_host *h); /* NULL ok */

/* ---- dwarf_inline.c ---- */

/* The instances that DWARF has of the functions name means (as in binary_func_find): index is INLINE_NONE, call 0. */
size_t dwarf_inlined(struct binary *b, const char *name, struct inlined *ret, size_t max);
bool dwarf_inlined_next(struct binary *b, size_t *pos, const char **ret_name); /* as binary_inlined_next */

#endif
