/* Marks begin and end (marks.c): ids, the decision, the header that came in, what a record has of it. */
#include "plant/uprobe/marks.h"

#include "event/loss.h"

/* ---- what came in ---- */

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
	static const int at[] = {HEADER_TRACE_ID - 1, HEADER_SPAN_ID - 1, HEADER_FLAGS - 1, HEADER_END};

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

	emit_load(e, 2, R1, REG_RECORD, TEXT(HEADER_VERSION));
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

void marks_header(struct gen *g, const struct ir_insn *i, int end)
{
	struct emit *e = g->e;

	marks_unless(g, HAS | SEALED, end);
	gen_get(g, R1, i->b);
	emit_jump_if_imm(e, BPF_JLT, R1, HEADER_END, end);
	read_header(g, i, end);
	check_dashes(g, end);
	emit_alu_imm(e, BPF_MOV, R9, 0);
	for (int k = 0; k < 2; k++)
		decode_id(g, k, HEADER_TRACE_ID + 16 * k);
	decode_id(g, 2, HEADER_SPAN_ID);
	decode_rest(g, i, end);
	emit_jump_if_imm(e, BPF_JNE, R9, 0, end);
	state_load(g, R1, RUN(ids));
	state_load(g, R2, RUN(ids) + 8);
	emit_alu(e, BPF_OR, R1, R2);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, end);
	state_load(g, R1, RUN(ids) + 16);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, end);
	marks_add(g, HAS | BY_HEADER);
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

	marks_unless(g, HAS, has);
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
		marks_only_in(g, BY_HEADER, done);
		decide(g, i);
	}
	emit_label(e, done);
	emit_checkpoint(e);
}

/* The entry at R9, of key R8, is the run's mark. */
static void write_mark(struct gen *g, const struct ir_insn *i)
{
	const uint16_t words[] = {i->a, i->b, i->c};
	struct emit *e = g->e;

	marks_note_place(g);
	state_load(g, R1, RUN(state));
	emit_alu_imm(e, BPF_AND, R1, BY_HEADER);
	emit_alu_imm(e, BPF_LSH, R1, 1);
	emit_alu_imm(e, BPF_OR, R1, HAS);
	state_store(g, RUN(state), R1);
	state_load(g, R1, RUN(root.key));
	emit_store(e, 8, R9, ENTRY(state.key), R1);
	state_load(g, R1, RUN(root.at));
	emit_store(e, 8, R9, ENTRY(state.at), R1);
	marks_link_to_own(g, ENTRY(self));
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
	marks_release(g);
}

_Static_assert(CAME_IN == 2 * BY_HEADER, "one becomes the other");

void marks_start(struct gen *g, const struct ir_insn *i, int end)
{
	struct emit *e = g->e;
	int write = emit_label_new(e), full = emit_label_new(e);

	marks_state_of_parent(g);
	decide_trace(g, i);
	random_word(g);
	state_store(g, RUN(ids) + 16, R8);
	marks_make_key(g);
	marks_claim(g, write, full);
	emit_label(e, write);
	emit_checkpoint(e);
	write_mark(g, i);
	emit_jump(e, end);
	emit_label(e, full);
	gen_count_loss(g, LOSS_MARKS_FULL);
	state_store_imm(g, RUN(state), SEALED);
}

/* ---- its end, and what it decides ---- */

void marks_end_own(struct gen *g, const struct ir_insn *i, int end)
{
	marks_needs_own(g, end);
	if (i->flags & IR_MARK_UNLESS_KEYED)
		marks_unless(g, KEYED, end);
	state_load(g, R1, RUN(at));
	state_store(g, RUN(place), R1);
	marks_entry_at(g, R9, end);
	state_load(g, R0, RUN(key));
	marks_end(g, R9);
}

void marks_admit(struct gen *g, const struct ir_insn *i, int end)
{
	marks_only_in(g, HAS, end);
	state_load(g, R1, RUN(flags));
	emit_alu_imm(g->e, BPF_AND, R1, MARK_SAMPLED | MARK_UNDECIDED);
	emit_jump_if_imm(g->e, BPF_JEQ, R1, 0,
			 gen_drop(g, i->flags & IR_MARK_COUNT ? LOSS_LEFT_OUT : (unsigned)DROP_SILENT));
}

/* R0 = how long the tracestate of the run's mark is; 0: it has none. */
static void state_length(struct gen *g)
{
	struct emit *e = g->e;
	int none = emit_label_new(e), end = emit_label_new(e);

	gen_find_state(g, none);
	emit_load(e, 8, R0, R9, (int)offsetof(struct mark_state, len));
	emit_jump(e, end);
	emit_label(e, none);
	emit_alu_imm(e, BPF_MOV, R0, 0);
	emit_label(e, end);
}

int gen_mark_word(struct gen *g, const struct ir_insn *i)
{
	marks_only_in(g, HAS, gen_fail(g, SLOT_ABSENT));
	if (i->imm == MARK_STATE)
		state_length(g);
	else
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

	marks_only_in(g, HAS, gen_fail(g, SLOT_ABSENT));
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
