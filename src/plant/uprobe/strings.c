/* Texts and stretches of memory, compared where they lie or in the work area. */
#include "plant/uprobe/gen.h"

#include <errno.h>
#include <string.h>

#define CONTAINS_WINDOW 256 /* IR_STR_CONTAINS looks no further */
_Static_assert(CONTAINS_WINDOW <= SCRATCH_WORK_SIZE, "it is searched in the work area");
_Static_assert(CONTAINS_WINDOW == 1 << 8, "read_window compares by a shift");

/* ---- equal, begins with, contains ---- */

/* dst = 0, or 1 from yes on. */
static void put_verdict(struct gen *g, uint16_t dst, int no, int yes)
{
	int done = emit_label_new(g->e);

	emit_label(g->e, no);
	emit_alu_imm(g->e, BPF_MOV, R0, 0);
	emit_jump(g->e, done);
	emit_label(g->e, yes);
	emit_alu_imm(g->e, BPF_MOV, R0, 1);
	emit_label(g->e, done);
	gen_put(g, dst, R0);
}

/* EQ, PREFIX, SUFFIX: the length decides first, then n bytes are read and compared. */
static int gen_str_match(struct gen *g, const struct ir_insn *i)
{
	size_t n = (size_t)i->imm;
	struct emit *e = g->e;
	int no = emit_label_new(e), yes = emit_label_new(e);

	gen_get(g, R1, i->b);
	emit_jump_if_imm(e, i->op == IR_STR_EQ ? BPF_JNE : BPF_JLT, R1, (int32_t)n, no);
	gen_get(g, R3, i->a);
	if (i->op == IR_STR_SUFFIX) {
		emit_alu(e, BPF_ADD, R3, R1);
		emit_alu_imm(e, BPF_SUB, R3, (int32_t)n);
	}
	gen_read_stack(g, STACK_BUF, (unsigned)n, gen_fail(g, SLOT_UNREADABLE));
	gen_difference(g, FP, STACK_BUF, i->str, n, false);
	emit_jump_if_imm(e, BPF_JEQ, R4, 0, yes);
	put_verdict(g, i->dst, no, yes);
	return 1;
}

/* R5 |= whether the text begins at start R8 + k of the work area; R9 is the last one that counts. */
static void check_start(struct gen *g, const struct ir_insn *i, int k)
{
	struct emit *e = g->e;

	gen_difference(g, R1, SCRATCH_WORK_OFF + k, i->str, (size_t)i->imm, false);
	emit_alu(e, BPF_MOV, R2, R9);
	emit_alu(e, BPF_SUB, R2, R8);
	emit_alu_imm(e, BPF_SUB, R2, k);
	emit_alu_imm(e, BPF_RSH, R2, 63);
	emit_alu(e, BPF_OR, R4, R2);
	gen_is_zero(g, R4, R2);
	emit_alu(e, BPF_OR, R5, R4);
}

/*
 * R9 = the last start of the text within what is read of the string; to no when it is too short. The
 * lesser of length and window is computed without a branch: the loop would be walked for either side.
 */
static void read_window(struct gen *g, const struct ir_insn *i, int no)
{
	struct emit *e = g->e;

	gen_get(g, R2, i->b);
	emit_jump_if_imm(e, BPF_JLT, R2, (int32_t)i->imm, no);
	emit_alu(e, BPF_MOV, R1, R2);
	emit_alu_imm(e, BPF_RSH, R1, 8); /* not 0: the window is the lesser */
	emit_alu(e, BPF_MOV, R3, R1);
	emit_neg(e, R3);
	emit_alu(e, BPF_OR, R1, R3);
	emit_alu_imm(e, BPF_RSH, R1, 63);
	emit_alu(e, BPF_MOV, R3, R1);
	emit_alu_imm(e, BPF_SUB, R3, 1);
	emit_alu(e, BPF_AND, R2, R3);
	emit_alu_imm(e, BPF_LSH, R1, 8);
	emit_alu(e, BPF_OR, R2, R1);
	emit_jump_if_imm(e, BPF_JGT, R2, CONTAINS_WINDOW, no);
	emit_alu(e, BPF_MOV, R9, R2);
	emit_alu_imm(e, BPF_SUB, R9, (int32_t)i->imm);
	gen_get(g, R3, i->a);
	gen_read_work(g, gen_fail(g, SLOT_UNREADABLE));
}

