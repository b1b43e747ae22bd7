/* Entries of marks, and of what leads to them (marks.c): found, taken over, given up. */
#include "plant/patch/marks.h"

#include "event/loss.h"

#define MIX_WORD UINT64_C(0x9e3779b97f4a7c15)
#define MIX_KIND UINT64_C(0xd6e8feb86659fd93)
#define APART 12345 /* sets from one kind of words to the next, for the same word */
#define MIX_STACK UINT64_C(0xc2b2ae3d27d4eb4f)

#define SAME_PLACE(field, of_name)                                                                                    \
	_Static_assert(offsetof(struct patch_mark, field) == offsetof(struct patch_mark_name, of_name) &&              \
		       offsetof(struct patch_mark, field) == offsetof(struct patch_mark_stack, of_name), "one ENTRY")
SAME_PLACE(key, key);
SAME_PLACE(tsc, tsc);
SAME_PLACE(self, to);
_Static_assert(sizeof(struct patch_mark) == 128 && sizeof(struct patch_mark_stack) == 128 &&
		       sizeof(struct patch_mark_name) == 32, "sets are powers of two");

enum { NAMES_FOR_A_MARK = 4 };

void patch_marks_layout(uint32_t nmarks, uint32_t nstates, struct patch_area *layout)
{
	layout->nmarks = layout->nstacks = nmarks;
	layout->nnames = NAMES_FOR_A_MARK * (uint64_t)nmarks;
	layout->marks_off = ALIGN_UP(layout->ring.bytes, EVENT_PAGE);
	layout->stacks_off = layout->marks_off + layout->nmarks * sizeof(struct patch_mark);
	layout->names_off = layout->stacks_off + layout->nstacks * sizeof(struct patch_mark_stack);
	layout->nstates = nstates;
	layout->rules_off = layout->names_off + layout->nnames * sizeof(struct patch_mark_name);
	layout->states_off = layout->rules_off + (nstates ? ALIGN_UP(sizeof(struct tracestate_rules), 8) : 0);
	layout->ring.bytes = layout->ring.pool_off =
		ALIGN_UP(layout->states_off + nstates * sizeof(struct patch_state), EVENT_PAGE);
}

struct mark_table mark_names(const struct code *g)
{
	const struct patch_area *l = g->env->layout;

	return (struct mark_table){l->names_off, l->nnames, sizeof(struct patch_mark_name), 1};
}

struct mark_table mark_stacks(const struct code *g)
{
	const struct patch_area *l = g->env->layout;

	return (struct mark_table){l->stacks_off, l->nstacks, sizeof(struct patch_mark_stack), MARK_LEVELS};
}

/* A field of way w of the set at RDX. */
#define WAY_OF(t, w, field) MEM(RDX, (size_t)(w) * (t)->bytes + offsetof(struct patch_mark, field))

/* ---- keys and entries ---- */

void mark_make_key(struct code *g)
{
	x86_alu_imm(&g->x, X_AND, RDI, ~MARK_BUSY);
	x86_alu_imm(&g->x, X_OR, RDI, 2);
}

/*
 * What lies side by side in memory has sets side by side: so what one request after the other brings is in a few pages
 * of the table.
 */
void mark_key_of_word(struct code *g, int64_t kind, uint32_t group)
{
	struct x86 *x = &g->x;

	x86_mov(x, RDI, RAX);
	x86_imm(x, RDX, MIX_WORD);
	x86_imul(x, RDI, RDX);
	x86_imm(x, RDX, MIX_KIND * ((uint64_t)kind + 1 + MARK_KIND_COUNT * (uint64_t)group));
	x86_alu(x, X_XOR, RDI, RDX);
	mark_make_key(g);
	x86_mov(x, RCX, RAX);
	x86_shift(x, X_SHR, RCX, 5);
	x86_shift(x, X_SHR, RAX, 19);
	x86_alu(x, X_XOR, RCX, RAX);
	x86_alu_imm(x, X_ADD, RCX, (int32_t)(APART * (kind + MARK_KIND_COUNT * (int64_t)(group % 64))));
}

void mark_key_of_goroutine(struct code *g)
{
	struct x86 *x = &g->x;

	x86_mov(x, RDI, RAX);
	x86_imm(x, RDX, MIX_STACK);
	x86_imul(x, RDI, RDX);
	mark_make_key(g);
	x86_mov(x, RCX, RAX);
}

static uint8_t log2_of(uint64_t n)
{
	return (uint8_t)__builtin_ctzll(n);
}

void mark_find_set(struct code *g, const struct mark_table *t)
{
	struct x86 *x = &g->x;

	x86_mov(x, RDX, RCX);
	x86_shift(x, X_SHL, RDX, log2_of(PATCH_MARK_WAYS * t->bytes));
	x86_alu_imm(x, X_AND, RDX, (int32_t)((t->n - PATCH_MARK_WAYS) * t->bytes));
	x86_imm(x, RCX, g->env->area + t->off);
	x86_alu(x, X_ADD, RDX, RCX);
}

void mark_find_entry(struct code *g, const struct mark_table *t, int found)
{
	for (unsigned w = 0; w < PATCH_MARK_WAYS; w++) {
		x86_lea(&g->x, RSI, WAY_OF(t, w, key));
		x86_alu_load(&g->x, X_CMP, RDI, ENTRY(RSI, key));
		x86_jcc(&g->x, CC_E, found);
	}
}

void mark_follow(struct code *g, int none)
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

void mark_take(struct code *g, int none)
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

void mark_end(struct code *g)
{
	x86_mov(&g->x, RAX, RDI);
	x86_imm(&g->x, RDX, 0);
	x86_lock_cmpxchg(&g->x, ENTRY(RSI, key), RDX);
}

