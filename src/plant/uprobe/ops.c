/* IR instructions → BPF. Every virtual register lives in its own word of the BPF stack. */
#include "plant/uprobe/gen.h"

#include <errno.h>
#include <string.h>

int gen_reg_off(const struct gen *g, uint16_t vreg)
{
	return g->stack_regs + 8 * vreg;
}

void gen_get(struct gen *g, uint8_t dst, uint16_t vreg)
{
	emit_load(g->e, 8, dst, FP, gen_reg_off(g, vreg));
}

void gen_put(struct gen *g, uint16_t vreg, uint8_t src)
{
	emit_store(g->e, 8, FP, gen_reg_off(g, vreg), src);
}

void state_load(struct gen *g, uint8_t reg, int off)
{
	emit_load(g->e, 8, reg, REG_RECORD, off);
}

void state_store(struct gen *g, int off, uint8_t reg)
{
	emit_store(g->e, 8, REG_RECORD, off, reg);
}

void state_store_imm(struct gen *g, int off, int32_t imm)
{
	emit_store_imm(g->e, 8, REG_RECORD, off, imm);
}

int gen_slot_off(const struct gen *g, uint16_t slot)
{
	return (int)(sizeof(struct event_header) + slot * sizeof(struct event_slot));
}

void gen_read_user(struct gen *g, int fault)
{
	emit_call(g->e, BPF_FUNC_probe_read_user);
	emit_jump_if_imm(g->e, BPF_JNE, R0, 0, fault);
}

/*
 * Before Linux 6.18 the verifier does not take the helper's bytes for a write of a word: what a former region
 * left there would count as alive, and be walked on for. So the words are written first.
 */
void gen_clear_stack(struct gen *g, int off, unsigned size)
{
	for (int at = off & ~7; at < off + (int)size; at += 8)
		emit_store_imm(g->e, 8, FP, at, 0);
}

void gen_read_uncleared(struct gen *g, int off, unsigned size, int fault)
{
	emit_alu(g->e, BPF_MOV, R1, FP);
	emit_alu_imm(g->e, BPF_ADD, R1, off);
	emit_alu_imm(g->e, BPF_MOV, R2, (int32_t)size);
	gen_read_user(g, fault);
}

void gen_read_stack(struct gen *g, int off, unsigned size, int fault)
{
	int done = emit_label_new(g->e), again = emit_label_new(g->e);

	gen_clear_stack(g, off, size);
	if (g->env->faults_in)
		emit_alu(g->e, BPF_MOV, R8, R3);
	gen_read_uncleared(g, off, size, g->env->faults_in ? again : fault);
	if (!g->env->faults_in)
		return;
	emit_jump(g->e, done);
	emit_label(g->e, again);
	emit_alu(g->e, BPF_MOV, R1, FP);
	emit_alu_imm(g->e, BPF_ADD, R1, off);
	emit_alu_imm(g->e, BPF_MOV, R2, (int32_t)size);
	emit_alu(g->e, BPF_MOV, R3, R8);
	gen_call_reader(g);
	emit_jump_if_imm(g->e, BPF_JNE, R0, 0, fault);
	emit_label(g->e, done);
}

void gen_call_reader(struct gen *g)
{
	emit_call(g->e, g->env->faults_in ? BPF_FUNC_copy_from_user : BPF_FUNC_probe_read_user);
}

void gen_read_work(struct gen *g, int fault)
{
	emit_alu(g->e, BPF_MOV, R1, REG_RECORD);
	emit_alu_imm(g->e, BPF_ADD, R1, SCRATCH_WORK_OFF);
	gen_read_user(g, fault);
}

/*
 * The longest aligned pieces (the verifier wants stack accesses aligned), without a branch before the
 * end: each branch in a loop multiplies the verifier's work.
 */
void gen_difference(struct gen *g, uint8_t base, int off, const char *str, size_t n, bool fold)
{
	for (size_t at = 0, size; at < n; at += size) {
		size_t left = n - at;
		uint64_t want = 0;
		uint8_t reg = at ? R2 : R4;

		size = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
		memcpy(&want, str + at, size);
		emit_load(g->e, (unsigned)size, reg, base, off + (int)at);
		if (fold) { /* all small letters have this bit */
			emit_imm(g->e, R3, (int64_t)(UINT64_C(0x2020202020202020) >> (64 - 8 * size)));
			emit_alu(g->e, BPF_OR, reg, R3);
		}
		emit_imm(g->e, R3, (int64_t)want);
		emit_alu(g->e, BPF_XOR, reg, R3);
		if (at)
			emit_alu(g->e, BPF_OR, R4, R2);
	}
}

