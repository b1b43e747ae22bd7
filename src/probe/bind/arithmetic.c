/* Constants and integer arithmetic, at the width of Go's types. */
#include "probe/bind/binder.h"

#include <math.h>

#include "base/wide.h"

/* ---- constants ---- */

static bool fits(const struct constant *k, const struct type *t)
{
	unsigned bits = (unsigned)t->size * 8;

	if (k->big)
		return !type_is_signed(t) && bits == 64;
	if (type_is_signed(t))
		return bits == 64 || (k->number >= -(1ll << (bits - 1)) && k->number < 1ll << (bits - 1));
	return k->number >= 0 && (bits == 64 || k->number < 1ll << bits);
}

static bool same_kind(const struct constant *k, const struct type *t)
{
	switch (k->kind) {
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

int const_convert(struct binder *b, const struct bound *n, const struct type *t, struct bound **ret)
{
	struct constant k = *n->constant;

	if (k.kind == EXPR_FLOAT && type_is_integer(t)) {
		if (k.real != trunc(k.real) || fabs(k.real) >= 9e18)
			return fail(b, n->expr, "%g is no %s", k.real, t->name);
		k.kind = EXPR_INT;
		k.number = (int64_t)k.real;
	}
	if (!same_kind(&k, t))
		return fail(b, n->expr, "%s cannot be used as %s", type_with_article(b, n),
			    with_article(b->arena, t->name));
	if (k.kind == EXPR_INT && !fits(&k, t))
		return fail(b, n->expr, "%s does not fit into %s", text_of(b, n), with_article(b->arena, t->name));
	*ret = retyped(b, n, t, k);
	return 0;
}

/* ---- two constants ---- */

static bool is_operator(const struct expr *e, const char *operator)
{
	return !strcmp(e->text, operator);
}

static int128 wide_const(const struct bound *n)
{
	return wide_of((uint64_t)n->constant->number, n->constant->big);
}

static int divide_constants(struct binder *b, const struct expr *e, int128 x, int128 y, int128 *ret, bool *ret_overflow)
{
	if (!y)
		return fail(b, e, "this divides by zero");
	*ret_overflow = x == INT64_MIN && y == -1;
	if (!*ret_overflow)
		*ret = *e->text == '/' ? x / y : x % y;
	return 0;
}

/* The value of an operator of two constants; those that only 128 bits hold are told apart by who asks. */
static int calculate_constants(struct binder *b, const struct expr *e, int128 x, int128 y, int128 *ret,
			       bool *ret_overflow)
{
	if (e->text[0] == '&' && e->text[1] == '^') {
		*ret = x & ~y;
		return 0;
	}
	switch (*e->text) {
	case '+':
		*ret = x + y;
		return 0;
	case '-':
		*ret = x - y;
		return 0;
	case '*':
		*ret_overflow = __builtin_mul_overflow(x, y, ret);
		return 0;
	case '&':
		*ret = x & y;
		return 0;
	case '|':
		*ret = x | y;
		return 0;
	case '^':
		*ret = x ^ y;
		return 0;
	case '/':
	case '%':
		return divide_constants(b, e, x, y, ret, ret_overflow);
	case '<':
		*ret_overflow = y < 0 || y > 63 || __builtin_mul_overflow(x, (int128)1 << (y & 63), ret);
		return 0;
	default:
		*ret_overflow = y < 0;
		*ret = x >> (int)MIN(y & 0x7fffffff, 127);
		return 0;
	}
}

/* Constants are those of int64 and of uint64. Two of them cannot overflow 128 bits, but by a product or a shift. */
static int fold_int(struct binder *b, const struct expr *e, struct bound *n)
{
	const struct type *t = n->a->type ? n->a->type : n->b->type;
	struct bound *converted;
	int128 out = 0;
	bool overflow = false;
	int r = calculate_constants(b, e, wide_const(n->a), wide_const(n->b), &out, &overflow);

	if (r)
		return r;
	if (overflow || out < INT64_MIN || out > (int128)UINT64_MAX)
		return fail(b, e, "this constant does not fit into 64 bits");
	set_constant(b, n, (struct constant){.kind = EXPR_INT, .number = (int64_t)out, .big = out > INT64_MAX});
	n->type = t;
	if (!t)
		return 0;
	r = const_convert(b, n, t, &converted);
	if (!r)
		*n = *converted;
	return r;
}

/* "a" + "b" */
static bool join_constants(struct binder *b, const struct expr *e, struct bound *n)
{
	const struct constant *x = n->a->constant, *y = n->b->constant;
	char *text;

	if (!is_const(n->a, EXPR_STRING) || !is_const(n->b, EXPR_STRING) || !is_operator(e, "+"))
		return false;
	text = arena_alloc(b->arena, x->len + y->len + 1);
	memcpy(text, x->text, x->len);
	memcpy(text + x->len, y->text, y->len);
	set_constant(b, n, (struct constant){.kind = EXPR_STRING, .text = text, .len = x->len + y->len});
	return true;
}

static double real_of(const struct constant *k)
{
	return k->kind == EXPR_FLOAT ? k->real : k->big ? (double)(uint64_t)k->number : (double)k->number;
}

static bool is_number(const struct constant *k)
{
	return k && (k->kind == EXPR_FLOAT || k->kind == EXPR_INT);
}

/* 1.5 * 2: constants, one of them a float. */
static bool fold_floats(struct binder *b, const struct expr *e, struct bound *n)
{
	const struct constant *j = n->a->constant, *k = n->b->constant;
	double x, y, out;

	if (!is_number(j) || !is_number(k) || n->a->type || n->b->type ||
	    (j->kind == EXPR_INT && k->kind == EXPR_INT) || e->text[1] || !strchr("+-*/", *e->text))
		return false;
	x = real_of(j);
	y = real_of(k);
	if (*e->text == '/' && y == 0)
		return false;
	out = *e->text == '+' ? x + y : *e->text == '-' ? x - y : *e->text == '*' ? x * y : x / y;
	if (!isfinite(out))
		return false;
	set_constant(b, n, (struct constant){.kind = EXPR_FLOAT, .real = out});
	return true;
}

/* ---- operands ---- */

/* Gives an untyped constant operand the other one's type and refuses what Go would. */
static int agree(struct binder *b, const struct expr *e, struct bound *n)
{
	struct bound *converted;
	int r = 0;

	if (n->a->constant && n->b->type && !n->a->type) {
		r = const_convert(b, n->a, n->b->type, &converted);
		n->a = r ? n->a : converted;
	} else if (n->b->constant && n->a->type && !n->b->type) {
		r = const_convert(b, n->b, n->a->type, &converted);
		n->b = r ? n->b : converted;
	}
	if (r)
		return r;
	for (int i = 0; i < 2; i++) {
		const struct bound *x = i ? n->b : n->a;

		if (x->type ? !type_is_integer(x->type) : !is_const(x, EXPR_INT))
			return fail(b, e, "`%s` works on integers; %s is %s", e->text, text_of(b, x),
				    type_with_article(b, x));
	}
	if (n->a->type && n->b->type && type_is_signed(n->a->type) != type_is_signed(n->b->type))
		return fail(b, e, "mismatched types %s and %s; convert one, as in int64(x)", n->a->type->name,
			    n->b->type->name);
	return 0;
}

/* n->a is no constant, or has a type. */
static int bind_shift(struct binder *b, const struct expr *e, struct bound *n)
{
	const struct bound *count = n->b;

	n->op = BOUND_SHIFT;
	n->type = n->a->type;
	if (!n->a->type || !type_is_integer(n->a->type))
		return fail(b, e, "`%s` works on integers; %s is %s", e->text, text_of(b, n->a),
			    type_with_article(b, n->a));
	if (!count->constant && count->type && type_is_integer(count->type))
		return 0;
	if (!is_const(count, EXPR_INT) || count->constant->number < 0)
		return fail(b, count->expr, "a shift count is an integer from 0 on");
	if (count->constant->big || count->constant->number > 63) /* shifts everything out */
		n->b = retyped(b, count, basic_type(KIND_UINT64), (struct constant){.kind = EXPR_INT, .number = 64});
	return 0;
}

static bool is_zero(const struct bound *n)
{
	return is_const(n, EXPR_INT) && !n->constant->number;
}

static bool is_float(const struct bound *n)
{
	return n->type ? type_is_float(n->type) : is_const(n, EXPR_FLOAT);
}

/* What Go can add and the place where a probe fires cannot. */
static int not_integers(struct binder *b, const struct expr *e, const struct bound *x, const struct bound *y)
{
	const struct bound *n = is_float(x) || is_text(x) ? x : y;

	if (is_float(n))
		return fail(b, e, "%s is %s: where the probe fires, floating-point values can be compared and "
				  "converted, not calculated with", text_of(b, n), type_with_article(b, n));
	if (is_text(n) && is_operator(e, "+"))
		return fail(b, e, "texts cannot be joined where the probe fires; compare the parts: hasprefix(s, "
				  "\"a\") && hassuffix(s, \"b\")");
	return 0;
}

static int bind_calculation(struct binder *b, const struct expr *e, struct bound *n)
{
	bool shifts = is_operator(e, "<<") || is_operator(e, ">>");
	int r;

	if (shifts && !n->a->constant)
		return bind_shift(b, e, n);
	if (join_constants(b, e, n) || fold_floats(b, e, n))
		return 0;
	r = not_integers(b, e, n->a, n->b);
	if (!r && shifts && !n->a->type && is_const(n->a, EXPR_INT) && !n->b->constant) {
		/* 1 << n: an int, as Go takes it where nothing else says so */
		n->a = retyped(b, n->a, basic_type(KIND_INT), *n->a->constant);
		return bind_shift(b, e, n);
	}
	if (!r)
		r = agree(b, e, n);
	if (!r && n->a->constant && n->b->constant)
		return fold_int(b, e, n);
	if (!r && strchr("/%", *e->text) && is_zero(n->b))
		r = fail(b, e, "this divides by zero");
	n->type = n->a->type;
	return r;
}

int bind_arithmetic(struct binder *b, const struct expr *e, struct bound **ret)
{
	struct bound *x, *y;
	int r = bind_node(b, e->a, &x);

	if (!r)
		r = bind_node(b, e->b, &y);
	if (r)
		return r;
	*ret = bound_two(b, BOUND_ARITHMETIC, NULL, e, x, y);
	(*ret)->sign = e->text;
	return bind_calculation(b, e, *ret);
}

/* ---- one operand ---- */

int bind_plus(struct binder *b, const struct expr *e, struct bound **ret)
{
	int r = bind_node(b, e->a, ret);

	if (r)
		return r;
	if ((*ret)->type ? !type_is_integer((*ret)->type) && !type_is_float((*ret)->type)
			 : !is_const(*ret, EXPR_INT) && !is_const(*ret, EXPR_FLOAT))
		return fail(b, e, "`+` works on numbers; %s is %s", expr_short(b->arena, e->a),
			    type_with_article(b, *ret));
	return 0;
}

int bind_complement(struct binder *b, const struct expr *e, struct bound **ret)
{
	struct bound *a;
	int r = bind_node(b, e->a, &a);

	if (r)
		return r;
	*ret = bound_two(b, BOUND_COMPLEMENT, a->type, e, a, NULL);
	if (is_const(a, EXPR_INT) && !a->constant->big && (!a->type || type_is_signed(a->type))) {
		set_constant(b, *ret, (struct constant){.kind = EXPR_INT, .number = ~a->constant->number});
		return 0;
	}
	if (!a->type || !type_is_integer(a->type))
		return fail(b, e, "`^` works on integers; %s is %s", expr_short(b->arena, e->a),
			    type_with_article(b, a));
	return 0;
}

static int negate_constant(struct binder *b, const struct expr *e, struct bound *n)
{
	const struct bound *a = n->a;
	struct constant k = *a->constant;
	struct bound *converted;
	int r;

	if (k.kind == EXPR_FLOAT) {
		k.real = -k.real;
		set_constant(b, n, k);
		return 0;
	}
	/* -9223372036854775808 is the one negative number whose digits alone do not fit */
	if (k.big && (uint64_t)k.number != 1ull << 63)
		return fail(b, e, "this constant does not fit into 64 bits");
	n->type = NULL;
	set_constant(b, n, (struct constant){.kind = EXPR_INT, .number = (int64_t)(0 - (uint64_t)k.number)});
	if (!a->type)
		return 0;
	r = const_convert(b, n, a->type, &converted);
	if (!r)
		*n = *converted;
	return r;
}

int bind_negation(struct binder *b, const struct expr *e, struct bound **ret)
{
	struct bound *a;
	int r = bind_node(b, e->a, &a);

	if (r)
		return r;
	*ret = bound_two(b, BOUND_NEGATE, a->type, e, a, NULL);
	if (is_const(a, EXPR_FLOAT) || is_const(a, EXPR_INT))
		return negate_constant(b, e, *ret);
	if (!a->type || (!type_is_float(a->type) && !type_is_integer(a->type)))
		return fail(b, e, "`-` works on numbers; %s is %s", expr_short(b->arena, e->a),
			    type_with_article(b, a));
	return 0;
}
