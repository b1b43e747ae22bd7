/*
 * Literals of structs and arrays: Point{1, 2}, Point{X: 1}, [2]int{1, 2}. They are never made: who compares with one
 * asks for each part of it, which is a constant, a value, or the zero of its type.
 */
#include "probe/lower/compiler.h"

#include <string.h>

static size_t element_count(const struct expr *e)
{
	size_t n = 0;

	for (const struct expr *x = e->a; x; x = x->b)
		n++;
	return n;
}

static bool is_field(struct compiler *c, const struct type *t, const char *name)
{
	struct type_field f;

	for (size_t i = 0; i < type_field_count(c->binary, t); i++)
		if (type_field(c->binary, t, i, &f) && f.name && !strcmp(f.name, name))
			return true;
	return false;
}

static int check_struct(struct compiler *c, const struct expr *e, const struct type *t)
{
	size_t n = element_count(e), fields = type_field_count(c->binary, t);
	bool named = e->a && e->a->text;

	for (const struct expr *x = e->a; x; x = x->b) {
		if (named != (x->text != NULL))
			return fail(c, x, "either all fields of a literal are named or none is");
		if (x->text && !is_field(c, t, x->text))
			return fail(c, x, "%s has no field %s", t->name, x->text);
	}
	if (n && !named && n != fields)
		return fail(c, e, "%s has %zu fields; this literal has %zu values", t->name, fields, n);
	return 0;
}

static int check_array(struct compiler *c, const struct expr *e, const struct type *t)
{
	if (element_count(e) > t->len)
		return fail(c, e, "%s has %llu elements; this literal has %zu", t->name, (unsigned long long)t->len,
			    element_count(e));
	for (const struct expr *x = e->a; x; x = x->b)
		if (x->text)
			return fail(c, x, "elements of an array have no names");
	return 0;
}

int literal_value(struct compiler *c, const struct expr *e, struct value *ret)
{
	struct err why = {0};
	const struct type *t = binary_type_parse(c->binary, func_package(c), e->text, &why);
	int r;

	if (!t)
		return fail(c, e, "%s", why.text);
	if (t->kind != KIND_STRUCT && (t->kind != KIND_ARRAY || !t->elem))
		return fail(c, e, "a literal is a struct or an array here, %s is neither", e->text);
	r = t->kind == KIND_STRUCT ? check_struct(c, e, t) : check_array(c, e, t);
	*ret = (struct value){.place = PLACE_LITERAL, .type = t, .expr = e};
	return r;
}

static struct value zero_value(struct compiler *c, const struct expr *e, const struct type *t)
{
	struct value v = const_value(e, EXPR_INT, 0);
	struct expr *empty;

	v.type = t;
	if (t->kind == KIND_STRUCT || t->kind == KIND_ARRAY) {
		empty = arena_new(c->arena, struct expr);
		*empty = (struct expr){.op = EXPR_LITERAL, .column = e->column, .text = t->name};
		v = (struct value){.place = PLACE_LITERAL, .type = t, .expr = empty};
	} else if (t->kind == KIND_STRING) {
		v.constant = EXPR_STRING;
		v.text = "";
	} else if (t->kind == KIND_BOOL) {
		v.constant = EXPR_BOOL;
	} else if (!type_is_integer(t) && !type_is_float(t)) {
		v.constant = EXPR_NIL;
		v.type = NULL;
	}
	return v;
}

static int written_value(struct compiler *c, const struct expr *x, const struct type *t, struct value *ret)
{
	int r = eval(c, x->a, ret);

	if (r || ret->place != PLACE_CONST || ret->type || ret->constant == EXPR_NIL || type_is_float(t) ||
	    t->kind == KIND_INTERFACE)
		return r;
	return const_convert(c, ret, t, ret);
}

int literal_element(struct compiler *c, const struct value *v, size_t i, struct value *ret)
{
	const struct expr *x = v->expr->a;

	for (size_t k = 0; x && k < i; k++)
		x = x->b;
	if (x)
		return written_value(c, x, v->type->elem, ret);
	*ret = zero_value(c, v->expr, v->type->elem);
	return 0;
}

int literal_field(struct compiler *c, const struct value *v, size_t i, const struct type_field *f, struct value *ret)
{
	const struct expr *x = v->expr->a;

	for (size_t k = 0; x && (x->text ? strcmp(x->text, f->name ? f->name : "") != 0 : k < i); k++)
		x = x->b;
	if (x)
		return written_value(c, x, f->type, ret);
	*ret = zero_value(c, v->expr, f->type);
	return 0;
}
