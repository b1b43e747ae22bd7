/*
 * Marks begin and end (marks.c): ids, the decision, the header that came in, what a record has of it.
 *
 * A mark lies anywhere, since nobody looks for it by a key. A slot first looks where it found a free one last, or where
 * the one lay that ended last, then at random among the first ones, then among all. So few of them do where few are
 * open at once, and these are in the cache. Where all that it looks at are taken, the last one gives way.
 */
#include "plant/patch/marks.h"

enum { NEAR_TRIES = 12, NEAR_MARKS = 128 };

/* ---- what came in ---- */

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

void mark_header(struct code *g, const struct ir_insn *i, int end)
{
	struct x86 *x = &g->x;

	mark_unless(g, HAS | SEALED, end);
	code_get(g, RSI, i->a);
	code_get(g, RCX, i->b);
	x86_alu_imm(x, X_CMP, RCX, HEADER_END);
	x86_jcc(x, CC_B, end);
	code_fault(g, end);
	code_forget(g);
	x86_store(x, 8, SLOT(mark_goid), RCX);
	copy_header(g);
	text_is(g, HEADER_TRACE_ID - 1, '-', end);
	text_is(g, HEADER_SPAN_ID - 1, '-', end);
	text_is(g, HEADER_FLAGS - 1, '-', end);
	text_is(g, HEADER_END, '-', end);
	x86_lea(x, RDI, SLOT(mark_links_end));
	hex_bytes(g, HEADER_VERSION, 1, end);
	check_version(g, end);
	x86_lea(x, RDI, SLOT(mark_flags));
	hex_bytes(g, HEADER_FLAGS, 1, end);
	x86_lea(x, RDI, SLOT(mark_ids));
	hex_bytes(g, HEADER_TRACE_ID, 16, end);
	hex_bytes(g, HEADER_SPAN_ID, 8, end);
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

	mark_unless(g, HAS, has);
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
		mark_only_in(g, BY_HEADER, done);
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
	x86_load(x, 4, false, RAX, STATE);
	x86_alu_imm(x, X_AND, RAX, BY_HEADER);
	x86_alu(x, X_ADD, RAX, RAX);
	x86_alu_imm(x, X_OR, RAX, HAS);
	x86_store(x, 4, STATE, RAX);
	x86_load(x, 8, false, RAX, SLOT(mark_root.key));
	x86_store(x, 8, ENTRY(RSI, state.key), RAX);
	x86_load(x, 8, false, RAX, SLOT(mark_root.at));
	x86_store(x, 8, ENTRY(RSI, state.at), RAX);
	x86_lea(x, RDX, ENTRY(RSI, self));
	mark_link_to_own(g, RDX);
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
	mark_release(g);
}

_Static_assert(CAME_IN == 2 * BY_HEADER, "one becomes the other");

/*
 * RSI = a mark with the key RDI and MARK_BUSY: the first of some that is free, or the last of these. To none where
 * another one was quicker. Clobbers all but RDI.
 */
static void claim_mark(struct code *g, int none)
{
	const struct patch_area *l = g->env->layout;
	struct x86 *x = &g->x;
	int again = x86_label_new(x), claim = x86_label_new(x), taken = x86_label_new(x), end = x86_label_new(x);
	int far = x86_label_new(x);

	x86_imm(x, MARK_TEMP, MARK_TRIES);
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
	x86_alu_imm(x, X_CMP, MARK_TEMP, MARK_TRIES - NEAR_TRIES);
	x86_jcc(x, CC_B, far);
	x86_alu_imm(x, X_AND, RDX, (NEAR_MARKS - 1) * sizeof(struct patch_mark));
	x86_label(x, far);
	x86_alu_imm(x, X_SUB, MARK_TEMP, 1);
	x86_jcc(x, CC_NE, again);
	x86_test_imm8(x, RAX, MARK_BUSY);
	x86_jcc(x, CC_NE, none);
	mark_exchange_key(g, none);
	mark_count_full(g);
	x86_jmp(x, end);
	x86_label(x, claim);
	mark_exchange_key(g, taken);
	x86_label(x, end);
	x86_store(x, 8, SLOT(mark_place), RDX);
}

void mark_begin(struct code *g, const struct ir_insn *i, int end)
{
	struct x86 *x = &g->x;
	int full = x86_label_new(x);

	code_now(g);
	x86_store(x, 8, SLOT(now), RAX);
	mark_state_of_parent(g);
	decide_trace(g, i);
	random_word(g);
	x86_store(x, 8, SLOT_AT(mark_ids, 2), RAX);
	x86_mov(x, RDI, RAX);
	mark_make_key(g);
	claim_mark(g, full);
	write_mark(g, i);
	x86_jmp(x, end);
	x86_label(x, full);
	mark_count_full(g);
	x86_store_imm(x, 4, STATE, SEALED);
}

/* ---- its end, and what it decides ---- */

void mark_ended(struct code *g, const struct ir_insn *i, int end)
{
	mark_needs_own(g, end);
	if (i->flags & IR_MARK_UNLESS_KEYED)
		mark_unless(g, KEYED, end);
	x86_load(&g->x, 8, false, RSI, SLOT(mark_at));
	x86_load(&g->x, 8, false, RDI, SLOT(mark_key));
	mark_end(g);
	x86_imm(&g->x, RAX, g->env->area + g->env->layout->marks_off);
	x86_alu(&g->x, X_SUB, RSI, RAX);
	x86_store(&g->x, 8, SLOT(mark_place), RSI);
}

void mark_admit(struct code *g, const struct ir_insn *i, int end)
{
	struct x86 *x = &g->x;

	mark_only_in(g, HAS, end);
	x86_load(x, 4, false, RAX, SLOT(mark_flags));
	x86_alu_imm(x, X_AND, RAX, MARK_SAMPLED | MARK_UNDECIDED);
	x86_jcc(x, CC_NE, end);
	if (i->flags & IR_MARK_COUNT)
		x86_alu_mem_imm(x, X_ADD, 8,
				MEM(REG_SLOT, patch_left_out_off(g->env->layout) + 8 * (uint64_t)g->env->counts), 1);
	x86_jmp(x, code_drop(g, DROP_SILENT));
}

/* RAX = how long the tracestate of the run's mark is; 0: it has none. */
static void state_length(struct code *g)
{
	struct x86 *x = &g->x;
	int none = x86_label_new(x), end = x86_label_new(x);

	code_forget(g);
	code_find_state(g, none);
	x86_load(x, 8, false, RAX, MEM(RSI, offsetof(struct patch_state, len)));
	x86_jmp(x, end);
	x86_label(x, none);
	x86_imm(x, RAX, 0);
	x86_label(x, end);
}

void code_mark_word(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;

	mark_only_in(g, HAS, code_fail(g, SLOT_ABSENT));
	if (i->imm == MARK_STATE)
		state_length(g);
	else if (i->imm == MARK_FLAGS)
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

	mark_only_in(g, HAS, code_fail(g, SLOT_ABSENT));
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
