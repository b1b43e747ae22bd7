/*
 * Marks (probe/mark.h), in an array of sets of four, for all processes together. It is what plant/patch/marks.c has in
 * the program's memory, and works alike: an entry is a mark, whose key is made of its span id; or a word that leads to
 * one; or a goroutine, which leads to several. What leads to a mark has that one's place and key: if the key is still
 * there, it is still that mark, since no span id comes twice. So a mark ends by giving its key up, and who led to it
 * need not know: such entries are dead, and the first to be taken over. A hash map would have to be told of each end,
 * also of those that nobody sees, or be full one day.
 *
 * Who takes an entry over exchanges its key, with the lowest bit set until the rest is there; a reader looks for the
 * key before and after it reads, in the order of x86-64. A program may be preempted in between: then the entry is
 * nobody's for so long.
 *
 * R8 is a key, or a goroutine's mark; R9 the entry that is looked at. What else has to be remembered lies in the
 * scratch element, where the verifier does not track it, so that paths that meet are alike.
 */
#include "plant/uprobe/gen.h"

#include <errno.h>

#include "event/loss.h"

#define MIX_WORD UINT64_C(0x9e3779b97f4a7c15)
#define MIX_KIND UINT64_C(0xd6e8feb86659fd93)
#define MIX_STACK UINT64_C(0xc2b2ae3d27d4eb4f)
#define MIX_TARGET UINT64_C(0xff51afd7ed558ccd)
#define BUSY 1
#define SET_SHIFT 26
#define WAY_SHIFT 7
#define WAY_MASK ((MARK_WAYS - 1) << WAY_SHIFT)

_Static_assert(LOSS_MARKS_FULL < LOSS_KERNEL_COUNT && LOSS_LEFT_OUT < LOSS_KERNEL_COUNT, "they index the losses map");

enum { HAS = 1, SEALED = 2, KEYED = 4, BY_HEADER = 8 }; /* mark_run.state */

#define RUN(field)                                                                                 \
	((int)(offsetof(struct scratch, mark) + offsetof(struct mark_run, field)) -                \
	 (int)offsetof(struct scratch, record))
#define ENTRY(field) ((int)offsetof(struct mark_entry, field))

static void unless_state(struct gen *g, int32_t bits, int label)
{
	state_load(g, R1, RUN(state));
	emit_alu_imm(g->e, BPF_AND, R1, bits);
	emit_jump_if_imm(g->e, BPF_JNE, R1, 0, label);
}

static void only_in_state(struct gen *g, int32_t bits, int label)
{
	state_load(g, R1, RUN(state));
	emit_alu_imm(g->e, BPF_AND, R1, bits);
	emit_jump_if_imm(g->e, BPF_JEQ, R1, 0, label);
}

static void add_state(struct gen *g, int32_t bits)
{
	state_load(g, R1, RUN(state));
	emit_alu_imm(g->e, BPF_OR, R1, bits);
	state_store(g, RUN(state), R1);
}

/* The run has a mark of its own process. */
static void needs_own(struct gen *g, int end)
{
	only_in_state(g, HAS, end);
	unless_state(g, BY_HEADER, end);
}

/* ---- keys and entries ---- */

/* R8, which is mixed, becomes a key: not 0, not busy. */
static void make_key(struct gen *g)
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

