/*
 * Literals of structs and arrays: Point{1, 2}, Point{X: 1}, [2]int{1, 2}. They are never made: who compares with one
 * asks for each part of it, which is a constant, a value, or the zero of its type.
 */
#include "probe/bind/binder.h"

static size_t element_count(const struct expr *e)
{
	size_t n = 0;

	for (const struct expr *x = e->a; x; x = x->b)
		n++;
	return n;
}

/* The field of that name, or -1. */
static int field_index(struct binder *b, const struct type *t, size_t fields, const char *name)
{
	struct type_field f;

	for (size_t i = 0; i < fields; i++)
		if (b->types->ops->field(b->types, t, i, &f) && f.name && !strcmp(f.name, name))
			return (int)i;
	return -1;
}

static int bind_written(struct binder *b, const struct expr *x, const struct type *t, const struct bound **ret)
{
	struct bound *n, *converted;
	int r = bind_node(b, x->a, &n);

	if (r)
		return r;
	*ret = n;
	if (t && t->kind == KIND_INTERFACE && !is_const(n, EXPR_NIL) && !(n->type && n->type->kind == KIND_INTERFACE))
		return held_type(b, x->a, default_type(n)->name, &n->held);
	if (!t || !n->constant || n->type || n->constant->kind == EXPR_NIL || type_is_float(t))
		return 0;
	r = const_convert(b, n, t, &converted);
	*ret = converted;
	return r;
}

static int bind_fields(struct binder *b, const struct expr *e, const struct type *t, struct bound *n)
{
	size_t written = element_count(e), fields = b->types->ops->field_count(b->types, t), next = 0;
	struct bound_element *elements = arena_array(b->arena, struct bound_element, fields + 1);
	bool named = e->a && e->a->text;
	int r = 0;

	for (const struct expr *x = e->a; x; x = x->b) {
		if (named != (x->text != NULL))
			return fail(b, x, "either all fields of a literal are named or none is");
		if (x->text && field_index(b, t, fields, x->text) < 0)
			return fail(b, x, "%s has no field %s", t->name, x->text);
	}
	if (written && !named && written != fields)
		return fail(b, e, "%s has %zu fields; this literal has %zu values", t->name, fields, written);
	for (const struct expr *x = e->a; !r && x; x = x->b) {
		size_t i = named ? (size_t)field_index(b, t, fields, x->text) : next++;
		struct type_field f = {0};

		b->types->ops->field(b->types, t, i, &f);
		r = elements[i].value ? 0 : bind_written(b, x, f.type, &elements[i].value);
		elements[i].name = f.name;
	}
	n->elements = elements;
	n->nelements = fields;
	return r;
}

static int bind_elements(struct binder *b, const struct expr *e, const struct type *t, struct bound *n)
{
	size_t written = element_count(e), next = 0;
	struct bound_element *elements = arena_array(b->arena, struct bound_element, written + 1);
	int r = 0;

	if (written > t->len)
		return fail(b, e, "%s has %llu elements; this literal has %zu", t->name, (unsigned long long)t->len,
			    written);
	for (const struct expr *x = e->a; x; x = x->b)
		if (x->text)
			return fail(b, x, "elements of an array have no names");
	for (const struct expr *x = e->a; !r && x; x = x->b)
		r = bind_written(b, x, t->elem, &elements[next++].value);
	n->elements = elements;
	n->nelements = written;
	return r;
}

int bind_literal(struct binder *b, const struct expr *e, struct bound **ret)
{
	struct err why = {0};
	const struct type *t = b->types->ops->parse(b->types, binder_package(b), e->text, &why);
	int r;

	if (!t)
		return fail(b, e, "%s", why.text);
	if (t->kind != KIND_STRUCT && (t->kind != KIND_ARRAY || !t->elem))
		return fail(b, e, "a literal is a struct or an array here, %s is neither", e->text);
	*ret = bound_new(b, BOUND_LITERAL, t, e);
	r = t->kind == KIND_STRUCT ? bind_fields(b, e, t, *ret) : bind_elements(b, e, t, *ret);
	return r;
}
