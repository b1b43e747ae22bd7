/*
 * Marks (probe/mark.h), in the area, with saved.c's way to take an entry over: exchange its key, with the lowest bit
 * set until the rest is there; a reader looks for the key before and after it reads.
 *
 * Words, and goroutines, lead to marks: tables of sets of four. Such an entry has the mark's address and its key, which
 * is made of its span id: if the key is still there, it is still that mark, since no span id comes twice. So a mark
 * ends by giving its key up, and who led to it need not know: entries that lead to no other one are dead, and the first
 * to be taken over. A goroutine never meets itself in its own entries.
 *
 * Here, before a record is begun, REG_RECORD is free.
 */
#include "plant/patch/marks.h"

#define TO_KEY(reg) MEM(reg, offsetof(struct patch_mark_link, key))
#define FIRST_LINK offsetof(struct patch_mark_stack, to)

/* ---- a word ---- */

/* The run's mark is found by the word in RAX. */
static void put_word(struct code *g, int64_t kind, uint32_t group, int end)
{
	const struct mark_table names = mark_names(g);
	struct x86 *x = &g->x;
	int write = x86_label_new(x), full = x86_label_new(x);

	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_E, end);
	mark_key_of_word(g, kind, group);
	mark_claim(g, &names, write, full);
	x86_label(x, write);
	x86_lea(x, RDX, ENTRY(RSI, self));
	mark_link_to_own(g, RDX);
	mark_release(g);
	if (kind == MARK_KEY)
		x86_alu_mem_imm(x, X_OR, 4, STATE, KEYED);
	x86_jmp(x, end);
	x86_label(x, full);
	mark_count_full(g);
}

static void code_put_mark(struct code *g, const struct ir_insn *i, int end)
{
	mark_needs_own(g, end);
	code_get(g, RAX, i->a);
	put_word(g, i->imm, i->group, end);
}

static void code_find(struct code *g, const struct ir_insn *i, int end)
{
	const struct mark_table names = mark_names(g);
	struct x86 *x = &g->x;
	int found = x86_label_new(x);

	mark_unless(g, HAS | SEALED, end);
	if (i->flags & IR_MARK_NEED)
		x86_alu_mem_imm(x, X_OR, 4, STATE, SEALED);
	code_get(g, RAX, i->a);
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_E, end);
	if (i->flags & IR_MARK_ONLY)
		x86_alu_mem_imm(x, X_OR, 4, STATE, SEALED);
	mark_key_of_word(g, i->imm, i->group);
	mark_find_set(g, &names);
	mark_find_entry(g, &names, found);
	x86_jmp(x, end);
	x86_label(x, found);
	mark_follow(g, end);
	if (i->flags & IR_MARK_NEED)
		x86_alu_mem_imm(x, X_AND, 4, STATE, ~SEALED);
	else
		mark_take(g, end);
}

/* ---- chains ---- */

/* slot.links = the chain that the instruction names, of at most max links. */
static void walk_chain(struct code *g, const struct ir_insn *i, int64_t max)
{
	struct x86 *x = &g->x;

	x86_store_imm(x, 8, SLOT(size), 0);
	x86_lea(x, REG_RECORD, SLOT(links));
	code_chain(g, i->a, i->b, max);
	code_forget(g);
}

static void code_chain_marks(struct code *g, const struct ir_insn *i, int end)
{
	const struct mark_table names = mark_names(g);
	struct x86 *x = &g->x;
	int again = x86_label_new(x), found = x86_label_new(x), next = x86_label_new(x), sure = x86_label_new(x);

	mark_unless(g, HAS | SEALED, end);
	walk_chain(g, i, i->imm);
	x86_lea(x, MARK_TEMP, SLOT(links));
	x86_label(x, again);
	x86_load(x, 8, false, RAX, MEM(MARK_TEMP, 0));
	x86_alu_imm(x, X_CMP, RAX, CHAIN_BITS);
	x86_jcc(x, CC_BE, end);
	x86_alu_imm(x, X_AND, RAX, ~CHAIN_BITS);
	mark_key_of_word(g, MARK_CONTEXT, 0);
	mark_find_set(g, &names);
	mark_find_entry(g, &names, found);
	x86_label(x, next);
	x86_alu_imm(x, X_ADD, MARK_TEMP, 8);
	x86_jmp(x, again);
	x86_label(x, found);
	mark_follow(g, next);
	x86_test_mem8(x, MEM(MARK_TEMP, 0), CHAIN_POOLED);
	x86_jcc(x, CC_E, sure);
	x86_load(x, 8, false, RAX, SLOT(goid));
	x86_alu_load(x, X_CMP, RAX, ENTRY(RSI, goid));
	x86_jcc(x, CC_NE, next);
	x86_label(x, sure);
	mark_take(g, next);
}

