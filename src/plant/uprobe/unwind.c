/*
 * Taking away calls that nothing can return from any more, innermost first (see calls.c): the callback of the loop. A
 * run looks at one call: it is stale, and told of as unwound; or it was dead already; or it is passed over; or
 * the search ends with it. It has no stack of its own: keys lie in the scratch element.
 */
#include "plant/uprobe/gen.h"

#include "event/loss.h"

#define CALL(field) ((int)offsetof(struct open_call_head, field))
#define RECORD(field) ((int)offsetof(struct open_call, record) + HEAD(field))

/* Jumps by what is to be done with the live call in R8: fall through when it stays and ends the search. */
static void judge(struct gen *g, int stale, int pass)
{
	struct emit *e = g->e;
	int stays = emit_label_new(e);

	emit_load(e, 8, R1, R8, RECORD(depth));
	state_load(g, R2, SCRATCH_STATE(depth));
	emit_load(e, 4, R3, R8, CALL(group));
	switch (g->p->role) {
	case PROGRAM_EXIT:
		emit_jump(e, stale);
		return;
	case PROGRAM_UNWIND:
		emit_jump_if(e, BPF_JGT, R1, R2, stale);
		break;
	case PROGRAM_RETURN:
		emit_jump_if(e, BPF_JGT, R1, R2, stale);
		emit_jump_if(e, BPF_JLT, R1, R2, stays);
		emit_jump_if_imm32(e, BPF_JNE, R3, (int32_t)g->p->call_group, pass);
		state_load(g, R1, SCRATCH_STATE(look));
		state_store(g, SCRATCH_STATE(found), R1);
		break;
	default:
		emit_jump_if(e, BPF_JGT, R1, R2, stale);
		emit_jump_if(e, BPF_JLT, R1, R2, stays);
		emit_jump_if_imm32(e, BPF_JEQ, R3, (int32_t)g->p->call_group, stale);
		emit_load(e, 8, R1, R8, CALL(ip));
		state_load(g, R2, SCRATCH_CALL(ip));
		emit_jump_if(e, BPF_JNE, R1, R2, stale);
		emit_jump(e, pass);
		break;
	}
	emit_label(e, stays);
	emit_alu_imm(e, BPF_MOV, R0, 1);
	emit_exit(e);
}

/* EVENT_UNWOUND and the record of the call in R8, into the ring. */
static void write_unwound(struct gen *g, int done)
{
	static const int copied[] = {HEAD(probe), HEAD(goid), HEAD(depth)}; /* probe and target in one word */
	struct emit *e = g->e;
	int full = emit_label_new(e);

	_Static_assert(HEAD(target) == HEAD(probe) + 4, "one word");
	call_record(g, R8, done);
	emit_load(e, 4, R2, R0, HEAD(size));
	emit_jump_if_imm(e, BPF_JGT, R2, EVENT_MAX_CALL, done);
	emit_alu(e, BPF_MOV, R9, R2);
	emit_alu_imm(e, BPF_ADD, R9, sizeof(struct event_header));
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++) {
		emit_load(e, 8, R1, R8, (int)offsetof(struct open_call, record) + copied[i]);
		emit_store(e, 8, REG_RECORD, copied[i], R1);
	}
	emit_store_imm(e, 4, REG_RECORD, HEAD(size), sizeof(struct event_header));
	emit_store_imm(e, 4, REG_RECORD, HEAD(version), EVENT_VERSION | EVENT_UNWOUND << 8);
	emit_store_imm(e, 8, REG_RECORD, HEAD(chunks), 0);
	emit_alu(e, BPF_MOV, R1, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R1, sizeof(struct event_header));
	emit_alu(e, BPF_MOV, R3, R0);
	emit_call(e, BPF_FUNC_probe_read_kernel);
	emit_call(e, BPF_FUNC_ktime_get_ns);
	emit_store(e, 8, REG_RECORD, HEAD(time_ns), R0);
	gen_output(g, full);
	emit_jump(e, done);
	emit_label(e, full);
	emit_store_imm(e, 8, REG_RECORD, SCRATCH_STATE(word), (int32_t)loss_key(g->probe_id));
	emit_alu(e, BPF_MOV, R2, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R2, SCRATCH_STATE(word));
	call_map(g, g->env->losses, BPF_FUNC_map_lookup_elem);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, done);
	emit_alu_imm(e, BPF_MOV, R1, 1);
	emit_atomic(e, BPF_ADD, R0, 8 * LOSS_RING_FULL, R1);
}

