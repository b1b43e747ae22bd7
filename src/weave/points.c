#include "weave/points_internal.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "probe/bind/bind.h"
#include "probe/pack/join.h"
#include "weave/unwinding.h"
#include "weave/usdt_directive.h"

static bool follows(const struct weaving_point *wp)
{
	return wp->ends_pair || wp->at_unwinding;
}

/* ---- the signature ---- */

/* A slice where the parameter is variadic. */
static const struct type *type_of(struct points_weaver *w, const struct woven_function *fn, const struct go_param *p,
                                  struct err *err)
{
	const struct type *t = source_type_of(w->types, fn->file, fn->function, p, err);
	struct type_lookup *types = source_types_lookup(w->types);

	return t && p->variadic ? types->ops->parse(types, "", arena_printf(&w->package->arena, "[]%s", t->name), err)
	                        : t;
}

/* Packs may write a package by the last element of its path. */
static bool is_short_for(struct arena *arena, const char *declared, const char *name)
{
	char *last, *to;

	if (strchr(declared, '/'))
		return false;
	last = to = arena_strdup(arena, name);
	for (const char *p = name; *p; p++) {
		if (*p == '/')
			while (to > last && (isalnum((unsigned char)to[-1]) || strchr("._-~%", to[-1])))
				to--;
		else
			*to++ = *p;
	}
	*to = 0;
	return !strcmp(last, declared);
}

/* What the pack declares must be what is there: names are the pack's, in its expressions. */
static int check_declared(struct points_weaver *w, const struct declared_param *d, const struct type *t,
                          struct err *err)
{
	struct type_lookup *types = source_types_lookup(w->types);
	struct arena *arena = &w->package->arena;
	const char *package = w->package->path;
	const struct type *declared;

	if (!d->type || !t)
		return 0;
	declared = types->ops->parse(types, package, d->type, NULL);
	if (!declared || declared->kind == KIND_INVALID || t->kind == KIND_INVALID ||
	    !strcmp(declared->name, t->name) || is_short_for(arena, d->type, t->name))
		return 0;
	return err_set(err, -EINVAL, "%s is declared as %s, but is %s", d->name && *d->name ? d->name : "a parameter",
	               d->type, t->name);
}

struct declared_list {
	const struct declared_param *all;
	size_t n;
	bool is;
};

static int read_variables(struct points_weaver *w, const struct woven_function *fn, const struct go_param *p, size_t n,
                          const struct declared_list *declared, struct bound_variable *ret, struct err *err)
{
	int r = 0;

	if (declared->is && declared->n != n)
		return err_set(err, -EINVAL, "it is declared with %zu of them, but has %zu", declared->n, n);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct err why = {0};

		ret[i].type = type_of(w, fn, &p[i], &why);
		ret[i].name = p[i].name && strcmp(p[i].name, "_") ? p[i].name : NULL;
		if (!ret[i].type || ret[i].type->kind == KIND_INVALID)
			ret[i].untyped = arena_printf(&w->package->arena, "the type of %s is not known: %s",
			                              p[i].name ? p[i].name : "it",
			                              why.code ? why.text : "its source is not at hand");
		if (!declared->is)
			continue;
		ret[i].name = declared->all[i].name;
		r = check_declared(w, &declared->all[i], ret[i].type, err);
	}
	return r;
}

int points_read_signature(struct points_weaver *w, const struct woven_function *fn, const struct func_ref *ref,
                          struct bound_variables *ret, struct err *err)
{
	const struct go_function *f = fn->function;
	struct arena *arena = &w->package->arena;
	struct bound_variable *params = arena_array(arena, struct bound_variable, f->nparams + 1);
	struct bound_variable *results = arena_array(arena, struct bound_variable, f->nresults + 1);
	const struct declared_signature *s = &ref->signature;
	struct declared_list in = {s->params, s->nparams, ref->declared};
	struct declared_list out = {s->results, s->nresults, ref->declared && s->has_results};
	size_t skip = f->receiver ? 1 : 0;
	int r = 0;