void gen_is_zero(struct gen *g, uint8_t reg, uint8_t tmp)
{
	emit_alu(g->e, BPF_MOV, tmp, reg);
	emit_neg(g->e, tmp);
	emit_alu(g->e, BPF_OR, reg, tmp);
	emit_alu_imm(g->e, BPF_RSH, reg, 63);
	emit_alu_imm(g->e, BPF_XOR, reg, 1);
}

static void extend(struct gen *g, uint8_t reg, unsigned size, bool is_signed)
{
	int shift = 64 - 8 * (int)size;

	if (!shift)
		return;
	emit_alu_imm(g->e, BPF_LSH, reg, shift);
	emit_alu_imm(g->e, is_signed ? BPF_ARSH : BPF_RSH, reg, shift);
}

/* A field of size bytes at off on the stack, extended, to a virtual register. */
static void put_field(struct gen *g, const struct ir_insn *i, int off)
{
	if (i->size == 8 && off == gen_reg_off(g, i->dst))
		return;
	emit_load(g->e, i->size, R0, FP, off);
	if (i->flags & IR_SIGNED)
		extend(g, R0, i->size, true);
	gen_put(g, i->dst, R0);
}

/* ---- arguments ---- */

void gen_site_reg(struct gen *g, uint8_t dst, uint8_t reg)
{
	emit_load(g->e, 8, dst, REG_CTX, g->arch->saved_registers[reg]);
}

void gen_entry_sp(struct gen *g, uint8_t dst, int64_t off)
{
	off += g->shape.sp_delta;
	gen_site_reg(g, dst, g->arch->sp);
	if (off)
		emit_alu_imm(g->e, BPF_ADD, dst, (int32_t)off);
}

static int gen_arg_reg(struct gen *g, const struct ir_insn *i)
{
	gen_site_reg(g, R0, i->reg);
	extend(g, R0, i->size, i->flags & IR_SIGNED);
	gen_put(g, i->dst, R0);
	return 1;
}

static int gen_arg_stack(struct gen *g, const struct ir_insn *i)
{
	gen_entry_sp(g, R3, i->imm);
	gen_read_stack(g, gen_reg_off(g, i->dst), i->size, gen_fail(g, SLOT_UNREADABLE));
	put_field(g, i, gen_reg_off(g, i->dst));
	return 1;
}

static int gen_sp(struct gen *g, const struct ir_insn *i)
{
	gen_entry_sp(g, R0, i->imm);
	gen_put(g, i->dst, R0);
	return 1;
}

static int gen_return_address(struct gen *g, const struct ir_insn *i)
{
	if (g->arch->link != REG_NONE) {
		gen_site_reg(g, R0, g->arch->link);
		gen_put(g, i->dst, R0);
		return 1;
	}
	gen_entry_sp(g, R3, 0);
	gen_read_stack(g, gen_reg_off(g, i->dst), 8, gen_fail(g, SLOT_UNREADABLE));
	return 1;
}

static int gen_g(struct gen *g, const struct ir_insn *i)
{
	gen_site_reg(g, R0, g->arch->g);
	gen_put(g, i->dst, R0);
	return 1;
}

/* Where the kernel says that the breakpoint is. */
static int gen_site(struct gen *g, const struct ir_insn *i)
{
	emit_load(g->e, 8, R0, REG_CTX, g->arch->saved_pc);
	if (i->imm) {
		emit_imm(g->e, R1, i->imm);
		emit_alu(g->e, BPF_ADD, R0, R1);
	}
	gen_put(g, i->dst, R0);
	return 1;
}

void gen_thread(struct gen *g, uint8_t dst)
{
	emit_call(g->e, BPF_FUNC_get_current_pid_tgid);
	emit_alu_imm(g->e, BPF_LSH, R0, 32);
	emit_alu_imm(g->e, BPF_RSH, R0, 32);
	if (dst != R0)
		emit_alu(g->e, BPF_MOV, dst, R0);
}