static void code_put_chain(struct code *g, const struct ir_insn *i, int end)
{
	struct x86 *x = &g->x;

	mark_needs_own(g, end);
	walk_chain(g, i, 1);
	x86_load(x, 8, false, RAX, SLOT_AT(links, 0));
	x86_alu_imm(x, X_CMP, RAX, CHAIN_BITS);
	x86_jcc(x, CC_BE, end);
	x86_alu_imm(x, X_AND, RAX, ~CHAIN_BITS);
	put_word(g, MARK_CONTEXT, 0, end);
}

/* ---- a goroutine's marks ---- */

/* RSI = the entry of the goroutine in RAX, which slot.mark_goid is from here on; to none where it has none. */
static void find_goroutine(struct code *g, int none)
{
	const struct mark_table stacks = mark_stacks(g);
	struct x86 *x = &g->x;
	int found = x86_label_new(x);

	x86_store(x, 8, SLOT(mark_goid), RAX);
	mark_key_of_goroutine(g);
	mark_find_set(g, &stacks);
	mark_find_entry(g, &stacks, found);
	x86_jmp(x, none);
	x86_label(x, found);
}

/* A loop over the links of the entry at RSI: MARK_TEMP is one of them, RSI and RDI its mark and key, which is there. */
struct links {
	int again, next, end;
};

static struct links links_begin(struct code *g)
{
	struct x86 *x = &g->x;
	struct links l = {x86_label_new(x), x86_label_new(x), x86_label_new(x)};

	x86_lea(x, MARK_TEMP, MEM(RSI, FIRST_LINK));
	x86_lea(x, RAX, MEM(RSI, FIRST_LINK + MARK_LEVELS * sizeof(struct patch_mark_link)));
	x86_store(x, 8, SLOT(mark_links_end), RAX);
	x86_label(x, l.again);
	x86_load(x, 8, false, RDI, TO_KEY(MARK_TEMP));
	x86_test(x, RDI, RDI);
	x86_jcc(x, CC_E, l.next);
	x86_load(x, 8, false, RSI, MEM(MARK_TEMP, offsetof(struct patch_mark_link, at)));
	x86_alu_load(x, X_CMP, RDI, ENTRY(RSI, key));
	x86_jcc(x, CC_NE, l.next);
	x86_load(x, 8, false, RAX, SLOT(mark_goid));
	x86_alu_load(x, X_CMP, RAX, ENTRY(RSI, goid));
	x86_jcc(x, CC_NE, l.next);
	return l;
}

static void links_end(struct code *g, const struct links *l)
{
	struct x86 *x = &g->x;

	x86_label(x, l->next);
	x86_alu_imm(x, X_ADD, MARK_TEMP, sizeof(struct patch_mark_link));
	x86_alu_load(x, X_CMP, MARK_TEMP, SLOT(mark_links_end));
	x86_jcc(x, CC_B, l->again);
	x86_label(x, l->end);
}

static void no_candidate(struct code *g)
{
	x86_store_imm(&g->x, 8, SLOT(mark_best_at), 0);
	x86_store_imm(&g->x, 8, SLOT(mark_best_depth), 0);
}

/* The mark at RSI is the deepest one so far, if it is. Clobbers RAX. */
static void candidate(struct code *g, const struct links *l)
{
	struct x86 *x = &g->x;

	x86_load(x, 8, false, RAX, ENTRY(RSI, depth));
	x86_alu_load(x, X_CMP, RAX, SLOT(mark_best_depth));
	x86_jcc(x, CC_B, l->next);
	x86_store(x, 8, SLOT(mark_best_depth), RAX);
	x86_store(x, 8, SLOT(mark_best_at), RSI);
	x86_store(x, 8, SLOT(mark_best_key), RDI);
}

static void take_candidate(struct code *g, int end)
{
	struct x86 *x = &g->x;

	mark_unless(g, HAS | SEALED, end);
	x86_load(x, 8, false, RSI, SLOT(mark_best_at));
	x86_test(x, RSI, RSI);
	x86_jcc(x, CC_E, end);
	x86_load(x, 8, false, RDI, SLOT(mark_best_key));
	mark_take(g, end);
}

