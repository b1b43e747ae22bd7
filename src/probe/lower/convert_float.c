/*
 * Conversions between integers and floating-point numbers, and of these among themselves, by integer operations alone:
 * the kernel has no others, and a patched program's floating-point registers are not ours. Rounding is to nearest, ties
 * to even, as the CPU does it for Go. What Go leaves to the implementation (a NaN, a number that does not fit) has no
 * value here: the condition is counted as unreadable.
 */
#include <string.h>

#include "probe/lower/lowerer.h"

struct format {
	unsigned mantissa, bias, bits;
	int64_t infinity;
};
static const struct format format32 = {23, 127, 32, 0x7f800000}, format64 = {52, 1023, 64, 0x7ff0000000000000};

static const struct format *format_of(const struct type *t)
{
	return t->kind == KIND_FLOAT32 ? &format32 : &format64;
}

static uint16_t bin_imm(struct lowerer *l, enum ir_bin bin, uint16_t a, int64_t imm)
{
	uint16_t dst = reg_new(l), b = emit_const(l, imm);

	emit_bin_to(l, dst, bin, a, b);
	l->next_reg = b; /* the constant's is free again */
	return dst;
}

/* One result of many steps: its register is `dst`, all that were made since are free again. */
static uint16_t settle(struct lowerer *l, uint16_t dst, uint16_t value)
{
	emit_move(l, dst, value);
	l->next_reg = (uint16_t)(dst + 1);
	return dst;
}

/* The number of the highest bit of x, which is not 0. */
static uint16_t emit_log2(struct lowerer *l, uint16_t x)
{
	uint16_t sum = emit_const(l, 0), rest = reg_new(l), k = reg_new(l), next = reg_new(l), n = reg_new(l),
		 big = reg_new(l);

	emit_move(l, rest, x);
	for (int step = 32; step; step /= 2) {
		emit_const_to(l, n, step);
		emit_bin_to(l, next, BIN_SHR, rest, n);
		emit_const_to(l, k, 0);
		emit_bin_to(l, big, BIN_NE, next, k);
		emit_bin_to(l, k, BIN_MUL, big, n);
		emit_bin_to(l, n, BIN_ADD, sum, k);
		emit_move(l, sum, n);
		emit_bin_to(l, next, BIN_SHR, rest, k);
		emit_move(l, rest, next);
	}
	l->next_reg = (uint16_t)(sum + 1);
	return sum;
}

/* magnitude, an unsigned integer, in the format, without a sign. */
static uint16_t emit_from_magnitude(struct lowerer *l, uint16_t magnitude, const struct format *f)
{
	uint16_t dst = reg_new(l), log = emit_log2(l, magnitude), shift, top, kept, rest, up, out;
	unsigned dropped = 63 - f->mantissa;

	shift = emit_bin(l, BIN_SUB, emit_const(l, 63), log);
	top = emit_bin(l, BIN_SHL, magnitude, shift); /* the highest bit is bit 63 now */
	kept = bin_imm(l, BIN_SHR, top, dropped);
	rest = bin_imm(l, BIN_AND, top, (int64_t)((1ull << dropped) - 1));
	rest = emit_bin(l, BIN_ADD, rest, bin_imm(l, BIN_AND, kept, 1)); /* a tie goes up from an odd number only */
	up = bin_imm(l, BIN_UGT, rest, (int64_t)(1ull << (dropped - 1)));
	kept = emit_bin(l, BIN_ADD, kept, up); /* the highest bit of it counts as 1 of the exponent */
	out = bin_imm(l, BIN_SHL, bin_imm(l, BIN_ADD, log, (int64_t)f->bias - 1), f->mantissa);
	out = emit_bin(l, BIN_ADD, out, kept);
	out = emit_bin(l, BIN_MUL, out, bin_imm(l, BIN_NE, magnitude, 0));
	return settle(l, dst, out);
}

