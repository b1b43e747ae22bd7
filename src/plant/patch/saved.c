/*
 * What one program keeps for another, in the area: of a goroutine and a group (IR_SAVE, IR_SAVED of spans), or of
 * a call, by goroutine, group and depth (PROGRAM_ENTRY for PROGRAM_RETURN).
 *
 * A table of sets of four. The key is a mixture of its parts, 62 bits of it: two that live at once differ but for
 * a chance of 2^-62 times their number. An entry is written by the goroutine whose key it has, and by whoever
 * takes it over: the oldest of a set gives way, since goroutines that end and calls that a panic unwinds tell
 * nobody. To take one over is to exchange its key, with the lowest bit set until the words are there. So a reader
 * that finds its key before and after it read the words read its own; a goroutine never meets itself.
 */
#include "plant/patch/gen.h"

#define MIX_GOID UINT64_C(0x9e3779b97f4a7c15)
#define MIX_DEPTH UINT64_C(0xc2b2ae3d27d4eb4f)
#define MIX_CALL UINT64_C(0xd6e8feb86659fd93)
#define MIX_SPAN UINT64_C(0xa0761d6478bd642f)
#define BUSY 1

#define ENTRY(reg, field) MEM(reg, offsetof(struct patch_saved, field))
#define ENTRY_WORD(reg, k) MEM(reg, offsetof(struct patch_saved, word) + 8 * (size_t)(k))
#define WAY(w) MEM(RDX, (size_t)(w) * sizeof(struct patch_saved))

bool code_saved_early(const struct capture_program *p)
{
	return p->role == PROGRAM_RETURN;
}

bool patch_calls_apart(const struct capture_program *entry, const struct capture_program *ret)
{
	return !capture_has(entry, IR_SAVE) && !capture_has_filter(entry) && !capture_has(ret, IR_SAVED) &&
	       !capture_has(ret, IR_LATENCY);
}

static bool of_call(const struct code *g)
{
	return g->p->role == PROGRAM_ENTRY || g->p->role == PROGRAM_RETURN;
}

/* RDI = the key, RDX = its set. */
static void find_set(struct code *g)
{
	const struct patch_area *l = g->env->layout;
	struct x86 *x = &g->x;

	code_goid(g, RDI);
	x86_imm(x, RDX, MIX_GOID);
	x86_imul(x, RDI, RDX);
	if (of_call(g)) {
		code_depth(g, RCX);
		x86_imm(x, RDX, MIX_DEPTH);
		x86_imul(x, RCX, RDX);
		x86_alu(x, X_ADD, RDI, RCX);
	}
	x86_imm(x, RDX, of_call(g) ? MIX_CALL * g->p->call_group : MIX_SPAN * (g->p->save_group + UINT64_C(1)));
	x86_alu(x, X_XOR, RDI, RDX);
	x86_alu_imm(x, X_AND, RDI, ~BUSY);
	x86_alu_imm(x, X_OR, RDI, 2); /* never 0 */
	x86_mov(x, RDX, RDI);
	x86_shift(x, X_SHR, RDX, 26);
	x86_alu_imm(x, X_AND, RDX, (int32_t)((l->nsaved - PATCH_SAVED_WAYS) * sizeof(struct patch_saved)));
	x86_imm(x, RCX, g->env->area + l->saved_off);
	x86_alu(x, X_ADD, RDX, RCX);
}

/* RSI = the entry of the key, to found; falls out where there is none. */
static void find_entry(struct code *g, int found)
{
	for (unsigned w = 0; w < PATCH_SAVED_WAYS; w++) {
		x86_lea(&g->x, RSI, WAY(w));
		x86_alu_load(&g->x, X_CMP, RDI, ENTRY(RSI, key));
		x86_jcc(&g->x, CC_E, found);
	}
}

/* The words that matter, a bit each: of a call those that the program itself keeps or uses. */
static unsigned words_of(const struct code *g)
{
	unsigned used = 0;

	if (!of_call(g))
		return (1u << IR_MAX_SAVED) - 1;
	for (size_t i = 0; i < g->p->ninsns; i++)
		if (g->p->insns[i].op == IR_SAVE || g->p->insns[i].op == IR_SAVED)
			used |= 1u << g->p->insns[i].imm;
	return used;
}