void mark_unless(struct code *g, uint8_t bits, int label)
{
	x86_test_mem8(&g->x, STATE, bits);
	x86_jcc(&g->x, CC_NE, label);
}

void mark_only_in(struct code *g, uint8_t bits, int label)
{
	x86_test_mem8(&g->x, STATE, bits);
	x86_jcc(&g->x, CC_E, label);
}

/* ---- taking an entry ---- */

void mark_count_full(struct code *g)
{
	x86_imm(&g->x, RCX, g->env->area + g->env->layout->counts_off + g->env->counts * sizeof(struct patch_counts) +
				    8 * LOSS_MARKS_FULL);
	x86_lock_inc(&g->x, MEM(RCX, 0));
}

/* To alive where the link, so many bytes behind the first one of the set at RDX, leads to a mark. Clobbers RCX. */
static void alive_by_link(struct code *g, int32_t off, int alive)
{
	const struct x86_mem key = MEM(RDX, off + (int32_t)offsetof(struct patch_mark, self.key));
	struct x86 *x = &g->x;
	int dead = x86_label_new(x);

	x86_alu_mem_imm(x, X_CMP, 8, key, 0);
	x86_jcc(x, CC_E, dead);
	x86_load(x, 8, false, RCX, MEM(RDX, off + (int32_t)offsetof(struct patch_mark, self.at)));
	x86_test(x, RCX, RCX);
	x86_jcc(x, CC_E, dead);
	x86_load(x, 8, false, RCX, ENTRY(RCX, key));
	x86_alu_load(x, X_CMP, RCX, key);
	x86_jcc(x, CC_E, alive);
	x86_label(x, dead);
}

/*
 * RSI = the entry of the set at RDX that gives way, RAX what it is exchanged for, to claim: one that is free, or dead;
 * or it falls out with the oldest. To none where all are being written. Clobbers RCX, MARK_TEMP.
 */
static void choose_victim(struct code *g, const struct mark_table *t, int claim, int none)
{
	struct x86 *x = &g->x;

	x86_imm(x, MARK_TEMP, UINT64_MAX);
	x86_imm(x, RSI, 0);
	for (unsigned w = 0; w < PATCH_MARK_WAYS; w++) {
		int next = x86_label_new(x), take = x86_label_new(x), alive = x86_label_new(x);

		x86_load(x, 8, false, RAX, WAY_OF(t, w, key));
		x86_test(x, RAX, RAX);
		x86_jcc(x, CC_E, take);
		x86_test_imm8(x, RAX, MARK_BUSY);
		x86_jcc(x, CC_NE, next);
		for (unsigned k = 0; k < t->links; k++)
			alive_by_link(g, (int32_t)(w * t->bytes + k * sizeof(struct patch_mark_link)), alive);
		x86_label(x, take);
		x86_lea(x, RSI, WAY_OF(t, w, key));
		x86_jmp(x, claim);
		x86_label(x, alive);
		x86_load(x, 8, false, RCX, WAY_OF(t, w, tsc));
		x86_alu(x, X_CMP, RCX, MARK_TEMP);
		x86_jcc(x, CC_AE, next);
		x86_mov(x, MARK_TEMP, RCX);
		x86_lea(x, RSI, WAY_OF(t, w, key));
		x86_label(x, next);
	}
	x86_test(x, RSI, RSI);
	x86_jcc(x, CC_E, none);
	x86_load(x, 8, false, RAX, ENTRY(RSI, key));
	x86_test_imm8(x, RAX, MARK_BUSY);
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

void mark_exchange_key(struct code *g, int lost)
{
	x86_lea(&g->x, RCX, MEM(RDI, MARK_BUSY));
	x86_lock_cmpxchg(&g->x, ENTRY(RSI, key), RCX);
	x86_jcc(&g->x, CC_NE, lost);
}

void mark_claim(struct code *g, const struct mark_table *t, int own, int none)
{
	struct x86 *x = &g->x;
	int found = x86_label_new(x), claim = x86_label_new(x), end = x86_label_new(x);
	int again = x86_label_new(x), lost = x86_label_new(x), claimed = x86_label_new(x);

	mark_find_set(g, t);
	x86_store_imm(x, 8, SLOT(mark_tries), MARK_TRIES);
	x86_label(x, again);
	mark_find_entry(g, t, found);
	choose_victim(g, t, claim, lost);
	mark_exchange_key(g, lost);
	mark_count_full(g);
	x86_jmp(x, claimed);
	x86_label(x, claim);
	mark_exchange_key(g, lost);
	x86_label(x, claimed);
	put_time(g);
	x86_jmp(x, end);
	x86_label(x, lost);
	x86_alu_mem_imm(x, X_SUB, 8, SLOT(mark_tries), 1);
	x86_jcc(x, CC_NE, again);
	x86_jmp(x, none);
	x86_label(x, found);
	x86_mov(x, RAX, RDI);
	mark_exchange_key(g, lost);
	put_time(g);
	x86_jmp(x, own);
	x86_label(x, end);
}

void mark_release(struct code *g)
{
	x86_alu_mem_imm(&g->x, X_SUB, 8, ENTRY(RSI, key), MARK_BUSY);
}

void mark_link_to_own(struct code *g, uint8_t reg)
{
	struct x86 *x = &g->x;

	x86_load(x, 8, false, RAX, SLOT(mark_at));
	x86_store(x, 8, MEM(reg, offsetof(struct patch_mark_link, at)), RAX);
	x86_load(x, 8, false, RAX, SLOT(mark_key));
	x86_store(x, 8, MEM(reg, offsetof(struct patch_mark_link, key)), RAX);
}

void mark_needs_own(struct code *g, int end)
{
	mark_only_in(g, HAS, end);
	mark_unless(g, BY_HEADER, end);
}
