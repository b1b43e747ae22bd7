#include "probe/lower/compiler.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- messages ---- */

static int fail_with(struct compiler *c, int code, const struct expr *e, const char *fmt, va_list ap)
{
	char sentence[400];

	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	return err_at_column(c->err, code, c->text, e->column, "%s", sentence);
}

int fail(struct compiler *c, const struct expr *e, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail_with(c, -EINVAL, e, fmt, ap);
	va_end(ap);
	return r;
}

int fail_unreadable(struct compiler *c, const struct expr *e, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail_with(c, -ENODATA, e, fmt, ap);
	va_end(ap);
	return r;
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

/* The first letter decides; the u of uint is spoken as a consonant. */
const char *with_article(struct arena *arena, const char *noun)
{
	bool vowel = *noun && strchr("aeioAEIO", *noun);

	return arena_printf(arena, "%s %s", vowel ? "an" : "a", noun);
}

const char *type_with_article(struct compiler *c, const struct value *v)
{
	return !v->type && v->constant == EXPR_NIL ? "nil" : with_article(c->arena, type_text(c, v));
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

	if ((!is_logic(e, "&&") && !is_logic(e, "||")) || is_kept(c, e)) {
		r = is_comparison(e) && !is_kept(c, e) ? compare(c, e, dst, &v) : eval(c, e, &v);
		if (!r && (v.type ? v.type->kind != KIND_BOOL : v.constant != EXPR_BOOL))
			r = fail(c, e, "%s is %s; a condition is expected here, a bool", expr_text(c, e),
				 type_with_article(c, &v));
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

	if (is_logic(e, "&&") && !is_kept(c, e)) {
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
		return eval_arithmetic(c, e, ret);
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

	if (is_kept(c, e)) {
		kept_value(c, e, ret);
		return 0;
	}
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
		if (is_saved_name(c, e))
			return saved_value(c, e, ret);
		if (e->a->op == EXPR_NAME && !is_kept(c, e->a) && !name_is_known(c, e->a->text) && is_global(c, e))
			return global_value(c, e, ret);
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
		return eval_call(c, e, ret);
	case EXPR_NOT:
		return not_value(c, e, ret);
	case EXPR_NEG:
		return eval_negation(c, e, ret);
	case EXPR_POS:
		return eval_plus(c, e, ret);
	case EXPR_COMPLEMENT:
		return eval_complement(c, e, ret);
	case EXPR_SLICE:
		return eval_slice(c, e, ret);
	case EXPR_LITERAL:
		return literal_value(c, e, ret);
	case EXPR_ELEMENT: /* its literal looks at it */
		break;
	case EXPR_BINARY:
		return binary(c, e, ret);
	}
	return -EINVAL;
}
