/*
 * Which side of a call an expression belongs to. Parameters are in their registers at the entry only, results at the
 * return only; a name is looked up as bind/names.c does. A condition is taken apart at its outermost &&: what needs the
 * entry only is tested there. In the rest, the largest parts that need the entry only are evaluated at the entry and
 * carried to the return (IR_SAVE), as Go evaluates them once: when the call begins.
 *
 * A call that panicked, or is still open, has no results. What the condition says of it is known in advance, unless it
 * asks for `latency` (or for carried values beside): then that part is left to be tested when the call has ended.
 */
#include <errno.h>
#include <string.h>

#include "probe/lower/binary_types.h"
#include "probe/plan/call_plan_internal.h"

static bool is_named(const struct param *params, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (params[i].name && !strcmp(params[i].name, name))
			return true;
	return false;
}

static bool is_captured(const struct call_plan *p, const char *name)
{
	for (size_t i = 0; i < p->ncaptured; i++)
		if (!strcmp(p->captured[i].name, name))
			return true;
	return false;
}

/* Whether the program itself has that name, whatever it would mean otherwise. */
static bool is_taken(const struct call_plan *p, const char *name)
{
	const struct signature *s = &p->signature;

	return is_named(s->params, s->nparams, name) || is_named(s->results, s->nresults, name) || is_captured(p, name);
}

/*
 * What no name of the call is, and the program has: a constant, or a variable, which is read where the rest is tested.
 */
static bool is_global(const struct call_plan *p, const struct expr *e)
{
	const char *name = e->op == EXPR_FIELD && e->a->op == EXPR_NAME ? e->a->text
			   : e->op == EXPR_NAME                         ? e->text
									: NULL;

	struct binary_types types = binary_types(p->binary);

	return name && !p->usdt && !builtin_find(name) && !is_taken(p, name) &&
	       expr_is_global(&types.lookup, p->func.symbol, e);
}

static enum call_side name_side(const struct call_plan *p, const struct expr *e)
{
	const struct signature *s = &p->signature;
	const struct builtin *builtin;

	if (is_named(s->params, s->nparams, e->text))
		return SIDE_ENTRY;
	if (is_named(s->results, s->nresults, e->text))
		return SIDE_RETURN;
	if (is_captured(p, e->text))
		return SIDE_ENTRY;
	builtin = builtin_find(e->text);
	return builtin ? builtin->side : is_global(p, e) ? SIDE_NONE : SIDE_ENTRY;
}

/* A name of ours, which the program does not have. */
static const struct builtin *builtin_of(const struct call_plan *p, const struct expr *e)
{
	return e->op == EXPR_NAME && !is_taken(p, e->text) ? builtin_find(e->text) : NULL;
}

bool is_of_record(const struct call_plan *p, const struct expr *e)
{
	const struct builtin *builtin = builtin_of(p, e);

	return builtin && builtin_is_of_record(builtin, p->inlined);
}

bool is_panicked(const struct call_plan *p, const struct expr *e)
{
	const struct builtin *builtin = builtin_of(p, e);

	return builtin && builtin->id == BUILTIN_PANICKED;
}

enum call_side expr_side(const struct call_plan *p, const struct expr *e)
{
	enum call_side side = SIDE_NONE;

	if (!e)
		return SIDE_NONE;
	if (e->op == EXPR_NAME)
		return name_side(p, e);
	if (e->op == EXPR_FIELD && is_global(p, e))
		return SIDE_NONE;
	for (size_t i = 0; i < e->nargs; i++)
		side = MAX(side, expr_side(p, e->args[i]));
	side = MAX(side, expr_side(p, e->a));
	return MAX(side, expr_side(p, e->b));
}

static void add_conjunct(struct arena *arena, const struct expr **all, const struct expr *e)
{
	struct expr *both;

	if (!*all) {
		*all = e;
		return;
	}
	both = arena_new(arena, struct expr);
	*both = (struct expr){.op = EXPR_BINARY, .column = e->column, .text = "&&", .len = 2,
			      .a = (struct expr *)*all, .b = (struct expr *)e};
	*all = both;
}

/*
 * No error has no text: what asks for nothing but that can be tested for it where the probe fires, and spares records.
 */