/* To next where the mark at RSI has left the stack, which is its end. */
static void only_around(struct code *g, const struct ir_insn *i, const struct links *l)
{
	struct x86 *x = &g->x;
	int around = x86_label_new(x), gone = x86_label_new(x);

	x86_load(x, 8, false, RAX, ENTRY(RSI, depth));
	x86_alu_load(x, X_CMP, RAX, SLOT(depth));
	x86_jcc(x, CC_B, around);
	x86_jcc(x, CC_A, gone);
	x86_alu_mem_imm(x, X_CMP, 4, ENTRY(RSI, call), (int32_t)i->call);
	x86_jcc(x, CC_NE, gone);
	x86_alu_mem_imm(x, X_CMP, 4, ENTRY(RSI, group), (int32_t)i->group);
	x86_jcc(x, CC_NE, around);
	x86_label(x, gone);
	mark_end(g);
	x86_jmp(x, l->next);
	x86_label(x, around);
}

static void only_of_group(struct code *g, const struct ir_insn *i, const struct links *l)
{
	struct x86 *x = &g->x;

	x86_alu_mem_imm(x, X_CMP, 4, ENTRY(RSI, group), (int32_t)i->group);
	x86_jcc(x, CC_NE, l->next);
	if (i->imm != MARK_OF_CALL)
		return;
	x86_load(x, 8, false, RAX, ENTRY(RSI, depth));
	x86_alu_load(x, X_CMP, RAX, SLOT(depth));
	x86_jcc(x, CC_NE, l->next);
}

static void code_goroutine_marks(struct code *g, const struct ir_insn *i, int end)
{
	struct links l;

	if (i->imm != MARK_AROUND)
		mark_unless(g, HAS, end);
	mark_unless(g, SEALED, end);
	no_candidate(g);
	x86_load(&g->x, 8, false, RAX, SLOT(goid));
	find_goroutine(g, end);
	l = links_begin(g);
	if (i->imm == MARK_AROUND)
		only_around(g, i, &l);
	else
		only_of_group(g, i, &l);
	candidate(g, &l);
	links_end(g, &l);
	take_candidate(g, end);
}

/* To next unless the record's goroutine was created within the mark at RSI (mark_created_within). Clobbers RAX, RCX. */
static void only_created_within(struct code *g, const struct links *l)
{
	struct x86 *x = &g->x;
	int within = x86_label_new(x);

	x86_load(x, 8, false, RCX, SLOT(goid));
	x86_load(x, 8, false, RAX, ENTRY(RSI, epoch[0]));
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_E, l->next);
	x86_alu(x, X_CMP, RCX, RAX);
	x86_jcc(x, CC_A, within);
	x86_alu_load(x, X_CMP, RCX, ENTRY(RSI, epoch[1]));
	x86_jcc(x, CC_B, l->next);
	x86_alu_load(x, X_CMP, RCX, ENTRY(RSI, epoch[2]));
	x86_jcc(x, CC_AE, l->next);
	x86_load(x, 8, false, RAX, ENTRY(RSI, epoch[2]));
	x86_alu_load(x, X_SUB, RAX, ENTRY(RSI, epoch[1]));
	x86_alu_imm(x, X_CMP, RAX, MARK_BATCH);
	x86_jcc(x, CC_A, l->next);
	x86_label(x, within);
}

static void code_creator_marks(struct code *g, const struct ir_insn *i, int end)
{
	struct links l;

	mark_unless(g, HAS | SEALED, end);
	no_candidate(g);
	code_get(g, RAX, i->a);
	x86_test(&g->x, RAX, RAX);
	x86_jcc(&g->x, CC_E, end);
	find_goroutine(g, end);
	l = links_begin(g);
	only_created_within(g, &l);
	candidate(g, &l);
	links_end(g, &l);
	take_candidate(g, end);
}

static void code_unwind_marks(struct code *g, const struct ir_insn *i, int end)
{
	struct links l;

	x86_load(&g->x, 8, false, RAX, SLOT(goid));
	find_goroutine(g, end);
	l = links_begin(g);
	if (!i->imm) {
		x86_load(&g->x, 8, false, RAX, ENTRY(RSI, depth));
		x86_alu_load(&g->x, X_CMP, RAX, SLOT(depth));
		x86_jcc(&g->x, CC_BE, l.next);
	}
	mark_end(g);
	links_end(g, &l);
}