/* ---- memory ---- */

static void add_imm(struct gen *g, uint8_t reg, int64_t imm)
{
	if (!imm)
		return;
	if (imm >= INT32_MIN && imm <= INT32_MAX) {
		emit_alu_imm(g->e, BPF_ADD, reg, (int32_t)imm);
	} else {
		emit_imm(g->e, R0, imm);
		emit_alu(g->e, BPF_ADD, reg, R0);
	}
}

/* R3 = the pointer in vreg, not nil, + imm. */
static void get_pointer(struct gen *g, uint16_t vreg, int64_t imm)
{
	gen_get(g, R3, vreg);
	emit_jump_if_imm(g->e, BPF_JEQ, R3, 0, gen_fail(g, SLOT_NIL));
	add_imm(g, R3, imm);
}

/*
 * Loads that follow each other from one pointer, and lie near: the words of a string or an interface,
 * neighbouring fields. One call of the helper costs about as much as reading 200 bytes more.
 */
static size_t loads_run(const struct ir_insn *i, size_t left, int64_t *ret_low, int64_t *ret_high)
{
	int64_t low = i->imm, high = i->imm + i->size;
	size_t n = 1;

	for (; n < left; n++) {
		const struct ir_insn *j = &i[n];
		int64_t l = MIN(low, j->imm), h = MAX(high, j->imm + j->size);

		if (j->op != IR_LOAD || j->a != i->a || i[n - 1].dst == i->a ||
		    h - l > STACK_BUF_SIZE)
			break;
		low = l;
		high = h;
	}
	*ret_low = low;
	*ret_high = high;
	return n;
}

/* Copies a field at any offset of the buffer: the verifier wants stack accesses aligned. */
static void put_buffered(struct gen *g, const struct ir_insn *i, int64_t off)
{
	put_field(g, i, STACK_BUF + (int)off);
}

static bool loads_aligned(const struct ir_insn *i, size_t n, int64_t low)
{
	for (size_t k = 0; k < n; k++)
		if ((i[k].imm - low) % i[k].size)
			return false;
	return true;
}

static int gen_loads(struct gen *g, const struct ir_insn *i, size_t left)
{
	int unreadable = gen_fail(g, SLOT_UNREADABLE);
	int64_t low, high;
	size_t n = loads_run(i, left, &low, &high);

	if (n > 1 && !loads_aligned(i, n, low)) {
		n = 1;
		low = i->imm;
		high = low + i->size;
	}
	get_pointer(g, i->a, low);
	if (n == 1) {
		gen_read_stack(g, gen_reg_off(g, i->dst), i->size, unreadable);
		put_field(g, i, gen_reg_off(g, i->dst));
		return 1;
	}
	gen_read_stack(g, STACK_BUF, (unsigned)(high - low), unreadable);
	for (size_t k = 0; k < n; k++)
		put_buffered(g, &i[k], i[k].imm - low);
	return (int)n;
}

/*
 * One load, from its window unless that is invalid. Both ways end in one store of a register: were the
 * word filled by the helper in one of them, the verifier would not see that they are alike.
 */
static bool gen_load_windowed(struct gen *g, const struct ir_insn *i)
{
	int slow = emit_label_new(g->e), done = emit_label_new(g->e);

	if (!windows_load(g, i, slow))
		return false;
	emit_jump(g->e, done);
	emit_label(g->e, slow);
	get_pointer(g, i->a, i->imm);
	gen_read_stack(g, gen_reg_off(g, i->dst), i->size, gen_fail(g, SLOT_UNREADABLE));
	emit_load(g->e, i->size, R0, FP, gen_reg_off(g, i->dst));
	emit_label(g->e, done);
	if (i->flags & IR_SIGNED)
		extend(g, R0, i->size, true);
	gen_put(g, i->dst, R0);
	return true;
}

/* Where programs look for it: each load elsewhere, as far as there are places. */
static unsigned constant_place(const struct gen *g, const struct ir_insn *i)
{
	unsigned before = 0;

	for (const struct ir_insn *k = g->p->insns; k < i; k++)
		before += k->op == IR_LOAD && k->flags & IR_CONSTANT;
	return (g->probe_id * 8 + before) % CONSTANTS;
}

