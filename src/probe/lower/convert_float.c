/*
 * Conversions between integers and floating-point numbers, and of these among themselves, by integer operations alone:
 * the kernel has no others, and a patched program's floating-point registers are not ours. Rounding is to nearest, ties
 * to even, as the CPU does it for Go. What Go leaves to the implementation (a NaN, a number that does not fit) has no
 * value here: the condition is counted as unreadable.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "probe/lower/compiler.h"

struct format {
	unsigned mantissa, bias, bits;
	int64_t infinity;
};
static const struct format format32 = {23, 127, 32, 0x7f800000}, format64 = {52, 1023, 64, 0x7ff0000000000000};

static const struct format *format_of(const struct type *t)
{
	return t->kind == KIND_FLOAT32 ? &format32 : &format64;
}

static uint16_t bin_imm(struct compiler *c, enum ir_bin bin, uint16_t a, int64_t imm)
{
	uint16_t dst = reg_new(c), b = emit_const(c, imm);

	emit_bin_to(c, dst, bin, a, b);
	c->next_reg = b; /* the constant's is free again */
	return dst;
}

/* One result of many steps: its register is `dst`, all that were made since are free again. */
static uint16_t settle(struct compiler *c, uint16_t dst, uint16_t value)
{
	emit_move(c, dst, value);
	c->next_reg = (uint16_t)(dst + 1);
	return dst;
}

/* The number of the highest bit of x, which is not 0. */
static uint16_t emit_log2(struct compiler *c, uint16_t x)
{
	uint16_t sum = emit_const(c, 0), rest = reg_new(c), k = reg_new(c), next = reg_new(c), n = reg_new(c),
		 big = reg_new(c);

	emit_move(c, rest, x);
	for (int step = 32; step; step /= 2) {
		emit_const_to(c, n, step);
		emit_bin_to(c, next, BIN_SHR, rest, n);
		emit_const_to(c, k, 0);
		emit_bin_to(c, big, BIN_NE, next, k);
		emit_bin_to(c, k, BIN_MUL, big, n);
		emit_bin_to(c, n, BIN_ADD, sum, k);
		emit_move(c, sum, n);
		emit_bin_to(c, next, BIN_SHR, rest, k);
		emit_move(c, rest, next);
	}
	c->next_reg = (uint16_t)(sum + 1);
	return sum;
}

/* magnitude, an unsigned integer, in the format, without a sign. */
static uint16_t emit_from_magnitude(struct compiler *c, uint16_t magnitude, const struct format *f)
{
	uint16_t dst = reg_new(c), log = emit_log2(c, magnitude), shift, top, kept, rest, up, out;
	unsigned dropped = 63 - f->mantissa;

	shift = emit_bin(c, BIN_SUB, emit_const(c, 63), log);
	top = emit_bin(c, BIN_SHL, magnitude, shift); /* the highest bit is bit 63 now */
	kept = bin_imm(c, BIN_SHR, top, dropped);
	rest = bin_imm(c, BIN_AND, top, (int64_t)((1ull << dropped) - 1));
	rest = emit_bin(c, BIN_ADD, rest, bin_imm(c, BIN_AND, kept, 1)); /* a tie goes up from an odd number only */
	up = bin_imm(c, BIN_UGT, rest, (int64_t)(1ull << (dropped - 1)));
	kept = emit_bin(c, BIN_ADD, kept, up); /* the highest bit of it counts as 1 of the exponent */
	out = bin_imm(c, BIN_SHL, bin_imm(c, BIN_ADD, log, (int64_t)f->bias - 1), f->mantissa);
	out = emit_bin(c, BIN_ADD, out, kept);
	out = emit_bin(c, BIN_MUL, out, bin_imm(c, BIN_NE, magnitude, 0));
	return settle(c, dst, out);
}

static uint16_t sign_mask(struct compiler *c, uint16_t x)
{
	return emit_bin(c, BIN_SUB, emit_const(c, 0), bin_imm(c, BIN_SHR, x, 63));
}

