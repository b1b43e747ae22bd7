/*
 * Texts: compared where they lie, copied where they are emitted. Nothing is read but the bytes that belong to the
 * string, so that one which ends at an unmapped page is no fault; a piece of 8 may overlap the one before.
 */
#include "plant/patch/gen.h"

#include <errno.h>
#include <string.h>

#define CONTAINS_WINDOW 256 /* IR_STR_CONTAINS looks no further */
#define COPY_REP 512        /* from here on the CPU's own copy is faster than the loop */
_Static_assert(CONTAINS_WINDOW <= PATCH_WORK, "it is searched in the work area");

/* Copies RDX bytes, 0 to 7 of them, from RSI to RDI. */
static void copy_small(struct code *g, int end)
{
	struct x86 *x = &g->x;

	for (unsigned size = 4; size > 1; size /= 2) {
		int smaller = x86_label_new(x);

		x86_test_imm8(x, RDX, (uint8_t)size);
		x86_jcc(x, CC_E, smaller);
		x86_load(x, size, false, RAX, MEM(RSI, 0));
		x86_load(x, size, false, RCX, MEMX(RSI, RDX, -(int)size));
		x86_store(x, size, MEM(RDI, 0), RAX);
		x86_store(x, size, MEMX(RDI, RDX, -(int)size), RCX);
		x86_jmp(x, end);
		x86_label(x, smaller);
	}
	x86_test(x, RDX, RDX);
	x86_jcc(x, CC_E, end);
	x86_load(x, 1, false, RAX, MEM(RSI, 0));
	x86_store(x, 1, MEM(RDI, 0), RAX);
}

void code_copy(struct code *g, int64_t max)
{
	struct x86 *x = &g->x;
	int small = x86_label_new(x), end = x86_label_new(x), again = x86_label_new(x), loop = x86_label_new(x);

	x86_alu_imm(x, X_CMP, RDX, 8);
	x86_jcc(x, CC_B, small);
	if (max > COPY_REP) {
		x86_alu_imm(x, X_CMP, RDX, COPY_REP);
		x86_jcc(x, CC_BE, loop);
		x86_mov(x, RCX, RDX);
		x86_rep_movsb(x);
		x86_jmp(x, end);
	}
	x86_label(x, loop); /* from the end on; the first 8 bytes come last */
	x86_lea(x, RCX, MEM(RDX, -8));
	x86_label(x, again);
	x86_load(x, 8, false, RAX, MEMX(RSI, RCX, 0));
	x86_store(x, 8, MEMX(RDI, RCX, 0), RAX);
	x86_alu_imm(x, X_SUB, RCX, 8);
	x86_jcc(x, CC_A, again);
	x86_load(x, 8, false, RAX, MEM(RSI, 0));
	x86_store(x, 8, MEM(RDI, 0), RAX);
	x86_jmp(x, end);
	x86_label(x, small);
	copy_small(g, end);
	x86_label(x, end);
}

/* RAX = RDX bytes, 1 to 7 of them, at RSI, zeros above. Clobbers RCX and RSI. */
static void load_small(struct code *g)
{
	struct x86 *x = &g->x;
	int end = x86_label_new(x);

	for (unsigned size = 4; size > 1; size /= 2) {
		int smaller = x86_label_new(x);

		x86_test_imm8(x, RDX, (uint8_t)size);
		x86_jcc(x, CC_E, smaller);
		x86_lea(x, RCX, (struct x86_mem){.base = RDX, .index = RDX, .scale = 1, .disp = -2 * (int)size});
		x86_shift(x, X_SHL, RCX, 2);
		x86_load(x, size, false, RAX, MEM(RSI, 0));
		x86_load(x, size, false, RSI, MEMX(RSI, RDX, -(int)size));
		x86_shift_cl(x, X_SHL, RSI);
		x86_alu(x, X_OR, RAX, RSI);
		x86_jmp(x, end);
		x86_label(x, smaller);
	}
	x86_load(x, 1, false, RAX, MEM(RSI, 0));
	x86_label(x, end);
}

/*
 * Copies RDX bytes, not 0, from RSI to `to`, padded with zeros to whole words, and each of these in one store: where
 * they are read as words at once. hash: adds them to the checksum in RDI. Clobbers RAX, RCX and RSI.
 */
