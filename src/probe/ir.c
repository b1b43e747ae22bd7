/* The instructions of a capture program, as a table. */
#include "probe/ir_ops.h"

const struct ir_op_info ir_ops[IR_OPS] = {
	[IR_CONST] = {"const", SETS_DST},
	[IR_ARG_REG] = {"arg", SETS_DST | SIZED},
	[IR_ARG_STACK] = {"stack", SETS_DST | SIZED},
	[IR_ARG_FLOAT] = {"arg_float", SETS_DST | SIZED},
	[IR_SP] = {"sp", SETS_DST},
	[IR_G] = {"g", SETS_DST},
	[IR_PC_RET] = {"pc_ret", SETS_DST},
	[IR_LOAD] = {"load", SETS_DST | SIZED | USES_A},
	[IR_ADDR] = {"addr", SETS_DST | USES_A},
	[IR_INDEX] = {"index", SETS_DST | USES_A | USES_B | USES_C},
	[IR_TYPE] = {"type", SETS_DST},
	[IR_MAP_STR] = {"map_str", SETS_DST | USES_A | TEXT},
	[IR_MAP_KEY] = {"map_key", SETS_DST | USES_A},
	[IR_BIN] = {"bin", SETS_DST | USES_A | USES_B},
	[IR_NOT] = {"not", SETS_DST | USES_A},
	[IR_STR_EQ] = {"str_eq", SETS_DST | USES_A | USES_B | TEXT},
	[IR_STR_PREFIX] = {"str_prefix", SETS_DST | USES_A | USES_B | TEXT},
	[IR_STR_SUFFIX] = {"str_suffix", SETS_DST | USES_A | USES_B | TEXT},
	[IR_STR_CONTAINS] = {"str_contains", SETS_DST | USES_A | USES_B | TEXT},
	[IR_STR_ORDER] = {"str_order", SETS_DST | USES_A | USES_B | TEXT},
	[IR_MEM_ORDER] = {"mem_order", SETS_DST | USES_A | USES_B | USES_C},
	[IR_ANY_KEY] = {"any_key", SETS_DST | USES_A | TEXT},
	[IR_ANY_STR] = {"any_str", SETS_DST | USES_A | USES_B | TEXT},
	[IR_INJECT] = {"inject", SETS_DST},
	[IR_SAVED] = {"saved", SETS_DST},
	[IR_LATENCY] = {"latency", SETS_DST},
	[IR_MOVE] = {"move", SETS_DST | USES_A},
	[IR_JUMP] = {"jump", 0},
	[IR_JUMP_IF0] = {"jump_if0", USES_A},
	[IR_LABEL] = {"label", 0},
	[IR_REQUIRE] = {"require", USES_A},
	[IR_FILTER] = {"filter", USES_A},
	[IR_REGION] = {"region", ANYWHERE},
	[IR_END] = {"end", 0},
	[IR_EMIT] = {"emit", USES_A},
	[IR_EMIT_STR] = {"emit_str", USES_A | USES_B},
	[IR_SAVE] = {"save", USES_A},
	[IR_EMIT_STACK] = {"emit_stack", 0},
	[IR_EMIT_CHAIN] = {"emit_chain", USES_A | USES_B},
	[IR_IMAGE] = {"image", 0},
	[IR_IMAGE_PUT] = {"image_put", USES_A | SIZED},
	[IR_IMAGE_COPY] = {"image_copy", USES_A},
	[IR_IMAGE_TYPE] = {"image_type", USES_A},
	[IR_GOROUTINE] = {"goroutine", USES_A},
};

const char *const inject_form_names[INJECT_FORMS] = {"line", "field", "frame"};

const char *const ir_bins[IR_BINS] = {"+",  "-",  "*",  "&", "|",  "^", "<<", ">>",
				   "==", "!=", "<",  "<=", ">", ">=",
				   "u<", "u<=", "u>", "u>=", "/", "%"};

bool ir_has_result(const struct ir_insn *i)
{
	return i->op < IR_OPS && ir_ops[i->op].uses & SETS_DST;
}
