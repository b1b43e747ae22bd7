/*
 * The calls that are open on each goroutine: from a PROGRAM_ENTRY to its PROGRAM_RETURN.
 *
 * They lie in one hash map as a stack for each goroutine, by level. The element at level 0 also says how many there
 * are, and the depth of the innermost (`limit` is that + 1): so the usual call, which is the only one of its goroutine,
 * takes two look-ups, an update and a delete, and goroutines without calls take no memory. The record of the entry is
 * in the element itself, or in a second map if it is long.
 *
 * An entry that finds the innermost call outside of its own, and a return that finds its call innermost, need no loop:
 * that is all of their cost. Otherwise calls were unwound unnoticed (a panic in a program whose hooks could not be
 * planted), or two questions ask for one function: their calls lie at one depth, in the order of the entry's programs,
 * and return in any. The loop below (bpf_loop, a callback in each program that may need it) takes away what is stale,
 * innermost first. A call that returns beneath another is marked dead, and goes when what lies above has gone; the
 * limit it leaves behind is the highest there is, so that whoever comes next enters the loop.
 *
 * Calls of one depth are taken for one invocation when their entries have the same address and they are of different
 * groups; so an entry ends, of its own depth, those of other addresses and that of its own group.
 *
 * The callback has no stack of its own (see STACK_REGS_SHARED): its keys lie in the scratch element.
 */
#include "plant/uprobe/gen.h"

#include "event/loss.h"

#define CALL(field) ((int)offsetof(struct open_call_head, field))
#define RECORD(field) ((int)offsetof(struct open_call, record) + HEAD(field))
#define KEY(field) (STACK_BUF + (int)offsetof(struct call_key, field))
#define LOOPS (1 << 20) /* more than there can be calls */

bool calls_used(const struct capture_program *p)
{
	return p->role != PROGRAM_POINT;
}

/* R2 = the state's key */
static void state_key(struct gen *g)
{
	emit_alu(g->e, BPF_MOV, R2, REG_RECORD);
	emit_alu_imm(g->e, BPF_ADD, R2, SCRATCH_STATE(key));
}

/* R2 = the key in the scratch element, its level from R1. */
static void key_of_level(struct gen *g)
{
	emit_store(g->e, 4, REG_RECORD, SCRATCH_STATE(key.level), R1);
	state_key(g);
}

/* helper(map, R2, …) */
void call_map(struct gen *g, int map, int helper)
{
	emit_map_fd(g->e, R1, map);
	emit_call(g->e, helper);
}

/* R0 = the call of level R1, or 0. */
void call_lookup(struct gen *g)
{
	key_of_level(g);
	call_map(g, g->env->calls, BPF_FUNC_map_lookup_elem);
}

/* System stacks have no number (R8 is 0): there is one a thread, which stands in for it, with the top bit set. */
static void key_goid(struct gen *g)
{
	struct emit *e = g->e;
	int goroutine = emit_label_new(e);

	emit_alu(e, BPF_MOV, R0, R8);
	emit_jump_if_imm(e, BPF_JNE, R8, 0, goroutine);
	emit_call(e, BPF_FUNC_get_current_pid_tgid);
	emit_alu_imm(e, BPF_LSH, R0, 32);
	emit_alu_imm(e, BPF_RSH, R0, 32);
	emit_imm(e, R1, (int64_t)CALL_KEY_THREAD);
	emit_alu(e, BPF_OR, R0, R1);
	emit_label(e, goroutine);
	emit_store(e, 8, FP, KEY(goid), R0);
}

/* R0 = the goroutine's outermost call, or 0: with a key on the stack. */
static void lookup_base(struct gen *g)
{
	struct emit *e = g->e;

	key_goid(g);
	gen_target(g);
	emit_store(e, 4, FP, KEY(target), R0);
	emit_store_imm(e, 4, FP, KEY(level), 0);
	emit_alu(e, BPF_MOV, R2, FP);
	emit_alu_imm(e, BPF_ADD, R2, STACK_BUF);
	call_map(g, g->env->calls, BPF_FUNC_map_lookup_elem);
}

