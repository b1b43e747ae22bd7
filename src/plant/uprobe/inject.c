/*
 * IR_INJECT: a trace context behind what the program has put into a buffer and not sent yet.
 *
 * As in plant/patch/inject.c all that can be wrong is looked at first. Then the words that are to change are written as
 * they are, so that a page that cannot be written to leaves all as it was; then the bytes, which lie behind what
 * counts; and the length last. The helper (bpf_probe_write_user) brings no page in: where one is missing it says so.
 */
#include "plant/uprobe/gen.h"

#include <string.h>

#include "plant/inject.h"

/* The work area: the text, then the frame's length and the buffer's. What the frame's head was is in STACK_BUF. */
enum {
	FRAME_LENGTH = 96,
	LENGTH = 104,
	STATE_HEAD = 112,       /* what is in front of the tracestate, */
	STATE_HEAD_BYTES = 128, /* how much that is, */
	STATE_ALL = 136,        /* with all that goes with it; 0: it does not go */
	STATE_OUTCOME = 144,
	STATE_END = 152,        /* of a line */
};
_Static_assert(INJECT_LINE_BYTES <= FRAME_LENGTH && INJECT_FIELD_BYTES <= INJECT_LINE_BYTES, "the text fits");
#define WORK(at) (SCRATCH_WORK_OFF + (at))
#define STATE(field) ((int)offsetof(struct mark_state, field))

struct injection {
	struct gen *g;
	const struct ir_insn *insn;
	int32_t bytes;
	int to[INJECT_OUTCOMES], unreadable;
};

static void word(struct injection *j, uint8_t dst, enum inject_word w)
{
	gen_get(j->g, dst, (uint16_t)(j->insn->a + w));
}

static int outcome(struct injection *j, enum inject_outcome o)
{
	if (j->to[o] < 0)
		j->to[o] = emit_label_new(j->g->e);
	return j->to[o];
}

/* ---- what can be wrong; R9 = how much is filled, from check_length on ---- */

static void check_ids(struct injection *j)
{
	struct emit *e = j->g->e;

	word(j, R1, INJECT_TRACE);
	word(j, R2, INJECT_TRACE + 1);
	emit_alu(e, BPF_OR, R1, R2);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, outcome(j, INJECT_NO_SPAN));
	word(j, R1, INJECT_SPAN);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, outcome(j, INJECT_NO_SPAN));
}

static void check_length(struct injection *j)
{
	struct emit *e = j->g->e;
	int unexpected = outcome(j, INJECT_UNEXPECTED);

	word(j, R3, INJECT_LENGTH_AT);
	gen_read_stack(j->g, STACK_BUF, 8, j->unreadable);
	emit_load(e, 8, R1, FP, STACK_BUF);
	word(j, R9, INJECT_FILLED);
	emit_jump_if(e, BPF_JNE, R1, R9, unexpected);
	word(j, R2, INJECT_CAPACITY);
	emit_jump_if(e, BPF_JGT, R9, R2, unexpected);
	emit_jump_if_imm(e, BPF_JLT, R9, 2, unexpected);
}

/* Another observer of the program may write as we do, at the same moment. */
static void check_present(struct injection *j)
{
	struct emit *e = j->g->e;
	int none = emit_label_new(e);
	int64_t begin;

	memcpy(&begin, inject_layout(j->insn->imm).name, sizeof(begin));
	emit_jump_if_imm(e, BPF_JLT, R9, j->bytes, none);
	word(j, R3, INJECT_BUFFER);
	emit_alu(e, BPF_ADD, R3, R9);
	emit_alu_imm(e, BPF_SUB, R3, j->bytes);
	gen_read_stack(j->g, STACK_BUF, 8, j->unreadable);
	emit_load(e, 8, R1, FP, STACK_BUF);
	emit_imm(e, R2, begin);
	emit_jump_if(e, BPF_JEQ, R1, R2, outcome(j, INJECT_PRESENT));
	emit_label(e, none);
}

