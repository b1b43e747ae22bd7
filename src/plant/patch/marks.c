/*
 * Marks (probe/mark.h), in the area, with saved.c's way to take an entry over: exchange its key, with the lowest bit
 * set until the rest is there; a reader looks for the key before and after it reads.
 *
 * Words, and goroutines, lead to marks: tables of sets of four. Such an entry has the mark's address and its key, which
 * is made of its span id: if the key is still there, it is still that mark, since no span id comes twice. So a mark
 * ends by giving its key up, and who led to it need not know: such entries are dead, and the first to be taken over. A
 * goroutine never meets itself in its own entries.
 *
 * Marks themselves lie anywhere, since nobody looks for them by a key. A slot first looks where it found a free one
 * last, or where the one lay that ended last, then at random among the first ones, then among all. So few of them do
 * where few are open at once, and these are in the cache. Where all that it looks at are taken, the last one gives way.
 *
 * Here, before a record is begun, REG_RECORD is free.
 */
#include "plant/patch/gen.h"

#include "event/loss.h"

#define MIX_WORD UINT64_C(0x9e3779b97f4a7c15)
#define MIX_KIND UINT64_C(0xd6e8feb86659fd93)
#define APART 12345 /* sets from one kind of words to the next, for the same word */
#define MIX_STACK UINT64_C(0xc2b2ae3d27d4eb4f)
#define BUSY 1

enum { TEMP = REG_RECORD };
enum { HAS = 1, SEALED = 2, KEYED = 4, BY_HEADER = 8 }; /* slot.mark_state */

#define ENTRY(reg, field) MEM(reg, offsetof(struct patch_mark, field))
#define TO_KEY(reg) MEM(reg, offsetof(struct patch_mark_link, key))
#define TO_AT(reg) MEM(reg, offsetof(struct patch_mark_link, at))
#define STATE SLOT(mark_state)
#define FIRST_LINK offsetof(struct patch_mark_stack, to)
#define SAME_PLACE(field, of_name)                                                                                    \
	_Static_assert(offsetof(struct patch_mark, field) == offsetof(struct patch_mark_name, of_name) &&              \
		       offsetof(struct patch_mark, field) == offsetof(struct patch_mark_stack, of_name), "one ENTRY")
SAME_PLACE(key, key);
SAME_PLACE(tsc, tsc);
SAME_PLACE(self, to);
_Static_assert(sizeof(struct patch_mark) == 128 && sizeof(struct patch_mark_stack) == 128 &&
		       sizeof(struct patch_mark_name) == 32, "sets are powers of two");

enum { NAMES_FOR_A_MARK = 4, TRIES = 40, NEAR_TRIES = 12, NEAR_MARKS = 128 };

void patch_marks_layout(uint32_t nmarks, struct patch_area *layout)
{
	layout->nmarks = layout->nstacks = nmarks;
	layout->nnames = NAMES_FOR_A_MARK * (uint64_t)nmarks;
	layout->marks_off = ALIGN_UP(layout->ring.bytes, EVENT_PAGE);
	layout->stacks_off = layout->marks_off + layout->nmarks * sizeof(struct patch_mark);
	layout->names_off = layout->stacks_off + layout->nstacks * sizeof(struct patch_mark_stack);
	layout->ring.bytes = layout->ring.pool_off = layout->names_off +
						     layout->nnames * sizeof(struct patch_mark_name);
}

/* A table of sets: where it is in the area, its entries, the bytes of one. */
struct table {
	uint64_t off, n;
	size_t bytes;
};

static struct table names_of(const struct code *g)
{
	const struct patch_area *l = g->env->layout;

	return (struct table){l->names_off, l->nnames, sizeof(struct patch_mark_name)};
}

static struct table stacks_of(const struct code *g)
{
	const struct patch_area *l = g->env->layout;

	return (struct table){l->stacks_off, l->nstacks, sizeof(struct patch_mark_stack)};
}

/* A field of way w of the set at RDX. */
#define WAY_OF(t, w, field) MEM(RDX, (size_t)(w) * (t)->bytes + offsetof(struct patch_mark, field))

/* ---- keys and entries ---- */

/* RDI, which is mixed, becomes a key: not 0, not busy. */
static void make_key(struct code *g)
{
	x86_alu_imm(&g->x, X_AND, RDI, ~BUSY);
	x86_alu_imm(&g->x, X_OR, RDI, 2);
}

/*
 * RDI = the key of the word in RAX, RCX the number of its set. What lies side by side in memory has sets side by side:
 * so what one request after the other brings is in a few pages of the table. Clobbers RDX.
 */
static void key_of_word(struct code *g, int64_t kind, uint32_t group)
{
	struct x86 *x = &g->x;

	x86_mov(x, RDI, RAX);
	x86_imm(x, RDX, MIX_WORD);
	x86_imul(x, RDI, RDX);
	x86_imm(x, RDX, MIX_KIND * ((uint64_t)kind + 1 + MARK_KIND_COUNT * (uint64_t)group));
	x86_alu(x, X_XOR, RDI, RDX);
	make_key(g);
	x86_mov(x, RCX, RAX);
	x86_shift(x, X_SHR, RCX, 5);
	x86_shift(x, X_SHR, RAX, 19);
	x86_alu(x, X_XOR, RCX, RAX);
	x86_alu_imm(x, X_ADD, RCX, (int32_t)(APART * kind));
}

