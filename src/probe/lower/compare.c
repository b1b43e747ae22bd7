/* Comparisons: what can be compared with what, and how it looks as instructions. */
#include "probe/lower/compiler.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *text;
	enum ir_bin of_signed, of_unsigned;
} comparisons[] = {{"==", BIN_EQ, BIN_EQ},  {"!=", BIN_NE, BIN_NE},  {"<", BIN_LT, BIN_ULT},
		   {"<=", BIN_LE, BIN_ULE}, {">", BIN_GT, BIN_UGT}, {">=", BIN_GE, BIN_UGE}};

static int comparison_index(const struct expr *e)
{
	for (size_t i = 0; e->op == EXPR_BINARY && i < ARRAY_SIZE(comparisons); i++)
		if (!strcmp(comparisons[i].text, e->text))
			return (int)i;
	return -1;
}

bool is_comparison(const struct expr *e)
{
	return comparison_index(e) >= 0;
}

bool is_equality(const struct expr *e)
{
	return comparison_index(e) < 2;
}

bool is_equal(const struct expr *e)
{
	return comparison_index(e) == 0;
}

enum ir_bin comparison_bin(const struct expr *e, bool is_signed)
{
	int which = comparison_index(e);

	return is_signed ? comparisons[which].of_signed : comparisons[which].of_unsigned;
}

bool is_const(const struct value *v, enum expr_op op)
{
	return v->place == PLACE_CONST && v->constant == op;
}

int only_equality(struct compiler *c, const struct expr *e, const struct value *v)
{
	return fail(c, e, "%s is %s: it can be compared with == and != only", expr_text(c, v->expr),
		    type_with_article(c, v));
}

/* ---- constants with constants ---- */

static int fold(struct compiler *c, const struct expr *e, const struct value *a,
		const struct value *b, struct value *ret)
{
	double x = a->constant == EXPR_FLOAT ? a->real : (double)a->number;
	double y = b->constant == EXPR_FLOAT ? b->real : (double)b->number;
	bool floats = (a->constant == EXPR_FLOAT || b->constant == EXPR_FLOAT) &&
		      (a->constant == EXPR_INT || a->constant == EXPR_FLOAT) &&
		      (b->constant == EXPR_INT || b->constant == EXPR_FLOAT) && !a->big && !b->big;
	int order;

	if (!floats && (a->constant != b->constant || a->constant == EXPR_NIL || a->constant == EXPR_FLOAT))
		return fail(c, e, "%s cannot be compared with %s", type_with_article(c, a), type_with_article(c, b));
	if (a->constant == EXPR_BOOL && !is_equality(e))
		return only_equality(c, e, a);
	if (a->constant == EXPR_STRING) {
		order = memcmp(a->text, b->text, MIN(a->len, b->len));
		order = order ? order : (a->len > b->len) - (a->len < b->len);
	} else if (floats) {
		order = (x > y) - (x < y);
	} else if (a->big || b->big) {
		order = a->big && b->big ? ((uint64_t)a->number > (uint64_t)b->number) -
						   ((uint64_t)a->number < (uint64_t)b->number)
					 : (a->big ? 1 : -1);
	} else {
		order = (a->number > b->number) - (a->number < b->number);
	}
	switch (comparisons[comparison_index(e)].of_signed) {
	case BIN_EQ:
		order = order == 0;
		break;
	case BIN_NE:
		order = order != 0;
		break;
	case BIN_LT:
		order = order < 0;
		break;
	case BIN_LE:
		order = order <= 0;
		break;
	case BIN_GT:
		order = order > 0;
		break;
	default:
		order = order >= 0;
		break;
	}
	*ret = const_value(e, EXPR_BOOL, order);
	return 0;
}

/* ---- with nil ---- */

static int compare_nil(struct compiler *c, const struct expr *e, const struct value *v, uint16_t dst)
{
	const struct type *t = v->type;
	uint16_t word;
	int r;

	if (!is_equality(e))
		return only_equality(c, e, v);
	if (!t || (!is_pointer_shaped(t) && t->kind != KIND_SLICE && t->kind != KIND_INTERFACE))
		return fail(c, e, "%s is %s, which is never nil", expr_text(c, v->expr), type_with_article(c, v));
	r = value_word(c, v, 0, 8, false, &word);
	if (!r)
		emit_bin_to(c, dst, is_equal(e) ? BIN_EQ : BIN_NE, word, emit_const(c, 0));
	return r;
}

