#include "probe/lower/lowerer.h"

#include <errno.h>

/* ---- words ---- */

static int piece_word(struct lowerer *l, const struct value *v, const struct piece *p,
		      uint64_t offset, unsigned size, bool is_signed, uint16_t *ret)
{
	if (p->where == ON_STACK) {
		*ret = emit_arg(l, IR_ARG_STACK, 0, p->stack + (int64_t)(offset - p->offset), size,
				is_signed);
		return 0;
	}
	if (offset != p->offset)
		return lower_fail_unreadable(l, v->expr, "%s is a part of a register, which is not supported",
				       expr_text(l, v->expr));
	if (p->where == IN_REG) {
		*ret = emit_arg(l, IR_ARG_REG, p->reg, 0, size, is_signed);
		return 0;
	}
	if (!l->reads_float_regs)
		return lower_fail_unreadable(l, v->expr, "%s is passed in a floating-point register, which a uprobe "
				       "cannot read", expr_text(l, v->expr));
	*ret = emit_arg(l, IR_ARG_FLOAT, p->reg - REG_FLOAT, 0, size, false);
	return 0;
}

static int param_word(struct lowerer *l, const struct value *v, uint64_t offset, unsigned size,
		      bool is_signed, uint16_t *ret)
{
	const struct param *p = v->param;

	for (size_t i = 0; i < p->npieces; i++) {
		const struct piece *piece = &p->pieces[i];
		uint64_t bytes = piece->where == ON_STACK ? piece->bytes : piece->size;

		if (offset >= piece->offset && offset + size <= piece->offset + bytes)
			return piece_word(l, v, piece, offset, size, is_signed, ret);
	}
	return lower_fail_unreadable(l, v->expr, "where %s lies is not known", expr_text(l, v->expr));
}

int value_word(struct lowerer *l, const struct value *v, uint64_t offset, unsigned size,
	       bool is_signed, uint16_t *ret)
{
	switch (v->place) {
	case PLACE_CONST:
		*ret = emit_const(l, v->constant.number);
		return 0;
	case PLACE_REG:
		*ret = v->reg;
		return 0;
	case PLACE_MEMORY:
		*ret = ir_emit_load(l, v->reg, (int64_t)(v->offset + offset), size, is_signed);
		return 0;
	case PLACE_PARAM:
		return param_word(l, v, v->offset + offset, size, is_signed, ret);
	case PLACE_WORDS:
		*ret = v->words[MIN(offset / 8, ARRAY_SIZE(v->words) - 1)];
		return 0;
	case PLACE_LITERAL:
		return lower_fail(l, v->expr, "a literal can be compared with == and !=, or be a map's key");
	}
	return -EINVAL;
}

int value_scalar(struct lowerer *l, const struct value *v, uint16_t *ret)
{
	if (v->type->size > 8 || !v->type->size)
		return lower_fail(l, v->expr, "%s is %s: a single value is expected here",
			    expr_text(l, v->expr), value_with_article(l, v));
	return value_word(l, v, 0, (unsigned)v->type->size, type_is_signed(v->type), ret);
}

struct value value_part(const struct value *v, uint64_t offset, const struct type *t, const struct expr *e)
{
	struct value p = *v;

	p.offset += offset;
	p.dict_word = 0;
	p.type = t;
	p.expr = e;
	return p;
}

struct value value_memory(uint16_t base, const struct type *t, const struct expr *e)
{
	return (struct value){.place = PLACE_MEMORY, .type = t, .expr = e, .reg = base};
}

struct value value_reg(const struct expr *e, uint16_t reg, const struct type *t)
{
	return (struct value){.place = PLACE_REG, .type = t, .expr = e, .reg = reg};
}

struct value value_constant(const struct bound *n)
{
	return (struct value){.place = PLACE_CONST, .type = n->type, .expr = n->expr, .constant = *n->constant};
}

/* ---- pointers, fields ---- */

