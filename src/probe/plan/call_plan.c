#include "probe/plan/call_plan.h"

#include <errno.h>
#include <string.h>

#include "base/map.h"
#include "probe/plan/call_plan_internal.h"
#include "probe/pack/join.h"

enum { LATE_DEPTH = 3 }; /* an error within an error within an error: net.OpError, os.SyscallError, syscall.Errno */

/* ---- one function ---- */

/* The signature, or none with which to go on: what depends on it then says why. */
static int find_signature(struct question_compiler *qc, struct call_plan *plan, struct err *err)
{
	const struct func_ref *ref = &plan->question->ref;
	int r = binary_signature(qc->binary, &plan->func, ref->declared ? &ref->signature : NULL, &plan->signature,
				 err);

	if (r && !ref->declared) {
		plan->signature = (struct signature){0};
		return 0;
	}
	if (r) {
		struct err why = *err;

		return err_at_column(err, r, plan->question->text, 0, "%s", why.text);
	}
	return 0;
}

/*
 * Whether a function without a return instruction still answers the question: its calls end by a panic, if at all. So
 * they are not seen where the return is what is asked for.
 */
static bool answers_by_panics(struct question_compiler *qc, const struct call_plan *plan)
{
	const struct question *q = plan->question;
	struct split split;

	for (size_t i = 0; i < q->nactions; i++) {
		const struct action *a = &q->actions[i];

		if (a->kind == ACTION_AGGREGATE)
			return false;
		for (size_t k = 0; k < a->nargs; k++)
			if (expr_side(plan, a->args[k]) == SIDE_RETURN && !is_of_record(plan, a->args[k]))
				return false;
	}
	return condition_split(plan, q->condition, q->text, qc->arena, &split, NULL) == 0 &&
	       split.panicked.is != END_LEFT_OUT;
}

/* A return that only the printing of everything wants may be missing: the results then say why. */
static int find_returns(struct question_compiler *qc, struct call_plan *plan, const char **ret_why, struct err *err)
{
	struct err why = {0};
	bool soft;
	int r;

	if (!plan_needs_return(qc, plan, &soft))
		return 0;
	r = binary_returns_complete(qc->binary, &plan->func, &why);
	if (!r)
		r = join_point_returns(qc->binary, &plan->func, &plan->at_return, &why);
	if (!r || (r == -ENOENT && answers_by_panics(qc, plan))) {
		plan->has_return = true;
		return 0;
	}
	if (!soft)
		return err_set(err, -EINVAL, "the question needs the return of %s, which cannot be observed: %s",
			       plan->name, why.text);
	*ret_why = arena_strdup(qc->arena, why.text);
	return 0;
}

static int plan_function(struct question_compiler *qc, struct call_plan *plan, struct err *err)
{
	const char *return_why = NULL;
	int r = find_signature(qc, plan, err);

	if (!r && binary_closure_vars(qc->binary, &plan->func, &plan->captured, &plan->ncaptured, NULL))
		plan->ncaptured = 0;
	if (!r)
		r = join_point_entry(qc->binary, &plan->func, &plan->at_entry, err);
	if (!r)
		r = find_returns(qc, plan, &return_why, err);
	return r ? r : plan_compile(qc, plan, return_why, err);
}

static void refuse(struct question_compiler *qc, struct call_plan *plan, const struct err *err)
{
	struct call_plan refused = {.question = plan->question, .binary = plan->binary, .name = plan->name,
				    .func = plan->func,
				    .signature = plan->signature, .inlined = plan->inlined, .stack_slot = -1,
				    .why = arena_strdup(qc->arena, err->text)};

	*plan = refused;
}

static bool is_declared_name(const struct declared_signature *s, const char *name)
{
	for (size_t i = 0; i < s->nparams; i++)
		if (s->params[i].name && !strcmp(s->params[i].name, name))
			return true;
	return builtin_is(name, BUILTIN_RECV) || builtin_is(name, BUILTIN_ARG);
}

/* Whether e needs an argument that the question declares. */
static bool needs_argument(const struct declared_signature *s, const struct expr *e)
{
	bool needs = e && (needs_argument(s, e->a) || needs_argument(s, e->b));

	for (size_t i = 0; e && i < e->nargs; i++)
		needs |= needs_argument(s, e->args[i]);
	return needs || (e && e->op == EXPR_NAME && is_declared_name(s, e->text));
}

