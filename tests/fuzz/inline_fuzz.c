/* The input is what is known of inlined calls and the code they are in: the tree, the table, the instructions. */
#include "fuzz/replay.h"

#include "binary/flow.h"
#include "lib/tiny_inline.h"
#include "lib/touch.h"

static void ask_flow(struct binary *b, const struct func *f)
{
	struct flow flow;
	struct disasm c;

	if (func_disasm(b, f, &c, NULL))
		return;
	flow_make(b, &c, &flow);
	for (size_t i = 0; !flow.why && i < flow.nrpo; i++) {
		uint32_t x = flow.rpo[i];

		if (!flow_dominates(&flow, 0, x) || !flow_dominates(&flow, x, x) ||
		    !flow_dominates(&flow, flow.blocks[x].idom, x) || !flow_in_loop(&flow, x, flow.blocks[x].loop))
			__builtin_trap();
	}
	flow_done(&flow);
	disasm_done(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t tree = size < TINY_TREE_SIZE ? size : TINY_TREE_SIZE, index = size - tree;
	struct binary *b;
	struct callees c;
	struct func f;

	index = index < TINY_INDEX_SIZE ? index : TINY_INDEX_SIZE;
	b = tiny_open_inlined(data, tree, data + tree, index, data + tree + index, size - tree - index);
	if (b && binary_func(b, 0, &f)) {
		f.flags = 0;
		ask_flow(b, &f);
		touch_inlined(b, 1);
		binary_callees(b, &f, &c, NULL);
	}
	binary_free(b);
	return 0;
}
