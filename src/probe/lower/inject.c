/* A trace context that is written into what the program is about to send (IR_INJECT), and what speaks against it. */
#include "probe/lower/lowerer.h"

#include <string.h>

static int lower_text(struct lowerer *l, const struct bound_text *t, struct value *ret)
{
	begin_text(l, t);
	return lower(l, t->root, ret);
}

/* ---- where ---- */

/* The address of the 8 bytes at offset of a place, which must be memory. */
static int place_address(struct lowerer *l, const struct value *v, uint64_t offset, uint16_t *ret)
{
	const struct param *p = v->place == PLACE_PARAM ? v->param : NULL;

	offset += v->offset;
	if (v->place == PLACE_MEMORY) {
		*ret = emit_addr(l, v->reg, offset);
		return 0;
	}
	for (size_t i = 0; p && i < p->npieces; i++) {
		const struct piece *piece = &p->pieces[i];
		struct ir_insn *insn;

		if (piece->where != ON_STACK || offset < piece->offset || offset + 8 > piece->offset + piece->bytes)
			continue;
		*ret = reg_new(l);
		insn = emit(l, IR_SP);
		insn->dst = *ret;
		insn->imm = piece->stack + (int64_t)(offset - piece->offset);
		return 0;
	}
	return lower_fail_unreadable(l, v->expr, "%s does not lie in memory", expr_text(l, v->expr));
}

static int put_word(struct lowerer *l, uint16_t dst, const struct value *v, uint64_t offset)
{
	uint16_t word;
	int r = value_word(l, v, offset, 8, true, &word);

	if (!r)
		emit_move(l, dst, word);
	return r;
}

static int put_address(struct lowerer *l, uint16_t dst, const struct value *v, uint64_t offset)
{
	uint16_t word = 0;
	int r = place_address(l, v, offset, &word);

	if (!r)
		emit_move(l, dst, word);
	return r;
}

static bool lends(const struct bound_inject *n)
{
	return n->form >= INJECT_FORMS;
}

/* Where the first n words of a parameter lie; false: not all of them where the function could be given others. */
static bool find_words(const struct value *v, size_t n, struct ir_given *ret)
{
	unsigned found = 0;

	ret->nwords = n;
	for (size_t i = 0; v->place == PLACE_PARAM && i < v->param->npieces; i++) {
		const struct piece *p = &v->param->pieces[i];
		const uint64_t end = p->offset + (p->where == ON_STACK ? p->bytes : p->size);

		for (uint64_t at = p->offset; p->where != IN_FLOAT_REG && at + 8 <= end && at < 8 * n; at += 8) {
			found |= 1u << at / 8;
			ret->word[at / 8].on_stack = p->where == ON_STACK;
			ret->word[at / 8].reg = p->reg;
			ret->word[at / 8].stack = p->stack + (int32_t)(at - p->offset);
		}
	}
	return !v->offset && found == (1u << n) - 1;
}

/* The list of headers of what the parameter points to. */
static int find_list(struct lowerer *l, const struct value *v, const char *field, struct ir_given *ret)
{
	const struct type *record = v->type->kind == KIND_POINTER ? v->type->elem : NULL, *header;
	struct type_field name, value;
	struct field_path path;

	if (!record || record->kind != KIND_STRUCT || !type_field_find(l->binary, record, field, &path) || path.n != 1)
		return lower_fail(l, v->expr, "%s points to no struct with a field %s", expr_text(l, v->expr), field);
	header = path.steps[0].type->kind == KIND_SLICE ? path.steps[0].type->elem : NULL;
	if (!header || header->kind != KIND_STRUCT || header->size != INJECT_HEADER_BYTES ||
	    type_field_count(l->binary, header) != 2 || !type_field(l->binary, header, 0, &name) ||
	    !type_field(l->binary, header, 1, &value) || name.type->kind != KIND_STRING ||
	    value.type->kind != KIND_SLICE || !holds_bytes(value.type))
		return lower_fail(l, v->expr, "%s is no list of headers: a text and a []byte each", field);
	ret->bytes = (uint32_t)record->size;
	ret->list = (uint32_t)path.steps[0].offset;
	return 0;
}