	if (skip)
		r = read_variables(w, fn, f->params, 1, &(struct declared_list){0}, params, err);
	if (r >= 0)
		r = read_variables(w, fn, f->params + skip, f->nparams - skip, &in, params + skip, err);
	if (r < 0)
		return err_prefix(err, "parameters");
	r = read_variables(w, fn, f->results, f->nresults, &out, results, err);
	if (r < 0)
		return err_prefix(err, "results");
	*ret = (struct bound_variables){
	    .params = params, .nparams = f->nparams, .results = results, .nresults = f->nresults, .has_receiver = skip};
	return 0;
}

/* ---- what is kept ---- */

/* "T", "*T" of a method's full name; NULL: it is none. */
static const char *receiver_of(struct arena *arena, const char *name, const char *package)
{
	const char *own = name + strlen(package) + 1, *dot = strchr(own, '.');

	if (!dot || !strncmp(dot, ".func", 5))
		return NULL;
	if (*own != '(')
		return arena_strndup(arena, own, (size_t)(dot - own));
	return dot[-1] == ')' ? arena_strndup(arena, own + 1, (size_t)(dot - own) - 2) : NULL;
}

/* By its predeclared name; NULL: it is none. */
static const struct type *integer_type(struct points_weaver *w, const char *name)
{
	struct type_lookup *types = source_types_lookup(w->types);
	const struct type *t = types->ops->parse(types, "", name, NULL);

	return t && !t->named && type_is_integer(t) ? t : NULL;
}

/*
 * Of a function of another package what the pack declares is believed, where it does: of one that nothing is known of,
 * too, as far as it is an integer.
 */
static void declared_variables(struct points_weaver *w, const struct func_ref *ref, struct bound_variables *ret)
{
	struct type_lookup *types = source_types_lookup(w->types);
	struct arena *arena = &w->package->arena;
	const char *package = package_of(arena, ref->name), *receiver = receiver_of(arena, ref->name, package);
	size_t skip = receiver ? 1 : 0, n = skip + ref->signature.nparams;
	struct bound_variable *params = arena_array(arena, struct bound_variable, n + 1);

	if (receiver)
		params->type = types->ops->parse(types, package, receiver, NULL);
	for (size_t i = skip; ref->declared && i < n; i++) {
		const struct declared_param *d = &ref->signature.params[i - skip];

		params[i].name = d->name;
		params[i].type = d->type ? types->ops->parse(types, package, d->type, NULL) : NULL;
		if (d->type && !params[i].type)
			params[i].type = integer_type(w, d->type);
	}
	*ret = (struct bound_variables){.params = params, .nparams = ref->declared ? n : skip, .has_receiver = skip};
}

/* At the entry of that variant's function. */
static int entry_scope(struct points_weaver *w, const struct pack_variant *v, struct bind_scope *ret)
{
	struct arena *arena = &w->package->arena;
	struct bound_variables variables = {0};
	struct woven_function found;
	struct func_ref ref;
	int r = func_ref_parse(v->func, arena, &ref, NULL);

	if (r < 0)
		return r;
	if (v->declared)
		ref = (struct func_ref){.name = ref.name, .declared = true, .signature = *v->declared};
	r = woven_function_find(w->package, ref.name, &found, NULL);
	if (!r)
		r = points_read_signature(w, &found, &ref, &variables, NULL);
	else if (r == -ESRCH) {
		declared_variables(w, &ref, &variables);
		r = 0;
	}
	*ret = (struct bind_scope){.types = source_types_lookup(w->types),
	                           .func = ref.name,
	                           .symbol = ref.name,
	                           .variables = variables,
	                           .known = true,
	                           .at = SIDE_ENTRY};
	return r;
}

/* int64(x) is an int64, whatever is known of x; NULL: it is no such conversion. */
static const struct type *converted_type(struct points_weaver *w, const struct expr *e)
{
	return e->op == EXPR_CALL && e->nargs == 1 ? integer_type(w, e->text) : NULL;
}

static const struct type *kept_type(void *arg, const struct pack_variant *v, const char *expression)
{
	struct points_weaver *w = arg;
	struct arena *arena = &w->package->arena;
	const struct bound *n;
	struct bind_scope scope;
	struct expr *e;

	if (expr_parse(expression, arena, &e, NULL) < 0)
		return NULL;
	if (!v->at_return && entry_scope(w, v, &scope) >= 0 && !bind_expr(&scope, e, expression, arena, &n, NULL))
		return n->type;
	return converted_type(w, e);
}

