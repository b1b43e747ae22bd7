#include "probe/compiler.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "probe/nearest.h"

/* ---- messages ---- */

int fail(struct compiler *c, const struct expr *e, const char *fmt, ...)
{
	char sentence[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	return err_at_column(c->err, -EINVAL, c->text, e->column, "%s", sentence);
}

const char *expr_text(struct compiler *c, const struct expr *e)
{
	struct buf b = {0};
	const char *text;

	expr_print(e, &b);
	text = b.len > 60 ? arena_printf(c->arena, "%.57s...", b.data) : arena_strdup(c->arena, b.data);
	buf_done(&b);
	return text;
}

const char *type_text(struct compiler *c, const struct value *v)
{
	if (v->type)
		return v->type->name;
	return v->constant == EXPR_NIL      ? "nil"
	       : v->constant == EXPR_STRING ? "constant text"
	       : v->constant == EXPR_BOOL   ? "bool"
					    : "constant number";
}

/* ---- constants ---- */

struct value const_value(const struct expr *e, enum expr_op op, int64_t number)
{
	return (struct value){.place = PLACE_CONST, .expr = e, .constant = op, .number = number};
}

struct value reg_value(const struct expr *e, uint16_t reg, enum type_kind kind)
{
	return (struct value){.place = PLACE_REG, .type = basic_type(kind), .expr = e, .reg = reg};
}

static struct value literal(const struct expr *e)
{
	struct value v = const_value(e, e->op, e->number);

	v.big = e->big;
	v.real = e->real;
	v.text = e->text;
	v.len = e->len;
	return v;
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
static uint16_t narrow(struct compiler *c, uint16_t reg, const struct type *t)
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

static int fold_int(struct compiler *c, const struct expr *e, const struct value *a,
		    const struct value *b, struct value *ret)
{
	int64_t x = a->number, y = b->number, out = 0;
	bool overflow = a->big || b->big;

	switch (arithmetic_bin(e)) {
	case BIN_ADD:
		overflow |= __builtin_add_overflow(x, y, &out);
		break;
	case BIN_SUB:
		overflow |= __builtin_sub_overflow(x, y, &out);
		break;
	case BIN_MUL:
		overflow |= __builtin_mul_overflow(x, y, &out);
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
		overflow |= y < 0 || y > 62 || __builtin_mul_overflow(x, 1ll << (y & 63), &out);
		break;
	default:
		overflow |= y < 0;
		out = x >> MIN(y & 0x7fffffff, 63);
		break;
	}
	if (overflow)
		return fail(c, e, "this constant does not fit into 64 bits");
	*ret = const_value(e, EXPR_INT, out);
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
	*ret = reg_value(e, narrow(c, out, a->type), KIND_INT);
	ret->type = a->type;
	return 0;
}

static int arithmetic_value(struct compiler *c, const struct expr *e, struct value *ret)
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
	*ret = reg_value(e, narrow(c, emit_bin(c, arithmetic_bin(e), x, y), a.type), KIND_INT);
	ret->type = a.type;
	return 0;
}

static int negate(struct compiler *c, const struct expr *e, struct value *ret)
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
	*ret = reg_value(e, narrow(c, emit_bin(c, BIN_SUB, emit_const(c, 0), x), a.type), KIND_INT);
	ret->type = a.type;
	return 0;
}

/* ---- calls ---- */

/* The integer at header + offset, 0 when header is nil: len of maps and channels. */
static struct value count_behind(struct compiler *c, const struct expr *e, uint16_t header,
				 uint64_t offset)
{
	uint16_t dst = reg_new(c), end = label_new(c);

	emit_const_to(c, dst, 0);
	emit_jump_if0(c, header, end);
	emit_move(c, dst, ir_emit_load(c, header, (int64_t)offset, 8, true));
	ir_emit_label(c, end);
	return reg_value(e, dst, KIND_INT);
}

static int len_of_map(struct compiler *c, const struct expr *e, const struct value *v,
		      struct value *ret)
{
	struct map_layout layout;
	struct err why = {0};
	uint16_t header;
	int r;

