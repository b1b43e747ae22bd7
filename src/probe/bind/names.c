/* What a name means: a parameter, a result, a closure's variable, a name of ours, a carried value. */
#include <ctype.h>
#include <stdlib.h>

#include "probe/bind/binder.h"
#include "probe/lang/nearest.h"

enum { MAX_NAMES = 64 };

struct name_list {
	const char *names[MAX_NAMES];
	size_t n;
};

static void add_name(struct name_list *l, const char *name)
{
	if (l->n < MAX_NAMES && *name)
		l->names[l->n++] = name;
}

const char *binder_package(struct binder *b)
{
	if (!b->package)
		b->package = package_of(b->arena, b->scope->symbol);
	return b->package;
}

/* The parameters at an entry, the results at a return; without the receiver. */
static const struct bound_variable *visible(const struct bind_scope *s, enum call_side at, size_t *ret_n)
{
	size_t skip = s->variables.has_receiver ? 1 : 0;

	if (at == SIDE_RETURN) {
		*ret_n = s->variables.nresults;
		return s->variables.results;
	}
	*ret_n = s->variables.nparams > skip ? s->variables.nparams - skip : 0;
	return s->variables.params + skip;
}

static const struct bound_variable *find_named(const struct bound_variable *v, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].name && *v[i].name && !strcmp(v[i].name, name))
			return &v[i];
	return NULL;
}

/* arg0…, ret0… */
static const struct bound_variable *find_numbered(const struct bound_variable *v, size_t n, enum builtin_name id,
						 const char *name)
{
	const struct builtin *t = builtin_find(name);
	unsigned long i;
	char *end;

	if (!t || t->id != id)
		return NULL;
	i = strtoul(name + strlen(t->name), &end, 10);
	return !*end && i < n ? &v[i] : NULL;
}

static const struct bound_variable *last_error(const struct bound_variable *v, size_t n)
{
	const struct bound_variable *hit = NULL;

	for (size_t i = 0; i < n; i++)
		if (v[i].type && !strcmp(v[i].type->name, "error"))
			hit = &v[i];
	return hit;
}

static const struct bound_variable *find_variable(const struct bind_scope *s, enum call_side at, const char *name)
{
	bool at_return = at == SIDE_RETURN;
	size_t n;
	const struct bound_variable *v = visible(s, at, &n), *hit;

	hit = find_named(v, n, name);
	if (!hit && !at_return && s->variables.has_receiver && s->variables.nparams &&
	    (builtin_is(name, BUILTIN_RECV) || find_named(s->variables.params, 1, name)))
		hit = &s->variables.params[0];
	if (!hit)
		hit = find_numbered(v, n, at_return ? BUILTIN_RET : BUILTIN_ARG, name);
	if (!hit && at_return && builtin_is(name, BUILTIN_ERR))
		hit = last_error(v, n);
	return hit;
}

static int bind_variable(struct binder *b, const struct expr *e, const struct bound_variable *v, struct bound **ret)
{
	bool at_return = b->scope->at == SIDE_RETURN;
	struct bound *n;

	if (v->untyped)
		return fail_unreadable(b, e, "%s", v->untyped);
	if (v->why)
		return fail_unreadable(b, e, "%s cannot be read: %s", e->text, v->why);
	if (!v->type)
		return fail_unreadable(b, e, "the type of %s is not known; declare the function's parameters, "
				       "as in %s(name type, …)", e->text, b->scope->func);
	n = bound_new(b, at_return ? BOUND_RESULT : BOUND_PARAM, v->type, e);
	n->index = (size_t)(v - (at_return ? b->scope->variables.results : b->scope->variables.params));
	*ret = n;
	return 0;
}

static const struct bound_variable *find_captured(const struct bind_scope *s, enum call_side at, const char *name)
{
	return at == SIDE_ENTRY ? find_named(s->variables.captured, s->variables.ncaptured, name) : NULL;
}

