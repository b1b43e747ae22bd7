/* A trace context that is written into what the program is about to send (IR_INJECT), and all that speaks against it. */
#include "probe/lower/lowerer.h"

#include <string.h>

/* As propagators write it (W3C), in small letters: names of headers have no case. */
static const char header[] = "traceparent";

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

/* In a region of marks: the run's mark is that of the span that has put the carrier down. */
int emit_carrier(struct lowerer *l, const struct bound_inject *n)
{
	struct ir_insn *i;
	struct value v;
	uint16_t word;
	int r;

	emit(l, IR_REGION)->slot = IR_SLOT_MARK;
	r = lower_text(l, &n->carrier, &v);
	if (!r)
		r = value_scalar(l, &v, &word);
	if (r)
		return r;
	i = emit(l, IR_MARK_FIND);
	i->a = word;
	i->imm = MARK_CARRIER;
	emit(l, IR_END);
	l->next_reg = 0;
	return 0;
}

static void put_context(struct lowerer *l, uint16_t words)
{
	for (unsigned k = 0; k < MARK_WORD_COUNT; k++) {
		struct ir_insn *i = emit(l, IR_MARK_WORD);

		i->dst = (uint16_t)(words + INJECT_TRACE + k);
		i->imm = k;
	}
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

static int ask_map(struct lowerer *l, const struct value *v, uint16_t *ret)
{
	struct map_layout *layout = arena_new(l->arena, struct map_layout);
	struct err why = {0};
	struct ir_insn *i;
	uint16_t map;
	int r;

	if (!type_map_layout(l->binary, v->type, layout, &why))
		return lower_fail(l, v->expr, "%s cannot be looked into: %s", expr_text(l, v->expr), why.text);
	r = value_word(l, v, 0, 8, false, &map);
	if (r)
		return r;
	*ret = reg_new(l);
	i = emit(l, IR_ANY_KEY);
	i->dst = *ret;
	i->a = map;
	i->map = layout;
	i->str = header;
	i->imm = (int64_t)strlen(header);
	return 0;
}

static int ask_list(struct lowerer *l, const struct value *v, uint16_t *ret)
{
	struct type_field name;
	struct ir_insn *i;
	uint16_t at, n;
	int r;

	if (!type_field(l->binary, v->type->elem, 0, &name) || !name.type || name.type->kind != KIND_STRING ||
	    name.offset)
		return lower_fail(l, v->expr, "the elements of %s do not begin with a name", expr_text(l, v->expr));
	r = value_word(l, v, 0, 8, false, &at);
	if (!r)
		r = value_word(l, v, 8, 8, true, &n);
	if (r)
		return r;
	*ret = reg_new(l);
	i = emit(l, IR_ANY_STR);
	i->dst = *ret;
	i->a = at;
	i->b = n;
	i->at = (uint32_t)v->type->elem->size;
	i->str = header;
	i->imm = (int64_t)strlen(header);
	return 0;
}

static int ask(struct lowerer *l, const struct bound_inject *n, uint16_t dst, uint16_t end)
{
	struct value v;
	uint16_t found;
	int r = 0;

	if (n->limited.root) {
		r = lower_text(l, &n->limited, &v);
		if (!r)
			r = value_scalar(l, &v, &found);
		if (!r)
			emit_outcome_if(l, found, INJECT_LIMITED, dst, end);
	}
	if (!r && n->present.root) {
		r = lower_text(l, &n->present, &v);
		if (!r)
			r = (v.type->kind == KIND_MAP ? ask_map : ask_list)(l, &v, &found);
		if (!r)
			emit_outcome_if(l, found, INJECT_PRESENT, dst, end);
	}
	return r;
}

/* ---- all of it ---- */

/* Registers above `first` are free again once a step has put its words where they belong. */
int emit_inject(struct lowerer *l, const struct bound_inject *n, uint16_t slot)
{
	uint16_t outcome = reg_new(l), written = reg_new(l), words = reg_new(l), end = label_new(l), free_reg;
	struct ir_insn *i;
	int r;

	if (!l->injects)
		return lower_fail_unreadable(l, n->buffer.root->expr, "this way of planting does not write into programs");
	for (unsigned k = 1; k < INJECT_WORDS; k++)
		reg_new(l);
	free_reg = l->next_reg;
	r = ask(l, n, outcome, end);
	l->next_reg = free_reg;
	put_context(l, words);
	if (!r)
		r = put_buffer(l, n, words);
	l->next_reg = free_reg;
	if (!r)
		r = put_number(l, (uint16_t)(words + INJECT_BLOCK), &n->block);
	l->next_reg = free_reg;
	if (!r)
		r = put_number(l, (uint16_t)(words + INJECT_STREAM), &n->stream);
	if (r)
		return r;
	i = emit(l, IR_INJECT);
	i->dst = written;
	i->a = words;
	i->imm = n->form;
	emit_move(l, outcome, written);
	ir_emit_label(l, end);
	i = emit(l, IR_EMIT);
	i->a = outcome;
	i->slot = slot;
	l->slots.data[slot].kind = VALUE_UINT;
	return 0;
}