	if (!type_map_layout(c->binary, v->type, &layout, &why))
		return fail(c, e, "the length of %s cannot be read: %s", expr_text(c, v->expr), why.text);
	r = value_word(c, v, 0, 8, false, &header);
	if (!r)
		*ret = count_behind(c, e, header, layout.count_off);
	return r;
}

static int len_of_chan(struct compiler *c, const struct expr *e, const struct value *v,
		       struct value *ret)
{
	const struct type *hchan = binary_type(c->binary, "runtime.hchan");
	struct field_path path;
	uint16_t header;
	int r;

	if (!hchan || !type_field_find(c->binary, hchan, "qcount", &path) || path.n != 1)
		return fail(c, e, "the length of a channel cannot be read: the binary does not describe "
				  "runtime.hchan");
	r = value_word(c, v, 0, 8, false, &header);
	if (!r)
		*ret = count_behind(c, e, header, path.steps[0].offset);
	return r;
}

static int length(struct compiler *c, const struct expr *e, const struct value *v, struct value *ret)
{
	bool capacity = *e->text == 'c';
	const struct type *t = v->type;
	uint16_t reg;
	int r;

	if (v->place == PLACE_CONST && v->constant == EXPR_STRING && !capacity) {
		*ret = const_value(e, EXPR_INT, (int64_t)v->len);
		return 0;
	}
	if (t && t->kind == KIND_POINTER && t->elem && t->elem->kind == KIND_ARRAY)
		t = t->elem;
	if (t && t->kind == KIND_ARRAY) {
		*ret = const_value(e, EXPR_INT, (int64_t)t->len);
		return 0;
	}
	if (t && t->kind == KIND_MAP && !capacity)
		return len_of_map(c, e, v, ret);
	if (t && t->kind == KIND_CHAN && !capacity)
		return len_of_chan(c, e, v, ret);
	if (!t || (t->kind != KIND_SLICE && (t->kind != KIND_STRING || capacity)))
		return fail(c, e, "%s is a %s, which has no %s", expr_text(c, v->expr), type_text(c, v),
			    capacity ? "capacity" : "length");
	r = value_word(c, v, capacity ? 16 : 8, 8, true, &reg);
	if (!r)
		*ret = reg_value(e, reg, KIND_INT);
	return r;
}

static int convert_string(struct compiler *c, const struct expr *e, const struct value *v,
			  struct value *ret)
{
	const struct type *t = v->type;

	if (!t || (t->kind != KIND_STRING &&
		   (t->kind != KIND_SLICE || !t->elem || t->elem->kind != KIND_UINT8)))
		return fail(c, e, "only strings and []byte can be seen as a string; %s is a %s",
			    expr_text(c, v->expr), type_text(c, v));
	*ret = *v;
	ret->type = basic_type(KIND_STRING);
	return 0;
}

static int convert(struct compiler *c, const struct expr *e, const struct value *v,
		   enum type_kind kind, struct value *ret)
{
	const struct type *to = basic_type(kind);
	uint16_t reg;
	int r;

	if (kind == KIND_STRING)
		return convert_string(c, e, v, ret);
	if (v->place == PLACE_CONST && !v->type)
		return const_convert(c, v, to, ret);
	if (!v->type || !(type_is_integer(v->type) || (kind == KIND_UINTPTR && is_pointer_shaped(v->type))))
		return fail(c, e, "a %s cannot be converted to %s here", type_text(c, v), to->name);
	if (v->place == PLACE_CONST) {
		*ret = *v;
		ret->type = NULL;
		return const_convert(c, ret, to, ret);
	}
	r = value_scalar(c, v, &reg);
	if (!r)
		*ret = reg_value(e, narrow(c, reg, to), kind);
	return r;
}

static int type_of(struct compiler *c, const struct expr *e, const struct value *v, struct value *ret)
{
	uint16_t word;
	int r = value_type_word(c, v, e, &word);

	if (r)
		return r;
	emit_require(c, word, SLOT_NIL);
	*ret = reg_value(e, word, KIND_UNSAFE_POINTER);
	ret->type = &type_word_type;
	return 0;
}

