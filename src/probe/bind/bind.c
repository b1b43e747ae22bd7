#include "probe/bind/bind.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "probe/bind/binder.h"

/* ---- messages ---- */

static int fail_with(struct binder *b, int code, const struct expr *e, const char *fmt, va_list ap)
{
	char sentence[400];

	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	return err_at_column(b->err, code, b->text, e->column, "%s", sentence);
}

int fail(struct binder *b, const struct expr *e, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail_with(b, -EINVAL, e, fmt, ap);
	va_end(ap);
	return r;
}

int fail_unreadable(struct binder *b, const struct expr *e, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fail_with(b, -ENODATA, e, fmt, ap);
	va_end(ap);
	return r;
}

const char *text_of(struct binder *b, const struct bound *n)
{
	return expr_short(b->arena, n->expr);
}

const char *type_text(const struct bound *n)
{
	return operand_type_text(operand_of(n));
}

const char *type_with_article(struct binder *b, const struct bound *n)
{
	return operand_with_article(b->arena, operand_of(n));
}

/* ---- nodes ---- */

struct operand operand_of(const struct bound *n)
{
	return (struct operand){n->type, n->constant};
}

bool is_text(const struct bound *n)
{
	return operand_is_text(operand_of(n));
}

struct bound *bound_two(struct binder *b, enum bound_op op, const struct type *type, const struct expr *e,
			const struct bound *x, const struct bound *y)
{
	struct bound *n = arena_new(b->arena, struct bound);

	*n = (struct bound){.op = op, .type = type, .expr = e, .a = x, .b = y};
	return n;
}

struct bound *bound_new(struct binder *b, enum bound_op op, const struct type *type, const struct expr *e)
{
	return bound_two(b, op, type, e, NULL, NULL);
}

void set_constant(struct binder *b, struct bound *n, struct constant k)
{
	n->constant = arena_memdup(b->arena, &k, sizeof(k));
}

struct bound *bound_constant(struct binder *b, const struct expr *e, struct constant k)
{
	struct bound *n = bound_new(b, BOUND_CONST, NULL, e);

	set_constant(b, n, k);
	return n;
}

struct bound *retyped(struct binder *b, const struct bound *n, const struct type *t, struct constant k)
{
	struct bound *copy = arena_memdup(b->arena, n, sizeof(*n));

	copy->type = t;
	set_constant(b, copy, k);
	return copy;
}

static struct bound *literal(struct binder *b, const struct expr *e)
{
	return bound_constant(
	    b, e,
	    (struct constant){
		.kind = e->op, .number = e->number, .big = e->big, .real = e->real, .text = e->text, .len = e->len});
}

/* ---- logic ---- */

static bool is_logic(const struct expr *e)
{
	return e->op == EXPR_BINARY && (!strcmp(e->text, "&&") || !strcmp(e->text, "||"));
}

int bind_bool(struct binder *b, const struct expr *e, struct bound **ret)
{
	int r = bind_node(b, e, ret);

	if (!r && ((*ret)->type ? (*ret)->type->kind != KIND_BOOL : !is_const(*ret, EXPR_BOOL)))
		r = fail(b, e, "%s is %s; a condition is expected here, a bool", expr_short(b->arena, e),
			 type_with_article(b, *ret));
	return r;
}

static int bind_logic(struct binder *b, const struct expr *e, struct bound **ret)
{
	struct bound *x, *y;
	int r = bind_bool(b, e->a, &x);

	if (!r)
		r = bind_bool(b, e->b, &y);
	if (!r)
		*ret = bound_two(b, *e->text == '&' ? BOUND_AND : BOUND_OR, basic_type(KIND_BOOL), e, x, y);
	return r;
}

static int bind_not(struct binder *b, const struct expr *e, struct bound **ret)
{
	struct bound *x;
	int r = bind_bool(b, e->a, &x);

	if (!r)
		*ret = bound_two(b, BOUND_NOT, basic_type(KIND_BOOL), e, x, NULL);
	return r;
}

/* ---- all of it ---- */

static int bind_selector(struct binder *b, const struct expr *e, struct bound **ret)
{
	struct bound *a;
	int r;

	if (is_saved_name(b, e))
		return not_saved(b, e);
	if (e->a->op == EXPR_NAME && !is_carried(b, e->a) && !name_is_known(b, e->a->text) && is_global(b, e))
		return bind_global(b, e, ret);
	r = bind_node(b, e->a, &a);
	return r ? r : bind_field(b, a, e, ret);
}

static int bind_element(struct binder *b, const struct expr *e, struct bound **ret)
{
	struct bound *a, *index;
	int r = bind_node(b, e->a, &a);

	if (!r)
		r = bind_node(b, e->b, &index);
	return r ? r : bind_index(b, a, index, e, ret);
}

static int bind_pointed(struct binder *b, const struct expr *e, struct bound **ret)
{
	struct bound *a;
	int r = bind_node(b, e->a, &a);

	return r ? r : bind_deref(b, a, e, ret);
}

int bind_node(struct binder *b, const struct expr *e, struct bound **ret)
{
	*ret = bind_carried(b, e);
	if (*ret)
		return b->in_filter && !b->scope->traced
			   ? fail(b, e,
				  "a saved value can be used in a capture and its `when`, not in the condition of "
				  "the whole point")
			   : 0;
	switch (e->op) {
	case EXPR_NAME:
		return bind_name(b, e, ret);
	case EXPR_INT:
	case EXPR_FLOAT:
	case EXPR_STRING:
	case EXPR_BOOL:
	case EXPR_NIL:
		*ret = literal(b, e);
		return 0;
	case EXPR_FIELD:
		return bind_selector(b, e, ret);
	case EXPR_DEREF:
		return bind_pointed(b, e, ret);
	case EXPR_ASSERT:
		return bind_assert(b, e, ret);
	case EXPR_INDEX:
		return bind_element(b, e, ret);
	case EXPR_CALL:
		return bind_call(b, e, ret);
	case EXPR_NOT:
		return bind_not(b, e, ret);
	case EXPR_NEG:
		return bind_negation(b, e, ret);
	case EXPR_POS:
		return bind_plus(b, e, ret);
	case EXPR_COMPLEMENT:
		return bind_complement(b, e, ret);
	case EXPR_SLICE:
		return bind_slice(b, e, ret);
	case EXPR_LITERAL:
		return bind_literal(b, e, ret);
	case EXPR_ELEMENT: /* its literal looks at it */
		break;
	case EXPR_BINARY:
		return is_logic(e) ? bind_logic(b, e, ret) : is_comparison(e) ? bind_compare(b, e, ret)
									      : bind_arithmetic(b, e, ret);
	}
	return -EINVAL;
}

int bind_expr(const struct bind_scope *scope, const struct expr *e, const char *text, struct arena *arena,
	      const struct bound **ret, struct err *err)
{
	struct binder b = {.scope = scope, .types = scope->types, .arena = arena, .err = err, .text = text};
	struct bound *n;
	int r = bind_node(&b, e, &n);

	if (!r)
		*ret = n;
	return r;
}
