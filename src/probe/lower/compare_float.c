/*
 * Comparisons of floating-point values without floating-point arithmetic, which the kernel has not: the bits of a
 * float, read as an integer, are in the order of the numbers except that negative ones run backwards, that there are
 * two zeros, and that NaNs are equal to nothing. A float32 is widened to 64 bits by a shift, which keeps all of that.
 */
#include <math.h>
#include <string.h>

#include "probe/lower/compiler.h"

static const int64_t infinity_bits = 0x7ff0000000000000, infinity32_bits = 0x7f80000000000000;

/* An integer that orders as the number does; what the instructions below compute. */
static int64_t order_of(uint64_t bits)
{
	if (bits == 1ull << 63)
		bits = 0;
	return (int64_t)(bits >> 63 ? bits ^ (uint64_t)INT64_MAX : bits);
}

static int constant_order(struct compiler *c, const struct value *v, const struct type *t, uint16_t *ret)
{
	double real = v->constant == EXPR_FLOAT ? v->real : v->big ? (double)(uint64_t)v->number : (double)v->number;
	float narrow = (float)real;
	uint64_t bits;
	uint32_t bits32;

	if (v->constant != EXPR_FLOAT && v->constant != EXPR_INT)
		return fail(c, v->expr, "%s cannot be used as %s", type_with_article(c, v),
			    with_article(c->arena, t->name));
	if (t->kind == KIND_FLOAT32 && isinf(narrow))
		return fail(c, v->expr, "%s does not fit into %s", expr_text(c, v->expr),
			    with_article(c->arena, t->name));
	memcpy(&bits, &real, sizeof(bits));
	memcpy(&bits32, &narrow, sizeof(bits32));
	*ret = emit_const(c, order_of(t->kind == KIND_FLOAT32 ? (uint64_t)bits32 << 32 : bits));
	return 0;
}

/* The order of v in *ret, and whether it is a NaN. */
static int emit_order(struct compiler *c, const struct value *v, uint16_t *ret, uint16_t *ret_nan)
{
	bool narrow = v->type->kind == KIND_FLOAT32;
	uint16_t bits, sign, magnitude;
	int r = value_scalar(c, v, &bits);

	if (r)
		return r;
	if (narrow)
		bits = emit_bin(c, BIN_SHL, bits, emit_const(c, 32));
	magnitude = emit_bin(c, BIN_AND, bits, emit_const(c, INT64_MAX));
	*ret_nan = emit_bin(c, BIN_GT, magnitude, emit_const(c, narrow ? infinity32_bits : infinity_bits));
	bits = emit_bin(c, BIN_MUL, bits, emit_bin(c, BIN_NE, magnitude, emit_const(c, 0)));
	sign = emit_bin(c, BIN_SUB, emit_const(c, 0), emit_bin(c, BIN_SHR, bits, emit_const(c, 63)));
	*ret = emit_bin(c, BIN_XOR, bits, emit_bin(c, BIN_SHR, sign, emit_const(c, 1)));
	return 0;
}

static int one_side(struct compiler *c, const struct value *v, const struct type *t, uint16_t *ret, uint16_t *ret_nan)
{
	if (v->place != PLACE_CONST)
		return emit_order(c, v, ret, ret_nan);
	*ret_nan = emit_const(c, 0);
	return constant_order(c, v, t, ret);
}

int compare_floats(struct compiler *c, const struct expr *e, enum ir_bin bin, const struct value *a,
		   const struct value *b, uint16_t dst)
{
	const struct type *t = a->type ? a->type : b->type;
	uint16_t x, y, nan_x, nan_y, order, nan;
	int r;

	if ((a->type && !type_is_float(a->type)) || (b->type && !type_is_float(b->type)) ||
	    (a->type && b->type && a->type->kind != b->type->kind))
		return fail(c, e, "mismatched types %s and %s", type_text(c, a), type_text(c, b));
	r = one_side(c, a, t, &x, &nan_x);
	if (!r)
		r = one_side(c, b, t, &y, &nan_y);
	if (r)
		return r;
	order = emit_bin(c, bin, x, y);
	nan = emit_bin(c, BIN_OR, nan_x, nan_y);
	if (bin == BIN_NE)
		emit_bin_to(c, dst, BIN_OR, order, nan);
	else
		emit_bin_to(c, dst, BIN_GT, order, nan);
	return 0;
}
