/*
 * Tracestates that came in (IR_MARK_STATE), in an array of their own. A mark that begins with a header takes one of
 * four places, by its key; its link leads there, and those of the marks below it, which get it from their parents. So a
 * tracestate is there as long as its mark is, and who wants a place looks whether the mark that has it has ended:
 * nobody gives one back.
 */
#include "plant/uprobe/marks.h"

#include "event/loss.h"

#define STATE(field) ((int)offsetof(struct mark_state, field))
#define PLACES 4
#define PLACE_SHIFT 40

/* reg = the element whose number is the word at that offset of the scratch element; to none. Clobbers R0 to R5. */
static void element_at(struct gen *g, uint8_t reg, int off, int none)
{
	struct emit *e = g->e;

	state_load(g, R1, off);
	emit_store(e, 8, FP, BK_KEY, R1);
	emit_map_fd(e, R1, g->env->states);
	emit_alu(e, BPF_MOV, R2, FP);
	emit_alu_imm(e, BPF_ADD, R2, BK_KEY);
	emit_call(e, BPF_FUNC_map_lookup_elem);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, none);
	emit_alu(e, BPF_MOV, reg, R0);
}

/* run.root = the link of the run's mark, which is one of this process; to none where it has ended. */
static void load_root(struct gen *g, int none)
{
	struct emit *e = g->e;

	state_load(g, R1, RUN(at));
	state_store(g, RUN(place), R1);
	marks_entry_at(g, R0, none);
	emit_load(e, 8, R1, R0, ENTRY(state.key));
	emit_load(e, 8, R2, R0, ENTRY(state.at));
	emit_load(e, 8, R3, R0, ENTRY(key));
	state_load(g, R4, RUN(key));
	emit_jump_if(e, BPF_JNE, R3, R4, none);
	state_store(g, RUN(root.key), R1);
	state_store(g, RUN(root.at), R2);
}

void marks_state_of_parent(struct gen *g)
{
	int none = emit_label_new(g->e);

	state_store_imm(g, RUN(root.key), 0);
	marks_needs_own(g, none);
	load_root(g, none);
	emit_label(g->e, none);
	emit_checkpoint(g->e);
}

void gen_found_state(struct gen *g, uint8_t reg, int gone)
{
	struct emit *e = g->e;

	element_at(g, reg, RUN(root.at), gone);
	emit_load(e, 8, R1, reg, STATE(key));
	state_load(g, R2, RUN(root.key));
	emit_jump_if(e, BPF_JNE, R1, R2, gone);
	emit_load(e, 8, R1, reg, STATE(at));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, gone);
	state_store(g, RUN(place), R1);
	marks_entry_at(g, R0, gone);
	emit_load(e, 8, R1, R0, ENTRY(key));
	state_load(g, R2, RUN(root.key));
	emit_jump_if(e, BPF_JNE, R1, R2, gone);
}

void gen_find_state(struct gen *g, int none)
{
	if (!capture_has_marks(g->p)) {
		emit_jump(g->e, none);
		return;
	}
	marks_needs_own(g, none);
	load_root(g, none);
	state_load(g, R1, RUN(root.key));
	emit_jump_if_imm(g->e, BPF_JEQ, R1, 0, none);
	gen_found_state(g, R9, none);
}

/* ---- what came in ---- */

/* R9 = the place in run.root.at, with run.key and BUSY; to next where another mark's is there, or is being written. */
static void claim_place(struct gen *g, int next)
{
	struct emit *e = g->e;
	int is_free = emit_label_new(e);

	element_at(g, R9, RUN(root.at), next);
	emit_load(e, 8, R1, R9, STATE(key));
	state_store(g, RUN(victim), R1);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, is_free);
	emit_alu_imm(e, BPF_AND, R1, BUSY);
	emit_jump_if_imm(e, BPF_JNE, R1, 0, next);
	emit_load(e, 8, R1, R9, STATE(at));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, is_free);
	state_store(g, RUN(place), R1);
	marks_entry_at(g, R0, is_free);
	emit_load(e, 8, R1, R0, ENTRY(key));
	state_load(g, R2, RUN(victim));
	emit_jump_if(e, BPF_JEQ, R1, R2, next);
	emit_label(e, is_free);
	emit_checkpoint(e);
	state_load(g, R0, RUN(victim));
	state_load(g, R1, RUN(key));
	emit_alu_imm(e, BPF_OR, R1, BUSY);
	emit_atomic(e, BPF_CMPXCHG, R9, STATE(key), R1);
	state_load(g, R1, RUN(victim));
	emit_jump_if(e, BPF_JNE, R0, R1, next);
}