struct conversion {
	const char *name;
	enum type_kind kind;
};
static const struct conversion conversions[] = {
	{"int", KIND_INT},       {"int8", KIND_INT8},     {"int16", KIND_INT16},   {"int32", KIND_INT32},
	{"int64", KIND_INT64},   {"uint", KIND_UINT},     {"uint8", KIND_UINT8},   {"uint16", KIND_UINT16},
	{"uint32", KIND_UINT32}, {"uint64", KIND_UINT64}, {"byte", KIND_UINT8},    {"rune", KIND_INT32},
	{"uintptr", KIND_UINTPTR}, {"string", KIND_STRING}};

static const struct conversion *find_conversion(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(conversions); i++)
		if (!strcmp(conversions[i].name, name))
			return &conversions[i];
	return NULL;
}

static int call_one(struct compiler *c, const struct expr *e, struct value *ret)
{
	static const char *const known[] = {"len", "cap", "typeof", "hasprefix", "hassuffix",
					    "contains", "uintptr", "string", "int64", "uint64"};
	const struct conversion *to = find_conversion(e->text);
	bool lengths = !strcmp(e->text, "len") || !strcmp(e->text, "cap");
	bool typeof_ = !strcmp(e->text, "typeof");
	const char *near;
	struct value v;
	int r;

	if (!to && !lengths && !typeof_) {
		near = nearest_name(e->text, known, ARRAY_SIZE(known));
		return fail(c, e, "there is no function %s%s%s; there are len, cap, hasprefix, hassuffix, "
				  "contains, typeof and conversions", e->text,
			    near ? ", did you mean " : "", near ? near : "");
	}
	if (e->nargs != 1)
		return fail(c, e, "%s takes one argument, not %zu", e->text, e->nargs);
	r = eval(c, e->args[0], &v);
	if (r)
		return r;
	if (to)
		return convert(c, e, &v, to->kind, ret);
	return lengths ? length(c, e, &v, ret) : type_of(c, e, &v, ret);
}

static int call(struct compiler *c, const struct expr *e, struct value *ret)
{
	uint16_t dst;
	int r;

	if (strcmp(e->text, "hasprefix") && strcmp(e->text, "hassuffix") && strcmp(e->text, "contains"))
		return call_one(c, e, ret);
	dst = reg_new(c);
	r = compare_text(c, e, dst);
	c->next_reg = (uint16_t)(dst + 1);
	*ret = reg_value(e, dst, KIND_BOOL);
	return r;
}

/* ---- logic ---- */

static bool is_logic(const struct expr *e, const char *operator)
{
	return e->op == EXPR_BINARY && !strcmp(e->text, operator);
}

/* e, which must be a bool, as 0 or 1 in dst. Registers above dst are free again afterwards. */
static int logic_to(struct compiler *c, const struct expr *e, uint16_t dst)
{
	uint16_t end, other;
	struct value v;
	int r;

	if (!is_logic(e, "&&") && !is_logic(e, "||")) {
		r = is_comparison(e) ? compare(c, e, dst, &v) : eval(c, e, &v);
		if (!r && (v.type ? v.type->kind != KIND_BOOL : v.constant != EXPR_BOOL))
			r = fail(c, e, "%s is a %s; a condition is expected here", expr_text(c, e),
				 type_text(c, &v));
		if (!r && v.place == PLACE_CONST)
			emit_const_to(c, dst, v.number);
		else if (!r)
			r = value_scalar(c, &v, &other);
		if (!r && v.place != PLACE_CONST && other != dst)
			emit_move(c, dst, other);
		c->next_reg = (uint16_t)(dst + 1);
		return r;
	}
	r = logic_to(c, e->a, dst);
	if (r)
		return r;
	end = label_new(c);
	other = dst;
	if (*e->text == '|') {
		other = reg_new(c);
		emit_not_to(c, other, dst);
	}
	emit_jump_if0(c, other, end);
	c->next_reg = (uint16_t)(dst + 1);
	r = logic_to(c, e->b, dst);
	ir_emit_label(c, end);
	return r;
}

