/*
 * Values that the start of a span keeps for the other points of its definition, by goroutine: the rare ones
 * (a panic, a hijacked connection) can so look at a request that nothing there leads to, and no pointer has
 * to be followed from user space, where it may be stale.
 *
 * They lie in an LRU hash map, since a goroutine that ends tells nobody. Within a program they pass through
 * the scratch element: the whole entry is taken at the beginning, and another one put at the end.
 *
 * A pointer into the goroutine's own stack would dangle once the stack is copied; it is not kept.
 */
#include "plant/uprobe/gen.h"

#define KEY(field) (STACK_BUF + (int)offsetof(struct saved_key, field))
_Static_assert(sizeof(struct saved_key) <= STACK_BUF_SIZE, "the key is built in the buffer");

static bool has(const struct capture_program *p, enum ir_op op)
{
	if (p->role == PROGRAM_ENTRY || p->role == PROGRAM_RETURN)
		return false; /* theirs belong to the call */
	for (size_t i = 0; i < p->ninsns; i++)
		if (p->insns[i].op == op)
			return true;
	return false;
}

static bool writes(const struct capture_program *p)
{
	return has(p, IR_SAVE) || has(p, IR_REUSE);
}

/* R2 = the key, on the stack. */
static void make_key(struct gen *g)
{
	struct emit *e = g->e;

	emit_load(e, 8, R1, REG_RECORD, HEAD(goid));
	emit_store(e, 8, FP, KEY(goid), R1);
	emit_load(e, 4, R1, REG_RECORD, HEAD(target));
	emit_store(e, 4, FP, KEY(target), R1);
	emit_store_imm(e, 4, FP, KEY(group), (int32_t)g->p->save_group);
	emit_alu(e, BPF_MOV, R2, FP);
	emit_alu_imm(e, BPF_ADD, R2, STACK_BUF);
}

static int word_off(int64_t number)
{
	return SCRATCH_SAVED_OFF + (int)(8 * number);
}

static int kept_off(int64_t number)
{
	return SCRATCH_KEPT_OFF + (int)(8 * number);
}

void saved_begin(struct gen *g)
{
	struct emit *e = g->e;
	int none = emit_label_new(e);

	if (writes(g->p))
		reuse_begin(g);
	for (int k = 0; k < IR_MAX_SAVED && writes(g->p); k++)
		emit_store_imm(e, 8, REG_RECORD, kept_off(k), 0);
	if (!has(g->p, IR_SAVED) && !has(g->p, IR_REUSE))
		return;
	for (int k = 0; k < IR_MAX_SAVED; k++)
		emit_store_imm(e, 8, REG_RECORD, word_off(k), 0);
	make_key(g);
	emit_map_fd(e, R1, g->env->saved);
	emit_call(e, BPF_FUNC_map_lookup_elem);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, none);
	for (int k = 0; k < IR_MAX_SAVED && has(g->p, IR_SAVED); k++) {
		emit_load(e, 8, R1, R0, 8 * k);
		emit_store(e, 8, REG_RECORD, word_off(k), R1);
	}
	reuse_found(g);
	emit_label(e, none);
}

/*
 * An entry that is there is written in place: the kernel's update of an LRU map always takes a new element,
 * which costs as much as the rest of a small program. Only this goroutine writes its entry.
 */
void saved_end(struct gen *g)
{
	struct emit *e = g->e;
	int make = emit_label_new(e), done = emit_label_new(e);

	if (!writes(g->p))
		return;
	reuse_keep(g);
	make_key(g);
	emit_map_fd(e, R1, g->env->saved);
	emit_call(e, BPF_FUNC_map_lookup_elem);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, make);
	for (int k = 0; k < IR_MAX_SAVED && has(g->p, IR_SAVE); k++) {
		emit_load(e, 8, R1, REG_RECORD, kept_off(k));
		emit_store(e, 8, R0, 8 * k, R1);
	}
	reuse_write(g);
	emit_jump(e, done);
	emit_label(e, make);
	make_key(g);
	emit_map_fd(e, R1, g->env->saved);
	emit_alu(e, BPF_MOV, R3, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R3, SCRATCH_KEPT_OFF);
	emit_alu_imm(e, BPF_MOV, R4, BPF_ANY);
	emit_call(e, BPF_FUNC_map_update_elem);
	emit_label(e, done);
}

int gen_saved(struct gen *g, const struct ir_insn *i)
{
	emit_load(g->e, 8, R0, REG_RECORD, word_off(i->imm));
	emit_jump_if_imm(g->e, BPF_JEQ, R0, 0, gen_fail(g, SLOT_ABSENT));
	gen_put(g, i->dst, R0);
	return 1;
}

int gen_save(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;
	int keep = emit_label_new(e), skip = emit_label_new(e);

	gen_get(g, R1, i->a);
	gen_site_reg(g, R2, g->arch->sp);
	emit_jump_if(e, BPF_JLT, R1, R2, keep);
	emit_load(e, 8, R3, REG_RECORD, HEAD(depth));
	emit_alu(e, BPF_ADD, R2, R3);
	emit_jump_if(e, BPF_JLT, R1, R2, skip);
	emit_label(e, keep);
	emit_store(e, 8, REG_RECORD, kept_off(i->imm), R1);
	emit_label(e, skip);
	return 1;
}