/* RDI = the key of the goroutine in RAX, RCX the number of its set. Clobbers RDX. */
static void key_of_goroutine(struct code *g)
{
	struct x86 *x = &g->x;

	x86_mov(x, RDI, RAX);
	x86_imm(x, RDX, MIX_STACK);
	x86_imul(x, RDI, RDX);
	make_key(g);
	x86_mov(x, RCX, RAX);
}

static uint8_t log2_of(uint64_t n)
{
	return (uint8_t)__builtin_ctzll(n);
}

/* RDX = the set of the number in RCX. Clobbers RCX. */
static void find_set(struct code *g, const struct table *t)
{
	struct x86 *x = &g->x;

	x86_mov(x, RDX, RCX);
	x86_shift(x, X_SHL, RDX, log2_of(PATCH_MARK_WAYS * t->bytes));
	x86_alu_imm(x, X_AND, RDX, (int32_t)((t->n - PATCH_MARK_WAYS) * t->bytes));
	x86_imm(x, RCX, g->env->area + t->off);
	x86_alu(x, X_ADD, RDX, RCX);
}

/* RSI = the entry of the key in RDI, in the set at RDX, to found; falls out where there is none. */
static void find_entry(struct code *g, const struct table *t, int found)
{
	for (unsigned w = 0; w < PATCH_MARK_WAYS; w++) {
		x86_lea(&g->x, RSI, WAY_OF(t, w, key));
		x86_alu_load(&g->x, X_CMP, RDI, ENTRY(RSI, key));
		x86_jcc(&g->x, CC_E, found);
	}
}

/* RSI, RDI = the mark that the word's entry at RSI, of key RDI, leads to, and its key; to none. Clobbers RCX, RDX. */
static void follow(struct code *g, int none)
{
	struct x86 *x = &g->x;

	x86_load(x, 8, false, RCX, ENTRY(RSI, self.key));
	x86_load(x, 8, false, RDX, ENTRY(RSI, self.at));
	x86_alu_load(x, X_CMP, RDI, ENTRY(RSI, key));
	x86_jcc(x, CC_NE, none);
	x86_mov(x, RSI, RDX);
	x86_mov(x, RDI, RCX);
	x86_alu_load(x, X_CMP, RDI, ENTRY(RSI, key));
	x86_jcc(x, CC_NE, none);
}

/* The mark at RSI, of key RDI, becomes the run's; to none where it is gone. Clobbers RAX. */
static void take_mark(struct code *g, int none)
{
	struct x86 *x = &g->x;

	for (unsigned k = 0; k < 3; k++) {
		x86_load(x, 8, false, RAX, MEM(RSI, offsetof(struct patch_mark, ids) + 8 * k));
		x86_store(x, 8, SLOT_AT(mark_ids, k), RAX);
	}
	x86_load(x, 4, false, RAX, ENTRY(RSI, flags));
	x86_store(x, 4, SLOT(mark_flags), RAX);
	x86_alu_load(x, X_CMP, RDI, ENTRY(RSI, key));
	x86_jcc(x, CC_NE, none);
	x86_store(x, 8, SLOT(mark_at), RSI);
	x86_store(x, 8, SLOT(mark_key), RDI);
	x86_alu_mem_imm(x, X_OR, 4, STATE, HAS);
}

/* The mark of key RDI at RSI ends; nothing if it has. Clobbers RAX, RDX. */
static void end_mark(struct code *g)
{
	x86_mov(&g->x, RAX, RDI);
	x86_imm(&g->x, RDX, 0);
	x86_lock_cmpxchg(&g->x, ENTRY(RSI, key), RDX);
}

static void unless_state(struct code *g, uint8_t bits, int label)
{
	x86_test_mem8(&g->x, STATE, bits);
	x86_jcc(&g->x, CC_NE, label);
}

static void only_in_state(struct code *g, uint8_t bits, int label)
{
	x86_test_mem8(&g->x, STATE, bits);
	x86_jcc(&g->x, CC_E, label);
}

/* ---- taking an entry ---- */

static void count_full(struct code *g)
{
	x86_imm(&g->x, RCX, g->env->area + g->env->layout->counts_off + g->env->counts * sizeof(struct patch_counts) +
				    8 * LOSS_MARKS_FULL);
	x86_lock_inc(&g->x, MEM(RCX, 0));
}

/*
 * RSI = the entry of the set at RDX that gives way, RAX what it is exchanged for, to claim: one that is free, or dead;
 * or it falls out with the oldest. To none where all are being written. Clobbers RCX, TEMP.
 */
