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
#include "binary/internal.h"

enum { PCDATA_INL_TREE_INDEX = 2, FUNCDATA_INL_TREE = 3 };

#define RECORDS_MAX (1u << 20)

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
	if (!name || name >= b->pcln.names_len || b->pcln.names[name - 1] ||
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
