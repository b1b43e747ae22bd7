/*
 * == of what has parts (structs, arrays, complex numbers): of each part, until one differs. And of interfaces: they are
 * equal when they hold the same type and equal values of it, as in Go.
 */
#include "probe/lower/lowerer.h"

#include <errno.h>
#include <string.h>

enum { MAX_LEAVES = 64 };

/* A run over two values' parts; all that differ go to `end` with dst 0. */
struct equality {
	struct lowerer *l;
	struct comparison of;   /* == */
	uint16_t dst, end;
	unsigned leaves;
};

static bool is_plain_struct(struct lowerer *l, const struct type *t)
{
	uint64_t at = 0;
	struct type_field f;

	for (size_t i = 0; i < type_field_count(l->binary, t); i++) {
		if (!type_field(l->binary, t, i, &f) || !f.type || f.offset != at || (f.name && !strcmp(f.name, "_")) ||
		    !is_plain_memory(l, f.type))
			return false;
		at += f.type->size;
	}
	return at == t->size;
}

bool is_plain_memory(struct lowerer *l, const struct type *t)
{
	if (t->kind == KIND_ARRAY)
		return t->elem && is_plain_memory(l, t->elem);
	if (t->kind == KIND_STRUCT)
		return is_plain_struct(l, t);
	return type_is_integer(t) || t->kind == KIND_BOOL || t->kind == KIND_POINTER || t->kind == KIND_CHAN ||
	       t->kind == KIND_UNSAFE_POINTER;
}

/* dst = 1 so far; to the end with 0 when a and b differ. */
static int same(struct equality *q, const struct value *a, const struct value *b, const struct type *t);

static int same_leaf(struct equality *q, const struct value *a, const struct value *b)
{
	struct lowerer *l = q->l;
	uint16_t before = l->next_reg, dst = reg_new(l);
	int r;

	if (q->leaves++ == MAX_LEAVES)
		return lower_fail(l, q->of.e, "these values have more than %d parts: compare those that matter",
				  MAX_LEAVES);
	r = compare_values(l, &q->of, a, b, dst);
	if (!r) {
		emit_move(l, q->dst, dst);
		emit_jump_if0(l, q->dst, q->end);
	}
	l->next_reg = before;
	return r;
}

static int same_memory(struct equality *q, const struct value *a, const struct value *b, const struct type *t)
{
	struct lowerer *l = q->l;
	uint16_t before = l->next_reg, order = reg_new(l), x = emit_addr(l, a->reg, a->offset),
		 y = emit_addr(l, b->reg, b->offset);
	uint16_t n = emit_const(l, (int64_t)t->size);

	emit_mem_order_to(l, order, x, y, n);
	emit_not_to(l, q->dst, order);
	emit_jump_if0(l, q->dst, q->end);
	l->next_reg = before;
	return 0;
}

/* Field or element i of v, at offset, of type t. */
static int part_of(struct lowerer *l, const struct value *v, size_t i, uint64_t offset, const struct type *t,
		   struct value *ret)
{
	if (v->place == PLACE_LITERAL)
		return literal_part(l, v, i, t, ret);
	*ret = value_part(v, offset, t, v->expr);
	return 0;
}

static int same_fields(struct equality *q, const struct value *a, const struct value *b, const struct type *t)
{
	struct lowerer *l = q->l;
	size_t n = type_field_count(l->binary, t);
	struct type_field f;
	int r = 0;

	for (size_t i = 0; !r && i < n; i++) {
		struct value x, y;

		if (!type_field(l->binary, t, i, &f) || !f.type)
			return lower_fail(l, q->of.e, "the binary does not describe all fields of %s", t->name);
		if (f.name && !strcmp(f.name, "_"))
			continue;
		r = part_of(l, a, i, f.offset, f.type, &x);
		if (!r)
			r = part_of(l, b, i, f.offset, f.type, &y);
		if (!r)
			r = same(q, &x, &y, f.type);
	}
	return r;
}

static int same_elements(struct equality *q, const struct value *a, const struct value *b, const struct type *t)
{
	int r = 0;

	for (size_t i = 0; !r && i < t->len; i++) {
		struct value x, y;

		r = part_of(q->l, a, i, i * t->elem->size, t->elem, &x);
		if (!r)
			r = part_of(q->l, b, i, i * t->elem->size, t->elem, &y);
		if (!r)
			r = same(q, &x, &y, t->elem);
	}
	return r;
}

static int same_halves(struct equality *q, const struct value *a, const struct value *b, const struct type *t)
{
	const struct type *half = basic_type(t->kind == KIND_COMPLEX64 ? KIND_FLOAT32 : KIND_FLOAT64);
	int r = 0;

	for (uint64_t at = 0; !r && at < t->size; at += half->size) {
		struct value x = value_part(a, at, half, a->expr), y = value_part(b, at, half, b->expr);

		r = same_leaf(q, &x, &y);
	}
	return r;
}

static int same(struct equality *q, const struct value *a, const struct value *b, const struct type *t)
{
	if (a->place == PLACE_MEMORY && b->place == PLACE_MEMORY && t->size && t->size <= IR_MAX_ORDER &&
	    is_plain_memory(q->l, t))
		return same_memory(q, a, b, t);
	if (t->kind == KIND_STRUCT)
		return same_fields(q, a, b, t);
	if (t->kind == KIND_ARRAY)
		return same_elements(q, a, b, t);
	return is_complex_type(t) ? same_halves(q, a, b, t) : same_leaf(q, a, b);
}