/* The state, from the key on the stack and R9. */
static void begin_state(struct gen *g)
{
	struct emit *e = g->e;

	emit_load(e, 8, R1, FP, KEY(goid));
	state_store(g, SCRATCH_STATE(key.goid), R1);
	emit_load(e, 8, R1, FP, KEY(target));
	state_store(g, SCRATCH_STATE(key.target), R1);
	state_store(g, SCRATCH_STATE(depth), R9);
}

/* R0 = the record of the call in R8 whose key is in the state; to none when it is not there. */
void call_record(struct gen *g, uint8_t call, int none)
{
	struct emit *e = g->e;
	int small = emit_label_new(e);

	emit_load(e, 4, R1, call, CALL(flags));
	emit_alu(e, BPF_MOV, R0, call);
	emit_alu_imm(e, BPF_ADD, R0, offsetof(struct open_call, record));
	emit_alu_imm(e, BPF_AND, R1, CALL_BIG);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, small);
	state_key(g);
	call_map(g, g->env->big_calls, BPF_FUNC_map_lookup_elem);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, none);
	emit_label(e, small);
}

/* Deletes the element whose key is in the state; its flags are in R9. */
void call_delete(struct gen *g)
{
	struct emit *e = g->e;
	int small = emit_label_new(e);

	emit_alu_imm(e, BPF_AND, R9, CALL_BIG);
	emit_jump_if_imm(e, BPF_JEQ, R9, 0, small);
	state_key(g);
	call_map(g, g->env->big_calls, BPF_FUNC_map_delete_elem);
	emit_label(e, small);
	state_key(g);
	call_map(g, g->env->calls, BPF_FUNC_map_delete_elem);
}

/* ---- taking away what is stale ---- */

/*
 * Runs the loop over the goroutine's calls; BK_BASE has the outermost one. Afterwards state.count and limit are what
 * is left, and state.found the level + 1 of the call that returns.
 */
static void clean(struct gen *g)
{
	struct emit *e = g->e;
	int gone = emit_label_new(e);

	if (g->unwind < 0)
		g->unwind = emit_label_new(e);
	emit_load(e, 8, R1, FP, BK_BASE);
	emit_load(e, 8, R2, R1, CALL(count));
	state_store(g, SCRATCH_STATE(count), R2);
	state_store(g, SCRATCH_STATE(look), R2);
	emit_load(e, 8, R2, R1, CALL(limit));
	state_store(g, SCRATCH_STATE(limit), R2);
	state_store_imm(g, SCRATCH_STATE(found), 0);
	gen_loop(g, g->unwind, LOOPS, BK_CALL);
	emit_alu_imm(e, BPF_MOV, R1, 0);
	call_lookup(g);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, gone);
	state_load(g, R1, SCRATCH_STATE(count));
	emit_store(e, 8, R0, CALL(count), R1);
	state_load(g, R1, SCRATCH_STATE(limit));
	emit_store(e, 8, R0, CALL(limit), R1);
	emit_label(e, gone);
}

/* ---- entry ---- */

void calls_enter(struct gen *g)
{
	struct emit *e = g->e;
	int slow = emit_label_new(e), none = emit_label_new(e), done = emit_label_new(e);

	lookup_base(g);
	emit_store(e, 8, FP, BK_BASE, R0);
	begin_state(g);
	emit_load(e, 8, R1, REG_CTX, g->arch->saved_pc);
	state_store(g, SCRATCH_CALL(ip), R1);
	state_store_imm(g, SCRATCH_CALL(valid), 0);
	emit_alu_imm(e, BPF_MOV, R1, 0);
	emit_alu_imm(e, BPF_MOV, R2, 0);
	emit_load(e, 8, R0, FP, BK_BASE);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, none);
	emit_load(e, 8, R2, R0, CALL(limit));
	emit_jump_if(e, BPF_JGT, R2, R9, slow);
	emit_load(e, 8, R1, R0, CALL(count));
	emit_label(e, none);
	state_store(g, SCRATCH_STATE(level), R1);
	state_store(g, SCRATCH_CALL(below), R2);
	emit_jump(e, done);
	emit_label(e, slow);
	clean(g);
	emit_alu_imm(e, BPF_MOV, R2, 0);
	state_load(g, R1, SCRATCH_STATE(count));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, none);
	state_load(g, R2, SCRATCH_STATE(limit));
	emit_jump(e, none);
	emit_label(e, done);
}