static void copy_words(struct code *g, struct x86_mem to, bool hash)
{
	struct x86 *x = &g->x;
	int small = x86_label_new(x), end = x86_label_new(x), rest = x86_label_new(x);

	x86_alu_imm(x, X_CMP, RDX, 8);
	x86_jcc(x, CC_B, small);
	for (int32_t at = 0; at < AGG_KEY_STR; at += 8) { /* in a row: it is a few words, most often */
		x86_load(x, 8, false, RAX, MEM(RSI, at));
		x86_store(x, 8, MEM(to.base, to.disp + at), RAX);
		if (hash)
			x86_crc32_reg(x, RDI, RAX);
		x86_imm(x, RCX, (uint64_t)at + 16);
		x86_alu(x, X_CMP, RCX, RDX);
		x86_jcc(x, CC_A, rest);
	}
	x86_label(x, rest);
	x86_alu(x, X_SUB, RCX, RDX);
	x86_alu_imm(x, X_CMP, RCX, 8); /* bytes that the last word does not have */
	x86_jcc(x, CC_E, end);
	x86_load(x, 8, false, RAX, MEMX(RSI, RDX, -8));
	x86_lea(x, RSI, MEMX(RCX, RDX, -8));
	x86_shift(x, X_SHL, RCX, 3);
	x86_shift_cl(x, X_SHR, RAX);
	x86_store(x, 8, MEMX(to.base, RSI, to.disp), RAX);
	if (hash)
		x86_crc32_reg(x, RDI, RAX);
	x86_jmp(x, end);
	x86_label(x, small);
	load_small(g);
	x86_store(x, 8, to, RAX);
	if (hash)
		x86_crc32_reg(x, RDI, RAX);
	x86_label(x, end);
}

/* The pieces that n bytes are compared by. */
static size_t piece(size_t at, size_t n, size_t *ret_at)
{
	static const size_t sizes[] = {8, 4, 2, 1};
	size_t k = 0;

	while (sizes[k] > n - at && (sizes[k] > n || !at || n - at < sizes[k] / 2 + 1))
		k++;
	*ret_at = MIN(at, n - sizes[k]);
	return sizes[k];
}

static uint64_t text_at(const struct ir_insn *i, size_t at, size_t size)
{
	uint64_t ret = 0;

	memcpy(&ret, i->str + at, size);
	return ret;
}

/* RAX = 0 when the bytes at RSI are the text. All are read, so a part that cannot be is noticed. */
static void difference(struct code *g, const struct ir_insn *i)
{
	size_t n = (size_t)i->imm, from, size;
	struct x86 *x = &g->x;

	for (size_t at = 0; at < n; at = from + size) {
		uint8_t reg = at ? RCX : RAX;

		size = piece(at, n, &from);
		x86_load(x, (unsigned)size, false, reg, MEM(RSI, from));
		x86_imm(x, RDX, text_at(i, from, size));
		x86_alu(x, X_XOR, reg, RDX);
		if (at)
			x86_alu(x, X_OR, RAX, RCX);
	}
}

void code_match(struct code *g, uint8_t reg, uint8_t tmp, const struct ir_insn *i, int differs)
{
	size_t n = (size_t)i->imm, from, size;

	for (size_t at = 0; at < n; at = from + size) {
		size = piece(at, n, &from);
		x86_load(&g->x, (unsigned)size, false, RAX, MEM(reg, from));
		if (code_folds(i)) { /* the text has small letters, and all of them have this bit */
			x86_imm(&g->x, tmp, UINT64_C(0x2020202020202020) >> (64 - 8 * size));
			x86_alu(&g->x, X_OR, RAX, tmp);
		}
		x86_imm(&g->x, tmp, text_at(i, from, size));
		x86_alu(&g->x, X_CMP, RAX, tmp);
		x86_jcc(&g->x, CC_NE, differs);
	}
}

/* EQ, PREFIX, SUFFIX: the length decides first. */
static void code_str_match(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;
	int end = x86_label_new(x);

	code_fault(g, code_fail(g, SLOT_UNREADABLE));
	code_get(g, RCX, i->b);
	code_get(g, RSI, i->a);
	x86_imm(x, RAX, 0);
	code_forget(g);
	x86_alu_imm(x, X_CMP, RCX, (int32_t)i->imm);
	x86_jcc(x, i->op == IR_STR_EQ ? CC_NE : CC_B, end);
	if (i->op == IR_STR_SUFFIX)
		x86_lea(x, RSI, MEMX(RSI, RCX, -i->imm));
	difference(g, i);
	x86_test(x, RAX, RAX);
	x86_set(x, CC_E, RAX);
	x86_label(x, end);
	code_put(g, i->dst);
}