/* ---- binding and printing ---- */

/* What is there for --propagate. */
static bool is_of_request(enum capture_use use)
{
	return use == USE_PRESENT || use == USE_ARMED || use == USE_INJECT || use == USE_CARRIER ||
	       use == USE_BY;
}

static struct capture_item item_of(const struct weaving_point *wp, const struct pack_capture *c)
{
	static const struct join_marks sent = {.sent = true};
	struct capture_item item = pack_capture_item(wp->span, c, &(struct join_options){.marks = &sent});

	item.carry = c->use == USE_SAVED ? kept_number(&wp->kept, c->saved_as) : 0;
	if (c->use == USE_SAVED && !item.carry)
		item.left_out = POINT_NOT_WANTED;
	else if (c->use != USE_SAVED && !item.fact && !item.links && !item.left_out && c->use != USE_ATTRIBUTE &&
	         c->use != USE_PANIC_TYPE && c->use != USE_RECOVERY_PC && !is_of_request(c->use))
		item.left_out = "woven code does not do this yet";
	return item;
}

static struct bind_scope scope_of(struct points_weaver *w, const struct weaving_point *wp,
                                  const struct bound_variables *variables)
{
	return (struct bind_scope){.types = source_types_lookup(w->types),
	                           .func = wp->func,
	                           .symbol = wp->func,
	                           .variables = *variables,
	                           .results_known = true,
	                           .known = true,
	                           .carried = wp->kept.values,
	                           .ncarried = wp->kept.n,
	                           .at = wp->variant->at_return ? SIDE_RETURN : SIDE_ENTRY};
}

static int bind_point(struct points_weaver *w, struct weaving_point *wp, const struct bound_variables *variables,
                      struct err *err)
{
	const struct pack_variant *v = wp->variant;
	struct arena *arena = &w->package->arena;
	struct capture_item *items = arena_array(arena, struct capture_item, v->ncaptures + 1);
	struct bind_scope scope = scope_of(w, wp, variables);
	struct bind_request request = {
	    .filter = v->when, .goroutine = v->goroutine, .sp = v->sp, .items = items, .nitems = v->ncaptures};

	for (size_t i = 0; i < v->ncaptures; i++)
		items[i] = item_of(wp, &v->captures[i]);
	return bind_program(&scope, &request, arena, &wp->program, err);
}

size_t points_function(struct points_weaver *w, const struct woven_function *found)
{
	for (size_t i = 0; i < w->functions.len; i++)
		if (w->functions.data[i].function == found->function)
			return i;
	vec_push(&w->functions, *found);
	return w->functions.len - 1;
}

static bool is_wrapped(const struct points_weaver *w, const struct go_function *f)
{
	for (size_t i = 0; i < w->functions.len; i++)
		if (w->functions.data[i].function == f && w->functions.data[i].wrapped)
			return true;
	return false;
}

/* Literals in a function that becomes two are called otherwise: packs would not find them. */
static int defer_in(struct points_weaver *w, size_t function, struct err *err)
{
	struct woven_function *f = &w->functions.data[function], before = *f;
	int r = woven_function_defer(f, err);

	for (size_t i = 0; r >= 0 && f->wrapped && !before.wrapped && i < w->functions.len; i++)
		if (w->functions.data[i].outer == f->function)
			r = err_set(err, -EINVAL,
			            "one more defer would make its own defers five times dearer, and it may not become "
			            "two functions: a literal in it is woven");
	if (r < 0)
		*f = before;
	return r;
}

/* Of a note, which is nothing but what it captures, nothing is left. */
static bool says_nothing(const struct weaving_point *wp)
{
	bool any = wp->point->role != POINT_NOTE;

	for (size_t i = 0; i < wp->program.ncaptures; i++)
		for (size_t k = 0; k < wp->program.captures[i].nalternatives; k++)
			any |= !wp->program.captures[i].alternatives[k].why;
	return !any;
}

/*
 * In package runtime code may not call what it likes. What is told of an unwinding, or writes into a request, is no
 * place of its own.
 */
static enum go_probe probe_of(const struct points_weaver *w, const struct weaving_point *wp)
{
	enum point_role role = wp->point->role;

