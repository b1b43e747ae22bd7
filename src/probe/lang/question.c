#include "probe/lang/question.h"

#include <errno.h>
#include <string.h>

#include "base/vec.h"
#include "probe/lang/lexer.h"
#include "probe/lang/nearest.h"

enum { MAX_QUESTION = 4096, MAX_LINEAR_BUCKETS = AGG_BUCKETS - 2 };

struct reader {
	const char *text;
	struct arena *arena;
	struct err *err;
	struct lexer lexer; /* its current token is the next one to be taken */
};

struct arg_list {
	VEC(const struct expr *) exprs;
	VEC(const char *) texts;
};

static void arg_list_done(struct arg_list *l)
{
	vec_done(&l->exprs);
	vec_done(&l->texts);
}

static const struct {
	const char *name;
	enum action_kind kind;
	enum aggregate_kind aggregate;
} actions[] = {
	{"print", ACTION_PRINT, 0},           {"stack", ACTION_STACK, 0},
	{"count", ACTION_AGGREGATE, AGG_COUNT}, {"sum", ACTION_AGGREGATE, AGG_SUM},
	{"min", ACTION_AGGREGATE, AGG_MIN},   {"max", ACTION_AGGREGATE, AGG_MAX},
	{"avg", ACTION_AGGREGATE, AGG_AVG},   {"hist", ACTION_AGGREGATE, AGG_HIST},
};

/* ---- small things ---- */

static int fail_at(struct reader *q, int column, const char *sentence)
{
	return err_at_column(q->err, -EINVAL, q->text, column, "%s", sentence);
}

static int column(const struct reader *q)
{
	return q->lexer.token.column;
}

static int advance(struct reader *q)
{
	return lexer_next(&q->lexer, q->err);
}

static bool is(const struct reader *q, const char *operator)
{
	return lexer_is(&q->lexer, operator);
}

static bool is_word(const struct reader *q, const char *word)
{
	return q->lexer.token.kind == TOKEN_NAME && !strcmp(q->lexer.token.text, word);
}

/* The text from `from` up to the next token, without blanks at its end. */
static const char *written(struct reader *q, int from)
{
	int end = column(q);

	while (end > from && strchr(" \t\r\n", q->text[end - 1]))
		end--;
	return arena_strndup(q->arena, q->text + from, (size_t)(end - from));
}

static int parse_expr(struct reader *q, const struct expr **ret)
{
	int pos = column(q);
	struct expr *e;
	int r = expr_parse_at(q->text, &pos, q->arena, &e, q->err);

	if (r)
		return r;
	*ret = e;
	return lexer_init_at(&q->lexer, q->text, pos, q->arena, q->err);
}

/* expr, expr, … */
static int parse_args(struct reader *q, struct arg_list *l)
{
	for (;;) {
		const struct expr *e;
		int from = column(q), r = parse_expr(q, &e);

		if (r)
			return r;
		vec_push(&l->exprs, e);
		vec_push(&l->texts, written(q, from));
		if (!is(q, ","))
			return 0;
		r = advance(q);
		if (r)
			return r;
	}
}

/* ---- actions ---- */

static int unknown_action(struct reader *q)
{
	const char *names[ARRAY_SIZE(actions)], *near = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		names[i] = actions[i].name;
	if (q->lexer.token.kind == TOKEN_NAME)
		near = nearest_name(q->lexer.token.text, names, ARRAY_SIZE(names));
	if (near)
		return err_at_column(q->err, -EINVAL, q->text, column(q), "there is no action %s; did you mean %s?",
				     q->lexer.token.text, near);
	return fail_at(q, column(q), "an action is expected here: print(x, …), stack, count(), sum(x), min(x), max(x), "
				     "avg(x), hist(x) or hist(x, low, high, step)");
}

static bool is_operator(const struct expr *e, const char *text)
{
	return e->len == strlen(text) && !memcmp(e->text, text, e->len);
}

