/*
 * Chains of contexts (binary/context_types.h): a bounded loop, a link a round. What it remembers lies in the scratch
 * element, which the verifier does not track, but for the number of links: by that it sees that the loop ends. Between
 * two links of one type, which most are, nothing but the parent's two words is read: the type's row is at hand.
 */
#include "plant/uprobe/gen.h"

#include <errno.h>

#define ROW(field) ((int)offsetof(struct chain_type, field))
#define STATE(field)                                                                               \
	((int)(offsetof(struct scratch, chain) + offsetof(struct chain_state, field)) -            \
	 (int)offsetof(struct scratch, record))

/* Where the walk ends, by how. */
struct ways_out {
	int by[CHAIN_END_COUNT], end;
};

/* Word R2 at place R9 behind the record's end; R9 counts on. */
static void put_word(struct gen *g, int full)
{
	struct emit *e = g->e;

	state_load(g, R1, STATE(size));
	emit_jump_if_imm(e, BPF_JGT, R1, EVENT_MAX_SIZE, full); /* for the verifier: it was checked */
	emit_alu(e, BPF_ADD, R1, REG_RECORD);
	emit_alu(e, BPF_MOV, R3, R9);
	emit_alu_imm(e, BPF_LSH, R3, 3);
	emit_alu(e, BPF_ADD, R1, R3);
	emit_store(e, 8, R1, 0, R2);
	emit_alu_imm(e, BPF_ADD, R9, 1);
}

/*
 * To found where the row at hand is that of the type in R1: it was the last one that a run with this scratch element
 * looked up, for the same process in the same table.
 */
static void unless_last(struct gen *g, int found)
{
	struct emit *e = g->e;
	int other = emit_label_new(e);

	state_load(g, R2, STATE(row_type));
	emit_jump_if(e, BPF_JNE, R1, R2, other);
	state_load(g, R1, STATE(row_cookie));
	state_load(g, R2, SCRATCH_COOKIE_OFF);
	emit_jump_if(e, BPF_JNE, R1, R2, other);
	state_load(g, R1, STATE(row_table));
	emit_jump_if_imm(e, BPF_JEQ, R1, g->env->contexts, found);
	emit_label(e, other);
}

/* The row of the type whose run-time address is chain.type. */
static void find_row(struct gen *g, const struct ways_out *out)
{
	struct emit *e = g->e;
	int found = emit_label_new(e);

	state_load(g, R1, STATE(data));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, out->by[CHAIN_ROOT]);
	state_load(g, R1, STATE(type));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, out->by[CHAIN_ROOT]);
	state_load(g, R2, STATE(bias));
	emit_alu(e, BPF_SUB, R1, R2);
	state_store(g, STATE(type), R1);
	if (g->knows_cookie)
		unless_last(g, found);
	emit_map_fd(e, R1, g->env->contexts);
	emit_alu(e, BPF_MOV, R2, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R2, STATE(type));
	emit_call(e, BPF_FUNC_map_lookup_elem);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, out->by[CHAIN_UNKNOWN_TYPE]);
	emit_load(e, 8, R1, R0, ROW(flags));
	state_store(g, STATE(flags), R1);
	emit_load(e, 4, R1, R0, ROW(offset));
	state_store(g, STATE(offset), R1);
	emit_load(e, 4, R1, R0, ROW(via));
	state_store(g, STATE(via), R1);
	state_load(g, R1, STATE(type));
	if (g->knows_cookie)
		state_store(g, STATE(row_type), R1);
	else
		emit_store_imm(e, 8, REG_RECORD, STATE(row_type), 0);
	state_load(g, R1, SCRATCH_COOKIE_OFF);
	state_store(g, STATE(row_cookie), R1);
	emit_store_imm(e, 8, REG_RECORD, STATE(row_table), g->env->contexts);
	emit_label(e, found);
}

