/*
 * IR_LEND: a call gets a copy of what it was given, with a trace context in it, in memory that is not Go's.
 *
 * A pointer there is legal where Go has its own: the collector passes over what it does not know. It is given in the
 * registers or the stack of a call that has just begun, so no barrier has to be told of it. What was given stays as it
 * is. Of what a copy points to the collector sees nothing there; so it is bytes, or what the original keeps as long as
 * the call can want it.
 *
 * A loan is the call's own (by goroutine, depth and function) until it returns, however long that takes and whatever
 * thread it is on by then. Of a call that a panic has unwound the loan is free again when its goroutine comes back to
 * that depth. Where none is free nothing is written.
 */
#include "plant/patch/injection.h"

#include <errno.h>
#include <string.h>

#include "plant/inject.h"
#include "probe/mark.h"

#define MIX_GOID UINT64_C(0x9e3779b97f4a7c15)
#define MIX_DEPTH UINT64_C(0xc2b2ae3d27d4eb4f)
#define MIX_CALL UINT64_C(0xd6e8feb86659fd93)

#define FIRST_LINE INJECT_MESSAGE_NAME "\r\n"
#define LOAN SLOT_AT(words, 0) /* address of its bytes */
#define COPIED SLOT_AT(words, 1) /* of what was there, or instead of it */
enum { FIRST_LINE_BYTES = sizeof(FIRST_LINE) - 1, LINE_END_BYTES = 2, MESSAGE_MIN = FIRST_LINE_BYTES + LINE_END_BYTES };
_Static_assert(SHARED_LOANS % SHARED_LOAN_WAYS == 0 && (SHARED_LOANS & (SHARED_LOANS - 1)) == 0, "sets are whole");

static uint64_t word_of(const char *eight)
{
	uint64_t word;

	memcpy(&word, eight, sizeof(word));
	return word;
}

static uint32_t half_word_of(const char *four)
{
	uint32_t word;

	memcpy(&word, four, sizeof(word));
	return word;
}

/* ---- loans ---- */

/* RDI = the key of this call, RDX = the owners of its set, RCX = 0. */
static void find_set(struct code *g, uint32_t call)
{
	struct x86 *x = &g->x;

	code_goid(g, RDI);
	x86_imm(x, RDX, MIX_GOID);
	x86_imul(x, RDI, RDX);
	code_depth(g, RCX);
	x86_imm(x, RDX, MIX_DEPTH);
	x86_imul(x, RCX, RDX);
	x86_alu(x, X_ADD, RDI, RCX);
	x86_imm(x, RDX, MIX_CALL * call);
	x86_alu(x, X_XOR, RDI, RDX);
	x86_alu_imm(x, X_OR, RDI, 1); /* never 0 */
	x86_mov(x, RDX, RDI);
	x86_shift(x, X_SHR, RDX, 26);
	x86_alu_imm(x, X_AND, RDX, SHARED_LOANS - SHARED_LOAN_WAYS);
	x86_shift(x, X_SHL, RDX, 3);
	x86_imm(x, RCX, g->env->loans + offsetof(struct shared_loans, owner));
	x86_alu(x, X_ADD, RDX, RCX);
	x86_imm(x, RCX, 0);
}

#define OWNER ((struct x86_mem){.base = RDX, .index = RCX, .scale = 8})

static void next_owner(struct x86 *x, int again)
{
	x86_alu_imm(x, X_ADD, RCX, 1);
	x86_alu_imm(x, X_CMP, RCX, SHARED_LOAN_WAYS);
	x86_jcc(x, CC_B, again);
}

