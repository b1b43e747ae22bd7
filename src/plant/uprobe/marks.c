/*
 * Marks (probe/mark.h), in an array of sets of four, for all processes together. It is what plant/patch/marks.c has in
 * the program's memory, and works alike: an entry is a mark, whose key is made of its span id; or a word that leads to
 * one; or a goroutine, which leads to several. What leads to a mark has that one's place and key: if the key is still
 * there, it is still that mark, since no span id comes twice. So a mark ends by giving its key up, and who led to it
 * need not know: entries that lead to no other one are dead, and the first to be taken over. A hash map would have to
 * be told of each end, also of those that nobody sees, or be full one day.
 *
 * Who takes an entry over exchanges its key, with the lowest bit set until the rest is there; a reader looks for the
 * key before and after it reads, in the order of x86-64. A program may be preempted in between: then the entry is
 * nobody's for so long.
 *
 * R8 is a key, or a goroutine's mark; R9 the entry that is looked at. What else has to be remembered lies in the
 * scratch element, where the verifier does not track it, so that paths that meet are alike.
 */
#include "plant/uprobe/marks.h"

#include "event/loss.h"

/* ---- a word ---- */

/* The run's mark is found by the word in R1. */
static void put_word(struct gen *g, int64_t kind, uint32_t group, int end)
{
	struct emit *e = g->e;
	int write = emit_label_new(e), full = emit_label_new(e);

	emit_jump_if_imm(e, BPF_JEQ, R1, 0, end);
	marks_key_of_word(g, kind, group);
	marks_claim(g, write, full);
	emit_label(e, write);
	emit_checkpoint(e);
	marks_link_to_own(g, ENTRY(to));
	marks_release(g);
	if (kind == MARK_KEY)
		marks_add(g, KEYED);
	emit_jump(e, end);
	emit_label(e, full);
	gen_count_loss(g, LOSS_MARKS_FULL);
}

static void put_mark(struct gen *g, const struct ir_insn *i, int end)
{
	marks_needs_own(g, end);
	gen_get(g, R1, i->a);
	put_word(g, i->imm, i->group, end);
}

static void find_mark(struct gen *g, const struct ir_insn *i, int end)
{
	struct emit *e = g->e;

	marks_unless(g, HAS | SEALED, end);
	if (i->flags & IR_MARK_NEED)
		marks_add(g, SEALED);
	gen_get(g, R1, i->a);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, end);
	if (i->flags & IR_MARK_ONLY) {
		marks_add(g, SEALED);
		gen_get(g, R1, i->a);
	}
	marks_key_of_word(g, i->imm, i->group);
	marks_find_entry(g, end);
	marks_follow(g, end);
	if (i->flags & IR_MARK_NEED)
		marks_remove(g, SEALED);
	else
		marks_take(g, end);
}

/* ---- chains: their links lie where the record's data will ---- */

static int walk_chain(struct gen *g, const struct ir_insn *i, int64_t max, int end)
{
	struct ir_insn chain = *i;

	chain.imm = max;
	return gen_chain_links(g, &chain, 8 * (EVENT_MAX_CHAIN + 1), end);
}

static int chain_marks(struct gen *g, const struct ir_insn *i, int end)
{
	struct emit *e = g->e;
	int again = emit_label_new(e), next = emit_label_new(e), sure = emit_label_new(e), r;

	marks_unless(g, HAS | SEALED, end);
	r = walk_chain(g, i, i->imm, end);
	if (r < 0)
		return r;
	state_store(g, RUN(count), R9);
	emit_alu_imm(e, BPF_MOV, R1, 0);
	emit_store(e, 8, FP, BK_G, R1); /* where the verifier sees that it counts */
	emit_checkpoint(e);
	emit_label(e, again);
	emit_load(e, 8, R2, FP, BK_G);
	state_load(g, R1, RUN(count));
	emit_jump_if(e, BPF_JGE, R2, R1, end);
	emit_alu_imm(e, BPF_LSH, R2, 3);
	emit_alu(e, BPF_ADD, R2, REG_RECORD);
	emit_load(e, 8, R1, R2, (int)capture_head_bytes(g->p));
	state_store(g, RUN(link), R1);
	emit_alu_imm(e, BPF_AND, R1, ~CHAIN_BITS);
	marks_key_of_word(g, MARK_CONTEXT, 0);
	marks_find_entry(g, next);
	marks_follow(g, next);
	state_load(g, R1, RUN(link));
	emit_alu_imm(e, BPF_AND, R1, CHAIN_POOLED);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, sure);
	state_load(g, R1, HEAD(goid));
	emit_load(e, 8, R2, R9, ENTRY(goid));
	emit_jump_if(e, BPF_JNE, R1, R2, next);
	emit_label(e, sure);
	marks_take(g, next);
	emit_jump(e, end);
	emit_label(e, next);
	emit_checkpoint(e);
	emit_load(e, 8, R1, FP, BK_G);
	emit_alu_imm(e, BPF_ADD, R1, 1);
	emit_store(e, 8, FP, BK_G, R1);
	emit_jump_if_imm(e, BPF_JLT, R1, (int32_t)i->imm, again);
	return 0;
}