/* The start of the string is copied, so that what is searched is what was read. RDI is the last start. */
static void code_str_contains(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;
	int again = x86_label_new(x), next = x86_label_new(x), no = x86_label_new(x), end = x86_label_new(x);

	code_fault(g, code_fail(g, SLOT_UNREADABLE));
	code_get(g, RDX, i->b);
	code_get(g, RSI, i->a);
	code_forget(g);
	x86_alu_imm(x, X_CMP, RDX, (int32_t)i->imm);
	x86_jcc(x, CC_B, no);
	x86_imm(x, RAX, CONTAINS_WINDOW);
	x86_alu(x, X_CMP, RDX, RAX);
	x86_cmov(x, CC_A, RDX, RAX);
	x86_lea(x, RDI, SLOT(work));
	code_copy(g, CONTAINS_WINDOW);
	x86_lea(x, RSI, SLOT(work));
	x86_lea(x, RDI, MEMX(RSI, RDX, -i->imm));
	x86_label(x, again);
	code_match(g, RSI, RCX, i, next);
	x86_imm(x, RAX, 1);
	x86_jmp(x, end);
	x86_label(x, next);
	x86_alu_imm(x, X_ADD, RSI, 1);
	x86_alu(x, X_CMP, RSI, RDI);
	x86_jcc(x, CC_BE, again);
	code_get(g, RDX, i->b);
	x86_alu_imm(x, X_CMP, RDX, CONTAINS_WINDOW);
	x86_jcc(x, CC_A, code_fail(g, SLOT_UNREADABLE));
	x86_label(x, no);
	x86_imm(x, RAX, 0);
	x86_label(x, end);
	code_put(g, i->dst);
}

void code_any_str(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;
	int again = x86_label_new(x), next = x86_label_new(x), none = x86_label_new(x), end = x86_label_new(x);

	code_fault(g, code_fail(g, SLOT_UNREADABLE));
	code_get(g, RCX, i->b);
	code_get(g, RSI, i->a);
	code_forget(g);
	x86_alu_imm(x, X_CMP, RCX, IR_MAX_ELEMENTS);
	x86_jcc(x, CC_A, code_fail(g, SLOT_MAP_BUSY));
	x86_label(x, again);
	x86_test(x, RCX, RCX);
	x86_jcc(x, CC_E, none);
	x86_alu_mem_imm(x, X_CMP, 8, MEM(RSI, 8), (int32_t)i->imm);
	x86_jcc(x, CC_NE, next);
	x86_load(x, 8, false, RDI, MEM(RSI, 0));
	code_match(g, RDI, RDX, i, next);
	x86_imm(x, RAX, 1);
	x86_jmp(x, end);
	x86_label(x, next);
	x86_alu_imm(x, X_ADD, RSI, (int32_t)i->at);
	x86_alu_imm(x, X_SUB, RCX, 1);
	x86_jmp(x, again);
	x86_label(x, none);
	x86_imm(x, RAX, 0);
	x86_label(x, end);
	code_put(g, i->dst);
}

/* ---- order ---- */

/* RAX = -1 or 1 by the flags of an unsigned comparison, whose sides differ. */
static void put_order(struct code *g)
{
	x86_set(&g->x, CC_A, RAX);
	x86_shift(&g->x, X_SHL, RAX, 1);
	x86_alu_imm(&g->x, X_SUB, RAX, 1);
}

/*
 * The work area is filled with zeros, which no text has, and what the string has of the text's length: a shorter one is
 * less word by word. Where all words are equal the length decides.
 */
void code_str_order(struct code *g, const struct ir_insn *i)
{
	size_t n = (size_t)i->imm;
	struct x86 *x = &g->x;
	int differ = x86_label_new(x), end = x86_label_new(x);

	code_fault(g, code_fail(g, SLOT_UNREADABLE));
	code_get(g, RCX, i->b);
	code_get(g, RSI, i->a);
	code_forget(g);
	for (size_t at = 0; at < n; at += 8)
		x86_store_imm(x, 8, SLOT_AT(work, at / 8), 0);
	x86_imm(x, RDX, n);
	x86_alu(x, X_CMP, RCX, RDX);
	x86_cmov(x, CC_B, RDX, RCX);
	x86_lea(x, RDI, SLOT(work));
	x86_mov(x, RCX, RDX);
	x86_rep_movsb(x);
	for (size_t at = 0; at < n; at += 8) {
		uint64_t want = 0;

		memcpy(&want, i->str + at, MIN(n - at, 8));
		x86_load(x, 8, false, RAX, SLOT_AT(work, at / 8));
		x86_imm(x, RCX, want);
		x86_alu(x, X_CMP, RAX, RCX);
		x86_jcc(x, CC_NE, differ);
	}
	code_get(g, RCX, i->b);
	x86_imm(x, RAX, 0);
	x86_alu_imm(x, X_CMP, RCX, (int32_t)n);
	x86_jcc(x, CC_BE, end);
	x86_imm(x, RAX, 1);
	x86_jmp(x, end);
	x86_label(x, differ);
	x86_swap(x, RAX);
	x86_swap(x, RCX);
	x86_alu(x, X_CMP, RAX, RCX);
	put_order(g);
	x86_label(x, end);
	code_forget(g);
	code_put(g, i->dst);
}