static void choose_victim(struct code *g, const struct table *t, int claim, int none)
{
	struct x86 *x = &g->x;

	x86_imm(x, TEMP, UINT64_MAX);
	x86_imm(x, RSI, 0);
	for (unsigned w = 0; w < PATCH_MARK_WAYS; w++) {
		int next = x86_label_new(x), take = x86_label_new(x), alive = x86_label_new(x);

		x86_load(x, 8, false, RAX, WAY_OF(t, w, key));
		x86_test(x, RAX, RAX);
		x86_jcc(x, CC_E, take);
		x86_test_imm8(x, RAX, BUSY);
		x86_jcc(x, CC_NE, next);
		x86_load(x, 8, false, RCX, WAY_OF(t, w, self.at));
		x86_test(x, RCX, RCX);
		x86_jcc(x, CC_E, take);
		x86_load(x, 8, false, RCX, ENTRY(RCX, key));
		x86_alu_load(x, X_CMP, RCX, WAY_OF(t, w, self.key));
		x86_jcc(x, CC_E, alive);
		x86_label(x, take);
		x86_lea(x, RSI, WAY_OF(t, w, key));
		x86_jmp(x, claim);
		x86_label(x, alive);
		x86_load(x, 8, false, RCX, WAY_OF(t, w, tsc));
		x86_alu(x, X_CMP, RCX, TEMP);
		x86_jcc(x, CC_AE, next);
		x86_mov(x, TEMP, RCX);
		x86_lea(x, RSI, WAY_OF(t, w, key));
		x86_label(x, next);
	}
	x86_test(x, RSI, RSI);
	x86_jcc(x, CC_E, none);
	x86_load(x, 8, false, RAX, ENTRY(RSI, key));
	x86_test_imm8(x, RAX, BUSY);
	x86_jcc(x, CC_NE, none);
}

/* The entry at RSI was written now; where a span begins, it is read only once. */
static void put_time(struct code *g)
{
	if (capture_has(g->p, IR_MARK_BEGIN))
		x86_load(&g->x, 8, false, RAX, SLOT(now));
	else
		code_now(g);
	x86_store(&g->x, 8, ENTRY(RSI, tsc), RAX);
}

/*
 * RSI = an entry with the key RDI and BUSY, of the set RCX: that of the key itself, to own; else another one. To none
 * where there is none to be had: others may be at the same set, so it is tried again, but not for ever. Clobbers all
 * but RDI.
 */
static void claim_entry(struct code *g, const struct table *t, int own, int none)
{
	struct x86 *x = &g->x;
	int found = x86_label_new(x), claim = x86_label_new(x), end = x86_label_new(x);
	int again = x86_label_new(x), lost = x86_label_new(x), claimed = x86_label_new(x);

	find_set(g, t);
	x86_store_imm(x, 8, SLOT(mark_tries), TRIES);
	x86_label(x, again);
	find_entry(g, t, found);
	choose_victim(g, t, claim, lost);
	x86_lea(x, RCX, MEM(RDI, BUSY));
	x86_lock_cmpxchg(x, ENTRY(RSI, key), RCX);
	x86_jcc(x, CC_NE, lost);
	count_full(g);
	x86_jmp(x, claimed);
	x86_label(x, claim);
	x86_lea(x, RCX, MEM(RDI, BUSY));
	x86_lock_cmpxchg(x, ENTRY(RSI, key), RCX);
	x86_jcc(x, CC_NE, lost);
	x86_label(x, claimed);
	put_time(g);
	x86_jmp(x, end);
	x86_label(x, lost);
	x86_alu_mem_imm(x, X_SUB, 8, SLOT(mark_tries), 1);
	x86_jcc(x, CC_NE, again);
	x86_jmp(x, none);
	x86_label(x, found);
	x86_mov(x, RAX, RDI);
	x86_lea(x, RCX, MEM(RDI, BUSY));
	x86_lock_cmpxchg(x, ENTRY(RSI, key), RCX);
	x86_jcc(x, CC_NE, lost);
	put_time(g);
	x86_jmp(x, own);
	x86_label(x, end);
}

static void release_entry(struct code *g)
{
	x86_alu_mem_imm(&g->x, X_SUB, 8, ENTRY(RSI, key), BUSY);
}

/* The link at reg leads to the run's mark. Clobbers RAX. */
static void link_to_own(struct code *g, uint8_t reg)
{
	struct x86 *x = &g->x;

	x86_load(x, 8, false, RAX, SLOT(mark_at));
	x86_store(x, 8, TO_AT(reg), RAX);
	x86_load(x, 8, false, RAX, SLOT(mark_key));
	x86_store(x, 8, TO_KEY(reg), RAX);
}

/* ---- a word ---- */

/* The run's mark is found by the word in RAX. */
static void put_word(struct code *g, int64_t kind, uint32_t group, int end)
{
	const struct table names = names_of(g);
	struct x86 *x = &g->x;
	int write = x86_label_new(x), full = x86_label_new(x);

	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_E, end);
	key_of_word(g, kind, group);
	claim_entry(g, &names, write, full);
	x86_label(x, write);
	x86_lea(x, RDX, ENTRY(RSI, self));
	link_to_own(g, RDX);
	release_entry(g);
	if (kind == MARK_KEY)
		x86_alu_mem_imm(x, X_OR, 4, STATE, KEYED);
	x86_jmp(x, end);
	x86_label(x, full);
	count_full(g);
}

