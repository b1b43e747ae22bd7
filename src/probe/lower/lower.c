#include "probe/lower/lowerer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- messages ---- */

static int fail_with(struct lowerer *l, int code, const struct expr *e, const char *fmt, va_list ap)
{
	char sentence[400];

	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	return err_at_column(l->err, code, l->text, e->column, "%s", sentence);
}

int lower_fail(struct lowerer *l, const struct expr *e, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail_with(l, -EINVAL, e, fmt, ap);
	va_end(ap);
	return r;
}

int lower_fail_unreadable(struct lowerer *l, const struct expr *e, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail_with(l, -ENODATA, e, fmt, ap);
	va_end(ap);
	return r;
}

const char *expr_text(struct lowerer *l, const struct expr *e)
{
	return expr_short(l->arena, e);
}

const char *value_with_article(struct lowerer *l, const struct value *v)
{
	return operand_with_article(l->arena,
				    (struct operand){v->type, v->place == PLACE_CONST ? &v->constant : NULL});
}

/* ---- names ---- */

static struct value of_param(const struct bound *n, const struct param *p)
{
	return (struct value){
	    .place = PLACE_PARAM, .type = n->type, .expr = n->expr, .param = p, .dict_word = p->dict_word};
}

static uint16_t emit_closure(struct lowerer *l)
{
	uint16_t reg = reg_new(l);
	struct ir_insn *i = emit(l, IR_ARG_REG);

	i->dst = reg;
	i->reg = binary_arch(l->binary)->context;
	return reg;
}

/* A closure's variable: in the closure object, to which arch.context points at the entry, or behind a pointer in it. */
static void of_captured(struct lowerer *l, const struct bound *n, const struct closure_var *v, struct value *ret)
{
	uint16_t reg = emit_closure(l);

	*ret = value_memory(reg, n->type, n->expr);
	ret->offset = v->offset;
	ret->dict_word = v->dict_word;
	if (v->by_reference) { /* then it is the pointer's type that the dictionary has */
		ret->reg = ir_emit_load(l, reg, v->offset, 8, false);
		ret->offset = 0;
		ret->dict_word = 0;
	}
}

static const struct closure_var *captured_dictionary(const struct lowerer *l)
{
	const struct closure_var *v = l->places->captured;

	while (!builtin_is(v->name, BUILTIN_DICTIONARY))
		v++;
	return v;
}

static void of_dictionary(struct lowerer *l, const struct bound *n, struct value *ret)
{
	const struct param *p = l->places->signature->dictionary;

	if (p)
		*ret = (struct value){.place = PLACE_PARAM, .type = n->type, .expr = n->expr, .param = p};
	else
		of_captured(l, n, captured_dictionary(l), ret);
}

static struct value of_register(struct lowerer *l, const struct bound *n, enum ir_op op)
{
	uint16_t reg = reg_new(l);

	emit(l, op)->dst = reg;
	return value_reg(n->expr, reg, n->type);
}

static struct value of_carried(struct lowerer *l, const struct bound *n)
{
	uint16_t reg = reg_new(l);
	struct ir_insn *i = emit(l, IR_SAVED);

	i->dst = reg;
	i->imm = (int64_t)n->index;
	return value_reg(n->expr, reg, n->type);
}

static struct value of_goid(struct lowerer *l, const struct bound *n)
{
	uint16_t g = reg_new(l);
	struct value v = value_memory(g, n->type, n->expr);

	emit(l, IR_G)->dst = g;
	v.offset = l->g.goid;
	return v;
}

static bool lower_name(struct lowerer *l, const struct bound *n, struct value *ret)
{
	const struct signature *s = l->places->signature;

	switch (n->op) {
	case BOUND_PARAM:
		if (l->places->usdt) {
			*ret = usdt_argument(l, n);
			return true;
		}
		*ret = of_param(n, &s->params[n->index]);
		return true;
	case BOUND_RESULT:
		*ret = of_param(n, &s->results[n->index]);
		return true;
	case BOUND_CAPTURED:
		of_captured(l, n, &l->places->captured[n->index], ret);
		return true;
	case BOUND_DICTIONARY:
		of_dictionary(l, n, ret);
		return true;
	case BOUND_GLOBAL:
		*ret = value_memory(emit_type(l, n->global->addr), n->type, n->expr);
		return true;
	case BOUND_CARRIED:
		*ret = of_carried(l, n);
		return true;
	case BOUND_GOID:
		*ret = of_goid(l, n);
		return true;
	case BOUND_THREAD:
		*ret = of_register(l, n, IR_THREAD);
		return true;
	case BOUND_CALLER:
		*ret = of_register(l, n, IR_PC_RET);
		return true;
	case BOUND_CLOSURE:
		*ret = value_reg(n->expr, emit_closure(l), n->type);
		return true;
	case BOUND_LATENCY:
		*ret = of_register(l, n, IR_LATENCY);
		return true;
	case BOUND_STACK:
		*ret = value_reg(n->expr, IR_NO_REG, n->type);
		return true;
	case BOUND_CONST:
		*ret = value_constant(n);
		return true;
	default:
		return false;
	}
}

/* ---- logic ---- */

