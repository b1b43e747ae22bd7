/*
 * == of what has parts (structs, arrays, complex numbers): of each part, until one differs. And of interfaces: they are
 * equal when they hold the same type and equal values of it, as in Go.
 */
#include "probe/lower/compiler.h"

#include <string.h>

enum { MAX_LEAVES = 64 };

/* A run over two values' parts; all that differ go to `end` with dst 0. */
struct equality {
	struct compiler *c;
	const struct expr *e;   /* of the comparison, as == */
	uint16_t dst, end;
	unsigned leaves;
};

static bool is_complex(const struct type *t)
{
	return t->kind == KIND_COMPLEX64 || t->kind == KIND_COMPLEX128;
}

bool has_parts(const struct value *v)
{
	return v->type && (v->type->kind == KIND_STRUCT || v->type->kind == KIND_ARRAY || is_complex(v->type));
}

static bool is_plain_struct(struct compiler *c, const struct type *t)
{
	uint64_t at = 0;
	struct type_field f;

	for (size_t i = 0; i < type_field_count(c->binary, t); i++) {
		if (!type_field(c->binary, t, i, &f) || !f.type || f.offset != at || (f.name && !strcmp(f.name, "_")) ||
		    !is_plain_memory(c, f.type))
			return false;
		at += f.type->size;
	}
	return at == t->size;
}

bool is_plain_memory(struct compiler *c, const struct type *t)
{
	if (t->kind == KIND_ARRAY)
		return t->elem && is_plain_memory(c, t->elem);
	if (t->kind == KIND_STRUCT)
		return is_plain_struct(c, t);
	return type_is_integer(t) || t->kind == KIND_BOOL || t->kind == KIND_POINTER || t->kind == KIND_CHAN ||
	       t->kind == KIND_UNSAFE_POINTER;
}

/* dst = 1 so far; to the end with 0 when a and b differ. */
static int same(struct equality *q, struct value *a, struct value *b, const struct type *t);

static int same_leaf(struct equality *q, struct value *a, struct value *b)
{
	struct compiler *c = q->c;
	uint16_t before = c->next_reg, dst = reg_new(c);
	struct value v;
	int r;

	if (q->leaves++ == MAX_LEAVES)
		return fail(c, q->e, "these values have more than %d parts: compare those that matter", MAX_LEAVES);
	r = compare_values(c, q->e, a, b, dst, &v);
	if (!r && v.place == PLACE_CONST)
		emit_const_to(c, dst, v.number);
	if (!r) {
		emit_move(c, q->dst, dst);
		emit_jump_if0(c, q->dst, q->end);
	}
	c->next_reg = before;
	return r;
}

static uint16_t address_of(struct compiler *c, const struct value *v)
{
	uint16_t dst = reg_new(c);
	struct ir_insn *i = emit(c, IR_ADDR);

	i->dst = dst;
	i->a = v->reg;
	i->imm = (int64_t)v->offset;
	return dst;
}

static int same_memory(struct equality *q, const struct value *a, const struct value *b, const struct type *t)
{
	struct compiler *c = q->c;
	uint16_t before = c->next_reg, order = reg_new(c), x = address_of(c, a), y = address_of(c, b);
	uint16_t n = emit_const(c, (int64_t)t->size);
	struct ir_insn *i = emit(c, IR_MEM_ORDER);

	i->dst = order;
	i->a = x;
	i->b = y;
	i->c = n;
	emit_not_to(c, q->dst, order);
	emit_jump_if0(c, q->dst, q->end);
	c->next_reg = before;
	return 0;
}

static int field_of(struct compiler *c, const struct value *v, size_t i, const struct type_field *f, struct value *ret)
{
	if (v->place == PLACE_LITERAL)
		return literal_field(c, v, i, f, ret);
	*ret = value_part(v, f->offset, f->type, v->expr);
	return 0;
}

static int same_fields(struct equality *q, const struct value *a, const struct value *b, const struct type *t)
{
	struct compiler *c = q->c;
	size_t n = type_field_count(c->binary, t);
	struct type_field f;
	int r = 0;

	for (size_t i = 0; !r && i < n; i++) {
		struct value x, y;

		if (!type_field(c->binary, t, i, &f) || !f.type)
			return fail(c, q->e, "the binary does not describe all fields of %s", t->name);
		if (f.name && !strcmp(f.name, "_"))
			continue;
		r = field_of(c, a, i, &f, &x);
		if (!r)
			r = field_of(c, b, i, &f, &y);
		if (!r)
			r = same(q, &x, &y, f.type);
	}
	return r;
}

