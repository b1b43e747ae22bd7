/* IR instructions → x86-64. Every virtual register has its own word in the slot; RAX keeps the latest one. */
#include "plant/patch/gen.h"

#include <errno.h>

/* ---- arguments ---- */

/* RAX = a register of the site, or false: it is not preserved so far. */
static bool site_register(struct code *g, uint8_t reg)
{
	static const uint8_t kept[] = {[GPR_RAX] = KEPT_RAX, [GPR_RCX] = KEPT_RCX, [GPR_RDX] = KEPT_RDX,
				       [GPR_RSI] = KEPT_RSI, [GPR_RDI] = KEPT_RDI};
	static const uint8_t live[] = {[GPR_RBX] = RBX, [GPR_R8] = R8,   [GPR_R9] = R9,   [GPR_R10] = R10,
				       [GPR_R11] = R11, [GPR_R14] = R14, [GPR_R15] = R15, [GPR_RBP] = RBP,
				       [GPR_RSP] = RSP};

	switch (reg) {
	case GPR_RAX: case GPR_RCX: case GPR_RDX: case GPR_RSI: case GPR_RDI:
		x86_load(&g->x, 8, false, RAX, SLOT_AT(gpr, kept[reg]));
		return true;
	case GPR_R12: case GPR_R13:
		return false;
	default:
		x86_mov(&g->x, RAX, live[reg]);
		return true;
	}
}

bool code_set_argument(struct code *g, uint8_t reg)
{
	static const struct {
		uint8_t number;
		int kept; /* KEPT_…, or it is the site's own */
	} arguments[] = {[GPR_RAX] = {RAX, KEPT_RAX}, [GPR_RBX] = {RBX, -1}, [GPR_RCX] = {RCX, KEPT_RCX},
			 [GPR_RDI] = {RDI, KEPT_RDI}, [GPR_RSI] = {RSI, KEPT_RSI}, [GPR_R8] = {R8, -1},
			 [GPR_R9] = {R9, -1}, [GPR_R10] = {R10, -1}, [GPR_R11] = {R11, -1}};

	if (reg >= ARRAY_SIZE(arguments))
		return false;
	if (arguments[reg].kept < 0)
		x86_mov(&g->x, arguments[reg].number, RAX);
	else
		x86_store(&g->x, 8, SLOT_AT(gpr, arguments[reg].kept), RAX);
	return true;
}

static int code_arg_reg(struct code *g, const struct ir_insn *i)
{
	if (!site_register(g, i->reg))
		return err_set(g->err, -EOPNOTSUPP, "R12 and R13 are free in Go's calling convention and not kept "
						    "where the program is patched");
	x86_extend(&g->x, i->size, i->flags & IR_SIGNED, RAX);
	code_put(g, i->dst);
	return 0;
}

static int code_arg_stack(struct code *g, const struct ir_insn *i)
{
	int64_t off = g->env->sp_delta + (i->op == IR_PC_RET ? 0 : i->imm);

	if (off < INT32_MIN || off > INT32_MAX)
		return err_set(g->err, -EINVAL, "a stack argument at offset %lld", (long long)off);
	code_fault(g, code_fail(g, SLOT_UNREADABLE));
	x86_load(&g->x, i->op == IR_PC_RET ? 8 : i->size, i->op != IR_PC_RET && i->flags & IR_SIGNED, RAX,
		 MEM(RSP, off));
	code_put(g, i->dst);
	return 0;
}

/* ---- memory ---- */

static void add_imm(struct code *g, uint8_t reg, int64_t imm)
{
	if (!imm)
		return;
	if (imm == (int32_t)imm) {
		x86_alu_imm(&g->x, X_ADD, reg, (int32_t)imm);
	} else {
		x86_imm(&g->x, RDX, (uint64_t)imm);
		x86_alu(&g->x, X_ADD, reg, RDX);
	}
}

/* RAX = the pointer in vreg, which is not nil. */
static void get_pointer(struct code *g, uint16_t vreg)
{
	code_get(g, RAX, vreg);
	x86_test(&g->x, RAX, RAX);
	x86_jcc(&g->x, CC_E, code_fail(g, SLOT_NIL));
}

