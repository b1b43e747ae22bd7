/*
 * Marks: what a point does with them, beside what it captures. Each way to find one, and each word that one is kept by,
 * is a region of its own, so that what cannot be read costs that way alone. The words are those of captures.
 */
#include <errno.h>

#include "binary/context_types.h"
#include "probe/lower/lowerer.h"

/* ---- instructions without operands ---- */

static void mark_op(struct lowerer *l, enum ir_op op, int64_t imm, unsigned flags)
{
	struct ir_insn *i;

	begin_region(l, IR_SLOT_MARK);
	i = emit(l, op);
	i->imm = imm;
	i->flags = (uint8_t)flags;
	if (op == IR_MARK_GOROUTINE) {
		i->group = l->marks->group;
		i->call = l->marks->call;
	}
	emit(l, IR_END);
}

/* ---- words ---- */

struct word_op {
	enum ir_op op;
	int64_t imm;
	unsigned flags;
};

static int op_of_words(struct lowerer *l, const struct value *v, enum mark_use use, uint16_t *a, uint16_t *b)
{
	int r;

	switch (use) {
	case MARK_HEADER:
	case MARK_TRACESTATE:
		if (!holds_bytes(v->type))
			return lower_fail(l, v->expr, "%s is no text", expr_text(l, v->expr));
		r = value_word(l, v, 0, 8, false, a);
		return r ? r : value_word(l, v, 8, 8, true, b);
	case MARK_PARENT:
	case MARK_OWN:
		return chain_words(l, v, a, b);
	default:
		return value_scalar(l, v, a);
	}
}

static int mark_value(struct lowerer *l, const struct bound_alternative *alternative, enum mark_use use,
		      const struct word_op *op)
{
	uint16_t a = 0, b = 0;
	struct ir_insn *i;
	struct value v;
	int r;

	begin_text(l, &alternative->value);
	r = lower(l, alternative->value.root, &v);
	if (!r)
		r = op_of_words(l, &v, use, &a, &b);
	if (r)
		return r;
	i = emit(l, op->op);
	i->a = a;
	i->b = b;
	i->imm = op->imm;
	i->flags = (uint8_t)op->flags;
	i->group = use == MARK_KEYED ? l->marks->group : 0;
	return 0;
}

static int mark_alternative(struct lowerer *l, const struct bound_capture *c, const struct bound_alternative *a,
			    enum mark_use use, const struct word_op *op)
{
	uint16_t skip = 0;
	int r = 0;

	begin_region(l, IR_SLOT_MARK);
	if (c->when.root) {
		skip = label_new(l);
		begin_text(l, &c->when);
		r = emit_jump_if_false(l, c->when.root, skip);
		l->next_reg = 0;
	}
	if (!r)
		r = mark_value(l, a, use, op);
	if (!r && c->when.root)
		ir_emit_label(l, skip);
	return r ? r : end_region(l);
}

/* The first alternative that has a place; what has none is not found by. */
static void mark_word(struct lowerer *l, const struct bound_capture *c, enum mark_use use, const struct word_op *op)
{
	struct err *err = l->err;

	l->capture = c;
	l->err = NULL;
	for (size_t i = 0; i < c->nalternatives; i++) {
		struct emit_mark before = emit_mark(l);
		uint16_t nregs = l->nregs;

		if (c->alternatives[i].why || !c->alternatives[i].value.root)
			continue;
		if (!mark_alternative(l, c, &c->alternatives[i], use, op))
			break;
		emit_rollback(l, before);
		l->nregs = nregs;
	}
	l->err = err;
}

static void mark_words(struct lowerer *l, enum mark_use use, enum ir_op op, int64_t imm, unsigned flags)
{
	const struct word_op o = {op, imm, flags};

	for (size_t i = 0; i < l->marks->nwords; i++)
		if (l->marks->words[i].use == use)
			mark_word(l, &l->program->captures[l->marks->words[i].capture], use, &o);
}

/* ---- a start ---- */

static void by_creator(struct lowerer *l, const struct lineage_layout *at)
{
	struct ir_insn *i;
	uint16_t a;

	begin_region(l, IR_SLOT_MARK);
	a = emit_load_fact(l, FACT_CREATOR, at);
	i = emit(l, IR_MARK_CREATOR);
	i->a = a;
	emit(l, IR_END);
}

/* at: NULL where the program does not tell lineage. */
static void begin(struct lowerer *l, const struct lineage_layout *at)
{
	uint16_t counter = IR_NO_REG, cache = IR_NO_REG, cache_end = IR_NO_REG;
	struct ir_insn *i;

	begin_region(l, IR_SLOT_MARK);
	if (at) {
		counter = emit_load_fact(l, FACT_ID_COUNTER, at);
		cache = emit_load_fact(l, FACT_ID_CACHE, at);
		cache_end = emit_load_fact(l, FACT_ID_CACHE_END, at);
	}
	i = emit(l, IR_MARK_BEGIN);
	i->a = counter;
	i->b = cache;
	i->c = cache_end;
	i->imm = (int64_t)l->marks->threshold;
	i->group = l->marks->group;
	i->call = l->marks->call;
	i->flags = (uint8_t)((l->marks->child ? IR_MARK_CHILD : 0) | (l->marks->by_ratio ? IR_MARK_BY_RATIO : 0));
	emit(l, IR_END);
}