static int put_chain(struct gen *g, const struct ir_insn *i, int end)
{
	int r;

	marks_needs_own(g, end);
	r = walk_chain(g, i, 1, end);
	if (r < 0)
		return r;
	emit_jump_if_imm(g->e, BPF_JEQ, R9, 0, end);
	state_load(g, R1, (int)capture_head_bytes(g->p));
	emit_alu_imm(g->e, BPF_AND, R1, ~CHAIN_BITS);
	put_word(g, MARK_CONTEXT, 0, end);
	return 0;
}

/* ---- a goroutine's marks ---- */

/* R9 = the entry of the goroutine in R1, run.word; to none where it has none. */
static void find_goroutine(struct gen *g, int none)
{
	state_store(g, RUN(word), R1);
	marks_key_of_goroutine(g);
	marks_find_entry(g, none);
}

static int link_off(unsigned k)
{
	return ENTRY(to) + (int)(k * sizeof(struct mark_link));
}

/* R8 = the mark that link k of the goroutine's entry at R9 leads to, run.link its key, run.place its place; to next. */
static void link_begin(struct gen *g, unsigned k, int next)
{
	struct emit *e = g->e;

	emit_checkpoint(e);
	emit_load(e, 8, R1, R9, link_off(k) + (int)offsetof(struct mark_link, key));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, next);
	state_store(g, RUN(link), R1);
	emit_load(e, 8, R1, R9, link_off(k) + (int)offsetof(struct mark_link, at));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, next);
	state_store(g, RUN(place), R1);
	marks_entry_at(g, R8, next);
	emit_load(e, 8, R1, R8, ENTRY(key));
	state_load(g, R2, RUN(link));
	emit_jump_if(e, BPF_JNE, R1, R2, next);
	emit_load(e, 8, R1, R8, ENTRY(goid));
	state_load(g, R2, RUN(word));
	emit_jump_if(e, BPF_JNE, R1, R2, next);
}

static void no_candidate(struct gen *g)
{
	state_store_imm(g, RUN(best_at), 0);
	state_store_imm(g, RUN(best_depth), 0);
}

/* The mark at R8 is the deepest one so far, if it is. */
static void candidate(struct gen *g, int next)
{
	struct emit *e = g->e;

	emit_load(e, 8, R1, R8, ENTRY(depth));
	state_load(g, R2, RUN(best_depth));
	emit_jump_if(e, BPF_JLT, R1, R2, next);
	state_store(g, RUN(best_depth), R1);
	state_load(g, R1, RUN(place));
	state_store(g, RUN(best_at), R1);
	state_load(g, R1, RUN(link));
	state_store(g, RUN(best_key), R1);
}

static void take_candidate(struct gen *g, int end)
{
	marks_unless(g, HAS | SEALED, end);
	state_load(g, R1, RUN(best_at));
	emit_jump_if_imm(g->e, BPF_JEQ, R1, 0, end);
	state_store(g, RUN(place), R1);
	marks_entry_at(g, R9, end);
	state_load(g, R8, RUN(best_key));
	marks_take(g, end);
}

static void end_linked(struct gen *g)
{
	state_load(g, R0, RUN(link));
	marks_end(g, R8);
}

