/*
 * One function and one question → its capture programs. What the question mentions becomes items, each of the entry's
 * or the return's program; these are compiled, the entry first, since the return needs the types of what it keeps; then
 * the slots are looked up for what is shown and for the aggregates.
 */
#include <errno.h>
#include <string.h>

#include "probe/plan/call_plan_internal.h"

/* An item of one of the two programs, or none (nothing can be captured: why). */
struct ref {
	bool at_entry, none;
	size_t item;
};

struct side {
	VEC(struct capture_item) items;
	struct capture_result result;
};

struct shown_ref {
	struct shown shown;
	struct ref ref;
};
struct late_ref {
	struct late *late;
	struct shown_ref value;
};
struct aggregate_ref {
	const struct action *action;
	struct ref value, keys[AGG_MAX_KEYS];
};

struct builder {
	struct question_compiler *qc;
	struct call_plan *plan;
	const char *return_why;
	struct err *err;
	struct func func;        /* named as the plan: the scope of its expressions */
	struct split split;
	size_t part_items[IR_MAX_SAVED]; /* of split.parts, among the entry's */
	struct side entry, ret;
	struct ref stack;
	VEC(struct shown_ref) shown;
	VEC(struct aggregate_ref) aggregates;
	VEC(struct late_ref) late;
};

static const char *const no_return = "its return is not observed";
static const char *const no_aggregate =
	"panicked cannot be counted, only printed: a call that panics never comes to its return, where aggregates are "
	"computed";

static const struct expr *name_expr(struct arena *arena, const char *name)
{
	struct expr *e = arena_new(arena, struct expr);

	*e = (struct expr){.op = EXPR_NAME, .text = name, .len = strlen(name)};
	return e;
}

/* ---- what is captured ---- */

static struct ref add_item(struct builder *pb, struct capture_item item)
{
	bool at_return = expr_side(pb->plan, item.expr) == SIDE_RETURN;
	struct side *side = at_return ? &pb->ret : &pb->entry;

	if (at_return && !pb->plan->has_return)
		return (struct ref){.none = true};
	vec_push(&side->items, item);
	return (struct ref){.at_entry = !at_return, .item = side->items.len - 1};
}

/* Of an error that the program has recorded the type is known. */
static const struct expr *recorded_part(const struct builder *pb, const struct expr *e)
{
	struct arena *arena = pb->qc->arena;
	struct expr *type;

	if (!pb->plan->recorded || !is_error_value(pb->plan, e, arena))
		return e;
	type = arena_new(arena, struct expr);
	*type = (struct expr){.op = EXPR_CALL, .column = e->column, .text = "typeof", .len = 6, .nargs = 1};
	type->args[0] = (struct expr *)e;
	return type;
}

static struct capture_item shown_item(const struct builder *pb, const char *name, const struct expr *e, bool optional)
{
	e = recorded_part(pb, e);
	return (struct capture_item){.name = name, .expr = e, .optional = optional, .whole = true,
				     .depth = pb->qc->o->limits.depth + 1, .max_bytes = pb->qc->o->limits.max_string};
}

static void show_param(struct builder *pb, enum shown_kind kind, const char *name, const struct param *p)
{
	struct shown_ref s = {.shown = {.name = name, .kind = kind, .at_entry = kind == SHOWN_ARG, .type = p->type}};

	s.ref = add_item(pb, shown_item(pb, name, name_expr(pb->qc->arena, name), true));
	vec_push(&pb->shown, s);
}

/* Something that ought to be shown, but of which nothing is known. */
static void show_missing(struct builder *pb, enum shown_kind kind, const char *name, const char *why)
{
	vec_push(&pb->shown, ((struct shown_ref){
				     .shown = {.name = name, .kind = kind, .at_entry = kind == SHOWN_ARG, .slot = -1,
					       .why = why},
				     .ref = {.none = true, .at_entry = kind == SHOWN_ARG}}));
}

const char *param_name(struct arena *arena, const struct param *p, const char *prefix, size_t i)
{
	return p->name && *p->name && strcmp(p->name, "_") ? p->name : arena_printf(arena, "%s%zu", prefix, i);
}

static void show_captured(struct builder *pb, const struct closure_var *v)
{
	struct shown_ref s = {.shown = {.name = v->name, .kind = SHOWN_ARG, .at_entry = true, .type = v->type}};

	s.ref = add_item(pb, shown_item(pb, v->name, name_expr(pb->qc->arena, v->name), true));
	vec_push(&pb->shown, s);
}