/* As gen_load_windowed: what the last run that used this scratch element read there, if it was in the same process. */
static void gen_load_constant(struct gen *g, const struct ir_insn *i)
{
	int read = emit_label_new(g->e), done = emit_label_new(g->e);
	unsigned n = constant_place(g, i);
	struct emit *e = g->e;

	get_pointer(g, i->a, i->imm);
	state_load(g, R1, SCRATCH_CONSTANT(address, n));
	emit_jump_if(e, BPF_JNE, R1, R3, read);
	state_load(g, R1, SCRATCH_CONSTANT(cookie, n));
	state_load(g, R2, SCRATCH_COOKIE_OFF);
	emit_jump_if(e, BPF_JNE, R1, R2, read);
	state_load(g, R0, SCRATCH_CONSTANT(value, n));
	emit_jump(e, done);
	emit_label(e, read);
	gen_read_stack(g, gen_reg_off(g, i->dst), i->size, gen_fail(g, SLOT_UNREADABLE));
	get_pointer(g, i->a, i->imm);
	state_store(g, SCRATCH_CONSTANT(address, n), R3);
	state_load(g, R1, SCRATCH_COOKIE_OFF);
	state_store(g, SCRATCH_CONSTANT(cookie, n), R1);
	emit_load(e, 8, R0, FP, gen_reg_off(g, i->dst));
	state_store(g, SCRATCH_CONSTANT(value, n), R0);
	emit_label(e, done);
	gen_put(g, i->dst, R0);
}

static int gen_load(struct gen *g, const struct ir_insn *i, size_t left)
{
	if (i->flags & IR_CONSTANT && i->size == 8 && g->knows_cookie) {
		gen_load_constant(g, i);
		return 1;
	}
	if (gen_load_windowed(g, i))
		return 1;
	return gen_loads(g, i, left);
}

static int gen_addr(struct gen *g, const struct ir_insn *i)
{
	get_pointer(g, i->a, i->imm);
	gen_put(g, i->dst, R3);
	return 1;
}

static int gen_index(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;

	gen_get(g, R1, i->b);
	gen_get(g, R2, i->c);
	emit_jump_if(e, BPF_JGE, R1, R2, gen_fail(g, SLOT_RANGE));
	emit_imm(e, R2, i->imm);
	emit_alu(e, BPF_MUL, R1, R2);
	gen_get(g, R2, i->a);
	emit_alu(e, BPF_ADD, R2, R1);
	gen_put(g, i->dst, R2);
	return 1;
}

/* The load bias is in the cookie: no map to look it up. */
static int gen_type(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;

	gen_load_bias(g);
	emit_imm(e, R1, i->imm);
	emit_alu(e, BPF_ADD, R0, R1);
	gen_put(g, i->dst, R0);
	return 1;
}

/* ---- arithmetic ---- */

static int gen_bin(struct gen *g, const struct ir_insn *i)
{
	static const struct {
		bool compare;
		uint8_t op;
	} ops[] = {
		[BIN_ADD] = {false, BPF_ADD}, [BIN_SUB] = {false, BPF_SUB},
		[BIN_MUL] = {false, BPF_MUL}, [BIN_AND] = {false, BPF_AND},
		[BIN_OR] = {false, BPF_OR},   [BIN_XOR] = {false, BPF_XOR},
		[BIN_SHL] = {false, BPF_LSH}, [BIN_SHR] = {false, BPF_RSH},
		[BIN_EQ] = {true, BPF_JEQ},   [BIN_NE] = {true, BPF_JNE},
		[BIN_LT] = {true, BPF_JSLT},  [BIN_LE] = {true, BPF_JSLE},
		[BIN_GT] = {true, BPF_JSGT},  [BIN_GE] = {true, BPF_JSGE},
		[BIN_ULT] = {true, BPF_JLT},  [BIN_ULE] = {true, BPF_JLE},
		[BIN_UGT] = {true, BPF_JGT},  [BIN_UGE] = {true, BPF_JGE},
		[BIN_DIV] = {false, BPF_DIV}, [BIN_MOD] = {false, BPF_MOD},
	};
	struct emit *e = g->e;

	if (i->bin >= ARRAY_SIZE(ops))
		return err_set(g->err, -EINVAL, "operator %u is not known", i->bin);
	gen_get(g, R1, i->a);
	gen_get(g, R2, i->b);
	if (ops[i->bin].compare) {
		int yes = emit_label_new(e);

		emit_alu_imm(e, BPF_MOV, R0, 1);
		emit_jump_if(e, ops[i->bin].op, R1, R2, yes);
		emit_alu_imm(e, BPF_MOV, R0, 0);
		emit_label(e, yes);
		gen_put(g, i->dst, R0);
		return 1;
	}
	if (i->bin == BIN_SHL || i->bin == BIN_SHR)
		emit_alu_imm(e, BPF_AND, R2, 63);
	if (i->bin == BIN_DIV || i->bin == BIN_MOD)
		emit_jump_if_imm(e, BPF_JEQ, R2, 0, gen_fail(g, SLOT_UNREADABLE));
	emit_alu(e, ops[i->bin].op, R1, R2);
	gen_put(g, i->dst, R1);
	return 1;
}