/* The link itself, if it is one: what is none has no parent either. R1 = the row's flags. */
static void put_link(struct gen *g, const struct ir_insn *i, const struct ways_out *out)
{
	struct emit *e = g->e;
	int link = emit_label_new(e);

	state_load(g, R2, STATE(data));
	emit_jump_if_imm(e, BPF_JEQ, R2, 0, out->by[CHAIN_ROOT]);
	state_load(g, R1, STATE(flags));
	emit_alu(e, BPF_MOV, R3, R1);
	emit_alu_imm(e, BPF_AND, R3, CHAIN_IS_LINK);
	emit_jump_if_imm(e, BPF_JNE, R3, 0, link);
	emit_alu_imm(e, BPF_AND, R1, CHAIN_IS_ROOT);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, out->by[CHAIN_UNKNOWN_TYPE]);
	emit_jump(e, out->by[CHAIN_ROOT]);
	emit_label(e, link);
	emit_alu(e, BPF_MOV, R3, R2);
	emit_alu_imm(e, BPF_AND, R3, CHAIN_BITS);
	emit_jump_if_imm(e, BPF_JNE, R3, 0, out->by[CHAIN_UNREADABLE]);
	emit_jump_if_imm(e, BPF_JGE, R9, (int32_t)i->imm, out->by[CHAIN_TOO_LONG]);
	emit_alu(e, BPF_MOV, R3, R1);
	emit_alu_imm(e, BPF_AND, R3, CHAIN_POOLED);
	state_load(g, R4, STATE(pooled));
	emit_alu(e, BPF_OR, R3, R4);
	state_store(g, STATE(pooled), R3);
	emit_alu(e, BPF_OR, R2, R3);
	put_word(g, out->by[CHAIN_UNREADABLE]);
	state_load(g, R1, STATE(flags));
}

_Static_assert(CHAIN_POOLED == 1, "a row has it at the same place");

/* ---- spans of an SDK ---- */

/* chain.span = the value in STACK_BUF, if its key says so and its type is that of a span. Keeps R9 and the buffer. */
static void note_span(struct gen *g)
{
	static const struct {
		int row, state;
	} fields[] = {{ROW(ids), STATE(ids)}, {ROW(remote), STATE(remote)}, {ROW(kind), STATE(kind)},
		      {ROW(tracer), STATE(tracer)}, {ROW(scope), STATE(scope)}};
	struct emit *e = g->e;
	int none = emit_label_new(e);

	state_load(g, R1, STATE(span));
	emit_jump_if_imm(e, BPF_JNE, R1, 0, none);
	state_load(g, R2, STATE(bias));
	emit_load(e, 8, R1, FP, STACK_BUF + 16);
	emit_alu(e, BPF_SUB, R1, R2);
	emit_imm(e, R3, (int64_t)g->p->contexts->span_key);
	emit_jump_if(e, BPF_JNE, R1, R3, none);
	emit_load(e, 8, R1, FP, STACK_BUF + 32);
	emit_alu(e, BPF_SUB, R1, R2);
	state_store(g, STATE(span_type), R1);
	emit_map_fd(e, R1, g->env->contexts);
	emit_alu(e, BPF_MOV, R2, REG_RECORD);
	emit_alu_imm(e, BPF_ADD, R2, STATE(span_type));
	emit_call(e, BPF_FUNC_map_lookup_elem);
	emit_jump_if_imm(e, BPF_JEQ, R0, 0, none);
	emit_load(e, 8, R1, R0, ROW(flags));
	emit_alu_imm(e, BPF_AND, R1, CHAIN_IS_SPAN);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, none);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		emit_load(e, 4, R1, R0, fields[i].row);
		state_store(g, fields[i].state, R1);
	}
	emit_load(e, 8, R1, FP, STACK_BUF + 40);
	state_store(g, STATE(span), R1);
	state_store(g, STATE(span_link), R9);
	emit_label(e, none);
}

/* From R3 on, to read: parent, key and value of a link that has them, noted if it has a span. Others are left. */
static void read_value(struct gen *g, int unreadable, int read)
{
	struct emit *e = g->e;
	int other = emit_label_new(e);

	state_load(g, R1, STATE(flags));
	emit_alu_imm(e, BPF_AND, R1, CHAIN_IS_VALUE);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, other);
	gen_read_stack(g, STACK_BUF, 48, unreadable);
	note_span(g);
	emit_jump(e, read);
	emit_label(e, other);
}

#define SPAN(field) (STACK_BUF + (int)offsetof(struct event_chain_span, field))