static uint16_t from_integer(struct compiler *c, uint16_t x, bool is_signed, const struct format *f)
{
	uint16_t dst = reg_new(c), sign, out;

	if (!is_signed)
		return settle(c, dst, emit_from_magnitude(c, x, f));
	sign = sign_mask(c, x);
	out = emit_from_magnitude(c, emit_bin(c, BIN_SUB, emit_bin(c, BIN_XOR, x, sign), sign), f);
	sign = bin_imm(c, BIN_SHL, bin_imm(c, BIN_AND, sign, 1), f->bits - 1);
	return settle(c, dst, emit_bin(c, BIN_OR, out, sign));
}

/* Every float32 is a float64; those without a leading 1 get one. */
static uint16_t widen(struct compiler *c, uint16_t x)
{
	uint16_t dst = reg_new(c), normal = label_new(c), end = label_new(c), sign, rest, special, exponent, out;

	sign = bin_imm(c, BIN_SHL, bin_imm(c, BIN_SHR, x, 31), 63);
	rest = bin_imm(c, BIN_AND, x, 0x7fffffff);
	emit_jump_if0(c, bin_imm(c, BIN_ULT, rest, 0x800000), normal);
	out = emit_from_magnitude(c, rest, &format64);
	/* units of 2^-149 */
	out = emit_bin(c, BIN_SUB, out, bin_imm(c, BIN_MUL, bin_imm(c, BIN_NE, rest, 0), 149ll << 52));
	emit_bin_to(c, dst, BIN_OR, out, sign);
	ir_emit_jump(c, end);
	ir_emit_label(c, normal);
	c->next_reg = (uint16_t)(rest + 1);
	special = bin_imm(c, BIN_UGE, rest, format32.infinity);
	exponent = bin_imm(c, BIN_ADD, bin_imm(c, BIN_MUL, special, 2047 - 255 - 896), 896);
	out = emit_bin(c, BIN_ADD, bin_imm(c, BIN_SHL, rest, 29), bin_imm(c, BIN_SHL, exponent, 52));
	emit_bin_to(c, dst, BIN_OR, out, sign);
	ir_emit_label(c, end);
	c->next_reg = (uint16_t)(dst + 1);
	return dst;
}

/* x >> n, rounded. n is 1 to 63. */
static uint16_t shift_rounded(struct compiler *c, uint16_t x, uint16_t n)
{
	uint16_t kept = emit_bin(c, BIN_SHR, x, n), one = emit_const(c, 1), bit = emit_bin(c, BIN_SHL, one, n), rest,
		 half;

	rest = emit_bin(c, BIN_AND, x, emit_bin(c, BIN_SUB, bit, one));
	half = emit_bin(c, BIN_SHR, bit, one);
	rest = emit_bin(c, BIN_ADD, rest, emit_bin(c, BIN_AND, kept, one));
	return emit_bin(c, BIN_ADD, kept, emit_bin(c, BIN_UGT, rest, half));
}

/* A float64 as a float32: what is too large becomes infinite, what is small loses digits, a NaN stays one. */
static uint16_t narrow(struct compiler *c, uint16_t x)
{
	uint16_t dst = reg_new(c), small = label_new(c), cut = label_new(c), end = label_new(c);
	uint16_t sign, rest, out, n, none, twenty_nine;

	sign = bin_imm(c, BIN_SHL, bin_imm(c, BIN_SHR, x, 63), 31);
	rest = bin_imm(c, BIN_AND, x, INT64_MAX);
	emit_jump_if0(c, bin_imm(c, BIN_GE, rest, 897ll << 52), small); /* 2^-126 */
	twenty_nine = emit_const(c, 29);
	out = bin_imm(c, BIN_SUB, shift_rounded(c, rest, twenty_nine), 896ll << 23);
	emit_bin_to(c, dst, BIN_OR, out, sign);
	emit_jump_if0(c, bin_imm(c, BIN_GE, out, format32.infinity), end);
	none = bin_imm(c, BIN_MUL, bin_imm(c, BIN_GT, rest, format64.infinity), 1 << 22);
	emit_bin_to(c, dst, BIN_OR, bin_imm(c, BIN_OR, none, format32.infinity), sign);
	ir_emit_jump(c, end);
	ir_emit_label(c, small);
	c->next_reg = (uint16_t)(rest + 1);
	emit_move(c, dst, sign);
	/* 29 for 897, one more for each below */
	n = emit_bin(c, BIN_SUB, emit_const(c, 926), bin_imm(c, BIN_SHR, rest, 52));
	emit_jump_if0(c, bin_imm(c, BIN_GT, n, 54), cut);
	ir_emit_jump(c, end);
	ir_emit_label(c, cut);
	rest = bin_imm(c, BIN_OR, bin_imm(c, BIN_AND, rest, (1ll << 52) - 1), 1ll << 52);
	emit_bin_to(c, dst, BIN_OR, shift_rounded(c, rest, n), sign);
	ir_emit_label(c, end);
	c->next_reg = (uint16_t)(dst + 1);
	return dst;
}