/* A parameter: a slice, or a pointer to a record. */
static int put_given(struct lowerer *l, const struct bound_inject *n, uint16_t words, const struct ir_given **ret)
{
	struct ir_given *g = arena_new(l->arena, struct ir_given);
	const bool record = n->form == INJECT_RECORD;
	struct value v;
	int r = lower_text(l, &n->buffer, &v);

	if (!r && !find_words(&v, record ? 1 : 3, g))
		r = lower_fail_unreadable(l, v.expr, "%s is no parameter that could get another value",
					  expr_text(l, v.expr));
	if (!r && record)
		r = find_list(l, &v, n->list, g);
	if (!r)
		r = put_word(l, (uint16_t)(words + INJECT_BUFFER), &v, 0);
	if (!r && !record)
		r = put_word(l, (uint16_t)(words + INJECT_FILLED), &v, 8);
	if (record)
		emit_const_to(l, (uint16_t)(words + INJECT_FILLED), 0);
	emit_const_to(l, (uint16_t)(words + INJECT_CAPACITY), 0);
	emit_const_to(l, (uint16_t)(words + INJECT_LENGTH_AT), 0);
	*ret = g;
	return r;
}

/* A slice: address, length, capacity. What is filled is its length, or a word of its own. */
static int put_buffer(struct lowerer *l, const struct bound_inject *n, uint16_t words)
{
	struct value buffer, filled;
	int r = lower_text(l, &n->buffer, &buffer);

	if (!r)
		r = put_word(l, (uint16_t)(words + INJECT_BUFFER), &buffer, 0);
	if (!r && n->filled.root) {
		r = put_word(l, (uint16_t)(words + INJECT_CAPACITY), &buffer, 8);
		if (!r)
			r = lower_text(l, &n->filled, &filled);
		if (!r && filled.type->size != 8)
			r = lower_fail(l, filled.expr, "%s is %s; an int is expected here", expr_text(l, filled.expr),
				       value_with_article(l, &filled));
		if (!r)
			r = put_word(l, (uint16_t)(words + INJECT_FILLED), &filled, 0);
		return r ? r : put_address(l, (uint16_t)(words + INJECT_LENGTH_AT), &filled, 0);
	}
	if (!r)
		r = put_word(l, (uint16_t)(words + INJECT_FILLED), &buffer, 8);
	if (!r)
		r = put_word(l, (uint16_t)(words + INJECT_CAPACITY), &buffer, 16);
	return r ? r : put_address(l, (uint16_t)(words + INJECT_LENGTH_AT), &buffer, 8);
}

static int put_number(struct lowerer *l, uint16_t dst, const struct bound_text *t)
{
	struct value v;
	uint16_t word;
	int r;

	if (!t->root) {
		emit_const_to(l, dst, 0);
		return 0;
	}
	r = lower_text(l, t, &v);
	if (!r)
		r = value_scalar(l, &v, &word);
	if (!r)
		emit_move(l, dst, word);
	return r;
}

/* ---- which ---- */

static int find_by(struct lowerer *l, const struct bound_text *word, unsigned flags)
{
	struct ir_insn *i;
	struct value v;
	uint16_t a;
	int r;

	begin_region(l, IR_SLOT_MARK);
	r = lower_text(l, word, &v);
	if (!r)
		r = value_scalar(l, &v, &a);
	if (r)
		return r;
	i = emit(l, IR_MARK_FIND);
	i->a = a;
	i->imm = MARK_CARRIER;
	i->flags = (uint8_t)flags;
	return end_region(l);
}

/* In regions of marks: the run's mark is that of the span that has put the carrier down, if what it needs is there. */
int emit_carrier(struct lowerer *l, const struct bound_inject *n)
{
	int r = n->needs.root ? find_by(l, &n->needs, IR_MARK_NEED) : 0;

	return r ? r : find_by(l, &n->carrier, 0);
}

static void put_context(struct lowerer *l, uint16_t words)
{
	uint16_t flags = reg_new(l);

	for (unsigned k = 0; k <= MARK_FLAGS; k++) {
		struct ir_insn *i = emit(l, IR_MARK_WORD);

		i->dst = k == MARK_FLAGS ? flags : (uint16_t)(words + INJECT_TRACE + k);
		i->imm = k;
	}
	emit_bin_to(l, (uint16_t)(words + INJECT_FLAGS), BIN_AND, flags, emit_const(l, MARK_SAMPLED));
}
_Static_assert(MARK_TRACE_ID_0 == 0 && MARK_TRACE_ID_1 == 1 && INJECT_SPAN - INJECT_TRACE == MARK_SPAN_ID &&
	       INJECT_FLAGS - INJECT_TRACE == MARK_FLAGS, "they lie in the same order");

