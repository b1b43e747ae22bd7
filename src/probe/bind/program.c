/* What a probe captures and tests, item by item. */
#include <errno.h>

#include "probe/bind/binder.h"

int bind_text(struct binder *b, const char *text, struct bound_text *ret)
{
	struct expr *e;
	struct bound *n;
	int r = expr_parse(text, b->arena, &e, b->err);

	b->text = text;
	if (!r)
		r = bind_node(b, e, &n);
	if (!r)
		*ret = (struct bound_text){.root = n, .text = text};
	return r;
}

int bind_condition(struct binder *b, const char *text, struct bound_text *ret)
{
	struct expr *e;
	struct bound *n;
	int r = expr_parse(text, b->arena, &e, b->err);

	b->text = text;
	if (!r)
		r = bind_bool(b, e, &n);
	if (!r)
		*ret = (struct bound_text){.root = n, .text = text};
	return r;
}

/* ---- how it is kept ---- */

static int no_single_value(struct binder *b, const struct bound *n)
{
	const char *text = text_of(b, n), *type = type_text(n);

	if (n->constant)
		return fail(b, n->expr, "%s is a constant; there is nothing to capture", text);
	switch (n->type->kind) {
	case KIND_INTERFACE:
		return fail(b, n->expr, "%s is an interface (%s): capture typeof(%s), or say which type it "
					"holds: %s.(*T)", text, type, text, text);
	case KIND_STRUCT:
		return fail(b, n->expr, "%s is a struct (%s): capture one of its fields", text, type);
	case KIND_SLICE:
	case KIND_ARRAY:
		return fail(b, n->expr, "%s is %s: capture an element, as in %s[0], or len(%s)", text,
			    type_with_article(b, n), text, text);
	default:
		return fail(b, n->expr, "%s is %s, which cannot be captured", text, type_with_article(b, n));
	}
}

static bool is_scalar_like(const struct type *t)
{
	return type_is_integer(t) || type_is_float(t) || t->kind == KIND_BOOL || t->kind == KIND_UNSAFE_POINTER;
}

static bool wants_image(const struct type *t)
{
	if (t == &type_word_type || is_scalar_like(t) || !t->size)
		return false;
	return t->kind == KIND_POINTER ? t->elem && t->elem->kind != KIND_INVALID : !holds_bytes(t);
}

/* Whether the type is a context's is not known here: lowering asks the binary. */
static int find_chain(struct binder *b, const struct bound *n, enum capture_form *ret)
{
	if (!n->type || (n->type->kind != KIND_INTERFACE && n->type->kind != KIND_POINTER))
		return fail(b, n->expr, "%s is %s; a context.Context is expected here", text_of(b, n),
			    operand_with_article(b->arena, operand_of(n)));
	*ret = CAPTURE_CHAIN;
	return 0;
}

static int find_form(struct binder *b, const struct capture_item *item, const struct bound *n, enum capture_form *ret)
{
	const struct type *t = n->type;

	if (n->constant)
		return no_single_value(b, n);
	if (t == &stack_type)
		*ret = CAPTURE_CALLERS;
	else if (item->whole && !t->size && (t->kind == KIND_STRUCT || t->kind == KIND_ARRAY))
		*ret = CAPTURE_NOTHING;
	else if (item->whole && b->images && n->op != BOUND_LITERAL && wants_image(t))
		*ret = CAPTURE_IMAGE;
	else if (holds_bytes(t))
		*ret = CAPTURE_BYTES;
	else if (is_scalar_like(t) || is_pointer_shaped(t))
		*ret = CAPTURE_WORD;
	else
		return no_single_value(b, n);
	return 0;
}

static int check_carry(struct binder *b, const struct bound *n, enum capture_form form)
{
	if (form == CAPTURE_WORD)
		return 0;
	if (b->scope->traced)
		return fail(b, n->expr, "%s (%s) is known at the entry, and this condition is tested at the return: "
			    "only a number, a bool or a pointer can be kept until then", text_of(b, n), type_text(n));
	return err_at_column(b->err, -EINVAL, b->text, 0, "only a pointer or a number can be saved");
}

