/* Steps from a value to a part of it: fields, pointers, elements, what an interface holds. */
#include "probe/bind/binder.h"

#include <stdio.h>

#include "probe/lang/nearest.h"

int bind_deref(struct binder *b, const struct bound *a, const struct expr *e, struct bound **ret)
{
	if (!a->type || a->type->kind != KIND_POINTER)
		return fail(b, e, "%s is %s, not a pointer", text_of(b, a), type_with_article(b, a));
	if (!a->type->elem || a->type->elem->kind == KIND_INVALID)
		return fail(b, e, "the binary does not say what %s (%s) points to%s", text_of(b, a), type_text(a),
			    strncmp(a->type->name, "go.shape.", 9) ? "" : ": its type is a type argument of the call");
	*ret = bound_two(b, BOUND_DEREF, a->type->elem, e, a, NULL);
	return 0;
}

/* ---- fields ---- */

enum { SHOWN_FIELDS = 12, COMPARED_FIELDS = 256 };

static int no_such_field(struct binder *b, const struct type *t, const struct expr *e)
{
	const char *names[COMPARED_FIELDS], *near;
	struct buf all = {0};
	size_t n = 0, count = b->types->ops->field_count(b->types, t);
	int r;

	for (size_t i = 0; i < count && n < COMPARED_FIELDS; i++) {
		struct type_field f;

		if (b->types->ops->field(b->types, t, i, &f) && f.name && strcmp(f.name, "_"))
			names[n++] = f.name;
	}
	near = nearest_name(e->text, names, n);
	for (size_t i = 0; i < n && i < SHOWN_FIELDS; i++)
		buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
	if (n > SHOWN_FIELDS)
		buf_printf(&all, " and %zu more", n - SHOWN_FIELDS);
	if (!n)
		r = fail(b, e, "%s has no field %s: the binary describes no fields of it", t->name, e->text);
	else if (near)
		r = fail(b, e, "%s has no field %s; did you mean %s? It has %s", t->name, e->text, near,
			 all.data);
	else
		r = fail(b, e, "%s has no field %s; it has %s", t->name, e->text, all.data);
	buf_done(&all);
	return r;
}

static int not_a_struct(struct binder *b, const struct bound *a, const struct expr *e)
{
	const char *what = text_of(b, a);

	if (a->type && a->type->kind == KIND_INTERFACE)
		return fail(b, e, "%s is an interface (%s); say which type it holds: %s.(*T).%s", what,
			    type_text(a), what, e->text);
	if (a->type && a->type->kind == KIND_POINTER)
		return fail(b, e, "%s is %s; only one pointer is followed by itself: (*%s).%s", what,
			    type_with_article(b, a), what, e->text);
	return fail(b, e, "%s is %s, which has no fields", what, type_with_article(b, a));
}

/*
 * What an unsafe.Pointer in t points to, where t says so as sync/atomic.Pointer does: by a blank field before it that
 * holds no elements of that pointer's type, `_ [0]*T`. NULL where it does not.
 */
static const struct type *declared_pointer(struct binder *b, const struct type *t)
{
	struct type_field first;

	if (!b->types->ops->field(b->types, t, 0, &first) || !first.name || strcmp(first.name, "_") || !first.type)
		return NULL;
	if (first.type->kind != KIND_ARRAY || first.type->len || !first.type->elem)
		return NULL;
	return first.type->elem->kind == KIND_POINTER ? first.type->elem : NULL;
}

static const struct type *type_of_field(struct binder *b, const struct type *t, const struct type *field)
{
	const struct type *pointer = field && field->kind == KIND_UNSAFE_POINTER ? declared_pointer(b, t) : NULL;

	return pointer ? pointer : field;
}

int bind_field(struct binder *b, const struct bound *a, const struct expr *e, struct bound **ret)
{
	const struct bound *at = a;
	struct field_path path;
	struct bound *n = NULL;
	int r = 0;

	if (a->type && a->type->kind == KIND_POINTER &&
	    (!a->type->elem || a->type->elem->kind == KIND_STRUCT || a->type->elem->kind == KIND_INVALID)) {
		r = bind_deref(b, a, e, &n);
		at = n;
	}
	if (r)
		return r;
	if (!at->type || at->type->kind != KIND_STRUCT)
		return not_a_struct(b, a, e);
	if (!b->types->ops->find_field(b->types, at->type, e->text, &path))
		return no_such_field(b, at->type, e);
	for (size_t i = 0; i < path.n && !r; i++) {
		if (at->type->kind == KIND_POINTER) {
			r = bind_deref(b, at, e, &n);
			at = n;
		}
		if (r)
			break;
		n = bound_two(b, BOUND_FIELD, type_of_field(b, at->type, path.steps[i].type), e, at, NULL);
		n->field = path.steps[i];
		at = n;
	}
	if (!r && !at->type)
		r = fail(b, e, "the binary does not describe the type of field %s", e->text);
	if (!r)
		*ret = n;
	return r;
}