/* By words while both have one, then by bytes, which also tell the order of words that differ. */
void code_mem_order(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;
	int words = x86_label_new(x), bytes = x86_label_new(x), equal = x86_label_new(x), differ = x86_label_new(x);
	int end = x86_label_new(x);

	code_fault(g, code_fail(g, SLOT_UNREADABLE));
	code_get(g, RSI, i->a);
	code_get(g, RDI, i->b);
	code_get(g, RCX, i->c);
	code_forget(g);
	x86_imm(x, RDX, IR_MAX_ORDER);
	x86_alu(x, X_CMP, RCX, RDX);
	x86_cmov(x, CC_A, RCX, RDX);
	x86_test(x, RCX, RCX);
	x86_jcc(x, CC_E, equal);
	/* all are read, which are of two pages at most, so that a part that cannot be is noticed */
	x86_load(x, 1, false, RAX, MEMX(RSI, RCX, -1));
	x86_load(x, 1, false, RAX, MEMX(RDI, RCX, -1));
	x86_load(x, 1, false, RAX, MEM(RSI, 0));
	x86_load(x, 1, false, RAX, MEM(RDI, 0));
	x86_label(x, words);
	x86_alu_imm(x, X_CMP, RCX, 8);
	x86_jcc(x, CC_B, bytes);
	x86_load(x, 8, false, RAX, MEM(RSI, 0));
	x86_alu_load(x, X_CMP, RAX, MEM(RDI, 0));
	x86_jcc(x, CC_NE, bytes);
	x86_alu_imm(x, X_ADD, RSI, 8);
	x86_alu_imm(x, X_ADD, RDI, 8);
	x86_alu_imm(x, X_SUB, RCX, 8);
	x86_jmp(x, words);
	x86_label(x, bytes);
	x86_test(x, RCX, RCX);
	x86_jcc(x, CC_E, equal);
	x86_load(x, 1, false, RAX, MEM(RSI, 0));
	x86_load(x, 1, false, RDX, MEM(RDI, 0));
	x86_alu(x, X_CMP, RAX, RDX);
	x86_jcc(x, CC_NE, differ);
	x86_alu_imm(x, X_ADD, RSI, 1);
	x86_alu_imm(x, X_ADD, RDI, 1);
	x86_alu_imm(x, X_SUB, RCX, 1);
	x86_jmp(x, bytes);
	x86_label(x, differ);
	put_order(g);
	x86_jmp(x, end);
	x86_label(x, equal);
	code_get(g, RAX, i->c);
	x86_alu_imm(x, X_CMP, RAX, IR_MAX_ORDER);
	x86_jcc(x, CC_A, code_fail(g, SLOT_UNREADABLE));
	x86_imm(x, RAX, 0);
	x86_label(x, end);
	code_forget(g);
	code_put(g, i->dst);
}

int code_str(struct code *g, const struct ir_insn *i)
{
	if (i->imm < 1 || i->imm > IR_MAX_STR)
		return err_set(g->err, -EINVAL, "a constant text has %lld bytes (expected 1 to %d)", (long long)i->imm,
			       IR_MAX_STR);
	if (i->op == IR_STR_CONTAINS)
		code_str_contains(g, i);
	else
		code_str_match(g, i);
	return 0;
}

/* ---- emit ---- */