/* ---- one item ---- */

static int bind_value(struct binder *b, const struct capture_item *item, const char *expression, const char *text,
		      struct bound_alternative *ret)
{
	struct bound *n;
	int r;

	if (item->expr) {
		b->text = text;
		r = bind_node(b, item->expr, &n);
		if (!r)
			ret->value = (struct bound_text){n, text, item->expr->column};
	} else {
		r = bind_text(b, expression, &ret->value);
	}
	if (!r)
		r = item->links ? find_chain(b, ret->value.root, &ret->form)
				: find_form(b, item, ret->value.root, &ret->form);
	if (!r && item->carry)
		r = check_carry(b, ret->value.root, ret->form);
	if (r)
		ret->value.root = NULL;
	return r;
}

/* What an alternative that does not bind says is told where no other does. */
static int bind_alternative(struct binder *b, const struct capture_item *item, const char *expression, const char *text,
			    struct bound_alternative *ret)
{
	struct err why = {0}, *err = b->err;
	int r;

	b->err = &why;
	r = bind_value(b, item, expression, text, ret);
	b->err = err;
	if (r)
		ret->why = arena_memdup(b->arena, &why, sizeof(why));
	return r;
}

static size_t count_alternatives(const struct capture_item *item)
{
	size_t n = 0;

	while (item->alternatives && item->alternatives[n])
		n++;
	return item->expr || !n ? 1 : n;
}

static struct bound_capture describe(const struct capture_item *item)
{
	return (struct bound_capture){.name = item->name, .carry = item->carry, .optional = item->optional,
				      .whole = item->whole, .parsed = item->expr, .depth = item->depth,
				      .max_bytes = item->max_bytes, .links = item->links, .fact = item->fact,
				      .unseen = item->unseen,
				      .nalternatives = count_alternatives(item)};
}

/* The capture cannot be had: whether that is an error of the whole. */
static int without(struct binder *b, const struct capture_item *item, const struct err *why)
{
	if (item->optional || (item->expr && why->code == -ENODATA))
		return 0;
	return item->expr ? err_set(b->err, why->code, "%s", why->text)
			  : err_set(b->err, why->code, "%s: %.500s", item->name, why->text);
}

static int bind_when(struct binder *b, const struct capture_item *item, struct bound_capture *c,
		     struct bound_alternative *all)
{
	struct err why = {0}, *err = b->err;
	int r;

	if (!item->when)
		return 0;
	b->err = &why;
	r = bind_condition(b, item->when, &c->when);
	b->err = err;
	if (r) {
		all[0].why = arena_memdup(b->arena, &why, sizeof(why));
		c->nalternatives = 1;
	}
	return r;
}

/* What it is read for alone; where that cannot be had it is read each time. */
static void bind_once_for(struct binder *b, const struct capture_item *item, struct bound_capture *c)
{
	struct err *err = b->err;

	b->err = NULL;
	if (item->once_for && bind_text(b, item->once_for, &c->once_for))
		c->once_for.root = NULL;
	b->err = err;
}

static int bind_injection(struct binder *b, const struct capture_item *item, struct bound_capture *c,
			  struct bound_alternative *ret)
{
	struct bound_inject *inject = arena_new(b->arena, struct bound_inject);
	struct err why = {0}, *err = b->err;
	int r;

	b->err = &why;
	r = bind_inject(b, item->inject, inject);
	b->err = err;
	ret->form = CAPTURE_INJECT;
	if (r)
		ret->why = arena_memdup(b->arena, &why, sizeof(why));
	c->inject = inject;
	return r;
}

