/* Comparisons as instructions. */
#include "probe/lower/lowerer.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *text;
	enum ir_bin of_signed, of_unsigned;
} comparisons[] = {{"==", BIN_EQ, BIN_EQ},  {"!=", BIN_NE, BIN_NE},  {"<", BIN_LT, BIN_ULT},
		   {"<=", BIN_LE, BIN_ULE}, {">", BIN_GT, BIN_UGT}, {">=", BIN_GE, BIN_UGE}};

enum ir_bin comparison_bin(const char *sign, bool is_signed)
{
	for (size_t i = 0; i < ARRAY_SIZE(comparisons); i++)
		if (!strcmp(comparisons[i].text, sign))
			return is_signed ? comparisons[i].of_signed : comparisons[i].of_unsigned;
	return BIN_EQ;
}

bool is_equal_sign(const char *sign)
{
	return !strcmp(sign, "==");
}

bool is_equality_sign(const char *sign)
{
	return is_equal_sign(sign) || !strcmp(sign, "!=");
}

static enum ir_bin equality_bin(const struct comparison *q)
{
	return is_equal_sign(q->sign) ? BIN_EQ : BIN_NE;
}

bool is_value_const(const struct value *v, enum expr_op kind)
{
	return v->place == PLACE_CONST && v->constant.kind == kind;
}

static struct operand operand_of_value(const struct value *v)
{
	return (struct operand){v->type, v->place == PLACE_CONST ? &v->constant : NULL};
}

/* ---- with nil ---- */

static int compare_nil(struct lowerer *l, const struct comparison *q, const struct value *v, uint16_t dst)
{
	uint16_t word;
	int r = value_word(l, v, 0, 8, false, &word);

	if (!r)
		emit_bin_to(l, dst, equality_bin(q), word, emit_const(l, 0));
	return r;
}

/* x.(T) == nil: another type in x makes it false, not a failure. */
static int compare_assertion_nil(struct lowerer *l, const struct comparison *q, const struct bound *assertion,
				 uint16_t dst)
{
	uint16_t word, matches, end = label_new(l);
	struct value x, v;
	int r = lower(l, assertion->a, &x);

	if (!r)
		r = value_assert(l, &x, assertion->expr, assertion->type, &word, &matches, &v);
	if (r)
		return r;
	emit_move(l, dst, matches);
	emit_jump_if0(l, matches, end);
	r = compare_nil(l, q, &v, dst);
	ir_emit_label(l, end);
	return r;
}

/* ---- texts ---- */

/* dst = op(the text of v, constant) */
static int emit_text(struct lowerer *l, enum ir_op op, const struct value *v, const struct constant *constant,
		     uint16_t dst)
{
	struct ir_insn *i;
	uint16_t pointer, len;
	int r = value_word(l, v, 8, 8, true, &len);

	if (!r && !constant->len) {
		if (op == IR_STR_EQ)
			emit_bin_to(l, dst, BIN_EQ, len, emit_const(l, 0));
		else
			emit_const_to(l, dst, 1);
		return 0;
	}
	if (!r)
		r = value_word(l, v, 0, 8, false, &pointer);
	if (r)
		return r;
	i = emit(l, op);
	i->dst = dst;
	i->a = pointer;
	i->b = len;
	i->str = constant->text;
	i->imm = (int64_t)constant->len;
	return 0;
}

static int compare_strings(struct lowerer *l, const struct comparison *q, const struct value *a, const struct value *b,
			   uint16_t dst)
{
	const struct value *constant = is_value_const(a, EXPR_STRING) ? a : is_value_const(b, EXPR_STRING) ? b : NULL;
	const struct value *v = constant == a ? b : a;
	uint16_t equal;
	int r;

	if (!constant || !is_equality_sign(q->sign))
		return compare_texts(l, q->sign, a, b, dst);
	if (is_equal_sign(q->sign))
		return emit_text(l, IR_STR_EQ, v, &constant->constant, dst);
	equal = reg_new(l);
	r = emit_text(l, IR_STR_EQ, v, &constant->constant, equal);
	emit_not_to(l, dst, equal);
	return r;
}

static bool name_begins(const char *name, const char *text, size_t len)
{
	return !strncmp(name, text, len);
}

static bool name_ends(const char *name, const char *text, size_t len)
{
	size_t n = strlen(name);

	return n >= len && !memcmp(name + n - len, text, len);
}

static bool name_contains(const char *name, const char *text, size_t len)
{
	return memmem(name, strlen(name), text, len) != NULL;
}

static int emit_text_call(struct lowerer *l, enum text_function f, const struct value *v, const struct value *text,
			  uint16_t dst)
{
	static const enum ir_op ops[] = {[TEXT_PREFIX] = IR_STR_PREFIX, [TEXT_SUFFIX] = IR_STR_SUFFIX,
					 [TEXT_CONTAINS] = IR_STR_CONTAINS};

	if (!is_value_const(text, EXPR_STRING))
		return text_affix(l, v, text, f == TEXT_SUFFIX, dst);
	return emit_text(l, ops[f], v, &text->constant, dst);
}