/* slot.words[0] = the bytes of a loan that is this call's from here on. */
static void claim(struct injection *j)
{
	const uint64_t loans = j->g->env->loans;
	struct x86 *x = j->x;
	int again = x86_label_new(x), next = x86_label_new(x), ours = x86_label_new(x);

	x86_imm(x, RAX, loans);
	x86_alu_mem_imm(x, X_CMP, 8, MEM(RAX, offsetof(struct shared_loans, lending)), 0);
	injection_jump(j, CC_E, INJECT_NO_ROOM);
	find_set(j->g, j->insn->call);
	x86_label(x, again);
	x86_load(x, 8, false, RAX, OWNER);
	x86_alu(x, X_CMP, RAX, RDI);
	x86_jcc(x, CC_E, ours);
	x86_test(x, RAX, RAX);
	x86_jcc(x, CC_NE, next);
	x86_lock_cmpxchg(x, OWNER, RDI);
	x86_jcc(x, CC_E, ours);
	x86_label(x, next);
	next_owner(x, again);
	x86_test(x, RDX, RDX);
	injection_jump(j, CC_NE, INJECT_NO_ROOM); /* always */
	x86_label(x, ours);
	x86_lea(x, RDX, OWNER);
	x86_imm(x, RCX, loans + offsetof(struct shared_loans, owner));
	x86_alu(x, X_SUB, RDX, RCX);
	x86_imul_imm(x, RDX, RDX, IR_LOAN_BYTES / 8);
	x86_imm(x, RCX, loans + SHARED_LOANS_HEAD);
	x86_alu(x, X_ADD, RDX, RCX);
	x86_store(x, 8, LOAN, RDX);
}

void code_release(struct code *g, const struct ir_insn *i)
{
	struct x86 *x = &g->x;
	int again = x86_label_new(x), next = x86_label_new(x);

	code_know_goroutine(g);
	find_set(g, i->call);
	x86_label(x, again);
	x86_alu_load(x, X_CMP, RDI, OWNER);
	x86_jcc(x, CC_NE, next);
	x86_store_imm(x, 8, OWNER, 0);
	x86_label(x, next);
	next_owner(x, again);
	x86_jmp(x, code_drop(g, DROP_SILENT));
}

/* ---- what is there ---- */

/* A line of the program's own, from RSI on. Clobbers RAX, RCX, RDX, RDI. */
static void check_names(struct injection *j)
{
	struct x86 *x = j->x;
	int again = x86_label_new(x), none = x86_label_new(x);

	x86_lea(x, RDI, MEMX(RSI, RDX, -(int32_t)sizeof(INJECT_NAME ":"))); /* the last byte that can stand before */
	x86_lea(x, RCX, MEM(RSI, sizeof(INJECT_MESSAGE_NAME) - 1));
	x86_label(x, again);
	x86_alu(x, X_CMP, RCX, RDI);
	x86_jcc(x, CC_A, none);
	x86_alu_imm(x, X_ADD, RCX, 1);
	x86_alu_mem_imm(x, X_CMP, 1, MEM(RCX, -1), '\n');
	x86_jcc(x, CC_NE, again);
	x86_imm(x, RDX, UINT64_C(0x2020202020202020)); /* small letters */
	x86_load(x, 8, false, RAX, MEM(RCX, 0));
	x86_alu(x, X_OR, RAX, RDX);
	x86_imm(x, RDX, word_of(INJECT_NAME));
	x86_alu(x, X_CMP, RAX, RDX);
	x86_jcc(x, CC_NE, again);
	x86_load(x, 4, false, RAX, MEM(RCX, 8));
	x86_alu_imm(x, X_OR, RAX, 0x202020);
	x86_alu_imm(x, X_CMP, RAX, (int32_t)half_word_of(&(INJECT_NAME ":")[8]));
	injection_jump(j, CC_E, INJECT_PRESENT);
	x86_jmp(x, again);
	x86_label(x, none);
}

static void check_message(struct injection *j)
{
	const struct ir_insn *i = j->insn;
	struct x86 *x = j->x;
	int some = x86_label_new(x), checked = x86_label_new(x);

	x86_load(x, 8, false, RSI, WORD(INJECT_BUFFER));
	x86_load(x, 8, false, RDX, WORD(INJECT_FILLED));
	x86_test(x, RDX, RDX);
	x86_jcc(x, CC_NE, some);
	x86_test(x, RSI, RSI);
	injection_jump(j, CC_NE, INJECT_UNEXPECTED);
	x86_jmp(x, checked);
	x86_label(x, some);
	x86_alu_imm(x, X_CMP, RDX, MESSAGE_MIN);
	injection_jump(j, CC_B, INJECT_UNEXPECTED);
	x86_alu_imm(x, X_CMP, RDX, IR_LOAN_BYTES - INJECT_LINE_BYTES);
	injection_jump(j, CC_A, INJECT_TOO_LARGE);
	x86_imm(x, RAX, word_of(INJECT_MESSAGE_NAME));
	x86_alu_load(x, X_CMP, RAX, MEM(RSI, 0));
	injection_jump(j, CC_NE, INJECT_UNEXPECTED);
	x86_load(x, 4, false, RAX, MEMX(RSI, RDX, -4));
	x86_alu_imm(x, X_CMP, RAX, (int32_t)half_word_of("\r\n\r\n"));
	injection_jump(j, CC_NE, INJECT_UNEXPECTED);
	check_names(j);
	x86_label(x, checked);
}