/*
 * What comes in with a request says which trace it is. Otherwise the order is the assembler's (span/parents.h). What
 * belongs to another goroutine than the current one has no lineage.
 */
static void start(struct lowerer *l)
{
	const bool elsewhere = l->program->goroutine.root;
	struct lineage_layout layout;
	const struct lineage_layout *at = &layout;

	if (elsewhere || binary_lineage_layout(l->binary, &layout, NULL))
		at = NULL;
	mark_words(l, MARK_HEADER, IR_MARK_HEADER, 0, 0);
	mark_words(l, MARK_PARENT, IR_MARK_CHAIN, EVENT_MAX_CHAIN, 0);
	mark_op(l, IR_MARK_GOROUTINE, MARK_AROUND, 0);
	if (at && l->marks->by_creator)
		by_creator(l, at);
	begin(l, at);
	if (l->carries_states)
		mark_words(l, MARK_TRACESTATE, IR_MARK_STATE, 0, 0);
	mark_words(l, MARK_OWN, IR_MARK_PUT_CHAIN, 0, 0);
	mark_words(l, MARK_CARRIED, IR_MARK_PUT, MARK_CARRIER, 0);
	mark_words(l, MARK_KEYED, IR_MARK_PUT, MARK_KEY, 0);
	mark_op(l, IR_MARK_PUSH, 0, l->marks->detached ? IR_MARK_UNLESS_KEYED : 0);
	mark_op(l, IR_MARK_ADMIT, 0, IR_MARK_COUNT);
}

/* ---- the other points ---- */

static void on_goroutine(struct lowerer *l)
{
	mark_op(l, IR_MARK_GOROUTINE, l->marks->of_call ? MARK_OF_CALL : MARK_OF_GROUP, 0);
}

/* Whether the point is about a span that another point's carrier leads to. */
static bool by_carrier(struct lowerer *l)
{
	bool any = false;

	for (size_t i = 0; i < l->marks->nwords; i++)
		any |= l->marks->words[i].use == MARK_FOUND;
	mark_words(l, MARK_FOUND, IR_MARK_FIND, MARK_CARRIER, 0);
	return any;
}

/* A record that names a detached span is of that one, and nothing else. */
static void own(struct lowerer *l)
{
	struct lineage_layout at;

	if (l->marks->detached)
		mark_words(l, MARK_KEYED, IR_MARK_FIND, MARK_KEY, IR_MARK_ONLY);
	if (by_carrier(l))
		return;
	on_goroutine(l);
	if (l->marks->by_creator && !binary_lineage_layout(l->binary, &at, NULL))
		by_creator(l, &at);
}

static void detach(struct lowerer *l)
{
	on_goroutine(l);
	mark_words(l, MARK_KEYED, IR_MARK_FIND, MARK_KEY, 0);
	mark_words(l, MARK_OWN, IR_MARK_PUT_CHAIN, 0, 0);
	mark_words(l, MARK_KEYED, IR_MARK_PUT, MARK_KEY, 0);
	mark_op(l, IR_MARK_LEAVE, 0, 0);
	if (l->marks->or_end)
		mark_op(l, IR_MARK_END, 0, IR_MARK_UNLESS_KEYED);
}

/* Of a call that is a part of another span there is none of its own, though its start has left a mark. */
static void inject(struct lowerer *l)
{
	for (size_t i = 0; i <= l->marks->naround; i++) {
		struct ir_insn *in;

		begin_region(l, IR_SLOT_MARK);
		in = emit(l, IR_MARK_GOROUTINE);
		in->imm = MARK_OF_GROUP;
		in->group = i < l->marks->naround ? l->marks->around[i] : l->marks->group;
		in->call = l->marks->call;
		emit(l, IR_END);
	}
}

static void tie(struct lowerer *l)
{
	on_goroutine(l);
	mark_words(l, MARK_KEYED, IR_MARK_PUT, MARK_KEY, 0);
}

void lower_all_marks(struct lowerer *l)
{
	switch (l->marks->action) {
	case MARKS_START:
		start(l);
		return;
	case MARKS_UNWIND:
	case MARKS_EXIT:
		mark_op(l, IR_MARK_UNWIND, l->marks->action == MARKS_EXIT, 0);
		return;
	case MARKS_RELEASE:
		return;
	case MARKS_INJECT:
		inject(l);
		return;
	case MARKS_DETACH:
		detach(l);
		break;
	case MARKS_TIE:
		tie(l);
		break;
	default:
		own(l);
	}
	mark_words(l, MARK_CARRIED, IR_MARK_PUT, MARK_CARRIER, 0);
	if (l->marks->action == MARKS_END)
		mark_op(l, IR_MARK_END, 0, 0);
	mark_op(l, IR_MARK_ADMIT, 0, 0);
}

void emit_ids(struct lowerer *l, uint16_t slot)
{
	struct ir_insn *i = emit(l, IR_EMIT_MARK);

	i->slot = slot;
	i->imm = l->marks ? l->marks->flags : 0;
	l->slots.data[slot].kind = VALUE_CONTEXT;
}