/* R8 = the key of the word in R1. */
static void key_of_word(struct gen *g, int64_t kind, uint32_t group)
{
	mix(g, MIX_WORD);
	emit_imm(g->e, R2, (int64_t)(MIX_KIND * ((uint64_t)kind + 1 + MARK_KIND_COUNT * (uint64_t)group)));
	emit_alu(g->e, BPF_XOR, R8, R2);
	make_key(g);
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

/* R9 = the entry of the key in R8; to none where there is none. */
static void find_entry(struct gen *g, int none)
{
	int found = emit_label_new(g->e);

	find_set(g, none);
	find_way(g, found);
	emit_jump(g->e, none);
	emit_label(g->e, found);
	take_way(g);
}

/* reg = the entry at run.place, which is not 0. Clobbers R0 to R5. */
static void entry_at(struct gen *g, uint8_t reg, int none)
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

/* R9, R8 = the mark that the word's entry at R9, of key R8, leads to, and its key; to none. run.place is its place. */
static void follow(struct gen *g, int none)
{
	struct emit *e = g->e;

	emit_load(e, 8, R1, R9, ENTRY(to[0].key));
	emit_load(e, 8, R2, R9, ENTRY(to[0].at));
	emit_load(e, 8, R3, R9, ENTRY(key));
	emit_jump_if(e, BPF_JNE, R3, R8, none);
	emit_alu(e, BPF_MOV, R8, R1);
	state_store(g, RUN(place), R2);
	entry_at(g, R9, none);
	emit_load(e, 8, R3, R9, ENTRY(key));
	emit_jump_if(e, BPF_JNE, R3, R8, none);
}

/* The mark at R9, of key R8, at run.place, becomes the run's; to none where it is gone. */
static void take_mark(struct gen *g, int none)
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
	add_state(g, HAS);
}

/* The mark at reg whose key is in R0 ends; nothing if it has. */
static void end_mark(struct gen *g, uint8_t reg)
{
	emit_alu_imm(g->e, BPF_MOV, R1, 0);
	emit_atomic(g->e, BPF_CMPXCHG, reg, ENTRY(key), R1);
}

/* ---- taking an entry ---- */

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
	emit_load(e, 8, R1, R9, at + ENTRY(to[0].at));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, take);
	state_store(g, RUN(place), R1);
	entry_at(g, R0, next);
	emit_load(e, 8, R1, R0, ENTRY(key));
	emit_load(e, 8, R2, R9, at + ENTRY(to[0].key));
	emit_jump_if(e, BPF_JEQ, R1, R2, alive);
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

/*
 * R9 = an entry with the key R8 and BUSY: that of the key itself, to own; else one that was free, or dead, or the
 * oldest, which is counted. To none where there is none to be had.
 */
static void claim_entry(struct gen *g, int own, int none)
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

static void release_entry(struct gen *g)
{
	emit_store(g->e, 8, R9, ENTRY(key), R8);
}

/* The link at that offset of the entry at R9 leads to the run's mark. */
static void link_to_own(struct gen *g, int off)
{
	state_load(g, R1, RUN(at));
	emit_store(g->e, 8, R9, off + (int)offsetof(struct mark_link, at), R1);
	state_load(g, R1, RUN(key));
	emit_store(g->e, 8, R9, off + (int)offsetof(struct mark_link, key), R1);
}

/* ---- a word ---- */

/* The run's mark is found by the word in R1. */
static void put_word(struct gen *g, int64_t kind, uint32_t group, int end)
{
	struct emit *e = g->e;
	int write = emit_label_new(e), full = emit_label_new(e);

	emit_jump_if_imm(e, BPF_JEQ, R1, 0, end);
	key_of_word(g, kind, group);
	claim_entry(g, write, full);
	emit_label(e, write);
	emit_checkpoint(e);
	link_to_own(g, ENTRY(to));
	release_entry(g);
	if (kind == MARK_KEY)
		add_state(g, KEYED);
	emit_jump(e, end);
	emit_label(e, full);
	gen_count_loss(g, LOSS_MARKS_FULL);
}

static void put_mark(struct gen *g, const struct ir_insn *i, int end)
{
	needs_own(g, end);
	gen_get(g, R1, i->a);
	put_word(g, i->imm, i->group, end);
}