/* An interface: false unless it holds a string. */
static int text_in_interface(struct lowerer *l, const struct bound *n, const struct value *v, const struct value *text,
			     uint16_t dst)
{
	const struct expr *e = n->expr->args[0];
	uint16_t word, data, wanted, end = label_new(l);
	struct value held;
	int r = value_type_word(l, v, e, &word);

	if (r)
		return r;
	wanted = emit_type(l, n->held->rtype);
	r = value_word(l, v, 8, 8, false, &data);
	if (r)
		return r;
	emit_bin_to(l, dst, BIN_EQ, word, wanted);
	emit_jump_if0(l, dst, end);
	held = value_memory(data, n->held, e);
	r = emit_text_call(l, n->text, &held, text, dst);
	ir_emit_label(l, end);
	return r;
}

int lower_text_call(struct lowerer *l, const struct bound *n, uint16_t dst)
{
	static bool (*const tests[])(const char *, const char *, size_t) = {
		[TEXT_PREFIX] = name_begins, [TEXT_SUFFIX] = name_ends, [TEXT_CONTAINS] = name_contains};
	struct value v, text;
	int r = lower(l, n->a, &v);

	if (!r)
		r = lower(l, n->b, &text);
	if (r)
		return r;
	if (v.type == &code_address_type)
		return compare_caller(l, n->expr, &v, &text.constant, tests[n->text], dst);
	if (v.type->kind == KIND_INTERFACE)
		return text_in_interface(l, n, &v, &text, dst);
	return emit_text_call(l, n->text, &v, &text, dst);
}

/* ---- numbers, bools, pointers, types ---- */

static int compare_type(struct lowerer *l, const struct comparison *q, const struct value *v, const struct value *name,
			uint16_t dst)
{
	if (name->type == &type_word_type)
		emit_bin_to(l, dst, equality_bin(q), v->reg, name->reg);
	else if (q->held)
		emit_bin_to(l, dst, equality_bin(q), v->reg, emit_type(l, q->held->rtype));
	else
		emit_const_to(l, dst, !is_equal_sign(q->sign));
	return 0;
}

static int compare_scalars(struct lowerer *l, const struct comparison *q, const struct value *a, const struct value *b,
			   uint16_t dst)
{
	uint16_t x, y;
	int r;

	if ((a->type && type_is_float(a->type)) || (b->type && type_is_float(b->type)))
		return compare_floats(l, comparison_bin(q->sign, true), a, b, dst);
	r = value_scalar(l, a, &x);
	if (!r)
		r = value_scalar(l, b, &y);
	if (!r)
		emit_bin_to(l, dst, comparison_bin(q->sign, type_is_signed(a->type)), x, y);
	return r;
}

/* caller == "main.handle" */
static int caller_is(struct lowerer *l, const struct comparison *q, const struct value *caller,
		     const struct value *text, uint16_t dst)
{
	uint16_t equal = is_equal_sign(q->sign) ? dst : reg_new(l);
	int r = compare_caller(l, q->e, caller, &text->constant, name_equals, equal);

	if (!r && equal != dst)
		emit_not_to(l, dst, equal);
	return r;
}

int compare_values(struct lowerer *l, const struct comparison *q, const struct value *a, const struct value *b,
		   uint16_t dst)
{
	switch (comparison_of(operand_of_value(a), operand_of_value(b))) {
	case COMPARE_NIL:
		return compare_nil(l, q, is_value_const(b, EXPR_NIL) ? a : b, dst);
	case COMPARE_TYPE:
		return a->type == &type_word_type ? compare_type(l, q, a, b, dst) : compare_type(l, q, b, a, dst);
	case COMPARE_CALLER:
		return a->type == &code_address_type ? caller_is(l, q, a, b, dst) : caller_is(l, q, b, a, dst);
	case COMPARE_INTERFACE:
		return compare_interface(l, q, a, b, dst);
	case COMPARE_TEXT:
		return compare_strings(l, q, a, b, dst);
	case COMPARE_PARTS:
		return compare_parts(l, q, a, b, dst);
	case COMPARE_SCALARS:
		return compare_scalars(l, q, a, b, dst);
	case COMPARE_CONSTANTS:
	case COMPARE_ASSERTED_NIL: /* of nodes only */
		break;
	}
	return -EINVAL;
}

int lower_compare(struct lowerer *l, const struct bound *n, uint16_t dst, struct value *ret)
{
	struct comparison q = {.e = n->expr, .sign = n->sign, .held = n->held};
	struct value a, b;
	int r;

	*ret = value_reg(n->expr, dst, basic_type(KIND_BOOL));
	if (n->how == COMPARE_ASSERTED_NIL)
		return compare_assertion_nil(l, &q, is_const(n->b, EXPR_NIL) ? n->a : n->b, dst);
	r = lower(l, n->a, &a);
	if (!r)
		r = lower(l, n->b, &b);
	if (!r && n->constant)
		*ret = value_constant(n);
	else if (!r)
		r = compare_values(l, &q, &a, &b, dst);
	return r;
}