	if (!w->wanted->usdt || !wp->part || wp->at_unwinding || !strcmp(w->package->path, "runtime") ||
	    role == POINT_ARM || role == POINT_INJECT || role == POINT_RELEASE || pack_lends(wp->variant))
		return GO_PROBE_NONE;
	return role == POINT_START && !wp->variant->at_return ? GO_PROBE_BEHIND : GO_PROBE_BEFORE;
}

/*
 * 0: the point is printed, and can be put in; 1: likewise, but whether it is the variant for this program is not known
 * here. -ESRCH: the variant is of another package.
 */
static int try_variant(struct points_weaver *w, struct weaving_point *wp, const struct pack_variant *v, struct err *err)
{
	struct arena *arena = &w->package->arena;
	struct woven_function found, before;
	struct func_ref ref;
	size_t function;
	int r = func_ref_parse(v->func, arena, &ref, err), in_case;

	wp->variant = v;
	wp->func = r >= 0 ? ref.name : v->func;
	wp->probe = probe_of(w, wp);
	if (r >= 0)
		r = woven_function_find(w->package, ref.name, &found, err);
	if (r < 0)
		return r;
	if (v->declared)
		ref = (struct func_ref){.name = ref.name, .declared = true, .signature = *v->declared};
	in_case = r = point_check_needs(w, v, err);
	if (r < 0)
		return r;
	if (found.outer && is_wrapped(w, found.outer))
		return err_set(err, -EXDEV, "the function that it stands in has become two");
	function = points_function(w, &found);
	before = w->functions.data[function];
	if (v->at_return)
		r = defer_in(w, function, err);
	if (r >= 0)
		r = points_read_signature(w, &found, &ref, &wp->variables, err);
	if (r >= 0)
		r = bind_point(w, wp, &wp->variables, err);
	if (r >= 0 && says_nothing(wp))
		r = err_set(err, -ENOENT, "there is nothing that it could capture");
	if (r >= 0)
		r = go_points_add(w->printed, (unsigned)w->points.len, &wp->program, &wp->kept.of_point, wp->probe,
		                  arena, &wp->printed, err);
	if (r >= 0)
		wp->function = function;
	else
		w->functions.data[function] = before;
	return r < 0 ? r : in_case;
}

/* ---- the calls ---- */

/* Which parameters are handed over: each with a comma before it. */
static const char *arguments_of(struct points_weaver *w, const struct weaving_point *wp)
{
	_cleanup_(buf_done) struct buf out = {0};
	struct woven_function *fn = &w->functions.data[wp->function];

	for (size_t i = 0; i < fn->function->nparams; i++)
		if (wp->printed.used[i])
			buf_printf(&out, ", %s%s", wp->printed.by_address[i] ? "&" : "",
			           woven_param(w->package, fn, i));
	for (size_t i = 0; wp->asked && i < wp->asked->n; i++)
		if (wp->asked->expressions[i].type)
			buf_printf(&out, ", %s", wp->asked->expressions[i].text);
	return arena_strdup(&w->package->arena, out.len ? out.data : "");
}

/* Whether somebody wants the point, or the one behind it that it leads to. */
static const char *test_of(struct points_weaver *w, size_t number, size_t behind)
{
	_cleanup_(buf_done) struct buf out = {0};

	buf_printf(&out, " if *earshotSwitch != earshot_p%zu.off", number);
	for (size_t i = number; i <= number + behind; i++)
		if (w->points.data[i].probe)
			buf_printf(&out, " || earshot_u%zu.listening != 0", i);
	return arena_printf(&w->package->arena, "%s {", out.data);
}

#define FRAME " earshotD, earshotU := earshotDepth(), earshotPanic();"
/*
 * What is deferred is a function of the added file, which gets results by their addresses and parameters as they are at
 * the entry. A literal in the function itself would make the compiler call the others by other numbers.
 */
#define DEFER_END    " defer earshot_e%zu(earshotD, earshotU%s);"
#define DEFER_UNWIND " defer earshot_u%zu(earshotD, earshotU%s);"

/* Which of the function's parameters, or results, one of the n points from number on takes. NULL: not that one. */
static const char *taken_type(const struct points_weaver *w, size_t number, size_t n, size_t i)
{
	for (size_t k = number; k < number + n; k++)
		if (w->points.data[k].printed.used[i])
			return w->points.data[k].printed.types[i];
	return NULL;
}

