/*
 * The frames of the goroutine, by Go's frame pointers: at [FP] lies the caller's FP, at [FP + 8] the return address.
 *
 * The function's own frame may be set up at the site or not: a probe on `push rbp` comes before, and FP is still the
 * caller's; leaf functions have none. Where it is set up, FP was pushed right below the return address. So the slot
 * begins with the return address at the entry SP, and goes on from the caller's FP, wherever that is. The kernel's own
 * walk (bpf_get_stack) leaves the caller out at such a site before Linux 6.11, and adds it from then on.
 *
 * Where calls leave the return address in a register, frames are laid out otherwise: such are not read.
 */
#include "plant/uprobe/gen.h"

#include <errno.h>

/* Reads 16 bytes at R3 to STACK_BUF. */
static void read_frame(struct gen *g, int fault)
{
	gen_read_uncleared(g, STACK_BUF, 16, fault);
}

/* Return address in R2 → place R8 behind the record's end; R8 counts on. */
static void put_frame(struct gen *g, int full)
{
	struct emit *e = g->e;

	emit_load(e, 8, R1, REG_RECORD, SCRATCH_STATE(size));
	emit_jump_if_imm(e, BPF_JGT, R1, EVENT_MAX_SIZE, full); /* for the verifier: it was checked */
	emit_alu(e, BPF_ADD, R1, REG_RECORD);
	emit_alu(e, BPF_MOV, R3, R8);
	emit_alu_imm(e, BPF_LSH, R3, 3);
	emit_alu(e, BPF_ADD, R1, R3);
	emit_store(e, 8, R1, 0, R2);
	emit_alu_imm(e, BPF_ADD, R8, 1);
}

/* R9 = the caller's FP. */
static void first_frame(struct gen *g, int full)
{
	struct emit *e = g->e;
	int callers = emit_label_new(e);

	emit_alu_imm(e, BPF_MOV, R8, 0);
	gen_entry_sp(g, R3, 0);
	emit_alu_imm(e, BPF_SUB, R3, 8);
	gen_clear_stack(g, STACK_BUF, 16);
	read_frame(g, gen_fail(g, SLOT_UNREADABLE));
	emit_load(e, 8, R2, FP, STACK_BUF + 8);
	put_frame(g, full);
	gen_entry_sp(g, R1, 0);
	emit_alu_imm(e, BPF_SUB, R1, 8);
	gen_site_reg(g, R9, g->arch->fp);
	emit_jump_if(e, BPF_JNE, R9, R1, callers);
	emit_load(e, 8, R9, FP, STACK_BUF);
	emit_label(e, callers);
}

void gen_finish_words(struct gen *g, uint16_t slot, uint8_t count)
{
	struct emit *e = g->e;
	int off = gen_slot_off(g, slot);

	emit_store(e, 8, REG_RECORD, off + 8, R1);
	emit_alu_imm(e, BPF_LSH, count, 3);
	emit_alu(e, BPF_ADD, R1, count);
	emit_store(e, 4, REG_RECORD, HEAD(size), R1);
	emit_alu(e, BPF_MOV, R1, count);
	emit_alu_imm(e, BPF_LSH, R1, 16);
	emit_alu_imm(e, BPF_LSH, count, 32);
	emit_alu(e, BPF_OR, R1, count);
	emit_alu_imm(e, BPF_OR, R1, SLOT_OK);
	emit_store(e, 8, REG_RECORD, off, R1);
}

int gen_emit_stack(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;
	int again = emit_label_new(e), done = emit_label_new(e), full = emit_label_new(e);
	int behind = emit_label_new(e), off = gen_slot_off(g, i->slot);

	if (g->arch->link != REG_NONE)
		return err_set(g->err, -EOPNOTSUPP, "stacks of %s programs are not read", g->arch->name);
	if (i->imm < 1 || i->imm > IR_MAX_STACK)
		return err_set(g->err, -EINVAL, "%lld frames of the stack are asked for (1 to %d)", (long long)i->imm,
			       IR_MAX_STACK);
	emit_load(e, 4, R1, REG_RECORD, HEAD(size));
	emit_jump_if_imm(e, BPF_JGT, R1, gen_record_limit(g) - 8 * IR_MAX_STACK, full);
	emit_store(e, 8, REG_RECORD, SCRATCH_STATE(size), R1);
	first_frame(g, full);
	emit_label(e, again);
	emit_jump_if_imm(e, BPF_JGE, R8, (int32_t)i->imm, done);
	emit_jump_if_imm(e, BPF_JEQ, R9, 0, done);
	emit_alu(e, BPF_MOV, R3, R9);
	read_frame(g, done);
	emit_load(e, 8, R2, FP, STACK_BUF + 8);
	emit_jump_if_imm(e, BPF_JEQ, R2, 0, done);
	put_frame(g, full);
	emit_alu(e, BPF_MOV, R1, R9);
	emit_load(e, 8, R9, FP, STACK_BUF);
	emit_jump_if(e, BPF_JGT, R9, R1, again); /* stacks grow downwards: else it is no chain */
	emit_label(e, done);
	emit_load(e, 8, R1, REG_RECORD, SCRATCH_STATE(size));
	gen_finish_words(g, i->slot, R8);
	emit_jump(e, behind);
	emit_label(e, full);
	emit_store_imm(e, 8, REG_RECORD, off, SLOT_CUT);
	emit_label(e, behind);
	return 1;
}
