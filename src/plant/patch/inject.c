/*
 * IR_INJECT: a trace context behind what the program has put into a buffer and not sent yet.
 *
 * All that can be wrong is looked at first. Then the words that are to change are written as they are, so that a fault
 * there leaves all as it was; then the bytes, which lie behind what counts; and the length last.
 */
#include "plant/patch/injection.h"

#include <string.h>

#include "plant/inject.h"

void injection_begin(struct injection *j, struct code *g, const struct ir_insn *i)
{
	*j = (struct injection){.g = g, .x = &g->x, .insn = i,
				.bytes = i->imm == INJECT_LINE ? INJECT_LINE_BYTES : INJECT_FIELD_BYTES};
	for (unsigned o = 0; o < INJECT_OUTCOMES; o++)
		j->to[o] = -1;
	code_fault(g, code_fail(g, SLOT_UNREADABLE));
	code_forget(g);
}

void injection_jump(struct injection *j, enum x86_cc cc, enum inject_outcome o)
{
	if (j->to[o] < 0)
		j->to[o] = x86_label_new(j->x);
	x86_jcc(j->x, cc, j->to[o]);
}

void injection_end(struct injection *j)
{
	int done = x86_label_new(j->x);

	for (unsigned o = 0; o < INJECT_OUTCOMES; o++) {
		if (j->to[o] < 0)
			continue;
		x86_jmp(j->x, done);
		x86_label(j->x, j->to[o]);
		x86_imm(j->x, RAX, o);
	}
	x86_label(j->x, done);
	code_forget(j->g);
	code_put(j->g, j->insn->dst);
}

void injection_check_ids(struct injection *j)
{
	const struct ir_insn *i = j->insn;

	x86_load(j->x, 8, false, RAX, WORD(INJECT_TRACE));
	x86_alu_load(j->x, X_OR, RAX, WORD(INJECT_TRACE + 1));
	injection_jump(j, CC_E, INJECT_NO_SPAN);
	x86_alu_mem_imm(j->x, X_CMP, 8, WORD(INJECT_SPAN), 0);
	injection_jump(j, CC_E, INJECT_NO_SPAN);
}

/* RSI = the end of what is filled, RCX = how much that is. */
static void check_length(struct injection *j)
{
	const struct ir_insn *i = j->insn;

	x86_load(j->x, 8, false, RCX, WORD(INJECT_FILLED));
	x86_load(j->x, 8, false, RAX, WORD(INJECT_LENGTH_AT));
	x86_alu_load(j->x, X_CMP, RCX, MEM(RAX, 0));
	injection_jump(j, CC_NE, INJECT_UNEXPECTED);
	x86_alu_load(j->x, X_CMP, RCX, WORD(INJECT_CAPACITY));
	injection_jump(j, CC_A, INJECT_UNEXPECTED);
	x86_alu_imm(j->x, X_CMP, RCX, 2);
	injection_jump(j, CC_B, INJECT_UNEXPECTED);
	x86_load(j->x, 8, false, RSI, WORD(INJECT_BUFFER));
	x86_alu(j->x, X_ADD, RSI, RCX);
}

/* Another observer of the program may write as we do, at the same moment. */
static void check_present(struct injection *j)
{
	int none = x86_label_new(j->x);
	uint64_t begin;

	memcpy(&begin, inject_layout(j->insn->imm).name, sizeof(begin));
	x86_alu_imm(j->x, X_CMP, RCX, (int32_t)j->bytes);
	x86_jcc(j->x, CC_B, none);
	x86_imm(j->x, RAX, begin);
	x86_alu_load(j->x, X_CMP, RAX, MEM(RSI, -(int32_t)j->bytes));
	injection_jump(j, CC_E, INJECT_PRESENT);
	x86_label(j->x, none);
}

/* RAX = 4 bytes at RDI + at, the first one the highest. */
static void load_big_endian(struct injection *j, int at)
{
	x86_load(j->x, 4, false, RAX, MEM(RDI, at));
	x86_swap(j->x, RAX);
	x86_shift(j->x, X_SHR, RAX, 32);
}