static void find_mark(struct gen *g, const struct ir_insn *i, int end)
{
	struct emit *e = g->e;

	unless_state(g, HAS | SEALED, end);
	gen_get(g, R1, i->a);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, end);
	if (i->flags & IR_MARK_ONLY) {
		add_state(g, SEALED);
		gen_get(g, R1, i->a);
	}
	key_of_word(g, i->imm, i->group);
	find_entry(g, end);
	follow(g, end);
	take_mark(g, end);
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

	unless_state(g, HAS | SEALED, end);
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
	key_of_word(g, MARK_CONTEXT, 0);
	find_entry(g, next);
	follow(g, next);
	state_load(g, R1, RUN(link));
	emit_alu_imm(e, BPF_AND, R1, CHAIN_POOLED);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, sure);
	state_load(g, R1, HEAD(goid));
	emit_load(e, 8, R2, R9, ENTRY(goid));
	emit_jump_if(e, BPF_JNE, R1, R2, next);
	emit_label(e, sure);
	take_mark(g, next);
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

	needs_own(g, end);
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

/* R8 = the key of the goroutine whose id is in R1. */
static void key_of_goroutine(struct gen *g)
{
	mix(g, MIX_STACK);
	make_key(g);
}

/* R9 = the entry of the goroutine in R1, run.word; to none where it has none. */
static void find_goroutine(struct gen *g, int none)
{
	state_store(g, RUN(word), R1);
	key_of_goroutine(g);
	find_entry(g, none);
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
	entry_at(g, R8, next);
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
	unless_state(g, HAS | SEALED, end);
	state_load(g, R1, RUN(best_at));
	emit_jump_if_imm(g->e, BPF_JEQ, R1, 0, end);
	state_store(g, RUN(place), R1);
	entry_at(g, R9, end);
	state_load(g, R8, RUN(best_key));
	take_mark(g, end);
}

static void end_linked(struct gen *g)
{
	state_load(g, R0, RUN(link));
	end_mark(g, R8);
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
	unless_state(g, i->imm == MARK_AROUND ? SEALED : HAS | SEALED, end);
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
	unless_state(g, HAS | SEALED, end);
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

/* The first link of the entry at R9 that leads nowhere leads to the run's mark; none where all lead somewhere. */
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
		entry_at(g, R0, take);
		emit_load(e, 8, R1, R0, ENTRY(key));
		emit_load(e, 8, R2, R9, link_off(k) + (int)offsetof(struct mark_link, key));
		emit_jump_if(e, BPF_JEQ, R1, R2, next);
		emit_label(e, take);
		link_to_own(g, link_off(k));
		emit_jump(e, done);
		emit_label(e, next);
	}
}

static void push_mark(struct gen *g, const struct ir_insn *i, int end)
{
	struct emit *e = g->e;
	int own = emit_label_new(e), done = emit_label_new(e), full = emit_label_new(e);

	needs_own(g, end);
	if (i->flags & IR_MARK_UNLESS_KEYED)
		unless_state(g, KEYED, end);
	state_load(g, R1, HEAD(goid));
	key_of_goroutine(g);
	claim_entry(g, own, full);
	for (unsigned k = 1; k < MARK_LEVELS; k++) /* it was another's */
		emit_store_imm(e, 8, R9, link_off(k) + (int)offsetof(struct mark_link, key), 0);
	link_to_own(g, link_off(0));
	emit_jump(e, done);
	emit_label(e, own);
	push_link(g, done);
	emit_label(e, done);
	emit_checkpoint(e);
	release_entry(g);
	emit_jump(e, end);
	emit_label(e, full);
	gen_count_loss(g, LOSS_MARKS_FULL);
}