static uint32_t flags_of(const struct gen *g)
{
	return g->p->no_record || g->p->unwound_unseen ? CALL_QUIET : 0;
}

/* The element of the small map; R9 has its flags. */
static void put_call(struct gen *g, int full)
{
	struct emit *e = g->e;
	int done = emit_label_new(e), failed = emit_label_new(e);

	emit_store(e, 4, REG_RECORD, SCRATCH_CALL(flags), R9);
	emit_store_imm(e, 4, REG_RECORD, SCRATCH_CALL(group), (int32_t)g->p->call_group);
	state_load(g, R8, SCRATCH_STATE(level));
	state_load(g, R1, SCRATCH_STATE(depth));
	emit_alu_imm(e, BPF_ADD, R1, 1);
	state_store_imm(g, SCRATCH_CALL(count), 1);
	state_store(g, SCRATCH_CALL(limit), R1);
	state_key(g);
	emit_alu(e, BPF_MOV, R3, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R3, SCRATCH_CALL(count));
	emit_alu_imm(e, BPF_MOV, R4, BPF_ANY);
	call_map(g, g->env->calls, BPF_FUNC_map_update_elem);
	emit_jump_if_imm(e, BPF_JNE, R0, 0, failed);
	emit_jump_if_imm(e, BPF_JEQ, R8, 0, done);
	emit_alu_imm(e, BPF_MOV, R1, 0);
	call_lookup(g);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, done);
	emit_alu_imm(e, BPF_ADD, R8, 1);
	emit_store(e, 8, R0, CALL(count), R8);
	state_load(g, R1, SCRATCH_CALL(limit));
	emit_store(e, 8, R0, CALL(limit), R1);
	emit_jump(e, done);
	emit_label(e, failed);
	emit_alu_imm(e, BPF_AND, R9, CALL_BIG);
	emit_jump_if_imm(e, BPF_JEQ, R9, 0, full);
	state_key(g);
	call_map(g, g->env->big_calls, BPF_FUNC_map_delete_elem);
	emit_jump(e, full);
	emit_label(e, done);
}

void calls_push(struct gen *g)
{
	struct emit *e = g->e;
	int put = emit_label_new(e), full = gen_drop(g, LOSS_CALLS_FULL);

	state_load(g, R1, SCRATCH_STATE(level));
	key_of_level(g);
	emit_load(e, 4, R1, REG_RECORD, HEAD(size));
	emit_alu_imm(e, BPF_MOV, R9, (int32_t)flags_of(g));
	emit_jump_if_imm(e, BPF_JLE, R1, CALL_SMALL, put);
	emit_alu(e, BPF_MOV, R3, REG_RECORD);
	emit_alu_imm(e, BPF_MOV, R4, BPF_ANY);
	call_map(g, g->env->big_calls, BPF_FUNC_map_update_elem);
	emit_jump_if_imm(e, BPF_JNE, R0, 0, full);
	emit_alu_imm(e, BPF_MOV, R9, (int32_t)(flags_of(g) | CALL_BIG));
	emit_label(e, put);
	put_call(g, full);
}

int gen_call_save(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;

	gen_get(g, R1, i->a);
	state_store(g, SCRATCH_CALL(saved) + (int)(8 * i->imm), R1);
	state_load(g, R1, SCRATCH_CALL(valid));
	emit_alu_imm(e, BPF_OR, R1, 1 << i->imm);
	state_store(g, SCRATCH_CALL(valid), R1);
	return 1;
}

/* ---- return ---- */

/* The call in R0, innermost, goes: the outermost one in R1 says so. Its element stays until the end. */
static void unlink_call(struct gen *g)
{
	struct emit *e = g->e;

	state_load(g, R2, SCRATCH_STATE(level));
	emit_store(e, 8, R1, CALL(count), R2);
	emit_load(e, 8, R2, R0, CALL(below));
	emit_store(e, 8, R1, CALL(limit), R2);
	state_store_imm(g, SCRATCH_STATE(ends), 1);
}

