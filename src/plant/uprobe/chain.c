/*
 * Chains of contexts (binary/context_types.h): a bounded loop, a link a round. What it remembers lies in the scratch
 * element, which the verifier does not track, but for the number of links: by that it sees that the loop ends. Between
 * two links of one type, which most are, nothing but the parent's two words is read: the type's row is at hand.
 */
#include "plant/uprobe/gen.h"

#include <errno.h>

#define HEAD(field) ((int)offsetof(struct event_header, field))
#define ROW(field) ((int)offsetof(struct chain_type, field))
#define STATE(field)                                                                               \
	((int)(offsetof(struct scratch, chain) + offsetof(struct chain_state, field)) -            \
	 (int)offsetof(struct scratch, record))

static void load_state(struct gen *g, uint8_t reg, int off)
{
	emit_load(g->e, 8, reg, REG_RECORD, off);
}

static void store_state(struct gen *g, int off, uint8_t reg)
{
	emit_store(g->e, 8, REG_RECORD, off, reg);
}

/* Where the walk ends, by how. */
struct ways_out {
	int by[CHAIN_END_COUNT], end;
};

/* Word R2 at place R9 behind the record's end; R9 counts on. */
static void put_word(struct gen *g, int full)
{
	struct emit *e = g->e;

	load_state(g, R1, STATE(size));
	emit_jump_if_imm(e, BPF_JGT, R1, EVENT_MAX_SIZE, full); /* for the verifier: it was checked */
	emit_alu(e, BPF_ADD, R1, REG_RECORD);
	emit_alu(e, BPF_MOV, R3, R9);
	emit_alu_imm(e, BPF_LSH, R3, 3);
	emit_alu(e, BPF_ADD, R1, R3);
	emit_store(e, 8, R1, 0, R2);
	emit_alu_imm(e, BPF_ADD, R9, 1);
}

/* The row of the type whose run-time address is chain.type. */
static void find_row(struct gen *g, const struct ways_out *out)
{
	struct emit *e = g->e;

	load_state(g, R1, STATE(data));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, out->by[CHAIN_ROOT]);
	load_state(g, R1, STATE(type));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, out->by[CHAIN_ROOT]);
	load_state(g, R2, STATE(bias));
	emit_alu(e, BPF_SUB, R1, R2);
	store_state(g, STATE(type), R1);
	emit_map_fd(e, R1, g->env->contexts);
	emit_alu(e, BPF_MOV, R2, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R2, STATE(type));
	emit_call(e, BPF_FUNC_map_lookup_elem);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, out->by[CHAIN_UNKNOWN_TYPE]);
	emit_load(e, 8, R1, R0, ROW(flags));
	store_state(g, STATE(flags), R1);
	emit_load(e, 4, R1, R0, ROW(offset));
	store_state(g, STATE(offset), R1);
	emit_load(e, 4, R1, R0, ROW(via));
	store_state(g, STATE(via), R1);
}

/* The link itself, if it is one: what is none has no parent either. R1 = the row's flags. */
static void put_link(struct gen *g, const struct ir_insn *i, const struct ways_out *out)
{
	struct emit *e = g->e;
	int link = emit_label_new(e);

	load_state(g, R2, STATE(data));
	emit_jump_if_imm(e, BPF_JEQ, R2, 0, out->by[CHAIN_ROOT]);
	load_state(g, R1, STATE(flags));
	emit_alu(e, BPF_MOV, R3, R1);
	emit_alu_imm(e, BPF_AND, R3, CHAIN_IS_LINK);
	emit_jump_if_imm(e, BPF_JNE, R3, 0, link);
	emit_alu_imm(e, BPF_AND, R1, CHAIN_IS_ROOT);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, out->by[CHAIN_UNKNOWN_TYPE]);
	emit_jump(e, out->by[CHAIN_ROOT]);
	emit_label(e, link);
	emit_alu(e, BPF_MOV, R3, R2);
	emit_alu_imm(e, BPF_AND, R3, CHAIN_BITS);
	emit_jump_if_imm(e, BPF_JNE, R3, 0, out->by[CHAIN_UNREADABLE]);
	emit_jump_if_imm(e, BPF_JGE, R9, (int32_t)i->imm, out->by[CHAIN_TOO_LONG]);
	emit_alu(e, BPF_MOV, R3, R1);
	emit_alu_imm(e, BPF_AND, R3, CHAIN_POOLED);
	load_state(g, R4, STATE(pooled));
	emit_alu(e, BPF_OR, R3, R4);
	store_state(g, STATE(pooled), R3);
	emit_alu(e, BPF_OR, R2, R3);
	put_word(g, out->by[CHAIN_UNREADABLE]);
	load_state(g, R1, STATE(flags));
}

_Static_assert(CHAIN_POOLED == 1, "a row has it at the same place");