/* Of a call's words saved_valid alone says whether they are there. */
static void clear_words(struct code *g)
{
	for (unsigned k = 0; k < IR_MAX_SAVED && !of_call(g); k++)
		x86_store_imm(&g->x, 8, SLOT_AT(saved, k), 0);
	if (words_of(g))
		x86_store_imm(&g->x, 8, SLOT(saved_valid), 0);
}

/* A point that uses words and keeps others: those that it keeps replace all that were kept. */
static bool keeps_anew(const struct code *g)
{
	return g->p->role == PROGRAM_POINT && capture_has(g->p, IR_SAVED) && capture_has(g->p, IR_SAVE);
}

/* A word to keep. */
static struct x86_mem kept_word(const struct code *g, unsigned k)
{
	return keeps_anew(g) ? SLOT_AT(anew, k) : SLOT_AT(saved, k);
}

/* The words of the entry at RSI into the slot. */
static void take_words(struct code *g)
{
	unsigned words = words_of(g);

	for (unsigned k = 0; k < IR_MAX_SAVED; k++) {
		if (!(words & 1u << k))
			continue;
		x86_load(&g->x, 8, false, RAX, ENTRY_WORD(RSI, k));
		x86_store(&g->x, 8, SLOT_AT(saved, k), RAX);
	}
	if (!words)
		return;
	x86_load(&g->x, 8, false, RAX, ENTRY(RSI, valid));
	x86_store(&g->x, 8, SLOT(saved_valid), RAX);
}

/* RDI = the key, RSI = its entry; to none where there is none. */
static void find_own(struct code *g, int none)
{
	int found = x86_label_new(&g->x);

	find_set(g);
	find_entry(g, found);
	x86_jmp(&g->x, none);
	x86_label(&g->x, found);
}

/* The call ends here, whatever the filter says of its return. */
static void take_call(struct code *g)
{
	int none = code_drop(g, DROP_SILENT);
	struct x86 *x = &g->x;

	find_own(g, none);
	take_words(g);
	if (capture_has(g->p, IR_LATENCY)) {
		x86_load(x, 8, false, RAX, ENTRY(RSI, tsc));
		x86_store(x, 8, SLOT(call_tsc), RAX);
	}
	x86_mov(x, RAX, RDI);
	if (code_holds_call(g))
		x86_lea(x, RCX, MEM(RDI, BUSY));
	else
		x86_imm(x, RCX, 0);
	x86_lock_cmpxchg(x, ENTRY(RSI, key), RCX);
	x86_jcc(x, CC_NE, none);
	if (code_holds_call(g))
		code_hold_call(g);
}

void code_saved_release(struct code *g)
{
	struct x86 *x = &g->x;
	int none = x86_label_new(x);

	if (!code_holds_call(g))
		return;
	x86_load(x, 8, false, RSI, SLOT(held));
	x86_test(x, RSI, RSI);
	x86_jcc(x, CC_E, none);
	x86_store_imm(x, 8, ENTRY(RSI, key), 0);
	x86_label(x, none);
}

static void take_saved(struct code *g)
{
	int none = x86_label_new(&g->x), end = x86_label_new(&g->x);
	struct x86 *x = &g->x;

	find_own(g, none);
	take_words(g);
	x86_alu_load(x, X_CMP, RDI, ENTRY(RSI, key));
	x86_jcc(x, CC_E, end);
	x86_label(x, none);
	clear_words(g);
	x86_label(x, end);
}

void code_saved_begin(struct code *g)
{
	for (unsigned k = 0; k < IR_MAX_SAVED && keeps_anew(g); k++)
		x86_store_imm(&g->x, 8, SLOT_AT(anew, k), 0);
	if (of_call(g) && g->env->calls_apart)
		;
	else if (g->p->role == PROGRAM_RETURN)
		take_call(g);
	else if (capture_has(g->p, IR_SAVED))
		take_saved(g);
	else if (capture_has(g->p, IR_SAVE) || g->p->role == PROGRAM_ENTRY)
		clear_words(g);
	g->fault = -1;
	code_forget(g);
}