/* The run has a mark of its own process. */
static void needs_own(struct code *g, int end)
{
	only_in_state(g, HAS, end);
	unless_state(g, BY_HEADER, end);
}

static void code_put_mark(struct code *g, const struct ir_insn *i, int end)
{
	needs_own(g, end);
	code_get(g, RAX, i->a);
	put_word(g, i->imm, i->group, end);
}

static void code_find(struct code *g, const struct ir_insn *i, int end)
{
	const struct table names = names_of(g);
	struct x86 *x = &g->x;
	int found = x86_label_new(x);

	unless_state(g, HAS | SEALED, end);
	code_get(g, RAX, i->a);
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_E, end);
	if (i->flags & IR_MARK_ONLY)
		x86_alu_mem_imm(x, X_OR, 4, STATE, SEALED);
	key_of_word(g, i->imm, i->group);
	find_set(g, &names);
	find_entry(g, &names, found);
	x86_jmp(x, end);
	x86_label(x, found);
	follow(g, end);
	take_mark(g, end);
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
	const struct table names = names_of(g);
	struct x86 *x = &g->x;
	int again = x86_label_new(x), found = x86_label_new(x), next = x86_label_new(x), sure = x86_label_new(x);

	unless_state(g, HAS | SEALED, end);
	walk_chain(g, i, i->imm);
	x86_lea(x, TEMP, SLOT(links));
	x86_label(x, again);
	x86_load(x, 8, false, RAX, MEM(TEMP, 0));
	x86_alu_imm(x, X_CMP, RAX, CHAIN_BITS);
	x86_jcc(x, CC_BE, end);
	x86_alu_imm(x, X_AND, RAX, ~CHAIN_BITS);
	key_of_word(g, MARK_CONTEXT, 0);
	find_set(g, &names);
	find_entry(g, &names, found);
	x86_label(x, next);
	x86_alu_imm(x, X_ADD, TEMP, 8);
	x86_jmp(x, again);
	x86_label(x, found);
	follow(g, next);
	x86_test_mem8(x, MEM(TEMP, 0), CHAIN_POOLED);
	x86_jcc(x, CC_E, sure);
	x86_load(x, 8, false, RAX, SLOT(goid));
	x86_alu_load(x, X_CMP, RAX, ENTRY(RSI, goid));
	x86_jcc(x, CC_NE, next);
	x86_label(x, sure);
	take_mark(g, next);
}

static void code_put_chain(struct code *g, const struct ir_insn *i, int end)
{
	struct x86 *x = &g->x;

	needs_own(g, end);
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
	const struct table stacks = stacks_of(g);
	struct x86 *x = &g->x;
	int found = x86_label_new(x);

	x86_store(x, 8, SLOT(mark_goid), RAX);
	key_of_goroutine(g);
	find_set(g, &stacks);
	find_entry(g, &stacks, found);
	x86_jmp(x, none);
	x86_label(x, found);
}

/* A loop over the links of the entry at RSI: TEMP is one of them, RSI and RDI its mark and key, which is there. */
struct links {
	int again, next, end;
};

static struct links links_begin(struct code *g)
{
	struct x86 *x = &g->x;
	struct links l = {x86_label_new(x), x86_label_new(x), x86_label_new(x)};

	x86_lea(x, TEMP, MEM(RSI, FIRST_LINK));
	x86_lea(x, RAX, MEM(RSI, FIRST_LINK + MARK_LEVELS * sizeof(struct patch_mark_link)));
	x86_store(x, 8, SLOT(mark_links_end), RAX);
	x86_label(x, l.again);
	x86_load(x, 8, false, RDI, TO_KEY(TEMP));
	x86_test(x, RDI, RDI);
	x86_jcc(x, CC_E, l.next);
	x86_load(x, 8, false, RSI, TO_AT(TEMP));
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
	x86_alu_imm(x, X_ADD, TEMP, sizeof(struct patch_mark_link));
	x86_alu_load(x, X_CMP, TEMP, SLOT(mark_links_end));
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

	unless_state(g, HAS | SEALED, end);
	x86_load(x, 8, false, RSI, SLOT(mark_best_at));
	x86_test(x, RSI, RSI);
	x86_jcc(x, CC_E, end);
	x86_load(x, 8, false, RDI, SLOT(mark_best_key));
	take_mark(g, end);
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
	end_mark(g);
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
		unless_state(g, HAS, end);
	unless_state(g, SEALED, end);
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

	unless_state(g, HAS | SEALED, end);
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
	end_mark(g);
	links_end(g, &l);
}

/* A goroutine's entry that was another's leads nowhere else. */
static void clear_links(struct code *g)
{
	for (unsigned k = 1; k < MARK_LEVELS; k++)
		x86_store_imm(&g->x, 8, MEM(RSI, FIRST_LINK + k * sizeof(struct patch_mark_link) +
						 offsetof(struct patch_mark_link, key)), 0);
}