static struct comparison as_equal(const struct comparison *q)
{
	return (struct comparison){.e = q->e, .sign = "=="};
}

int compare_parts(struct lowerer *l, const struct comparison *of, const struct value *a, const struct value *b,
		  uint16_t dst)
{
	struct equality q = {.l = l, .of = as_equal(of), .dst = is_equal_sign(of->sign) ? dst : reg_new(l)};
	int r;

	q.end = label_new(l);
	emit_const_to(l, q.dst, 1);
	r = same(&q, a, b, a->type);
	ir_emit_label(l, q.end);
	if (!r && q.dst != dst)
		emit_not_to(l, dst, q.dst);
	return r;
}

/* ---- interfaces ---- */

/* dst = whether the interface v holds a value of x's type that equals x. */
static int holds_value(struct lowerer *l, const struct comparison *q, const struct value *v, const struct value *x,
		       uint16_t dst)
{
	uint16_t word, data, wanted, end = label_new(l);
	struct value held;
	int r = value_type_word(l, v, q->e, &word);

	if (r)
		return r;
	wanted = emit_type(l, x->held->rtype);
	r = value_word(l, v, 8, 8, false, &data);
	if (r)
		return r;
	emit_bin_to(l, dst, BIN_EQ, word, wanted);
	emit_jump_if0(l, dst, end);
	held = value_held(data, x->held, q->e);
	r = compare_values(l, q, &held, x, dst);
	ir_emit_label(l, end);
	return r;
}

/* dst = whether two words of the same type, which are addresses that differ, lead to the same bytes or texts. */
static void same_held(struct lowerer *l, uint16_t type, uint16_t x, uint16_t y, uint16_t dst)
{
	uint16_t size = ir_emit_load(l, type, DESCRIPTOR_SIZE, 8, false), texts = label_new(l), end = label_new(l);
	uint16_t kind = emit_bin(l, BIN_AND, ir_emit_load(l, type, DESCRIPTOR_KIND, 1, false),
				 emit_const(l, DESCRIPTOR_KIND_MASK));
	uint16_t regular = emit_bin(l, BIN_AND, ir_emit_load(l, type, DESCRIPTOR_TFLAG, 1, false),
				    emit_const(l, DESCRIPTOR_REGULAR));
	uint16_t order = reg_new(l), x_len, y_len, x_text, y_text;

	emit_jump_if0(l, regular, texts);
	emit_mem_order_to(l, order, x, y, size);
	emit_not_to(l, dst, order);
	ir_emit_jump(l, end);
	ir_emit_label(l, texts);
	emit_require(l, emit_bin(l, BIN_EQ, kind, emit_const(l, KIND_STRING)), SLOT_UNREADABLE);
	x_text = ir_emit_load(l, x, 0, 8, false);
	x_len = ir_emit_load(l, x, 8, 8, false);
	y_text = ir_emit_load(l, y, 0, 8, false);
	y_len = ir_emit_load(l, y, 8, 8, false);
	emit_bin_to(l, dst, BIN_EQ, x_len, y_len);
	emit_jump_if0(l, dst, end);
	emit_mem_order_to(l, order, x_text, y_text, x_len);
	emit_not_to(l, dst, order);
	ir_emit_label(l, end);
}

/*
 * Two interfaces: different types differ. Pointers and the like are the data word itself. Behind other data words lie
 * values of any type: those that are equal where their bytes are, and strings, are compared; of others it is not known,
 * unless they are one and the same.
 */
static int same_interfaces(struct lowerer *l, const struct comparison *q, const struct value *a, const struct value *b,
			   uint16_t dst)
{
	uint16_t type, other, x, y, flags, differ = label_new(l), end = label_new(l);
	int r = value_type_word(l, a, q->e, &type);

	if (!r)
		r = value_type_word(l, b, q->e, &other);
	if (!r)
		r = value_word(l, a, 8, 8, false, &x);
	if (!r)
		r = value_word(l, b, 8, 8, false, &y);
	if (r)
		return r;
	emit_bin_to(l, dst, BIN_EQ, type, other);
	emit_jump_if0(l, dst, end);
	emit_jump_if0(l, type, end);
	emit_jump_if0(l, emit_bin(l, BIN_NE, x, y), end);
	flags = emit_bin(l, BIN_OR, ir_emit_load(l, type, DESCRIPTOR_KIND, 1, false),
			 ir_emit_load(l, type, DESCRIPTOR_TFLAG, 1, false));
	flags = emit_bin(l, BIN_AND, flags, emit_const(l, DESCRIPTOR_DIRECT));
	emit_jump_if0(l, flags, differ);
	emit_const_to(l, dst, 0);
	ir_emit_jump(l, end);
	ir_emit_label(l, differ);
	same_held(l, type, x, y, dst);
	ir_emit_label(l, end);
	return 0;
}

static bool is_interface(const struct value *v)
{
	return v->type && v->type->kind == KIND_INTERFACE;
}

int compare_interface(struct lowerer *l, const struct comparison *q, const struct value *a, const struct value *b,
		      uint16_t dst)
{
	struct comparison equal = as_equal(q);
	uint16_t held = is_equal_sign(q->sign) ? dst : reg_new(l);
	int r;

	if (is_interface(a) && is_interface(b))
		r = same_interfaces(l, q, a, b, held);
	else if (is_interface(a))
		r = holds_value(l, &equal, a, b, held);
	else
		r = holds_value(l, &equal, b, a, held);
	if (!r && held != dst)
		emit_not_to(l, dst, held);
	return r;
}
