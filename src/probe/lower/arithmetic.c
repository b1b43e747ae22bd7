/* Integer arithmetic, at the width of Go's types. */
#include "probe/lower/lowerer.h"

#include <string.h>

static const struct {
	const char *text;
	enum ir_bin bin;
} arithmetic[] = {{"+", BIN_ADD}, {"-", BIN_SUB}, {"*", BIN_MUL},  {"&", BIN_AND},  {"|", BIN_OR},
		  {"^", BIN_XOR}, {"/", BIN_DIV}, {"%", BIN_MOD},  {"<<", BIN_SHL}, {">>", BIN_SHR}};

static enum ir_bin arithmetic_bin(const char *sign)
{
	for (size_t i = 0; i < ARRAY_SIZE(arithmetic); i++)
		if (!strcmp(arithmetic[i].text, sign))
			return arithmetic[i].bin;
	return BIN_ADD;
}

/* Cuts a 64-bit result to the width of its type, as Go's arithmetic wraps. */
uint16_t emit_narrow(struct lowerer *l, uint16_t reg, const struct type *t)
{
	unsigned bits = (unsigned)t->size * 8;
	uint16_t sign;

	if (bits == 64)
		return reg;
	reg = emit_bin(l, BIN_AND, reg, emit_const(l, (1ll << bits) - 1));
	if (!type_is_signed(t))
		return reg;
	sign = emit_const(l, 1ll << (bits - 1));
	return emit_bin(l, BIN_SUB, emit_bin(l, BIN_XOR, reg, sign), sign);
}

/* ---- shifts ---- */

/* x >> n of a signed value by shifts that bring zeros in. */
static uint16_t shift_signed(struct lowerer *l, uint16_t x, uint16_t count, int64_t n)
{
	uint16_t sign = emit_const(l, (int64_t)(1ull << (63 - n)));
	uint16_t shifted = emit_bin(l, BIN_SHR, x, count);

	return emit_bin(l, BIN_SUB, emit_bin(l, BIN_XOR, shifted, sign), sign);
}

/* Go's shifts by any count: those of the width and more shift everything out, negative ones are a panic. */
static int shift_by(struct lowerer *l, const struct bound *n, const struct value *a, const struct value *b,
		    uint16_t *ret)
{
	uint16_t x, count, fits, sign, out;
	int r = value_scalar(l, a, &x);

	if (!r)
		r = value_scalar(l, b, &count);
	if (r)
		return r;
	if (type_is_signed(b->type))
		emit_require(l, emit_bin(l, BIN_GE, count, emit_const(l, 0)), SLOT_RANGE);
	fits = emit_bin(l, BIN_ULT, count, emit_const(l, 64));
	if (*n->sign == '>' && type_is_signed(n->type)) {
		sign = emit_bin(l, BIN_SUB, emit_const(l, 0), emit_bin(l, BIN_SHR, x, emit_const(l, 63)));
		out = emit_bin(l, BIN_SHR, emit_bin(l, BIN_XOR, x, sign), count);
		out = emit_bin(l, BIN_XOR, emit_bin(l, BIN_MUL, out, fits), sign);
	} else {
		out = emit_bin(l, BIN_MUL, emit_bin(l, arithmetic_bin(n->sign), x, count), fits);
	}
	*ret = out;
	return 0;
}

static int shift(struct lowerer *l, const struct bound *n, const struct value *a, const struct value *b, uint16_t *ret)
{
	uint16_t x, count;
	int r;

	if (b->place != PLACE_CONST || b->constant.number > 63)
		return shift_by(l, n, a, b, ret);
	r = value_scalar(l, a, &x);
	if (r)
		return r;
	count = emit_const(l, b->constant.number);
	*ret = *n->sign == '>' && type_is_signed(n->type) ? shift_signed(l, x, count, b->constant.number)
							   : emit_bin(l, arithmetic_bin(n->sign), x, count);
	return 0;
}

/* ---- the others ---- */

/* All ones where x is negative, else 0. */
static uint16_t sign_of(struct lowerer *l, uint16_t x)
{
	return emit_bin(l, BIN_SUB, emit_const(l, 0), emit_bin(l, BIN_SHR, x, emit_const(l, 63)));
}

static uint16_t with_sign(struct lowerer *l, uint16_t x, uint16_t sign)
{
	return emit_bin(l, BIN_SUB, emit_bin(l, BIN_XOR, x, sign), sign);
}

/*
 * Signed division by the unsigned one, rounded to zero; the remainder has the sign of x. The least number
 * by -1 is itself.
 */
static uint16_t divide(struct lowerer *l, enum ir_bin bin, const struct type *t, uint16_t x, uint16_t y)
{
	uint16_t sign_x, sign_y, out;

	if (!type_is_signed(t))
		return emit_bin(l, bin, x, y);
	sign_x = sign_of(l, x);
	sign_y = sign_of(l, y);
	out = emit_bin(l, bin, with_sign(l, x, sign_x), with_sign(l, y, sign_y));
	return with_sign(l, out, bin == BIN_MOD ? sign_x : emit_bin(l, BIN_XOR, sign_x, sign_y));
}

static int calculate(struct lowerer *l, const struct bound *n, const struct value *a, const struct value *b,
		     uint16_t *ret)
{
	enum ir_bin bin = arithmetic_bin(n->sign);
	uint16_t x, y;
	int r = value_scalar(l, a, &x);

	if (!r)
		r = value_scalar(l, b, &y);
	if (r)
		return r;
	if (!strcmp(n->sign, "&^"))
		*ret = emit_bin(l, BIN_AND, x, emit_bin(l, BIN_XOR, y, emit_const(l, -1)));
	else
		*ret = bin == BIN_DIV || bin == BIN_MOD ? divide(l, bin, n->type, x, y) : emit_bin(l, bin, x, y);
	return 0;
}

int lower_arithmetic(struct lowerer *l, const struct bound *n, struct value *ret)
{
	struct value a, b;
	uint16_t out;
	int r = lower(l, n->a, &a);

	if (!r)
		r = lower(l, n->b, &b);
	if (r || n->constant)
		return r;
	r = n->op == BOUND_SHIFT ? shift(l, n, &a, &b, &out) : calculate(l, n, &a, &b, &out);
	if (!r)
		*ret = value_reg(n->expr, emit_narrow(l, out, n->type), n->type);
	return r;
}

/* The word of the only operand; none is needed where the result is constant. */
static int lower_operand(struct lowerer *l, const struct bound *n, uint16_t *ret)
{
	struct value a;
	int r = lower(l, n->a, &a);

	return r || n->constant ? r : value_scalar(l, &a, ret);
}

int lower_complement(struct lowerer *l, const struct bound *n, struct value *ret)
{
	uint16_t x;
	int r = lower_operand(l, n, &x);

	if (r || n->constant)
		return r;
	*ret = value_reg(n->expr, emit_narrow(l, emit_bin(l, BIN_XOR, x, emit_const(l, -1)), n->type), n->type);
	return 0;
}

/* -x of a float changes one bit. */
int lower_negate(struct lowerer *l, const struct bound *n, struct value *ret)
{
	uint16_t x;
	int r = lower_operand(l, n, &x);

	if (r || n->constant)
		return r;
	if (type_is_float(n->type))
		x = emit_bin(l, BIN_XOR, x,
			     emit_const(l, (int64_t)(1ull << (n->type->kind == KIND_FLOAT32 ? 31 : 63))));
	else
		x = emit_narrow(l, emit_bin(l, BIN_SUB, emit_const(l, 0), x), n->type);
	*ret = value_reg(n->expr, x, n->type);
	return 0;
}
