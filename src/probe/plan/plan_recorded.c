/*
 * Questions about functions whose calls the program records itself (plant/woven.h). The slots of its records are
 * variables that lie on the stack of a machine without anything else (probe/ir_replay.h): for the rest of the planning
 * this is a function with such a signature.
 */
#include <errno.h>
#include <string.h>

#include "probe/plan/call_plan_internal.h"

static const char *const not_woven = "only numbers, bools, texts and the types of errors are woven";

const struct recorded_call *recorded_call_of(const struct question_compiler *qc, const char *name)
{
	for (size_t i = 0; i < qc->o->nrecorded; i++)
		if (!strcmp(qc->o->recorded[i]->func, name))
			return qc->o->recorded[i];
	return NULL;
}

/* ---- the signature ---- */

static const struct type *basic_of(const char *form)
{
	for (int k = KIND_BOOL; k <= KIND_STRING; k++) {
		const struct type *t = basic_type((enum type_kind)k);

		if (t->name && !strcmp(t->name, form))
			return t;
	}
	return NULL;
}

/* The program's own, if it describes one that is made of that; else what it is made of. */
static const struct type *type_of(struct question_compiler *qc, const struct recorded_variable *v)
{
	const struct type *basic = basic_of(v->form), *t = binary_type(qc->binary, v->type);

	if (t && basic)
		return t->kind == basic->kind ? t : basic;
	if (!basic && !t)
		t = binary_type(qc->binary, v->form);
	if (t && !strcmp(v->form, "[]uint8"))
		return t->kind == KIND_SLICE && t->elem && t->elem->kind == KIND_UINT8 ? t : NULL;
	return basic ? basic : t && t->kind == KIND_INTERFACE && !strcmp(v->form, "error") ? t : NULL;
}

static enum replay_form form_of(const struct recorded_variable *v)
{
	if (!strcmp(v->form, "error"))
		return REPLAY_TYPE;
	return !strcmp(v->form, "string") || !strcmp(v->form, "[]uint8") ? REPLAY_TEXT : REPLAY_WORD;
}

static struct param param_of(struct question_compiler *qc, const struct recorded_variable *v)
{
	struct piece *piece = arena_new(qc->arena, struct piece);
	struct param p = {.name = v->name, .pieces = piece};

	if (v->slot < 0) {
		p.why = not_woven;
		p.type = *v->type ? binary_type(qc->binary, v->type) : NULL;
		return p;
	}
	p.type = type_of(qc, v);
	if (!p.type) {
		p.why = arena_printf(qc->arena, "the program does not describe its type, %s", v->type);
		return p;
	}
	*piece = (struct piece){.where = ON_STACK, .bytes = (uint32_t)p.type->size, .stack = v->slot * REPLAY_BYTES};
	p.npieces = 1;
	return p;
}

static const struct param *params_of(struct question_compiler *qc, const struct recorded_side *side,
				     const enum replay_form **ret_forms)
{
	struct param *all = arena_array(qc->arena, struct param, side->n + 1);
	enum replay_form *forms = arena_array(qc->arena, enum replay_form, side->nslots + 1);

	for (size_t i = 0; i < side->n; i++) {
		const struct recorded_variable *v = &side->variables[i];

		all[i] = param_of(qc, v);
		if (v->slot >= 0 && !all[i].why)
			forms[v->slot] = form_of(v);
	}
	*ret_forms = forms;
	return all;
}

static void set_signature(struct question_compiler *qc, struct call_plan *plan, const struct recorded_call *c)
{
	plan->recorded = c;
	plan->signature = (struct signature){.has_receiver = c->has_receiver,
					     .params = params_of(qc, &c->entry, &plan->entry_forms),
					     .nparams = c->entry.n,
					     .results = params_of(qc, &c->ret, &plan->ret_forms),
					     .nresults = c->ret.n,
					     .results_known = true,
					     .sources = SIG_DECLARED};
}

/* ---- the programs ---- */

static int check_programs(const struct call_plan *plan, struct err *err)
{
	int r = replay_check(&plan->entry, plan->entry_forms, plan->recorded->entry.nslots, err);

	if (!r && plan->has_return)
		r = replay_check(&plan->ret, plan->ret_forms, plan->recorded->ret.nslots, err);
	return r;
}

bool plan_is_whole(const struct call_plan *plan)
{
	for (size_t i = 0; i < plan->nshown; i++)
		if (plan->shown[i].why)
			return false;
	return true;
}

int plan_recorded(struct question_compiler *qc, struct call_plan *plan, const struct recorded_call *c, struct err *err)
{
	struct shape_table *shapes = TAKE(qc->shapes);
	const char *why = qc->shapes_why;
	bool soft;
	int r;

	set_signature(qc, plan, c);
	plan->has_return = plan_needs_return(qc, plan, &soft);
	qc->shapes_why = not_woven;
	if (plan->question->ref.declared)
		r = err_set(err, -EINVAL, "what it has is known of what is woven: a declaration is for planting");
	else if (asks_for_text(plan, plan->question->condition, qc->arena))
		r = err_set(err, -EINVAL, "what an error says is not woven, only its type: err != nil, typeof(err)");
	else
		r = plan_compile(qc, plan, NULL, err);
	qc->shapes = shapes;
	qc->shapes_why = why;
	return r ? r : check_programs(plan, err);
}