int lower_deref(struct lowerer *l, const struct bound *n, struct value *ret)
{
	struct value v;
	uint16_t base;
	int r = lower(l, n->a, &v);

	if (!r)
		r = value_word(l, &v, 0, 8, false, &base);
	if (!r)
		*ret = value_memory(base, n->type, n->expr);
	return r;
}

int lower_field(struct lowerer *l, const struct bound *n, struct value *ret)
{
	struct value v;
	int r = lower(l, n->a, &v);

	if (!r)
		*ret = value_part(&v, n->field.offset, n->type, n->expr);
	return r;
}

/* ---- elements ---- */

static int index_reg(struct lowerer *l, const struct value *index, uint16_t *ret)
{
	if (index->place != PLACE_CONST)
		return value_scalar(l, index, ret);
	*ret = emit_const(l, index->constant.number);
	return 0;
}

static void emit_index(struct lowerer *l, uint16_t base, uint16_t index, uint16_t length, const struct bound *n,
		       struct value *ret)
{
	uint16_t dst = reg_new(l);
	struct ir_insn *i = emit(l, IR_INDEX);

	i->dst = dst;
	i->a = base;
	i->b = index;
	i->c = length;
	i->imm = (int64_t)n->type->size;
	*ret = value_memory(dst, n->type, n->expr);
}

/* Slices and strings: pointer, length. */
static int index_header(struct lowerer *l, const struct bound *n, const struct value *v, const struct value *index,
			struct value *ret)
{
	uint16_t base, length, at;
	int r = index_reg(l, index, &at);

	if (!r)
		r = value_word(l, v, 0, 8, false, &base);
	if (!r)
		r = value_word(l, v, 8, 8, true, &length);
	if (!r)
		emit_index(l, base, at, length, n, ret);
	return r;
}

static int index_array(struct lowerer *l, const struct bound *n, const struct value *v, const struct value *index,
		       struct value *ret)
{
	uint16_t at, base;
	int r;

	if (index->place == PLACE_CONST) {
		*ret = value_part(v, (uint64_t)index->constant.number * n->type->size, n->type, n->expr);
		return 0;
	}
	if (v->place != PLACE_MEMORY)
		return lower_fail(l, n->expr, "an array that is passed by value can be indexed by a constant only");
	r = index_reg(l, index, &at);
	if (r)
		return r;
	base = emit_addr(l, v->reg, v->offset);
	emit_index(l, base, at, emit_const(l, (int64_t)v->type->len), n, ret);
	return 0;
}

/* The index comes before what it leads into is followed, as it is written; so a pointer to an array is followed last.
 */
int lower_index(struct lowerer *l, const struct bound *n, struct value *ret)
{
	const struct bound *a = n->a;
	bool behind = a->op == BOUND_DEREF && a->expr == n->expr;
	struct value v, index;
	uint16_t base;
	int r = lower(l, behind ? a->a : a, &v);

	if (!r)
		r = lower(l, n->b, &index);
	if (!r && behind) {
		r = value_word(l, &v, 0, 8, false, &base);
		v = value_memory(base, a->type, a->expr);
	}
	if (r)
		return r;
	return a->type->kind == KIND_ARRAY ? index_array(l, n, &v, &index, ret) : index_header(l, n, &v, &index, ret);
}

/* ---- parts of strings and slices ---- */

/* A bound in a register; none: the default. */
static int limit_reg(struct lowerer *l, const struct bound *n, uint16_t none, uint16_t *ret)
{
	struct value v;
	int r;

	*ret = none;
	if (!n)
		return 0;
	r = lower(l, n, &v);
	return r ? r : index_reg(l, &v, ret);
}

/* Of a string or slice, or of an array in memory: address, length, capacity. */
static int slice_words(struct lowerer *l, const struct value *v, const struct expr *e, uint16_t words[3])
{
	const struct type *t = v->type;
	int r;

	if (t->kind == KIND_ARRAY && v->place == PLACE_MEMORY) {
		words[0] = emit_addr(l, v->reg, v->offset);
		words[1] = words[2] = emit_const(l, (int64_t)t->len);
		return 0;
	}
	if (t->kind == KIND_ARRAY)
		return lower_fail(l, e, "%s is %s, of which no part can be taken: that is for strings and slices",
				  expr_text(l, v->expr), value_with_article(l, v));
	r = value_word(l, v, 0, 8, false, &words[0]);
	if (!r)
		r = value_word(l, v, 8, 8, true, &words[1]);
	words[2] = words[1];
	if (!r && t->kind == KIND_SLICE)
		r = value_word(l, v, 16, 8, true, &words[2]);
	return r;
}