/* Something lies in the way: cleans, and searches. BK_CALL is the call, else a silent end. */
static void find_slow(struct gen *g)
{
	struct emit *e = g->e;
	int silent, beneath = emit_label_new(e), done = emit_label_new(e);

	silent = gen_drop(g, DROP_NO_CALL);
	clean(g);
	state_load(g, R1, SCRATCH_STATE(found));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, silent);
	emit_alu_imm(e, BPF_SUB, R1, 1);
	state_store(g, SCRATCH_STATE(level), R1);
	call_lookup(g);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, silent);
	emit_store(e, 8, FP, BK_CALL, R0);
	state_load(g, R1, SCRATCH_STATE(found));
	state_load(g, R2, SCRATCH_STATE(count));
	emit_jump_if(e, BPF_JNE, R1, R2, beneath);
	emit_alu_imm(e, BPF_MOV, R1, 0);
	call_lookup(g);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, silent);
	emit_alu(e, BPF_MOV, R1, R0);
	emit_load(e, 8, R0, FP, BK_CALL);
	unlink_call(g);
	emit_jump(e, done);
	emit_label(e, beneath);
	emit_load(e, 4, R2, R0, CALL(flags));
	emit_alu_imm(e, BPF_OR, R2, CALL_DEAD);
	emit_store(e, 4, R0, CALL(flags), R2);
	state_store_imm(g, SCRATCH_STATE(ends), 0);
	call_lookup(g); /* the one above */
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, done);
	emit_store_imm(e, 8, R0, CALL(below), -1);
	emit_label(e, done);
	state_load(g, R1, SCRATCH_STATE(level));
	key_of_level(g);
}

/* R0 is the innermost call: to no unless it is of this depth (R9) and group. Clobbers R1. */
static void innermost_is_ours(struct gen *g, int no)
{
	struct emit *e = g->e;

	emit_load(e, 8, R1, R0, RECORD(depth));
	emit_jump_if(e, BPF_JNE, R1, R9, no);
	emit_load(e, 4, R1, R0, CALL(group));
	emit_jump_if_imm32(e, BPF_JNE, R1, (int32_t)g->p->call_group, no);
}

/* R0 = the innermost call, if it is ours; else to slow. */
static void find_fast(struct gen *g, int slow)
{
	struct emit *e = g->e;
	int have = emit_label_new(e);

	emit_load(e, 8, R0, FP, BK_BASE);
	emit_load(e, 8, R1, R0, CALL(count));
	emit_alu_imm(e, BPF_SUB, R1, 1);
	state_store(g, SCRATCH_STATE(level), R1);
	emit_store(e, 4, REG_RECORD, SCRATCH_STATE(key.level), R1);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, have);
	call_lookup(g);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, slow);
	emit_label(e, have);
	innermost_is_ours(g, slow);
	emit_load(e, 4, R1, R0, CALL(flags));
	emit_alu_imm(e, BPF_AND, R1, CALL_DEAD);
	emit_jump_if_imm(e, BPF_JNE, R1, 0, slow);
}

void calls_find(struct gen *g)
{
	struct emit *e = g->e;
	int slow = emit_label_new(e), ready = emit_label_new(e), silent = gen_drop(g, DROP_SILENT);

	lookup_base(g);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, silent);
	emit_load(e, 8, R1, R0, CALL(limit));
	emit_jump_if(e, BPF_JLE, R1, R9, silent);
	emit_store(e, 8, FP, BK_BASE, R0);
	gen_take_scratch(g);
	begin_state(g);
	find_fast(g, slow);
	emit_store(e, 8, FP, BK_CALL, R0);
	emit_load(e, 8, R1, FP, BK_BASE);
	unlink_call(g);
	emit_jump(e, ready);
	emit_label(e, slow);
	find_slow(g);
	emit_label(e, ready);
	emit_store_imm(e, 8, FP, BK_BASE, 0);
	emit_checkpoint(e);
	g->in_call = true;
	emit_call(e, BPF_FUNC_ktime_get_ns);
	state_store(g, SCRATCH_STATE(now), R0);
}