static void show_all(struct builder *pb)
{
	const struct signature *s = &pb->plan->signature;
	struct arena *arena = pb->qc->arena;
	size_t skip = s->has_receiver && s->nparams ? 1 : 0;

	if (skip)
		show_param(pb, SHOWN_ARG, s->params[0].name && *s->params[0].name ? s->params[0].name : "recv",
			   &s->params[0]);
	for (size_t i = skip; i < s->nparams; i++)
		show_param(pb, SHOWN_ARG, param_name(arena, &s->params[i], "arg", i - skip), &s->params[i]);
	for (size_t i = 0; i < pb->plan->ncaptured; i++)
		if (strcmp(pb->plan->captured[i].name, DICTIONARY_NAME))
			show_captured(pb, &pb->plan->captured[i]);
	if (pb->plan->usdt)
		return;
	if (!s->sources)
		show_missing(pb, SHOWN_ARG, "args", pb->plan->inlined
							    ? "the binary does not say where the arguments of an "
							      "inlined call are"
							    : "the binary does not tell this function's parameters; "
							      "declare them, as in main.F(user string, n int) (err "
							      "error)");
	if (pb->plan->inlined)
		return;
	for (size_t i = 0; s->results_known && i < s->nresults; i++)
		show_param(pb, SHOWN_RESULT, param_name(arena, &s->results[i], "ret", i), &s->results[i]);
	if (!s->results_known)
		show_missing(pb, SHOWN_RESULT, "results", "the binary does not tell this function's results; declare "
							  "them, as in main.F(user string) (n int, err error)");
}

static void show_printed(struct builder *pb, const struct action *a)
{
	for (size_t i = 0; i < a->nargs; i++) {
		struct shown_ref r = {.shown = {.name = a->arg_texts[i], .kind = SHOWN_EXPR}};

		if (is_of_record(pb->plan, a->args[i]))
			r = (struct shown_ref){.shown = {.name = a->args[i]->text, .kind = SHOWN_EXPR, .slot = -1},
					       .ref = {.none = true, .at_entry = true}};
		else
			r.ref = add_item(pb, shown_item(pb, a->arg_texts[i], a->args[i], false));
		vec_push(&pb->shown, r);
	}
}

static void add_aggregate(struct builder *pb, const struct action *a)
{
	struct aggregate_ref r = {.action = a, .value = {.none = true}};

	if (a->nargs)
		r.value = add_item(pb, (struct capture_item){.name = a->arg_texts[0], .expr = a->args[0]});
	for (size_t i = 0; i < a->nby; i++)
		r.keys[i] = is_of_record(pb->plan, a->by[i])
				    ? (struct ref){.none = true}
				    : add_item(pb, (struct capture_item){.name = a->by_texts[i], .expr = a->by[i],
									 .max_bytes = AGG_KEY_STR});
	vec_push(&pb->aggregates, r);
}

static void add_stack(struct builder *pb)
{
	if (pb->stack.none)
		pb->stack = add_item(pb, (struct capture_item){.name = "stack",
							       .expr = name_expr(pb->qc->arena, "stack")});
}

static void add_actions(struct builder *pb)
{
	const struct question *q = pb->plan->question;

	pb->stack.none = true;
	if (pb->qc->o->wants_stack)
		add_stack(pb);
	if (!q->nactions)
		show_all(pb);
	for (size_t i = 0; i < q->nactions; i++) {
		const struct action *a = &q->actions[i];

		if (a->kind == ACTION_PRINT)
			show_printed(pb, a);
		else if (a->kind == ACTION_AGGREGATE)
			add_aggregate(pb, a);
		else
			add_stack(pb);
	}
}

/* Results of a type parameter's type need the dictionary, if there is still room for it. */
static void carry_dictionary(struct builder *pb)
{
	const struct signature *s = &pb->plan->signature;
	bool needed = false;

	for (size_t i = 0; i < s->nresults; i++)
		needed |= s->results[i].dict_word != 0;
	if (needed && scope_has_dictionary(s, pb->plan->captured, pb->plan->ncaptured) && pb->plan->has_return &&
	    pb->plan->prints && pb->split.ncarried < IR_MAX_SAVED)
		pb->split.carried[pb->split.ncarried++] = name_expr(pb->qc->arena, DICTIONARY_NAME);
}

