/* Comparisons: what can be compared with what. */
#include "probe/bind/binder.h"

#include <errno.h>
#include <math.h>

static const char *const comparisons[] = {"==", "!=", "<", "<=", ">", ">="};

static int comparison_index(const struct expr *e)
{
	for (size_t i = 0; e->op == EXPR_BINARY && i < ARRAY_SIZE(comparisons); i++)
		if (!strcmp(comparisons[i], e->text))
			return (int)i;
	return -1;
}

bool is_comparison(const struct expr *e)
{
	return comparison_index(e) >= 0;
}

static bool is_equality(const struct expr *e)
{
	return comparison_index(e) < 2;
}

static int only_equality(struct binder *b, const struct expr *e, const struct bound *n)
{
	return fail(b, e, "%s is %s: it can be compared with == and != only", text_of(b, n), type_with_article(b, n));
}

static int incomparable(struct binder *b, const struct expr *e, const struct bound *x, const struct bound *y)
{
	return fail(b, e, "%s cannot be compared with %s", type_with_article(b, x), type_with_article(b, y));
}

/* Two operands, which may become nodes of another type, and the comparison that they are of. */
struct pair {
	const struct expr *e;
	const struct bound *x, *y;
	const struct type **ret_held; /* of COMPARE_TYPE */
};

/* ---- constants with constants ---- */

static int order_texts(const struct constant *x, const struct constant *y)
{
	int order = memcmp(x->text, y->text, MIN(x->len, y->len));

	return order ? order : (x->len > y->len) - (x->len < y->len);
}

static int order_integers(const struct constant *x, const struct constant *y)
{
	if (x->big && y->big)
		return ((uint64_t)x->number > (uint64_t)y->number) - ((uint64_t)x->number < (uint64_t)y->number);
	if (x->big || y->big)
		return x->big ? 1 : -1;
	return (x->number > y->number) - (x->number < y->number);
}

static bool are_floats(const struct constant *x, const struct constant *y)
{
	return (x->kind == EXPR_FLOAT || y->kind == EXPR_FLOAT) && (x->kind == EXPR_INT || x->kind == EXPR_FLOAT) &&
	       (y->kind == EXPR_INT || y->kind == EXPR_FLOAT) && !x->big && !y->big;
}

static int order_floats(const struct constant *j, const struct constant *k)
{
	double x = j->kind == EXPR_FLOAT ? j->real : (double)j->number,
	       y = k->kind == EXPR_FLOAT ? k->real : (double)k->number;

	return (x > y) - (x < y);
}

static bool holds_for(const struct expr *e, int order)
{
	switch (comparison_index(e)) {
	case 0:
		return order == 0;
	case 1:
		return order != 0;
	case 2:
		return order < 0;
	case 3:
		return order <= 0;
	case 4:
		return order > 0;
	default:
		return order >= 0;
	}
}

static int fold(struct binder *b, struct bound *n)
{
	const struct constant *x = n->a->constant, *y = n->b->constant;
	bool floats = are_floats(x, y);
	int order;

	if (!floats && (x->kind != y->kind || x->kind == EXPR_NIL || x->kind == EXPR_FLOAT))
		return incomparable(b, n->expr, n->a, n->b);
	if (x->kind == EXPR_BOOL && !is_equality(n->expr))
		return only_equality(b, n->expr, n->a);
	order = x->kind == EXPR_STRING ? order_texts(x, y) : floats ? order_floats(x, y) : order_integers(x, y);
	n->type = NULL;
	set_constant(b, n, (struct constant){.kind = EXPR_BOOL, .number = holds_for(n->expr, order)});
	return 0;
}

/* ---- nil, texts, types ---- */

static int check_nil(struct binder *b, const struct pair *p)
{
	const struct bound *n = is_const(p->y, EXPR_NIL) ? p->x : p->y;
	const struct type *t = n->type;

	if (!is_equality(p->e))
		return only_equality(b, p->e, n);
	if (!t || (!is_pointer_shaped(t) && t->kind != KIND_SLICE && t->kind != KIND_INTERFACE))
		return fail(b, p->e, "%s is %s, which is never nil", text_of(b, n), type_with_article(b, n));
	return 0;
}