/* RDI = the frame's head. */
static void check_frame(struct injection *j)
{
	const struct ir_insn *i = j->insn;
	struct x86 *x = j->x;

	x86_load(x, 8, false, RDX, WORD(INJECT_BLOCK));
	x86_alu(x, X_CMP, RDX, RCX);
	injection_jump(j, CC_A, INJECT_UNEXPECTED);
	x86_mov(x, RAX, RCX);
	x86_alu(x, X_SUB, RAX, RDX);
	x86_alu_imm(x, X_CMP, RAX, INJECT_FRAME_HEAD);
	injection_jump(j, CC_B, INJECT_UNEXPECTED);
	x86_mov(x, RDI, RSI);
	x86_alu(x, X_SUB, RDI, RDX);
	x86_alu_imm(x, X_SUB, RDI, INJECT_FRAME_HEAD);
	load_big_endian(j, 0);
	x86_shift(x, X_SHL, RDX, 8);
	x86_alu_imm(x, X_ADD, RDX, FRAME_HEADERS);
	x86_alu(x, X_CMP, RAX, RDX);
	injection_jump(j, CC_NE, INJECT_UNEXPECTED);
	x86_load(x, 1, false, RAX, MEM(RDI, 4));
	x86_alu_imm(x, X_AND, RAX, END_HEADERS | PADDED_OR_PRIORITY);
	x86_alu_imm(x, X_CMP, RAX, END_HEADERS);
	injection_jump(j, CC_NE, INJECT_UNEXPECTED);
	load_big_endian(j, 5);
	x86_alu_load(x, X_CMP, RAX, WORD(INJECT_STREAM));
	injection_jump(j, CC_NE, INJECT_UNEXPECTED);
}

static void check_end(struct injection *j)
{
	if (j->insn->imm == INJECT_FRAME)
		check_frame(j);
	if (j->insn->imm != INJECT_LINE)
		return;
	x86_load(j->x, 2, false, RAX, MEM(RSI, -2));
	x86_alu_imm(j->x, X_CMP, RAX, CRLF);
	injection_jump(j, CC_NE, INJECT_UNEXPECTED);
}

static void check_room(struct injection *j)
{
	const struct ir_insn *i = j->insn;

	if (i->imm != INJECT_LINE) {
		x86_load(j->x, 8, false, RAX, i->imm == INJECT_FIELD ? WORD(INJECT_FILLED) : WORD(INJECT_BLOCK));
		x86_alu_imm(j->x, X_CMP, RAX, INJECT_BLOCK_MAX - INJECT_FIELD_BYTES);
		injection_jump(j, CC_A, INJECT_TOO_LARGE);
	}
	x86_load(j->x, 8, false, RAX, WORD(INJECT_CAPACITY));
	x86_alu(j->x, X_SUB, RAX, RCX);
	x86_alu_imm(j->x, X_CMP, RAX, (int32_t)j->bytes);
	injection_jump(j, CC_B, INJECT_NO_ROOM);
}

static void try_writing(struct injection *j)
{
	const struct ir_insn *i = j->insn;

	x86_load(j->x, 8, false, RAX, WORD(INJECT_LENGTH_AT));
	x86_store(j->x, 8, MEM(RAX, 0), RCX);
	if (i->imm != INJECT_FRAME)
		return;
	for (int at = 0; at < 3; at += 2) {
		x86_load(j->x, 1, false, RAX, MEM(RDI, at));
		x86_store(j->x, 1, MEM(RDI, at), RAX);
	}
}

/* ---- the text ---- */

/* RAX = the low 4 bytes of RAX as 8 hexadecimal digits, the lowest byte's first. Clobbers RCX and RDX. */
static void to_hex(struct x86 *x)
{
	for (uint8_t n = 16; n > 4; n /= 2) { /* each byte gets two */
		x86_mov(x, RCX, RAX);
		x86_shift(x, X_SHL, RCX, n);
		x86_alu(x, X_OR, RAX, RCX);
		x86_imm(x, RCX, n == 16 ? UINT64_C(0x0000ffff0000ffff) : UINT64_C(0x00ff00ff00ff00ff));
		x86_alu(x, X_AND, RAX, RCX);
	}
	x86_mov(x, RDX, RAX);
	x86_shift(x, X_SHR, RAX, 4);
	x86_imm(x, RCX, UINT64_C(0x000f000f000f000f));
	x86_alu(x, X_AND, RAX, RCX);
	x86_alu(x, X_AND, RDX, RCX);
	x86_shift(x, X_SHL, RDX, 8);
	x86_alu(x, X_OR, RAX, RDX);
	x86_imm(x, RCX, UINT64_C(0x0606060606060606)); /* what is 10 or more, in bit 4 of each byte */
	x86_alu(x, X_ADD, RCX, RAX);
	x86_shift(x, X_SHR, RCX, 4);
	x86_imm(x, RDX, UINT64_C(0x0101010101010101));
	x86_alu(x, X_AND, RCX, RDX);
	x86_imul_imm(x, RCX, RCX, 'a' - '0' - 10);
	x86_imm(x, RDX, UINT64_C(0x3030303030303030));
	x86_alu(x, X_ADD, RAX, RDX);
	x86_alu(x, X_ADD, RAX, RCX);
}