/* To next where the mark at R8 has left the stack, which is its end. */
static void only_around(struct gen *g, const struct ir_insn *i, int next)
{
	struct emit *e = g->e;
	int around = emit_label_new(e), gone = emit_label_new(e);

	emit_load(e, 8, R1, R8, ENTRY(depth));
	state_load(g, R2, HEAD(depth));
	emit_jump_if(e, BPF_JLT, R1, R2, around);
	emit_jump_if(e, BPF_JGT, R1, R2, gone);
	emit_load(e, 4, R1, R8, ENTRY(call));
	emit_jump_if_imm32(e, BPF_JNE, R1, (int32_t)i->call, gone);
	emit_load(e, 4, R1, R8, ENTRY(group));
	emit_jump_if_imm32(e, BPF_JNE, R1, (int32_t)i->group, around);
	emit_label(e, gone);
	end_linked(g);
	emit_jump(e, next);
	emit_label(e, around);
}

static void only_of_group(struct gen *g, const struct ir_insn *i, int next)
{
	struct emit *e = g->e;

	emit_load(e, 4, R1, R8, ENTRY(group));
	emit_jump_if_imm32(e, BPF_JNE, R1, (int32_t)i->group, next);
	if (i->imm != MARK_OF_CALL)
		return;
	emit_load(e, 8, R1, R8, ENTRY(depth));
	state_load(g, R2, HEAD(depth));
	emit_jump_if(e, BPF_JNE, R1, R2, next);
}

static void goroutine_marks(struct gen *g, const struct ir_insn *i, int end)
{
	/* What has left the stack ends even where a mark was found before. */
	marks_unless(g, i->imm == MARK_AROUND ? SEALED : HAS | SEALED, end);
	no_candidate(g);
	state_load(g, R1, HEAD(goid));
	find_goroutine(g, end);
	for (unsigned k = 0; k < MARK_LEVELS; k++) {
		int next = emit_label_new(g->e);

		link_begin(g, k, next);
		if (i->imm == MARK_AROUND)
			only_around(g, i, next);
		else
			only_of_group(g, i, next);
		candidate(g, next);
		emit_label(g->e, next);
	}
	take_candidate(g, end);
}

/* To next unless the record's goroutine was created within the mark at R8 (mark_created_within). */
static void only_created_within(struct gen *g, int next)
{
	struct emit *e = g->e;
	int within = emit_label_new(e);

	state_load(g, R3, HEAD(goid));
	emit_load(e, 8, R1, R8, ENTRY(epoch[0]));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, next);
	emit_jump_if(e, BPF_JGT, R3, R1, within);
	emit_load(e, 8, R1, R8, ENTRY(epoch[1]));
	emit_load(e, 8, R2, R8, ENTRY(epoch[2]));
	emit_jump_if(e, BPF_JLT, R3, R1, next);
	emit_jump_if(e, BPF_JGE, R3, R2, next);
	emit_alu(e, BPF_SUB, R2, R1);
	emit_jump_if_imm(e, BPF_JGT, R2, MARK_BATCH, next);
	emit_label(e, within);
}

static void creator_marks(struct gen *g, const struct ir_insn *i, int end)
{
	marks_unless(g, HAS | SEALED, end);
	no_candidate(g);
	gen_get(g, R1, i->a);
	emit_jump_if_imm(g->e, BPF_JEQ, R1, 0, end);
	find_goroutine(g, end);
	for (unsigned k = 0; k < MARK_LEVELS; k++) {
		int next = emit_label_new(g->e);

		link_begin(g, k, next);
		only_created_within(g, next);
		candidate(g, next);
		emit_label(g->e, next);
	}
	take_candidate(g, end);
}

static void unwind_marks(struct gen *g, const struct ir_insn *i, int end)
{
	state_load(g, R1, HEAD(goid));
	find_goroutine(g, end);
	for (unsigned k = 0; k < MARK_LEVELS; k++) {
		int next = emit_label_new(g->e);

		link_begin(g, k, next);
		if (!i->imm) {
			emit_load(g->e, 8, R1, R8, ENTRY(depth));
			state_load(g, R2, HEAD(depth));
			emit_jump_if(g->e, BPF_JLE, R1, R2, next);
		}
		end_linked(g);
		emit_label(g->e, next);
	}
}

