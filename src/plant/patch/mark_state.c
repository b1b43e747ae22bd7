/*
 * Tracestates that came in (IR_MARK_STATE), in the area. The mark that begins with a header has its place for one by
 * where it lies itself, and links to itself; the marks below it get its link from their parents. So a tracestate is
 * there as long as its mark is, and who wants the place next looks whether that one has ended, and takes it over as any
 * entry (mark_table.c): nobody gives one back.
 */
#include "plant/patch/marks.h"

#define STATE_AT(reg, field) MEM(reg, offsetof(struct patch_state, field))

/* RDI = the place for a tracestate of the mark at RCX. Clobbers RAX. */
static void place_of(struct code *g)
{
	const struct patch_area *l = g->env->layout;
	struct x86 *x = &g->x;

	x86_imm(x, RAX, g->env->area + l->marks_off);
	x86_mov(x, RDI, RCX);
	x86_alu(x, X_SUB, RDI, RAX);
	x86_shift(x, X_SHR, RDI, (uint8_t)__builtin_ctz(sizeof(struct patch_mark)));
	x86_alu_imm(x, X_AND, RDI, (int32_t)l->nstates - 1);
	x86_imul_imm(x, RDI, RDI, sizeof(struct patch_state));
	x86_imm(x, RAX, g->env->area + l->states_off);
	x86_alu(x, X_ADD, RDI, RAX);
}

/* RCX = the mark at slot.mark_root; to gone where that has ended. Clobbers RAX. */
static void root_is_there(struct code *g, int gone)
{
	struct x86 *x = &g->x;

	x86_load(x, 8, false, RAX, SLOT(mark_root.key));
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_E, gone);
	x86_load(x, 8, false, RCX, SLOT(mark_root.at));
	x86_alu_load(x, X_CMP, RAX, ENTRY(RCX, key));
	x86_jcc(x, CC_NE, gone);
}

/* slot.mark_root = the link of the run's mark, which is one of this process; to none where it has ended. */
static void load_root(struct code *g, int none)
{
	struct x86 *x = &g->x;

	x86_load(x, 8, false, RSI, SLOT(mark_at));
	x86_load(x, 8, false, RCX, ENTRY(RSI, state.key));
	x86_load(x, 8, false, RDX, ENTRY(RSI, state.at));
	x86_load(x, 8, false, RAX, SLOT(mark_key));
	x86_alu_load(x, X_CMP, RAX, ENTRY(RSI, key));
	x86_jcc(x, CC_NE, none);
	x86_store(x, 8, SLOT(mark_root.key), RCX);
	x86_store(x, 8, SLOT(mark_root.at), RDX);
}

void mark_state_of_parent(struct code *g)
{
	struct x86 *x = &g->x;
	int none = x86_label_new(x);

	x86_store_imm(x, 8, SLOT(mark_root.key), 0);
	mark_needs_own(g, none);
	load_root(g, none);
	x86_label(x, none);
}

void code_find_state(struct code *g, int none)
{
	if (!g->env->layout->nstates || !capture_has_marks(g->p)) {
		x86_jmp(&g->x, none);
		return;
	}
	mark_needs_own(g, none);
	load_root(g, none);
	root_is_there(g, none);
	place_of(g);
	x86_mov(&g->x, RSI, RDI);
}

void code_check_state(struct code *g, int gone)
{
	root_is_there(g, gone);
}

/* ---- what came in ---- */

/*
 * RDI = the place for the run's mark, with that one's key and MARK_BUSY; to full where another mark's is there, or is
 * being written.
 */
static void claim(struct code *g, int full)
{
	struct x86 *x = &g->x;
	int is_free = x86_label_new(x);

	x86_load(x, 8, false, RCX, SLOT(mark_at));
	place_of(g);
	x86_load(x, 8, false, RAX, STATE_AT(RDI, key));
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_E, is_free);
	x86_test_imm8(x, RAX, MARK_BUSY);
	x86_jcc(x, CC_NE, full);
	x86_load(x, 8, false, RCX, STATE_AT(RDI, at));
	x86_alu_load(x, X_CMP, RAX, ENTRY(RCX, key));
	x86_jcc(x, CC_E, full);
	x86_label(x, is_free);
	x86_load(x, 8, false, RCX, SLOT(mark_key));
	x86_alu_imm(x, X_OR, RCX, MARK_BUSY);
	x86_lock_cmpxchg(x, STATE_AT(RDI, key), RCX);
	x86_jcc(x, CC_NE, full);
	x86_load(x, 8, false, RAX, SLOT(mark_at));
	x86_store(x, 8, STATE_AT(RDI, at), RAX);
	x86_store(x, 8, SLOT(mark_place_of_state), RDI);
}