static void put_constant(struct injection *j, size_t at, const char *text, size_t n)
{
	size_t size;

	for (size_t k = 0; k < n; k += size) {
		uint64_t word = 0;

		size = n - k >= 8 ? 8 : n - k >= 4 ? 4 : n - k >= 2 ? 2 : 1;
		memcpy(&word, text + k, size);
		x86_imm(j->x, RAX, word);
		x86_store(j->x, (unsigned)size, SLOT(work[at + k]), RAX);
	}
}

/* The ids lie in three words one behind the other. */
void injection_text(struct injection *j, enum inject_form form)
{
	const struct ir_insn *i = j->insn;
	const struct inject_layout l = inject_layout(form);
	struct x86 *x = j->x;
	int again = x86_label_new(x), same = x86_label_new(x);

	put_constant(j, 0, l.name, l.ids);
	put_constant(j, l.ids + 32, "-", 1);
	put_constant(j, l.flags - 1, "-", 1);
	if (l.is_line)
		put_constant(j, l.flags + 2, "\r\n", 2);
	x86_lea(x, RSI, WORD(INJECT_TRACE));
	x86_lea(x, RDI, SLOT(work[l.ids]));
	x86_label(x, again);
	x86_load(x, 4, false, RAX, MEM(RSI, 0));
	to_hex(x);
	x86_store(x, 8, MEM(RDI, 0), RAX);
	x86_alu_imm(x, X_ADD, RSI, 4);
	x86_alu_imm(x, X_ADD, RDI, 8);
	x86_lea(x, RAX, WORD(INJECT_SPAN));
	x86_alu(x, X_CMP, RSI, RAX);
	x86_jcc(x, CC_NE, same);
	x86_alu_imm(x, X_ADD, RDI, 1);
	x86_label(x, same);
	x86_lea(x, RAX, WORD(INJECT_FLAGS));
	x86_alu(x, X_CMP, RSI, RAX);
	x86_jcc(x, CC_B, again);
	x86_load(x, 1, false, RAX, MEM(RSI, 0));
	to_hex(x);
	x86_store(x, 2, SLOT(work[l.flags]), RAX);
}

/* ---- the tracestate ---- */

/* In slot.work, behind the text: what is in front of a tracestate, and what is known of it. */
enum {
	STATE_HEAD = 80,
	STATE_HEAD_BYTES = 96,
	STATE_TEXT = 104,       /* where it lies, */
	STATE_BYTES = 112,      /* how much that is, */
	STATE_ALL = 120,        /* with all that goes with it; 0: it does not go */
	STATE_OUTCOME = 128,
};
_Static_assert(INJECT_LINE_BYTES <= STATE_HEAD, "they lie behind the text");
#define WORK(at) SLOT(work[at])

/* RCX = the bytes in front of a tracestate of RDX bytes. Clobbers RAX. */
static void make_state_head(struct injection *j)
{
	const struct inject_state_layout l = inject_state_layout(j->insn->imm);
	struct x86 *x = j->x;
	int small = x86_label_new(x), one = x86_label_new(x), end = x86_label_new(x);

	put_constant(j, STATE_HEAD, l.name, l.len);
	x86_imm(x, RCX, l.len);
	if (j->insn->imm == INJECT_LINE)
		return;
	x86_alu_imm(x, X_CMP, RDX, HPACK_SMALL);
	x86_jcc(x, CC_B, small);
	x86_store_imm(x, 1, WORK(STATE_HEAD + l.len), HPACK_SMALL);
	x86_lea(x, RAX, MEM(RDX, -HPACK_SMALL));
	x86_alu_imm(x, X_CMP, RAX, HPACK_MORE);
	x86_jcc(x, CC_B, one);
	x86_alu_imm(x, X_OR, RAX, HPACK_MORE);
	x86_store(x, 1, WORK(STATE_HEAD + l.len + 1), RAX);
	x86_lea(x, RAX, MEM(RDX, -HPACK_SMALL));
	x86_shift(x, X_SHR, RAX, 7);
	x86_store(x, 1, WORK(STATE_HEAD + l.len + 2), RAX);
	x86_imm(x, RCX, l.len + 3);
	x86_jmp(x, end);
	x86_label(x, one);
	x86_store(x, 1, WORK(STATE_HEAD + l.len + 1), RAX);
	x86_imm(x, RCX, l.len + 2);
	x86_jmp(x, end);
	x86_label(x, small);
	x86_store(x, 1, WORK(STATE_HEAD + l.len), RDX);
	x86_imm(x, RCX, l.len + 1);
	x86_label(x, end);
}