/* size bytes of the span, at the offset that a field of its row has; where that is 0, or cannot be read, zeros. */
static void read_of_span(struct gen *g, int offset, int to, unsigned size, int fault)
{
	struct emit *e = g->e;
	int none = emit_label_new(e);

	state_load(g, R1, offset);
	if (fault < 0)
		emit_jump_if_imm(e, BPF_JEQ, R1, 0, none);
	state_load(g, R3, STATE(span));
	emit_alu(e, BPF_ADD, R3, R1);
	gen_read_stack(g, to, size, fault < 0 ? none : fault);
	emit_label(e, none);
}

static void read_scope(struct gen *g)
{
	struct emit *e = g->e;
	int none = emit_label_new(e);

	read_of_span(g, STATE(tracer), SPAN(scope), 8, -1);
	emit_load(e, 8, R3, FP, SPAN(scope));
	emit_store_imm(e, 8, FP, SPAN(scope), 0);
	emit_jump_if_imm(e, BPF_JEQ, R3, 0, none);
	state_load(g, R1, STATE(scope));
	emit_alu(e, BPF_ADD, R3, R1);
	gen_read_stack(g, SPAN(scope), 16, none);
	emit_label(e, none);
}

_Static_assert(sizeof(struct event_chain_span) <= STACK_BUF_SIZE, "it is put together there");

/* Behind the end's word; nothing where there is none, or its ids cannot be read. */
static void put_span(struct gen *g)
{
	struct emit *e = g->e;
	int none = emit_label_new(e);

	state_load(g, R1, STATE(span));
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, none);
	gen_clear_stack(g, STACK_BUF, sizeof(struct event_chain_span));
	read_of_span(g, STATE(ids), SPAN(trace_id), 32, none);
	read_of_span(g, STATE(remote), SPAN(remote), 1, none);
	read_of_span(g, STATE(kind), SPAN(kind), 8, -1);
	read_scope(g);
	state_load(g, R1, STATE(span_link));
	emit_store(e, 8, FP, SPAN(link), R1);
	state_load(g, R1, STATE(span));
	emit_store(e, 8, FP, SPAN(object), R1);
	for (unsigned i = 0; i < sizeof(struct event_chain_span); i += 8) {
		emit_load(e, 8, R2, FP, STACK_BUF + (int)i);
		put_word(g, none);
	}
	emit_label(e, none);
}

/* ---- from link to link ---- */

/* The parent's words → chain.data and R3, the itab. R1 = the row's flags. */
static void read_parent(struct gen *g, const struct ways_out *out)
{
	struct emit *e = g->e;
	int field = emit_label_new(e), via = emit_label_new(e), unreadable = out->by[CHAIN_UNREADABLE];
	int read = emit_label_new(e);

	state_load(g, R3, STATE(data));
	emit_alu(e, BPF_MOV, R2, R1);
	emit_alu_imm(e, BPF_AND, R2, CHAIN_HAS_VIA);
	emit_jump_if_imm(e, BPF_JNE, R2, 0, via);
	emit_alu_imm(e, BPF_AND, R1, CHAIN_HAS_FIELD);
	emit_jump_if_imm(e, BPF_JNE, R1, 0, field);
	state_load(g, R1, STATE(flags));
	emit_alu_imm(e, BPF_AND, R1, CHAIN_IS_ROOT);
	emit_jump_if_imm(e, BPF_JEQ, R1, 0, out->by[CHAIN_UNKNOWN_TYPE]);
	emit_jump(e, out->by[CHAIN_ROOT]);
	emit_label(e, via);
	state_load(g, R1, STATE(via));
	emit_alu(e, BPF_ADD, R3, R1);
	gen_read_stack(g, STACK_BUF, 8, unreadable);
	emit_load(e, 8, R3, FP, STACK_BUF);
	emit_jump_if_imm(e, BPF_JEQ, R3, 0, out->by[CHAIN_ROOT]);
	emit_label(e, field);
	state_load(g, R1, STATE(offset));
	emit_alu(e, BPF_ADD, R3, R1);
	if (g->p->contexts->span_key)
		read_value(g, unreadable, read);
	gen_read_stack(g, STACK_BUF, 16, unreadable);
	emit_label(e, read);
	emit_load(e, 8, R1, FP, STACK_BUF + 8);
	state_store(g, STATE(data), R1);
	emit_load(e, 8, R3, FP, STACK_BUF);
	emit_jump_if_imm(e, BPF_JEQ, R3, 0, out->by[CHAIN_ROOT]);
}

