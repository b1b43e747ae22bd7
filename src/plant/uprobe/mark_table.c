/* Entries of marks, and of what leads to them (marks.c): found, taken over, given up. */
#include "plant/uprobe/marks.h"

#include "event/loss.h"

#define MIX_WORD UINT64_C(0x9e3779b97f4a7c15)
#define MIX_KIND UINT64_C(0xd6e8feb86659fd93)
#define MIX_STACK UINT64_C(0xc2b2ae3d27d4eb4f)
#define MIX_TARGET UINT64_C(0xff51afd7ed558ccd)
#define SET_SHIFT 26
#define WAY_SHIFT 7
#define WAY_MASK ((MARK_WAYS - 1) << WAY_SHIFT)

_Static_assert(LOSS_MARKS_FULL < LOSS_KERNEL_COUNT && LOSS_LEFT_OUT < LOSS_KERNEL_COUNT, "they index the losses map");

/* ---- the run ---- */

void marks_unless(struct gen *g, int32_t bits, int label)
{
	state_load(g, R1, RUN(state));
	emit_alu_imm(g->e, BPF_AND, R1, bits);
	emit_jump_if_imm(g->e, BPF_JNE, R1, 0, label);
}

void marks_only_in(struct gen *g, int32_t bits, int label)
{
	state_load(g, R1, RUN(state));
	emit_alu_imm(g->e, BPF_AND, R1, bits);
	emit_jump_if_imm(g->e, BPF_JEQ, R1, 0, label);
}

void marks_add(struct gen *g, int32_t bits)
{
	state_load(g, R1, RUN(state));
	emit_alu_imm(g->e, BPF_OR, R1, bits);
	state_store(g, RUN(state), R1);
}

void marks_remove(struct gen *g, int32_t bits)
{
	state_load(g, R1, RUN(state));
	emit_alu_imm(g->e, BPF_AND, R1, ~bits);
	state_store(g, RUN(state), R1);
}

void marks_needs_own(struct gen *g, int end)
{
	marks_only_in(g, HAS, end);
	marks_unless(g, BY_HEADER, end);
}

/* ---- keys and entries ---- */

void marks_make_key(struct gen *g)
{
	emit_alu_imm(g->e, BPF_AND, R8, ~BUSY);
	emit_alu_imm(g->e, BPF_OR, R8, 2);
}

/* R8 = R1 of this process, mixed. Clobbers R1, R2. */
static void mix(struct gen *g, uint64_t by)
{
	struct emit *e = g->e;

	emit_imm(e, R8, (int64_t)by);
	emit_alu(e, BPF_MUL, R8, R1);
	emit_load(e, 4, R1, REG_RECORD, HEAD(target));
	emit_imm(e, R2, (int64_t)MIX_TARGET);
	emit_alu(e, BPF_MUL, R1, R2);
	emit_alu(e, BPF_XOR, R8, R1);
}

void marks_key_of_word(struct gen *g, int64_t kind, uint32_t group)
{
	mix(g, MIX_WORD);
	emit_imm(g->e, R2, (int64_t)(MIX_KIND * ((uint64_t)kind + 1 + MARK_KIND_COUNT * (uint64_t)group)));
	emit_alu(g->e, BPF_XOR, R8, R2);
	marks_make_key(g);
}

void marks_key_of_goroutine(struct gen *g)
{
	mix(g, MIX_STACK);
	marks_make_key(g);
}

/* R0 = the set whose number is in R1; to none where there is none. Clobbers R1 to R5. */
static void set_at(struct gen *g, int none)
{
	struct emit *e = g->e;

	emit_alu_imm(e, BPF_AND, R1, (int32_t)g->env->mark_sets - 1);
	emit_store(e, 8, FP, BK_KEY, R1);
	emit_map_fd(e, R1, g->env->marks);
	emit_alu(e, BPF_MOV, R2, FP);
	emit_alu_imm(e, BPF_ADD, R2, BK_KEY);
	emit_call(e, BPF_FUNC_map_lookup_elem);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, none);
}

/* R9 = the set of the key in R8. */
static void find_set(struct gen *g, int none)
{
	struct emit *e = g->e;

	emit_alu(e, BPF_MOV, R1, R8);
	emit_alu_imm(e, BPF_RSH, R1, SET_SHIFT);
	set_at(g, none);
	emit_alu(e, BPF_MOV, R9, R0);
}