static void leave(struct gen *g, int end)
{
	struct emit *e = g->e;

	needs_own(g, end);
	only_in_state(g, KEYED, end);
	state_load(g, R1, RUN(at));
	state_store(g, RUN(place), R1);
	entry_at(g, R9, end);
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

/* ---- what came in ---- */

enum { VERSION = 0, TRACE_ID = 3, SPAN_ID = 36, HEADER_FLAGS = 53, HEADER_END = MARK_TRACEPARENT };
#define TEXT(at) (SCRATCH_WORK_OFF + (at))

static void alu_wide(struct gen *g, uint8_t alu, uint8_t dst, uint64_t imm)
{
	emit_imm(g->e, R5, (int64_t)imm);
	emit_alu(g->e, alu, dst, R5);
}

/*
 * R1 = the 4 bytes that the 8 digits in R1 are; what of them is no digit is in R9's bits. Without a branch: what digits
 * they would be is written anew, and compared. Clobbers R2, R3, R5.
 */
static void decode(struct gen *g)
{
	struct emit *e = g->e;

	emit_alu(e, BPF_MOV, R2, R1); /* 9 for letters */
	emit_alu_imm(e, BPF_RSH, R2, 6);
	alu_wide(g, BPF_AND, R2, UINT64_C(0x0101010101010101));
	emit_alu_imm(e, BPF_MUL, R2, 9);
	emit_alu(e, BPF_MOV, R3, R1);
	alu_wide(g, BPF_AND, R3, UINT64_C(0x0f0f0f0f0f0f0f0f));
	emit_alu(e, BPF_ADD, R2, R3);
	emit_alu(e, BPF_MOV, R3, R2); /* more than a digit has */
	alu_wide(g, BPF_AND, R3, UINT64_C(0xf0f0f0f0f0f0f0f0));
	emit_alu(e, BPF_OR, R9, R3);
	emit_alu(e, BPF_MOV, R3, R2);
	alu_wide(g, BPF_ADD, R3, UINT64_C(0x0606060606060606));
	emit_alu_imm(e, BPF_RSH, R3, 4);
	alu_wide(g, BPF_AND, R3, UINT64_C(0x0101010101010101));
	emit_alu_imm(e, BPF_MUL, R3, 'a' - '0' - 10);
	emit_alu(e, BPF_ADD, R3, R2);
	alu_wide(g, BPF_ADD, R3, UINT64_C(0x3030303030303030));
	emit_alu(e, BPF_XOR, R3, R1);
	emit_alu(e, BPF_OR, R9, R3);
	emit_alu(e, BPF_MOV, R1, R2);
	emit_alu_imm(e, BPF_LSH, R1, 4);
	emit_alu_imm(e, BPF_RSH, R2, 8);
	emit_alu(e, BPF_OR, R1, R2);
	alu_wide(g, BPF_AND, R1, UINT64_C(0x00ff00ff00ff00ff));
	for (int n = 8; n < 32; n *= 2) {
		emit_alu(e, BPF_MOV, R2, R1);
		emit_alu_imm(e, BPF_RSH, R2, n);
		emit_alu(e, BPF_OR, R1, R2);
		alu_wide(g, BPF_AND, R1, n == 8 ? UINT64_C(0x0000ffff0000ffff) : UINT64_C(0x00000000ffffffff));
	}
}

/* run.ids[k] = the 16 digits at that place of the text. */
static void decode_id(struct gen *g, int k, int at)
{
	struct emit *e = g->e;

	emit_load(e, 8, R1, REG_RECORD, TEXT(at));
	decode(g);
	state_store(g, RUN(ids) + 8 * k, R1);
	emit_load(e, 8, R1, REG_RECORD, TEXT(at + 8));
	decode(g);
	state_load(g, R2, RUN(ids) + 8 * k);
	emit_alu_imm(e, BPF_LSH, R1, 32);
	emit_alu(e, BPF_OR, R1, R2);
	state_store(g, RUN(ids) + 8 * k, R1);
}

/* R2 = how much of the text is looked at: one byte behind it, too, where it is longer. */
static void header_size(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;
	int whole = emit_label_new(e);

	gen_get(g, R1, i->b);
	emit_alu_imm(e, BPF_MOV, R2, HEADER_END);
	emit_jump_if_imm(e, BPF_JEQ, R1, HEADER_END, whole);
	emit_alu_imm(e, BPF_MOV, R2, HEADER_END + 1);
	emit_label(e, whole);
}

/* The text into the work area; '-' stands for what is not there behind it. */
static void read_header(struct gen *g, const struct ir_insn *i, int end)
{
	struct emit *e = g->e;
	int again = emit_label_new(e), read = emit_label_new(e);

	emit_store_imm(e, 1, REG_RECORD, TEXT(HEADER_END), '-');
	header_size(g, i);
	gen_get(g, R3, i->a);
	gen_read_work(g, g->env->faults_in ? again : end);
	if (g->env->faults_in) {
		emit_jump(e, read);
		emit_label(e, again);
		header_size(g, i);
		gen_get(g, R3, i->a);
		emit_alu(e, BPF_MOV, R1, REG_RECORD);
		emit_alu_imm(e, BPF_ADD, R1, SCRATCH_WORK_OFF);
		gen_call_reader(g);
		emit_jump_if_imm(e, BPF_JNE, R0, 0, end);
	}
	emit_label(e, read);
	emit_checkpoint(e);
}

static void check_dashes(struct gen *g, int end)
{
	static const int at[] = {TRACE_ID - 1, SPAN_ID - 1, HEADER_FLAGS - 1, HEADER_END};

	for (size_t k = 0; k < ARRAY_SIZE(at); k++) {
		emit_load(g->e, 1, R1, REG_RECORD, TEXT(at[k]));
		emit_jump_if_imm(g->e, BPF_JNE, R1, '-', end);
	}
}

/* Version and flags: two digits each. */
static void decode_rest(struct gen *g, const struct ir_insn *i, int end)
{
	struct emit *e = g->e;
	int later = emit_label_new(e);

	emit_load(e, 2, R1, REG_RECORD, TEXT(VERSION));
	emit_load(e, 2, R2, REG_RECORD, TEXT(HEADER_FLAGS));
	emit_alu_imm(e, BPF_LSH, R2, 16);
	emit_alu(e, BPF_OR, R1, R2);
	alu_wide(g, BPF_OR, R1, UINT64_C(0x3030303000000000));
	decode(g);
	emit_alu(e, BPF_MOV, R2, R1);
	emit_alu_imm(e, BPF_RSH, R2, 8);
	emit_alu_imm(e, BPF_AND, R2, MARK_SAMPLED);
	state_store(g, RUN(flags), R2);
	emit_alu_imm(e, BPF_AND, R1, 0xff);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0xff, end);
	emit_jump_if_imm(e, BPF_JNE, R1, 0, later);
	gen_get(g, R1, i->b);
	emit_jump_if_imm(e, BPF_JNE, R1, HEADER_END, end);
	emit_label(e, later);
}