/* ---- elements ---- */

static int bind_position(struct binder *b, const struct bound *index, struct bound **ret)
{
	struct bound *as_int;
	int r;

	if (!index->constant) {
		if (!type_is_integer(index->type))
			return fail(b, index->expr, "an index is an integer; this is %s", type_with_article(b, index));
		*ret = (struct bound *)index;
		return 0;
	}
	r = const_convert(b, index, basic_type(KIND_INT), &as_int);
	if (!r && as_int->constant->number < 0)
		r = fail(b, index->expr, "an index cannot be negative");
	if (!r)
		*ret = as_int;
	return r;
}

static int bind_array(struct binder *b, const struct bound *a, const struct bound *index, const struct expr *e,
		      struct bound **ret)
{
	struct bound *at = (struct bound *)index;
	const struct constant *k;
	int r = is_const(index, EXPR_INT) ? 0 : bind_position(b, index, &at);

	if (r)
		return r;
	k = at->constant;
	if (k && (k->big || k->number < 0 || (uint64_t)k->number >= a->type->len))
		return fail(b, index->expr, "the array has %llu elements: this index is out of range",
			    (unsigned long long)a->type->len);
	*ret = bound_two(b, BOUND_INDEX, a->type->elem, e, a, at);
	return 0;
}

/* Slices and strings. */
static int bind_listed(struct binder *b, const struct bound *a, const struct bound *index, const struct type *elem,
		       const struct expr *e, struct bound **ret)
{
	struct bound *at;
	int r;

	if (!elem)
		return fail(b, e, "the binary does not describe the elements of %s", text_of(b, a));
	r = bind_position(b, index, &at);
	if (!r)
		*ret = bound_two(b, BOUND_INDEX, elem, e, a, at);
	return r;
}

/* The key as a value of the map's key type. */
static int bind_key(struct binder *b, const struct bound *a, const struct bound *key, const struct expr *e,
		    struct bound **ret)
{
	const struct type *t = a->type->key;
	struct bound *converted = (struct bound *)key;
	int r = 0;

	if (!t || !a->type->elem)
		return fail(b, e, "the binary does not describe the keys of %s", text_of(b, a));
	if (key->constant && !key->type)
		r = const_convert(b, key, t, &converted);
	else if (!key->type || (key->type->kind != t->kind || key->type->size != t->size))
		r = fail(b, key->expr, "%s is %s; the map's keys are of type %s", text_of(b, key),
			 type_with_article(b, key), t->name);
	if (!r)
		*ret = bound_two(b, BOUND_KEY, a->type->elem, e, a, converted);
	return r;
}

static bool is_pointer_to_array(const struct type *t)
{
	return t && t->kind == KIND_POINTER && t->elem && t->elem->kind == KIND_ARRAY;
}

int bind_index(struct binder *b, const struct bound *a, const struct bound *index, const struct expr *e,
	       struct bound **ret)
{
	const struct type *t = a->type;
	struct bound *array;
	int r;

	if (t && t->kind == KIND_MAP)
		return bind_key(b, a, index, e, ret);
	if (t && t->kind == KIND_SLICE)
		return bind_listed(b, a, index, t->elem, e, ret);
	if (t && t->kind == KIND_STRING)
		return bind_listed(b, a, index, basic_type(KIND_UINT8), e, ret);
	if (t && t->kind == KIND_ARRAY && t->elem)
		return bind_array(b, a, index, e, ret);
	if (is_pointer_to_array(t) && t->elem->elem) {
		r = bind_deref(b, a, e, &array);
		return r ? r : bind_array(b, array, index, e, ret);
	}
	return fail(b, e, "%s is %s, which cannot be indexed", text_of(b, a), type_with_article(b, a));
}