static int logic_value(struct compiler *c, const struct expr *e, struct value *ret)
{
	uint16_t dst = reg_new(c);
	int r = logic_to(c, e, dst);

	*ret = reg_value(e, dst, KIND_BOOL);
	return r;
}

static int not_value(struct compiler *c, const struct expr *e, struct value *ret)
{
	uint16_t dst = reg_new(c), a;
	int r = eval_bool(c, e->a, &a);

	if (!r)
		emit_not_to(c, dst, a);
	c->next_reg = (uint16_t)(dst + 1);
	*ret = reg_value(e, dst, KIND_BOOL);
	return r;
}

int eval_bool(struct compiler *c, const struct expr *e, uint16_t *ret)
{
	uint16_t dst = reg_new(c);
	int r = logic_to(c, e, dst);

	*ret = dst;
	return r;
}

int emit_filter(struct compiler *c, const struct expr *e)
{
	uint16_t a, before = c->next_reg;
	int r;

	if (is_logic(e, "&&")) {
		r = emit_filter(c, e->a);
		return r ? r : emit_filter(c, e->b);
	}
	r = eval_bool(c, e, &a);
	if (!r)
		emit(c, IR_FILTER)->a = a;
	c->next_reg = before;
	return r;
}

int emit_jump_if_false(struct compiler *c, const struct expr *e, uint16_t label)
{
	uint16_t a, before = c->next_reg;
	int r;

	if (is_logic(e, "&&")) {
		r = emit_jump_if_false(c, e->a, label);
		return r ? r : emit_jump_if_false(c, e->b, label);
	}
	r = eval_bool(c, e, &a);
	if (!r)
		emit_jump_if0(c, a, label);
	c->next_reg = before;
	return r;
}

/* ---- all of it ---- */

static int binary(struct compiler *c, const struct expr *e, struct value *ret)
{
	uint16_t dst;
	int r;

	if (is_logic(e, "&&") || is_logic(e, "||"))
		return logic_value(c, e, ret);
	if (!is_comparison(e))
		return arithmetic_value(c, e, ret);
	dst = reg_new(c);
	r = compare(c, e, dst, ret);
	c->next_reg = (uint16_t)(dst + 1);
	return r;
}

static int assertion(struct compiler *c, const struct expr *e, struct value *ret)
{
	uint16_t word, matches;
	struct value v;
	int r = eval(c, e->a, &v);

	if (!r)
		r = value_assert(c, &v, e, &word, &matches, ret);
	if (r)
		return r;
	emit_require(c, word, SLOT_NIL);
	emit_require(c, matches, SLOT_OTHER_TYPE);
	return 0;
}

static int element(struct compiler *c, const struct expr *e, struct value *ret)
{
	struct value v, index;
	int r = eval(c, e->a, &v);

	if (!r)
		r = eval(c, e->b, &index);
	return r ? r : value_index(c, &v, &index, e, ret);
}

int eval(struct compiler *c, const struct expr *e, struct value *ret)
{
	struct value v;
	int r;

	switch (e->op) {
	case EXPR_NAME:
		return name_value(c, e, ret);
	case EXPR_INT:
	case EXPR_FLOAT:
	case EXPR_STRING:
	case EXPR_BOOL:
	case EXPR_NIL:
		*ret = literal(e);
		return 0;
	case EXPR_FIELD:
		r = eval(c, e->a, &v);
		return r ? r : value_field(c, &v, e, ret);
	case EXPR_DEREF:
		r = eval(c, e->a, &v);
		return r ? r : value_deref(c, &v, e, ret);
	case EXPR_ASSERT:
		return assertion(c, e, ret);
	case EXPR_INDEX:
		return element(c, e, ret);
	case EXPR_CALL:
		return call(c, e, ret);
	case EXPR_NOT:
		return not_value(c, e, ret);
	case EXPR_NEG:
		return negate(c, e, ret);
	case EXPR_BINARY:
		return binary(c, e, ret);
	}
	return -EINVAL;
}