/* dst = the frame's head. Clobbers R0. */
static void frame_at(struct injection *j, uint8_t dst)
{
	struct emit *e = j->g->e;

	word(j, dst, INJECT_BUFFER);
	emit_alu(e, BPF_ADD, dst, R9);
	word(j, R0, INJECT_BLOCK);
	emit_alu(e, BPF_SUB, dst, R0);
	emit_alu_imm(e, BPF_SUB, dst, INJECT_FRAME_HEAD);
}

/* R2 = bits of R1, of which the lowest has this number. */
static void bits(struct injection *j, int from, int32_t mask)
{
	emit_alu(j->g->e, BPF_MOV, R2, R1);
	emit_alu_imm(j->g->e, BPF_RSH, R2, from);
	emit_alu_imm(j->g->e, BPF_AND, R2, mask);
}

static void check_frame(struct injection *j)
{
	struct emit *e = j->g->e;
	int unexpected = outcome(j, INJECT_UNEXPECTED);

	word(j, R2, INJECT_BLOCK);
	emit_jump_if(e, BPF_JGT, R2, R9, unexpected);
	emit_alu(e, BPF_MOV, R1, R9);
	emit_alu(e, BPF_SUB, R1, R2);
	emit_jump_if_imm(e, BPF_JLT, R1, INJECT_FRAME_HEAD, unexpected);
	frame_at(j, R3);
	gen_read_stack(j->g, STACK_BUF, INJECT_FRAME_HEAD, j->unreadable);
	emit_load(e, 8, R1, FP, STACK_BUF);
	emit_swap(e, R1); /* 24 bits of length, type, flags, 24 bits of the stream */
	bits(j, 40, 0xffffff);
	word(j, R3, INJECT_BLOCK);
	emit_jump_if(e, BPF_JNE, R2, R3, unexpected);
	bits(j, 32, 0xff);
	emit_jump_if_imm(e, BPF_JNE, R2, FRAME_HEADERS, unexpected);
	bits(j, 24, END_HEADERS | PADDED_OR_PRIORITY);
	emit_jump_if_imm(e, BPF_JNE, R2, END_HEADERS, unexpected);
	bits(j, 0, 0xffffff);
	emit_alu_imm(e, BPF_LSH, R2, 8);
	emit_load(e, 1, R3, FP, STACK_BUF + 8);
	emit_alu(e, BPF_OR, R2, R3);
	word(j, R3, INJECT_STREAM);
	emit_jump_if(e, BPF_JNE, R2, R3, unexpected);
}

static void check_line(struct injection *j)
{
	struct emit *e = j->g->e;

	word(j, R3, INJECT_BUFFER);
	emit_alu(e, BPF_ADD, R3, R9);
	emit_alu_imm(e, BPF_SUB, R3, 2);
	gen_read_stack(j->g, STACK_BUF, 2, j->unreadable);
	emit_load(e, 2, R1, FP, STACK_BUF);
	emit_jump_if_imm(e, BPF_JNE, R1, CRLF, outcome(j, INJECT_UNEXPECTED));
}

static void check_room(struct injection *j)
{
	struct emit *e = j->g->e;

	if (j->insn->imm != INJECT_LINE) {
		word(j, R1, j->insn->imm == INJECT_FIELD ? INJECT_FILLED : INJECT_BLOCK);
		emit_jump_if_imm(e, BPF_JGT, R1, INJECT_BLOCK_MAX - INJECT_FIELD_BYTES,
				 outcome(j, INJECT_TOO_LARGE));
	}
	word(j, R1, INJECT_CAPACITY);
	emit_alu(e, BPF_SUB, R1, R9);
	emit_jump_if_imm(e, BPF_JLT, R1, j->bytes, outcome(j, INJECT_NO_ROOM));
}

/* ---- the text ---- */

static void alu_wide(struct injection *j, uint8_t alu, uint8_t dst, uint64_t imm)
{
	emit_imm(j->g->e, R3, (int64_t)imm);
	emit_alu(j->g->e, alu, dst, R3);
}