/* A goroutine's entry that was another's leads nowhere else. */
static void clear_links(struct code *g)
{
	for (unsigned k = 1; k < MARK_LEVELS; k++)
		x86_store_imm(&g->x, 8, MEM(RSI, FIRST_LINK + k * sizeof(struct patch_mark_link) +
						 offsetof(struct patch_mark_link, key)), 0);
}

/* The first link of the entry at RSI that leads nowhere leads to the run's mark; counted where all lead somewhere. */
static void push_link(struct code *g)
{
	struct x86 *x = &g->x;
	int done = x86_label_new(x);

	for (unsigned k = 0; k < MARK_LEVELS; k++) {
		int take = x86_label_new(x), next = x86_label_new(x);

		x86_lea(x, RDX, MEM(RSI, FIRST_LINK + k * sizeof(struct patch_mark_link)));
		x86_load(x, 8, false, RAX, TO_KEY(RDX));
		x86_test(x, RAX, RAX);
		x86_jcc(x, CC_E, take);
		x86_load(x, 8, false, RCX, MEM(RDX, offsetof(struct patch_mark_link, at)));
		x86_alu_load(x, X_CMP, RAX, ENTRY(RCX, key));
		x86_jcc(x, CC_E, next);
		x86_label(x, take);
		mark_link_to_own(g, RDX);
		x86_jmp(x, done);
		x86_label(x, next);
	}
	mark_count_full(g);
	x86_label(x, done);
}

static void code_push(struct code *g, const struct ir_insn *i, int end)
{
	const struct mark_table stacks = mark_stacks(g);
	struct x86 *x = &g->x;
	int own = x86_label_new(x), done = x86_label_new(x), full = x86_label_new(x);

	mark_needs_own(g, end);
	if (i->flags & IR_MARK_UNLESS_KEYED)
		mark_unless(g, KEYED, end);
	x86_load(x, 8, false, RAX, SLOT(goid));
	mark_key_of_goroutine(g);
	mark_claim(g, &stacks, own, full);
	clear_links(g);
	x86_lea(x, RDX, ENTRY(RSI, self));
	mark_link_to_own(g, RDX);
	x86_jmp(x, done);
	x86_label(x, own);
	push_link(g);
	x86_label(x, done);
	mark_release(g);
	x86_jmp(x, end);
	x86_label(x, full);
	mark_count_full(g);
}

static void code_leave(struct code *g, int end)
{
	struct x86 *x = &g->x;
	struct links l;

	mark_needs_own(g, end);
	mark_only_in(g, KEYED, end);
	x86_load(x, 8, false, RSI, SLOT(mark_at));
	x86_load(x, 8, false, RAX, ENTRY(RSI, goid)); /* not the record's, perhaps */
	find_goroutine(g, end);
	l = links_begin(g);
	x86_alu_load(x, X_CMP, RDI, SLOT(mark_key));
	x86_jcc(x, CC_NE, l.next);
	x86_store_imm(x, 8, TO_KEY(MARK_TEMP), 0);
	links_end(g, &l);
}

/* ---- dispatch ---- */

void code_mark(struct code *g, const struct ir_insn *i)
{
	int end = x86_label_new(&g->x);

	switch (i->op) {
	case IR_MARK_HEADER: mark_header(g, i, end); break;
	case IR_MARK_CHAIN: code_chain_marks(g, i, end); break;
	case IR_MARK_GOROUTINE: code_goroutine_marks(g, i, end); break;
	case IR_MARK_CREATOR: code_creator_marks(g, i, end); break;
	case IR_MARK_FIND: code_find(g, i, end); break;
	case IR_MARK_BEGIN: mark_begin(g, i, end); break;
	case IR_MARK_STATE: mark_state(g, i, end); break;
	case IR_MARK_PUT: code_put_mark(g, i, end); break;
	case IR_MARK_PUT_CHAIN: code_put_chain(g, i, end); break;
	case IR_MARK_PUSH: code_push(g, i, end); break;
	case IR_MARK_LEAVE: code_leave(g, end); break;
	case IR_MARK_END: mark_ended(g, i, end); break;
	case IR_MARK_UNWIND: code_unwind_marks(g, i, end); break;
	default: mark_admit(g, i, end); break;
	}
	code_join(g, end);
}

void code_mark_begin(struct code *g)
{
	x86_store_imm(&g->x, 4, STATE, 0);
}