/* ---- what speaks against it ---- */

/* dst = the outcome, and to end, unless the register is 0. */
static void emit_outcome_if(struct lowerer *l, uint16_t reg, enum inject_outcome outcome, uint16_t dst, uint16_t end)
{
	uint16_t no = label_new(l);

	emit_jump_if0(l, reg, no);
	emit_const_to(l, dst, outcome);
	ir_emit_jump(l, end);
	ir_emit_label(l, no);
}

static int ask(struct lowerer *l, const struct bound_text *condition, enum inject_outcome outcome, uint16_t dst,
	       uint16_t end)
{
	struct value v;
	uint16_t holds;
	int r;

	if (!condition->root)
		return 0;
	r = lower_text(l, condition, &v);
	if (!r)
		r = value_scalar(l, &v, &holds);
	if (!r)
		emit_outcome_if(l, holds, outcome, dst, end);
	return r;
}

/* The program's own tracestate is looked for only where one has come in. */
static int put_state(struct lowerer *l, const struct bound_inject *n, uint16_t words)
{
	const uint16_t wanted = (uint16_t)(words + INJECT_STATE);
	uint16_t skip = label_new(l), has = reg_new(l), there;
	struct ir_insn *i;
	struct value v;
	int r;

	emit_const_to(l, wanted, INJECT_STATE_UNWANTED);
	if (!n->state_present.root || !l->carries_states)
		return 0;
	i = emit(l, IR_MARK_WORD);
	i->dst = has;
	i->imm = MARK_STATE;
	emit_jump_if0(l, has, skip);
	r = lower_text(l, &n->state_present, &v);
	if (!r)
		r = value_scalar(l, &v, &there);
	if (!r)
		emit_bin_to(l, wanted, BIN_ADD, there, emit_const(l, INJECT_STATE_WANTED));
	ir_emit_label(l, skip);
	return r;
}
_Static_assert(INJECT_STATE_THERE == INJECT_STATE_WANTED + 1, "a condition is added");

/* ---- all of it ---- */

/* Registers above `first` are free again once a step has put its words where they belong. */
int emit_inject(struct lowerer *l, const struct bound_inject *n, uint16_t slot)
{
	uint16_t outcome = reg_new(l), written = reg_new(l), words = reg_new(l), end = label_new(l), free_reg;
	const struct ir_given *given = NULL;
	struct ir_insn *i;
	int r;

	if (lends(n) && !l->lends)
		return lower_fail_unreadable(l, n->buffer.root->expr, "this way of planting cannot give a call other "
								     "arguments, as --planter patch can");
	if (!l->injects)
		return lower_fail_unreadable(l, n->buffer.root->expr, "this way of planting does not write into "
								     "programs");
	for (unsigned k = 1; k < INJECT_WORDS; k++)
		reg_new(l);
	free_reg = l->next_reg;
	r = ask(l, &n->present, INJECT_PRESENT, outcome, end);
	l->next_reg = free_reg;
	if (!r)
		r = ask(l, &n->limited, INJECT_LIMITED, outcome, end);
	l->next_reg = free_reg;
	if (!r)
		r = ask(l, &n->split, INJECT_TOO_LARGE, outcome, end);
	l->next_reg = free_reg;
	put_context(l, words);
	l->next_reg = free_reg;
	if (!r)
		r = put_state(l, n, words);
	l->next_reg = free_reg;
	if (!r)
		r = lends(n) ? put_given(l, n, words, &given) : put_buffer(l, n, words);
	l->next_reg = free_reg;
	if (!r)
		r = put_number(l, (uint16_t)(words + INJECT_BLOCK), &n->block);
	l->next_reg = free_reg;
	if (!r)
		r = put_number(l, (uint16_t)(words + INJECT_STREAM), &n->stream);
	if (r)
		return r;
	i = emit(l, lends(n) ? IR_LEND : IR_INJECT);
	i->dst = written;
	i->a = words;
	i->imm = n->form;
	if (lends(n)) {
		i->given = given;
		i->call = l->marks->call;
	}
	emit_move(l, outcome, written);
	ir_emit_label(l, end);
	i = emit(l, IR_EMIT);
	i->a = outcome;
	i->slot = slot;
	l->slots.data[slot].kind = VALUE_UINT;
	return 0;
}