static int element_of(struct compiler *c, const struct value *v, size_t i, struct value *ret)
{
	if (v->place == PLACE_LITERAL)
		return literal_element(c, v, i, ret);
	*ret = value_part(v, i * v->type->elem->size, v->type->elem, v->expr);
	return 0;
}

static int same_elements(struct equality *q, const struct value *a, const struct value *b, const struct type *t)
{
	int r = 0;

	for (size_t i = 0; !r && i < t->len; i++) {
		struct value x, y;

		r = element_of(q->c, a, i, &x);
		if (!r)
			r = element_of(q->c, b, i, &y);
		if (!r)
			r = same(q, &x, &y, t->elem);
	}
	return r;
}

static int same_halves(struct equality *q, struct value *a, struct value *b, const struct type *t)
{
	const struct type *half = basic_type(t->kind == KIND_COMPLEX64 ? KIND_FLOAT32 : KIND_FLOAT64);
	int r = 0;

	if (a->place == PLACE_CONST || b->place == PLACE_CONST)
		return fail(q->c, q->e, "a complex number can be compared with another one only");
	for (uint64_t at = 0; !r && at < t->size; at += half->size) {
		struct value x = value_part(a, at, half, a->expr), y = value_part(b, at, half, b->expr);

		r = same_leaf(q, &x, &y);
	}
	return r;
}

static int same(struct equality *q, struct value *a, struct value *b, const struct type *t)
{
	if (t->kind == KIND_SLICE || t->kind == KIND_MAP || t->kind == KIND_FUNC)
		return fail(q->c, q->e, "%s: Go compares no %s", t->name, type_kind_name(t->kind));
	if (a->place == PLACE_MEMORY && b->place == PLACE_MEMORY && t->size && t->size <= IR_MAX_ORDER &&
	    is_plain_memory(q->c, t))
		return same_memory(q, a, b, t);
	if (t->kind == KIND_STRUCT)
		return same_fields(q, a, b, t);
	if (t->kind == KIND_ARRAY)
		return same_elements(q, a, b, t);
	return is_complex(t) ? same_halves(q, a, b, t) : same_leaf(q, a, b);
}

static const struct expr *as_equal(struct compiler *c, const struct expr *e)
{
	struct expr *equal = arena_new(c->arena, struct expr);

	*equal = *e;
	equal->op = EXPR_BINARY;
	equal->text = "==";
	equal->len = 2;
	return equal;
}

int compare_parts(struct compiler *c, const struct expr *e, const struct value *a, const struct value *b, uint16_t dst)
{
	struct equality q = {.c = c, .e = as_equal(c, e), .dst = is_equal(e) ? dst : reg_new(c)};
	struct value x = *a, y = *b;
	int r;

	if (!is_equality(e))
		return only_equality(c, e, has_parts(a) ? a : b);
	if (!a->type || !b->type || a->type->kind != b->type->kind || a->type->size != b->type->size ||
	    strcmp(a->type->name, b->type->name))
		return fail(c, e, "%s cannot be compared with %s", type_with_article(c, a), type_with_article(c, b));
	if (x.place == PLACE_LITERAL && y.place == PLACE_LITERAL)
		return fail(c, e, "two literals are compared; a value is expected on one side");
	q.end = label_new(c);
	emit_const_to(c, q.dst, 1);
	r = same(&q, &x, &y, a->type);
	ir_emit_label(c, q.end);
	if (!r && q.dst != dst)
		emit_not_to(c, dst, q.dst);
	return r;
}

/* ---- interfaces ---- */

/* The type that Go gives a constant where nothing else does; NULL for nil. */
static const struct type *default_type(const struct value *v)
{
	if (v->type)
		return v->type;
	switch (v->constant) {
	case EXPR_INT:
		return basic_type(v->big ? KIND_UINT64 : KIND_INT);
	case EXPR_FLOAT:
		return basic_type(KIND_FLOAT64);
	case EXPR_STRING:
		return basic_type(KIND_STRING);
	case EXPR_BOOL:
		return basic_type(KIND_BOOL);
	default:
		return NULL;
	}
}

/* dst = whether the interface v holds a value of x's type that equals x. */
static int holds_value(struct compiler *c, const struct expr *e, const struct value *v, struct value *x, uint16_t dst)
{
	const struct type *t = default_type(x);
	uint16_t word, data, wanted, end = label_new(c);
	struct value held, constant;
	int r = value_type_word(c, v, e, &word);

	if (!r)
		r = emit_type(c, e, t->name, &wanted, &t);
	if (!r)
		r = value_word(c, v, 8, 8, false, &data);
	if (r)
		return r;
	emit_bin_to(c, dst, BIN_EQ, word, wanted);
	emit_jump_if0(c, dst, end);
	held = value_memory(data, t, e);
	if (t->direct_iface)
		held.place = PLACE_REG;
	r = compare_values(c, e, &held, x, dst, &constant);
	ir_emit_label(c, end);
	return r;
}