int text_constant(struct binder *b, const struct bound *n)
{
	if (!is_const(n, EXPR_STRING))
		return fail(b, n->expr, "a constant text is expected here, as in \"GET\"");
	if (n->constant->len > BOUND_MAX_TEXT || memchr(n->constant->text, 0, n->constant->len))
		return fail(b, n->expr, "a text to compare with has at most %d bytes, and none is 0", BOUND_MAX_TEXT);
	return 0;
}

static int not_a_text(struct binder *b, const struct expr *e, const struct bound *n)
{
	if (n->type && n->type->kind == KIND_SLICE && n->type->elem && n->type->elem->kind == KIND_UINT8)
		return fail(b, e, "%s is %s; to compare it with a text write string(%s)", text_of(b, n),
			    type_with_article(b, n), text_of(b, n));
	return fail(b, e, "%s is %s, it cannot be compared with a text (string)", text_of(b, n),
		    type_with_article(b, n));
}

static int check_texts(struct binder *b, const struct pair *p)
{
	if (!is_text(p->x) || !is_text(p->y))
		return not_a_text(b, p->e, is_text(p->x) ? p->y : p->x);
	if (is_const(p->x, EXPR_STRING) || is_const(p->y, EXPR_STRING))
		return text_constant(b, is_const(p->x, EXPR_STRING) ? p->x : p->y);
	return 0;
}

/* A type of which the linker left out the descriptor, or all: no interface of this program holds it. */
static bool is_held_by_none(struct binder *b, const char *go_type)
{
	struct err why = {0};
	const struct type *t = b->types->ops->parse(b->types, binder_package(b), go_type, &why);

	return t ? t->kind != KIND_INTERFACE && !b->types->ops->holdable(b->types, t) : why.code == -ENOENT;
}

static int check_type(struct binder *b, const struct pair *p)
{
	const struct bound *n = p->x->type == &type_word_type ? p->x : p->y, *name = n == p->x ? p->y : p->x;

	if (!is_equality(p->e))
		return only_equality(b, p->e, n);
	if (name->type == &type_word_type)
		return 0;
	if (!is_const(name, EXPR_STRING))
		return fail(b, name->expr, "a type is compared with its name: typeof(x) == \"*pkg.T\"");
	/* A question is told so: it would be answered by nothing. A pack is made for all programs of a library. */
	if (!b->scope->traced && is_held_by_none(b, name->constant->text))
		return 0;
	return held_type(b, name->expr, name->constant->text, p->ret_held);
}

/* caller == "main.handle" */
static int check_caller(struct binder *b, const struct pair *p)
{
	const struct bound *text = p->x->type == &code_address_type ? p->y : p->x;

	if (!is_equality(p->e))
		return fail(b, p->e, "caller can be compared with == and != only, and with hasprefix, hassuffix and "
				     "contains");
	if (!is_const(text, EXPR_STRING))
		return fail(b, p->e, "a caller is compared with the name of a function: caller == \"main.handle\"");
	return 0;
}

/* ---- numbers, bools, pointers ---- */

static int check_floats(struct binder *b, const struct pair *p)
{
	const struct bound *x = p->x, *y = p->y;
	const struct type *t = x->type ? x->type : y->type;

	if ((x->type && !type_is_float(x->type)) || (y->type && !type_is_float(y->type)) ||
	    (x->type && y->type && x->type->kind != y->type->kind))
		return fail(b, p->e, "mismatched types %s and %s", type_text(x), type_text(y));
	for (int i = 0; i < 2; i++) {
		const struct bound *n = i ? y : x;
		double real;

		if (!n->constant)
			continue;
		if (n->constant->kind != EXPR_FLOAT && n->constant->kind != EXPR_INT)
			return fail(b, n->expr, "%s cannot be used as %s", type_with_article(b, n),
				    with_article(b->arena, t->name));
		real = n->constant->kind == EXPR_FLOAT ? n->constant->real : n->constant->big
				? (double)(uint64_t)n->constant->number : (double)n->constant->number;
		if (t->kind == KIND_FLOAT32 && isinf((float)real))
			return fail(b, n->expr, "%s does not fit into %s", text_of(b, n),
				    with_article(b->arena, t->name));
	}
	return 0;
}