/* Parts of what is tested when a call has ended: most are carried to the return anyway, and have a slot by that. */
static void add_parts(struct builder *pb)
{
	for (size_t i = 0; i < pb->split.nparts; i++) {
		size_t at = 0;

		while (at < pb->split.ncarried && !expr_equal(pb->split.carried[at], pb->split.parts[i]))
			at++;
		if (at == pb->split.ncarried) {
			at = pb->entry.items.len;
			vec_push(&pb->entry.items, ((struct capture_item){.name = arena_printf(pb->qc->arena,
											       "part %zu", i),
									  .expr = pb->split.parts[i]}));
		}
		pb->part_items[i] = at;
	}
}

static void add_carried(struct builder *pb)
{
	carry_dictionary(pb);
	for (size_t i = 0; i < pb->split.ncarried; i++)
		vec_push(&pb->entry.items,
			 ((struct capture_item){.name = arena_printf(pb->qc->arena, "kept %zu", i),
						.expr = pb->split.carried[i], .carry = (int)i + 1}));
	add_parts(pb);
}

/* ---- what is tested where records are read ---- */

static int fail_at(struct builder *pb, const struct expr *e, const char *sentence)
{
	return err_at_column(pb->err, -EINVAL, pb->plan->question->text, e->column, "%s", sentence);
}

static int late_value(struct builder *pb, struct late *l, struct capture_item item)
{
	struct late_ref r = {.late = l, .value = {.shown = {.name = item.name, .kind = SHOWN_EXPR}}};

	r.value.ref = add_item(pb, item);
	if (r.value.ref.none)
		return fail_at(pb, item.expr, pb->return_why ? pb->return_why : no_return);
	vec_push(&pb->late, r);
	return 0;
}

static int make_late(struct builder *pb, const struct expr *e, const struct late **ret);

static int make_late_operator(struct builder *pb, const struct expr *e, struct late *l)
{
	bool both = e->op == EXPR_BINARY && *e->text == '&', either = e->op == EXPR_BINARY && *e->text == '|';
	int r;

	if (e->op != EXPR_NOT && (e->len != 2 || (!both && !either)))
		return fail_at(pb, e, "whether an error says something can be a part of &&, || and ! only");
	l->op = e->op == EXPR_NOT ? LATE_NOT : both ? LATE_AND : LATE_OR;
	r = make_late(pb, e->a, &l->a);
	return r || e->op == EXPR_NOT ? r : make_late(pb, e->b, &l->b);
}

static int make_late(struct builder *pb, const struct expr *e, const struct late **ret)
{
	struct late *l = arena_new(pb->qc->arena, struct late), *not = NULL;
	const struct expr *error, *text;
	struct capture_item item;

	*ret = l;
	if (is_panicked(pb->plan, e)) {
		l->op = LATE_PANICKED;
		return 0;
	}
	if (!asks_for_text(pb->plan, e, pb->qc->arena)) {
		l->op = LATE_BOOL;
		return late_value(pb, l, (struct capture_item){.name = "condition", .expr = e});
	}
	if (!is_text_of_error(pb->plan, e, pb->qc->arena, &l->op, &error, &text))
		return make_late_operator(pb, e, l);
	if (e->op == EXPR_BINARY && *e->text == '!') {
		not = arena_new(pb->qc->arena, struct late);
		*not = (struct late){.op = LATE_NOT, .a = l};
		*ret = not;
	}
	l->text = text->text;
	l->len = text->len;
	item = shown_item(pb, "error", error, false);
	item.depth = pb->qc->late_depth + 1;
	return late_value(pb, l, item);
}

static int add_late(struct builder *pb)
{
	if (!pb->split.late)
		return 0;
	pb->plan->late_at_entry = expr_side(pb->plan, pb->split.late) != SIDE_RETURN;
	return make_late(pb, pb->split.late, &pb->plan->late);
}

/* ---- compiling ---- */