/* R0 = the low 4 bytes of R0 as 8 hexadecimal digits, the lowest byte's first. Clobbers R1 to R3. */
static void to_hex(struct injection *j)
{
	struct emit *e = j->g->e;

	alu_wide(j, BPF_AND, R0, UINT32_MAX);
	for (int n = 16; n > 4; n /= 2) { /* each byte gets two */
		emit_alu(e, BPF_MOV, R1, R0);
		emit_alu_imm(e, BPF_LSH, R1, n);
		emit_alu(e, BPF_OR, R0, R1);
		alu_wide(j, BPF_AND, R0, n == 16 ? UINT64_C(0x0000ffff0000ffff) : UINT64_C(0x00ff00ff00ff00ff));
	}
	emit_alu(e, BPF_MOV, R2, R0);
	emit_alu_imm(e, BPF_RSH, R0, 4);
	alu_wide(j, BPF_AND, R0, UINT64_C(0x000f000f000f000f));
	emit_alu(e, BPF_AND, R2, R3);
	emit_alu_imm(e, BPF_LSH, R2, 8);
	emit_alu(e, BPF_OR, R0, R2);
	emit_alu(e, BPF_MOV, R1, R0); /* what is 10 or more, in bit 4 of each byte */
	alu_wide(j, BPF_ADD, R1, UINT64_C(0x0606060606060606));
	emit_alu_imm(e, BPF_RSH, R1, 4);
	alu_wide(j, BPF_AND, R1, UINT64_C(0x0101010101010101));
	emit_alu_imm(e, BPF_MUL, R1, 'a' - '0' - 10);
	alu_wide(j, BPF_ADD, R0, UINT64_C(0x3030303030303030));
	emit_alu(e, BPF_ADD, R0, R1);
}

static void put_constant(struct injection *j, size_t at, const char *text, size_t n)
{
	for (size_t k = 0; k < n; k++)
		emit_store_imm(j->g->e, 1, REG_RECORD, SCRATCH_WORK_OFF + (int)(at + k), text[k]);
}

static void make_text(struct injection *j)
{
	const struct inject_layout l = inject_layout(j->insn->imm);
	struct emit *e = j->g->e;

	put_constant(j, 0, l.name, l.ids);
	put_constant(j, l.ids + 32, "-", 1);
	put_constant(j, l.flags - 1, "-", 1);
	if (l.is_line)
		put_constant(j, l.flags + 2, "\r\n", 2);
	for (unsigned k = 0; k < 6; k++) {
		word(j, R0, (enum inject_word)(INJECT_TRACE + k / 2));
		if (k % 2)
			emit_alu_imm(e, BPF_RSH, R0, 32);
		to_hex(j);
		emit_store(e, 8, REG_RECORD, SCRATCH_WORK_OFF + (int)(l.ids + 8 * k + k / 4), R0);
	}
	word(j, R0, INJECT_FLAGS);
	emit_alu_imm(e, BPF_AND, R0, 0xff);
	to_hex(j);
	emit_store(e, 2, REG_RECORD, SCRATCH_WORK_OFF + (int)l.flags, R0);
}

/* ---- the tracestate ---- */