/* ---- parts of strings and slices ---- */

static int slice_constant(struct binder *b, const struct expr *e, const struct bound *a, struct bound **ret)
{
	int64_t bounds[2] = {0, (int64_t)a->constant->len};
	struct bound *given[2] = {NULL, NULL}, *n;
	struct constant k = *a->constant;

	for (int i = 0; i < 2; i++) {
		int r = e->args[i] ? bind_node(b, e->args[i], &given[i]) : 0;

		if (r)
			return r;
		bounds[i] = given[i] && is_const(given[i], EXPR_INT) ? given[i]->constant->number : bounds[i];
		if ((given[i] && !is_const(given[i], EXPR_INT)) || bounds[i] < 0 || (uint64_t)bounds[i] > k.len)
			return fail(b, e, "of a constant text, constant bounds within it are expected");
	}
	if (bounds[0] > bounds[1])
		return fail(b, e, "the part ends before it begins");
	k.len = (size_t)(bounds[1] - bounds[0]);
	k.text = arena_strndup(b->arena, k.text + bounds[0], k.len);
	n = bound_two(b, BOUND_SLICE, a->type, e, a, given[0]);
	n->c = given[1];
	set_constant(b, n, k);
	*ret = n;
	return 0;
}

static int bind_limit(struct binder *b, const struct expr *e, struct bound **ret)
{
	struct bound *n;
	int r;

	*ret = NULL;
	if (!e)
		return 0;
	r = bind_node(b, e, &n);
	return r ? r : bind_position(b, n, ret);
}

static int no_part(struct binder *b, const struct bound *a, const struct expr *e)
{
	return fail(b, e, "%s is %s, of which no part can be taken: that is for strings and slices", text_of(b, a),
		    type_with_article(b, a));
}

int bind_slice(struct binder *b, const struct expr *e, struct bound **ret)
{
	struct bound *a, *low = NULL, *high = NULL, *n;
	const struct type *t;
	int r = bind_node(b, e->a, &a);

	if (!r && is_const(a, EXPR_STRING))
		return slice_constant(b, e, a, ret);
	if (!r && is_pointer_to_array(a->type))
		r = bind_deref(b, a, e, &a);
	if (r)
		return r;
	t = a->type;
	if (!t || (t->kind != KIND_STRING && ((t->kind != KIND_SLICE && t->kind != KIND_ARRAY) || !t->elem)))
		return no_part(b, a, e);
	r = bind_limit(b, e->args[0], &low);
	if (!r)
		r = bind_limit(b, e->args[1], &high);
	if (r)
		return r;
	if (t->kind == KIND_ARRAY) {
		const char *elem = t->elem->name;

		t = b->types->ops->parse(b->types, "", arena_printf(b->arena, "[]%s", elem), NULL);
		if (!t)
			return fail(b, e, "the binary does not describe the slices of %s", elem);
	}
	n = bound_two(b, BOUND_SLICE, t, e, a, low);
	n->c = high;
	*ret = n;
	return 0;
}

/* ---- interfaces ---- */

int must_be_interface(struct binder *b, const struct bound *a, const struct expr *e)
{
	if (a->type && a->type->kind == KIND_INTERFACE)
		return 0;
	return fail(b, e, "%s is %s, not an interface", text_of(b, a), type_with_article(b, a));
}

int held_type(struct binder *b, const struct expr *e, const char *go_type, const struct type **ret)
{
	struct err why = {0};
	const struct type *t = b->types->ops->parse(b->types, binder_package(b), go_type, &why);

	if (!t)
		return fail(b, e, "%s", why.text);
	if (t->kind == KIND_INTERFACE)
		return fail(b, e, "%s is an interface; only a concrete type can be asked for", go_type);
	if (!b->types->ops->holdable(b->types, t))
		return fail(b, e, "no interface holds %s: the binary has no descriptor of it",
			    with_article(b->arena, go_type));
	*ret = t;
	return 0;
}

int bind_assert(struct binder *b, const struct expr *e, struct bound **ret)
{
	const struct type *t;
	struct bound *a;
	int r = bind_node(b, e->a, &a);

	if (!r)
		r = must_be_interface(b, a, e);
	if (!r)
		r = held_type(b, e, e->text, &t);
	if (!r)
		*ret = bound_two(b, BOUND_ASSERT, t, e, a, NULL);
	return r;
}