/* To no unless a tracestate of RCX bytes in all fits as well. */
static void check_state_room(struct injection *j, int no)
{
	const struct ir_insn *i = j->insn;
	struct x86 *x = j->x;

	x86_load(x, 8, false, RAX, WORD(INJECT_CAPACITY));
	x86_alu_load(x, X_SUB, RAX, WORD(INJECT_FILLED));
	x86_alu_imm(x, X_SUB, RAX, (int32_t)j->bytes);
	x86_alu(x, X_CMP, RAX, RCX);
	x86_jcc(x, CC_B, no);
	if (i->imm == INJECT_LINE)
		return;
	x86_load(x, 8, false, RAX, i->imm == INJECT_FIELD ? WORD(INJECT_FILLED) : WORD(INJECT_BLOCK));
	x86_alu(x, X_ADD, RAX, RCX);
	x86_alu_imm(x, X_CMP, RAX, INJECT_BLOCK_MAX - INJECT_FIELD_BYTES);
	x86_jcc(x, CC_A, no);
}

/* slot.work.STATE_OUTCOME = what comes of the tracestate; STATE_ALL = the bytes that go out with it, 0: none. */
static void measure_state(struct injection *j)
{
	const struct ir_insn *i = j->insn;
	struct x86 *x = j->x;
	int to[INJECT_STATES];

	for (unsigned s = 0; s < INJECT_STATES; s++)
		to[s] = x86_label_new(x);
	x86_store_imm(x, 8, WORK(STATE_ALL), 0);
	x86_alu_mem_imm(x, X_CMP, 8, WORD(INJECT_STATE), INJECT_STATE_UNWANTED);
	x86_jcc(x, CC_E, to[INJECT_STATE_NONE]);
	code_find_state(j->g, to[INJECT_STATE_NONE]);
	x86_alu_mem_imm(x, X_CMP, 8, WORD(INJECT_STATE), INJECT_STATE_THERE);
	x86_jcc(x, CC_E, to[INJECT_STATE_PRESENT]);
	x86_load(x, 8, false, RDX, MEM(RSI, offsetof(struct patch_state, len)));
	x86_alu_imm(x, X_CMP, RDX, MARK_STATE_MAX);
	x86_jcc(x, CC_A, to[INJECT_STATE_TOO_LONG]);
	x86_store(x, 8, WORK(STATE_BYTES), RDX);
	x86_alu_imm(x, X_ADD, RSI, offsetof(struct patch_state, text));
	x86_store(x, 8, WORK(STATE_TEXT), RSI);
	make_state_head(j);
	x86_store(x, 8, WORK(STATE_HEAD_BYTES), RCX);
	x86_lea(x, RCX, MEMX(RCX, RDX, i->imm == INJECT_LINE ? 2 : 0));
	check_state_room(j, to[INJECT_STATE_NO_ROOM]);
	x86_store(x, 8, WORK(STATE_ALL), RCX);
	x86_imm(x, RAX, INJECT_STATE_WRITTEN);
	for (unsigned s = 0; s < INJECT_STATES; s++) {
		if (s == INJECT_STATE_WRITTEN)
			continue;
		x86_jmp(x, to[INJECT_STATE_WRITTEN]);
		x86_label(x, to[s]);
		x86_imm(x, RAX, s);
	}
	x86_label(x, to[INJECT_STATE_WRITTEN]);
	x86_store(x, 8, WORK(STATE_OUTCOME), RAX);
}