/* R1 = the bytes in front of a tracestate of R2 bytes. Clobbers R3. */
static void make_state_head(struct injection *j)
{
	const struct inject_state_layout l = inject_state_layout(j->insn->imm);
	const int at = STATE_HEAD + (int)l.len;
	struct emit *e = j->g->e;
	int small = emit_label_new(e), one = emit_label_new(e), end = emit_label_new(e);

	put_constant(j, STATE_HEAD, l.name, l.len);
	emit_alu_imm(e, BPF_MOV, R1, (int32_t)l.len);
	if (j->insn->imm == INJECT_LINE)
		return;
	emit_jump_if_imm(e, BPF_JLT, R2, HPACK_SMALL, small);
	emit_store_imm(e, 1, REG_RECORD, WORK(at), HPACK_SMALL);
	emit_alu(e, BPF_MOV, R3, R2);
	emit_alu_imm(e, BPF_SUB, R3, HPACK_SMALL);
	emit_jump_if_imm(e, BPF_JLT, R3, HPACK_MORE, one);
	emit_alu_imm(e, BPF_OR, R3, HPACK_MORE);
	emit_store(e, 1, REG_RECORD, WORK(at + 1), R3);
	emit_alu(e, BPF_MOV, R3, R2);
	emit_alu_imm(e, BPF_SUB, R3, HPACK_SMALL);
	emit_alu_imm(e, BPF_RSH, R3, 7);
	emit_store(e, 1, REG_RECORD, WORK(at + 2), R3);
	emit_alu_imm(e, BPF_MOV, R1, (int32_t)l.len + 3);
	emit_jump(e, end);
	emit_label(e, one);
	emit_store(e, 1, REG_RECORD, WORK(at + 1), R3);
	emit_alu_imm(e, BPF_MOV, R1, (int32_t)l.len + 2);
	emit_jump(e, end);
	emit_label(e, small);
	emit_store(e, 1, REG_RECORD, WORK(at), R2);
	emit_alu_imm(e, BPF_MOV, R1, (int32_t)l.len + 1);
	emit_label(e, end);
}

/* To no unless a tracestate of R1 bytes in all fits as well. */
static void check_state_room(struct injection *j, int no)
{
	struct emit *e = j->g->e;

	word(j, R2, INJECT_CAPACITY);
	emit_alu(e, BPF_SUB, R2, R9);
	emit_alu_imm(e, BPF_SUB, R2, j->bytes);
	emit_jump_if(e, BPF_JLT, R2, R1, no);
	if (j->insn->imm == INJECT_LINE)
		return;
	word(j, R2, j->insn->imm == INJECT_FIELD ? INJECT_FILLED : INJECT_BLOCK);
	emit_alu(e, BPF_ADD, R2, R1);
	emit_jump_if_imm(e, BPF_JGT, R2, INJECT_BLOCK_MAX - INJECT_FIELD_BYTES, no);
}

/* What comes of the tracestate, and how many bytes go out with it, in the work area. R9 becomes what it was. */
static void measure_state(struct injection *j)
{
	struct emit *e = j->g->e;
	int to[INJECT_STATES];

	for (unsigned s = 0; s < INJECT_STATES; s++)
		to[s] = emit_label_new(e);
	emit_store_imm(e, 8, REG_RECORD, WORK(STATE_ALL), 0);
	word(j, R1, INJECT_STATE);
	emit_jump_if_imm(e, BPF_JEQ, R1, INJECT_STATE_UNWANTED, to[INJECT_STATE_NONE]);
	gen_find_state(j->g, to[INJECT_STATE_NONE]);
	if (capture_has_marks(j->g->p)) {
		word(j, R1, INJECT_STATE);
		emit_jump_if_imm(e, BPF_JEQ, R1, INJECT_STATE_THERE, to[INJECT_STATE_PRESENT]);
		emit_load(e, 8, R2, R9, STATE(len));
		emit_jump_if_imm(e, BPF_JGT, R2, MARK_STATE_MAX, to[INJECT_STATE_TOO_LONG]);
		word(j, R9, INJECT_FILLED);
		make_state_head(j);
		emit_store(e, 8, REG_RECORD, WORK(STATE_HEAD_BYTES), R1);
		emit_alu(e, BPF_ADD, R1, R2);
		if (j->insn->imm == INJECT_LINE)
			emit_alu_imm(e, BPF_ADD, R1, 2);
		check_state_room(j, to[INJECT_STATE_NO_ROOM]);
		emit_store(e, 8, REG_RECORD, WORK(STATE_ALL), R1);
		emit_alu_imm(e, BPF_MOV, R1, INJECT_STATE_WRITTEN);
		emit_jump(e, to[INJECT_STATE_WRITTEN]);
	}
	for (unsigned s = 0; s < INJECT_STATES; s++) {
		if (s == INJECT_STATE_WRITTEN || (s && !capture_has_marks(j->g->p)))
			continue;
		emit_label(e, to[s]);
		emit_alu_imm(e, BPF_MOV, R1, (int32_t)s);
		emit_jump(e, to[INJECT_STATE_WRITTEN]);
	}
	emit_label(e, to[INJECT_STATE_WRITTEN]);
	emit_store(e, 8, REG_RECORD, WORK(STATE_OUTCOME), R1);
	word(j, R9, INJECT_FILLED);
	emit_checkpoint(e);
}