/* The first link of the entry at R9 that leads nowhere leads to the run's mark; counted where all lead somewhere. */
static void push_link(struct gen *g, int done)
{
	struct emit *e = g->e;

	for (unsigned k = 0; k < MARK_LEVELS; k++) {
		int take = emit_label_new(e), next = emit_label_new(e);

		emit_checkpoint(e);
		emit_load(e, 8, R1, R9, link_off(k) + (int)offsetof(struct mark_link, key));
		emit_jump_if_imm(e, BPF_JEQ, R1, 0, take);
		emit_load(e, 8, R1, R9, link_off(k) + (int)offsetof(struct mark_link, at));
		emit_jump_if_imm(e, BPF_JEQ, R1, 0, take);
		state_store(g, RUN(place), R1);
		marks_entry_at(g, R0, take);
		emit_load(e, 8, R1, R0, ENTRY(key));
		emit_load(e, 8, R2, R9, link_off(k) + (int)offsetof(struct mark_link, key));
		emit_jump_if(e, BPF_JEQ, R1, R2, next);
		emit_label(e, take);
		marks_link_to_own(g, link_off(k));
		emit_jump(e, done);
		emit_label(e, next);
	}
	gen_count_loss(g, LOSS_MARKS_FULL);
}

static void push_mark(struct gen *g, const struct ir_insn *i, int end)
{
	struct emit *e = g->e;
	int own = emit_label_new(e), done = emit_label_new(e), full = emit_label_new(e);

	marks_needs_own(g, end);
	if (i->flags & IR_MARK_UNLESS_KEYED)
		marks_unless(g, KEYED, end);
	state_load(g, R1, HEAD(goid));
	marks_key_of_goroutine(g);
	marks_claim(g, own, full);
	marks_link_to_own(g, link_off(0));
	emit_jump(e, done);
	emit_label(e, own);
	push_link(g, done);
	emit_label(e, done);
	emit_checkpoint(e);
	marks_release(g);
	emit_jump(e, end);
	emit_label(e, full);
	gen_count_loss(g, LOSS_MARKS_FULL);
}

static void leave(struct gen *g, int end)
{
	struct emit *e = g->e;

	marks_needs_own(g, end);
	marks_only_in(g, KEYED, end);
	state_load(g, R1, RUN(at));
	state_store(g, RUN(place), R1);
	marks_entry_at(g, R9, end);
	emit_load(e, 8, R1, R9, ENTRY(goid)); /* another's, perhaps */
	find_goroutine(g, end);
	for (unsigned k = 0; k < MARK_LEVELS; k++) {
		int next = emit_label_new(e), off = link_off(k) + (int)offsetof(struct mark_link, key);

		emit_load(e, 8, R1, R9, off);
		state_load(g, R2, RUN(key));
		emit_jump_if(e, BPF_JNE, R1, R2, next);
		emit_store_imm(e, 8, R9, off, 0);
		emit_label(e, next);
		emit_checkpoint(e);
	}
}

/* ---- dispatch ---- */

int gen_mark(struct gen *g, const struct ir_insn *i)
{
	int end = emit_label_new(g->e), r = 0;

	switch (i->op) {
	case IR_MARK_HEADER: marks_header(g, i, end); break;
	case IR_MARK_CHAIN: r = chain_marks(g, i, end); break;
	case IR_MARK_GOROUTINE: goroutine_marks(g, i, end); break;
	case IR_MARK_CREATOR: creator_marks(g, i, end); break;
	case IR_MARK_FIND: find_mark(g, i, end); break;
	case IR_MARK_BEGIN: marks_start(g, i, end); break;
	case IR_MARK_STATE: marks_state(g, i, end); break;
	case IR_MARK_PUT: put_mark(g, i, end); break;
	case IR_MARK_PUT_CHAIN: r = put_chain(g, i, end); break;
	case IR_MARK_PUSH: push_mark(g, i, end); break;
	case IR_MARK_LEAVE: leave(g, end); break;
	case IR_MARK_END: marks_end_own(g, i, end); break;
	case IR_MARK_UNWIND: unwind_marks(g, i, end); break;
	default: marks_admit(g, i, end); break;
	}
	emit_label(g->e, end);
	emit_checkpoint(g->e);
	return r < 0 ? r : 1;
}

void marks_begin(struct gen *g)
{
	if (capture_has_marks(g->p))
		state_store_imm(g, RUN(state), 0);
}