static int gen_not(struct gen *g, const struct ir_insn *i)
{
	int yes = emit_label_new(g->e);

	gen_get(g, R1, i->a);
	emit_alu_imm(g->e, BPF_MOV, R0, 1);
	emit_jump_if_imm(g->e, BPF_JEQ, R1, 0, yes);
	emit_alu_imm(g->e, BPF_MOV, R0, 0);
	emit_label(g->e, yes);
	gen_put(g, i->dst, R0);
	return 1;
}

/* ---- control ---- */

static int gen_jump_if0(struct gen *g, uint16_t a, int label)
{
	gen_get(g, R1, a);
	emit_jump_if_imm(g->e, BPF_JEQ, R1, 0, label);
	return 1;
}

static int jump_target(struct gen *g, uint16_t label)
{
	g->labels[label].used = true;
	return g->labels[label].label;
}

static int gen_goroutine(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;

	gen_get(g, R1, i->a);
	emit_store(e, 8, FP, BK_G, R1);
	if (i->b == IR_NO_REG)
		return 1;
	gen_get(g, R1, i->b);
	emit_store(e, 8, FP, BK_SP, R1);
	return 1;
}

/* ---- emit ---- */

static int gen_emit(struct gen *g, const struct ir_insn *i)
{
	int off = gen_slot_off(g, i->slot);

	gen_get(g, R1, i->a);
	emit_store_imm(g->e, 8, REG_RECORD, off, SLOT_OK);
	emit_store(g->e, 8, REG_RECORD, off + 8, R1);
	return 1;
}

/* R9 = what fits the slot's field of the length in R9. */
static void clamp_len(struct gen *g)
{
	int fits = emit_label_new(g->e);

	emit_imm(g->e, R1, UINT32_MAX);
	emit_jump_if(g->e, BPF_JLE, R9, R1, fits);
	emit_alu(g->e, BPF_MOV, R9, R1);
	emit_label(g->e, fits);
}

/* R0 = a slot's first word: the status there, R8 bytes copied, R9 the length. */
static void slot_head(struct gen *g)
{
	clamp_len(g);
	emit_alu_imm(g->e, BPF_LSH, R8, 16);
	emit_alu(g->e, BPF_OR, R0, R8);
	emit_alu_imm(g->e, BPF_LSH, R9, 32);
	emit_alu(g->e, BPF_OR, R0, R9);
}

/* reg = the record's end, bounded for the verifier. */
static void record_end(struct gen *g, uint8_t reg, int full, int none)
{
	emit_load(g->e, 4, reg, REG_RECORD, 0);
	emit_jump_if_imm(g->e, BPF_JGT, reg, full, none);
	emit_alu(g->e, BPF_ADD, reg, REG_RECORD);
}

/*
 * The R8 bytes of the string could not be read at once. To read when they now are; else as many as lie in the first
 * page, behind their address, or none: R0 the status, R8 how many, and the slot's value is written.
 */