/* Alternatives are bound until one is; those behind it in case that it has no place, which lowering finds. */
static int bind_item(struct binder *b, const struct capture_item *item, const char *text, struct bound_capture *ret)
{
	struct bound_capture c = describe(item);
	struct bound_alternative *all = arena_array(b->arena, struct bound_alternative, c.nalternatives);
	bool any = false;
	int r = bind_when(b, item, &c, all);

	bind_once_for(b, item, &c);
	if (item->left_out) {
		struct err why = {0};

		err_set(&why, -ENODATA, "%s", item->left_out);
		all[0].why = arena_memdup(b->arena, &why, sizeof(why));
		c.alternatives = all;
		c.nalternatives = 1;
		c.optional = true;
		*ret = c;
		return r;
	}
	if (!r && item->inject) {
		any = !bind_injection(b, item, &c, &all[0]);
	} else if (!r && !item->expr && !(item->alternatives && *item->alternatives)) {
		all[0].form = item->fact ? CAPTURE_FACT : item->ids ? CAPTURE_IDS : CAPTURE_MARK;
		any = true;
	} else {
		for (size_t i = 0; !r && i < c.nalternatives; i++)
			any |= !bind_alternative(b, item, item->alternatives ? item->alternatives[i] : NULL, text,
						 &all[i]);
	}
	c.alternatives = all;
	*ret = c;
	return any ? 0 : without(b, item, all[0].why);
}

/* ---- all ---- */

/* An address: of a g, or a stack pointer. */
static int bind_address(struct binder *b, const char *text, const char *what, struct bound_text *ret)
{
	const struct bound *n;
	int r = text ? bind_text(b, text, ret) : 0;

	if (r || !text)
		return r;
	n = ret->root;
	if (!n->type || (!is_pointer_shaped(n->type) && !(type_is_integer(n->type) && n->type->size == 8)))
		return fail(b, n->expr, "%s is %s; %s is expected here", text_of(b, n), type_with_article(b, n), what);
	return 0;
}

static int bind_filter(struct binder *b, const struct bind_request *request, struct bound_text *ret)
{
	struct bound *n;
	int r;

	b->in_filter = true;
	if (request->filter_expr) {
		b->text = request->text;
		r = bind_bool(b, request->filter_expr, &n);
		if (!r)
			*ret = (struct bound_text){n, request->text, request->filter_expr->column};
	} else {
		r = request->filter ? bind_condition(b, request->filter, ret) : 0;
	}
	b->in_filter = false;
	return r;
}

static bool knows_dictionary(const struct bind_scope *s, const struct expr *dictionary)
{
	for (size_t i = 0; s->at == SIDE_ENTRY && i < s->variables.ncaptured; i++)
		if (builtin_is(s->variables.captured[i].name, BUILTIN_DICTIONARY))
			return true;
	for (size_t i = 0; i < s->ncarried; i++)
		if (expr_equal(s->carried[i].expr, dictionary))
			return true;
	return s->at == SIDE_ENTRY && s->dictionary;
}

/* Without one, what only a shape tells is shown as the shape. */
static const struct bound *bind_types(struct binder *b)
{
	static const struct expr dictionary = {
	    .op = EXPR_NAME, .text = DICTIONARY_NAME, .len = sizeof(DICTIONARY_NAME) - 1};
	struct err *err = b->err;
	struct bound *n;
	int r;

	if (!knows_dictionary(b->scope, &dictionary))
		return NULL;
	b->err = NULL;
	r = bind_node(b, &dictionary, &n);
	b->err = err;
	return r ? NULL : n;
}

int bind_program(const struct bind_scope *scope, const struct bind_request *request, struct arena *arena,
		 struct bound_program *ret, struct err *err)
{
	struct binder b = {
	    .scope = scope, .types = scope->types, .arena = arena, .err = err, .images = request->images};
	struct bound_capture *captures = arena_array(arena, struct bound_capture, request->nitems + 1);
	struct bound_program p = {.side = scope->at, .variables = scope->variables,
				  .func = scope->func,
				  .symbol = scope->symbol,
				  .traced = scope->traced,
				  .captures = captures,
				  .ncaptures = request->nitems};
	int r = bind_address(&b, request->goroutine, "a *g", &p.goroutine);

	if (!r)
		r = bind_address(&b, request->sp, "a stack pointer", &p.sp);
	if (!r)
		r = bind_filter(&b, request, &p.filter);
	if (!r)
		p.dictionary = bind_types(&b);
	for (size_t i = 0; !r && i < request->nitems; i++)
		r = bind_item(&b, &request->items[i], request->text, &captures[i]);
	if (!r)
		*ret = p;
	return r;
}