/* RDX = how many of the RCX bytes are copied. Clobbers RAX and RDI. */
static void copied_size(struct code *g, int64_t max)
{
	struct x86 *x = &g->x;

	x86_imm(x, RDX, (uint64_t)max);
	x86_alu(x, X_CMP, RCX, RDX);
	x86_cmov(x, CC_B, RDX, RCX);
	if (!g->may_overflow)
		return;
	code_size(g, RAX);
	x86_imm(x, RDI, code_record_limit(g->p));
	x86_alu(x, X_SUB, RDI, RAX);
	x86_alu(x, X_CMP, RDX, RDI);
	x86_cmov(x, CC_A, RDX, RDI);
}

/*
 * The slot's first word, and RAX: status, lengths (RDX of RCX bytes). In one store: aggregates read it so, at once,
 * and several stores could not be forwarded to one load. Clobbers RCX and RDI.
 */
static void put_first(struct code *g, uint16_t slot)
{
	struct x86 *x = &g->x;

	x86_alu(x, X_CMP, RDX, RCX);
	x86_set(x, CC_NE, RAX);
	x86_alu_imm(x, X_ADD, RAX, SLOT_OK);
	x86_imm(x, RDI, UINT32_MAX);
	x86_alu(x, X_CMP, RCX, RDI);
	x86_cmov(x, CC_A, RCX, RDI);
	x86_shift(x, X_SHL, RCX, 32);
	x86_alu(x, X_OR, RAX, RCX);
	x86_mov(x, RCX, RDX);
	x86_shift(x, X_SHL, RCX, 16);
	x86_alu(x, X_OR, RAX, RCX);
	x86_store(x, 8, code_slot(slot, 0), RAX);
}
_Static_assert(SLOT_CUT == SLOT_OK + 1, "put_first adds");
_Static_assert(offsetof(struct event_slot, copied) == 2 && offsetof(struct event_slot, len) == 4, "put_first shifts");

/* And where the bytes are, which is RDI, too. */
static void put_slot(struct code *g, uint16_t slot)
{
	struct x86 *x = &g->x;

	put_first(g, slot);
	code_size(g, RAX);
	x86_store(x, 8, code_slot(slot, offsetof(struct event_slot, value)), RAX);
	x86_lea(x, RDI, MEMX(REG_RECORD, RAX, 0));
}

/* slot.size says where the record's data end: the new size is stored when the bytes are there. */
static void put_bytes(struct code *g, int64_t max, int done)
{
	struct x86 *x = &g->x;

	x86_test(x, RDX, RDX);
	x86_jcc(x, CC_E, done);
	if (g->env->sums && max <= AGG_KEY_STR) {
		copy_words(g, MEM(RDI, 0), false);
	} else {
		x86_lea(x, RAX, MEM(RDX, 7));
		x86_alu_imm(x, X_AND, RAX, -8);
		x86_store_imm(x, 8, MEMX(RDI, RAX, -8), 0);
		code_copy(g, max);
	}
	x86_alu_imm(x, X_ADD, RDX, 7);
	x86_alu_imm(x, X_AND, RDX, -8);
	code_size(g, RAX);
	x86_alu(x, X_ADD, RAX, RDX);
	x86_store(x, 4, SLOT(size), RAX);
	g->known_size = 0;
	x86_jmp(x, done);
}

/*
 * The bytes at i->a, as many as the slot says are copied, could not be read. RSI = their address, RDX = how many of
 * them lie in the first page; to none when they all do. A fault from here on goes there, too.
 */
static void find_first_page(struct code *g, const struct ir_insn *i, int none)
{
	struct x86 *x = &g->x;

	code_fault(g, none);
	code_get(g, RSI, i->a);
	x86_load(x, 2, false, RCX, code_slot(i->slot, offsetof(struct event_slot, copied)));
	x86_mov(x, RAX, RSI);
	x86_alu_imm(x, X_AND, RAX, EVENT_PAGE - 1);
	x86_imm(x, RDX, EVENT_PAGE);
	x86_alu(x, X_SUB, RDX, RAX);
	x86_alu(x, X_CMP, RDX, RCX);
	x86_jcc(x, CC_AE, none);
}

/*
 * The bytes could not be read: as many are as lie in the first page, behind their address (event_part). To none when it
 * is those that cannot be read.
 */
