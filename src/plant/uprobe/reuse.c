/*
 * Slots that are not read again (IR_REUSE): what belongs to a connection is the same for all its requests, and takes
 * as many reads as the rest of them. It lies where the goroutine's saved values do (saved.c), with the word that it
 * was read for: as long as a run of the same probe has that word, its slot is what it was. So are the windows that
 * only such slots look at (windows.c) not read. Kept are words and short texts, and that there is none.
 */
#include "plant/uprobe/gen.h"

#define SAVED(field) (SCRATCH_SAVED_OFF + (int)offsetof(struct saved_words, field))
#define KEPT(field) (SCRATCH_KEPT_OFF + (int)offsetof(struct saved_words, field))
#define SLOT(field, n) (offsetof(struct saved_words, reused) + (n) * sizeof(struct reused_slot) +                      \
			offsetof(struct reused_slot, field))
#define SAVED_SLOT(field, n) (SCRATCH_SAVED_OFF + (int)SLOT(field, n))
#define KEPT_SLOT(field, n) (SCRATCH_KEPT_OFF + (int)SLOT(field, n))
#define TEXT_MAX ((int)sizeof(((struct reused_slot *)NULL)->value))

static const struct ir_insn *reuse_next(const struct capture_program *p, const struct ir_insn *i)
{
	for (i = i ? i + 1 : p->insns; i < p->insns + p->ninsns; i++)
		if (i->op == IR_REUSE)
			return i;
	return NULL;
}

static unsigned count(const struct gen *g)
{
	unsigned n = 0;

	for (const struct ir_insn *i = NULL; (i = reuse_next(g->p, i));)
		n++;
	return n;
}

static bool is_text(const struct gen *g, const struct ir_insn *i)
{
	for (; i->op != IR_END; i++)
		if (i->op == IR_EMIT_STR)
			return true;
	return false;
}

static int32_t mark_of(const struct gen *g)
{
	return (int32_t)(g->probe_id + 1);
}

void reuse_begin(struct gen *g)
{
	unsigned n = count(g);

	emit_store_imm(g->e, 8, REG_RECORD, SAVED(probe), 0);
	emit_store_imm(g->e, 8, REG_RECORD, KEPT(probe), n ? mark_of(g) : 0);
	for (unsigned k = 0; k < n; k++) {
		emit_store_imm(g->e, 8, REG_RECORD, KEPT_SLOT(key, k), 0);
		emit_store_imm(g->e, 8, REG_RECORD, KEPT_SLOT(head, k), 0);
	}
}

/* size bytes of words, clobbering R1. */
static void copy(struct gen *g, uint8_t to, int to_off, uint8_t from, int from_off, size_t size)
{
	for (size_t at = 0; at < size; at += 8) {
		emit_load(g->e, 8, R1, from, from_off + (int)at);
		emit_store(g->e, 8, to, to_off + (int)at, R1);
	}
}

void reuse_found(struct gen *g)
{
	unsigned n = count(g);

	if (n)
		copy(g, REG_RECORD, SAVED(probe), R0, offsetof(struct saved_words, probe),
		     SLOT(key, n) - offsetof(struct saved_words, probe));
}

/* To other unless the slot was read for the word in R1; R3 = its head. Clobbers R2. */
static void unless_same(struct gen *g, unsigned n, int other)
{
	struct emit *e = g->e;

	emit_load(e, 8, R2, REG_RECORD, SAVED(probe));
	emit_jump_if_imm(e, BPF_JNE, R2, mark_of(g), other);
	emit_load(e, 8, R2, REG_RECORD, SAVED_SLOT(key, n));
	emit_jump_if(e, BPF_JNE, R2, R1, other);
	emit_load(e, 8, R3, REG_RECORD, SAVED_SLOT(head, n));
	emit_jump_if_imm(e, BPF_JEQ, R3, 0, other);
}

void reuse_unless_all(struct gen *g, int other)
{
	emit_jump_if_imm(g->e, BPF_JEQ, R1, 0, other);
	for (unsigned k = 0; k < count(g); k++)
		unless_same(g, k, other);
}

/* R2 = how many bytes of a text the head in reg says are copied. */
static void copied_of(struct gen *g, uint8_t reg)
{
	emit_alu(g->e, BPF_MOV, R2, reg);
	emit_alu_imm(g->e, BPF_RSH, R2, 16);
	emit_alu_imm(g->e, BPF_AND, R2, UINT16_MAX);
}

/* R4 = where in the record the text of R2 bytes is put; to full when there is no room. */
static void put_text(struct gen *g, unsigned n, int full)
{
	struct emit *e = g->e;

	emit_load(e, 4, R4, REG_RECORD, HEAD(size));
	emit_jump_if_imm(e, BPF_JGT, R4, gen_record_limit(g) - TEXT_MAX, full);
	emit_alu(e, BPF_MOV, R0, REG_RECORD);
	emit_alu(e, BPF_ADD, R0, R4);
	copy(g, R0, 0, REG_RECORD, SAVED_SLOT(value, n), TEXT_MAX);
	emit_alu(e, BPF_MOV, R1, R4);
	emit_alu(e, BPF_ADD, R1, R2);
	emit_alu_imm(e, BPF_ADD, R1, 7);
	emit_alu_imm(e, BPF_AND, R1, ~7);
	emit_store(e, 4, REG_RECORD, HEAD(size), R1);
}