static void header_mark(struct gen *g, const struct ir_insn *i, int end)
{
	struct emit *e = g->e;

	unless_state(g, HAS | SEALED, end);
	gen_get(g, R1, i->b);
	emit_jump_if_imm(e, BPF_JLT, R1, HEADER_END, end);
	read_header(g, i, end);
	check_dashes(g, end);
	emit_alu_imm(e, BPF_MOV, R9, 0);
	for (int k = 0; k < 2; k++)
		decode_id(g, k, TRACE_ID + 16 * k);
	decode_id(g, 2, SPAN_ID);
	decode_rest(g, i, end);
	emit_jump_if_imm(e, BPF_JNE, R9, 0, end);
	state_load(g, R1, RUN(ids));
	state_load(g, R2, RUN(ids) + 8);
	emit_alu(e, BPF_OR, R1, R2);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, end);
	state_load(g, R1, RUN(ids) + 16);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, end);
	add_state(g, HAS | BY_HEADER);
}

/* ---- a span begins ---- */

/* R8 = a random word. */
static void random_word(struct gen *g)
{
	struct emit *e = g->e;

	emit_call(e, BPF_FUNC_get_prandom_u32);
	emit_alu(e, BPF_MOV, R8, R0);
	emit_alu_imm(e, BPF_LSH, R8, 32);
	emit_call(e, BPF_FUNC_get_prandom_u32);
	emit_alu(e, BPF_OR, R8, R0);
}