/* x.(T) == nil: another type in x makes it false, not a failure. */
static int compare_assertion_nil(struct compiler *c, const struct expr *e, const struct expr *assertion,
				 uint16_t dst)
{
	uint16_t word, matches, end = label_new(c);
	struct value x, v;
	int r = eval(c, assertion->a, &x);

	if (!r)
		r = value_assert(c, &x, assertion, &word, &matches, &v);
	if (r)
		return r;
	emit_move(c, dst, matches);
	emit_jump_if0(c, matches, end);
	r = compare_nil(c, e, &v, dst);
	ir_emit_label(c, end);
	return r;
}

/* ---- texts ---- */

bool is_text(const struct value *v)
{
	return v->type ? v->type->kind == KIND_STRING : v->constant == EXPR_STRING;
}

static int text_constant(struct compiler *c, const struct value *v, const struct value **ret)
{
	if (!is_const(v, EXPR_STRING))
		return fail(c, v->expr, "a constant text is expected here, as in \"GET\"");
	if (v->len > IR_MAX_STR || memchr(v->text, 0, v->len))
		return fail(c, v->expr, "a text to compare with has at most %d bytes, and none is 0",
			    IR_MAX_STR);
	*ret = v;
	return 0;
}

/* dst = op(the text of v, constant) */
static int emit_text(struct compiler *c, enum ir_op op, const struct value *v,
		     const struct value *constant, uint16_t dst)
{
	struct ir_insn *i;
	uint16_t pointer, len;
	int r = value_word(c, v, 8, 8, true, &len);

	if (!r && !constant->len) {
		if (op == IR_STR_EQ)
			emit_bin_to(c, dst, BIN_EQ, len, emit_const(c, 0));
		else
			emit_const_to(c, dst, 1);
		return 0;
	}
	if (!r)
		r = value_word(c, v, 0, 8, false, &pointer);
	if (r)
		return r;
	i = emit(c, op);
	i->dst = dst;
	i->a = pointer;
	i->b = len;
	i->str = constant->text;
	i->imm = (int64_t)constant->len;
	return 0;
}

static int not_a_text(struct compiler *c, const struct expr *e, const struct value *v)
{
	if (v->type && v->type->kind == KIND_SLICE && v->type->elem && v->type->elem->kind == KIND_UINT8)
		return fail(c, e, "%s is %s; to compare it with a text write string(%s)", expr_text(c, v->expr),
			    type_with_article(c, v), expr_text(c, v->expr));
	return fail(c, e, "%s is %s, it cannot be compared with a text (string)", expr_text(c, v->expr),
		    type_with_article(c, v));
}