static bool question_needs_argument(const struct question *q)
{
	const struct declared_signature *s = &q->ref.signature;
	bool needs = needs_argument(s, q->condition);

	for (size_t i = 0; i < q->nactions; i++) {
		for (size_t k = 0; k < q->actions[i].nargs; k++)
			needs |= needs_argument(s, q->actions[i].args[k]);
		for (size_t k = 0; k < q->actions[i].nby; k++)
			needs |= needs_argument(s, q->actions[i].by[k]);
	}
	return needs;
}

/* What a question declares are the places of a call's arguments, which an inlined one does not have. */
static int find_arguments(struct question_compiler *qc, struct call_plan *plan, const struct inlined *i,
			  struct err *err)
{
	struct err why = {0};

	if (!binary_inlined_signature(qc->binary, i, plan->pc, &plan->signature, &why))
		return 0;
	plan->signature = (struct signature){0};
	if (!question_needs_argument(plan->question))
		return 0;
	return err_set(err, -EINVAL, "inlined into %s: %s", plan->func.name, why.text);
}

static bool mentions_end(const struct expr *e)
{
	const struct builtin *builtin = e && e->op == EXPR_NAME ? builtin_find(e->text) : NULL;
	bool found = e && (mentions_end(e->a) || mentions_end(e->b));

	for (size_t i = 0; e && i < e->nargs; i++)
		found |= mentions_end(e->args[i]);
	return found || (builtin && builtin->flags & BUILTIN_ENDS);
}

/* The first part of a condition that only a return tells, by its name; NULL: none. */
static const struct expr *needs_end(const struct expr *e)
{
	const struct expr *found = NULL;

	if (e && e->op == EXPR_BINARY && (!strcmp(e->text, "&&") || !strcmp(e->text, "||"))) {
		found = needs_end(e->a);
		return found ? found : needs_end(e->b);
	}
	return mentions_end(e) ? e : NULL;
}

/*
 * What of the question is certain to need a return without a look at any instance. With DWARF a parameter may have
 * such a name.
 */
static const struct expr *question_needs_end(struct question_compiler *qc, const struct question *q)
{
	const struct expr *found = needs_end(q->condition);

	if (binary_build_info(qc->binary)->has_dwarf)
		return NULL;
	for (size_t i = 0; i < q->nactions; i++)
		for (size_t k = 0; k < q->actions[i].nargs && !found; k++)
			found = needs_end(q->actions[i].args[k]);
	return found;
}

static int plan_instance(struct question_compiler *qc, struct call_plan *plan, const struct inlined *i, struct err *err)
{
	const char *no_return = arena_printf(qc->arena, "%s is inlined into %s: such an instance has no return, so "
					     "neither results nor latency are known", plan->name, plan->func.name);
	const struct expr *end = question_needs_end(qc, plan->question);
	const struct site *site = NULL;
	struct err why = {0};
	int r, located = 0;

	if (end)
		return err_at_column(err, -EINVAL, plan->question->text, end->column, "%s", no_return);
	r = join_point_inlined(qc->binary, i, &plan->at_entry, err);
	if (r)
		return r;
	if (qc->o->locate)
		located = qc->o->locate(qc->binary, &plan->at_entry, &site, &why);
	plan->pc = site ? site->addr : i->host.entry + plan->at_entry.spots->offset;
	plan->approximate = plan->at_entry.approximate;
	plan->call_pc = i->call ? i->call : i->host.entry;
	r = find_arguments(qc, plan, i, err);
	if (located) /* only now, so that the signature is shown beside the reason */
		return err_set(err, located, "%s", why.text);
	return r ? r : plan_compile(qc, plan, no_return, err);
}

/* ---- one question ---- */