/* RSI = the entry that gives way, RAX its key: a free one, or the oldest; to none where all are being written. */
static void choose_victim(struct code *g, int claim, int none)
{
	struct x86 *x = &g->x;

	x86_imm(x, RCX, UINT64_MAX);
	x86_imm(x, RSI, 0);
	for (unsigned w = 0; w < PATCH_SAVED_WAYS; w++) {
		int next = x86_label_new(x), used = x86_label_new(x);

		x86_load(x, 8, false, RAX, WAY(w));
		x86_test(x, RAX, RAX);
		x86_jcc(x, CC_NE, used);
		x86_lea(x, RSI, WAY(w));
		x86_jmp(x, claim);
		x86_label(x, used);
		x86_test_imm8(x, RAX, BUSY);
		x86_jcc(x, CC_NE, next);
		x86_load(x, 8, false, RAX, MEM(RDX,
					       w * sizeof(struct patch_saved) + offsetof(struct patch_saved, tsc)));
		x86_alu(x, X_CMP, RAX, RCX);
		x86_jcc(x, CC_AE, next);
		x86_mov(x, RCX, RAX);
		x86_lea(x, RSI, WAY(w));
		x86_label(x, next);
	}
	x86_test(x, RSI, RSI);
	x86_jcc(x, CC_E, none);
	x86_load(x, 8, false, RAX, ENTRY(RSI, key));
	x86_test_imm8(x, RAX, BUSY);
	x86_jcc(x, CC_NE, none);
}

/* A call that had to give way will find nothing at its return. */
static void count_victim(struct code *g)
{
	int was_free = x86_label_new(&g->x);

	if (g->p->role != PROGRAM_ENTRY)
		return;
	x86_test(&g->x, RAX, RAX);
	x86_jcc(&g->x, CC_E, was_free);
	x86_imm(&g->x, RCX, g->env->area + g->env->layout->counts_off + g->env->counts * sizeof(struct patch_counts) +
				    8 * LOSS_CALLS_FULL);
	x86_lock_inc(&g->x, MEM(RCX, 0));
	x86_label(&g->x, was_free);
}
_Static_assert(offsetof(struct patch_counts, loss) == 0, "count_victim counts there");

static void put_words(struct code *g)
{
	struct x86 *x = &g->x;
	unsigned words = words_of(g);

	for (unsigned k = 0; k < IR_MAX_SAVED; k++) {
		if (!(words & 1u << k))
			continue;
		x86_load(x, 8, false, RAX, kept_word(g, k));
		x86_store(x, 8, ENTRY_WORD(RSI, k), RAX);
	}
	if (words) {
		x86_load(x, 8, false, RAX, SLOT(saved_valid));
		x86_store(x, 8, ENTRY(RSI, valid), RAX);
	}
	x86_alu_mem_imm(x, X_SUB, 8, ENTRY(RSI, key), BUSY);
}

/* What most calls find: an empty set. RSI = its first entry, as claim_entry gives it, to claimed; else it falls out. */
static void claim_of_empty(struct code *g, int claimed)
{
	struct x86 *x = &g->x;
	int used = x86_label_new(x);

	x86_load(x, 8, false, RAX, WAY(0));
	for (unsigned w = 1; w < PATCH_SAVED_WAYS; w++)
		x86_alu_load(x, X_OR, RAX, WAY(w));
	x86_jcc(x, CC_NE, used);
	x86_mov(x, RSI, RDX);
	x86_lea(x, RCX, MEM(RDI, BUSY));
	x86_lock_cmpxchg(x, ENTRY(RSI, key), RCX);
	x86_jcc(x, CC_E, claimed);
	x86_label(x, used);
}