static int compile_side(struct builder *pb, enum program_role role, const struct expr *filter,
			const struct carried_value *carried, size_t ncarried)
{
	struct call_plan *plan = pb->plan;
	bool at_return = role == PROGRAM_RETURN;
	struct side *side = at_return ? &pb->ret : &pb->entry;
	struct capture_scope scope = {.binary = pb->qc->binary,
				      .func = &pb->func,
				      .signature = &plan->signature,
				      .at = at_return ? SITE_RETURN : SITE_ENTRY,
				      .carried = carried,
				      .ncarried = ncarried,
				      .captured = pb->plan->captured,
				      .ncaptured = pb->plan->ncaptured,
				      .traced = true,
				      .inlined = plan->inlined,
				      .usdt = plan->usdt};
	struct capture_request request = {.filter_expr = filter,
					  .text = plan->question->text,
					  .role = role,
					  .call_group = plan->has_return ? pb->qc->next_group : 0,
					  .items = side->items.data,
					  .nitems = side->items.len,
					  .caps = pb->qc->o->caps,
					  .shapes = pb->qc->shapes};
	int r = capture_compile(&scope, &request, pb->qc->arena, &side->result, pb->err);

	if (r)
		return r;
	side->result.program.controlled = !at_return;
	side->result.program.no_record = !plan->prints && !pb->split.late;
	return 0;
}

/* What the entry carries on, as the return knows it. Its items come first. */
static int compile_both(struct builder *pb)
{
	struct carried_value carried[IR_MAX_SAVED];
	int r = compile_side(pb, pb->plan->has_return ? PROGRAM_ENTRY : PROGRAM_POINT, pb->split.entry, NULL, 0);

	if (r)
		return r;
	for (size_t i = 0; i < pb->split.ncarried; i++) {
		if (pb->entry.result.slot_of_item[i] < 0)
			return err_at_column(pb->err, -EINVAL, pb->plan->question->text, pb->split.carried[i]->column,
					     "%s", pb->entry.result.why[i]);
		carried[i] = (struct carried_value){.expr = pb->split.carried[i], .number = (unsigned)i,
						.type = pb->entry.result.types[i]};
	}
	pb->plan->entry = pb->entry.result.program;
	if (!pb->plan->has_return)
		return 0;
	r = compile_side(pb, PROGRAM_RETURN, pb->split.ret, carried, pb->split.ncarried);
	if (!r)
		pb->plan->ret = pb->ret.result.program;
	return r;
}

/* ---- calls that do not return ---- */

static int compile_ending(struct builder *pb, const struct split_end *end, struct plan_ending *ret)
{
	struct carried_value parts[IR_MAX_SAVED];
	struct capture_scope scope = {.binary = pb->qc->binary,
				      .func = &pb->func,
				      .signature = &pb->plan->signature,
				      .at = SITE_RETURN,
				      .carried = parts,
				      .ncarried = pb->split.nparts,
				      .traced = true};
	struct capture_request request = {.filter_expr = end->test, .text = pb->plan->question->text,
					  .role = PROGRAM_RETURN, .call_group = pb->qc->next_group};
	struct capture_result result;
	int r;

	ret->is = end->is;
	if (end->is != END_TESTED)
		return 0;
	for (size_t i = 0; i < pb->split.nparts; i++)
		parts[i] = (struct carried_value){.expr = pb->split.parts[i], .number = (unsigned)i,
						.type = pb->entry.result.types[pb->part_items[i]]};
	r = capture_compile(&scope, &request, pb->qc->arena, &result, pb->err);
	if (!r)
		ret->test = result.program;
	return r;
}

static int compile_endings(struct builder *pb)
{
	struct call_plan *plan = pb->plan;
	int r;

	for (size_t i = 0; i < pb->split.nparts; i++) {
		plan->carried_slots[i] = pb->entry.result.slot_of_item[pb->part_items[i]];
		if (plan->carried_slots[i] < 0)
			return err_at_column(pb->err, -EINVAL, plan->question->text, pb->split.parts[i]->column, "%s",
					     pb->entry.result.why[pb->part_items[i]]);
	}
	r = compile_ending(pb, &pb->split.panicked, &plan->panicked);
	if (!r)
		r = compile_ending(pb, &pb->split.open, &plan->open);
	plan->entry.unwound_unseen = plan->panicked.is == END_LEFT_OUT;
	return r;
}

static bool run_condition(const struct capture_program *p, const struct call_plan *plan, const struct event *entry,
			  uint64_t latency_ns)
{
	struct capture_known known = {.latency_ns = latency_ns};

	for (size_t i = 0; i < IR_MAX_SAVED; i++) {
		int slot = plan->carried_slots[i];

		if (slot < 0 || slot >= entry->head->slots || entry->slots[slot].status != SLOT_OK)
			continue;
		known.saved[i] = entry->slots[slot].value;
		known.valid |= 1u << i;
	}
	return capture_passes(p, &known);
}