/* RDI = the end of what is filled. */
static void filled_end(struct injection *j)
{
	const struct ir_insn *i = j->insn;

	x86_load(j->x, 8, false, RDI, WORD(INJECT_BUFFER));
	x86_alu_load(j->x, X_ADD, RDI, WORD(INJECT_FILLED));
}

/* What was copied counts only if it was not another's meanwhile. */
static void write_state(struct injection *j)
{
	struct x86 *x = j->x;
	int gone = x86_label_new(x), end = x86_label_new(x);

	x86_alu_mem_imm(x, X_CMP, 8, WORK(STATE_ALL), 0);
	x86_jcc(x, CC_E, end);
	filled_end(j);
	x86_lea(x, RSI, WORK(STATE_HEAD));
	x86_load(x, 8, false, RDX, WORK(STATE_HEAD_BYTES));
	code_copy(j->g, STATE_HEAD_BYTES - STATE_HEAD);
	filled_end(j);
	x86_alu_load(x, X_ADD, RDI, WORK(STATE_HEAD_BYTES));
	x86_load(x, 8, false, RSI, WORK(STATE_TEXT));
	x86_load(x, 8, false, RDX, WORK(STATE_BYTES));
	code_copy(j->g, MARK_STATE_MAX);
	if (j->insn->imm == INJECT_LINE) {
		filled_end(j);
		x86_alu_load(x, X_ADD, RDI, WORK(STATE_ALL));
		x86_imm(x, RAX, CRLF);
		x86_store(x, 2, MEM(RDI, -2), RAX);
	}
	code_check_state(j->g, gone);
	x86_jmp(x, end);
	x86_label(x, gone);
	x86_store_imm(x, 8, WORK(STATE_ALL), 0);
	x86_store_imm(x, 8, WORK(STATE_OUTCOME), INJECT_STATE_NONE);
	x86_label(x, end);
}

/* ---- writing ---- */

static void write_frame_length(struct injection *j)
{
	const struct ir_insn *i = j->insn;
	struct x86 *x = j->x;

	x86_load(x, 8, false, RAX, WORD(INJECT_BLOCK));
	x86_load(x, 8, false, RDI, WORD(INJECT_BUFFER));
	x86_alu_load(x, X_ADD, RDI, WORD(INJECT_FILLED));
	x86_alu(x, X_SUB, RDI, RAX);
	x86_alu_imm(x, X_ADD, RAX, INJECT_FIELD_BYTES);
	x86_alu_load(x, X_ADD, RAX, WORK(STATE_ALL));
	for (int at = 2; at >= 0; at--) {
		x86_store(x, 1, MEM(RDI, at - INJECT_FRAME_HEAD), RAX);
		x86_shift(x, X_SHR, RAX, 8);
	}
}

static void write_bytes(struct injection *j)
{
	const struct ir_insn *i = j->insn;
	struct x86 *x = j->x;

	write_state(j);
	x86_lea(x, RSI, SLOT(work));
	filled_end(j);
	x86_alu_load(x, X_ADD, RDI, WORK(STATE_ALL));
	x86_imm(x, RDX, j->bytes);
	code_copy(j->g, (int64_t)j->bytes);
	if (i->imm == INJECT_FRAME)
		write_frame_length(j);
	x86_load(x, 8, false, RCX, WORD(INJECT_FILLED));
	x86_alu_imm(x, X_ADD, RCX, (int32_t)j->bytes);
	x86_alu_load(x, X_ADD, RCX, WORK(STATE_ALL));
	x86_load(x, 8, false, RAX, WORD(INJECT_LENGTH_AT));
	x86_store(x, 8, MEM(RAX, 0), RCX);
	x86_load(x, 8, false, RAX, WORK(STATE_OUTCOME));
	x86_shift(x, X_SHL, RAX, INJECT_STATE_SHIFT);
}
_Static_assert(INJECT_WRITTEN == 0, "the outcome of the tracestate is all that is said");

void code_inject(struct code *g, const struct ir_insn *i)
{
	struct injection j;

	injection_begin(&j, g, i);
	injection_check_ids(&j);
	check_length(&j);
	check_present(&j);
	check_end(&j);
	check_room(&j);
	try_writing(&j);
	measure_state(&j);
	injection_text(&j, (enum inject_form)i->imm);
	write_bytes(&j);
	injection_end(&j);
}