/* RSI = the entry of the key, or that gives way, with the key and BUSY; to none where all are being written. */
static void claim_entry(struct code *g, int none)
{
	struct x86 *x = &g->x;
	int found = x86_label_new(x), claim = x86_label_new(x), write = x86_label_new(x);

	find_set(g);
	if (g->p->role == PROGRAM_ENTRY)
		claim_of_empty(g, write);
	find_entry(g, found);
	choose_victim(g, claim, none);
	x86_label(x, claim);
	x86_lea(x, RCX, MEM(RDI, BUSY));
	x86_lock_cmpxchg(x, ENTRY(RSI, key), RCX);
	x86_jcc(x, CC_NE, none);
	count_victim(g);
	x86_jmp(x, write);
	x86_label(x, found);
	x86_mov(x, RAX, RDI);
	x86_lea(x, RCX, MEM(RDI, BUSY));
	x86_lock_cmpxchg(x, ENTRY(RSI, key), RCX);
	x86_jcc(x, CC_NE, none);
	x86_label(x, write);
	if (code_writes_record(g))
		x86_load(x, 8, false, RAX, SLOT(now));
	else
		code_now(g); /* it waits for all before, as the exchange does: here it waits once */
	x86_store(x, 8, ENTRY(RSI, tsc), RAX);
}

void code_saved_claim(struct code *g)
{
	claim_entry(g, code_drop(g, LOSS_CALLS_FULL));
	x86_store(&g->x, 8, SLOT(held), RSI);
}

void code_saved_end(struct code *g)
{
	int end = x86_label_new(&g->x);

	if (of_call(g) && g->env->calls_apart)
		return;
	if (g->p->role != PROGRAM_ENTRY && (g->p->role != PROGRAM_POINT || !capture_has(g->p, IR_SAVE)))
		return;
	if (code_keeps_directly(g)) {
		x86_load(&g->x, 8, false, RSI, SLOT(held));
	} else {
		claim_entry(g, g->p->role == PROGRAM_ENTRY ? code_drop(g, LOSS_CALLS_FULL) : end);
		code_keep_parts(g);
	}
	put_words(g);
	x86_label(&g->x, end);
}

void code_saved_erase(struct code *g)
{
	struct x86 *x = &g->x;
	int end = x86_label_new(x);

	find_own(g, end);
	x86_mov(x, RAX, RDI);
	x86_imm(x, RCX, 0);
	x86_lock_cmpxchg(x, ENTRY(RSI, key), RCX);
	x86_label(x, end);
}

void code_saved(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;

	x86_load(x, 8, false, RAX, SLOT_AT(saved, i->imm));
	if (of_call(g)) {
		x86_test_mem8(x, SLOT(saved_valid), (uint8_t)(1u << i->imm));
	} else {
		x86_test(x, RAX, RAX);
	}
	x86_jcc(x, CC_E, code_fail(g, SLOT_ABSENT));
	code_put(g, i->dst);
}

/* Words that point into the goroutine's own stack are not kept, but for a call. */
void code_save(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;
	int keep = x86_label_new(x), skip = x86_label_new(x);

	code_get(g, RAX, i->a);
	if (!of_call(g)) {
		x86_alu(x, X_CMP, RAX, RSP);
		x86_jcc(x, CC_B, keep);
		x86_load(x, 8, false, RCX, SLOT(depth));
		x86_alu(x, X_ADD, RCX, RSP);
		x86_alu(x, X_CMP, RAX, RCX);
		x86_jcc(x, CC_B, skip);
	}
	x86_label(x, keep);
	x86_store(x, 8, kept_word(g, (unsigned)i->imm), RAX);
	x86_alu_mem_imm(x, X_OR, 4, SLOT(saved_valid), 1 << i->imm);
	x86_label(x, skip);
}

void code_latency(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;
	int forward = x86_label_new(x);

	x86_load(x, 8, false, RAX, SLOT(now));
	x86_alu_load(x, X_SUB, RAX, SLOT(call_tsc));
	x86_jcc(x, CC_AE, forward);
	x86_imm(x, RAX, 0);
	x86_label(x, forward);
	x86_imm(x, RDX, g->env->tsc_mult);
	x86_mul(x, RDX);
	x86_shift(x, X_SHR, RAX, 32);
	x86_shift(x, X_SHL, RDX, 32);
	x86_alu(x, X_OR, RAX, RDX);
	code_put(g, i->dst);
}