/* A float64 without its fraction, as an integer of type t. */
static uint16_t to_integer(struct compiler *c, uint16_t x, const struct type *t)
{
	uint16_t dst = reg_new(c), exponent, magnitude, whole, sign, limit;
	unsigned bits = (unsigned)t->size * 8;
	uint64_t most = type_is_signed(t) ? (1ull << (bits - 1)) - 1 : bits == 64 ? UINT64_MAX : (1ull << bits) - 1;

	sign = bin_imm(c, BIN_SHR, x, 63);
	exponent = bin_imm(c, BIN_AND, bin_imm(c, BIN_SHR, x, 52), 2047);
	exponent = bin_imm(c, BIN_SUB, exponent, 1023);
	emit_require(c, bin_imm(c, BIN_LE, exponent, 63), SLOT_UNREADABLE);
	magnitude = bin_imm(c, BIN_OR, bin_imm(c, BIN_SHL, x, 11), INT64_MIN); /* the leading 1 as bit 63 */
	whole = emit_bin(c, BIN_SHR, magnitude, emit_bin(c, BIN_SUB, emit_const(c, 63), exponent));
	whole = emit_bin(c, BIN_MUL, whole, bin_imm(c, BIN_GE, exponent, 0));
	limit = type_is_signed(t) ? bin_imm(c, BIN_ADD, sign, (int64_t)most)
				  : bin_imm(c, BIN_MUL, bin_imm(c, BIN_XOR, sign, 1), (int64_t)most);
	emit_require(c, emit_bin(c, BIN_ULE, whole, limit), SLOT_UNREADABLE);
	sign = emit_bin(c, BIN_SUB, emit_const(c, 0), sign);
	return settle(c, dst, emit_bin(c, BIN_SUB, emit_bin(c, BIN_XOR, whole, sign), sign));
}

static int constant(struct compiler *c, const struct value *v, const struct type *to, struct value *ret)
{
	double real = v->constant == EXPR_FLOAT ? v->real : v->big ? (double)(uint64_t)v->number : (double)v->number;

	if (v->constant != EXPR_INT && v->constant != EXPR_FLOAT)
		return fail(c, v->expr, "%s cannot be converted to %s", type_with_article(c, v), to->name);
	if (to->kind == KIND_FLOAT32 && fabs(real) > FLT_MAX)
		return fail(c, v->expr, "%s does not fit into %s", expr_text(c, v->expr),
			    with_article(c->arena, to->name));
	*ret = *v;
	ret->constant = EXPR_FLOAT;
	ret->real = to->kind == KIND_FLOAT32 ? (float)real : real;
	ret->type = to;
	return 0;
}

int convert_float(struct compiler *c, const struct expr *e, const struct value *v, const struct type *to,
		  struct value *ret)
{
	bool wide = v->type && v->type->kind != KIND_FLOAT32;
	uint16_t dst, x;
	int r;

	if (v->place == PLACE_CONST && type_is_float(to))
		return constant(c, v, to, ret);
	if (v->place == PLACE_CONST) { /* of a float constant that has a type */
		*ret = *v;
		ret->type = NULL;
		return const_convert(c, ret, to, ret);
	}
	dst = reg_new(c);
	r = value_scalar(c, v, &x);
	if (r)
		return r;
	if (type_is_integer(v->type))
		x = from_integer(c, x, type_is_signed(v->type), format_of(to));
	else if (type_is_integer(to))
		x = to_integer(c, wide ? x : widen(c, x), to);
	else if (wide && to->kind == KIND_FLOAT32)
		x = narrow(c, x);
	else if (!wide && to->kind == KIND_FLOAT64)
		x = widen(c, x);
	*ret = reg_value(e, settle(c, dst, x), to->kind);
	return 0;
}
