/* Constants and integer arithmetic, at the width of Go's types. */
#include "probe/lower/compiler.h"

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
		return fail(c, v->expr, "%s cannot be used as %s", type_with_article(c, v),
			    with_article(c->arena, t->name));
	if (k.constant == EXPR_INT && !fits(&k, t))
		return fail(c, v->expr, "%s does not fit into %s", expr_text(c, v->expr),
			    with_article(c->arena, t->name));
	k.type = t;
	*ret = k;
	return 0;
}

/* ---- arithmetic ---- */

static const struct {
	const char *text;
	enum ir_bin bin;
} arithmetic[] = {{"+", BIN_ADD}, {"-", BIN_SUB}, {"*", BIN_MUL},  {"&", BIN_AND},  {"|", BIN_OR},
		  {"^", BIN_XOR}, {"/", BIN_DIV}, {"%", BIN_MOD},  {"<<", BIN_SHL}, {">>", BIN_SHR}};

static bool is_operator(const struct expr *e, const char *operator)
{
	return !strcmp(e->text, operator);
}

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

	if (is_operator(e, "&^"))
		y = ~y;
	switch (is_operator(e, "&^") ? BIN_AND : arithmetic_bin(e)) {
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
	case BIN_DIV:
	case BIN_MOD:
		if (!y)
			return fail(c, e, "this divides by zero");
		overflow |= x == INT64_MIN && y == -1;
		if (!overflow)
			out = arithmetic_bin(e) == BIN_DIV ? x / y : x % y;
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
			return fail(c, e, "`%s` works on integers; %s is %s", e->text,
				    expr_text(c, v->expr), type_with_article(c, v));
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

/* Go's shifts by any count: those of the width and more shift everything out, negative ones are a panic. */
static int shift_by(struct compiler *c, const struct expr *e, const struct value *a, const struct value *b,
		    struct value *ret)
{
	uint16_t x, count, fits, sign, out;
	int r = value_scalar(c, a, &x);

	if (!r)
		r = value_scalar(c, b, &count);
	if (r)
		return r;
	if (type_is_signed(b->type))
		emit_require(c, emit_bin(c, BIN_GE, count, emit_const(c, 0)), SLOT_RANGE);
	fits = emit_bin(c, BIN_ULT, count, emit_const(c, 64));
	if (*e->text == '>' && type_is_signed(a->type)) {
		sign = emit_bin(c, BIN_SUB, emit_const(c, 0), emit_bin(c, BIN_SHR, x, emit_const(c, 63)));
		out = emit_bin(c, BIN_SHR, emit_bin(c, BIN_XOR, x, sign), count);
		out = emit_bin(c, BIN_XOR, emit_bin(c, BIN_MUL, out, fits), sign);
	} else {
		out = emit_bin(c, BIN_MUL, emit_bin(c, *e->text == '<' ? BIN_SHL : BIN_SHR, x, count), fits);
	}
	*ret = reg_value(e, emit_narrow(c, out, a->type), KIND_INT);
	ret->type = a->type;
	return 0;
}

static int shift(struct compiler *c, const struct expr *e, const struct value *a,
		 const struct value *b, struct value *ret)
{
	uint16_t x, count, out;
	int r;

	if (!a->type || !type_is_integer(a->type))
		return fail(c, e, "`%s` works on integers; %s is %s", e->text,
			    expr_text(c, a->expr), type_with_article(c, a));
	if (b->place != PLACE_CONST && b->type && type_is_integer(b->type))
		return shift_by(c, e, a, b, ret);
	if (b->place != PLACE_CONST || b->constant != EXPR_INT || b->number < 0)
		return fail(c, b->expr, "a shift count is an integer from 0 on");
	if (b->big || b->number > 63) {
		struct value all = const_value(b->expr, EXPR_INT, 64);

		all.type = basic_type(KIND_UINT64);
		return shift_by(c, e, a, &all, ret);
	}
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

/* All ones where x is negative, else 0. */
static uint16_t sign_of(struct compiler *c, uint16_t x)
{
	return emit_bin(c, BIN_SUB, emit_const(c, 0), emit_bin(c, BIN_SHR, x, emit_const(c, 63)));
}

static uint16_t with_sign(struct compiler *c, uint16_t x, uint16_t sign)
{
	return emit_bin(c, BIN_SUB, emit_bin(c, BIN_XOR, x, sign), sign);
}

/*
 * Signed division by the unsigned one, rounded to zero; the remainder has the sign of x. The least number
 * by -1 is itself.
 */
static uint16_t divide(struct compiler *c, enum ir_bin bin, const struct value *a, uint16_t x, uint16_t y)
{
	uint16_t sign_x, sign_y, out;

	if (!type_is_signed(a->type))
		return emit_bin(c, bin, x, y);
	sign_x = sign_of(c, x);
	sign_y = sign_of(c, y);
	out = emit_bin(c, bin, with_sign(c, x, sign_x), with_sign(c, y, sign_y));
	return with_sign(c, out, bin == BIN_MOD ? sign_x : emit_bin(c, BIN_XOR, sign_x, sign_y));
}

static uint16_t calculate(struct compiler *c, const struct expr *e, const struct value *a, uint16_t x, uint16_t y)
{
	enum ir_bin bin = arithmetic_bin(e);

	if (is_operator(e, "&^"))
		return emit_bin(c, BIN_AND, x, emit_bin(c, BIN_XOR, y, emit_const(c, -1)));
	return bin == BIN_DIV || bin == BIN_MOD ? divide(c, bin, a, x, y) : emit_bin(c, bin, x, y);
}

static bool is_zero(const struct value *v)
{
	return v->place == PLACE_CONST && v->constant == EXPR_INT && !v->number;
}

static bool is_float(const struct value *v)
{
	return v->type ? type_is_float(v->type) : v->constant == EXPR_FLOAT;
}

static bool is_text_value(const struct value *v)
{
	return v->type ? v->type->kind == KIND_STRING : v->constant == EXPR_STRING;
}

/* What Go can add and the place where a probe fires cannot. */
static int not_integers(struct compiler *c, const struct expr *e, const struct value *a, const struct value *b)
{
	const struct value *v = is_float(a) || is_text_value(a) ? a : b;

	if (is_float(v))
		return fail(c, e, "%s is %s: where the probe fires, floating-point values can be compared and "
				  "converted, not calculated with", expr_text(c, v->expr), type_with_article(c, v));
	if (is_text_value(v) && is_operator(e, "+"))
		return fail(c, e, "texts cannot be joined where the probe fires; compare the parts: hasprefix(s, "
				  "\"a\") && hassuffix(s, \"b\")");
	return 0;
}

/* "a" + "b" */
static bool join_constants(struct compiler *c, const struct expr *e, const struct value *a, const struct value *b,
			   struct value *ret)
{
	if (a->place != PLACE_CONST || b->place != PLACE_CONST || a->constant != EXPR_STRING ||
	    b->constant != EXPR_STRING || !is_operator(e, "+"))
		return false;
	*ret = const_value(e, EXPR_STRING, 0);
	ret->len = a->len + b->len;
	ret->text = arena_alloc(c->arena, ret->len + 1);
	memcpy((char *)ret->text, a->text, a->len);
	memcpy((char *)ret->text + a->len, b->text, b->len);
	((char *)ret->text)[ret->len] = '\0';
	return true;
}

static double real_of(const struct value *v)
{
	return v->constant == EXPR_FLOAT ? v->real : v->big ? (double)(uint64_t)v->number : (double)v->number;
}

/* 1.5 * 2: constants, one of them a float. */
static bool fold_floats(const struct expr *e, const struct value *a, const struct value *b, struct value *ret)
{
	bool numbers = (a->constant == EXPR_FLOAT || a->constant == EXPR_INT) &&
		       (b->constant == EXPR_FLOAT || b->constant == EXPR_INT);
	double x = real_of(a), y = real_of(b);

	if (a->place != PLACE_CONST || b->place != PLACE_CONST || !numbers || a->type || b->type ||
	    (a->constant == EXPR_INT && b->constant == EXPR_INT) || e->text[1] || !strchr("+-*/", *e->text) ||
	    (*e->text == '/' && y == 0))
		return false;
	*ret = const_value(e, EXPR_FLOAT, 0);
	ret->real = *e->text == '+' ? x + y : *e->text == '-' ? x - y : *e->text == '*' ? x * y : x / y;
	return isfinite(ret->real);
}

int eval_arithmetic(struct compiler *c, const struct expr *e, struct value *ret)
{
	bool shifts = is_operator(e, "<<") || is_operator(e, ">>");
	struct value a, b;
	uint16_t x, y;
	int r = eval(c, e->a, &a);

	if (!r)
		r = eval(c, e->b, &b);
	if (!r && shifts && a.place != PLACE_CONST)
		return shift(c, e, &a, &b, ret);
	if (!r && (join_constants(c, e, &a, &b, ret) || fold_floats(e, &a, &b, ret)))
		return 0;
	if (!r)
		r = not_integers(c, e, &a, &b);
	if (!r && shifts && !a.type && a.constant == EXPR_INT && b.place != PLACE_CONST) {
		a.type = basic_type(KIND_INT); /* 1 << n: an int, as Go takes it where nothing else says so */
		return shift(c, e, &a, &b, ret);
	}
	if (!r)
		r = agree(c, e, &a, &b);
	if (!r && a.place == PLACE_CONST && b.place == PLACE_CONST)
		return fold_int(c, e, &a, &b, ret);
	if (!r && strchr("/%", *e->text) && is_zero(&b))
		r = fail(c, e, "this divides by zero");
	if (!r)
		r = value_scalar(c, &a, &x);
	if (!r)
		r = value_scalar(c, &b, &y);
	if (r)
		return r;
	*ret = reg_value(e, emit_narrow(c, calculate(c, e, &a, x, y), a.type), KIND_INT);
	ret->type = a.type;
	return 0;
}

/* -x of a float changes one bit. */
static int negate_float(struct compiler *c, const struct expr *e, const struct value *a, struct value *ret)
{
	unsigned bits = a->type->kind == KIND_FLOAT32 ? 31 : 63;
	uint16_t x;
	int r = value_scalar(c, a, &x);

	if (r)
		return r;
	*ret = reg_value(e, emit_bin(c, BIN_XOR, x, emit_const(c, (int64_t)(1ull << bits))), a->type->kind);
	ret->type = a->type;
	return 0;
}

int eval_plus(struct compiler *c, const struct expr *e, struct value *ret)
{
	int r = eval(c, e->a, ret);

	if (r)
		return r;
	if (ret->type ? !type_is_integer(ret->type) && !type_is_float(ret->type)
		      : ret->constant != EXPR_INT && ret->constant != EXPR_FLOAT)
		return fail(c, e, "`+` works on numbers; %s is %s", expr_text(c, e->a), type_with_article(c, ret));
	return 0;
}

int eval_complement(struct compiler *c, const struct expr *e, struct value *ret)
{
	struct value a;
	uint16_t x;
	int r = eval(c, e->a, &a);

	if (r)
		return r;
	if (a.place == PLACE_CONST && a.constant == EXPR_INT && !a.big && (!a.type || type_is_signed(a.type))) {
		*ret = const_value(e, EXPR_INT, ~a.number);
		ret->type = a.type;
		return 0;
	}
	if (!a.type || !type_is_integer(a.type))
		return fail(c, e, "`^` works on integers; %s is %s", expr_text(c, e->a), type_with_article(c, &a));
	r = value_scalar(c, &a, &x);
	if (r)
		return r;
	*ret = reg_value(e, emit_narrow(c, emit_bin(c, BIN_XOR, x, emit_const(c, -1)), a.type), KIND_INT);
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
	if (a.type && type_is_float(a.type) && a.place != PLACE_CONST)
		return negate_float(c, e, &a, ret);
	if (!a.type || !type_is_integer(a.type))
		return fail(c, e, "`-` works on numbers; %s is %s", expr_text(c, e->a), type_with_article(c, &a));
	r = value_scalar(c, &a, &x);
	if (r)
		return r;
	*ret = reg_value(e, emit_narrow(c, emit_bin(c, BIN_SUB, emit_const(c, 0), x), a.type), KIND_INT);
	ret->type = a.type;
	return 0;
}