/* chain.type = the type of the itab in R3; to same where the last one had that itab, too. */
static void read_type(struct gen *g, const struct ways_out *out, int same)
{
	struct emit *e = g->e;

	state_load(g, R1, STATE(itab));
	emit_jump_if(e, BPF_JEQ, R1, R3, same);
	state_store(g, STATE(itab), R3);
	emit_alu_imm(e, BPF_ADD, R3, (int32_t)g->p->contexts->itab_type_off);
	gen_read_stack(g, STACK_BUF, 8, out->by[CHAIN_UNREADABLE]);
	emit_load(e, 8, R1, FP, STACK_BUF);
	state_store(g, STATE(type), R1);
}

static void begin(struct gen *g, const struct ir_insn *i, unsigned bytes, int full)
{
	struct emit *e = g->e;

	emit_load(e, 4, R1, REG_RECORD, HEAD(size));
	emit_jump_if_imm(e, BPF_JGT, R1, gen_record_limit(g) - (int)bytes, full);
	state_store(g, STATE(size), R1);
	gen_get(g, R1, i->a);
	state_store(g, STATE(type), R1);
	gen_get(g, R1, i->b);
	state_store(g, STATE(data), R1);
	emit_store_imm(e, 8, REG_RECORD, STATE(itab), 0);
	emit_store_imm(e, 8, REG_RECORD, STATE(pooled), 0);
	emit_store_imm(e, 8, REG_RECORD, STATE(span), 0);
	gen_load_bias(g);
	state_store(g, STATE(bias), R0);
	emit_alu_imm(e, BPF_MOV, R9, 0);
}

int gen_chain_links(struct gen *g, const struct ir_insn *i, unsigned bytes, int full)
{
	struct emit *e = g->e;
	int again = emit_label_new(e), same = emit_label_new(e);
	struct ways_out out = {.end = emit_label_new(e)};

	if (!g->p->contexts || g->env->contexts < 0 || i->imm < 1 || i->imm > EVENT_MAX_CHAIN)
		return err_set(g->err, -EINVAL, "a chain of %lld contexts is asked for (1 to %d, with a table of them)",
			       (long long)i->imm, EVENT_MAX_CHAIN);
	for (unsigned k = 0; k < CHAIN_END_COUNT; k++)
		out.by[k] = emit_label_new(e);
	begin(g, i, bytes, full);
	emit_label(e, again);
	find_row(g, &out);
	emit_label(e, same);
	emit_checkpoint(e);
	put_link(g, i, &out);
	if (i->imm > 1) {
		read_parent(g, &out);
		read_type(g, &out, same);
		emit_jump(e, again);
	} else { /* whatever the parent is, there is no room for it */
		emit_jump(e, out.by[CHAIN_TOO_LONG]);
	}
	for (unsigned k = 0; k < CHAIN_END_COUNT; k++) {
		emit_label(e, out.by[k]);
		emit_store_imm(e, 8, REG_RECORD, STATE(end), (int32_t)k);
		if (k + 1 < CHAIN_END_COUNT)
			emit_jump(e, out.end);
	}
	emit_label(e, out.end);
	emit_checkpoint(e);
	return 0;
}

int gen_emit_chain(struct gen *g, const struct ir_insn *i)
{
	struct emit *e = g->e;
	int full = emit_label_new(e), behind = emit_label_new(e);
	int r = gen_chain_links(g, i, capture_chain_bytes(g->p, i->slot), full);

	if (r < 0)
		return r;
	state_load(g, R2, STATE(end));
	put_word(g, full);
	if (g->p->contexts->span_key)
		put_span(g);
	state_load(g, R1, STATE(size));
	gen_finish_words(g, i->slot, R9);
	emit_jump(e, behind);
	emit_label(e, full);
	emit_store_imm(e, 8, REG_RECORD, gen_slot_off(g, i->slot), SLOT_CUT);
	emit_label(e, behind);
	return 1;
}
