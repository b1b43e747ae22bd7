#include "probe/call_plan.h"

#include <errno.h>
#include <string.h>

#include "probe/call_plan_internal.h"
#include "probe/join.h"

/* ---- one function ---- */

/* The signature, or none with which to go on: what depends on it then says why. */
static int find_signature(struct planner *pl, struct call_plan *plan, struct err *err)
{
	const struct func_ref *ref = &plan->question->ref;
	int r = binary_signature(pl->binary, &plan->func, ref->declared ? &ref->signature : NULL, &plan->signature, err);

	if (r && !ref->declared) {
		plan->signature = (struct signature){0};
		return 0;
	}
	return r;
}

static int find_entry(struct planner *pl, struct call_plan *plan, struct err *err)
{
	struct site *site = arena_new(pl->arena, struct site);
	int r = binary_entry_site(pl->binary, &plan->func, site, err);

	if (r)
		return r;
	plan->entry_sites = site;
	plan->nentry_sites = 1;
	return 0;
}

/* A return that only the printing of everything wants may be missing: the results then say why. */
static int find_returns(struct planner *pl, struct call_plan *plan, const char **ret_why, struct err *err)
{
	struct err why = {0};
	bool soft;
	int r;

	if (!plan_needs_return(pl, plan, &soft))
		return 0;
	r = binary_return_sites(pl->binary, &plan->func, &plan->return_sites, &plan->nreturn_sites, &why);
	if (!r) {
		plan->has_return = true;
		return 0;
	}
	if (!soft)
		return err_set(err, -EINVAL, "the question needs the return of %s, which cannot be observed: %s", plan->name,
			       why.text);
	*ret_why = arena_strdup(pl->arena, why.text);
	return 0;
}

static int plan_function(struct planner *pl, struct call_plan *plan, struct err *err)
{
	const char *return_why = NULL;
	int r = find_entry(pl, plan, err);

	if (!r)
		r = find_signature(pl, plan, err);
	if (!r)
		r = find_returns(pl, plan, &return_why, err);
	return r ? r : plan_compile(pl, plan, return_why, err);
}

static void refuse(struct planner *pl, struct call_plan *plan, const struct err *err)
{
	struct call_plan refused = {.question = plan->question, .name = plan->name, .func = plan->func,
				    .signature = plan->signature, .inlined = plan->inlined, .stack_slot = -1,
				    .why = arena_strdup(pl->arena, err->text)};

	*plan = refused;
}

/* ---- one question ---- */

/* Plans what was found and remembers the first error. Returns how many can be planted. */
static size_t plan_functions(struct planner *pl, const struct question *q, const uint32_t *found, size_t n, struct err *first)
{
	size_t good = 0;

	for (size_t i = 0; i < n; i++) {
		struct call_plan *plan = vec_add(&pl->plans);
		struct err err = {0};

		binary_func(pl->binary, found[i], &plan->func);
		plan->question = q;
		plan->name = plan->func.name;
		plan->stack_slot = -1;
		if (!plan_function(pl, plan, &err)) {
			good++;
			continue;
		}
		refuse(pl, plan, &err);
		if (!first->code)
			*first = err;
	}
	return good;
}

static int plan_question(struct planner *pl, const struct question *q, struct err *err)
{
	struct err first = {0};
	uint32_t *found;
	size_t n, good;
	int r = functions_match(pl->binary, q->pattern, pl->arena, &found, &n);

	if (r)
		return r;
	if (!q->glob && match_differs(pl->binary, found, n))
		return match_ambiguous(pl->binary, q, found, n, err);
	if (!n)
		return match_nothing(pl->binary, q, err);
	if (pl->o->max_functions && n > pl->o->max_functions)
		return err_set(err, -E2BIG, "%s matches %zu functions, more than the %zu that are allowed at once", q->pattern, n,
			       pl->o->max_functions);
	good = plan_functions(pl, q, found, n, &first);
	if (!good && !(q->glob && n > 1))
		return err_set(err, first.code, "%s", first.text);
	return 0;
}

/* ---- hooks ---- */

static int plan_hooks(struct planner *pl, struct call_plans *ret, struct err *err)
{
	VEC(struct call_hook) hooks = {0};
	struct join *joins;
	size_t n;
	int r = join_hooks(pl->binary, pl->o->packs, pl->o->npacks, &joins, &n, err);

	for (size_t i = 0; !r && i < n; i++) {
		const struct join *j = &joins[i];

		if (j->variant)
			vec_push(&hooks, ((struct call_hook){.name = j->func.name, .sites = j->sites, .nsites = j->nsites,
							     .program = j->capture.program}));
		else if (!j->point->optional && !ret->hooks_why)
			ret->hooks_why = j->why;
	}
	ret->hooks = arena_memdup(pl->arena, hooks.data, hooks.len * sizeof(*hooks.data));
	ret->nhooks = hooks.len;
	vec_done(&hooks);
	return r;
}

/* ---- all ---- */

static bool any_return(const struct planner *pl)
{
	for (size_t i = 0; i < pl->plans.len; i++)
		if (pl->plans.data[i].has_return)
			return true;
	return false;
}

static bool any_image(const struct planner *pl)
{
	for (size_t i = 0; i < pl->plans.len; i++)
		if (pl->plans.data[i].entry.shapes || pl->plans.data[i].ret.shapes)
			return true;
	return false;
}

static int make(struct planner *pl, const struct question *questions, size_t n, struct call_plans *ret, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		r = plan_question(pl, &questions[i], err);
	if (!r && any_return(pl))
		r = plan_hooks(pl, ret, err);
	if (r)
		return r;
	if (any_image(pl)) {
		shape_table_finish(pl->shapes);
		ret->shapes = pl->shapes;
	}
	ret->len = pl->plans.len;
	ret->data = arena_memdup(pl->arena, pl->plans.data, pl->plans.len * sizeof(*pl->plans.data));
	return 0;
}

int call_plans_make(struct binary *b, const struct question *questions, size_t n, const struct call_plan_options *o,
		    struct call_plans *ret, struct err *err)
{
	struct planner pl = {.binary = b, .arena = binary_arena(b), .o = o};
	struct call_plans plans = {0};
	struct err why = {0};
	int r;

	if (shape_table_new(b, &o->limits, &pl.shapes, &why))
		pl.shapes_why = arena_strdup(pl.arena, why.text);
	r = make(&pl, questions, n, &plans, err);
	if (!plans.shapes)
		shape_table_free(pl.shapes);
	vec_done(&pl.plans);
	if (!r)
		*ret = plans;
	return r;
}