/* R9 = a place for the run's mark; to full where there is none. */
static void claim(struct gen *g, int full)
{
	struct emit *e = g->e;
	int claimed = emit_label_new(e);

	for (int w = 0; w < PLACES; w++) {
		int next = emit_label_new(e);

		state_load(g, R1, RUN(key));
		emit_alu_imm(e, BPF_RSH, R1, PLACE_SHIFT);
		emit_alu_imm(e, BPF_AND, R1, (MARK_STATES - 1) & ~(PLACES - 1));
		emit_alu_imm(e, BPF_ADD, R1, w + 1);
		state_store(g, RUN(root.at), R1);
		claim_place(g, next);
		emit_jump(e, claimed);
		emit_label(e, next);
		emit_checkpoint(e);
	}
	emit_jump(e, full);
	emit_label(e, claimed);
	emit_checkpoint(e);
	state_load(g, R1, RUN(at));
	emit_store(e, 8, R9, STATE(at), R1);
}

/* R2 = how much the text has; to too_long. */
static void text_size(struct gen *g, const struct ir_insn *i, int too_long)
{
	gen_get(g, R2, i->b);
	emit_jump_if_imm(g->e, BPF_JGT, R2, MARK_STATE_MAX, too_long);
}

static void read_text(struct gen *g, const struct ir_insn *i, int too_long, int bad)
{
	struct emit *e = g->e;
	int read = emit_label_new(e), again = emit_label_new(e);

	for (int once_more = 0; once_more <= g->env->faults_in; once_more++) {
		text_size(g, i, too_long);
		emit_store(e, 8, R9, STATE(len), R2);
		gen_get(g, R3, i->a);
		emit_alu(e, BPF_MOV, R1, R9);
		emit_alu_imm(e, BPF_ADD, R1, STATE(text));
		if (once_more) {
			gen_call_reader(g);
			emit_jump_if_imm(e, BPF_JNE, R0, 0, bad);
		} else {
			gen_read_user(g, g->env->faults_in ? again : bad);
			emit_jump(e, read);
			emit_label(e, again);
		}
	}
	emit_label(e, read);
	emit_checkpoint(e);
}

/* run.oldest, the bytes of a part, and run.victim, the members, as the step in run.word says; run.way is next. */
static void count_step(struct gen *g, int bad)
{
	struct emit *e = g->e;
	int unlimited = emit_label_new(e);

	state_load(g, R1, RUN(word));
	state_load(g, R2, RUN(oldest));
	emit_alu(e, BPF_MOV, R3, R1);
	emit_alu_imm(e, BPF_AND, R3, TS_FIRST);
	emit_alu_imm(e, BPF_SUB, R3, 1); /* its sign: the count stays */
	emit_alu_imm(e, BPF_ARSH, R3, 63);
	emit_alu(e, BPF_AND, R2, R3);
	emit_alu(e, BPF_MOV, R3, R1);
	emit_alu_imm(e, BPF_AND, R3, TS_COUNT);
	emit_alu_imm(e, BPF_RSH, R3, __builtin_ctz(TS_COUNT));
	emit_alu(e, BPF_ADD, R2, R3);
	state_store(g, RUN(oldest), R2);
	emit_alu(e, BPF_MOV, R3, R1);
	emit_alu_imm(e, BPF_AND, R3, TS_MEMBER);
	emit_alu_imm(e, BPF_RSH, R3, __builtin_ctz(TS_MEMBER));
	state_load(g, R2, RUN(victim));
	emit_alu(e, BPF_ADD, R2, R3);
	state_store(g, RUN(victim), R2);
	emit_alu(e, BPF_MOV, R3, R1);
	emit_alu_imm(e, BPF_AND, R3, TS_NEXT);
	state_store(g, RUN(way), R3);
	emit_alu_imm(e, BPF_AND, R1, TS_LIMIT);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, unlimited);
	state_load(g, R1, RUN(oldest));
	emit_jump_if_imm(e, BPF_JGT, R1, TRACESTATE_PART, bad);
	emit_label(e, unlimited);
}