/* Does what TS_… say of the step in RDX: RCX are the bytes of the part, slot.mark_tries the members. */
static void count_step(struct code *g, int bad)
{
	struct x86 *x = &g->x;
	int same = x86_label_new(x), uncounted = x86_label_new(x), any = x86_label_new(x), no_member = x86_label_new(x);

	x86_test_imm8(x, RDX, TS_FIRST);
	x86_jcc(x, CC_E, same);
	x86_imm(x, RCX, 0);
	x86_label(x, same);
	x86_test_imm8(x, RDX, TS_COUNT);
	x86_jcc(x, CC_E, uncounted);
	x86_alu_imm(x, X_ADD, RCX, 1);
	x86_label(x, uncounted);
	x86_test_imm8(x, RDX, TS_LIMIT);
	x86_jcc(x, CC_E, any);
	x86_alu_imm(x, X_CMP, RCX, TRACESTATE_PART);
	x86_jcc(x, CC_A, bad);
	x86_label(x, any);
	x86_test_imm8(x, RDX, TS_MEMBER);
	x86_jcc(x, CC_E, no_member);
	x86_alu_mem_imm(x, X_ADD, 8, SLOT(mark_tries), 1);
	x86_label(x, no_member);
}

/* To bad unless what has been copied to the place at slot.mark_place_of_state is a list. */
static void validate(struct code *g, int bad)
{
	struct x86 *x = &g->x;
	int again = x86_label_new(x), end = x86_label_new(x);

	x86_load(x, 8, false, RDI, SLOT(mark_place_of_state));
	x86_lea(x, RSI, STATE_AT(RDI, text));
	x86_load(x, 8, false, RCX, STATE_AT(RDI, len));
	x86_alu(x, X_ADD, RCX, RSI);
	x86_mov(x, MARK_TEMP, RCX);
	x86_imm(x, RDI, g->env->area + g->env->layout->rules_off);
	x86_imm(x, RCX, 0);
	x86_imm(x, RDX, TS_BEGIN);
	x86_store_imm(x, 8, SLOT(mark_tries), 0);
	x86_label(x, again);
	x86_alu(x, X_CMP, RSI, MARK_TEMP);
	x86_jcc(x, CC_AE, end);
	x86_load(x, 1, false, RAX, MEM(RSI, 0));
	x86_load(x, 1, false, RAX, MEMX(RDI, RAX, offsetof(struct tracestate_rules, class)));
	x86_shift(x, X_SHL, RDX, (uint8_t)__builtin_ctz(TS_CLASSES));
	x86_alu(x, X_ADD, RAX, RDX);
	x86_load(x, 1, false, RDX, MEMX(RDI, RAX, offsetof(struct tracestate_rules, step)));
	count_step(g, bad);
	x86_alu_imm(x, X_AND, RDX, TS_NEXT);
	x86_alu_imm(x, X_ADD, RSI, 1);
	x86_jmp(x, again);
	x86_label(x, end);
	x86_alu_imm(x, X_CMP, RDX, TS_IN_VALUE);
	x86_jcc(x, CC_NE, bad);
	x86_alu_mem_imm(x, X_CMP, 8, SLOT(mark_tries), TRACESTATE_MEMBERS);
	x86_jcc(x, CC_A, bad);
}
_Static_assert(!(TS_CLASSES & (TS_CLASSES - 1)) && TS_STATES == 1 + (int)TS_NEXT, "steps are found by shifts");

/* The place is the mark's, and the mark links to itself. */
static void publish(struct code *g)
{
	struct x86 *x = &g->x;

	x86_load(x, 8, false, RDI, SLOT(mark_place_of_state));
	x86_load(x, 8, false, RSI, SLOT(mark_at));
	x86_load(x, 8, false, RAX, SLOT(mark_key));
	x86_store(x, 8, STATE_AT(RDI, key), RAX);
	x86_store(x, 8, ENTRY(RSI, state.at), RSI);
	x86_store(x, 8, ENTRY(RSI, state.key), RAX);
}

void mark_state(struct code *g, const struct ir_insn *i, int end)
{
	struct x86 *x = &g->x;
	int full = x86_label_new(x), bad = x86_label_new(x), long_one = x86_label_new(x), done = x86_label_new(x);

	mark_only_in(g, CAME_IN, end);
	code_get(g, RCX, i->b);
	x86_test(x, RCX, RCX);
	x86_jcc(x, CC_E, end);
	code_forget(g);
	claim(g, full);
	code_fault(g, bad);
	code_get(g, RDX, i->b);
	x86_alu_imm(x, X_CMP, RDX, MARK_STATE_MAX);
	x86_jcc(x, CC_A, long_one);
	x86_store(x, 8, STATE_AT(RDI, len), RDX);
	code_get(g, RSI, i->a);
	x86_alu_imm(x, X_ADD, RDI, offsetof(struct patch_state, text));
	code_copy(g, MARK_STATE_MAX);
	validate(g, bad);
	x86_label(x, done);
	publish(g);
	x86_jmp(x, end);
	x86_label(x, long_one);
	x86_store_imm(x, 8, STATE_AT(RDI, len), MARK_STATE_MAX + 1);
	x86_jmp(x, done);
	x86_label(x, bad);
	x86_load(x, 8, false, RDI, SLOT(mark_place_of_state));
	x86_store_imm(x, 8, STATE_AT(RDI, key), 0);
	x86_jmp(x, end);
	x86_label(x, full);
	mark_count_full(g);
}