/* Where some calls of a function are not counted one by one, all numbers of it say so. */
static void mark_inexact(struct question_compiler *qc, size_t first)
{
	struct strmap names = {0};

	for (size_t i = first; i < qc->plans.len; i++) {
		const struct call_plan *p = &qc->plans.data[i];

		if (p->inlined && (p->why || p->approximate))
			strmap_set(&names, p->name, strlen(p->name), (void *)p->name);
	}
	for (size_t i = first; names.len && i < qc->plans.len; i++) {
		struct call_plan *p = &qc->plans.data[i];

		p->inexact = !p->recorded && strmap_get(&names, p->name, strlen(p->name));
	}
	strmap_done(&names);
}

/* What a question matches. */
struct matches {
	const uint32_t *found;       /* in the function table */
	const char *const *inlined;  /* names of functions with inlined instances */
	size_t nfound, ninlined;
};

struct progress {
	const struct question *question;
	size_t good;                 /* plans that can be planted */
	struct err first;            /* the first error */
};

static struct call_plan *add_plan(struct question_compiler *qc, const struct progress *p, const char *name,
				  const struct func *f)
{
	struct call_plan *plan = vec_add(&qc->plans);

	plan->question = p->question;
	plan->binary = qc->binary;
	plan->name = strchr(name, '[') ? name_as_go(qc->arena, name) : arena_strdup(qc->arena, name);
	plan->func = *f;
	binary_func_keep(qc->binary, &plan->func);
	plan->stack_slot = -1;
	return plan;
}

static void note(struct question_compiler *qc, struct progress *p, struct call_plan *plan, int r, const struct err *err)
{
	if (!r) {
		p->good++;
		return;
	}
	refuse(qc, plan, err);
	if (!p->first.code)
		p->first = *err;
}

/* By a probe; where records of the program's own answer it as well, that is for when they cannot be had. */
static void plan_planted(struct question_compiler *qc, struct progress *p, const struct func *f, unsigned level,
			 const char *not_recorded)
{
	struct call_plan *plan = add_plan(qc, p, f->name, f);
	struct err err = {0};

	note(qc, p, plan, plan_function(qc, plan, &err), &err);
	plan->followed = level;
	plan->not_recorded = not_recorded;
}

static void plan_instead(struct question_compiler *qc, struct progress *p, const struct func *f)
{
	struct call_plan *plan = add_plan(qc, p, f->name, f);
	struct err err = {0};

	if (plan_function(qc, plan, &err))
		qc->plans.len--;
	else
		plan->unless_recorded = true;
}

/* The question may be quoted below what is lacking. */
static int refuse_unrecorded(struct question_compiler *qc, const struct call_plan *plan, const struct err *lacks,
			     struct err *err)
{
	const char *why = qc->o->cannot_plant;

	if (lacks->code)
		return err_set(err, lacks->code,
			       "%s is woven without what is asked for (%.*s), and nothing can be planted: %s",
			       plan->name, (int)strcspn(lacks->text, "\n"), lacks->text, why);
	return err_set(err, -ENODATA, "%s is not woven (earshot build --trace), and nothing can be planted: %s",
		       plan->name, why);
}

/* What the program records itself goes before what is planted, where it tells all that is asked. */
static void plan_any(struct question_compiler *qc, struct progress *p, const struct func *f, unsigned level)
{
	const struct recorded_call *c = recorded_call_of(qc, f->name);
	struct call_plan *plan = add_plan(qc, p, f->name, f);
	const char *whole = "not all that it would show";
	struct err lacks = {0}, err = {0};
	int r = c ? plan_recorded(qc, plan, c, &lacks) : -ENOENT;

	if (!r && (plan_is_whole(plan) || qc->o->cannot_plant)) {
		plan->followed = level;
		note(qc, p, plan, 0, NULL);
		if (!qc->o->cannot_plant)
			plan_instead(qc, p, f);
		return;
	}
	if (!qc->o->cannot_plant) {
		qc->plans.len--;
		plan_planted(qc, p, f, level, !c ? NULL : r ? arena_strdup(qc->arena, lacks.text) : whole);
	} else if (p->question->glob && !c) {
		qc->plans.len--;
		qc->unrecorded++;
	} else {
		note(qc, p, plan, refuse_unrecorded(qc, plan, &lacks, &err), &err);
	}
}

void plan_found(struct question_compiler *qc, const struct question *q, const struct func *f, unsigned level)
{
	struct progress p = {.question = q};

	plan_any(qc, &p, f, level);
}

