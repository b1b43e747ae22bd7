/* Which parts of a condition ask for the text of an error: err == "not found", contains(err, "timeout"). */
#include <string.h>

#include "probe/plan/call_plan_internal.h"

/* Of type error, wherever it is known: a part that does not compile has no type, and its turn comes later. */
bool is_error_value(const struct call_plan *p, const struct expr *e, struct arena *arena)
{
	struct func f = p->func;
	struct capture_scope scope = {.binary = p->binary, .func = &f, .signature = &p->signature,
				      .at = expr_side(p, e) == SIDE_RETURN ? SITE_RETURN : SITE_ENTRY,
				      .captured = p->captured, .ncaptured = p->ncaptured, .traced = true,
				      .usdt = p->usdt};
	const struct type *t;

	if (e->op != EXPR_NAME && e->op != EXPR_FIELD && e->op != EXPR_INDEX && e->op != EXPR_DEREF)
		return false;
	f.name = p->name;
	t = capture_type(&scope, e, arena);
	return t && t->kind == KIND_INTERFACE && !strcmp(t->name, "error");
}

static bool is_comparison_of(const struct expr *e, const char *operator)
{
	return e->op == EXPR_BINARY && !strcmp(e->text, operator);
}

bool is_text_of_error(const struct call_plan *p, const struct expr *e, struct arena *arena, enum late_op *ret,
		      const struct expr **ret_error, const struct expr **ret_text)
{
	const struct expr *a = NULL, *b = NULL;

	if (is_comparison_of(e, "==") || is_comparison_of(e, "!=")) {
		a = e->a->op == EXPR_STRING ? e->b : e->a;
		b = e->a->op == EXPR_STRING ? e->a : e->b;
		*ret = LATE_EQUAL;
	} else if (e->op == EXPR_CALL && e->nargs == 2 &&
		   (!strcmp(e->text, "hasprefix") || !strcmp(e->text, "hassuffix") ||
							  !strcmp(e->text, "contains"))) {
		a = e->args[0];
		b = e->args[1];
		*ret = *e->text == 'c' ? LATE_CONTAINS : e->text[3] == 'p' ? LATE_PREFIX : LATE_SUFFIX;
	}
	if (!b || b->op != EXPR_STRING || !is_error_value(p, a, arena))
		return false;
	*ret_error = a;
	*ret_text = b;
	return true;
}

bool asks_for_text(const struct call_plan *p, const struct expr *e, struct arena *arena)
{
	const struct expr *error, *text;
	enum late_op op;

	if (!e || e->op == EXPR_NAME)
		return false;
	if (is_text_of_error(p, e, arena, &op, &error, &text))
		return true;
	return (e->op == EXPR_NOT || e->op == EXPR_BINARY) &&
	       (asks_for_text(p, e->a, arena) || asks_for_text(p, e->b, arena));
}