/* A number, or a calculation with such: -10, 1<<20, 64*1024. False also where it does not fit into an int64. */
static bool constant(const struct expr *e, int64_t *ret)
{
	int64_t a, b;

	if (e->op == EXPR_INT) {
		*ret = e->number;
		return !e->big;
	}
	if (e->op == EXPR_NEG)
		return constant(e->a, &a) && !__builtin_sub_overflow(0, a, ret);
	if (e->op != EXPR_BINARY || !constant(e->a, &a) || !constant(e->b, &b))
		return false;
	if (is_operator(e, "<<"))
		return b >= 0 && b < 63 && !__builtin_mul_overflow(a, INT64_C(1) << b, ret);
	if (is_operator(e, "*"))
		return !__builtin_mul_overflow(a, b, ret);
	if (is_operator(e, "+"))
		return !__builtin_add_overflow(a, b, ret);
	return is_operator(e, "-") && !__builtin_sub_overflow(a, b, ret);
}

/* hist(x, low, high, step) */
static int set_linear(struct reader *q, const struct arg_list *l, struct action *a)
{
	int64_t *bounds[] = {&a->low, &a->high, &a->step};
	int64_t span;

	for (size_t i = 1; i < 4; i++)
		if (!constant(l->exprs.data[i], bounds[i - 1]))
			return fail_at(q, l->exprs.data[i]->column,
				       "low, high and step of a histogram are constant integers below 1<<63, or "
				       "durations");
	if (a->high <= a->low || __builtin_sub_overflow(a->high, a->low, &span))
		return fail_at(q, l->exprs.data[2]->column, "high must be larger than low: hist(x, low, high, step)");
	if (a->step <= 0 || span % a->step)
		return fail_at(q, l->exprs.data[3]->column, "high - low must be a multiple of the step");
	if (span / a->step > MAX_LINEAR_BUCKETS)
		return err_at_column(q->err, -EINVAL, q->text, l->exprs.data[3]->column,
				     "this histogram has %lld buckets, %d are possible: take a larger step",
				     (long long)(span / a->step), MAX_LINEAR_BUCKETS);
	a->aggregate = AGG_LINEAR;
	return 0;
}

static int check_args(struct reader *q, const struct arg_list *l, const char *name, struct action *a)
{
	size_t n = l->exprs.len;

	if (a->kind == ACTION_STACK && n)
		return fail_at(q, a->column, "stack takes no arguments");
	if (a->kind == ACTION_PRINT && !n)
		return fail_at(q, a->column, "print what? As in print(user, err); without actions all arguments and "
					     "results are printed");
	if (a->kind != ACTION_AGGREGATE)
		return 0;
	if (a->aggregate == AGG_COUNT && n)
		return fail_at(q, a->column, "count takes no arguments; groups are made with by: count() by user");
	if (a->aggregate == AGG_HIST && n == 4)
		return set_linear(q, l, a);
	if (a->aggregate == AGG_HIST && n != 1)
		return fail_at(q, a->column, "hist takes a value, as in hist(latency), or hist(x, low, high, step)");
	if (a->aggregate != AGG_COUNT && n != 1)
		return err_at_column(q->err, -EINVAL, q->text, a->column, "%s takes one value, as in %s(len(items))",
				     name, name);
	return 0;
}

static int parse_action_args(struct reader *q, const char *name, struct action *a)
{
	struct arg_list l = {0};
	int opened = column(q), r;

	if (!is(q, "("))
		return check_args(q, &l, name, a);
	r = advance(q);
	if (!r && !is(q, ")"))
		r = parse_args(q, &l);
	if (!r && !is(q, ")"))
		r = fail_at(q, opened, "the ) that closes this is missing");
	if (!r)
		r = check_args(q, &l, name, a);
	if (!r) {
		a->nargs = a->kind == ACTION_AGGREGATE ? MIN(l.exprs.len, 1) : l.exprs.len;
		a->args = arena_memdup(q->arena, l.exprs.data, a->nargs * sizeof(*l.exprs.data));
		a->arg_texts = arena_memdup(q->arena, l.texts.data, a->nargs * sizeof(*l.texts.data));
		r = advance(q);
	}
	arg_list_done(&l);
	return r;
}

static int parse_by(struct reader *q, struct action *a)
{
	struct arg_list l = {0};
	int at = column(q), r;

	if (!is_word(q, "by"))
		return 0;
	if (a->kind != ACTION_AGGREGATE)
		return fail_at(q, at, "only count, sum, min, max, avg and hist can be grouped with by");
	r = advance(q);
	if (!r)
		r = parse_args(q, &l);
	if (!r && l.exprs.len > AGG_MAX_KEYS)
		r = err_at_column(q->err, -EINVAL, q->text, l.exprs.data[AGG_MAX_KEYS]->column,
				  "groups can be made by %d values at most", AGG_MAX_KEYS);
	for (size_t i = 0; !r && i < l.exprs.len; i++) {
		a->by[a->nby] = l.exprs.data[i];
		a->by_texts[a->nby++] = l.texts.data[i];
	}
	arg_list_done(&l);
	return r;
}

