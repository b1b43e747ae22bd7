/* The syntax is that of expressions (probe/lang/expr.h); what has no meaning for attributes is refused here. */
#include "probe/pack/pack_condition.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "probe/lang/expr.h"

struct converter {
	const char *text;
	const struct condition_domain *domains;
	struct arena *arena;
	struct err *err;
};

static const struct {
	const char *text;
	unsigned orders;
} comparisons[] = {{"==", ORDER_EQUAL},	   {"!=", ORDER_LESS | ORDER_GREATER},
		   {"<", ORDER_LESS},	   {"<=", ORDER_LESS | ORDER_EQUAL},
		   {">", ORDER_GREATER}, {">=", ORDER_GREATER | ORDER_EQUAL}};

static int refuse(struct converter *c, const struct expr *e, const char *sentence)
{
	return err_at_column(c->err, -EINVAL, c->text, e->column, "%s", sentence);
}

/* http.response.status_code came as fields of fields of a name. */
static bool attribute_name(const struct expr *e, struct buf *out)
{
	if (e->op == EXPR_NAME) {
		buf_append(out, e->text, e->len);
		return true;
	}
	if (e->op != EXPR_FIELD || !attribute_name(e->a, out))
		return false;
	buf_printf(out, ".%s", e->text);
	return true;
}

/* attr["name"] */
static bool is_quoted_name(const struct expr *e)
{
	return e->op == EXPR_INDEX && e->a->op == EXPR_NAME && !strcmp(e->a->text, "attr") && e->b->op == EXPR_STRING;
}

static bool is_name(const struct expr *e)
{
	return e->op == EXPR_NAME || e->op == EXPR_FIELD || is_quoted_name(e);
}

static const struct condition_domain *domain_of(const struct converter *c, const struct expr *e)
{
	for (const struct condition_domain *d = c->domains; d && d->attribute && e->op == EXPR_NAME; d++)
		if (!strcmp(e->text, d->attribute))
			return d;
	return NULL;
}

static int convert_name(struct converter *c, const struct expr *e, struct condition *ret)
{
	struct buf name = {0};
	bool ok = is_quoted_name(e) ? (buf_append(&name, e->b->text, e->b->len), true) : attribute_name(e, &name);

	if (ok)
		*ret = (struct condition){.op = CONDITION_ATTRIBUTE, .len = name.len,
					  .text = arena_strndup(c->arena, name.data, name.len)};
	buf_done(&name);
	return ok ? 0 : refuse(c, e, "an attribute is written as a name with dots in it, as in error.type");
}

static int convert_number(const struct expr *e, bool negative, struct condition *ret)
{
	double real = e->op == EXPR_FLOAT ? e->real : (double)(uint64_t)e->number;

	if (e->op == EXPR_INT && !e->big)
		*ret = (struct condition){.op = CONDITION_INT, .number = negative ? -e->number : e->number};
	else
		*ret = (struct condition){.op = CONDITION_REAL, .real = negative ? -real : real};
	return 0;
}

static void set_text(const struct expr *e, struct condition *ret)
{
	*ret = (struct condition){.op = CONDITION_TEXT, .text = e->text, .len = e->len};
}

static int convert_operand(struct converter *c, const struct expr *e, const struct condition **ret)
{
	struct condition *n = arena_new(c->arena, struct condition);
	bool negative = e->op == EXPR_NEG;
	const struct expr *value = negative ? e->a : e;

	*ret = n;
	if (value->op == EXPR_INT || value->op == EXPR_FLOAT)
		return convert_number(value, negative, n);
	if (is_name(e))
		return convert_name(c, e, n);
	if (e->op == EXPR_STRING)
		set_text(e, n);
	else if (e->op == EXPR_BOOL)
		*n = (struct condition){.op = CONDITION_BOOL, .number = e->number};
	else
		return refuse(c, e, "a comparison is one of an attribute with a number, a text, true, false or another "
				    "attribute");
	return 0;
}

static int refuse_word(struct converter *c, const struct expr *e, const struct condition_domain *d)
{
	_cleanup_(buf_done) struct buf all = {0};

	for (const char *const *w = d->words; *w; w++)
		buf_printf(&all, "%s%s", w == d->words ? "" : ", ", *w);
	return err_at_column(c->err, -EINVAL, c->text, e->column, "%s is one of: %s", d->attribute, all.data);
}