/* The first link of the entry at RSI that leads nowhere leads to the run's mark; none where all lead somewhere. */
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
		x86_load(x, 8, false, RCX, TO_AT(RDX));
		x86_alu_load(x, X_CMP, RAX, ENTRY(RCX, key));
		x86_jcc(x, CC_E, next);
		x86_label(x, take);
		link_to_own(g, RDX);
		x86_jmp(x, done);
		x86_label(x, next);
	}
	x86_label(x, done);
}

static void code_push(struct code *g, const struct ir_insn *i, int end)
{
	const struct table stacks = stacks_of(g);
	struct x86 *x = &g->x;
	int own = x86_label_new(x), done = x86_label_new(x), full = x86_label_new(x);

	needs_own(g, end);
	if (i->flags & IR_MARK_UNLESS_KEYED)
		unless_state(g, KEYED, end);
	x86_load(x, 8, false, RAX, SLOT(goid));
	key_of_goroutine(g);
	claim_entry(g, &stacks, own, full);
	clear_links(g);
	x86_lea(x, RDX, ENTRY(RSI, self));
	link_to_own(g, RDX);
	x86_jmp(x, done);
	x86_label(x, own);
	push_link(g);
	x86_label(x, done);
	release_entry(g);
	x86_jmp(x, end);
	x86_label(x, full);
	count_full(g);
}

static void code_leave(struct code *g, int end)
{
	struct x86 *x = &g->x;
	struct links l;

	needs_own(g, end);
	only_in_state(g, KEYED, end);
	x86_load(x, 8, false, RAX, SLOT(goid));
	find_goroutine(g, end);
	l = links_begin(g);
	x86_alu_load(x, X_CMP, RDI, SLOT(mark_key));
	x86_jcc(x, CC_NE, l.next);
	x86_store_imm(x, 8, TO_KEY(TEMP), 0);
	links_end(g, &l);
}

/* ---- what came in ---- */

enum { VERSION = 0, TRACE_ID = 3, SPAN_ID = 36, HEADER_FLAGS = 53, HEADER_END = MARK_TRACEPARENT };

/* RAX = the digit that the byte at mem is, in lower case; to bad where it is none. */
static void hex_digit(struct code *g, struct x86_mem mem, int bad)
{
	struct x86 *x = &g->x;
	int done = x86_label_new(x);

	x86_load(x, 1, false, RAX, mem);
	x86_alu_imm(x, X_SUB, RAX, '0');
	x86_alu_imm(x, X_CMP, RAX, 9);
	x86_jcc(x, CC_BE, done);
	x86_alu_imm(x, X_SUB, RAX, 'a' - '0');
	x86_alu_imm(x, X_CMP, RAX, 5);
	x86_jcc(x, CC_A, bad);
	x86_alu_imm(x, X_ADD, RAX, 10);
	x86_label(x, done);
}

/* The n bytes whose digits are at `from` of the text, at RDI, which goes behind them. Clobbers RAX, RCX, RDX, RSI. */
static void hex_bytes(struct code *g, int from, int n, int bad)
{
	struct x86 *x = &g->x;
	int again = x86_label_new(x);

	x86_lea(x, RSI, MEM(REG_SLOT, offsetof(struct patch_slot, mark_text) + (size_t)from));
	x86_lea(x, RCX, MEM(RDI, n));
	x86_label(x, again);
	hex_digit(g, MEM(RSI, 0), bad);
	x86_mov(x, RDX, RAX);
	x86_shift(x, X_SHL, RDX, 4);
	hex_digit(g, MEM(RSI, 1), bad);
	x86_alu(x, X_OR, RAX, RDX);
	x86_store(x, 1, MEM(RDI, 0), RAX);
	x86_alu_imm(x, X_ADD, RSI, 2);
	x86_alu_imm(x, X_ADD, RDI, 1);
	x86_alu(x, X_CMP, RDI, RCX);
	x86_jcc(x, CC_B, again);
}

#define TEXT_AT(at) MEM(REG_SLOT, offsetof(struct patch_slot, mark_text) + (size_t)(at))

static void text_is(struct code *g, int at, char c, int bad)
{
	x86_alu_mem_imm(&g->x, X_CMP, 1, TEXT_AT(at), c);
	x86_jcc(&g->x, CC_NE, bad);
}

/* slot.mark_text = what of the text at RSI, of RCX bytes, is looked at; '-' stands for what is not there behind it. */
static void copy_header(struct code *g)
{
	static const uint8_t words[] = {0, 8, 16, 24, 32, 40, HEADER_END - 8};
	struct x86 *x = &g->x;
	int shorter = x86_label_new(x);

	for (size_t k = 0; k < ARRAY_SIZE(words); k++) {
		x86_load(x, 8, false, RAX, MEM(RSI, words[k]));
		x86_store(x, 8, TEXT_AT(words[k]), RAX);
	}
	x86_store_imm(x, 1, TEXT_AT(HEADER_END), '-');
	x86_alu_imm(x, X_CMP, RCX, HEADER_END);
	x86_jcc(x, CC_E, shorter);
	x86_load(x, 1, false, RAX, MEM(RSI, HEADER_END));
	x86_store(x, 1, TEXT_AT(HEADER_END), RAX);
	x86_label(x, shorter);
}