static void put_first_page(struct code *g, const struct ir_insn *i, int64_t max, int none, int done)
{
	struct x86 *x = &g->x;

	find_first_page(g, i, none);
	code_size(g, RAX);
	x86_lea(x, RCX, MEMX(RAX, RDX, 8));
	x86_alu_imm(x, X_CMP, RCX, (int32_t)code_record_limit(g->p));
	x86_jcc(x, CC_A, none);
	x86_lea(x, RDI, MEMX(REG_RECORD, RAX, 8));
	x86_alu_imm(x, X_ADD, RAX, 8);
	x86_store(x, 8, code_slot(i->slot, offsetof(struct event_slot, value)), RAX);
	x86_store(x, 2, code_slot(i->slot, offsetof(struct event_slot, copied)), RDX);
	x86_store_imm(x, 1, code_slot(i->slot, offsetof(struct event_slot, status)), SLOT_NOT_RESIDENT);
	x86_store(x, 8, MEM(RDI, -8), RSI);
	x86_lea(x, RCX, MEM(RDX, 7));
	x86_alu_imm(x, X_AND, RCX, -8);
	x86_store_imm(x, 8, MEMX(RDI, RCX, -8), 0);
	code_copy(g, max);
	x86_alu_imm(x, X_ADD, RDX, 7);
	x86_alu_imm(x, X_AND, RDX, -8);
	x86_load(x, 8, false, RAX, code_slot(i->slot, offsetof(struct event_slot, value)));
	x86_alu(x, X_ADD, RAX, RDX);
	x86_store(x, 4, SLOT(size), RAX);
	x86_jmp(x, done);
}

/* The slot says what of the text is in its first page, and RDX too. To none when it is that which cannot be read. */
static void cut_to_first_page(struct code *g, const struct ir_insn *i, int none)
{
	struct x86 *x = &g->x;

	find_first_page(g, i, none);
	x86_store(x, 2, code_slot(i->slot, offsetof(struct event_slot, copied)), RDX);
	x86_store_imm(x, 1, code_slot(i->slot, offsetof(struct event_slot, status)), SLOT_NOT_RESIDENT);
}

/* Where the call keeps it (groups.h), with a checksum of its bytes that begins with their number. */
static void keep_str(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;
	int missing = x86_label_new(x), done = x86_label_new(x), none = x86_label_new(x), copy = x86_label_new(x);

	code_fault(g, missing);
	code_get(g, RCX, i->b);
	code_get(g, RSI, i->a);
	code_forget(g);
	x86_imm(x, RDX, (uint64_t)i->imm);
	x86_alu(x, X_CMP, RCX, RDX);
	x86_cmov(x, CC_B, RDX, RCX);
	put_first(g, i->slot);
	x86_test(x, RDX, RDX);
	x86_jcc(x, CC_E, done);
	x86_label(x, copy);
	x86_mov(x, RDI, RDX);
	copy_words(g, MEM(REG_RECORD, code_kept_text(g, i->slot)), true);
	x86_store(x, 8, code_slot(i->slot, offsetof(struct event_slot, value)), RDI);
	x86_jmp(x, done);
	code_join(g, missing);
	cut_to_first_page(g, i, none);
	x86_jmp(x, copy);
	code_join(g, none);
	x86_store_imm(x, 1, code_slot(i->slot, offsetof(struct event_slot, status)), SLOT_NOT_RESIDENT);
	x86_store_imm(x, 2, code_slot(i->slot, offsetof(struct event_slot, copied)), 0);
	code_join(g, done);
}

int code_emit_str(struct code *g, const struct ir_insn *i)
{
	int64_t max = MIN(i->imm, EVENT_MAX_STRING);
	struct x86 *x = &g->x;
	int missing = x86_label_new(x), done = x86_label_new(x), none = x86_label_new(x);

	if (code_keeps_directly(g)) {
		keep_str(g, i);
		return 0;
	}
	code_fault(g, missing);
	code_get(g, RCX, i->b);
	code_get(g, RSI, i->a);
	code_forget(g);
	x86_store_imm(x, 8, code_slot(i->slot, 0), SLOT_OK);
	x86_store(x, 8, code_slot(i->slot, offsetof(struct event_slot, value)), RSI);
	x86_test(x, RCX, RCX);
	x86_jcc(x, CC_E, done);
	copied_size(g, max);
	put_slot(g, i->slot);
	put_bytes(g, max, done);
	code_join(g, missing);
	put_first_page(g, i, max, none, done);
	code_join(g, none);
	code_get(g, RAX, i->a);
	x86_store_imm(x, 1, code_slot(i->slot, offsetof(struct event_slot, status)), SLOT_NOT_RESIDENT);
	x86_store_imm(x, 2, code_slot(i->slot, offsetof(struct event_slot, copied)), 0);
	x86_store(x, 8, code_slot(i->slot, offsetof(struct event_slot, value)), RAX);
	code_join(g, done);
	return 0;
}
