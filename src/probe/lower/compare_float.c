/*
 * Comparisons of floating-point values without floating-point arithmetic, which the kernel has not: the bits of a
 * float, read as an integer, are in the order of the numbers except that negative ones run backwards, that there are
 * two zeros, and that NaNs are equal to nothing. A float32 is widened to 64 bits by a shift, which keeps all of that.
 */
#include <string.h>

#include "probe/lower/lowerer.h"

static const int64_t infinity_bits = 0x7ff0000000000000, infinity32_bits = 0x7f80000000000000;

/* An integer that orders as the number does; what the instructions below compute. */
static int64_t order_of(uint64_t bits)
{
	if (bits == 1ull << 63)
		bits = 0;
	return (int64_t)(bits >> 63 ? bits ^ (uint64_t)INT64_MAX : bits);
}

static uint16_t constant_order(struct lowerer *l, const struct constant *k, const struct type *t)
{
	double real = k->kind == EXPR_FLOAT ? k->real : k->big ? (double)(uint64_t)k->number : (double)k->number;
	float narrow = (float)real;
	uint64_t bits;
	uint32_t bits32;

	memcpy(&bits, &real, sizeof(bits));
	memcpy(&bits32, &narrow, sizeof(bits32));
	return emit_const(l, order_of(t->kind == KIND_FLOAT32 ? (uint64_t)bits32 << 32 : bits));
}

/* The order of v in *ret, and whether it is a NaN. */
static int emit_order(struct lowerer *l, const struct value *v, uint16_t *ret, uint16_t *ret_nan)
{
	bool narrow = v->type->kind == KIND_FLOAT32;
	uint16_t bits, sign, magnitude;
	int r = value_scalar(l, v, &bits);

	if (r)
		return r;
	if (narrow)
		bits = emit_bin(l, BIN_SHL, bits, emit_const(l, 32));
	magnitude = emit_bin(l, BIN_AND, bits, emit_const(l, INT64_MAX));
	*ret_nan = emit_bin(l, BIN_GT, magnitude, emit_const(l, narrow ? infinity32_bits : infinity_bits));
	bits = emit_bin(l, BIN_MUL, bits, emit_bin(l, BIN_NE, magnitude, emit_const(l, 0)));
	sign = emit_bin(l, BIN_SUB, emit_const(l, 0), emit_bin(l, BIN_SHR, bits, emit_const(l, 63)));
	*ret = emit_bin(l, BIN_XOR, bits, emit_bin(l, BIN_SHR, sign, emit_const(l, 1)));
	return 0;
}

static int one_side(struct lowerer *l, const struct value *v, const struct type *t, uint16_t *ret, uint16_t *ret_nan)
{
	if (v->place != PLACE_CONST)
		return emit_order(l, v, ret, ret_nan);
	*ret_nan = emit_const(l, 0);
	*ret = constant_order(l, &v->constant, t);
	return 0;
}

int compare_floats(struct lowerer *l, enum ir_bin bin, const struct value *a, const struct value *b, uint16_t dst)
{
	const struct type *t = a->type ? a->type : b->type;
	uint16_t x, y, nan_x, nan_y, order, nan;
	int r;

	r = one_side(l, a, t, &x, &nan_x);
	if (!r)
		r = one_side(l, b, t, &y, &nan_y);
	if (r)
		return r;
	order = emit_bin(l, bin, x, y);
	nan = emit_bin(l, BIN_OR, nan_x, nan_y);
	if (bin == BIN_NE)
		emit_bin_to(l, dst, BIN_OR, order, nan);
	else
		emit_bin_to(l, dst, BIN_GT, order, nan);
	return 0;
}