/* The parent's words → chain.data and R3, the itab. R1 = the row's flags. */
static void read_parent(struct gen *g, const struct ways_out *out)
{
	struct emit *e = g->e;
	int field = emit_label_new(e), via = emit_label_new(e), unreadable = out->by[CHAIN_UNREADABLE];

	load_state(g, R3, STATE(data));
	emit_alu(e, BPF_MOV, R2, R1);
	emit_alu_imm(e, BPF_AND, R2, CHAIN_HAS_VIA);
	emit_jump_if_imm(e, BPF_JNE, R2, 0, via);
	emit_alu_imm(e, BPF_AND, R1, CHAIN_HAS_FIELD);
	emit_jump_if_imm(e, BPF_JNE, R1, 0, field);
	load_state(g, R1, STATE(flags));
	emit_alu_imm(e, BPF_AND, R1, CHAIN_IS_ROOT);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, out->by[CHAIN_UNKNOWN_TYPE]);
	emit_jump(e, out->by[CHAIN_ROOT]);
	emit_label(e, via);
	load_state(g, R1, STATE(via));
	emit_alu(e, BPF_ADD, R3, R1);
	gen_read_stack(g, STACK_BUF, 8, unreadable);
	emit_load(e, 8, R3, FP, STACK_BUF);
	emit_jump_if_imm(e, BPF_JEQ, R3, 0, out->by[CHAIN_ROOT]);
	emit_label(e, field);
	load_state(g, R1, STATE(offset));
	emit_alu(e, BPF_ADD, R3, R1);
	gen_read_stack(g, STACK_BUF, 16, unreadable);
	emit_load(e, 8, R1, FP, STACK_BUF + 8);
	store_state(g, STATE(data), R1);
	emit_load(e, 8, R3, FP, STACK_BUF);
	emit_jump_if_imm(e, BPF_JEQ, R3, 0, out->by[CHAIN_ROOT]);
}

/* chain.type = the type of the itab in R3; to same where the last one had that itab, too. */
static void read_type(struct gen *g, const struct ways_out *out, int same)
{
	struct emit *e = g->e;

	load_state(g, R1, STATE(itab));
	emit_jump_if(e, BPF_JEQ, R1, R3, same);
	store_state(g, STATE(itab), R3);
	emit_alu_imm(e, BPF_ADD, R3, (int32_t)g->p->contexts->itab_type_off);
	gen_read_stack(g, STACK_BUF, 8, out->by[CHAIN_UNREADABLE]);
	emit_load(e, 8, R1, FP, STACK_BUF);
	store_state(g, STATE(type), R1);
}

/* The words that were put are the slot's bytes. */
static void finish_slot(struct gen *g, uint16_t slot)
{
	struct emit *e = g->e;
	int off = gen_slot_off(g, slot);

	load_state(g, R1, STATE(size));
	emit_store(e, 8, REG_RECORD, off + 8, R1);
	emit_alu_imm(e, BPF_LSH, R9, 3);
	emit_alu(e, BPF_ADD, R1, R9);
	emit_store(e, 4, REG_RECORD, HEAD(size), R1);
	emit_alu(e, BPF_MOV, R1, R9);
	emit_alu_imm(e, BPF_LSH, R1, 16);
	emit_alu_imm(e, BPF_LSH, R9, 32);
	emit_alu(e, BPF_OR, R1, R9);
	emit_alu_imm(e, BPF_OR, R1, SLOT_OK);
	emit_store(e, 8, REG_RECORD, off, R1);
}

static void begin(struct gen *g, const struct ir_insn *i, int full)
{
	struct emit *e = g->e;

	emit_load(e, 4, R1, REG_RECORD, HEAD(size));
	emit_jump_if_imm(e, BPF_JGT, R1, gen_record_limit(g) - 8 * ((int)i->imm + 1), full);
	store_state(g, STATE(size), R1);
	gen_get(g, R1, i->a);
	store_state(g, STATE(type), R1);
	gen_get(g, R1, i->b);
	store_state(g, STATE(data), R1);
	emit_store_imm(e, 8, REG_RECORD, STATE(itab), 0);
	emit_store_imm(e, 8, REG_RECORD, STATE(pooled), 0);
	gen_load_bias(g);
	store_state(g, STATE(bias), R0);
	emit_alu_imm(e, BPF_MOV, R9, 0);
}

int gen_emit_chain(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;
	int again = emit_label_new(e), same = emit_label_new(e), full = emit_label_new(e), behind = emit_label_new(e);
	struct ways_out out = {.end = emit_label_new(e)};

	if (!g->p->contexts || g->env->contexts < 0 || i->imm < 1 || i->imm > EVENT_MAX_CHAIN)
		return err_set(g->err, -EINVAL, "a chain of %lld contexts is asked for (1 to %d, with a table of them)",
			       (long long)i->imm, EVENT_MAX_CHAIN);
	for (unsigned k = 0; k < CHAIN_END_COUNT; k++)
		out.by[k] = emit_label_new(e);
	begin(g, i, full);
	emit_label(e, again);
	find_row(g, &out);
	emit_label(e, same);
	emit_checkpoint(e);
	put_link(g, i, &out);
	if (i->imm > 1) {
		read_parent(g, &out);
		read_type(g, &out, same);
		emit_jump(e, again);
	} else { /* whatever the parent is, there is no room for it */
		emit_jump(e, out.by[CHAIN_TOO_LONG]);
	}
	for (unsigned k = 0; k < CHAIN_END_COUNT; k++) {
		emit_label(e, out.by[k]);
		emit_store_imm(e, 8, REG_RECORD, STATE(end), (int32_t)k);
		if (k + 1 < CHAIN_END_COUNT)
			emit_jump(e, out.end);
	}
	emit_label(e, out.end);
	emit_checkpoint(e);
	load_state(g, R2, STATE(end));
	put_word(g, full);
	finish_slot(g, i->slot);
	emit_jump(e, behind);
	emit_label(e, full);
	emit_store_imm(e, 8, REG_RECORD, gen_slot_off(g, i->slot), SLOT_CUT);
	emit_label(e, behind);
	return 1;
}