void calls_return_dropped(struct gen *g)
{
	struct emit *e = g->e;
	int have = emit_label_new(e), none = emit_label_new(e);

	if (g->p->role != PROGRAM_RETURN)
		return;
	emit_load(e, 8, R0, FP, BK_BASE);
	emit_load(e, 8, R1, R0, CALL(count));
	emit_alu_imm(e, BPF_SUB, R1, 1);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, have);
	emit_store(e, 4, FP, KEY(level), R1);
	emit_alu(e, BPF_MOV, R2, FP);
	emit_alu_imm(e, BPF_ADD, R2, STACK_BUF);
	call_map(g, g->env->calls, BPF_FUNC_map_lookup_elem);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, none);
	emit_label(e, have);
	innermost_is_ours(g, none);
	emit_load(e, 4, R1, R0, CALL(flags));
	emit_alu_imm(e, BPF_OR, R1, CALL_QUIET);
	emit_store(e, 4, R0, CALL(flags), R1);
	emit_label(e, none);
}

void calls_end(struct gen *g)
{
	struct emit *e = g->e;
	int done = emit_label_new(e);

	state_load(g, R1, SCRATCH_STATE(ends));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, done);
	emit_load(e, 8, R1, FP, BK_CALL);
	emit_load(e, 4, R9, R1, CALL(flags));
	call_delete(g);
	emit_label(e, done);
}

/* state.size = that of the sample. */
void calls_append(struct gen *g)
{
	struct emit *e = g->e;
	int damaged = gen_drop(g, LOSS_RING_FULL);

	emit_load(e, 8, R8, FP, BK_CALL);
	call_record(g, R8, damaged);
	emit_load(e, 4, R2, R0, HEAD(size));
	emit_jump_if_imm(e, BPF_JGT, R2, EVENT_MAX_CALL, damaged);
	emit_load(e, 4, R1, REG_RECORD, HEAD(size));
	emit_jump_if_imm(e, BPF_JGT, R1, EVENT_MAX_SIZE, damaged);
	emit_alu(e, BPF_MOV, R9, R1);
	emit_alu(e, BPF_ADD, R9, R2);
	state_store(g, SCRATCH_STATE(size), R9);
	emit_alu(e, BPF_ADD, R1, REG_RECORD);
	emit_alu(e, BPF_MOV, R3, R0);
	emit_call(e, BPF_FUNC_probe_read_kernel);
}

int gen_call_saved(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;

	emit_load(e, 8, R1, FP, BK_CALL);
	emit_load(e, 8, R2, R1, CALL(valid));
	emit_alu_imm(e, BPF_AND, R2, 1 << i->imm);
	emit_jump_if_imm(e, BPF_JEQ, R2, 0, gen_fail(g, SLOT_ABSENT));
	emit_load(e, 8, R0, R1, CALL(saved) + (int)(8 * i->imm));
	gen_put(g, i->dst, R0);
	return 1;
}

int gen_latency(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;

	emit_load(e, 8, R1, FP, BK_CALL);
	emit_load(e, 8, R2, R1, RECORD(time_ns));
	state_load(g, R0, SCRATCH_STATE(now));
	emit_alu(e, BPF_SUB, R0, R2);
	gen_put(g, i->dst, R0);
	return 1;
}

/* ---- unwinding ---- */

void calls_unwind(struct gen *g)
{
	struct emit *e = g->e;
	int silent = gen_drop(g, DROP_SILENT);

	lookup_base(g);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, silent);
	emit_store(e, 8, FP, BK_BASE, R0);
	if (g->p->role == PROGRAM_UNWIND) {
		emit_load(e, 8, R1, R0, CALL(limit));
		emit_alu(e, BPF_MOV, R2, R9);
		emit_alu_imm(e, BPF_ADD, R2, 1);
		emit_jump_if(e, BPF_JLE, R1, R2, silent);
	}
	if (!g->holds_scratch)
		gen_take_scratch(g);
	begin_state(g);
	clean(g);
	gen_release(g);
}