/* ---- writing ---- */

/* n bytes at base + off, to the user address in R1; to fault when that cannot be. */
static void write_user(struct injection *j, uint8_t base, int off, int32_t n, int fault)
{
	struct emit *e = j->g->e;

	emit_alu(e, BPF_MOV, R2, base);
	emit_alu_imm(e, BPF_ADD, R2, off);
	emit_alu_imm(e, BPF_MOV, R3, n);
	emit_call(e, BPF_FUNC_probe_write_user);
	emit_jump_if_imm(e, BPF_JNE, R0, 0, fault);
}

/* R1 = the end of what is filled. */
static void filled_end(struct injection *j)
{
	word(j, R1, INJECT_BUFFER);
	emit_alu(j->g->e, BPF_ADD, R1, R9);
}

/* As many bytes at base + off as R3 says, which is between 1 and max, to the user address in R1; otherwise to gone. */
static void write_some(struct injection *j, uint8_t base, int off, int32_t max, int gone)
{
	struct emit *e = j->g->e;

	emit_alu(e, BPF_MOV, R2, base);
	emit_alu_imm(e, BPF_ADD, R2, off);
	emit_jump_if_imm(e, BPF_JLT, R3, 1, gone); /* as Linux 6.1 sees a bound */
	emit_jump_if_imm(e, BPF_JGT, R3, max, gone);
	emit_call(e, BPF_FUNC_probe_write_user);
	emit_jump_if_imm(e, BPF_JNE, R0, 0, j->unreadable);
}

/* What was written counts only if it was not another's meanwhile. */
static void write_state(struct injection *j)
{
	struct emit *e = j->g->e;
	int gone = emit_label_new(e), end = emit_label_new(e);

	if (!capture_has_marks(j->g->p))
		return;
	emit_load(e, 8, R1, REG_RECORD, WORK(STATE_ALL));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, end);
	gen_found_state(j->g, R8, gone);
	filled_end(j);
	emit_load(e, 8, R3, REG_RECORD, WORK(STATE_HEAD_BYTES));
	write_some(j, REG_RECORD, WORK(STATE_HEAD), STATE_HEAD_BYTES - STATE_HEAD, gone);
	filled_end(j);
	emit_load(e, 8, R2, REG_RECORD, WORK(STATE_HEAD_BYTES));
	emit_alu(e, BPF_ADD, R1, R2);
	emit_load(e, 8, R3, R8, STATE(len));
	write_some(j, R8, STATE(text), MARK_STATE_MAX, gone);
	if (j->insn->imm == INJECT_LINE) {
		emit_store_imm(e, 2, REG_RECORD, WORK(STATE_END), CRLF);
		filled_end(j);
		emit_load(e, 8, R2, REG_RECORD, WORK(STATE_ALL));
		emit_alu(e, BPF_ADD, R1, R2);
		emit_alu_imm(e, BPF_SUB, R1, 2);
		write_user(j, REG_RECORD, WORK(STATE_END), 2, j->unreadable);
	}
	gen_found_state(j->g, R8, gone);
	emit_jump(e, end);
	emit_label(e, gone);
	emit_store_imm(e, 8, REG_RECORD, WORK(STATE_ALL), 0);
	emit_store_imm(e, 8, REG_RECORD, WORK(STATE_OUTCOME), INJECT_STATE_NONE);
	emit_label(e, end);
	emit_checkpoint(e);
}

/* What the frame's length was. */
static void write_old_frame(struct injection *j, int fault)
{
	frame_at(j, R1);
	write_user(j, FP, STACK_BUF, 3, fault);
}