/* state.look and, with it, state.count go down by one. */
static void step_down(struct gen *g, bool count)
{
	state_load(g, R1, SCRATCH_STATE(look));
	emit_alu_imm(g->e, BPF_SUB, R1, 1);
	state_store(g, SCRATCH_STATE(look), R1);
	if (count)
		state_store(g, SCRATCH_STATE(count), R1);
	gen_return(g);
}

/*
 * A call that is over, but not innermost, falls behind the one above it: R8 is marked dead. To top if it is innermost.
 */
static void bury(struct gen *g, int top, int pass)
{
	struct emit *e = g->e;

	state_load(g, R1, SCRATCH_STATE(look));
	state_load(g, R2, SCRATCH_STATE(count));
	emit_jump_if(e, BPF_JEQ, R1, R2, top);
	emit_load(e, 4, R3, R8, CALL(flags));
	emit_alu_imm(e, BPF_OR, R3, CALL_DEAD);
	emit_store(e, 4, R8, CALL(flags), R3);
	call_lookup(g); /* R1: the level above */
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, pass);
	emit_store_imm(e, 8, R0, CALL(below), -1);
	emit_jump(e, pass);
}

void calls_callbacks(struct gen *g)
{
	struct emit *e = g->e;
	int got = emit_label_new(e), more = emit_label_new(e), alive = emit_label_new(e);
	int stale = emit_label_new(e), pop = emit_label_new(e), pass = emit_label_new(e), over = emit_label_new(e);

	if (g->unwind < 0)
		return;
	emit_subprog(e, g->unwind);
	emit_load(e, 8, REG_RECORD, R2, 0);
	state_load(g, R1, SCRATCH_STATE(look));
	emit_jump_if_imm(e, BPF_JNE, R1, 0, more);
	emit_alu_imm(e, BPF_MOV, R0, 1);
	emit_exit(e);
	emit_label(e, more);
	emit_alu_imm(e, BPF_SUB, R1, 1);
	call_lookup(g);
	emit_jump_if_imm(e, BPF_JNE, R0, 0, got);
	emit_store_imm(e, 8, REG_RECORD, SCRATCH_STATE(limit), -1); /* taken from user space: look again */
	step_down(g, true);
	emit_label(e, got);
	emit_alu(e, BPF_MOV, R8, R0);
	emit_load(e, 4, R1, R8, CALL(flags));
	emit_alu_imm(e, BPF_AND, R1, CALL_DEAD);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, alive);
	state_load(g, R1, SCRATCH_STATE(look));
	state_load(g, R2, SCRATCH_STATE(count));
	emit_jump_if(e, BPF_JEQ, R1, R2, pop);
	emit_label(e, pass);
	step_down(g, false);
	emit_label(e, alive);
	judge(g, stale, pass);
	emit_label(e, stale);
	emit_load(e, 4, R1, R8, CALL(flags));
	emit_alu_imm(e, BPF_AND, R1, CALL_QUIET);
	emit_jump_if_imm(e, BPF_JNE, R1, 0, over);
	write_unwound(g, over);
	emit_label(e, over);
	if (g->p->role == PROGRAM_ENTRY)
		bury(g, pop, pass);
	emit_label(e, pop);
	emit_load(e, 8, R1, R8, CALL(below));
	state_store(g, SCRATCH_STATE(limit), R1);
	emit_load(e, 4, R9, R8, CALL(flags));
	call_delete(g);
	step_down(g, true);
}