/* A panic, or Goexit, that unwinds the function is no return. */
static const char *deferred_end(struct points_weaver *w, size_t number)
{
	const struct weaving_point *wp = &w->points.data[number];
	struct woven_function *fn = &w->functions.data[wp->function];
	_cleanup_(buf_done) struct buf given = {0}, handed = {0};
	struct buf *out = &w->variables;

	buf_printf(out, "\n//go:norace\nfunc earshot_e%zu(earshotD, earshotU uintptr", number);
	for (size_t i = 0; i < fn->function->nresults; i++) {
		if (!wp->printed.used[i])
			continue;
		buf_printf(out, ", earshotA%zu *%s", i, wp->printed.types[i]);
		buf_printf(&handed, ", *earshotA%zu", i);
		buf_printf(&given, ", &%s", woven_result(w->package, fn, i));
	}
	buf_printf(out, ") {\n\tif earshotPanic() == earshotU {\n\t\tearshot_f%zu(earshotD%s)\n\t}\n}\n", number,
	           handed.len ? handed.data : "");
	return arena_printf(&w->package->arena, DEFER_END, number, given.len ? given.data : "");
}

/* The n points from number on are told of an unwinding. */
static const char *deferred_unwinding(struct points_weaver *w, size_t number, size_t n)
{
	struct woven_function *fn = &w->functions.data[w->points.data[number].function];
	_cleanup_(buf_done) struct buf given = {0};
	struct buf *out = &w->variables;

	buf_printf(out, "\n//go:norace\nfunc earshot_u%zu(earshotD, earshotU uintptr", number);
	for (size_t i = 0; i < fn->function->nparams; i++)
		if (taken_type(w, number, n, i)) {
			buf_printf(out, ", earshotA%zu %s", i, taken_type(w, number, n, i));
			buf_printf(&given, ", %s", woven_param(w->package, fn, i));
		}
	buf_printf(out, ") {\n\tif earshotPanic() != earshotU {\n");
	for (size_t k = number; k < number + n; k++) {
		buf_printf(out, "\t\tearshot_f%zu(earshotD", k);
		for (size_t i = 0; i < fn->function->nparams; i++)
			if (w->points.data[k].printed.used[i])
				buf_printf(out, ", earshotA%zu", i);
		buf_printf(out, ")\n");
	}
	buf_printf(out, "\t}\n}\n");
	return arena_printf(&w->package->arena, DEFER_UNWIND, number, given.len ? given.data : "");
}

/* What is deferred where the point before these n was recorded: of one kind. */
static const char *deferred(struct points_weaver *w, size_t number, size_t n)
{
	if (w->points.data[number].at_unwinding)
		return deferred_unwinding(w, number, n);
	return deferred_end(w, number); /* one of a pair */
}

static size_t followers_of(const struct points_weaver *w, size_t number)
{
	size_t n = 0;

	while (number + 1 + n < w->points.len && follows(&w->points.data[number + 1 + n]))
		n++;
	return n;
}

/* All of it stands on the line of the function's brace. */
static void put_call(struct points_weaver *w, size_t number)
{
	const struct weaving_point *wp = &w->points.data[number];
	const struct woven_function *fn = &w->functions.data[wp->function];
	struct go_edits *edits = &fn->file->edits;
	uint32_t at = fn->function->body.start + 1;
	size_t behind = followers_of(w, number);
	const char *test = wp->asked ? NULL : test_of(w, number, behind);

	if (wp->asked)
		go_edits_insert(edits, wp->at, "; if earshot_u%zu.listening != 0 { earshot_f%zu(0%s) }; ", number,
		                number, arguments_of(w, wp));
	else if (wp->variant->at_return)
		go_edits_insert(edits, at, "%s" FRAME "%s };", test, deferred_end(w, number));
	else if (behind && w->points.data[number + 1].probe && wp->printed.says_out)
		go_edits_insert(edits, at,
		                "%s" FRAME " if earshotW, earshotO := earshot_f%zu(earshotD%s); !earshotO {"
		                " if !earshotW { earshotD = 0 }; if earshotW || earshot_u%zu.listening != 0 {%s } } };",
		                test, number, arguments_of(w, wp), number + 1, deferred(w, number + 1, behind));
	else if (behind && w->points.data[number + 1].probe)
		/* The end's probe has its call, and without the start's record a depth of 0: no record. */
		go_edits_insert(edits, at,
		                "%s" FRAME " if !earshot_f%zu(earshotD%s) { earshotD = 0 };"
		                " if earshotD != 0 || earshot_u%zu.listening != 0 {%s } };",
		                test, number, arguments_of(w, wp), number + 1, deferred(w, number + 1, behind));
	else if (behind)
		go_edits_insert(edits, at, "%s" FRAME " if earshot_f%zu(earshotD%s) {%s } };", test, number,
		                arguments_of(w, wp), deferred(w, number + 1, behind));
	else
		go_edits_insert(edits, at, "%s earshot_f%zu(earshotDepth()%s) };", test, number, arguments_of(w, wp));
}