static int comparable(struct binder *b, const struct pair *p)
{
	const struct type *s = p->x->type, *t = p->y->type;

	if (type_is_integer(s) && type_is_integer(t)) {
		if (type_is_signed(s) == type_is_signed(t))
			return 0;
		return fail(b, p->e, "mismatched types %s and %s; convert one, as in int64(x)", s->name, t->name);
	}
	if ((s->kind == KIND_BOOL && t->kind == KIND_BOOL) ||
	    (is_pointer_shaped(s) && s->kind == t->kind))
		return is_equality(p->e) ? 0 : only_equality(b, p->e, p->x);
	if (is_pointer_shaped(s) != is_pointer_shaped(t))
		return fail(b, p->e, "%s cannot be compared with %s; a pointer's address is uintptr(p)",
			    type_with_article(b, p->x), type_with_article(b, p->y));
	return incomparable(b, p->e, p->x, p->y);
}

static int check_scalars(struct binder *b, struct pair *p)
{
	struct bound *converted;
	int r = 0;

	if ((p->x->type && type_is_float(p->x->type)) || (p->y->type && type_is_float(p->y->type)))
		return check_floats(b, p);
	if (!p->x->type) {
		r = const_convert(b, p->x, p->y->type, &converted);
		p->x = r ? p->x : converted;
	} else if (!p->y->type) {
		r = const_convert(b, p->y, p->x->type, &converted);
		p->y = r ? p->y : converted;
	}
	return r ? r : comparable(b, p);
}

/* ---- what has parts, and interfaces ---- */

static int check_pair(struct binder *b, struct pair *p);

/* The same part of two values of one type: of a literal what was written for it, else a value of the part's type. */
struct part {
	struct bound node;
	struct constant zero;
};

static const struct bound *part_of(const struct bound *whole, size_t i, const struct type *t, struct part *room)
{
	if (whole->op == BOUND_LITERAL && i < whole->nelements && whole->elements[i].value)
		return whole->elements[i].value;
	room->node = whole->op == BOUND_LITERAL ? bound_zero(t, whole->expr, &room->zero)
						: (struct bound){.op = BOUND_FIELD, .type = t, .expr = whole->expr};
	return &room->node;
}

static int check_same(struct binder *b, const struct expr *e, const struct bound *x, const struct bound *y,
		      const struct type *t);

static int check_fields(struct binder *b, const struct expr *e, const struct bound *x, const struct bound *y,
			const struct type *t)
{
	size_t n = b->types->ops->field_count(b->types, t);
	struct type_field f;
	int r = 0;

	for (size_t i = 0; !r && i < n; i++) {
		struct part left, right;

		if (!b->types->ops->field(b->types, t, i, &f) || !f.type)
			return fail(b, e, "the binary does not describe all fields of %s", t->name);
		if (f.name && !strcmp(f.name, "_"))
			continue;
		r = check_same(b, e, part_of(x, i, f.type, &left), part_of(y, i, f.type, &right), f.type);
	}
	return r;
}

/* Elements that nobody wrote are all alike. */
static int check_elements(struct binder *b, const struct expr *e, const struct bound *x, const struct bound *y,
			  const struct type *t)
{
	size_t written = MAX(x->op == BOUND_LITERAL ? x->nelements : 0, y->op == BOUND_LITERAL ? y->nelements : 0);
	int r = 0;

	for (size_t i = 0; !r && i <= written && i < t->len; i++) {
		struct part left, right;

		r = check_same(b, e, part_of(x, i, t->elem, &left), part_of(y, i, t->elem, &right), t->elem);
	}
	return r;
}

static int check_same(struct binder *b, const struct expr *e, const struct bound *x, const struct bound *y,
		      const struct type *t)
{
	struct pair p = {.e = e, .x = x, .y = y};

	if (t->kind == KIND_SLICE || t->kind == KIND_MAP || t->kind == KIND_FUNC)
		return fail(b, e, "%s: Go compares no %s", t->name, type_kind_name(t->kind));
	if (t->kind == KIND_STRUCT)
		return check_fields(b, e, x, y, t);
	if (t->kind == KIND_ARRAY)
		return check_elements(b, e, x, y, t);
	if (!is_complex_type(t))
		return check_pair(b, &p);
	if (x->constant || y->constant)
		return fail(b, e, "a complex number can be compared with another one only");
	return 0;
}

