/* Where a trace context is written: expressions of the kinds that lowering can use. */
#include "probe/bind/binder.h"

static int expect(struct binder *b, const struct bound *n, bool ok, const char *what)
{
	if (ok)
		return 0;
	return fail(b, n->expr, "%s is %s; %s is expected here", text_of(b, n),
		    operand_with_article(b->arena, operand_of(n)), what);
}

static bool is_word(const struct type *t)
{
	return t && (is_pointer_shaped(t) || (type_is_integer(t) && t->size == 8));
}

static bool is_bytes(const struct type *t)
{
	return t && t->kind == KIND_SLICE && holds_bytes(t);
}

static int bind_number(struct binder *b, const char *text, struct bound_text *ret)
{
	int r = text ? bind_text(b, text, ret) : 0;

	return r || !text ? r : expect(b, ret->root, ret->root->type && type_is_integer(ret->root->type), "an integer");
}

/* Where all is as a list of headers is: else nothing is known of it. */
static void find_headers(struct binder *b, struct bound_inject *ret)
{
	const struct type *t = ret->buffer.root->type, *header;
	struct type_field name, value;
	struct field_path path;

	t = t->kind == KIND_POINTER ? t->elem : NULL;
	if (!t || !b->types->ops->find_field(b->types, t, ret->list, &path) || path.n != 1)
		return;
	t = path.steps[0].type;
	header = t && t->kind == KIND_SLICE ? t->elem : NULL;
	if (!header || b->types->ops->field_count(b->types, header) != 2 ||
	    !b->types->ops->field(b->types, header, 0, &name) || !b->types->ops->field(b->types, header, 1, &value) ||
	    !name.type || name.type->kind != KIND_STRING || !is_bytes(value.type))
		return;
	ret->list_type = t;
	ret->header_name = name.name;
	ret->header_value = value.name;
}

int bind_inject(struct binder *b, const struct inject_item *item, struct bound_inject *ret)
{
	int r = item->carrier ? bind_text(b, item->carrier, &ret->carrier) : 0;

	ret->form = item->form;
	ret->list = item->list;
	if (!r && item->carrier)
		r = expect(b, ret->carrier.root, is_word(ret->carrier.root->type), "a pointer or a word");
	if (!r && item->needs)
		r = bind_text(b, item->needs, &ret->needs);
	if (!r && item->needs)
		r = expect(b, ret->needs.root, is_word(ret->needs.root->type), "a pointer or a word");
	if (!r && item->present)
		r = bind_condition(b, item->present, &ret->present);
	if (!r && item->limited)
		r = bind_condition(b, item->limited, &ret->limited);
	if (!r && item->split)
		r = bind_condition(b, item->split, &ret->split);
	if (!r && item->state_present)
		r = bind_condition(b, item->state_present, &ret->state_present);
	if (!r)
		r = bind_text(b, item->buffer, &ret->buffer);
	if (!r && item->list)
		r = expect(b, ret->buffer.root, is_word(ret->buffer.root->type), "a pointer");
	else if (!r)
		r = expect(b, ret->buffer.root, is_bytes(ret->buffer.root->type), "a []byte");
	if (!r && item->list)
		find_headers(b, ret);
	if (!r)
		r = bind_number(b, item->filled, &ret->filled);
	if (!r)
		r = bind_number(b, item->block, &ret->block);
	return r ? r : bind_number(b, item->stream, &ret->stream);
}