/* ---- the copy ---- */

/* What was there, without the empty line at its end; or a first line. */
static void copy_lines(struct injection *j)
{
	const struct ir_insn *i = j->insn;
	struct x86 *x = j->x;
	int none = x86_label_new(x), end = x86_label_new(x);

	x86_load(x, 8, false, RDI, LOAN);
	x86_load(x, 8, false, RSI, WORD(INJECT_BUFFER));
	x86_load(x, 8, false, RDX, WORD(INJECT_FILLED));
	x86_test(x, RDX, RDX);
	x86_jcc(x, CC_E, none);
	x86_alu_imm(x, X_SUB, RDX, LINE_END_BYTES);
	x86_store(x, 8, COPIED, RDX);
	code_copy(j->g, IR_LOAN_BYTES);
	x86_jmp(x, end);
	x86_label(x, none);
	x86_imm(x, RAX, word_of(FIRST_LINE));
	x86_store(x, 8, MEM(RDI, 0), RAX);
	x86_imm(x, RAX, CRLF);
	x86_store(x, 2, MEM(RDI, 8), RAX);
	x86_store_imm(x, 8, COPIED, FIRST_LINE_BYTES);
	x86_label(x, end);
}

/* Our line, and the empty one. RDX = how much that is altogether. */
static void add_line(struct injection *j)
{
	struct x86 *x = j->x;

	injection_text(j, INJECT_LINE);
	x86_lea(x, RSI, SLOT(work));
	x86_load(x, 8, false, RDI, LOAN);
	x86_alu_load(x, X_ADD, RDI, COPIED);
	x86_imm(x, RDX, INJECT_LINE_BYTES);
	code_copy(j->g, INJECT_LINE_BYTES);
	x86_load(x, 8, false, RDI, LOAN);
	x86_load(x, 8, false, RDX, COPIED);
	x86_imm(x, RAX, CRLF);
	x86_store(x, 2, MEMX(RDI, RDX, INJECT_LINE_BYTES), RAX);
	x86_alu_imm(x, X_ADD, RDX, INJECT_LINE_BYTES + LINE_END_BYTES);
}

/* ---- records ---- */

enum { RECORD_VALUE = IR_LOAN_BYTES - 64, RECORD_NAME = RECORD_VALUE - 16 }; /* in the loan: the texts of our header */
_Static_assert(RECORD_VALUE + MARK_TRACEPARENT <= IR_LOAN_BYTES && sizeof(INJECT_NAME) <= 16, "they fit");

/* The struct, at the loan's begin. */
static void copy_record(struct injection *j)
{
	const struct ir_insn *i = j->insn;
	struct x86 *x = j->x;

	x86_load(x, 8, false, RDI, LOAN);
	x86_load(x, 8, false, RSI, WORD(INJECT_BUFFER));
	x86_imm(x, RDX, i->given->bytes);
	code_copy(j->g, i->given->bytes);
}

/* Its list, behind that, as the copy has it. RDI = behind its last element; slot.words[1] = how many there are. */
static void copy_list(struct injection *j)
{
	const struct ir_given *v = j->insn->given;
	struct x86 *x = j->x;
	int none = x86_label_new(x);

	x86_load(x, 8, false, RDI, LOAN);
	x86_load(x, 8, false, RSI, MEM(RDI, v->list));
	x86_load(x, 8, false, RDX, MEM(RDI, v->list + 8));
	x86_alu_imm(x, X_CMP, RDX, (int32_t)((RECORD_NAME - v->bytes) / INJECT_HEADER_BYTES - 1));
	injection_jump(j, CC_A, INJECT_TOO_LARGE);
	x86_store(x, 8, COPIED, RDX);
	x86_imul_imm(x, RDX, RDX, INJECT_HEADER_BYTES);
	x86_alu_imm(x, X_ADD, RDI, (int32_t)v->bytes);
	x86_test(x, RDX, RDX);
	x86_jcc(x, CC_E, none);
	code_copy(j->g, IR_LOAN_BYTES);
	x86_label(x, none);
	x86_load(x, 8, false, RDI, COPIED);
	x86_imul_imm(x, RDI, RDI, INJECT_HEADER_BYTES);
	x86_alu_load(x, X_ADD, RDI, LOAN);
	x86_alu_imm(x, X_ADD, RDI, (int32_t)v->bytes);
}