/* Of the two digits of the version at slot.mark_links_end; the length is in slot.mark_goid. */
static void check_version(struct code *g, int bad)
{
	struct x86 *x = &g->x;
	int later = x86_label_new(x);

	x86_load(x, 1, false, RAX, SLOT(mark_links_end));
	x86_alu_imm(x, X_CMP, RAX, 0xff);
	x86_jcc(x, CC_E, bad);
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_NE, later);
	x86_alu_mem_imm(x, X_CMP, 8, SLOT(mark_goid), HEADER_END);
	x86_jcc(x, CC_NE, bad);
	x86_label(x, later);
}

static void code_header(struct code *g, const struct ir_insn *i, int end)
{
	struct x86 *x = &g->x;

	unless_state(g, HAS | SEALED, end);
	code_get(g, RSI, i->a);
	code_get(g, RCX, i->b);
	x86_alu_imm(x, X_CMP, RCX, HEADER_END);
	x86_jcc(x, CC_B, end);
	code_fault(g, end);
	code_forget(g);
	x86_store(x, 8, SLOT(mark_goid), RCX);
	copy_header(g);
	text_is(g, TRACE_ID - 1, '-', end);
	text_is(g, SPAN_ID - 1, '-', end);
	text_is(g, HEADER_FLAGS - 1, '-', end);
	text_is(g, HEADER_END, '-', end);
	x86_lea(x, RDI, SLOT(mark_links_end));
	hex_bytes(g, VERSION, 1, end);
	check_version(g, end);
	x86_lea(x, RDI, SLOT(mark_flags));
	hex_bytes(g, HEADER_FLAGS, 1, end);
	x86_lea(x, RDI, SLOT(mark_ids));
	hex_bytes(g, TRACE_ID, 16, end);
	hex_bytes(g, SPAN_ID, 8, end);
	x86_load(x, 8, false, RAX, SLOT_AT(mark_ids, 0));
	x86_alu_load(x, X_OR, RAX, SLOT_AT(mark_ids, 1));
	x86_jcc(x, CC_E, end);
	x86_alu_mem_imm(x, X_CMP, 8, SLOT_AT(mark_ids, 2), 0);
	x86_jcc(x, CC_E, end);
	x86_alu_mem_imm(x, X_AND, 4, SLOT(mark_flags), MARK_SAMPLED);
	x86_alu_mem_imm(x, X_OR, 4, STATE, HAS | BY_HEADER);
}

/* ---- a span begins ---- */

/* RAX = a random word: xorshift128+. Clobbers RCX, RDX. */
static void random_word(struct code *g)
{
	struct x86 *x = &g->x;

	x86_load(x, 8, false, RCX, SLOT_AT(random, 0));
	x86_load(x, 8, false, RAX, SLOT_AT(random, 1));
	x86_store(x, 8, SLOT_AT(random, 0), RAX);
	x86_mov(x, RDX, RCX);
	x86_shift(x, X_SHL, RDX, 23);
	x86_alu(x, X_XOR, RCX, RDX);
	x86_mov(x, RDX, RCX);
	x86_shift(x, X_SHR, RDX, 18);
	x86_alu(x, X_XOR, RCX, RDX);
	x86_alu(x, X_XOR, RCX, RAX);
	x86_mov(x, RDX, RAX);
	x86_shift(x, X_SHR, RDX, 5);
	x86_alu(x, X_XOR, RCX, RDX);
	x86_store(x, 8, SLOT_AT(random, 1), RCX);
	x86_alu(x, X_ADD, RAX, RCX);
}

/* slot.mark_flags = whether the trace is kept by its id. Clobbers RAX, RCX. */
static void decide(struct code *g, uint64_t threshold)
{
	struct x86 *x = &g->x;

	x86_load(x, 8, false, RAX, SLOT_AT(mark_ids, 1));
	x86_swap(x, RAX);
	x86_shift(x, X_SHL, RAX, 8);
	x86_shift(x, X_SHR, RAX, 8);
	x86_imm(x, RCX, threshold);
	x86_alu(x, X_CMP, RAX, RCX);
	x86_set(x, CC_AE, RAX);
	x86_store(x, 4, SLOT(mark_flags), RAX);
}
_Static_assert(MARK_SAMPLED == 1, "decide sets it");

static void decide_trace(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;
	int has = x86_label_new(x), done = x86_label_new(x);

	unless_state(g, HAS, has);
	random_word(g);
	x86_store(x, 8, SLOT_AT(mark_ids, 0), RAX);
	random_word(g);
	x86_store(x, 8, SLOT_AT(mark_ids, 1), RAX);
	decide(g, (uint64_t)i->imm);
	if (i->flags & IR_MARK_CHILD)
		x86_alu_mem_imm(x, X_OR, 4, SLOT(mark_flags), MARK_UNDECIDED);
	x86_jmp(x, done);
	x86_label(x, has);
	if (i->flags & IR_MARK_BY_RATIO) {
		only_in_state(g, BY_HEADER, done);
		decide(g, (uint64_t)i->imm);
	}
	x86_label(x, done);
}