/* R9, a set, becomes its entry in run.way. */
static void take_way(struct gen *g)
{
	emit_checkpoint(g->e);
	state_load(g, R1, RUN(way));
	emit_alu_imm(g->e, BPF_AND, R1, WAY_MASK);
	emit_alu(g->e, BPF_ADD, R9, R1);
}

/* To found, with run.way, where the set at R9 has the key in R8; falls out where it has not. */
static void find_way(struct gen *g, int found)
{
	for (int w = 0; w < MARK_WAYS; w++) {
		emit_load(g->e, 8, R1, R9, w << WAY_SHIFT);
		state_store_imm(g, RUN(way), w << WAY_SHIFT);
		emit_jump_if(g->e, BPF_JEQ, R1, R8, found);
	}
}

void marks_find_entry(struct gen *g, int none)
{
	int found = emit_label_new(g->e);

	find_set(g, none);
	find_way(g, found);
	emit_jump(g->e, none);
	emit_label(g->e, found);
	take_way(g);
}

void marks_entry_at(struct gen *g, uint8_t reg, int none)
{
	struct emit *e = g->e;

	state_load(g, R1, RUN(place));
	emit_alu_imm(e, BPF_SUB, R1, 1);
	emit_alu_imm(e, BPF_RSH, R1, 2);
	set_at(g, none);
	state_load(g, R1, RUN(place));
	emit_alu_imm(e, BPF_SUB, R1, 1);
	emit_alu_imm(e, BPF_LSH, R1, WAY_SHIFT);
	emit_alu_imm(e, BPF_AND, R1, WAY_MASK);
	emit_alu(e, BPF_ADD, R0, R1);
	emit_alu(e, BPF_MOV, reg, R0);
}
_Static_assert(MARK_WAYS == 4, "a place has two bits of it");

void marks_follow(struct gen *g, int none)
{
	struct emit *e = g->e;

	emit_load(e, 8, R1, R9, ENTRY(to[0].key));
	emit_load(e, 8, R2, R9, ENTRY(to[0].at));
	emit_load(e, 8, R3, R9, ENTRY(key));
	emit_jump_if(e, BPF_JNE, R3, R8, none);
	emit_alu(e, BPF_MOV, R8, R1);
	state_store(g, RUN(place), R2);
	marks_entry_at(g, R9, none);
	emit_load(e, 8, R3, R9, ENTRY(key));
	emit_jump_if(e, BPF_JNE, R3, R8, none);
}

void marks_take(struct gen *g, int none)
{
	struct emit *e = g->e;

	for (int k = 0; k < 3; k++) {
		emit_load(e, 8, R1, R9, ENTRY(ids) + 8 * k);
		state_store(g, RUN(ids) + 8 * k, R1);
	}
	emit_load(e, 4, R1, R9, ENTRY(flags));
	state_store(g, RUN(flags), R1);
	emit_load(e, 8, R3, R9, ENTRY(key));
	emit_jump_if(e, BPF_JNE, R3, R8, none);
	state_store(g, RUN(key), R8);
	state_load(g, R1, RUN(place));
	state_store(g, RUN(at), R1);
	marks_add(g, HAS);
}

void marks_end(struct gen *g, uint8_t reg)
{
	emit_alu_imm(g->e, BPF_MOV, R1, 0);
	emit_atomic(g->e, BPF_CMPXCHG, reg, ENTRY(key), R1);
}

/* ---- taking an entry ---- */

/* To alive where the link at that offset of the set at R9 leads to a mark. */
static void alive_by_link(struct gen *g, int off, int alive)
{
	struct emit *e = g->e;
	int dead = emit_label_new(e);

	emit_load(e, 8, R1, R9, off + (int)offsetof(struct mark_link, key));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, dead);
	emit_load(e, 8, R1, R9, off + (int)offsetof(struct mark_link, at));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, dead);
	state_store(g, RUN(place), R1);
	marks_entry_at(g, R0, dead);
	emit_load(e, 8, R1, R0, ENTRY(key));
	emit_load(e, 8, R2, R9, off + (int)offsetof(struct mark_link, key));
	emit_jump_if(e, BPF_JEQ, R1, R2, alive);
	emit_label(e, dead);
	emit_checkpoint(e);
}