/* The lexer makes the same of 1 and 1ns: who writes no unit means another one, mostly. */
static bool lacks_unit(const struct converter *c, const struct expr *e)
{
	const char *p = c->text + e->column;

	return e->op == EXPR_INT && e->number && !isalpha((unsigned char)p[strspn(p, "0123456789_.")]);
}

static int convert_duration(struct converter *c, const struct expr *e, const struct condition **ret)
{
	int r = convert_operand(c, e, ret);
	enum condition_op op = r ? CONDITION_ATTRIBUTE : (*ret)->op;

	if (!r && (op == CONDITION_TEXT || op == CONDITION_BOOL || op == CONDITION_REAL || lacks_unit(c, e)))
		r = refuse(c, e, "this is compared with a number and its unit, as 10ms or 1s");
	return r;
}

/* One side of a comparison, where the other is an attribute of which d (or NULL: nothing) is known. */
static int convert_side(struct converter *c, const struct expr *e, const struct condition_domain *d,
			const struct condition **ret)
{
	struct condition *n;

	if (!d)
		return convert_operand(c, e, ret);
	if (!d->words)
		return convert_duration(c, e, ret);
	for (const char *const *w = d->words; *w; w++)
		if ((e->op == EXPR_NAME || e->op == EXPR_STRING) && !strcmp(e->text, *w)) {
			*ret = n = arena_new(c->arena, struct condition);
			set_text(e, n);
			return 0;
		}
	return refuse_word(c, e, d);
}

static unsigned orders_of(const char *operator)
{
	for (size_t i = 0; i < ARRAY_SIZE(comparisons); i++)
		if (!strcmp(operator, comparisons[i].text))
			return comparisons[i].orders;
	return 0;
}

static int convert_comparison(struct converter *c, const struct expr *e, struct condition *n)
{
	int r;

	n->op = CONDITION_COMPARE;
	n->orders = orders_of(e->text);
	if (!n->orders)
		return refuse(c, e, "a condition over attributes has no arithmetic");
	r = convert_side(c, e->a, domain_of(c, e->b), &n->a);
	if (!r)
		r = convert_side(c, e->b, domain_of(c, e->a), &n->b);
	if (r)
		return r;
	if (n->a->op != CONDITION_ATTRIBUTE && n->b->op != CONDITION_ATTRIBUTE)
		return refuse(c, e, "one side of a comparison is an attribute, but both are constants here");
	if ((n->a->op == CONDITION_BOOL || n->b->op == CONDITION_BOOL) && n->orders != ORDER_EQUAL &&
	    n->orders != (ORDER_LESS | ORDER_GREATER))
		return refuse(c, e, "true and false are compared with == and != only");
	return 0;
}

static int convert(struct converter *c, const struct expr *e, const struct condition **ret);

static int convert_logic(struct converter *c, const struct expr *e, enum condition_op op, struct condition *n)
{
	int r;

	n->op = op;
	r = convert(c, e->a, &n->a);
	return r || op == CONDITION_NOT ? r : convert(c, e->b, &n->b);
}

static int convert(struct converter *c, const struct expr *e, const struct condition **ret)
{
	struct condition *n = arena_new(c->arena, struct condition);

	*ret = n;
	if (is_name(e))
		return convert_name(c, e, n);
	if (e->op == EXPR_NOT)
		return convert_logic(c, e, CONDITION_NOT, n);
	if (e->op != EXPR_BINARY)
		return refuse(c, e, "an attribute or a comparison is expected here");
	if (!strcmp(e->text, "||"))
		return convert_logic(c, e, CONDITION_OR, n);
	if (!strcmp(e->text, "&&"))
		return convert_logic(c, e, CONDITION_AND, n);
	return convert_comparison(c, e, n);
}

int condition_parse(const char *text, const struct condition_domain *domains, struct arena *arena,
		    const struct condition **ret, struct err *err)
{
	struct converter c = {text, domains, arena, err};
	struct expr *e;
	int r = expr_parse(text, arena, &e, err);

	return r ? r : convert(&c, e, ret);
}