static void put_epoch(struct code *g, const struct ir_insn *i)
{
	const uint16_t words[] = {i->a, i->b, i->c};

	for (unsigned k = 0; k < ARRAY_SIZE(words); k++) {
		const struct x86_mem at = MEM(RSI, offsetof(struct patch_mark, epoch) + 8 * k);

		if (i->a == IR_NO_REG) {
			x86_store_imm(&g->x, 8, at, 0);
			continue;
		}
		x86_load(&g->x, 8, false, RAX, SLOT_AT(regs, words[k]));
		x86_store(&g->x, 8, at, RAX);
	}
}

/* The entry at RSI, of key RDI, is the run's mark. */
static void write_mark(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;

	x86_store(x, 8, SLOT(mark_at), RSI);
	x86_store(x, 8, SLOT(mark_key), RDI);
	x86_store_imm(x, 4, STATE, HAS);
	x86_lea(x, RDX, ENTRY(RSI, self));
	link_to_own(g, RDX);
	for (unsigned k = 0; k < 3; k++) {
		x86_load(x, 8, false, RAX, SLOT_AT(mark_ids, k));
		x86_store(x, 8, MEM(RSI, offsetof(struct patch_mark, ids) + 8 * k), RAX);
	}
	x86_load(x, 4, false, RAX, SLOT(mark_flags));
	x86_store(x, 4, ENTRY(RSI, flags), RAX);
	x86_store_imm(x, 4, ENTRY(RSI, group), (int32_t)i->group);
	x86_store_imm(x, 4, ENTRY(RSI, call), (int32_t)i->call);
	x86_load(x, 8, false, RAX, SLOT(goid));
	x86_store(x, 8, ENTRY(RSI, goid), RAX);
	x86_load(x, 8, false, RAX, SLOT(depth));
	x86_store(x, 8, ENTRY(RSI, depth), RAX);
	put_epoch(g, i);
	release_entry(g);
}

/*
 * RSI = a mark with the key RDI and BUSY: the first of some that is free, or the last of these. To none where another
 * one was quicker. Clobbers all but RDI.
 */
static void claim_mark(struct code *g, int none)
{
	const struct patch_area *l = g->env->layout;
	struct x86 *x = &g->x;
	int again = x86_label_new(x), claim = x86_label_new(x), taken = x86_label_new(x), end = x86_label_new(x);
	int far = x86_label_new(x);

	x86_imm(x, TEMP, TRIES);
	x86_store(x, 8, SLOT(mark_tries), RDI); /* random, too */
	x86_load(x, 8, false, RDX, SLOT(mark_place));
	x86_label(x, again);
	x86_imm(x, RSI, g->env->area + l->marks_off);
	x86_alu(x, X_ADD, RSI, RDX);
	x86_load(x, 8, false, RAX, ENTRY(RSI, key));
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_E, claim);
	x86_label(x, taken);
	x86_load(x, 8, false, RDX, SLOT(mark_tries));
	x86_imul_imm(x, RDX, RDX, 0x61c88647);
	x86_store(x, 8, SLOT(mark_tries), RDX);
	x86_shift(x, X_SHR, RDX, 24);
	x86_alu_imm(x, X_AND, RDX, (int32_t)((l->nmarks - 1) * sizeof(struct patch_mark)));
	x86_alu_imm(x, X_CMP, TEMP, TRIES - NEAR_TRIES);
	x86_jcc(x, CC_B, far);
	x86_alu_imm(x, X_AND, RDX, (NEAR_MARKS - 1) * sizeof(struct patch_mark));
	x86_label(x, far);
	x86_alu_imm(x, X_SUB, TEMP, 1);
	x86_jcc(x, CC_NE, again);
	x86_test_imm8(x, RAX, BUSY);
	x86_jcc(x, CC_NE, none);
	x86_lea(x, RCX, MEM(RDI, BUSY));
	x86_lock_cmpxchg(x, ENTRY(RSI, key), RCX);
	x86_jcc(x, CC_NE, none);
	count_full(g);
	x86_jmp(x, end);
	x86_label(x, claim);
	x86_lea(x, RCX, MEM(RDI, BUSY));
	x86_lock_cmpxchg(x, ENTRY(RSI, key), RCX);
	x86_jcc(x, CC_NE, taken);
	x86_label(x, end);
	x86_store(x, 8, SLOT(mark_place), RDX);
}

static void code_begin(struct code *g, const struct ir_insn *i, int end)
{
	struct x86 *x = &g->x;
	int full = x86_label_new(x);

	code_now(g);
	x86_store(x, 8, SLOT(now), RAX);
	decide_trace(g, i);
	random_word(g);
	x86_store(x, 8, SLOT_AT(mark_ids, 2), RAX);
	x86_mov(x, RDI, RAX);
	make_key(g);
	claim_mark(g, full);
	write_mark(g, i);
	x86_jmp(x, end);
	x86_label(x, full);
	count_full(g);
	x86_store_imm(x, 4, STATE, SEALED);
}