bool plan_ending_holds(const struct call_plan *p, const struct plan_ending *end, const struct event *entry,
		       uint64_t latency_ns)
{
	return end->is == END_SHOWN || (end->is == END_TESTED && run_condition(&end->test, p, entry, latency_ns));
}

/* ---- what the slots mean ---- */

static const struct capture_result *result_of(const struct builder *pb, struct ref r)
{
	return r.at_entry ? &pb->entry.result : &pb->ret.result;
}

static const struct ir_slot *slot_of(const struct builder *pb, struct ref r)
{
	const struct capture_result *c = result_of(pb, r);

	return &c->program.slots[c->slot_of_item[r.item]];
}

/* Without images, a reason better than the compiler's: why there are none. */
static const char *why_missing(const struct builder *pb, const struct shown *s, const char *why)
{
	bool composite =
	    s->type && (s->type->kind == KIND_STRUCT || s->type->kind == KIND_INTERFACE ||
			s->type->kind == KIND_ARRAY || s->type->kind == KIND_MAP || s->type->kind == KIND_SLICE);

	return composite && !pb->qc->shapes && pb->qc->shapes_why ? pb->qc->shapes_why : why;
}

static struct shown finish_shown(const struct builder *pb, const struct shown_ref *ref)
{
	const struct capture_result *c = result_of(pb, ref->ref);
	struct shown s = ref->shown;
	size_t item = ref->ref.item;

	s.at_entry = ref->ref.at_entry;
	s.slot = -1;
	if (ref->ref.none) {
		if (!s.why && !s.at_entry)
			s.why = pb->return_why ? pb->return_why : no_return;
		s.at_entry |= !pb->plan->has_return; /* no other record comes */
		return s;
	}
	s.slot = c->slot_of_item[item];
	if (!s.type || pb->plan->recorded || (s.slot >= 0 && c->program.slots[s.slot].kind == VALUE_IMAGE))
		s.type = c->types[item];
	if (s.slot < 0) {
		s.why = why_missing(pb, &s, c->why[item]);
		return s;
	}
	s.unread = c->unread[item];
	return s;
}

static void set_shown(struct builder *pb)
{
	struct shown *shown = arena_array(pb->qc->arena, struct shown, pb->shown.len + 1);

	for (size_t i = 0; i < pb->shown.len; i++)
		shown[i] = finish_shown(pb, &pb->shown.data[i]);
	for (size_t i = 0; i < pb->late.len; i++)
		pb->late.data[i].late->value = finish_shown(pb, &pb->late.data[i].value);
	pb->plan->shown = shown;
	pb->plan->nshown = pb->shown.len;
	pb->plan->stack_slot = pb->stack.none ? -1 : pb->entry.result.slot_of_item[pb->stack.item];
}

/* ---- aggregates ---- */

static int refer(struct builder *pb, struct ref r, const struct expr *e, struct ir_slot_ref *ret)
{
	const struct capture_result *c = result_of(pb, r);

	if (r.none)
		return fail_at(pb, e, pb->return_why ? pb->return_why : no_return);
	if (c->slot_of_item[r.item] < 0)
		return fail_at(pb, e, c->why[r.item]);
	*ret = (struct ir_slot_ref){.at_entry = pb->plan->has_return && r.at_entry,
				    .slot = (uint16_t)c->slot_of_item[r.item]};
	return 0;
}

static int check_value(struct builder *pb, const struct ir_slot *slot, const struct expr *e)
{
	switch (slot->kind) {
	case VALUE_INT:
	case VALUE_UINT:
	case VALUE_BOOL:
		return 0;
	case VALUE_FLOAT32:
	case VALUE_FLOAT64:
		return fail_at(pb, e, "floating-point values can be printed, but not aggregated: where the probe fires "
				      "there is no floating-point arithmetic");
	default:
		return fail_at(pb, e, "only integers, durations and bools can be aggregated; of a text or a slice take "
				      "len(x)");
	}
}

static int set_aggregate(struct builder *pb, const struct aggregate_ref *ref, struct ir_aggregate *ir,
			 struct plan_aggregate *ret)
{
	const struct action *a = ref->action;
	int r = 0;