static int compare_strings(struct compiler *c, const struct expr *e, const struct value *a,
			   const struct value *b, uint16_t dst)
{
	const struct value *constant, *v = is_const(a, EXPR_STRING) ? b : a;
	uint16_t equal;
	int r = 0;

	if (!is_text(a) || !is_text(b))
		return not_a_text(c, e, is_text(a) ? b : a);
	if (is_const(a, EXPR_STRING) || is_const(b, EXPR_STRING))
		r = text_constant(c, v == a ? b : a, &constant);
	else
		return compare_texts(c, e, a, b, dst);
	if (r)
		return r;
	if (!is_equality(e))
		return compare_texts(c, e, a, b, dst);
	if (is_equal(e))
		return emit_text(c, IR_STR_EQ, v, constant, dst);
	equal = reg_new(c);
	r = emit_text(c, IR_STR_EQ, v, constant, equal);
	emit_not_to(c, dst, equal);
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

/* What hasprefix and its kin look into: a string or []byte, or an interface that holds a string. */
static bool holds_bytes(const struct type *t)
{
	return t && (t->kind == KIND_STRING || (t->kind == KIND_SLICE && t->elem && t->elem->kind == KIND_UINT8));
}

static int emit_text_call(struct compiler *c, const struct expr *call, enum ir_op op, struct value *v,
			  struct value *text, uint16_t dst)
{
	const struct value *constant;
	int r;

	if (!is_const(text, EXPR_STRING) && !holds_bytes(text->type))
		return fail(c, call->args[1], "%s is %s; a text is expected here", expr_text(c, call->args[1]),
			    type_with_article(c, text));
	if (v->place == PLACE_CONST)
		return fail(c, call->args[0], "%s is a constant: what is looked into comes first, as in %s(s, "
					      "\"text\")",
			    expr_text(c, call->args[0]), call->text);
	if (!is_const(text, EXPR_STRING) && op == IR_STR_CONTAINS)
		return fail(c, call->args[1], "contains looks for a constant text: where the probe fires, a search for "
					      "any text would take too long");
	if (!is_const(text, EXPR_STRING))
		return text_affix(c, v, text, op == IR_STR_SUFFIX, dst);
	r = text_constant(c, text, &constant);
	return r ? r : emit_text(c, op, v, constant, dst);
}

/* An interface: false unless it holds a string. */
static int text_in_interface(struct compiler *c, const struct expr *call, enum ir_op op, const struct value *v,
			     struct value *text, uint16_t dst)
{
	uint16_t word, data, wanted, end = label_new(c);
	const struct type *t;
	struct value held;
	int r = value_type_word(c, v, call->args[0], &word);

	if (!r)
		r = emit_type(c, call->args[0], "string", &wanted, &t);
	if (!r)
		r = value_word(c, v, 8, 8, false, &data);
	if (r)
		return r;
	emit_bin_to(c, dst, BIN_EQ, word, wanted);
	emit_jump_if0(c, dst, end);
	held = value_memory(data, t, call->args[0]);
	r = emit_text_call(c, call, op, &held, text, dst);
	ir_emit_label(c, end);
	return r;
}

int compare_text(struct compiler *c, const struct expr *call, uint16_t dst)
{
	static bool (*const tests[])(const char *, const char *, size_t) = {
		[IR_STR_PREFIX - IR_STR_EQ] = name_begins,
		[IR_STR_SUFFIX - IR_STR_EQ] = name_ends,
		[IR_STR_CONTAINS - IR_STR_EQ] = name_contains};
	enum ir_op op = call->text[0] == 'c' ? IR_STR_CONTAINS
			: call->text[3] == 'p' ? IR_STR_PREFIX : IR_STR_SUFFIX;
	struct value v, text;
	int r;

	if (call->nargs != 2)
		return fail(c, call, "%s takes two arguments: %s(s, \"text\")", call->text, call->text);
	r = eval(c, call->args[0], &v);
	if (!r)
		r = eval(c, call->args[1], &text);
	if (r)
		return r;
	if (v.type == &code_address_type)
		return compare_caller(c, call, &v, &text, tests[op - IR_STR_EQ], dst);
	if (v.type && v.type->kind == KIND_INTERFACE)
		return text_in_interface(c, call, op, &v, &text, dst);
	if (!is_const(&v, EXPR_STRING) && !holds_bytes(v.type))
		return fail(c, call->args[0], "%s is %s; %s looks into strings and []byte",
			    expr_text(c, call->args[0]), type_with_article(c, &v), call->text);
	return emit_text_call(c, call, op, &v, &text, dst);
}

/* ---- numbers, bools, pointers, types ---- */

/* A type of which the linker left out the descriptor, or all: no interface of this program holds it. */
static bool is_held_by_none(struct compiler *c, const char *go_type)
{
	struct err why = {0};
	const struct type *t = binary_type_parse(c->binary, func_package(c), go_type, &why);

	return t ? t->kind != KIND_INTERFACE && !t->rtype : why.code == -ENOENT;
}

static int compare_type(struct compiler *c, const struct expr *e, const struct value *v,
			const struct value *name, uint16_t dst)
{
	const struct type *t;
	uint16_t wanted;
	int r;

	if (!is_equality(e))
		return only_equality(c, e, v);
	if (name->type == &type_word_type) {
		emit_bin_to(c, dst, is_equal(e) ? BIN_EQ : BIN_NE, v->reg, name->reg);
		return 0;
	}
	if (!is_const(name, EXPR_STRING))
		return fail(c, name->expr, "a type is compared with its name: typeof(x) == \"*pkg.T\"");
	/* A question is told so: it would be answered by nothing. A pack is made for all programs of a library. */
	if (!c->scope->traced && is_held_by_none(c, name->text)) {
		emit_const_to(c, dst, !is_equal(e));
		return 0;
	}
	r = emit_type(c, name->expr, name->text, &wanted, &t);
	if (!r)
		emit_bin_to(c, dst, is_equal(e) ? BIN_EQ : BIN_NE, v->reg, wanted);
	return r;
}

static int comparable(struct compiler *c, const struct expr *e, const struct value *a,
		      const struct value *b)
{
	const struct type *s = a->type, *t = b->type;

	if (type_is_integer(s) && type_is_integer(t)) {
		if (type_is_signed(s) == type_is_signed(t))
			return 0;
		return fail(c, e, "mismatched types %s and %s; convert one, as in int64(x)", s->name, t->name);
	}
	if ((s->kind == KIND_BOOL && t->kind == KIND_BOOL) ||
	    (is_pointer_shaped(s) && s->kind == t->kind))
		return is_equality(e) ? 0 : only_equality(c, e, a);
	if (is_pointer_shaped(s) != is_pointer_shaped(t))
		return fail(c, e, "%s cannot be compared with %s; a pointer's address is uintptr(p)",
			    type_with_article(c, a), type_with_article(c, b));
	return fail(c, e, "%s cannot be compared with %s", type_with_article(c, a), type_with_article(c, b));
}

static int compare_scalars(struct compiler *c, const struct expr *e, struct value *a, struct value *b,
			   uint16_t dst)
{
	int which = comparison_index(e), r;
	uint16_t x, y;

	if ((a->type && type_is_float(a->type)) || (b->type && type_is_float(b->type)))
		return compare_floats(c, e, comparisons[which].of_signed, a, b, dst);
	if (!a->type)
		r = const_convert(c, a, b->type, a);
	else
		r = b->type ? 0 : const_convert(c, b, a->type, b);
	if (!r)
		r = comparable(c, e, a, b);
	if (!r)
		r = value_scalar(c, a, &x);
	if (!r)
		r = value_scalar(c, b, &y);
	if (!r)
		emit_bin_to(c, dst, type_is_signed(a->type) ? comparisons[which].of_signed
							    : comparisons[which].of_unsigned, x, y);
	return r;
}

/* caller == "main.handle" */
static int caller_is(struct compiler *c, const struct expr *e, const struct value *caller, const struct value *text,
		     uint16_t dst)
{
	uint16_t equal = is_equal(e) ? dst : reg_new(c);
	int r;

	if (!is_equality(e))
		return fail(c, e, "caller can be compared with == and != only, and with hasprefix, hassuffix and "
				  "contains");
	r = compare_caller(c, e, caller, text, name_equals, equal);
	if (!r && equal != dst)
		emit_not_to(c, dst, equal);
	return r;
}

int compare_values(struct compiler *c, const struct expr *e, struct value *a, struct value *b, uint16_t dst,
		   struct value *ret)
{
	*ret = reg_value(e, dst, KIND_BOOL);
	if (a->place == PLACE_CONST && b->place == PLACE_CONST)
		return fold(c, e, a, b, ret);
	if (is_const(b, EXPR_NIL))
		return compare_nil(c, e, a, dst);
	if (is_const(a, EXPR_NIL))
		return compare_nil(c, e, b, dst);
	if (a->type == &type_word_type)
		return compare_type(c, e, a, b, dst);
	if (b->type == &type_word_type)
		return compare_type(c, e, b, a, dst);
	if (a->type == &code_address_type && is_text(b))
		return caller_is(c, e, a, b, dst);
	if (b->type == &code_address_type && is_text(a))
		return caller_is(c, e, b, a, dst);
	if ((a->type && a->type->kind == KIND_INTERFACE) || (b->type && b->type->kind == KIND_INTERFACE))
		return compare_interface(c, e, a, b, dst);
	if (is_text(a) || is_text(b))
		return compare_strings(c, e, a, b, dst);
	if (has_parts(a) || has_parts(b))
		return compare_parts(c, e, a, b, dst);
	return compare_scalars(c, e, a, b, dst);
}

int compare(struct compiler *c, const struct expr *e, uint16_t dst, struct value *ret)
{
	struct value a, b;
	int r;

	*ret = reg_value(e, dst, KIND_BOOL);
	if (e->a->op == EXPR_ASSERT && e->b->op == EXPR_NIL)
		return compare_assertion_nil(c, e, e->a, dst);
	if (e->b->op == EXPR_ASSERT && e->a->op == EXPR_NIL)
		return compare_assertion_nil(c, e, e->b, dst);
	r = eval(c, e->a, &a);
	if (!r)
		r = eval(c, e->b, &b);
	return r ? r : compare_values(c, e, &a, &b, dst, ret);
}