static int parse_action(struct reader *q, struct action *ret)
{
	struct action a = {.column = column(q)};
	const char *name = NULL;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (is_word(q, actions[i].name)) {
			name = actions[i].name;
			a.kind = actions[i].kind;
			a.aggregate = actions[i].aggregate;
		}
	if (!name)
		return unknown_action(q);
	r = advance(q);
	if (!r)
		r = parse_action_args(q, name, &a);
	if (!r)
		r = parse_by(q, &a);
	if (r)
		return r;
	a.text = written(q, a.column);
	*ret = a;
	return 0;
}

static bool on_new_line(const struct reader *q)
{
	for (int i = column(q); i > 0 && strchr(" \t\r\n", q->text[i - 1]); i--)
		if (q->text[i - 1] == '\n')
			return true;
	return false;
}

static bool begins_action(const struct reader *q)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (is_word(q, actions[i].name))
			return true;
	return is(q, "}") || q->lexer.token.kind == TOKEN_END;
}

static int parse_actions(struct reader *q, struct question *ret)
{
	VEC(struct action) list = {0};
	int opened = column(q), r = advance(q);

	if (!r && !list.len && opened && name_part(q->text[opened - 1]) && !begins_action(q))
		return fail_at(q, opened, "a { behind a name begins the actions; a struct's values stand in brackets, "
					  "as in Go: (p == Point{1, 2})");
	while (!r && !is(q, "}")) {
		struct action a;

		if (q->lexer.token.kind == TOKEN_END)
			r = fail_at(q, opened, "the } that closes this is missing");
		else
			r = parse_action(q, &a);
		if (r)
			break;
		vec_push(&list, a);
		if (is(q, ";"))
			r = advance(q);
		else if (!is(q, "}") && q->lexer.token.kind != TOKEN_END && !on_new_line(q))
			r = fail_at(q, column(q), "a ; or a } is expected here");
	}
	if (!r && !list.len)
		r = fail_at(q, opened, "there are no actions in these braces; without them all arguments and results "
				       "are printed");
	if (!r)
		r = advance(q);
	if (!r) {
		ret->nactions = list.len;
		ret->actions = arena_memdup(q->arena, list.data, list.len * sizeof(*list.data));
	}
	vec_done(&list);
	return r;
}

/* ---- the function ---- */

static int parse_function(struct reader *q, struct question *ret)
{
	struct declared_signature *s = &ret->ref.signature;
	const struct declared_type *types;
	size_t ntypes;
	int pos, r = declared_types_parse(q->text, q->arena, &types, &ntypes, &pos, q->err);

	if (!r)
		r = func_ref_parse_at(q->text, &pos, q->arena, &ret->ref, q->err);
	if (r)
		return r;
	s->types = types;
	s->ntypes = ntypes;
	if (ntypes && !ret->ref.declared)
		return err_at_column(q->err, -EINVAL, q->text, 0,
				     "a type is declared for a signature: write the function's, too, as in `type Order "
				     "struct { … }; main.F(o Order) (err error)`");
	ret->pattern = ret->ref.name;
	ret->usdt = is_usdt_name(ret->pattern);
	ret->glob = ret->usdt || name_is_glob(ret->pattern);
	if (ret->usdt && ntypes)
		return err_at_column(q->err, -EINVAL, q->text, 0, "USDT probes have no declared types");
	if (ret->glob && ret->ref.declared)
		return err_at_column(q->err, -EINVAL, q->text, 0,
				     "%s stands for several functions, a signature can be declared for one only",
				     ret->pattern);
	return lexer_init_at(&q->lexer, q->text, pos, q->arena, q->err);
}