static void emit_str_again(struct gen *g, const struct ir_insn *i, int full, int read)
{
	int none = emit_label_new(g->e), out = emit_label_new(g->e), value = gen_slot_off(g, i->slot) + 8;
	struct emit *e = g->e;

	if (g->env->faults_in) {
		record_end(g, R1, full, none);
		emit_alu(e, BPF_MOV, R2, R8);
		gen_get(g, R3, i->a);
		gen_call_reader(g);
		emit_jump_if_imm(e, BPF_JEQ, R0, 0, read);
	}
	gen_get(g, R3, i->a);
	emit_alu(e, BPF_MOV, R2, R3);
	emit_alu_imm(e, BPF_AND, R2, EVENT_PAGE - 1);
	emit_alu_imm(e, BPF_MOV, R1, EVENT_PAGE);
	emit_alu(e, BPF_SUB, R1, R2);
	emit_jump_if(e, BPF_JGE, R1, R8, none);
	emit_alu(e, BPF_MOV, R8, R1);
	emit_load(e, 4, R2, REG_RECORD, 0);
	emit_alu(e, BPF_ADD, R2, R8);
	emit_jump_if_imm(e, BPF_JGT, R2, full - 8, none);
	record_end(g, R1, full, none);
	emit_store(e, 8, R1, 0, R3);
	emit_alu_imm(e, BPF_ADD, R1, 8);
	emit_alu(e, BPF_MOV, R2, R8);
	emit_call(e, BPF_FUNC_probe_read_user);
	emit_jump_if_imm(e, BPF_JNE, R0, 0, none);
	emit_load(e, 4, R1, REG_RECORD, 0);
	emit_alu_imm(e, BPF_ADD, R1, 8);
	emit_store(e, 8, REG_RECORD, value, R1);
	emit_alu(e, BPF_ADD, R1, R8);
	emit_alu_imm(e, BPF_ADD, R1, 7);
	emit_alu_imm(e, BPF_AND, R1, ~7);
	emit_store(e, 4, REG_RECORD, 0, R1);
	emit_jump(e, out);
	emit_label(e, none);
	gen_get(g, R3, i->a);
	emit_store(e, 8, REG_RECORD, value, R3);
	emit_alu_imm(e, BPF_MOV, R8, 0);
	emit_label(e, out);
	emit_alu_imm(e, BPF_MOV, R0, SLOT_NOT_RESIDENT);
}

/* ---- texts that lie next to each other ---- */

/* The first text of the program, where more follow: what lies behind it is read with it, since that may be the next. */
static const struct ir_insn *first_text(const struct gen *g)
{
	const struct ir_insn *first = NULL;

	for (size_t k = 0; k < g->p->ninsns; k++) {
		if (g->p->insns[k].op != IR_EMIT_STR)
			continue;
		if (first)
			return first;
		first = &g->p->insns[k];
	}
	return NULL;
}

void ahead_begin(struct gen *g)
{
	if (first_text(g))
		state_store_imm(g, SCRATCH_AHEAD(address), 0);
}

/* What is read ahead may be on its page alone: no other one is touched for it. Keeps R8 and R9. */
static void read_ahead(struct gen *g, uint16_t address)
{
	struct emit *e = g->e;
	int none = emit_label_new(e);

	gen_get(g, R3, address);
	emit_alu(e, BPF_MOV, R1, R3);
	emit_alu_imm(e, BPF_AND, R1, EVENT_PAGE - 1);
	emit_jump_if_imm(e, BPF_JGT, R1, EVENT_PAGE - AHEAD, none);
	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R1, SCRATCH_AHEAD(bytes));
	emit_alu_imm(e, BPF_MOV, R2, AHEAD);
	gen_read_user(g, none);
	gen_get(g, R3, address);
	state_store(g, SCRATCH_AHEAD(address), R3);
	emit_label(e, none);
	emit_checkpoint(e);
}

/* To copied with the R8 bytes of the text in the record, at BK_OFFSET, if they have been read ahead. */
static void copy_ahead(struct gen *g, const struct ir_insn *i, int copied)
{
	struct emit *e = g->e;
	int other = emit_label_new(e), before = 0;

	for (const struct ir_insn *k = g->p->insns; k < i; k++)
		before += k->op == IR_EMIT_STR;
	if (!first_text(g) || before >= AHEAD_TEXTS)
		return;
	if (i == first_text(g))
		read_ahead(g, i->a);
	state_load(g, R2, SCRATCH_AHEAD(address));
	emit_jump_if_imm(e, BPF_JEQ, R2, 0, other);
	gen_get(g, R1, i->a);
	emit_alu(e, BPF_SUB, R1, R2);
	emit_jump_if_imm(e, BPF_JGE, R1, AHEAD, other);
	emit_alu(e, BPF_MOV, R2, R1);
	emit_alu(e, BPF_ADD, R2, R8);
	emit_jump_if_imm(e, BPF_JGT, R2, AHEAD, other);
	emit_alu(e, BPF_ADD, R1, REG_RECORD);
	emit_load(e, 8, R2, FP, BK_OFFSET);
	emit_jump_if_imm(e, BPF_JGT, R2, gen_record_limit(g), other); /* for the verifier */
	emit_alu(e, BPF_ADD, R2, REG_RECORD);
	for (int at = 0; at < AHEAD; at += 8) {
		emit_load(e, 8, R3, R1, SCRATCH_AHEAD(bytes) + at);
		emit_store(e, 8, R2, at, R3);
	}
	emit_jump(e, copied);
	emit_label(e, other);
}