static void code_load(struct code *g, const struct ir_insn *i)
{
	bool near = i->imm == (int32_t)i->imm;

	code_fault(g, code_fail(g, SLOT_UNREADABLE));
	get_pointer(g, i->a);
	code_forget(g);
	if (!near)
		add_imm(g, RAX, i->imm);
	x86_load(&g->x, i->size, i->flags & IR_SIGNED, RAX, MEM(RAX, near ? i->imm : 0));
	code_put(g, i->dst);
}

static void code_addr(struct code *g, const struct ir_insn *i)
{
	get_pointer(g, i->a);
	add_imm(g, RAX, i->imm);
	code_put(g, i->dst);
}

static void code_index(struct code *g, const struct ir_insn *i)
{
	code_get(g, RCX, i->b);
	code_get(g, RDX, i->c);
	x86_alu(&g->x, X_CMP, RCX, RDX);
	x86_jcc(&g->x, CC_AE, code_fail(g, SLOT_RANGE));
	x86_imm(&g->x, RDX, (uint64_t)i->imm);
	x86_imul(&g->x, RCX, RDX);
	code_get(g, RAX, i->a);
	x86_alu(&g->x, X_ADD, RAX, RCX);
	code_put(g, i->dst);
}

static void put_imm(struct code *g, uint16_t dst, uint64_t imm)
{
	x86_imm(&g->x, RAX, imm);
	code_put(g, dst);
}

/* ---- arithmetic ---- */

static void code_compare(struct code *g, const struct ir_insn *i)
{
	static const uint8_t ccs[] = {[BIN_EQ] = CC_E,  [BIN_NE] = CC_NE, [BIN_LT] = CC_L,   [BIN_LE] = CC_LE,
				      [BIN_GT] = CC_G,  [BIN_GE] = CC_GE, [BIN_ULT] = CC_B,  [BIN_ULE] = CC_BE,
				      [BIN_UGT] = CC_A, [BIN_UGE] = CC_AE};

	x86_alu(&g->x, X_CMP, RAX, RCX);
	x86_set(&g->x, ccs[i->bin], RAX);
}

static void code_bin(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;

	code_get(g, RCX, i->b);
	code_get(g, RAX, i->a);
	code_forget(g);
	if (i->bin == BIN_DIV || i->bin == BIN_MOD) {
		x86_test(x, RCX, RCX);
		x86_jcc(x, CC_E, code_fail(g, SLOT_UNREADABLE));
		x86_imm(x, RDX, 0);
		x86_div(x, RCX);
		if (i->bin == BIN_MOD)
			x86_mov(x, RAX, RDX);
		code_put(g, i->dst);
		return;
	}
	switch (i->bin) {
	case BIN_ADD: x86_alu(x, X_ADD, RAX, RCX); break;
	case BIN_SUB: x86_alu(x, X_SUB, RAX, RCX); break;
	case BIN_MUL: x86_imul(x, RAX, RCX); break;
	case BIN_AND: x86_alu(x, X_AND, RAX, RCX); break;
	case BIN_OR: x86_alu(x, X_OR, RAX, RCX); break;
	case BIN_XOR: x86_alu(x, X_XOR, RAX, RCX); break;
	case BIN_SHL: x86_shift_cl(x, X_SHL, RAX); break; /* by CL & 63 */
	case BIN_SHR: x86_shift_cl(x, X_SHR, RAX); break;
	default: code_compare(g, i); break;
	}
	code_put(g, i->dst);
}

static void code_not(struct code *g, const struct ir_insn *i)
{
	code_get(g, RAX, i->a);
	x86_test(&g->x, RAX, RAX);
	x86_set(&g->x, CC_E, RAX);
	code_put(g, i->dst);
}

/* ---- control ---- */

static void code_jump_if0(struct code *g, uint16_t a, int label)
{
	code_get(g, RAX, a);
	x86_test(&g->x, RAX, RAX);
	x86_jcc(&g->x, CC_E, label);
}

static void code_goroutine(struct code *g, const struct ir_insn *i)
{
	code_get(g, RAX, i->a);
	x86_store(&g->x, 8, SLOT(given_g), RAX);
	if (i->b == IR_NO_REG)
		return;
	code_get(g, RAX, i->b);
	x86_store(&g->x, 8, SLOT(given_sp), RAX);
}

static void code_emit(struct code *g, const struct ir_insn *i)
{
	code_get(g, RAX, i->a);
	x86_store_imm(&g->x, 8, code_slot(i->slot, 0), SLOT_OK);
	x86_store(&g->x, 8, code_slot(i->slot, 8), RAX);
}