static int check_parts(struct binder *b, const struct pair *p)
{
	const struct bound *x = p->x, *y = p->y;
	const struct bound *parted = comparison_of(operand_of(x), operand_of(x)) == COMPARE_PARTS ? x : y;

	if (!is_equality(p->e))
		return only_equality(b, p->e, parted);
	if (!x->type || !y->type || x->type->kind != y->type->kind || x->type->size != y->type->size ||
	    strcmp(x->type->name, y->type->name))
		return incomparable(b, p->e, x, y);
	if (x->op == BOUND_LITERAL && y->op == BOUND_LITERAL)
		return fail(b, p->e, "two literals are compared; a value is expected on one side");
	return check_same(b, p->e, x, y, x->type);
}

const struct type *default_type(const struct bound *n)
{
	if (n->type)
		return n->type;
	switch (n->constant->kind) {
	case EXPR_INT:
		return basic_type(n->constant->big ? KIND_UINT64 : KIND_INT);
	case EXPR_FLOAT:
		return basic_type(KIND_FLOAT64);
	case EXPR_STRING:
		return basic_type(KIND_STRING);
	default:
		return basic_type(KIND_BOOL);
	}
}

static bool is_interface(const struct bound *n)
{
	return n->type && n->type->kind == KIND_INTERFACE;
}

static int check_interface(struct binder *b, struct pair *p)
{
	bool turned = !is_interface(p->x);
	const struct bound *v = turned ? p->y : p->x, *other = turned ? p->x : p->y;
	struct bound *named, held = {.op = BOUND_FIELD, .expr = p->e};
	struct pair inside = {.e = p->e};
	int r;

	if (!is_equality(p->e))
		return only_equality(b, p->e, v);
	if (!strcmp(v->type->name, "error") && is_text(other))
		return fail(b, p->e,
			    "the text of an error can be asked for in the condition of a traced call only, with "
			    "a constant");
	if (is_interface(other))
		return 0;
	named = arena_memdup(b->arena, other, sizeof(*other));
	r = held_type(b, p->e, default_type(other)->name, &named->held);
	if (r)
		return r;
	held.type = named->held;
	inside.x = &held;
	inside.y = named;
	r = check_pair(b, &inside);
	if (turned)
		p->x = inside.y;
	else
		p->y = inside.y;
	return r;
}

static int check_pair(struct binder *b, struct pair *p)
{
	switch (comparison_of(operand_of(p->x), operand_of(p->y))) {
	case COMPARE_CONSTANTS: /* as a whole only: see fold */
	case COMPARE_ASSERTED_NIL:
		return 0;
	case COMPARE_NIL:
		return check_nil(b, p);
	case COMPARE_TYPE:
		return check_type(b, p);
	case COMPARE_CALLER:
		return check_caller(b, p);
	case COMPARE_INTERFACE:
		return check_interface(b, p);
	case COMPARE_TEXT:
		return check_texts(b, p);
	case COMPARE_PARTS:
		return check_parts(b, p);
	case COMPARE_SCALARS:
		return check_scalars(b, p);
	}
	return -EINVAL;
}

/* ---- all ---- */

/* x.(T) == nil: another type in x makes it false, not a failure. */
static bool is_asserted_nil(const struct expr *e)
{
	return (e->a->op == EXPR_ASSERT && e->b->op == EXPR_NIL) || (e->b->op == EXPR_ASSERT && e->a->op == EXPR_NIL);
}

int bind_compare(struct binder *b, const struct expr *e, struct bound **ret)
{
	bool asserted = is_asserted_nil(e);
	struct pair p = {.e = e};
	struct bound *x, *y, *n;
	int r = asserted && e->a->op == EXPR_ASSERT ? bind_assert(b, e->a, &x) : bind_node(b, e->a, &x);

	if (!r)
		r = asserted && e->b->op == EXPR_ASSERT ? bind_assert(b, e->b, &y) : bind_node(b, e->b, &y);
	if (r)
		return r;
	n = bound_two(b, BOUND_COMPARE, basic_type(KIND_BOOL), e, x, y);
	*ret = n;
	n->sign = e->text;
	n->how = asserted ? COMPARE_ASSERTED_NIL : comparison_of(operand_of(x), operand_of(y));
	if (n->how == COMPARE_CONSTANTS)
		return fold(b, n);
	p.x = x;
	p.y = y;
	p.ret_held = &n->held;
	r = check_pair(b, &p);
	n->a = p.x;
	n->b = p.y;
	return r;
}