static int bind_captured(struct binder *b, const struct expr *e, const struct bound_variable *v, struct bound **ret)
{
	struct bound *n;

	if (!v->type)
		return fail_unreadable(b, e, "%s is a variable of the closure whose type is not known", e->text);
	n = bound_new(b, BOUND_CAPTURED, v->type, e);
	n->index = (size_t)(v - b->scope->variables.captured);
	*ret = n;
	return 0;
}

static const struct builtin *find_builtin(const struct bind_scope *s, const char *name)
{
	const struct builtin *t = builtin_find(name);

	if (t && (s->threads ? !(t->flags & BUILTIN_THREADS) : t->id == BUILTIN_TID))
		return NULL;
	if (!t || !t->bind || (t->flags & BUILTIN_TRACED && !s->traced))
		return NULL;
	if ((t->id == BUILTIN_DICTIONARY && !s->dictionary) || (t->id == BUILTIN_CLOSURE && !s->closure))
		return NULL;
	return t;
}

/* ---- names that there are not ---- */

static void list_side(const struct bind_scope *s, enum call_side at, struct arena *arena, struct name_list *l)
{
	bool at_return = at == SIDE_RETURN;
	size_t n;
	const struct bound_variable *v = visible(s, at, &n);

	if (!at_return && s->variables.has_receiver) {
		add_name(l, s->variables.params[0].name ? s->variables.params[0].name : "");
		add_name(l, "recv");
	}
	for (size_t i = 0; i < n; i++)
		add_name(l, v[i].name && *v[i].name ? v[i].name
						    : arena_printf(arena, "%s%zu", at_return ? "ret" : "arg", i));
}

static void list_visible(const struct bind_scope *s, struct arena *arena, struct name_list *l)
{
	const struct builtin *t;

	if (!s->traced) {
		list_side(s, s->at, arena, l);
	} else {
		list_side(s, SIDE_ENTRY, arena, l);
		for (size_t i = 0; i < s->variables.ncaptured; i++)
			if (!builtin_is(s->variables.captured[i].name, BUILTIN_DICTIONARY))
				add_name(l, s->variables.captured[i].name);
		list_side(s, SIDE_RETURN, arena, l);
	}
	for (unsigned i = 0; (t = builtin_at(i)); i++)
		if (t->id != BUILTIN_DICTIONARY && find_builtin(s, t->name))
			add_name(l, t->name);
}

static const char *joined(struct arena *arena, const struct name_list *l)
{
	struct buf b = {0};
	const char *text;

	for (size_t i = 0; i < l->n && b.len < 220; i++)
		buf_printf(&b, "%s%s", i ? ", " : "", l->names[i]);
	text = arena_strdup(arena, b.data);
	buf_done(&b);
	return text;
}

/* The name belongs to the other side of the call. */
static int wrong_side(struct binder *b, const struct expr *e)
{
	enum call_side other = b->scope->at == SIDE_RETURN ? SIDE_ENTRY : SIDE_RETURN;

	if (!find_variable(b->scope, other, e->text))
		return 0;
	if (other == SIDE_RETURN)
		return fail(b, e, "%s is a result of %s: it is known only where the function returns", e->text,
			    b->scope->func);
	return fail(b, e, "%s is a parameter of %s: where the function returns, its register holds "
			  "something else", e->text, b->scope->func);
}

/* Parameters that are told by position only (the binary is stripped). */
static bool has_unnamed(const struct bind_scope *s)
{
	for (size_t i = s->variables.has_receiver ? 1 : 0; i < s->variables.nparams; i++)
		if ((!s->variables.params[i].type || s->variables.params[i].as_word) &&
		    (!s->variables.params[i].name || !*s->variables.params[i].name))
			return true;
	return !s->known;
}

