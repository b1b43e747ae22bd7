/*
 * Controlled programs: their hits are counted, and of the events that pass so many are let through as plant_control
 * says. All of it lies in one array map, an element a probe, that user space may write while the programs run.
 */
#include "plant/uprobe/gen.h"

#include "event/loss.h"

#define FIELD(f) ((int)offsetof(struct control, f))
#define TRIES 8 /* other CPUs that come between; more is taken for too many */

/* R0 = the probe's element, or to none. */
static void lookup(struct gen *g, int none)
{
	struct emit *e = g->e;

	emit_store_imm(e, 8, FP, BK_KEY, (int32_t)g->probe_id);
	emit_map_fd(e, R1, g->env->controls);
	emit_alu(e, BPF_MOV, R2, FP);
	emit_alu_imm(e, BPF_ADD, R2, BK_KEY);
	emit_call(e, BPF_FUNC_map_lookup_elem);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, none);
}

void control_hit(struct gen *g)
{
	struct emit *e = g->e;
	int none = emit_label_new(e);

	if (!g->p->controlled)
		return;
	lookup(g, none);
	emit_alu_imm(e, BPF_MOV, R1, 1);
	emit_atomic(e, BPF_ADD, R0, FIELD(hits), R1);
	emit_label(e, none);
}

/* The element is in R8. */
static void every(struct gen *g)
{
	struct emit *e = g->e;
	int all = emit_label_new(e);

	emit_load(e, 8, R2, R8, FIELD(every));
	emit_jump_if_imm(e, BPF_JLE, R2, 1, all);
	emit_alu_imm(e, BPF_MOV, R1, 1);
	emit_atomic(e, BPF_ADD | BPF_FETCH, R8, FIELD(passed), R1);
	emit_alu(e, BPF_MOD, R1, R2);
	emit_jump_if_imm(e, BPF_JNE, R1, 0, gen_drop(g, LOSS_EVERY));
	emit_label(e, all);
}

/* The second and how many passed in it are one word, so no event is let through twice. */
static void rate(struct gen *g)
{
	struct emit *e = g->e;
	int all = emit_label_new(e), limited = gen_drop(g, LOSS_RATE_LIMITED);

	emit_load(e, 8, R1, R8, FIELD(per_second));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, all);
	emit_call(e, BPF_FUNC_ktime_get_ns);
	emit_alu_imm(e, BPF_DIV, R0, 1000000000);
	emit_alu_imm(e, BPF_LSH, R0, 32);
	emit_alu(e, BPF_MOV, R9, R0);
	for (int i = 0; i < TRIES; i++) {
		int same = emit_label_new(e), take = emit_label_new(e);

		emit_load(e, 8, R0, R8, FIELD(window));
		emit_alu(e, BPF_MOV, R2, R0);
		emit_alu(e, BPF_MOV, R3, R0);
		emit_alu_imm(e, BPF_RSH, R3, 32);
		emit_alu_imm(e, BPF_LSH, R3, 32);
		emit_jump_if(e, BPF_JEQ, R3, R9, same);
		emit_alu(e, BPF_MOV, R2, R9);
		emit_jump(e, take);
		emit_label(e, same);
		emit_alu(e, BPF_XOR, R3, R2);
		emit_load(e, 8, R1, R8, FIELD(per_second));
		emit_jump_if(e, BPF_JGE, R3, R1, limited);
		emit_label(e, take);
		emit_alu_imm(e, BPF_ADD, R2, 1);
		emit_alu(e, BPF_MOV, R4, R0);
		emit_atomic(e, BPF_CMPXCHG, R8, FIELD(window), R2);
		emit_jump_if(e, BPF_JEQ, R0, R4, all);
	}
	emit_jump(e, limited);
	emit_label(e, all);
}

void control_pass(struct gen *g)
{
	int none = emit_label_new(g->e);

	if (!g->p->controlled || (g->p->role != PROGRAM_POINT && g->p->role != PROGRAM_ENTRY))
		return;
	lookup(g, none);
	emit_alu(g->e, BPF_MOV, R8, R0);
	every(g);
	rate(g);
	emit_label(g->e, none);
	emit_checkpoint(g->e);
}