static uint16_t sign_mask(struct lowerer *l, uint16_t x)
{
	return emit_bin(l, BIN_SUB, emit_const(l, 0), bin_imm(l, BIN_SHR, x, 63));
}

static uint16_t from_integer(struct lowerer *l, uint16_t x, bool is_signed, const struct format *f)
{
	uint16_t dst = reg_new(l), sign, out;

	if (!is_signed)
		return settle(l, dst, emit_from_magnitude(l, x, f));
	sign = sign_mask(l, x);
	out = emit_from_magnitude(l, emit_bin(l, BIN_SUB, emit_bin(l, BIN_XOR, x, sign), sign), f);
	sign = bin_imm(l, BIN_SHL, bin_imm(l, BIN_AND, sign, 1), f->bits - 1);
	return settle(l, dst, emit_bin(l, BIN_OR, out, sign));
}

/* Every float32 is a float64; those without a leading 1 get one. */
static uint16_t widen(struct lowerer *l, uint16_t x)
{
	uint16_t dst = reg_new(l), normal = label_new(l), end = label_new(l), sign, rest, special, exponent, out;

	sign = bin_imm(l, BIN_SHL, bin_imm(l, BIN_SHR, x, 31), 63);
	rest = bin_imm(l, BIN_AND, x, 0x7fffffff);
	emit_jump_if0(l, bin_imm(l, BIN_ULT, rest, 0x800000), normal);
	out = emit_from_magnitude(l, rest, &format64);
	/* units of 2^-149 */
	out = emit_bin(l, BIN_SUB, out, bin_imm(l, BIN_MUL, bin_imm(l, BIN_NE, rest, 0), 149ll << 52));
	emit_bin_to(l, dst, BIN_OR, out, sign);
	ir_emit_jump(l, end);
	ir_emit_label(l, normal);
	l->next_reg = (uint16_t)(rest + 1);
	special = bin_imm(l, BIN_UGE, rest, format32.infinity);
	exponent = bin_imm(l, BIN_ADD, bin_imm(l, BIN_MUL, special, 2047 - 255 - 896), 896);
	out = emit_bin(l, BIN_ADD, bin_imm(l, BIN_SHL, rest, 29), bin_imm(l, BIN_SHL, exponent, 52));
	emit_bin_to(l, dst, BIN_OR, out, sign);
	ir_emit_label(l, end);
	l->next_reg = (uint16_t)(dst + 1);
	return dst;
}

/* x >> n, rounded. n is 1 to 63. */
static uint16_t shift_rounded(struct lowerer *l, uint16_t x, uint16_t n)
{
	uint16_t kept = emit_bin(l, BIN_SHR, x, n), one = emit_const(l, 1), bit = emit_bin(l, BIN_SHL, one, n), rest,
		 half;

	rest = emit_bin(l, BIN_AND, x, emit_bin(l, BIN_SUB, bit, one));
	half = emit_bin(l, BIN_SHR, bit, one);
	rest = emit_bin(l, BIN_ADD, rest, emit_bin(l, BIN_AND, kept, one));
	return emit_bin(l, BIN_ADD, kept, emit_bin(l, BIN_UGT, rest, half));
}

