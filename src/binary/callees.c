/*
 * Which functions a function calls, as far as its code names them: direct calls, and jumps that leave it for another.
 */
#include <errno.h>

#include "base/map.h"
#include "binary/internal.h"

static bool calls_indirectly(const struct disasm *c, const struct insn *i)
{
	struct insn_effect e;

	if (i->kind == INSN_CALL)
		return !i->target;
	/* A jump table is read with an index; else it is the last call of the function. */
	return i->kind == INSN_JUMP_INDIRECT && insn_effect(c, i, &e) && !(e.has_mem && e.mem_indexed);
}

int binary_callees(struct binary *b, const struct func *f, struct callees *ret, struct err *err)
{
	VEC(uint64_t) targets = {0};
	struct map seen = {0};
	struct disasm c;
	int r = func_disasm(b, f, &c, err);

	if (r)
		return r;
	*ret = (struct callees){0};
	for (size_t k = 0; k < c.n; k++) {
		const struct insn *i = &c.insns[k];
		bool leaves = i->kind == INSN_CALL || i->kind == INSN_JUMP || i->kind == INSN_BRANCH;

		ret->indirect += calls_indirectly(&c, i);
		if (!leaves || !i->target || (i->kind != INSN_CALL && disasm_contains(&c, i->target)) ||
		    map_set(&seen, i->target, &seen))
			continue;
		vec_push(&targets, i->target);
	}
	ret->targets = arena_memdup(&b->arena, targets.data, targets.len * sizeof(*targets.data));
	ret->n = targets.len;
	map_done(&seen);
	vec_done(&targets);
	disasm_done(&c);
	return 0;
}