static int unknown_name(struct binder *b, const struct expr *e)
{
	const struct bind_scope *s = b->scope;
	struct name_list l = {0};
	const char *near;
	int r = wrong_side(b, e);

	if (r)
		return r;
	if (s->at == SIDE_RETURN && !s->results_known)
		return fail(b, e, "%s is not known here, and what %s returns cannot be seen in the "
				  "binary; declare it: %s(…) (name type)", e->text, s->func, s->func);
	if (s->traced && s->results_known && builtin_is(e->text, BUILTIN_ERR))
		return fail(b, e, "err is the result of type error, and %s has none", s->func);
	if (s->traced && !s->threads && has_unnamed(s))
		return fail(b, e,
			    "%s is not known here: the binary does not name the parameters of %s. Declare them, "
			    "as in main.F(user string, n int) (err error), or use arg0, arg1, …",
			    e->text, s->func);
	list_visible(s, b->arena, &l);
	near = nearest_name(e->text, l.names, l.n);
	if (near)
		return fail(b, e, "%s is not known here; did you mean %s?", e->text, near);
	return fail(b, e, "%s is not known here; there are %s", e->text, joined(b->arena, &l));
}

/* ---- names that there are ---- */

bool name_is_known(struct binder *b, const char *name)
{
	const struct bind_scope *s = b->scope;

	return find_variable(s, SIDE_ENTRY, name) || find_captured(s, SIDE_ENTRY, name) ||
	       find_variable(s, SIDE_RETURN, name) || find_builtin(s, name);
}

int bind_name(struct binder *b, const struct expr *e, struct bound **ret)
{
	const struct bound_variable *v = find_variable(b->scope, b->scope->at, e->text);
	const struct bound_variable *captured = find_captured(b->scope, b->scope->at, e->text);
	const struct builtin *builtin = find_builtin(b->scope, e->text);

	if (v)
		return bind_variable(b, e, v, ret);
	if (builtin && builtin->id == BUILTIN_DICTIONARY && b->scope->at == SIDE_ENTRY)
		return builtin->bind(b, e, ret);
	if (captured)
		return bind_captured(b, e, captured, ret);
	if (builtin && builtin->id != BUILTIN_DICTIONARY)
		return builtin->bind(b, e, ret);
	return is_global(b, e) ? bind_global(b, e, ret) : unknown_name(b, e);
}

/* ---- carried values ---- */

static bool is_saved_form(const struct expr *e)
{
	return e->op == EXPR_FIELD && e->a->op == EXPR_NAME && builtin_is(e->a->text, BUILTIN_SAVED);
}

/* A parameter of that name hides what is saved. */
static bool is_hidden(struct binder *b, const struct expr *e)
{
	return is_saved_form(e) && find_variable(b->scope, b->scope->at, e->a->text);
}

bool is_saved_name(struct binder *b, const struct expr *e)
{
	return is_saved_form(e) && !is_hidden(b, e);
}

static const struct carried_value *find_carried(struct binder *b, const struct expr *e)
{
	for (size_t i = 0; i < b->scope->ncarried; i++) {
		const struct carried_value *v = &b->scope->carried[i];

		if (v->type && expr_equal(v->expr, e) && !is_hidden(b, e)) /* without: who saves it is refused */
			return v;
	}
	return NULL;
}

bool is_carried(struct binder *b, const struct expr *e)
{
	return find_carried(b, e) != NULL;
}

struct bound *bind_carried(struct binder *b, const struct expr *e)
{
	const struct carried_value *v = find_carried(b, e);
	struct bound *n;

	if (!v)
		return NULL;
	n = bound_new(b, BOUND_CARRIED, v->type, e);
	n->index = v->number;
	return n;
}

int not_saved(struct binder *b, const struct expr *e)
{
	struct name_list l = {0};

	if (b->in_filter)
		return fail(b, e, "a saved value can be used in a capture and its `when`, not in the condition of "
				  "the whole point");
	for (size_t i = 0; i < b->scope->ncarried; i++)
		if (is_saved_form(b->scope->carried[i].expr))
			add_name(&l, b->scope->carried[i].expr->text);
	return fail(b, e, "no start of this span saves %s%s%s", e->text, l.n ? "; saved are " : "",
		    l.n ? joined(b->arena, &l) : "");
}
