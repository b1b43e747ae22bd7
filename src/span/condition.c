#include "span/condition.h"

#include <string.h>

/* One side of a comparison: what belongs to its kind is set. */
struct side {
	enum attr_kind kind;
	const char *s;
	size_t len;
	int64_t i;
	double d;
};

static void constant_side(const struct condition *c, struct side *ret)
{
	const enum attr_kind kind = c->op == CONDITION_INT    ? ATTR_INT
				    : c->op == CONDITION_REAL ? ATTR_DOUBLE
				    : c->op == CONDITION_BOOL ? ATTR_BOOL
							      : ATTR_STRING;

	*ret = (struct side){.kind = kind, .s = c->text, .len = c->len, .i = c->number, .d = c->real};
}

static bool side_of(const struct condition *c, const struct attr_list *l, struct side *ret,
		    const struct attr_value **ret_attribute)
{
	const struct attr_value *v;

	if (c->op != CONDITION_ATTRIBUTE) {
		constant_side(c, ret);
		return true;
	}
	v = *ret_attribute = attr_list_find(l, c->text, c->len);
	if (!v)
		return false;
	*ret = (struct side){.kind = v->kind};
	if (v->kind == ATTR_STRING) {
		ret->s = attr_list_text(l, v);
		ret->len = v->len;
	} else if (v->kind == ATTR_DOUBLE) {
		ret->d = v->d;
	} else {
		ret->i = v->kind == ATTR_BOOL ? v->b : v->i;
	}
	return true;
}

static unsigned order_of(bool less, bool greater)
{
	return less ? ORDER_LESS : greater ? ORDER_GREATER : ORDER_EQUAL;
}

static unsigned order_of_texts(const struct side *a, const struct side *b)
{
	size_t len = MIN(a->len, b->len);
	int r = len ? memcmp(a->s, b->s, len) : 0;

	return r ? order_of(r < 0, r > 0) : order_of(a->len < b->len, a->len > b->len);
}

/* An integer beside a floating-point number is compared as one. */
static unsigned order_of_numbers(const struct side *a, const struct side *b)
{
	double x = a->kind == ATTR_DOUBLE ? a->d : (double)a->i;
	double y = b->kind == ATTR_DOUBLE ? b->d : (double)b->i;

	if (a->kind == b->kind && a->kind != ATTR_DOUBLE)
		return order_of(a->i < b->i, a->i > b->i);
	return x != x || y != y ? 0 : order_of(x < y, x > y);
}

static bool is_number(const struct side *s)
{
	return s->kind == ATTR_INT || s->kind == ATTR_DOUBLE;
}

static bool comparison_holds(const struct condition *c, const struct attr_list *l, const struct attr_value **ret_cause)
{
	const struct attr_value *of_a = NULL, *of_b = NULL;
	struct side a, b;
	unsigned order;

	if (!side_of(c->a, l, &a, &of_a) || !side_of(c->b, l, &b, &of_b))
		return false;
	if (a.kind != b.kind && !(is_number(&a) && is_number(&b)))
		return false;
	order = a.kind == ATTR_STRING ? order_of_texts(&a, &b) : order_of_numbers(&a, &b);
	if (!(c->orders & order))
		return false;
	*ret_cause = of_a ? of_a : of_b;
	return true;
}

static bool attribute_holds(const struct condition *c, const struct attr_list *l, const struct attr_value **ret_cause)
{
	const struct attr_value *v = attr_list_find(l, c->text, c->len);
	bool holds = v && (v->kind == ATTR_STRING   ? v->len > 0 || v->cut
			   : v->kind == ATTR_INT    ? v->i != 0
			   : v->kind == ATTR_DOUBLE ? v->d != 0
						    : v->b);

	if (holds)
		*ret_cause = v;
	return holds;
}

static bool both_hold(const struct condition *c, const struct attr_list *l, const struct attr_value **ret_cause)
{
	const struct attr_value *first = NULL, *second = NULL;

	if (!condition_holds(c->a, l, &first) || !condition_holds(c->b, l, &second))
		return false;
	*ret_cause = first ? first : second;
	return true;
}

bool condition_holds(const struct condition *c, const struct attr_list *l, const struct attr_value **ret_cause)
{
	const struct attr_value *of_not;

	switch (c->op) {
	case CONDITION_OR:
		return condition_holds(c->a, l, ret_cause) || condition_holds(c->b, l, ret_cause);
	case CONDITION_AND:
		return both_hold(c, l, ret_cause);
	case CONDITION_NOT:
		if (condition_holds(c->a, l, &of_not))
			return false;
		*ret_cause = NULL;
		return true;
	case CONDITION_COMPARE:
		return comparison_holds(c, l, ret_cause);
	case CONDITION_ATTRIBUTE:
		return attribute_holds(c, l, ret_cause);
	default: /* constants stand in comparisons only */
		return false;
	}
}