static void try_writing(struct injection *j)
{
	word(j, R1, INJECT_LENGTH_AT);
	write_user(j, FP, gen_reg_off(j->g, (uint16_t)(j->insn->a + INJECT_FILLED)), 8, j->unreadable);
	if (j->insn->imm == INJECT_FRAME)
		write_old_frame(j, j->unreadable);
}

static void write_new_frame(struct injection *j, int undo)
{
	struct emit *e = j->g->e;

	word(j, R1, INJECT_BLOCK);
	emit_alu_imm(e, BPF_ADD, R1, INJECT_FIELD_BYTES);
	emit_load(e, 8, R2, REG_RECORD, WORK(STATE_ALL));
	emit_alu(e, BPF_ADD, R1, R2);
	emit_alu_imm(e, BPF_LSH, R1, 40);
	emit_swap(e, R1); /* its 24 bits, the highest first */
	emit_store(e, 8, REG_RECORD, SCRATCH_WORK_OFF + FRAME_LENGTH, R1);
	frame_at(j, R1);
	write_user(j, REG_RECORD, SCRATCH_WORK_OFF + FRAME_LENGTH, 3, undo);
}

static void write_bytes(struct injection *j)
{
	struct emit *e = j->g->e;
	bool is_frame = j->insn->imm == INJECT_FRAME;
	int undo = emit_label_new(e), written = emit_label_new(e);

	write_state(j);
	filled_end(j);
	emit_load(e, 8, R2, REG_RECORD, WORK(STATE_ALL));
	emit_alu(e, BPF_ADD, R1, R2);
	write_user(j, REG_RECORD, SCRATCH_WORK_OFF, j->bytes, j->unreadable);
	if (is_frame)
		write_new_frame(j, undo);
	emit_alu_imm(e, BPF_ADD, R9, j->bytes);
	emit_load(e, 8, R2, REG_RECORD, WORK(STATE_ALL));
	emit_alu(e, BPF_ADD, R9, R2);
	emit_store(e, 8, REG_RECORD, SCRATCH_WORK_OFF + LENGTH, R9);
	word(j, R1, INJECT_LENGTH_AT);
	write_user(j, REG_RECORD, SCRATCH_WORK_OFF + LENGTH, 8, is_frame ? undo : j->unreadable);
	emit_jump(e, written);
	if (is_frame) {
		emit_label(e, undo);
		word(j, R9, INJECT_FILLED);
		write_old_frame(j, j->unreadable);
		emit_jump(e, j->unreadable);
	}
	emit_label(e, written);
	emit_load(e, 8, R0, REG_RECORD, WORK(STATE_OUTCOME));
	emit_alu_imm(e, BPF_LSH, R0, INJECT_STATE_SHIFT);
}
_Static_assert(INJECT_WRITTEN == 0, "the outcome of the tracestate is all that is said");

int gen_inject(struct gen *g, const struct ir_insn *i)
{
	struct injection j = {.g = g, .insn = i, .unreadable = gen_fail(g, SLOT_UNREADABLE),
			      .bytes = i->imm == INJECT_LINE ? INJECT_LINE_BYTES : INJECT_FIELD_BYTES};
	int done = emit_label_new(g->e);

	for (unsigned o = 0; o < INJECT_OUTCOMES; o++)
		j.to[o] = -1;
	check_ids(&j);
	check_length(&j);
	check_present(&j);
	if (i->imm == INJECT_FRAME)
		check_frame(&j);
	else if (i->imm == INJECT_LINE)
		check_line(&j);
	check_room(&j);
	measure_state(&j);
	make_text(&j);
	try_writing(&j);
	write_bytes(&j);
	for (unsigned o = 0; o < INJECT_OUTCOMES; o++) {
		if (j.to[o] < 0)
			continue;
		emit_jump(g->e, done);
		emit_label(g->e, j.to[o]);
		emit_alu_imm(g->e, BPF_MOV, R0, (int32_t)o);
	}
	emit_label(g->e, done);
	gen_put(g, i->dst, R0);
	return 1;
}