/* The bounds of a part of a constant text are known; what they come from may fail for all that. */
static int lower_known_slice(struct lowerer *l, const struct bound *n)
{
	struct value v;
	int r = n->b ? lower(l, n->b, &v) : 0;

	return !r && n->c ? lower(l, n->c, &v) : r;
}

/*
 * Bounds as Go checks them; what is out of range is no part. The address of an empty part is of no use, and not moved.
 */
int lower_slice(struct lowerer *l, const struct bound *n, struct value *ret)
{
	const struct type *t = n->a->type;
	uint16_t words[3], zero, low, high, moved;
	struct value v;
	int r = lower(l, n->a, &v);

	if (!r && n->constant)
		return lower_known_slice(l, n);
	if (!r)
		r = slice_words(l, &v, n->expr, words);
	if (r)
		return r;
	zero = emit_const(l, 0);
	r = limit_reg(l, n->b, zero, &low);
	if (!r)
		r = limit_reg(l, n->c, words[1], &high);
	if (r)
		return r;
	emit_require(l, emit_bin(l, BIN_ULE, high, words[2]), SLOT_RANGE);
	emit_require(l, emit_bin(l, BIN_ULE, low, high), SLOT_RANGE);
	moved = emit_bin(l, BIN_MUL, low, emit_const(l, t->kind == KIND_STRING ? 1 : (int64_t)t->elem->size));
	*ret = (struct value){.place = PLACE_WORDS, .type = n->type, .expr = n->expr,
			      .words = {emit_bin(l, BIN_ADD, words[0], moved), emit_bin(l, BIN_SUB, high, low),
					emit_bin(l, BIN_SUB, words[2], low)}};
	return 0;
}

/* ---- interfaces ---- */

/*
 * An interface is two words: `any` and its kin hold a type descriptor first, others an itab whose Type
 * field is the descriptor (internal/abi.ITab; runtime.itab before Go 1.22).
 */
int value_type_word(struct lowerer *l, const struct value *v, const struct expr *e, uint16_t *ret)
{
	uint16_t word, dst, end, type;
	struct err why = {0};
	uint32_t offset;
	int r = value_word(l, v, 0, 8, false, &word);

	if (r)
		return r;
	*ret = word;
	if (!type_method_count(l->binary, v->type))
		return 0;
	if (binary_itab_type_offset(l->binary, &offset, &why))
		return lower_fail(l, e, "%s", why.text);
	dst = reg_new(l);
	end = label_new(l);
	emit_move(l, dst, word);
	emit_jump_if0(l, word, end);
	type = ir_emit_load(l, word, offset, 8, false);
	l->insns.data[l->insns.len - 1].flags |= IR_CONSTANT; /* itabs are never freed, nor made anew */
	emit_move(l, dst, type);
	ir_emit_label(l, end);
	*ret = dst;
	return 0;
}

struct value value_held(uint16_t data, const struct type *t, const struct expr *e)
{
	struct value v = value_memory(data, t, e);

	if (t->direct_iface)
		v.place = PLACE_REG;
	return v;
}

int value_assert(struct lowerer *l, const struct value *v, const struct expr *e, const struct type *t,
		 uint16_t *ret_word, uint16_t *ret_matches, struct value *ret)
{
	uint16_t word, wanted, data;
	int r = value_type_word(l, v, e, &word);

	if (r)
		return r;
	wanted = emit_type(l, t->rtype);
	r = value_word(l, v, 8, 8, false, &data);
	if (r)
		return r;
	*ret_word = word;
	*ret_matches = emit_bin(l, BIN_EQ, word, wanted);
	*ret = value_held(data, t, e);
	return 0;
}