static void exclude_nil(const struct call_plan *p, const struct expr *e, struct arena *arena, struct split *ret)
{
	struct expr *nil = arena_new(arena, struct expr), *test = arena_new(arena, struct expr);
	const struct expr *error, *text;
	enum late_op op;

	if (e->op == EXPR_NOT)
		e = e->a;
	if (!is_text_of_error(p, e, arena, &op, &error, &text))
		return;
	*nil = (struct expr){.op = EXPR_NIL, .column = e->column, .text = "nil", .len = 3};
	*test = (struct expr){.op = EXPR_BINARY, .column = e->column, .text = "!=", .len = 2,
			       .a = (struct expr *)error, .b = nil};
	add_conjunct(arena, expr_side(p, error) == SIDE_RETURN ? &ret->ret : &ret->entry, test);
}

static void take_apart(const struct call_plan *p, const struct expr *e, struct arena *arena, struct split *ret)
{
	if (e->op == EXPR_BINARY && !strcmp(e->text, "&&")) {
		take_apart(p, e->a, arena, ret);
		take_apart(p, e->b, arena, ret);
	} else if (asks_for_text(p, e, arena)) {
		add_conjunct(arena, &ret->late, e);
		exclude_nil(p, e, arena, ret);
	} else if (expr_side(p, e) == SIDE_RETURN) {
		add_conjunct(arena, &ret->ret, e);
	} else {
		add_conjunct(arena, &ret->entry, e);
	}
}

/* Known at the return without being carried: the same there as at the entry. */
static bool is_same_at_return(const struct call_plan *p, const struct expr *e)
{
	if (!e)
		return true;
	if (expr_side(p, e) == SIDE_NONE)
		return true;
	if (e->op == EXPR_NAME)
		return builtin_of(p, e) && builtin_of(p, e)->flags & BUILTIN_SAME;
	for (size_t i = 0; i < e->nargs; i++)
		if (!is_same_at_return(p, e->args[i]))
			return false;
	return is_same_at_return(p, e->a) && is_same_at_return(p, e->b);
}

static int carry(const struct expr *e, const char *text, struct split *ret, struct err *err)
{
	for (size_t i = 0; i < ret->ncarried; i++)
		if (expr_equal(ret->carried[i], e))
			return 0;
	if (ret->ncarried == IR_MAX_SAVED)
		return err_at_column(err, -EINVAL, text, e->column,
				     "the condition needs more than %d values of the entry where the function returns",
				     IR_MAX_SAVED);
	ret->carried[ret->ncarried++] = e;
	return 0;
}

static int carry_parts(const struct call_plan *p, const struct expr *e, const char *text, struct split *ret,
		      struct err *err)
{
	enum call_side side = expr_side(p, e);
	int r = 0;

	if (side == SIDE_NONE || is_same_at_return(p, e))
		return 0;
	if (side == SIDE_ENTRY && e->op != EXPR_LITERAL && e->op != EXPR_ELEMENT)
		return carry(e, text, ret, err);
	for (size_t i = 0; !r && i < e->nargs; i++)
		r = carry_parts(p, e->args[i], text, ret, err);
	if (!r && e->a)
		r = carry_parts(p, e->a, text, ret, err);
	if (!r && e->b)
		r = carry_parts(p, e->b, text, ret, err);
	return r;
}

bool mentions_panicked(const struct call_plan *p, const struct expr *e)
{
	bool found = false;

	if (!e)
		return false;
	if (e->op == EXPR_NAME)
		return is_panicked(p, e);
	for (size_t i = 0; i < e->nargs; i++)
		found |= mentions_panicked(p, e->args[i]);
	return found || mentions_panicked(p, e->a) || mentions_panicked(p, e->b);
}

/* What a call that does not return makes of the condition is found by and, or and not alone. */
static const struct expr *misused_panicked(const struct call_plan *p, const struct expr *e)
{
	const struct expr *bad;

	if (!mentions_panicked(p, e) || e->op == EXPR_NAME)
		return NULL;
	if (e->op == EXPR_NOT)
		return misused_panicked(p, e->a);
	if (e->op != EXPR_BINARY || (strcmp(e->text, "&&") && strcmp(e->text, "||")))
		return e;
	bad = misused_panicked(p, e->a);
	return bad ? bad : misused_panicked(p, e->b);
}

/* ---- calls that do not return ---- */

/* Whether e needs what only a return brings. */
static bool needs_results(const struct call_plan *p, const struct expr *e)
{
	if (!e)
		return false;
	if (e->op == EXPR_NAME)
		return name_side(p, e) == SIDE_RETURN &&
		       !(builtin_of(p, e) && builtin_of(p, e)->flags & BUILTIN_NO_RESULT);
	for (size_t i = 0; i < e->nargs; i++)
		if (needs_results(p, e->args[i]))
			return true;
	return needs_results(p, e->a) || needs_results(p, e->b);
}