/*
 * The record's own size field says where its data end. R9 the length, R8 how much of it is copied.
 * Each of the two is bounded by a constant, which is all that the verifier can follow.
 */
static int gen_emit_str(struct gen *g, const struct ir_insn *i)
{
	int off = gen_slot_off(g, i->slot), full = gen_record_limit(g);
	struct emit *e = g->e;
	int done = emit_label_new(e), within = emit_label_new(e), room = emit_label_new(e);
	int missing = emit_label_new(e), whole = emit_label_new(e), read = emit_label_new(e);
	int32_t max = (int32_t)MIN(i->imm, EVENT_MAX_STRING);

	gen_get(g, R9, i->b);
	gen_get(g, R1, i->a);
	emit_store_imm(e, 8, REG_RECORD, off, SLOT_OK);
	emit_store(e, 8, REG_RECORD, off + 8, R1);
	emit_jump_if_imm(e, BPF_JEQ, R9, 0, done);
	emit_alu(e, BPF_MOV, R8, R9);
	emit_jump_if_imm(e, BPF_JLE, R8, max, within);
	emit_alu_imm(e, BPF_MOV, R8, max);
	emit_label(e, within);
	emit_load(e, 4, R2, REG_RECORD, 0);
	emit_jump_if_imm(e, BPF_JGT, R2, full, done);
	emit_alu_imm(e, BPF_MOV, R1, full);
	emit_alu(e, BPF_SUB, R1, R2);
	emit_jump_if(e, BPF_JLE, R8, R1, room);
	emit_alu(e, BPF_MOV, R8, R1);
	emit_label(e, room);
	emit_jump_if_imm(e, BPF_JGT, R8, max, done);
	emit_store(e, 8, FP, BK_OFFSET, R2);
	copy_ahead(g, i, read);
	emit_load(e, 8, R2, FP, BK_OFFSET);
	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu(e, BPF_ADD, R1, R2);
	emit_alu(e, BPF_MOV, R2, R8);
	gen_get(g, R3, i->a);
	gen_read_user(g, missing);
	emit_label(e, read);
	emit_load(e, 8, R1, FP, BK_OFFSET);
	emit_store(e, 8, REG_RECORD, off + 8, R1);
	emit_alu(e, BPF_ADD, R1, R8);
	emit_alu_imm(e, BPF_ADD, R1, 7);
	emit_alu_imm(e, BPF_AND, R1, ~7);
	emit_store(e, 4, REG_RECORD, 0, R1);
	emit_alu_imm(e, BPF_MOV, R0, SLOT_OK);
	emit_jump_if(e, BPF_JEQ, R8, R9, whole);
	emit_alu_imm(e, BPF_MOV, R0, SLOT_CUT);
	emit_label(e, whole);
	slot_head(g);
	emit_store(e, 8, REG_RECORD, off, R0);
	emit_jump(e, done);
	emit_label(e, missing);
	emit_str_again(g, i, full, read);
	slot_head(g);
	emit_store(e, 8, REG_RECORD, off, R0);
	emit_label(e, done);
	return 1;
}

/* ---- dispatch ---- */

bool ir_needs_scratch(const struct ir_insn *i)
{
	return i->op == IR_MAP_STR || i->op == IR_MAP_KEY || i->op == IR_ANY_KEY || i->op == IR_MEM_ORDER ||
	       i->op == IR_STR_CONTAINS || i->op == IR_STR_LEN || i->op == IR_EMIT_STR || i->op == IR_SAVE ||
	       i->op == IR_SAVED || i->op == IR_REUSE || i->op == IR_IMAGE || i->op == IR_EMIT_STACK ||
	       i->op == IR_EMIT_CHAIN || i->op == IR_INJECT || i->op == IR_EMIT_MARK || i->op == IR_MARK_WORD ||
	       ir_is_mark(i);
}