/* run.flags = whether the trace is kept by its id. */
static void decide(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;
	int keep = emit_label_new(e);

	state_load(g, R1, RUN(ids) + 8);
	emit_swap(e, R1);
	emit_alu_imm(e, BPF_LSH, R1, 8);
	emit_alu_imm(e, BPF_RSH, R1, 8);
	emit_imm(e, R2, i->imm);
	emit_alu_imm(e, BPF_MOV, R3, MARK_SAMPLED);
	emit_jump_if(e, BPF_JGE, R1, R2, keep);
	emit_alu_imm(e, BPF_MOV, R3, 0);
	emit_label(e, keep);
	state_store(g, RUN(flags), R3);
}

static void decide_trace(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;
	int has = emit_label_new(e), done = emit_label_new(e);

	unless_state(g, HAS, has);
	for (int k = 0; k < 2; k++) {
		random_word(g);
		state_store(g, RUN(ids) + 8 * k, R8);
	}
	decide(g, i);
	if (i->flags & IR_MARK_CHILD) {
		state_load(g, R1, RUN(flags));
		emit_alu_imm(e, BPF_OR, R1, MARK_UNDECIDED);
		state_store(g, RUN(flags), R1);
	}
	emit_jump(e, done);
	emit_label(e, has);
	if (i->flags & IR_MARK_BY_RATIO) {
		only_in_state(g, BY_HEADER, done);
		decide(g, i);
	}
	emit_label(e, done);
	emit_checkpoint(e);
}

/* run.at = the place of the entry in run.way of the set of the key in R8. */
static void note_place(struct gen *g)
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

/* The entry at R9, of key R8, is the run's mark. */
static void write_mark(struct gen *g, const struct ir_insn *i)
{
	const uint16_t words[] = {i->a, i->b, i->c};
	struct emit *e = g->e;

	note_place(g);
	state_store_imm(g, RUN(state), HAS);
	link_to_own(g, ENTRY(self));
	for (int k = 0; k < 3; k++) {
		state_load(g, R1, RUN(ids) + 8 * k);
		emit_store(e, 8, R9, ENTRY(ids) + 8 * k, R1);
	}
	state_load(g, R1, RUN(flags));
	emit_store(e, 4, R9, ENTRY(flags), R1);
	emit_store_imm(e, 4, R9, ENTRY(group), (int32_t)i->group);
	emit_store_imm(e, 4, R9, ENTRY(call), (int32_t)i->call);
	state_load(g, R1, HEAD(goid));
	emit_store(e, 8, R9, ENTRY(goid), R1);
	state_load(g, R1, HEAD(depth));
	emit_store(e, 8, R9, ENTRY(depth), R1);
	for (int k = 0; k < (int)ARRAY_SIZE(words); k++) {
		if (i->a == IR_NO_REG)
			emit_alu_imm(e, BPF_MOV, R1, 0);
		else
			gen_get(g, R1, words[k]);
		emit_store(e, 8, R9, ENTRY(epoch) + 8 * k, R1);
	}
	release_entry(g);
}

static void begin_mark(struct gen *g, const struct ir_insn *i, int end)
{
	struct emit *e = g->e;
	int write = emit_label_new(e), full = emit_label_new(e);

	decide_trace(g, i);
	random_word(g);
	state_store(g, RUN(ids) + 16, R8);
	make_key(g);
	claim_entry(g, write, full);
	emit_label(e, write);
	emit_checkpoint(e);
	write_mark(g, i);
	emit_jump(e, end);
	emit_label(e, full);
	gen_count_loss(g, LOSS_MARKS_FULL);
	state_store_imm(g, RUN(state), SEALED);
}

/* ---- its end, and what it decides ---- */