/* A bounded loop over the starts, eight at a time: the verifier bears few branches (see compile.c). */
static int gen_str_contains(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;
	int no = emit_label_new(e), yes = emit_label_new(e), again = emit_label_new(e), none = emit_label_new(e);

	read_window(g, i, no);
	emit_alu_imm(e, BPF_MOV, R8, 0);
	emit_checkpoint(e);
	emit_label(e, again);
	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu(e, BPF_ADD, R1, R8);
	emit_alu_imm(e, BPF_MOV, R5, 0);
	for (int k = 0; k < 8; k++)
		check_start(g, i, k);
	emit_jump_if_imm(e, BPF_JNE, R5, 0, yes);
	emit_alu_imm(e, BPF_ADD, R8, 8);
	emit_jump_if(e, BPF_JGT, R8, R9, none);
	emit_jump_if_imm(e, BPF_JLE, R8, CONTAINS_WINDOW - (int32_t)i->imm, again);
	emit_label(e, none);
	gen_get(g, R1, i->b);
	emit_jump_if_imm(e, BPF_JGT, R1, CONTAINS_WINDOW, gen_fail(g, SLOT_UNREADABLE));
	put_verdict(g, i->dst, no, yes);
	return 1;
}

/* ---- order ---- */

/* dst = -1 or 1, as the words R1 and R2, which differ, are ordered byte by byte. */
static void put_order(struct gen *g, uint16_t dst)
{
	int less = emit_label_new(g->e);

	emit_swap(g->e, R1);
	emit_swap(g->e, R2);
	emit_alu_imm(g->e, BPF_MOV, R0, -1);
	emit_jump_if(g->e, BPF_JLT, R1, R2, less);
	emit_alu_imm(g->e, BPF_MOV, R0, 1);
	emit_label(g->e, less);
	gen_put(g, dst, R0);
}

/*
 * What the string has of the text's length is read into a buffer of zeros, which no text has: so a string that is
 * shorter is less, word by word, and where all are equal the length decides.
 */
int gen_str_order(struct gen *g, const struct ir_insn *i)
{
	size_t n = (size_t)i->imm;
	struct emit *e = g->e;
	int differ = emit_label_new(e), done = emit_label_new(e), within = emit_label_new(e),
	    compare = emit_label_new(e);

	gen_clear_stack(g, STACK_BUF, (unsigned)ALIGN_UP(n, 8));
	gen_get(g, R2, i->b);
	emit_jump_if_imm(e, BPF_JEQ, R2, 0, compare);
	emit_jump_if_imm(e, BPF_JLE, R2, (int32_t)n, within);
	emit_alu_imm(e, BPF_MOV, R2, (int32_t)n);
	emit_label(e, within);
	gen_get(g, R3, i->a);
	emit_alu(e, BPF_MOV, R1, FP);
	emit_alu_imm(e, BPF_ADD, R1, STACK_BUF);
	gen_read_user(g, gen_fail(g, SLOT_UNREADABLE));
	emit_label(e, compare);
	for (size_t at = 0; at < n; at += 8) {
		uint64_t want = 0;

		memcpy(&want, i->str + at, MIN(n - at, 8));
		emit_load(e, 8, R1, FP, STACK_BUF + (int)at);
		emit_imm(e, R2, (int64_t)want);
		emit_jump_if(e, BPF_JNE, R1, R2, differ);
	}
	gen_get(g, R1, i->b);
	emit_alu_imm(e, BPF_MOV, R0, 0);
	emit_alu_imm(e, BPF_MOV, R2, (int32_t)n);
	emit_alu(e, BPF_SUB, R2, R1); /* negative: it is longer */
	emit_alu_imm(e, BPF_RSH, R2, 63);
	emit_alu(e, BPF_OR, R0, R2);
	gen_put(g, i->dst, R0);
	emit_jump(e, done);
	emit_label(e, differ);
	put_order(g, i->dst);
	emit_label(e, done);
	return 1;
}