/* dst = whether two words of the same type, which are addresses that differ, lead to the same bytes or texts. */
static void same_held(struct compiler *c, uint16_t type, uint16_t x, uint16_t y, uint16_t dst)
{
	uint16_t size = ir_emit_load(c, type, DESCRIPTOR_SIZE, 8, false), texts = label_new(c), end = label_new(c);
	uint16_t kind = emit_bin(c, BIN_AND, ir_emit_load(c, type, DESCRIPTOR_KIND, 1, false),
				 emit_const(c, DESCRIPTOR_KIND_MASK));
	uint16_t regular = emit_bin(c, BIN_AND, ir_emit_load(c, type, DESCRIPTOR_TFLAG, 1, false),
				    emit_const(c, DESCRIPTOR_REGULAR));
	uint16_t order = reg_new(c), x_len, y_len, x_text, y_text;
	struct ir_insn *i;

	emit_jump_if0(c, regular, texts);
	i = emit(c, IR_MEM_ORDER);
	i->dst = order;
	i->a = x;
	i->b = y;
	i->c = size;
	emit_not_to(c, dst, order);
	ir_emit_jump(c, end);
	ir_emit_label(c, texts);
	emit_require(c, emit_bin(c, BIN_EQ, kind, emit_const(c, KIND_STRING)), SLOT_UNREADABLE);
	x_text = ir_emit_load(c, x, 0, 8, false);
	x_len = ir_emit_load(c, x, 8, 8, false);
	y_text = ir_emit_load(c, y, 0, 8, false);
	y_len = ir_emit_load(c, y, 8, 8, false);
	emit_bin_to(c, dst, BIN_EQ, x_len, y_len);
	emit_jump_if0(c, dst, end);
	i = emit(c, IR_MEM_ORDER);
	i->dst = order;
	i->a = x_text;
	i->b = y_text;
	i->c = x_len;
	emit_not_to(c, dst, order);
	ir_emit_label(c, end);
}

/*
 * Two interfaces: different types differ. Pointers and the like are the data word itself. Behind other data words lie
 * values of any type: those that are equal where their bytes are, and strings, are compared; of others it is not known,
 * unless they are one and the same.
 */
static int same_interfaces(struct compiler *c, const struct expr *e, const struct value *a, const struct value *b,
			   uint16_t dst)
{
	uint16_t type, other, x, y, flags, differ = label_new(c), end = label_new(c);
	int r = value_type_word(c, a, e, &type);

	if (!r)
		r = value_type_word(c, b, e, &other);
	if (!r)
		r = value_word(c, a, 8, 8, false, &x);
	if (!r)
		r = value_word(c, b, 8, 8, false, &y);
	if (r)
		return r;
	emit_bin_to(c, dst, BIN_EQ, type, other);
	emit_jump_if0(c, dst, end);
	emit_jump_if0(c, type, end);
	emit_jump_if0(c, emit_bin(c, BIN_NE, x, y), end);
	flags = emit_bin(c, BIN_OR, ir_emit_load(c, type, DESCRIPTOR_KIND, 1, false),
			 ir_emit_load(c, type, DESCRIPTOR_TFLAG, 1, false));
	flags = emit_bin(c, BIN_AND, flags, emit_const(c, DESCRIPTOR_DIRECT));
	emit_jump_if0(c, flags, differ);
	emit_const_to(c, dst, 0);
	ir_emit_jump(c, end);
	ir_emit_label(c, differ);
	same_held(c, type, x, y, dst);
	ir_emit_label(c, end);
	return 0;
}

static bool is_interface(const struct value *v)
{
	return v->type && v->type->kind == KIND_INTERFACE;
}

int compare_interface(struct compiler *c, const struct expr *e, const struct value *a, const struct value *b,
		      uint16_t dst)
{
	const struct expr *equal = as_equal(c, e);
	uint16_t held = is_equal(e) ? dst : reg_new(c);
	struct value other = is_interface(a) ? *b : *a;
	const struct value *v = is_interface(a) ? a : b;
	int r;

	if (!is_equality(e))
		return only_equality(c, e, v);
	if (v->type && !strcmp(v->type->name, "error") && is_text(&other))
		return fail(c, e, "the text of an error can be asked for in the condition of a traced call only, with "
				  "a constant");
	if (is_interface(a) && is_interface(b))
		r = same_interfaces(c, e, a, b, held);
	else
		r = holds_value(c, equal, v, &other, held);
	if (!r && held != dst)
		emit_not_to(c, dst, held);
	return r;
}