/* [type …] FUNCTION [if CONDITION]; *ret_when is the condition as written. */
static int parse_head(struct reader *q, const char *text, struct question *ret, const char **ret_when)
{
	int r, from;

	if (strnlen(text, MAX_QUESTION + 1) > MAX_QUESTION)
		return err_set(q->err, -EINVAL, "the question is longer than %d bytes", MAX_QUESTION);
	ret->text = q->text = arena_strdup(q->arena, text);
	r = parse_function(q, ret);
	if (r || !is_word(q, "if"))
		return r;
	r = advance(q);
	from = column(q);
	if (!r)
		r = parse_expr(q, &ret->condition);
	if (!r)
		*ret_when = written(q, from);
	return r;
}

static int unexpected(struct reader *q, const char *braces)
{
	if (is(q, "="))
		return fail_at(q, column(q), "= assigns in Go; to compare, write ==");
	if (is(q, "}") || is(q, ")") || is(q, "]"))
		return fail_at(q, column(q), "this bracket closes nothing");
	return err_at_column(q->err, -EINVAL, q->text, column(q),
			     "`if CONDITION`, `{ %s }` or the end is expected here", braces);
}

int question_parse(const char *text, struct arena *arena, struct question *ret, struct err *err)
{
	struct reader q = {.arena = arena, .err = err};
	struct question parsed = {0};
	const char *when;
	int r = parse_head(&q, text, &parsed, &when);

	if (!r && is(&q, "{"))
		r = parse_actions(&q, &parsed);
	if (!r && q.lexer.token.kind != TOKEN_END)
		r = unexpected(&q, "ACTIONS");
	if (!r)
		*ret = parsed;
	return r;
}

/* ---- functions as spans ---- */

/* order.total: words of letters, digits and _, with dots between them. */
static bool is_attribute_name(const char *s)
{
	for (const char *p = s; *p; p++)
		if (!name_part(*p) && (*p != '.' || p == s || p[-1] == '.' || !p[1]))
			return false;
	return *s;
}

/* EXPR or NAME: EXPR */
static int parse_attribute(struct reader *q, struct span_attribute *ret)
{
	int from = column(q), r = parse_expr(q, &ret->expr);

	if (r)
		return r;
	ret->name = ret->text = written(q, from);
	if (!is(q, ":"))
		return 0;
	if (!is_attribute_name(ret->name))
		return fail_at(q, from, "an attribute's name is expected before the colon, as in order.total: o.Total");
	r = advance(q);
	from = column(q);
	if (!r)
		r = parse_expr(q, &ret->expr);
	if (!r)
		ret->text = written(q, from);
	return r;
}

typedef VEC(struct span_attribute) attribute_list;

static int parse_another(struct reader *q, attribute_list *all)
{
	struct span_attribute a = {0};
	int from = column(q), r = parse_attribute(q, &a);

	for (size_t i = 0; !r && i < all->len; i++)
		if (!strcmp(all->data[i].name, a.name))
			r = fail_at(q, from, "another attribute has this name; `NAME: …` gives it one of its own");
	if (!r)
		vec_push(all, a);
	return r;
}

static int parse_attributes(struct reader *q, struct span_question *ret)
{
	attribute_list all = {0};
	int opened = column(q), r = advance(q);
	bool more = !r && !is(q, "}");

	while (more) {
		r = parse_another(q, &all);
		more = !r && is(q, ",");
		if (more && (r = advance(q)))
			break;
	}
	if (!r && q->lexer.token.kind == TOKEN_END)
		r = fail_at(q, opened, "the } that closes this is missing");
	if (!r && !is(q, "}"))
		r = fail_at(q, column(q), "a , or a } is expected here: attributes are { expr, name: expr, … }");
	if (!r)
		r = advance(q);
	if (!r) {
		ret->chosen = true;
		ret->nattributes = all.len;
		ret->attributes = arena_memdup(q->arena, all.data, all.len * sizeof(*all.data));
	}
	vec_done(&all);
	return r;
}

int span_question_parse(const char *text, struct arena *arena, struct span_question *ret, struct err *err)
{
	struct reader q = {.arena = arena, .err = err};
	struct span_question parsed = {0};
	int r = parse_head(&q, text, &parsed.function, &parsed.when);

	if (!r && is(&q, "{"))
		r = parse_attributes(&q, &parsed);
	if (!r && q.lexer.token.kind != TOKEN_END)
		r = unexpected(&q, "ATTRIBUTES");
	if (!r)
		*ret = parsed;
	return r;
}
