/*
 * Which functions a function calls, as far as its code names them: direct calls, and jumps that leave it for another.
 */
#include <errno.h>

#include "base/map.h"
#include "binary/internal.h"

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
		bool leaves = i->kind == INSN_CALL || insn_is_tail(&c, i);

		ret->indirect += leaves && !i->target;
		if (!leaves || !i->target || map_set(&seen, i->target, &seen))
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