static void plan_functions(struct question_compiler *qc, struct progress *p, const struct matches *m)
{
	for (size_t i = 0; i < m->nfound; i++) {
		struct func f;

		if (binary_func(qc->binary, m->found[i], &f))
			plan_any(qc, p, &f, 0);
	}
}

static bool is_recorded(const struct question_compiler *qc, size_t first, const char *name)
{
	for (size_t i = first; i < qc->plans.len; i++)
		if (qc->plans.data[i].recorded && !strcmp(qc->plans.data[i].name, name))
			return true;
	return false;
}

/* Inlined calls record themselves as others do. */
static void plan_instances(struct question_compiler *qc, struct progress *p, size_t first, const char *name)
{
	const bool recorded = is_recorded(qc, first, name);
	size_t n = binary_inlined(qc->binary, name, NULL, 0);
	struct inlined *instances = arena_array(qc->arena, struct inlined, n + 1);

	n = MIN(n, binary_inlined(qc->binary, name, instances, n));
	if (qc->o->cannot_plant) {
		qc->unrecorded += !recorded;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct call_plan *plan = add_plan(qc, p, name, &instances[i].host);
		struct err err = {0};
		int r;

		plan->inlined = true;
		plan->unless_recorded = recorded;
		r = plan_instance(qc, plan, &instances[i], &err);
		if (r && recorded)
			qc->plans.len--;
		else
			note(qc, p, plan, r, &err);
	}
}

static const char *const *names_of(struct question_compiler *qc, const struct matches *m, size_t *ret_n)
{
	const char **names = arena_array(qc->arena, const char *, m->nfound + m->ninlined + 1);
	struct func f;
	size_t n = 0;

	for (size_t i = 0; i < m->nfound; i++)
		if (binary_func(qc->binary, m->found[i], &f))
			names[n++] = f.name;
	for (size_t i = 0; i < m->ninlined; i++)
		names[n++] = m->inlined[i];
	*ret_n = n;
	return names;
}

/* A name without its package may be found in the table: then inlined instances are looked for by the whole name. */
static int find_matches(struct question_compiler *qc, const struct question *q, struct matches *ret, struct err *err)
{
	struct matches m = {0};
	const char *pattern = q->pattern;
	uint32_t *found;
	struct func f;
	int r = functions_match(qc->binary, pattern, qc->arena, &found, &m.nfound);

	if (r)
		return r;
	m.found = found;
	if (!q->glob && m.nfound && !strchr(pattern, '[') && binary_func(qc->binary, found[0], &f))
		pattern = name_readable(qc->arena, f.name);
	inlined_match(qc->binary, pattern, qc->arena, &m.inlined, &m.ninlined);
	*ret = m;
	return 0;
}

static int plan_question(struct question_compiler *qc, const struct question *q, struct err *err)
{
	struct progress p = {.question = q};
	size_t first = qc->plans.len;
	const char *const *names;
	struct matches m;
	size_t n;
	int r = find_matches(qc, q, &m, err);

	if (r)
		return r;
	names = names_of(qc, &m, &n);
	if (!q->glob && match_differs(names, n))
		return match_ambiguous(qc->binary, q, names, n, err);
	if (!n)
		return match_nothing(qc->binary, q, err);
	if (qc->o->max_functions && n > qc->o->max_functions)
		return err_set(err, -E2BIG, "%s matches %zu functions, more than the %zu that are allowed at once",
			       q->pattern, n, qc->o->max_functions);
	plan_functions(qc, &p, &m);
	for (size_t i = 0; i < m.ninlined; i++)
		plan_instances(qc, &p, first, m.inlined[i]);
	mark_inexact(qc, first);
	if (!p.good && (!q->glob || n == 1))
		return err_set(err, p.first.code ? p.first.code : -ENOENT, "%s",
			       p.first.code ? p.first.text : "no instance of this function has code");
	return 0;
}

/* ---- hooks ---- */