#define ORDER_OFF IR_MAX_ORDER /* in the work area: the second one's bytes */
_Static_assert(2 * IR_MAX_ORDER <= SCRATCH_WORK_SIZE && IR_MAX_ORDER == 1 << 10, "both are read into the work area");

/* R9 bytes at the address in vreg, to off in the work area. */
static void read_ordered(struct gen *g, uint16_t vreg, int off)
{
	struct emit *e = g->e;

	gen_get(g, R3, vreg);
	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R1, SCRATCH_WORK_OFF + off);
	emit_alu(e, BPF_MOV, R2, R9);
	gen_read_user(g, gen_fail(g, SLOT_UNREADABLE));
}

/*
 * The bytes of both, the last word of each filled up with zeros; a bounded loop looks for the first word that differs.
 */
int gen_mem_order(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;
	int equal = emit_label_new(e), differ = emit_label_new(e), done = emit_label_new(e), again = emit_label_new(e);
	int within = emit_label_new(e);

	gen_get(g, R9, i->c);
	emit_jump_if_imm(e, BPF_JEQ, R9, 0, equal);
	emit_jump_if_imm(e, BPF_JLE, R9, IR_MAX_ORDER, within);
	emit_alu_imm(e, BPF_MOV, R9, IR_MAX_ORDER);
	emit_label(e, within);
	emit_alu(e, BPF_MOV, R1, R9);
	emit_alu_imm(e, BPF_SUB, R1, 1);
	emit_alu_imm(e, BPF_AND, R1, IR_MAX_ORDER - 8);
	emit_alu(e, BPF_ADD, R1, REG_RECORD);
	emit_store_imm(e, 8, R1, SCRATCH_WORK_OFF, 0);
	emit_store_imm(e, 8, R1, SCRATCH_WORK_OFF + ORDER_OFF, 0);
	read_ordered(g, i->a, 0);
	read_ordered(g, i->b, ORDER_OFF);
	emit_alu_imm(e, BPF_MOV, R8, 0);
	emit_checkpoint(e);
	emit_label(e, again);
	emit_alu(e, BPF_MOV, R3, REG_RECORD);
	emit_alu(e, BPF_ADD, R3, R8);
	emit_load(e, 8, R1, R3, SCRATCH_WORK_OFF);
	emit_load(e, 8, R2, R3, SCRATCH_WORK_OFF + ORDER_OFF);
	emit_jump_if(e, BPF_JNE, R1, R2, differ);
	emit_alu_imm(e, BPF_ADD, R8, 8);
	emit_jump_if(e, BPF_JGE, R8, R9, equal);
	emit_jump_if_imm(e, BPF_JLT, R8, IR_MAX_ORDER, again);
	emit_label(e, equal);
	gen_get(g, R1, i->c);
	emit_jump_if_imm(e, BPF_JGT, R1, IR_MAX_ORDER, gen_fail(g, SLOT_UNREADABLE));
	emit_alu_imm(e, BPF_MOV, R0, 0);
	gen_put(g, i->dst, R0);
	emit_jump(e, done);
	emit_label(e, differ);
	put_order(g, i->dst);
	emit_label(e, done);
	return 1;
}