/* A float64 as a float32: what is too large becomes infinite, what is small loses digits, a NaN stays one. */
static uint16_t narrow(struct lowerer *l, uint16_t x)
{
	uint16_t dst = reg_new(l), small = label_new(l), cut = label_new(l), end = label_new(l);
	uint16_t sign, rest, out, n, none, twenty_nine;

	sign = bin_imm(l, BIN_SHL, bin_imm(l, BIN_SHR, x, 63), 31);
	rest = bin_imm(l, BIN_AND, x, INT64_MAX);
	emit_jump_if0(l, bin_imm(l, BIN_GE, rest, 897ll << 52), small); /* 2^-126 */
	twenty_nine = emit_const(l, 29);
	out = bin_imm(l, BIN_SUB, shift_rounded(l, rest, twenty_nine), 896ll << 23);
	emit_bin_to(l, dst, BIN_OR, out, sign);
	emit_jump_if0(l, bin_imm(l, BIN_GE, out, format32.infinity), end);
	none = bin_imm(l, BIN_MUL, bin_imm(l, BIN_GT, rest, format64.infinity), 1 << 22);
	emit_bin_to(l, dst, BIN_OR, bin_imm(l, BIN_OR, none, format32.infinity), sign);
	ir_emit_jump(l, end);
	ir_emit_label(l, small);
	l->next_reg = (uint16_t)(rest + 1);
	emit_move(l, dst, sign);
	/* 29 for 897, one more for each below */
	n = emit_bin(l, BIN_SUB, emit_const(l, 926), bin_imm(l, BIN_SHR, rest, 52));
	emit_jump_if0(l, bin_imm(l, BIN_GT, n, 54), cut);
	ir_emit_jump(l, end);
	ir_emit_label(l, cut);
	rest = bin_imm(l, BIN_OR, bin_imm(l, BIN_AND, rest, (1ll << 52) - 1), 1ll << 52);
	emit_bin_to(l, dst, BIN_OR, shift_rounded(l, rest, n), sign);
	ir_emit_label(l, end);
	l->next_reg = (uint16_t)(dst + 1);
	return dst;
}

/* A float64 without its fraction, as an integer of type t. */
static uint16_t to_integer(struct lowerer *l, uint16_t x, const struct type *t)
{
	uint16_t dst = reg_new(l), exponent, magnitude, whole, sign, limit;
	unsigned bits = (unsigned)t->size * 8;
	uint64_t most = type_is_signed(t) ? (1ull << (bits - 1)) - 1 : bits == 64 ? UINT64_MAX : (1ull << bits) - 1;

	sign = bin_imm(l, BIN_SHR, x, 63);
	exponent = bin_imm(l, BIN_AND, bin_imm(l, BIN_SHR, x, 52), 2047);
	exponent = bin_imm(l, BIN_SUB, exponent, 1023);
	emit_require(l, bin_imm(l, BIN_LE, exponent, 63), SLOT_UNREADABLE);
	magnitude = bin_imm(l, BIN_OR, bin_imm(l, BIN_SHL, x, 11), INT64_MIN); /* the leading 1 as bit 63 */
	whole = emit_bin(l, BIN_SHR, magnitude, emit_bin(l, BIN_SUB, emit_const(l, 63), exponent));
	whole = emit_bin(l, BIN_MUL, whole, bin_imm(l, BIN_GE, exponent, 0));
	limit = type_is_signed(t) ? bin_imm(l, BIN_ADD, sign, (int64_t)most)
				  : bin_imm(l, BIN_MUL, bin_imm(l, BIN_XOR, sign, 1), (int64_t)most);
	emit_require(l, emit_bin(l, BIN_ULE, whole, limit), SLOT_UNREADABLE);
	sign = emit_bin(l, BIN_SUB, emit_const(l, 0), sign);
	return settle(l, dst, emit_bin(l, BIN_SUB, emit_bin(l, BIN_XOR, whole, sign), sign));
}

int convert_float(struct lowerer *l, const struct expr *e, const struct value *v, const struct type *to,
		  struct value *ret)
{
	bool wide = v->type->kind != KIND_FLOAT32;
	uint16_t dst, x;
	int r;

	dst = reg_new(l);
	r = value_scalar(l, v, &x);
	if (r)
		return r;
	if (type_is_integer(v->type))
		x = from_integer(l, x, type_is_signed(v->type), format_of(to));
	else if (type_is_integer(to))
		x = to_integer(l, wide ? x : widen(l, x), to);
	else if (wide && to->kind == KIND_FLOAT32)
		x = narrow(l, x);
	else if (!wide && to->kind == KIND_FLOAT64)
		x = widen(l, x);
	*ret = value_reg(e, settle(l, dst, x), to);
	return 0;
}