/* Our header at RDI, and the list, which is the copy's from here on. */
static void add_header(struct injection *j)
{
	const struct ir_given *v = j->insn->given;
	struct x86 *x = j->x;

	x86_load(x, 8, false, RSI, LOAN);
	x86_lea(x, RAX, MEM(RSI, RECORD_NAME));
	x86_store(x, 8, MEM(RDI, 0), RAX);
	x86_store_imm(x, 8, MEM(RDI, 8), sizeof(INJECT_NAME) - 1);
	x86_lea(x, RAX, MEM(RSI, RECORD_VALUE));
	x86_store(x, 8, MEM(RDI, 16), RAX);
	x86_store_imm(x, 8, MEM(RDI, 24), MARK_TRACEPARENT);
	x86_store_imm(x, 8, MEM(RDI, 32), MARK_TRACEPARENT);
	x86_lea(x, RAX, MEM(RSI, v->bytes));
	x86_store(x, 8, MEM(RSI, v->list), RAX);
	x86_load(x, 8, false, RAX, COPIED);
	x86_alu_imm(x, X_ADD, RAX, 1);
	x86_store(x, 8, MEM(RSI, v->list + 8), RAX);
	x86_store(x, 8, MEM(RSI, v->list + 16), RAX);
	x86_imm(x, RAX, word_of(INJECT_NAME));
	x86_store(x, 8, MEM(RSI, RECORD_NAME), RAX);
	x86_imm(x, RAX, half_word_of(&INJECT_NAME[8])); /* and a zero */
	x86_store(x, 4, MEM(RSI, RECORD_NAME + 8), RAX);
}

static void write_record(struct injection *j)
{
	const struct ir_insn *i = j->insn;
	struct x86 *x = j->x;

	x86_alu_mem_imm(x, X_CMP, 8, WORD(INJECT_BUFFER), 0);
	injection_jump(j, CC_E, INJECT_UNEXPECTED);
	claim(j);
	copy_record(j);
	copy_list(j);
	add_header(j);
	injection_text(j, INJECT_LINE);
	x86_lea(x, RSI, SLOT(work[inject_layout(INJECT_LINE).ids - 3]));
	x86_load(x, 8, false, RDI, LOAN);
	x86_alu_imm(x, X_ADD, RDI, RECORD_VALUE);
	x86_imm(x, RDX, MARK_TRACEPARENT);
	code_copy(j->g, MARK_TRACEPARENT);
}

/* ---- both ---- */

static void write_message(struct injection *j)
{
	check_message(j);
	claim(j);
	copy_lines(j);
	add_line(j);
}

/* The loan's address; of a slice also length and capacity, in RDX: nothing behind that could be appended to. */
static int give(struct injection *j)
{
	const struct ir_given *v = j->insn->given;

	for (size_t k = 0; k < v->nwords; k++) {
		if (k)
			x86_mov(j->x, RAX, RDX);
		else
			x86_load(j->x, 8, false, RAX, LOAN);
		if (v->word[k].on_stack)
			x86_store(j->x, 8, MEM(RSP, v->word[k].stack + j->g->env->sp_delta), RAX);
		else if (!code_set_argument(j->g, v->word[k].reg))
			return err_set(j->g->err, -EOPNOTSUPP, "the call is not given this in a register of arguments");
	}
	return 0;
}

int code_lend(struct code *g, const struct ir_insn *i)
{
	struct injection j;
	int r;

	injection_begin(&j, g, i);
	injection_check_ids(&j);
	if (i->imm == INJECT_RECORD)
		write_record(&j);
	else
		write_message(&j);
	r = give(&j);
	x86_imm(j.x, RAX, INJECT_WRITTEN);
	injection_end(&j);
	return r;
}
