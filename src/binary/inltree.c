/*
 * Which functions an instruction belongs to where functions were inlined, as tracebacks show them:
 * from what the runtime itself uses, so that stripped binaries have it, too.
 *
 * PCDATA table 2 gives the index of the innermost inlined call at a pc, negative for none;
 * FUNCDATA 3 is the array of them. A record has the callee's name as an offset into the function
 * names, and parentPc, the offset of an instruction in the function whose position is the call: its
 * own index is that of the next outer call (cmd/internal/obj/inl.go, runtime/symtabinl.go). The
 * record changed together with _func, and so is told by the same magic: before, { i16 parent, u8
 * funcID, u8, i32 file, i32 line, i32 name, i32 parentPc }; since, { u8 funcID, u8[3], i32 name, i32
 * parentPc, i32 startLine }.
 */
#include "binary/inline.h"

#include <string.h>

enum { PCDATA_INL_TREE_INDEX = 2, FUNCDATA_INL_TREE = 3 };

#define RECORDS_MAX (1u << 20)
#define INDEX_MAX   (1u << 24) /* calls of a whole program; the largest of Debian's have a million */

struct inlined_call {
	const char *name;
	uint64_t parent_pc;
};

static bool read_call(const struct binary *b, const struct func *f, uint64_t tree, int32_t index,
                      struct inlined_call *ret)
{
	bool old = b->pcln.func_size == 40;
	uint64_t size = old ? 20 : 16, at = tree + (uint64_t)index * size + (old ? 12 : 4);
	uint32_t name, parent;

	if ((uint32_t)index >= RECORDS_MAX || !image_u32(&b->img, at, &name) ||
	    !image_u32(&b->img, at + 4, &parent))
		return false;
	if (name >= b->pcln.names_len || (name && b->pcln.names[name - 1]) ||
	    parent >= f->end - f->entry)
		return false;
	*ret = (struct inlined_call){(const char *)b->pcln.names + name, f->entry + parent};
	return true;
}

static void add_frame(const struct binary *b, const char *name, uint64_t pc, bool inlined,
                      struct pc_frame *ret)
{
	*ret = (struct pc_frame){.function = name, .file = "", .inlined = inlined};
	binary_pc_line(b, pc, &ret->file, &ret->line);
}

size_t binary_pc_frames(const struct binary *b, uint64_t pc, struct pc_frame *ret, size_t max)
{
	struct inlined_call call;
	uint64_t tree;
	size_t n = 0;
	struct func f;
	int32_t index;

	if (!max || !binary_func_at(b, pc, &f))
		return 0;
	tree = binary_funcdata(b, &f, FUNCDATA_INL_TREE);
	while (tree && n + 1 < max && func_pcdata(b, &f, PCDATA_INL_TREE_INDEX, pc, &index) &&
	       index >= 0 && read_call(b, &f, tree, index, &call)) {
		add_frame(b, call.name, pc, true, &ret[n++]);
		pc = call.parent_pc;
	}
	add_frame(b, f.name, pc, false, &ret[n++]);
	return n;
}

/* ---- the calls of one function ---- */

/* A call has an instruction or two at least: so there are no more of them than bytes, which bounds a damaged table. */
static struct inline_call *call_at(struct inline_tree *t, const struct func *f, int32_t index)
{
	if (index < 0 || (uint32_t)index >= MIN(RECORDS_MAX, f->end - f->entry))
		return NULL;
	while (t->calls.len <= (size_t)index)
		vec_push(&t->calls, ((struct inline_call){.parent = INLINE_NONE}));
	return &t->calls.data[index];
}

/* The record and those of the calls around it. A record that cannot be read leaves its call without a name. */
static void read_calls(const struct binary *b, const struct func *f, uint64_t tree, int32_t index,
		       struct inline_tree *t)
{
	struct inline_call *c;
	struct inlined_call r;

	while ((c = call_at(t, f, index)) && !c->name && read_call(b, f, tree, index, &r)) {
		c->name = r.name;
		c->call = r.parent_pc;
		c->parent = INLINE_NONE;
		if (func_pcdata(b, f, PCDATA_INL_TREE_INDEX, r.parent_pc, &index) && index >= 0)
			c->parent = index;
		else
			return;
	}
}

bool inline_tree_read(const struct binary *b, const struct func *f, struct inline_tree *ret)
{
	uint64_t tree = binary_funcdata(b, f, FUNCDATA_INL_TREE);
	struct pc_walk w = {.table = func_pcdata_table(b, f, PCDATA_INL_TREE_INDEX), .pc = f->entry};
	struct inline_tree t = {0};
	struct pc_range r;

	if (!tree || !w.table)
		return false;
	while (w.pc < f->end && pc_walk_next(b, &w, &r)) {
		if (r.value < 0)
			continue;
		vec_push(&t.ranges, r);
		read_calls(b, f, tree, r.value, &t);
	}
	*ret = t;
	return true;
}

void inline_tree_done(struct inline_tree *t)
{
	vec_done(&t->calls);
	vec_done(&t->ranges);
}

bool inline_tree_covers(const struct inline_tree *t, int32_t index, int32_t call)
{
	for (size_t depth = 0; index >= 0 && (size_t)index < t->calls.len && depth < t->calls.len; depth++) {
		if (index == call)
			return true;
		index = t->calls.data[index].parent;
	}
	return false;
}

/* ---- all of them, by name ---- */

static int by_name(const void *a, const void *b)
{
	const struct inline_entry *x = a, *y = b;

	if (x->name != y->name)
		return x->name < y->name ? -1 : 1;
	if (x->func != y->func)
		return x->func < y->func ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static void index_function(const struct binary *b, size_t i, struct inline_index *x)
{
	struct inline_tree t;
	struct func f;

	if (!binary_func(b, i, &f) || !inline_tree_read(b, &f, &t))
		return;
	for (size_t k = 0; k < t.calls.len && x->entries.len < INDEX_MAX; k++)
		if (t.calls.data[k].name)
			vec_push(&x->entries, ((struct inline_entry){.name = t.calls.data[k].name, .func = (uint32_t)i,
								     .index = (int32_t)k}));
	inline_tree_done(&t);
}

const struct inline_index *inline_index_get(struct binary *b)
{
	struct inline_index *x = b->inline_index;

	if (x)
		return x;
	x = b->inline_index = xcalloc(1, sizeof(*x));
	for (size_t i = 0; b->pcln.gofunc && i < b->pcln.nfunc; i++)
		index_function(b, i, x);
	if (x->entries.len)
		qsort(x->entries.data, x->entries.len, sizeof(*x->entries.data), by_name);
	image_trim(&b->img);
	return x;
}

void inline_index_free(struct inline_index *x)
{
	if (x)
		vec_done(&x->entries);
	free(x);
}