/* ---- its end, and what it decides ---- */

static void code_end(struct code *g, const struct ir_insn *i, int end)
{
	needs_own(g, end);
	if (i->flags & IR_MARK_UNLESS_KEYED)
		unless_state(g, KEYED, end);
	x86_load(&g->x, 8, false, RSI, SLOT(mark_at));
	x86_load(&g->x, 8, false, RDI, SLOT(mark_key));
	end_mark(g);
	x86_imm(&g->x, RAX, g->env->area + g->env->layout->marks_off);
	x86_alu(&g->x, X_SUB, RSI, RAX);
	x86_store(&g->x, 8, SLOT(mark_place), RSI);
}

static void code_admit_mark(struct code *g, const struct ir_insn *i, int end)
{
	struct x86 *x = &g->x;

	only_in_state(g, HAS, end);
	x86_load(x, 4, false, RAX, SLOT(mark_flags));
	x86_alu_imm(x, X_AND, RAX, MARK_SAMPLED | MARK_UNDECIDED);
	x86_jcc(x, CC_NE, end);
	if (i->flags & IR_MARK_COUNT)
		x86_alu_mem_imm(x, X_ADD, 8,
				MEM(REG_SLOT, patch_left_out_off(g->env->layout) + 8 * (uint64_t)g->env->counts), 1);
	x86_jmp(x, code_drop(g, DROP_SILENT));
}

/* ---- dispatch ---- */

void code_mark(struct code *g, const struct ir_insn *i)
{
	int end = x86_label_new(&g->x);

	switch (i->op) {
	case IR_MARK_HEADER: code_header(g, i, end); break;
	case IR_MARK_CHAIN: code_chain_marks(g, i, end); break;
	case IR_MARK_GOROUTINE: code_goroutine_marks(g, i, end); break;
	case IR_MARK_CREATOR: code_creator_marks(g, i, end); break;
	case IR_MARK_FIND: code_find(g, i, end); break;
	case IR_MARK_BEGIN: code_begin(g, i, end); break;
	case IR_MARK_PUT: code_put_mark(g, i, end); break;
	case IR_MARK_PUT_CHAIN: code_put_chain(g, i, end); break;
	case IR_MARK_PUSH: code_push(g, i, end); break;
	case IR_MARK_LEAVE: code_leave(g, end); break;
	case IR_MARK_END: code_end(g, i, end); break;
	case IR_MARK_UNWIND: code_unwind_marks(g, i, end); break;
	default: code_admit_mark(g, i, end); break;
	}
	code_join(g, end);
}

void code_mark_begin(struct code *g)
{
	x86_store_imm(&g->x, 4, STATE, 0);
}

void code_mark_word(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;

	only_in_state(g, HAS, code_fail(g, SLOT_ABSENT));
	if (i->imm == MARK_FLAGS)
		x86_load(x, 4, false, RAX, SLOT(mark_flags));
	else
		x86_load(x, 8, false, RAX, SLOT_AT(mark_ids, i->imm));
	code_put(g, i->dst);
}
_Static_assert((int)MARK_TRACE_ID_0 == 0 && (int)MARK_SPAN_ID == 2, "they are mark_ids");

enum { CONTEXT_BYTES = ALIGN_UP(sizeof(struct event_context), 8) };

void code_emit_mark(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;

	only_in_state(g, HAS, code_fail(g, SLOT_ABSENT));
	if (g->may_overflow) {
		code_size(g, RAX);
		x86_alu_imm(x, X_CMP, RAX, (int32_t)(code_record_limit(g->p) - CONTEXT_BYTES));
		x86_jcc(x, CC_A, code_fail(g, SLOT_CUT));
	}
	code_size(g, RDI);
	code_forget(g);
	for (unsigned k = 0; k < 3; k++) {
		x86_load(x, 8, false, RAX, SLOT_AT(mark_ids, k));
		x86_store(x, 8, MEMX(REG_RECORD, RDI, 8 * k), RAX);
	}
	x86_load(x, 4, false, RAX, SLOT(mark_flags));
	if (i->imm)
		x86_alu_imm(x, X_OR, RAX, (int32_t)i->imm);
	x86_store(x, 8, MEMX(REG_RECORD, RDI, 24), RAX);
	x86_imm(x, RAX, SLOT_OK | (uint64_t)sizeof(struct event_context) << 16 |
				(uint64_t)sizeof(struct event_context) << 32);
	x86_store(x, 8, code_slot(i->slot, 0), RAX);
	x86_store(x, 8, code_slot(i->slot, offsetof(struct event_slot, value)), RDI);
	x86_alu_imm(x, X_ADD, RDI, CONTEXT_BYTES);
	x86_store(x, 4, SLOT(size), RDI);
	g->known_size = 0;
}