struct reducer {
	const struct call_plan *plan;
	struct arena *arena;
	bool panicked;
};

static struct split_end reduce(const struct reducer *r, const struct expr *e);

static struct split_end reduce_not(const struct reducer *r, const struct expr *e)
{
	struct split_end a = reduce(r, e->a);
	struct expr *not;

	if (a.is == END_SHOWN || needs_results(r->plan, e->a)) /* the opposite of what is not known is not known */
		return (struct split_end){.is = END_LEFT_OUT};
	if (a.is == END_LEFT_OUT)
		return (struct split_end){.is = END_SHOWN};
	not = arena_new(r->arena, struct expr);
	*not = *e;
	not->a = (struct expr *)a.test;
	return (struct split_end){.is = END_TESTED, .test = not};
}

static struct split_end reduce_logic(const struct reducer *r, const struct expr *e)
{
	struct split_end a = reduce(r, e->a), b = reduce(r, e->b);
	enum plan_end decides = *e->text == '&' ? END_LEFT_OUT : END_SHOWN;
	struct expr *both;

	if (a.is == decides || b.is == decides)
		return (struct split_end){.is = decides};
	if (a.is != END_TESTED)
		return b;
	if (b.is != END_TESTED)
		return a;
	both = arena_new(r->arena, struct expr);
	*both = *e;
	both->a = (struct expr *)a.test;
	both->b = (struct expr *)b.test;
	return (struct split_end){.is = END_TESTED, .test = both};
}

/* What is left of a condition where there are no results: a part that needs one is not met. */
static struct split_end reduce(const struct reducer *r, const struct expr *e)
{
	if (e->op == EXPR_BINARY && (!strcmp(e->text, "&&") || !strcmp(e->text, "||")))
		return reduce_logic(r, e);
	if (e->op == EXPR_NOT)
		return reduce_not(r, e);
	if (e->op == EXPR_NAME && mentions_panicked(r->plan, e))
		return (struct split_end){.is = r->panicked ? END_SHOWN : END_LEFT_OUT};
	if (needs_results(r->plan, e))
		return (struct split_end){.is = END_LEFT_OUT};
	return (struct split_end){.is = END_TESTED, .test = e};
}

static int keep_part(const struct expr *e, const char *text, struct split *ret, struct err *err)
{
	for (size_t i = 0; i < ret->nparts; i++)
		if (expr_equal(ret->parts[i], e))
			return 0;
	if (ret->nparts == IR_MAX_SAVED)
		return err_at_column(err, -EINVAL, text, e->column,
				     "the condition needs more than %d values of the entry when the call has ended",
				     IR_MAX_SAVED);
	ret->parts[ret->nparts++] = e;
	return 0;
}

/* The largest parts of e that are known at the entry only. */
static int find_parts(const struct call_plan *p, const struct expr *e, const char *text, struct split *ret,
		      struct err *err)
{
	enum call_side side = e ? expr_side(p, e) : SIDE_NONE;
	int r = 0;

	if (side == SIDE_NONE)
		return 0;
	if (side == SIDE_ENTRY)
		return keep_part(e, text, ret, err);
	for (size_t i = 0; !r && i < e->nargs; i++)
		r = find_parts(p, e->args[i], text, ret, err);
	if (!r)
		r = find_parts(p, e->a, text, ret, err);
	return r ? r : find_parts(p, e->b, text, ret, err);
}

static int find_ends(const struct call_plan *p, const char *text, struct arena *arena, struct split *ret,
		     struct err *err)
{
	struct reducer r = {.plan = p, .arena = arena};
	int code;

	if (!ret->ret)
		return 0;
	ret->open = reduce(&r, ret->ret);
	r.panicked = true;
	ret->panicked = reduce(&r, ret->ret);
	code = find_parts(p, ret->open.test, text, ret, err);
	return code ? code : find_parts(p, ret->panicked.test, text, ret, err);
}

int condition_split(const struct call_plan *p, const struct expr *condition, const char *text, struct arena *arena,
		    struct split *ret, struct err *err)
{
	struct split split = {0};
	const struct expr *bad = misused_panicked(p, condition);
	int r = 0;

	if (bad)
		return err_at_column(err, -EINVAL, text, bad->column,
				     "panicked can be one of the parts of &&, || and ! only: it is not compared with "
				     "anything");
	if (condition)
		take_apart(p, condition, arena, &split);
	if (split.ret)
		r = carry_parts(p, split.ret, text, &split, err);
	if (!r)
		r = find_ends(p, text, arena, &split, err);
	if (!r)
		*ret = split;
	return r;
}
