/* Constants and integer arithmetic, at the width of Go's types. */
#include "probe/compiler.h"

#include <math.h>
#include <string.h>

#include "base/wide.h"

/* ---- constants ---- */

struct value const_value(const struct expr *e, enum expr_op op, int64_t number)
{
	return (struct value){.place = PLACE_CONST, .expr = e, .constant = op, .number = number};
}

struct value reg_value(const struct expr *e, uint16_t reg, enum type_kind kind)
{
	return (struct value){.place = PLACE_REG, .type = basic_type(kind), .expr = e, .reg = reg};
}

static bool fits(const struct value *v, const struct type *t)
{
	unsigned bits = (unsigned)t->size * 8;

	if (v->big)
		return !type_is_signed(t) && bits == 64;
	if (type_is_signed(t))
		return bits == 64 || (v->number >= -(1ll << (bits - 1)) && v->number < 1ll << (bits - 1));
	return v->number >= 0 && (bits == 64 || v->number < 1ll << bits);
}

static bool same_kind(const struct value *v, const struct type *t)
{
	switch (v->constant) {
	case EXPR_INT:
		return type_is_integer(t);
	case EXPR_BOOL:
		return t->kind == KIND_BOOL;
	case EXPR_STRING:
		return t->kind == KIND_STRING;
	default:
		return false;
	}
}

int const_convert(struct compiler *c, const struct value *v, const struct type *t, struct value *ret)
{
	struct value k = *v;

	if (k.constant == EXPR_FLOAT && type_is_integer(t)) {
		if (k.real != trunc(k.real) || fabs(k.real) >= 9e18)
			return fail(c, v->expr, "%g is no %s", k.real, t->name);
		k.constant = EXPR_INT;
		k.number = (int64_t)k.real;
	}
	if (!same_kind(&k, t))
		return fail(c, v->expr, "a %s cannot be used as a %s", type_text(c, v), t->name);
	if (k.constant == EXPR_INT && !fits(&k, t))
		return fail(c, v->expr, "%s does not fit into a %s", expr_text(c, v->expr), t->name);
	k.type = t;
	*ret = k;
	return 0;
}

/* ---- arithmetic ---- */

static const struct {
	const char *text;
	enum ir_bin bin;
} arithmetic[] = {{"+", BIN_ADD}, {"-", BIN_SUB}, {"*", BIN_MUL},  {"&", BIN_AND},
		  {"|", BIN_OR},  {"^", BIN_XOR}, {"<<", BIN_SHL}, {">>", BIN_SHR}};

static enum ir_bin arithmetic_bin(const struct expr *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(arithmetic); i++)
		if (!strcmp(arithmetic[i].text, e->text))
			return arithmetic[i].bin;
	return BIN_ADD;
}

/* Cuts a 64-bit result to the width of its type, as Go's arithmetic wraps. */
uint16_t emit_narrow(struct compiler *c, uint16_t reg, const struct type *t)
{
	unsigned bits = (unsigned)t->size * 8;
	uint16_t sign;

	if (bits == 64)
		return reg;
	reg = emit_bin(c, BIN_AND, reg, emit_const(c, (1ll << bits) - 1));
	if (!type_is_signed(t))
		return reg;
	sign = emit_const(c, 1ll << (bits - 1));
	return emit_bin(c, BIN_SUB, emit_bin(c, BIN_XOR, reg, sign), sign);
}

static int128 wide_const(const struct value *v)
{
	return wide_of((uint64_t)v->number, v->big);
}

/* Constants are those of int64 and of uint64. Two of them cannot overflow 128 bits, but by a product or a shift. */
static int fold_int(struct compiler *c, const struct expr *e, const struct value *a,
		    const struct value *b, struct value *ret)
{
	int128 x = wide_const(a), y = wide_const(b), out = 0;
	bool overflow = false;

	switch (arithmetic_bin(e)) {
	case BIN_ADD:
		out = x + y;
		break;
	case BIN_SUB:
		out = x - y;
		break;
	case BIN_MUL:
		overflow = __builtin_mul_overflow(x, y, &out);
		break;
	case BIN_AND:
		out = x & y;
		break;
	case BIN_OR:
		out = x | y;
		break;
	case BIN_XOR:
		out = x ^ y;
		break;
	case BIN_SHL:
		overflow = y < 0 || y > 63 || __builtin_mul_overflow(x, (int128)1 << (y & 63), &out);
		break;
	default:
		overflow = y < 0;
		out = x >> (int)MIN(y & 0x7fffffff, 127);
		break;
	}
	if (overflow || out < INT64_MIN || out > (int128)UINT64_MAX)
		return fail(c, e, "this constant does not fit into 64 bits");
	*ret = const_value(e, EXPR_INT, (int64_t)out);
	ret->big = out > INT64_MAX;
	ret->type = a->type ? a->type : b->type;
	return ret->type ? const_convert(c, ret, ret->type, ret) : 0;
}