int gen_reuse(struct gen *g, const struct ir_insn *i)
{
	int again = emit_label_new(g->e), put = emit_label_new(g->e), off = gen_slot_off(g, i->slot);
	struct emit *e = g->e;
	unsigned n = 0;

	for (const struct ir_insn *k = NULL; (k = reuse_next(g->p, k)) && k != i;)
		n++;
	gen_get(g, R1, i->a);
	emit_store(e, 8, REG_RECORD, KEPT_SLOT(key, n), R1);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, again);
	unless_same(g, n, again);
	emit_load(e, 8, R4, REG_RECORD, SAVED_SLOT(value, n));
	if (is_text(g, i)) {
		copied_of(g, R3);
		emit_jump_if_imm(e, BPF_JEQ, R2, 0, put);
		put_text(g, n, again);
	}
	emit_label(e, put);
	emit_store(e, 8, REG_RECORD, off, R3);
	emit_store(e, 8, REG_RECORD, off + 8, R4);
	copy(g, REG_RECORD, KEPT_SLOT(head, n), REG_RECORD, SAVED_SLOT(head, n),
	     sizeof(struct reused_slot) - offsetof(struct reused_slot, head));
	emit_jump(e, gen_behind(g));
	emit_label(e, again);
	emit_checkpoint(e);
	return 1;
}

/* What the slot is now, if that can be kept. */
static void keep_slot(struct gen *g, const struct ir_insn *i, unsigned n)
{
	int next = emit_label_new(g->e), ok = emit_label_new(g->e), none = emit_label_new(g->e);
	int off = gen_slot_off(g, i->slot);
	struct emit *e = g->e;

	emit_load(e, 8, R1, REG_RECORD, KEPT_SLOT(head, n));
	emit_jump_if_imm(e, BPF_JNE, R1, 0, next);
	emit_load(e, 8, R3, REG_RECORD, off);
	emit_load(e, 8, R4, REG_RECORD, off + 8);
	emit_alu(e, BPF_MOV, R1, R3);
	emit_alu_imm(e, BPF_AND, R1, UINT8_MAX);
	emit_jump_if_imm(e, BPF_JEQ, R1, SLOT_OK, ok);
	emit_jump_if_imm(e, BPF_JEQ, R1, SLOT_NIL, none);
	emit_jump_if_imm(e, BPF_JNE, R1, SLOT_OTHER_TYPE, next);
	emit_jump(e, none);
	emit_label(e, ok);
	if (is_text(g, i)) {
		copied_of(g, R3);
		emit_jump_if_imm(e, BPF_JEQ, R2, 0, next);
		emit_jump_if_imm(e, BPF_JGT, R2, TEXT_MAX, next);
		emit_jump_if_imm(e, BPF_JGT, R4, gen_record_limit(g) - TEXT_MAX, next); /* for the verifier */
		emit_alu(e, BPF_ADD, R4, REG_RECORD);
		copy(g, REG_RECORD, KEPT_SLOT(value, n), R4, 0, TEXT_MAX);
		emit_store(e, 8, REG_RECORD, KEPT_SLOT(head, n), R3);
		emit_jump(e, next);
	}
	emit_label(e, none);
	emit_store(e, 8, REG_RECORD, KEPT_SLOT(value, n), R4);
	emit_store_imm(e, 8, REG_RECORD, KEPT_SLOT(value, n) + 8, 0);
	emit_store(e, 8, REG_RECORD, KEPT_SLOT(head, n), R3);
	emit_label(e, next);
	emit_checkpoint(e);
}

void reuse_keep(struct gen *g)
{
	unsigned n = 0;

	for (const struct ir_insn *i = NULL; (i = reuse_next(g->p, i)); n++)
		keep_slot(g, i, n);
}

/* Into the entry at R0, unless it has just that. */
void reuse_write(struct gen *g)
{
	int write = emit_label_new(g->e), done = emit_label_new(g->e);
	unsigned n = count(g);
	struct emit *e = g->e;

	if (!n)
		return;
	emit_load(e, 8, R1, REG_RECORD, SAVED(probe));
	emit_jump_if_imm(e, BPF_JNE, R1, mark_of(g), write);
	for (unsigned k = 0; k < n; k++) {
		emit_load(e, 8, R1, REG_RECORD, SAVED_SLOT(key, k));
		emit_load(e, 8, R2, REG_RECORD, KEPT_SLOT(key, k));
		emit_jump_if(e, BPF_JNE, R1, R2, write);
		emit_load(e, 8, R1, REG_RECORD, SAVED_SLOT(head, k));
		emit_load(e, 8, R2, REG_RECORD, KEPT_SLOT(head, k));
		emit_jump_if(e, BPF_JNE, R1, R2, write);
	}
	emit_jump(e, done);
	emit_label(e, write);
	copy(g, R0, offsetof(struct saved_words, probe), REG_RECORD, KEPT(probe),
	     SLOT(key, n) - offsetof(struct saved_words, probe));
	emit_label(e, done);
}