static void end_own(struct gen *g, const struct ir_insn *i, int end)
{
	needs_own(g, end);
	if (i->flags & IR_MARK_UNLESS_KEYED)
		unless_state(g, KEYED, end);
	state_load(g, R1, RUN(at));
	state_store(g, RUN(place), R1);
	entry_at(g, R9, end);
	state_load(g, R0, RUN(key));
	end_mark(g, R9);
}

static void admit(struct gen *g, const struct ir_insn *i, int end)
{
	only_in_state(g, HAS, end);
	state_load(g, R1, RUN(flags));
	emit_alu_imm(g->e, BPF_AND, R1, MARK_SAMPLED | MARK_UNDECIDED);
	emit_jump_if_imm(g->e, BPF_JEQ, R1, 0,
			 gen_drop(g, i->flags & IR_MARK_COUNT ? LOSS_LEFT_OUT : (unsigned)DROP_SILENT));
}

/* ---- dispatch ---- */

int gen_mark(struct gen *g, const struct ir_insn *i)
{
	int end = emit_label_new(g->e), r = 0;

	switch (i->op) {
	case IR_MARK_HEADER: header_mark(g, i, end); break;
	case IR_MARK_CHAIN: r = chain_marks(g, i, end); break;
	case IR_MARK_GOROUTINE: goroutine_marks(g, i, end); break;
	case IR_MARK_CREATOR: creator_marks(g, i, end); break;
	case IR_MARK_FIND: find_mark(g, i, end); break;
	case IR_MARK_BEGIN: begin_mark(g, i, end); break;
	case IR_MARK_PUT: put_mark(g, i, end); break;
	case IR_MARK_PUT_CHAIN: r = put_chain(g, i, end); break;
	case IR_MARK_PUSH: push_mark(g, i, end); break;
	case IR_MARK_LEAVE: leave(g, end); break;
	case IR_MARK_END: end_own(g, i, end); break;
	case IR_MARK_UNWIND: unwind_marks(g, i, end); break;
	default: admit(g, i, end); break;
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

int gen_mark_word(struct gen *g, const struct ir_insn *i)
{
	only_in_state(g, HAS, gen_fail(g, SLOT_ABSENT));
	state_load(g, R0, i->imm == MARK_FLAGS ? RUN(flags) : RUN(ids) + 8 * (int)i->imm);
	gen_put(g, i->dst, R0);
	return 1;
}
_Static_assert((int)MARK_TRACE_ID_0 == 0 && (int)MARK_SPAN_ID == 2, "they are run.ids");

/* One struct event_context, padded. */
int gen_emit_mark(struct gen *g, const struct ir_insn *i)
{
	const int bytes = ALIGN_UP(sizeof(struct event_context), 8), off = gen_slot_off(g, i->slot);
	struct emit *e = g->e;

	only_in_state(g, HAS, gen_fail(g, SLOT_ABSENT));
	emit_load(e, 4, R2, REG_RECORD, HEAD(size));
	emit_jump_if_imm(e, BPF_JGT, R2, gen_record_limit(g) - bytes, gen_fail(g, SLOT_CUT));
	emit_store(e, 8, REG_RECORD, off + (int)offsetof(struct event_slot, value), R2);
	emit_alu(e, BPF_MOV, R3, R2);
	emit_alu(e, BPF_ADD, R3, REG_RECORD);
	for (int k = 0; k < 3; k++) {
		state_load(g, R1, RUN(ids) + 8 * k);
		emit_store(e, 8, R3, 8 * k, R1);
	}
	state_load(g, R1, RUN(flags));
	if (i->imm)
		emit_alu_imm(e, BPF_OR, R1, (int32_t)i->imm);
	emit_store(e, 8, R3, 24, R1);
	emit_alu_imm(e, BPF_ADD, R2, bytes);
	emit_store(e, 4, REG_RECORD, HEAD(size), R2);
	emit_imm(e, R1, SLOT_OK | (int64_t)sizeof(struct event_context) << 16 |
				(int64_t)sizeof(struct event_context) << 32);
	emit_store(e, 8, REG_RECORD, off, R1);
	return 1;
}