/* run.word = the step of the byte whose number is in R2; R8 is where the rules are. */
static void look_up_step(struct gen *g)
{
	struct emit *e = g->e;

	emit_alu(e, BPF_ADD, R2, R9);
	emit_load(e, 1, R1, R2, STATE(text));
	emit_alu(e, BPF_ADD, R1, R8);
	emit_load(e, 1, R1, R1, STATE(text) + (int)offsetof(struct tracestate_rules, class));
	emit_alu_imm(e, BPF_AND, R1, TS_CLASSES - 1);
	state_load(g, R2, RUN(way));
	emit_alu_imm(e, BPF_AND, R2, TS_NEXT);
	emit_alu_imm(e, BPF_LSH, R2, __builtin_ctz(TS_CLASSES));
	emit_alu(e, BPF_ADD, R1, R2);
	emit_alu(e, BPF_ADD, R1, R8);
	emit_load(e, 1, R1, R1, STATE(text) + (int)offsetof(struct tracestate_rules, step));
	state_store(g, RUN(word), R1);
}

/* To bad unless the text at R9 is a list. */
static void validate(struct gen *g, int bad)
{
	struct emit *e = g->e;
	int again = emit_label_new(e), end = emit_label_new(e);

	state_store_imm(g, RUN(word), 0);
	element_at(g, R8, RUN(word), bad);
	state_store_imm(g, RUN(way), TS_BEGIN);
	state_store_imm(g, RUN(oldest), 0);
	state_store_imm(g, RUN(victim), 0);
	emit_alu_imm(e, BPF_MOV, R1, 0);
	emit_store(e, 8, FP, BK_G, R1); /* where the verifier sees that it counts */
	emit_checkpoint(e);
	emit_label(e, again);
	emit_load(e, 8, R2, FP, BK_G);
	emit_load(e, 8, R1, R9, STATE(len));
	emit_jump_if(e, BPF_JGE, R2, R1, end);
	look_up_step(g);
	count_step(g, bad);
	emit_checkpoint(e);
	emit_load(e, 8, R1, FP, BK_G);
	emit_alu_imm(e, BPF_ADD, R1, 1);
	emit_store(e, 8, FP, BK_G, R1);
	emit_jump_if_imm(e, BPF_JLT, R1, MARK_STATE_MAX, again);
	emit_label(e, end);
	emit_checkpoint(e);
	state_load(g, R1, RUN(way));
	emit_jump_if_imm(e, BPF_JNE, R1, TS_IN_VALUE, bad);
	state_load(g, R1, RUN(victim));
	emit_jump_if_imm(e, BPF_JGT, R1, TRACESTATE_MEMBERS, bad);
}

/* The place is the mark's, and the mark links there. */
static void publish(struct gen *g, int end)
{
	struct emit *e = g->e;

	emit_checkpoint(e);
	state_load(g, R1, RUN(key));
	emit_store(e, 8, R9, STATE(key), R1);
	state_load(g, R1, RUN(at));
	state_store(g, RUN(place), R1);
	marks_entry_at(g, R0, end);
	state_load(g, R1, RUN(root.at));
	emit_store(e, 8, R0, ENTRY(state.at), R1);
	state_load(g, R1, RUN(key));
	emit_store(e, 8, R0, ENTRY(state.key), R1);
}

void marks_state(struct gen *g, const struct ir_insn *i, int end)
{
	struct emit *e = g->e;
	int full = emit_label_new(e), bad = emit_label_new(e), too_long = emit_label_new(e), done = emit_label_new(e);

	marks_only_in(g, CAME_IN, end);
	gen_get(g, R1, i->b);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, end);
	claim(g, full);
	read_text(g, i, too_long, bad);
	validate(g, bad);
	emit_jump(e, done);
	emit_label(e, too_long);
	emit_store_imm(e, 8, R9, STATE(len), MARK_STATE_MAX + 1);
	emit_label(e, done);
	publish(g, end);
	emit_jump(e, end);
	emit_label(e, bad);
	emit_store_imm(e, 8, R9, STATE(key), 0);
	emit_jump(e, end);
	emit_label(e, full);
	gen_count_loss(g, LOSS_MARKS_FULL);
}