/*
 * Deferred calls come first: what is deferred first runs last, behind all that the function itself defers. Last is what
 * gives the call something instead of its own, which the others are not to see.
 */
enum call_turn { TURN_DEFERS, TURN_ENTRY, TURN_LENDS, TURNS };

static enum call_turn turn_of(const struct points_weaver *w, size_t number)
{
	const struct weaving_point *wp = &w->points.data[number];

	if (wp->asked)
		return TURN_ENTRY;
	if (wp->variant->at_return || followers_of(w, number))
		return TURN_DEFERS;
	return pack_lends(wp->variant) ? TURN_LENDS : TURN_ENTRY;
}

static void put_calls(struct points_weaver *w)
{
	for (enum call_turn turn = 0; turn < TURNS; turn++)
		for (size_t i = 0; i < w->points.len; i++)
			if (!follows(&w->points.data[i]) && turn_of(w, i) == turn)
				put_call(w, i);
	for (size_t i = 0; i < w->functions.len; i++)
		if (w->functions.data[i].wrapped)
			woven_function_wrap(w->package, &w->functions.data[i], i);
}

/* ---- what is told of an unwinding ---- */

/* The notes of an unwinding share one defer in the function of the start, which is the last point so far. */
static void weave_unwinding(struct points_weaver *w, const struct weaving_point *start)
{
	struct woven_function function = w->functions.data[start->function];
	struct arena *arena = &w->package->arena;
	struct weaving_point wp = *start;
	struct bind_scope scope;
	size_t before = w->points.len;

	if (entry_scope(w, start->variant, &scope) < 0 || defer_in(w, start->function, NULL) < 0)
		return;
	wp.at_unwinding = true;
	for (size_t i = 0; i < start->part->npoints; i++) {
		const struct pack_variant *v = start->part->points[i].variants;
		struct func_ref ref;

		wp.point = &start->part->points[i];
		if (wp.point->role != POINT_NOTE || v->at_return || v->when || v->goroutine ||
		    !unwinding_begins(w->wanted, v->func) || func_ref_parse(v->func, arena, &ref, NULL) < 0 ||
		    try_variant(w, &wp, unwinding_variant(arena, start->variant, &scope, v), NULL) < 0)
			continue;
		wp.variant = v; /* as whom the reader knows it */
		wp.func = ref.name;
		vec_push(&w->points, wp);
	}
	if (w->points.len == before)
		w->functions.data[start->function] = function;
}

static bool keeps(const struct pack_variant *v)
{
	for (size_t i = 0; i < v->ncaptures; i++)
		if (v->captures[i].use == USE_SAVED)
			return true;
	return false;
}

/* ---- points ---- */

/* What Go does not let a package say of itself is nothing that a user of it could do anything about. */
static bool is_builtin(const struct pack *p)
{
	for (const struct pack_source *src = pack_builtin; src->file; src++)
		if (!strcmp(src->file, p->file))
			return true;
	return false;
}