static int plan_hooks(struct question_compiler *qc, struct call_plans *ret, struct err *err)
{
	VEC(struct call_hook) hooks = {0};
	struct join *joins;
	size_t n;
	int r = join_hooks(qc->binary, qc->o->packs, qc->o->npacks, &joins, &n, err);

	for (size_t i = 0; !r && i < n; i++) {
		const struct join *j = &joins[i];

		if (j->variant)
			vec_push(&hooks, ((struct call_hook){.name = j->func.name, .join = j, .at = j->at,
							     .program = j->capture.program}));
		else if (!j->point->optional && !ret->hooks_why)
			ret->hooks_why = j->why;
	}
	ret->hooks = arena_memdup(qc->arena, hooks.data, hooks.len * sizeof(*hooks.data));
	ret->nhooks = hooks.len;
	vec_done(&hooks);
	return r;
}

/* ---- all ---- */

static bool any_return(const struct question_compiler *qc)
{
	for (size_t i = 0; i < qc->plans.len; i++)
		if (qc->plans.data[i].has_return)
			return true;
	return false;
}

static bool any_image(const struct question_compiler *qc)
{
	for (size_t i = 0; i < qc->plans.len; i++)
		if (qc->plans.data[i].entry.shapes || qc->plans.data[i].ret.shapes)
			return true;
	return false;
}

/* A question that cannot be asked, beside others: a plan that is refused, unless its functions are such already. */
static void refuse_question(struct question_compiler *qc, const struct question *q, size_t before, struct err *err)
{
	const struct func none = {.name = q->pattern, .symbol = q->pattern};
	struct progress p = {.question = q};

	if (qc->plans.len == before)
		refuse(qc, add_plan(qc, &p, q->pattern, &none), err);
}

/* Those that can be asked are; where none can, the sentences of all. Returns the first error's code then. */
static int plan_questions(struct question_compiler *qc, const struct question *questions, size_t n, struct err *err)
{
	_cleanup_(buf_done) struct buf all = {0};
	size_t refused = 0;
	int code = 0;

	for (size_t i = 0; i < n; i++) {
		size_t before = qc->plans.len;
		struct err why = {0};
		int r = plan_question(qc, &questions[i], &why);

		if (!r)
			continue;
		code = code ? code : r;
		refused++;
		refuse_question(qc, &questions[i], before, &why);
		buf_printf(&all, "%s%s", all.len ? "\n" : "", why.text);
	}
	return refused && refused == n ? err_set(err, code, "%s", all.data) : 0;
}

static bool any_late(const struct question_compiler *qc)
{
	for (size_t i = 0; i < qc->plans.len; i++)
		if (qc->plans.data[i].late)
			return true;
	return false;
}

static int make(struct question_compiler *qc, const struct question *questions, size_t n, struct call_plans *ret,
		struct err *err)
{
	int r = plan_questions(qc, questions, n, err);

	if (!r && qc->o->follow)
		plan_follow(qc, qc->o->follow, &ret->follow);
	if (!r && any_return(qc))
		r = plan_hooks(qc, ret, err);
	if (r)
		return r;
	if (any_image(qc)) {
		if (any_late(qc))
			qc->shapes->limits.depth = qc->late_depth;
		shape_table_finish(qc->shapes);
		ret->shapes = qc->shapes;
	}
	ret->unrecorded = qc->unrecorded;
	ret->len = qc->plans.len;
	ret->data = arena_memdup(qc->arena, qc->plans.data, qc->plans.len * sizeof(*qc->plans.data));
	return 0;
}

int call_plans_make(struct binary *b, const struct question *questions, size_t n, const struct call_plan_options *o,
		    struct call_plans *ret, struct err *err)
{
	struct question_compiler qc = {.binary = b, .arena = binary_arena(b), .o = o,
			     .late_depth = MAX(o->limits.depth, (unsigned)LATE_DEPTH)};
	struct call_plans plans = {0};
	struct err why = {0};
	int r;

	packs_declare_types(b, o->packs, o->npacks);
	if (shape_table_new(b, &o->limits, &qc.shapes, &why))
		qc.shapes_why = arena_strdup(qc.arena, why.text);
	r = make(&qc, questions, n, &plans, err);
	if (!plans.shapes)
		shape_table_free(qc.shapes);
	vec_done(&qc.plans);
	if (!r)
		*ret = plans;
	return r;
}