/* The elements one after the other; of most the length tells. R9 counts, R8 is gen_read_stack's. */
int gen_any_str(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;
	int again = emit_label_new(e), next = emit_label_new(e), found = emit_label_new(e);
	int none = emit_label_new(e), done = emit_label_new(e), unreadable = gen_fail(g, SLOT_UNREADABLE);

	gen_get(g, R1, i->b);
	emit_jump_if_imm(e, BPF_JGT, R1, IR_MAX_ELEMENTS, gen_fail(g, SLOT_MAP_BUSY));
	emit_alu_imm(e, BPF_MOV, R9, 0);
	emit_checkpoint(e);
	emit_label(e, again);
	gen_get(g, R1, i->b);
	emit_jump_if(e, BPF_JGE, R9, R1, none);
	emit_alu(e, BPF_MOV, R3, R9);
	emit_alu_imm(e, BPF_MUL, R3, (int32_t)i->at);
	gen_get(g, R1, i->a);
	emit_alu(e, BPF_ADD, R3, R1);
	gen_read_stack(g, STACK_BUF, 16, unreadable);
	emit_load(e, 8, R3, FP, STACK_BUF);
	emit_load(e, 8, R1, FP, STACK_BUF + 8);
	emit_jump_if_imm(e, BPF_JNE, R1, (int32_t)i->imm, next);
	gen_read_stack(g, STACK_BUF, (unsigned)i->imm, unreadable);
	gen_difference(g, FP, STACK_BUF, i->str, (size_t)i->imm, true);
	emit_jump_if_imm(e, BPF_JEQ, R4, 0, found);
	emit_label(e, next);
	emit_alu_imm(e, BPF_ADD, R9, 1);
	emit_jump_if_imm(e, BPF_JLT, R9, IR_MAX_ELEMENTS, again);
	emit_label(e, none);
	emit_alu_imm(e, BPF_MOV, R0, 0);
	emit_jump(e, done);
	emit_label(e, found);
	emit_alu_imm(e, BPF_MOV, R0, 1);
	emit_label(e, done);
	gen_put(g, i->dst, R0);
	return 1;
}

/* R0 = what bpf_probe_read_user_str says of the text in vreg; its copy, in what only returns use of a record, is no
 * matter. */
static void read_str(struct gen *g, uint16_t vreg)
{
	struct emit *e = g->e;

	gen_get(g, R3, vreg);
	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R1, EVENT_MAX_SIZE);
	emit_alu_imm(e, BPF_MOV, R2, EVENT_MAX_STRING + 2);
	emit_call(e, BPF_FUNC_probe_read_user_str);
}

/*
 * The helper counts the NUL, and gives as much as there was room for where it found none. It does not bring pages in: a
 * byte that is read by one that does has the first page there; a text that goes on into one that is not there fails.
 */
int gen_str_len(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;
	int got = emit_label_new(e), unreadable = gen_fail(g, SLOT_UNREADABLE);

	gen_get(g, R3, i->a);
	emit_jump_if_imm(e, BPF_JEQ, R3, 0, gen_fail(g, SLOT_NIL));
	read_str(g, i->a);
	emit_jump_if_imm(e, BPF_JSGT, R0, 0, got);
	if (g->env->faults_in) {
		gen_get(g, R3, i->a);
		gen_read_stack(g, STACK_BUF, 1, unreadable);
		read_str(g, i->a);
	}
	emit_jump_if_imm(e, BPF_JSLE, R0, 0, unreadable);
	emit_label(e, got);
	emit_alu_imm(e, BPF_SUB, R0, 1);
	gen_put(g, i->dst, R0);
	return 1;
}

int gen_str(struct gen *g, const struct ir_insn *i)
{
	if (i->imm < 1 || i->imm > IR_MAX_STR)
		return err_set(g->err, -EINVAL, "a constant text has %lld bytes (expected 1 to %d)",
			       (long long)i->imm, IR_MAX_STR);
	return i->op == IR_STR_CONTAINS ? gen_str_contains(g, i) : gen_str_match(g, i);
}