static void weave_point(struct points_weaver *w, struct weaving_point *wp)
{
	struct err err = {0}, first = {0};
	const char *func = NULL;
	bool woven = false;

	if (wp->point->role == POINT_RELEASE)
		return; /* what woven code gives a call instead of its own is the collector's */
	kept_values_of(w->wanted, wp->pack, wp->part, wp->point, kept_type, w, &w->package->arena, &wp->kept);
	for (size_t i = 0; i < wp->point->nvariants; i++) {
		int r;

		/* That is told where the start is unwound. */
		if (unwinding_begins(w->wanted, wp->point->variants[i].func) &&
		    kept_is_asked_for(&wp->kept, &wp->point->variants[i]))
			continue;
		err = (struct err){0};
		r = try_variant(w, wp, &wp->point->variants[i], &err);
		if (r >= 0) {
			vec_push(&w->points, *wp);
			if (wp->point->role == POINT_START && !wp->variant->at_return && keeps(wp->variant))
				weave_unwinding(w, wp);
			woven = true;
		}
		if (!r)
			return;
		if (r != -ESRCH && r != -ENOENT && !first.code) {
			func = wp->func;
			first = err;
		}
	}
	if (woven || !first.code)
		return;
	vec_push(&w->refused, ((struct refused_point){wp->pack, pack_woven_span(wp->part), wp->point->name, func,
	                                              arena_strdup(&w->package->arena, first.text)}));
	if (!wp->point->optional && !is_builtin(wp->pack))
		weave_package_warn(w->package, "%s/%s cannot be observed: its point %s: %s: %s", wp->pack->name,
		                   wp->span && wp->span->name ? wp->span->name : "hooks", wp->point->name, func,
		                   first.text);
}

static void weave_pack(struct points_weaver *w, const struct pack *pack)
{
	struct weaving_point wp = {.pack = pack};

	for (size_t i = 0; i < pack->nspans; i++) {
		wp.part = &pack->spans[i];
		wp.span = wp.part->of ? wp.part->of : wp.part;
		for (size_t k = 0; k < wp.part->npoints; k++) {
			wp.point = &wp.part->points[k];
			weave_point(w, &wp);
		}
	}
	wp.span = wp.part = NULL;
	for (size_t k = 0; k < pack->nhooks; k++) {
		wp.point = &pack->hooks[k];
		weave_point(w, &wp);
	}
}

/* A function of the user's own: both of its points, or none. Its return is recorded where its entry was. */
static void weave_span(struct points_weaver *w, const struct pack *pack, const struct pack_span *span)
{
	struct go_points_mark mark = go_points_mark(w->printed);
	size_t before = w->points.len;
	struct weaving_point wp = {.pack = pack, .span = span, .part = span};
	struct err err = {0};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < span->npoints; i++) {
		wp.point = &span->points[i];
		wp.ends_pair = i;
		r = try_variant(w, &wp, wp.point->variants, &err);
		if (r >= 0)
			vec_push(&w->points, wp);
	}
	if (r >= 0)
		return;
	go_points_take_back(w->printed, mark);
	w->points.len = before;
	vec_push(&w->refused, ((struct refused_point){pack, span->name, wp.point->name, span->name,
	                                              arena_strdup(&w->package->arena, err.text)}));
	if (r != -EXDEV)
		weave_package_warn(w->package, "%s %s: %s", span->name,
		                   pack == &w->calls ? "cannot be asked about" : "is no span", err.text);
}