/* n, a bool, as 0 or 1 in dst. Registers above dst are free again afterwards. */
static int logic_to(struct lowerer *l, const struct bound *n, uint16_t dst)
{
	uint16_t end, other;
	struct value v;
	int r;

	if (n->op != BOUND_AND && n->op != BOUND_OR) {
		r = n->op == BOUND_COMPARE ? lower_compare(l, n, dst, &v) : lower(l, n, &v);
		if (!r && v.place == PLACE_CONST)
			emit_const_to(l, dst, v.constant.number);
		else if (!r)
			r = value_scalar(l, &v, &other);
		if (!r && v.place != PLACE_CONST && other != dst)
			emit_move(l, dst, other);
		l->next_reg = (uint16_t)(dst + 1);
		return r;
	}
	r = logic_to(l, n->a, dst);
	if (r)
		return r;
	end = label_new(l);
	other = dst;
	if (n->op == BOUND_OR) {
		other = reg_new(l);
		emit_not_to(l, other, dst);
	}
	emit_jump_if0(l, other, end);
	l->next_reg = (uint16_t)(dst + 1);
	r = logic_to(l, n->b, dst);
	ir_emit_label(l, end);
	return r;
}

static int lower_bool(struct lowerer *l, const struct bound *n, uint16_t *ret)
{
	uint16_t dst = reg_new(l);
	int r = logic_to(l, n, dst);

	*ret = dst;
	return r;
}

static int lower_logic(struct lowerer *l, const struct bound *n, struct value *ret)
{
	uint16_t dst;
	int r = lower_bool(l, n, &dst);

	*ret = value_reg(n->expr, dst, n->type);
	return r;
}

static int lower_not(struct lowerer *l, const struct bound *n, struct value *ret)
{
	uint16_t dst = reg_new(l), a;
	int r = lower_bool(l, n->a, &a);

	if (!r)
		emit_not_to(l, dst, a);
	l->next_reg = (uint16_t)(dst + 1);
	*ret = value_reg(n->expr, dst, n->type);
	return r;
}

int emit_filter(struct lowerer *l, const struct bound *n)
{
	uint16_t a, before = l->next_reg;
	int r;

	if (n->op == BOUND_AND) {
		r = emit_filter(l, n->a);
		return r ? r : emit_filter(l, n->b);
	}
	r = lower_bool(l, n, &a);
	if (!r)
		emit(l, IR_FILTER)->a = a;
	l->next_reg = before;
	return r;
}

int emit_jump_if_false(struct lowerer *l, const struct bound *n, uint16_t label)
{
	uint16_t a, before = l->next_reg;
	int r;

	if (n->op == BOUND_AND) {
		r = emit_jump_if_false(l, n->a, label);
		return r ? r : emit_jump_if_false(l, n->b, label);
	}
	r = lower_bool(l, n, &a);
	if (!r)
		emit_jump_if0(l, a, label);
	l->next_reg = before;
	return r;
}

/* ---- all of it ---- */

/* One register for the result, whatever the way there takes. */
static int lower_test(struct lowerer *l, const struct bound *n, struct value *ret)
{
	uint16_t dst = reg_new(l);
	int r;

	*ret = value_reg(n->expr, dst, basic_type(KIND_BOOL));
	r = n->op == BOUND_COMPARE ? lower_compare(l, n, dst, ret) : lower_text_call(l, n, dst);
	l->next_reg = (uint16_t)(dst + 1);
	return r;
}

static int lower_assert(struct lowerer *l, const struct bound *n, struct value *ret)
{
	uint16_t word, matches;
	struct value v;
	int r = lower(l, n->a, &v);

	if (!r)
		r = value_assert(l, &v, n->expr, n->type, &word, &matches, ret);
	if (r)
		return r;
	emit_require(l, word, SLOT_NIL);
	emit_require(l, matches, SLOT_OTHER_TYPE);
	return 0;
}

static int lower_any(struct lowerer *l, const struct bound *n, struct value *ret)
{
	switch (n->op) {
	case BOUND_FIELD:
		return lower_field(l, n, ret);
	case BOUND_DEREF:
		return lower_deref(l, n, ret);
	case BOUND_INDEX:
		return lower_index(l, n, ret);
	case BOUND_KEY:
		return lower_key(l, n, ret);
	case BOUND_SLICE:
		return lower_slice(l, n, ret);
	case BOUND_ASSERT:
		return lower_assert(l, n, ret);
	case BOUND_HAS_NAME:
		return lower_has_name(l, n, ret);
	case BOUND_TYPEOF:
		return lower_typeof(l, n, ret);
	case BOUND_LEN:
	case BOUND_CAP:
		return lower_length(l, n, ret);
	case BOUND_CONVERT:
		return lower_convert(l, n, ret);
	case BOUND_C_TEXT:
		return lower_c_text(l, n, ret);
	case BOUND_LITERAL:
		*ret = (struct value){.place = PLACE_LITERAL, .type = n->type, .expr = n->expr, .literal = n};
		return 0;
	case BOUND_NOT:
		return lower_not(l, n, ret);
	case BOUND_NEGATE:
		return lower_negate(l, n, ret);
	case BOUND_COMPLEMENT:
		return lower_complement(l, n, ret);
	case BOUND_AND:
	case BOUND_OR:
		return lower_logic(l, n, ret);
	case BOUND_ARITHMETIC:
	case BOUND_SHIFT:
		return lower_arithmetic(l, n, ret);
	case BOUND_COMPARE:
	case BOUND_TEXT:
		return lower_test(l, n, ret);
	default:
		return -EINVAL;
	}
}

int lower(struct lowerer *l, const struct bound *n, struct value *ret)
{
	int r = lower_name(l, n, ret) ? 0 : lower_any(l, n, ret);

	if (!r && n->constant && n->op != BOUND_CONST)
		*ret = value_constant(n);
	ret->held = n->held;
	return r;
}