/* ---- dispatch ---- */

/* Those that only move values about. */
static bool code_simple(struct code *g, const struct ir_insn *i)
{
	switch (i->op) {
	case IR_CONST: put_imm(g, i->dst, (uint64_t)i->imm); return true;
	case IR_TYPE: put_imm(g, i->dst, (uint64_t)i->imm + g->env->bias); return true;
	case IR_G:
		x86_mov(&g->x, RAX, R14);
		code_put(g, i->dst);
		return true;
	case IR_ARG_FLOAT:
		x86_from_xmm(&g->x, i->size, RAX, i->reg);
		code_put(g, i->dst);
		return true;
	case IR_MOVE:
		code_get(g, RAX, i->a);
		code_put(g, i->dst);
		return true;
	case IR_SP:
		x86_lea(&g->x, RAX, MEM(RSP, g->env->sp_delta + i->imm));
		code_put(g, i->dst);
		return true;
	case IR_LOAD: code_load(g, i); return true;
	case IR_ADDR: code_addr(g, i); return true;
	case IR_INDEX: code_index(g, i); return true;
	case IR_BIN: code_bin(g, i); return true;
	case IR_NOT: code_not(g, i); return true;
	case IR_EMIT: code_emit(g, i); return true;
	case IR_SAVED: code_saved(g, i); return true;
	case IR_SAVE: code_save(g, i); return true;
	case IR_EMIT_STACK: code_emit_stack(g, i); return true;
	case IR_EMIT_CHAIN: code_emit_chain(g, i); return true;
	case IR_EMIT_MARK: code_emit_mark(g, i); return true;
	case IR_MARK_WORD: code_mark_word(g, i); return true;
	case IR_IMAGE: code_image(g, i); return true;
	case IR_IMAGE_PUT: code_image_put(g, i); return true;
	case IR_IMAGE_COPY: code_image_copy(g, i); return true;
	case IR_IMAGE_TYPE: code_image_type(g, i); return true;
	case IR_LATENCY: code_latency(g, i); return true;
	case IR_GOROUTINE: code_goroutine(g, i); return true;
	}
	return false;
}

static bool code_control(struct code *g, const struct ir_insn *i)
{
	switch (i->op) {
	case IR_JUMP:
		x86_jmp(&g->x, g->labels[i->label]);
		return true;
	case IR_JUMP_IF0: code_jump_if0(g, i->a, g->labels[i->label]); return true;
	case IR_LABEL: code_join(g, g->labels[i->label]); return true;
	case IR_REUSE: return true; /* a load costs less than to look for what it gave */
	case IR_REQUIRE: code_jump_if0(g, i->a, code_fail(g, (enum slot_status)i->imm)); return true;
	case IR_FILTER: code_jump_if0(g, i->a, code_drop(g, code_not_passed(g))); return true;
	}
	return false;
}

int code_insn(struct code *g, const struct ir_insn *i)
{
	if (ir_is_mark(i)) {
		code_mark(g, i);
		return 0;
	}
	if (code_simple(g, i) || code_control(g, i))
		return 0;
	switch (i->op) {
	case IR_ARG_REG:
		return code_arg_reg(g, i);
	case IR_ARG_STACK:
	case IR_PC_RET:
		return code_arg_stack(g, i);
	case IR_MAP_STR:
	case IR_MAP_KEY:
	case IR_ANY_KEY:
		return code_map(g, i);
	case IR_INJECT:
		code_inject(g, i);
		return 0;
	case IR_LEND:
		return code_lend(g, i);
	case IR_RELEASE:
		code_release(g, i);
		return 0;
	case IR_ANY_STR:
		code_any_str(g, i);
		return 0;
	case IR_STR_ORDER:
		code_str_order(g, i);
		return 0;
	case IR_MEM_ORDER:
		code_mem_order(g, i);
		return 0;
	case IR_STR_EQ:
	case IR_STR_PREFIX:
	case IR_STR_SUFFIX:
	case IR_STR_CONTAINS:
		return code_str(g, i);
	case IR_EMIT_STR:
		return code_emit_str(g, i);
	}
	return err_set(g->err, -EOPNOTSUPP, "instruction %u of the capture program cannot be done by a patch", i->op);
}