	*ir = (struct ir_aggregate){.kind = a->aggregate, .low = a->low, .high = a->high, .step = a->step};
	ret->action = a;
	if (a->nargs) {
		r = refer(pb, ref->value, a->args[0], &ir->value);
		if (r)
			return r;
		ret->value = slot_of(pb, ref->value);
		ir->is_unsigned = ret->value->kind == VALUE_UINT;
		r = check_value(pb, ret->value, a->args[0]);
	}
	for (size_t i = 0; !r && i < a->nby; i++) {
		ret->constant_key[i] = is_of_record(pb->plan, a->by[i]);
		if (is_panicked(pb->plan, a->by[i]))
			r = fail_at(pb, a->by[i], no_aggregate);
		if (r || ret->constant_key[i])
			continue;
		r = refer(pb, ref->keys[i], a->by[i], &ir->keys[ir->nkeys++]);
		if (!r)
			ret->keys[i] = slot_of(pb, ref->keys[i]);
	}
	return r;
}

/* The planter makes records and no aggregates; who reads the records makes those, of this copy of the program. */
static struct capture_program *count_late(struct builder *pb, const struct capture_program *p)
{
	struct capture_program *counted = arena_memdup(pb->qc->arena, p, sizeof(*p));

	counted->no_record = !pb->plan->prints;
	pb->plan->counted = counted;
	return counted;
}

static int set_aggregates(struct builder *pb)
{
	size_t n = pb->aggregates.len;
	struct ir_aggregate *ir = arena_array(pb->qc->arena, struct ir_aggregate, n + 1);
	struct plan_aggregate *list = arena_array(pb->qc->arena, struct plan_aggregate, n + 1);
	struct capture_program *p = pb->plan->has_return ? &pb->plan->ret : &pb->plan->entry;

	for (size_t i = 0; i < n; i++) {
		int r = set_aggregate(pb, &pb->aggregates.data[i], &ir[i], &list[i]);

		if (r)
			return r;
		list[i].index = i;
	}
	if (pb->plan->late && n)
		p = count_late(pb, p);
	p->aggregates = ir;
	p->naggregates = n;
	pb->plan->aggregates = list;
	pb->plan->naggregates = n;
	return 0;
}

/* ---- all ---- */

bool plan_needs_return(const struct question_compiler *qc, const struct call_plan *plan, bool *ret_soft)
{
	const struct question *q = plan->question;
	bool hard = expr_side(plan, q->condition) == SIDE_RETURN;

	for (size_t i = 0; i < q->nactions; i++) {
		const struct action *a = &q->actions[i];

		for (size_t k = 0; k < a->nargs; k++)
			hard |= expr_side(plan, a->args[k]) == SIDE_RETURN ||
				is_panicked(plan, a->args[k]);
		for (size_t k = 0; k < a->nby; k++)
			hard |= expr_side(plan, a->by[k]) == SIDE_RETURN;
	}
	*ret_soft = !hard;
	return hard || !q->nactions || qc->o->wants_return;
}

static int build(struct builder *pb)
{
	struct call_plan *plan = pb->plan;
	int r = condition_split(plan, plan->question->condition, plan->question->text, pb->qc->arena, &pb->split,
				pb->err);

	if (r)
		return r;
	for (size_t i = 0; i < plan->question->nactions; i++)
		if (plan->question->actions[i].kind == ACTION_AGGREGATE &&
		    mentions_panicked(plan, plan->question->condition))
			return fail_at(pb, plan->question->condition, no_aggregate);
	if (pb->split.ret && !plan->has_return)
		return fail_at(pb, pb->split.ret, pb->return_why ? pb->return_why : no_return);
	add_carried(pb);
	add_actions(pb);
	r = add_late(pb);
	if (!r)
		r = compile_both(pb);
	if (!r && plan->has_return)
		r = compile_endings(pb);
	if (r)
		return r;
	set_shown(pb);
	return set_aggregates(pb);
}

int plan_compile(struct question_compiler *qc, struct call_plan *plan, const char *return_why, struct err *err)
{
	struct builder pb = {.qc = qc, .plan = plan, .return_why = return_why, .err = err, .func = plan->func};
	int r;

	pb.func.name = plan->name;
	plan->prints = !plan->question->nactions || qc->o->wants_return || qc->o->wants_stack;
	for (size_t i = 0; i < plan->question->nactions; i++)
		plan->prints |= plan->question->actions[i].kind != ACTION_AGGREGATE;
	if (plan->has_return)
		qc->next_group++;
	r = build(&pb);
	vec_done(&pb.entry.items);
	vec_done(&pb.ret.items);
	vec_done(&pb.shown);
	vec_done(&pb.aggregates);
	vec_done(&pb.late);
	return r;
}