/* What package runtime's own file declares (weave/recorder/). */
static const char declarations[] =
	"\n"
	"type earshotPoint struct {\n"
	"\toff, kind  uint32\n"
	"\tstate, key uint64\n"
	"\ttext       string\n"
	"}\n"
	"\n"
	"type earshotSlot struct {\n"
	"\ttext         unsafe_.Pointer\n"
	"\tvalue        uint64\n"
	"\tstatus, kind uint32\n"
	"}\n"
	"\n"
	"//go:linkname earshotSwitch runtime.earshotSwitch\n"
	"var earshotSwitch *uint32\n"
	"\n"
	"//go:linkname earshotDepth runtime.earshotDepth\n"
	"func earshotDepth() uintptr\n"
	"\n"
	"//go:linkname earshotPanic runtime.earshotPanic\n"
	"func earshotPanic() uintptr\n"
	"\n"
	"//go:linkname earshotLineage runtime.earshotLineage\n"
	"//go:noescape\n"
	"func earshotLineage(slots *earshotSlot)\n"
	"\n"
	"//go:linkname earshotEpoch runtime.earshotEpoch\n"
	"//go:noescape\n"
	"func earshotEpoch(slots *earshotSlot)\n"
	"\n"
	"//go:linkname earshotChain runtime.earshotChain\n"
	"//go:noescape\n"
	"func earshotChain(slot *earshotSlot, context interface{}, links int)\n"
	"\n"
	"//go:linkname earshotKnown runtime.earshotKnown\n"
	"func earshotKnown(key uint64) uint64\n"
	"\n"
	"//go:linkname earshotWrite runtime.earshotWrite\n"
	"//go:noescape\n"
	"func earshotWrite(p *earshotPoint, depth uintptr, slots *earshotSlot, n int) bool\n"
	"\n"
	"//go:linkname earshotIdsAt runtime.earshotIdsAt\n"
	"//go:noescape\n"
	"func earshotIdsAt(depth uintptr, ids *[3]uint64) *[3]uint64\n"
	"\n"
	"type earshotProbe struct {\n"
	"\tmagic     [2]uint64\n"
	"\tkey       uint64\n"
	"\tlistening uint16\n"
	"\t_         [3]uint16\n"
	"}\n"
	"\n"
	"//go:linkname earshotGoid runtime.earshotGoid\n"
	"func earshotGoid() uint64\n"
	"\n"
	"//go:linkname earshotCalledBy runtime.earshotCalledBy\n"
	"func earshotCalledBy(name string, how int) bool\n"
	"\n"
	"//go:linkname earshotKeep runtime.earshotKeep\n"
	"//go:noescape\n"
	"func earshotKeep(key uint64, slots *earshotSlot, n int)\n"
	"\n"
	"//go:linkname earshotSaved runtime.earshotSaved\n"
	"//go:noescape\n"
	"func earshotSaved(key uint64, slots *earshotSlot)\n"
	"\n"
	"//go:linkname earshotForget runtime.earshotForget\n"
	"func earshotForget(key uint64)\n";

static bool may_import(void *arg, const char *path)
{
	struct points_weaver *w = arg;

	return source_types_imported(w->types, path);
}

static void add_file(struct points_weaver *w)
{
	struct weave_package *p = w->package;
	struct buf *out = weave_package_add(p, "earshot_woven.go");

	go_points_print(w->printed, p->name, out);
	if (strcmp(p->path, "runtime"))
		buf_str(out, declarations);
	for (size_t i = 0; i < w->points.len; i++) {
		if (!w->points.data[i].asked)
			point_print_variable(w, &w->points.data[i], i);
		if (w->points.data[i].probe)
			point_add_probe(w, &w->points.data[i], i);
	}
	buf_append(out, w->variables.data, w->variables.len);
}

int weave_points(struct weave_package *p, const struct weave_wanted *wanted, struct err *err)
{
	struct points_weaver w = {.package = p, .wanted = wanted};
	const char *symbol = p->name && !strcmp(p->name, "main") ? "main" : p->path;

	if (!p->name)
		return err_set(err, -EINVAL, "it has no package clause");
	w.types = source_types_new(p, wanted->goroot, wanted->list);
	for (size_t i = 0; i < wanted->npacks; i++)
		source_types_declare(w.types, wanted->packs[i]->types, wanted->packs[i]->ntypes);
	w.printed = go_points_new(symbol, may_import, &w);
	for (size_t i = 0; i < wanted->npacks; i++)
		weave_pack(&w, wanted->packs[i]);
	weave_spans(p, w.types, wanted->spans, wanted->nspans, &w.spans);
	for (size_t i = 0; i < w.spans.pack.nspans; i++)
		weave_span(&w, &w.spans.pack, &w.spans.pack.spans[i]);
	weave_calls(p, w.types, wanted->calls, wanted->ncalls, &w.calls);
	for (size_t i = 0; i < w.calls.nspans; i++)
		weave_span(&w, &w.calls, &w.calls.spans[i]);
	if (wanted->usdt && strcmp(p->path, "runtime"))
		points_weave_asked(&w);
	if (w.points.len) {
		put_calls(&w);
		add_file(&w);
	}
	buf_done(&w.variables);
	vec_done(&w.points);
	vec_done(&w.refused);
	vec_done(&w.functions);
	go_points_free(w.printed);
	source_types_free(w.types);
	return 0;
}