int gen_insn(struct gen *g, const struct ir_insn *i, size_t left)
{
	switch (i->op) {
	case IR_CONST:
		emit_imm(g->e, R0, i->imm);
		gen_put(g, i->dst, R0);
		return 1;
	case IR_ARG_REG:
		return gen_arg_reg(g, i);
	case IR_ARG_STACK:
		return gen_arg_stack(g, i);
	case IR_PC_RET:
		return gen_return_address(g, i);
	case IR_ARG_FLOAT:
		return err_set(g->err, -EOPNOTSUPP,
			       "a uprobe sees no XMM registers, so this float argument cannot be read "
			       "(an in-process probe can)");
	case IR_SP:
		return gen_sp(g, i);
	case IR_G:
		return gen_g(g, i);
	case IR_SITE:
		return gen_site(g, i);
	case IR_THREAD:
		gen_thread(g, R0);
		gen_put(g, i->dst, R0);
		return 1;
	case IR_STR_LEN:
		return gen_str_len(g, i);
	case IR_LOAD:
		return gen_load(g, i, left);
	case IR_ADDR:
		return gen_addr(g, i);
	case IR_INDEX:
		return gen_index(g, i);
	case IR_TYPE:
		return gen_type(g, i);
	case IR_MAP_STR:
	case IR_MAP_KEY:
	case IR_ANY_KEY:
		return gen_map(g, i);
	case IR_ANY_STR:
		return gen_any_str(g, i);
	case IR_INJECT:
		return gen_inject(g, i);
	case IR_STR_ORDER:
		return gen_str_order(g, i);
	case IR_MEM_ORDER:
		return gen_mem_order(g, i);
	case IR_BIN:
		return gen_bin(g, i);
	case IR_NOT:
		return gen_not(g, i);
	case IR_STR_EQ:
	case IR_STR_PREFIX:
	case IR_STR_SUFFIX:
	case IR_STR_CONTAINS:
		return gen_str(g, i);
	case IR_SAVED:
		return g->p->role == PROGRAM_RETURN ? gen_call_saved(g, i) : gen_saved(g, i);
	case IR_SAVE:
		return g->p->role == PROGRAM_ENTRY ? gen_call_save(g, i) : gen_save(g, i);
	case IR_REUSE:
		return gen_reuse(g, i);
	case IR_LATENCY:
		return gen_latency(g, i);
	case IR_MOVE:
		gen_get(g, R0, i->a);
		gen_put(g, i->dst, R0);
		return 1;
	case IR_JUMP:
		emit_jump(g->e, jump_target(g, i->label));
		g->dead = true;
		return 1;
	case IR_JUMP_IF0:
		return gen_jump_if0(g, i->a, jump_target(g, i->label));
	case IR_LABEL:
		emit_label(g->e, g->labels[i->label].label);
		return 1;
	case IR_REQUIRE:
		return gen_jump_if0(g, i->a, gen_fail(g, (enum slot_status)i->imm));
	case IR_FILTER:
		return gen_jump_if0(g, i->a, gen_drop(g, DROP_SILENT));
	case IR_EMIT:
		return gen_emit(g, i);
	case IR_EMIT_STR:
		return gen_emit_str(g, i);
	case IR_EMIT_STACK:
		return gen_emit_stack(g, i);
	case IR_EMIT_CHAIN:
		return gen_emit_chain(g, i);
	case IR_IMAGE:
	case IR_IMAGE_PUT:
	case IR_IMAGE_COPY:
	case IR_IMAGE_TYPE:
		return gen_image(g, i);
	case IR_GOROUTINE:
		return gen_goroutine(g, i);
	case IR_MARK_WORD:
		return gen_mark_word(g, i);
	case IR_EMIT_MARK:
		return gen_emit_mark(g, i);
	}
	if (ir_is_mark(i))
		return gen_mark(g, i);
	return err_set(g->err, -EINVAL, "instruction %u of the capture program is not known", i->op);
}