/* Gives an untyped constant operand the other one's type and refuses what Go would. */
static int agree(struct compiler *c, const struct expr *e, struct value *a, struct value *b)
{
	int r = 0;

	if (a->place == PLACE_CONST && b->type && !a->type)
		r = const_convert(c, a, b->type, a);
	else if (b->place == PLACE_CONST && a->type && !b->type)
		r = const_convert(c, b, a->type, b);
	if (r)
		return r;
	for (int i = 0; i < 2; i++) {
		const struct value *v = i ? b : a;

		if (v->type ? !type_is_integer(v->type) : v->constant != EXPR_INT)
			return fail(c, e, "`%s` works on integers; %s is a %s", e->text,
				    expr_text(c, v->expr), type_text(c, v));
	}
	if (a->type && b->type && type_is_signed(a->type) != type_is_signed(b->type))
		return fail(c, e, "mismatched types %s and %s; convert one, as in int64(x)",
			    a->type->name, b->type->name);
	return 0;
}

/* x >> n of a signed value by shifts that bring zeros in. */
static uint16_t shift_signed(struct compiler *c, uint16_t x, uint16_t count, int64_t n)
{
	uint16_t sign = emit_const(c, (int64_t)(1ull << (63 - n)));
	uint16_t shifted = emit_bin(c, BIN_SHR, x, count);

	return emit_bin(c, BIN_SUB, emit_bin(c, BIN_XOR, shifted, sign), sign);
}

static int shift(struct compiler *c, const struct expr *e, const struct value *a,
		 const struct value *b, struct value *ret)
{
	uint16_t x, count, out;
	int r;

	if (b->place != PLACE_CONST || b->constant != EXPR_INT || b->number < 0 || b->number > 63)
		return fail(c, b->expr, "a shift count is a constant from 0 to 63");
	if (!a->type || !type_is_integer(a->type))
		return fail(c, e, "`%s` works on integers; %s is a %s", e->text,
			    expr_text(c, a->expr), type_text(c, a));
	r = value_scalar(c, a, &x);
	if (r)
		return r;
	count = emit_const(c, b->number);
	if (*e->text == '>' && type_is_signed(a->type))
		out = shift_signed(c, x, count, b->number);
	else
		out = emit_bin(c, *e->text == '<' ? BIN_SHL : BIN_SHR, x, count);
	*ret = reg_value(e, emit_narrow(c, out, a->type), KIND_INT);
	ret->type = a->type;
	return 0;
}

int eval_arithmetic(struct compiler *c, const struct expr *e, struct value *ret)
{
	bool shifts = !strcmp(e->text, "<<") || !strcmp(e->text, ">>");
	struct value a, b;
	uint16_t x, y;
	int r = eval(c, e->a, &a);

	if (!r)
		r = eval(c, e->b, &b);
	if (!r && shifts && a.place != PLACE_CONST)
		return shift(c, e, &a, &b, ret);
	if (!r)
		r = agree(c, e, &a, &b);
	if (!r && a.place == PLACE_CONST && b.place == PLACE_CONST)
		return fold_int(c, e, &a, &b, ret);
	if (!r && shifts)
		r = fail(c, e->b, "a shift count is a constant from 0 to 63");
	if (!r)
		r = value_scalar(c, &a, &x);
	if (!r)
		r = value_scalar(c, &b, &y);
	if (r)
		return r;
	*ret = reg_value(e, emit_narrow(c, emit_bin(c, arithmetic_bin(e), x, y), a.type), KIND_INT);
	ret->type = a.type;
	return 0;
}

int eval_negation(struct compiler *c, const struct expr *e, struct value *ret)
{
	struct value a;
	uint16_t x;
	int r = eval(c, e->a, &a);

	if (r)
		return r;
	if (a.place == PLACE_CONST && a.constant == EXPR_FLOAT) {
		*ret = a;
		ret->expr = e;
		ret->real = -a.real;
		return 0;
	}
	if (a.place == PLACE_CONST && a.constant == EXPR_INT) {
		/* -9223372036854775808 is the one negative number whose digits alone do not fit */
		if (a.big && (uint64_t)a.number != 1ull << 63)
			return fail(c, e, "this constant does not fit into 64 bits");
		*ret = const_value(e, EXPR_INT, (int64_t)(0 - (uint64_t)a.number));
		return a.type ? const_convert(c, ret, a.type, ret) : 0;
	}
	if (!a.type || !type_is_integer(a.type))
		return fail(c, e, "`-` works on integers; %s is a %s", expr_text(c, e->a), type_text(c, &a));
	r = value_scalar(c, &a, &x);
	if (r)
		return r;
	*ret = reg_value(e, emit_narrow(c, emit_bin(c, BIN_SUB, emit_const(c, 0), x), a.type), KIND_INT);
	ret->type = a.type;
	return 0;
}