/* Way w of the set at R9 to take, where it is free or dead; else, if it is the oldest, it is noted. */
static void look_at_way(struct gen *g, int w, int claim)
{
	struct emit *e = g->e;
	int take = emit_label_new(e), alive = emit_label_new(e), next = emit_label_new(e), at = w << WAY_SHIFT;

	emit_load(e, 8, R1, R9, at + ENTRY(key));
	state_store(g, RUN(word), R1);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, take);
	emit_alu_imm(e, BPF_AND, R1, BUSY);
	emit_jump_if_imm(e, BPF_JNE, R1, 0, next);
	for (int k = 0; k < MARK_LEVELS; k++)
		alive_by_link(g, at + ENTRY(to) + k * (int)sizeof(struct mark_link), alive);
	emit_label(e, take);
	state_store_imm(g, RUN(way), at);
	state_load(g, R1, RUN(word));
	state_store(g, RUN(victim), R1);
	emit_jump(e, claim);
	emit_label(e, alive);
	emit_load(e, 8, R1, R9, at + ENTRY(time));
	state_load(g, R2, RUN(oldest));
	emit_jump_if(e, BPF_JGE, R1, R2, next);
	state_store(g, RUN(oldest), R1);
	state_store_imm(g, RUN(way), at);
	state_load(g, R1, RUN(word));
	state_store(g, RUN(victim), R1);
	emit_label(e, next);
	emit_checkpoint(e);
}

void marks_claim(struct gen *g, int own, int none)
{
	struct emit *e = g->e;
	int found = emit_label_new(e), claim = emit_label_new(e), end = emit_label_new(e);

	find_set(g, none);
	find_way(g, found);
	emit_imm(e, R1, -1);
	state_store(g, RUN(oldest), R1);
	state_store_imm(g, RUN(victim), 0);
	for (int w = 0; w < MARK_WAYS; w++)
		look_at_way(g, w, claim);
	state_load(g, R1, RUN(victim));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, none);
	gen_count_loss(g, LOSS_MARKS_FULL);
	emit_label(e, claim);
	take_way(g);
	state_load(g, R0, RUN(victim));
	emit_alu(e, BPF_MOV, R1, R8);
	emit_alu_imm(e, BPF_OR, R1, BUSY);
	emit_atomic(e, BPF_CMPXCHG, R9, ENTRY(key), R1);
	state_load(g, R1, RUN(victim));
	emit_jump_if(e, BPF_JNE, R0, R1, none);
	state_load(g, R1, HEAD(time_ns));
	emit_store(e, 8, R9, ENTRY(time), R1);
	for (int k = 1; k < MARK_LEVELS; k++)
		emit_store_imm(e, 8, R9, ENTRY(to[0].key) + k * (int)sizeof(struct mark_link), 0);
	emit_jump(e, end);
	emit_label(e, found);
	take_way(g);
	emit_alu(e, BPF_MOV, R0, R8);
	emit_alu(e, BPF_MOV, R1, R8);
	emit_alu_imm(e, BPF_OR, R1, BUSY);
	emit_atomic(e, BPF_CMPXCHG, R9, ENTRY(key), R1);
	emit_jump_if(e, BPF_JNE, R0, R8, none);
	state_load(g, R1, HEAD(time_ns));
	emit_store(e, 8, R9, ENTRY(time), R1);
	emit_jump(e, own);
	emit_label(e, end);
}

void marks_release(struct gen *g)
{
	emit_store(g->e, 8, R9, ENTRY(key), R8);
}

void marks_link_to_own(struct gen *g, int off)
{
	state_load(g, R1, RUN(at));
	emit_store(g->e, 8, R9, off + (int)offsetof(struct mark_link, at), R1);
	state_load(g, R1, RUN(key));
	emit_store(g->e, 8, R9, off + (int)offsetof(struct mark_link, key), R1);
}

void marks_note_place(struct gen *g)
{
	struct emit *e = g->e;

	emit_alu(e, BPF_MOV, R1, R8);
	emit_alu_imm(e, BPF_RSH, R1, SET_SHIFT);
	emit_alu_imm(e, BPF_AND, R1, (int32_t)g->env->mark_sets - 1);
	emit_alu_imm(e, BPF_LSH, R1, 2);
	state_load(g, R2, RUN(way));
	emit_alu_imm(e, BPF_RSH, R2, WAY_SHIFT);
	emit_alu(e, BPF_ADD, R1, R2);
	emit_alu_imm(e, BPF_ADD, R1, 1);
	state_store(g, RUN(at), R1);
	state_store(g, RUN(key), R8);
}
