#include "cmd/inspect_questions.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "probe/plan/call_plan.h"

static void print_program(const char *what, const struct capture_program *p)
{
	_cleanup_(buf_done) struct buf text = {0};

	printf("  %s%s%s%s\n", what, p->no_record ? ", no record" : "", p->unwound_unseen ? ", unwound unseen" : "",
	       p->controlled ? ", controlled" : "");
	capture_print(p, &text);
	fputs(text.data ? text.data : "", stdout);
}

static void print_shown(const char *what, const struct shown *s)
{
	printf("  %s %s (%s):", what, s->name, s->type ? s->type->name : "?");
	if (s->slot >= 0)
		printf(" slot %d of the %s", s->slot, s->at_entry ? "entry" : "return");
	for (size_t i = 0; i < s->unread.n; i++)
		printf(", bytes %u to %u unreadable", s->unread.ranges[i].offset,
		       s->unread.ranges[i].offset + s->unread.ranges[i].size);
	printf("%s%s\n", s->slot >= 0 ? "" : s->why ? " without: " : " known of the call",
	       s->slot < 0 && s->why ? s->why : "");
}

static void print_late(const struct late *l, int depth)
{
	static const char *const names[] = {"and", "or", "not", "holds", "panicked", "equals", "begins with",
					    "ends with", "contains"};

	if (!l)
		return;
	printf("  %*slate: %s %.*s\n", depth * 2, "", names[l->op], l->text ? (int)l->len : 0, l->text ? l->text : "");
	if (l->value.name)
		print_shown("late", &l->value);
	print_late(l->a, depth + 1);
	print_late(l->b, depth + 1);
}

static void print_ending(const char *what, const struct plan_ending *e)
{
	static const char *const names[] = {"shown", "left out", "tested"};

	printf("  %s: %s\n", what, names[e->is]);
	if (e->is == END_TESTED)
		print_program("its test", &e->test);
}

static void print_aggregates(const struct capture_program *p)
{
	for (size_t i = 0; i < p->naggregates; i++) {
		const struct ir_aggregate *a = &p->aggregates[i];

		printf("  aggregate %d%s of %s slot %u, by", a->kind, a->is_unsigned ? " unsigned" : "",
		       a->value.at_entry ? "entry" : "own", a->value.slot);
		for (size_t k = 0; k < a->nkeys; k++)
			printf(" %s slot %u", a->keys[k].at_entry ? "entry" : "own", a->keys[k].slot);
		printf(", %" PRId64 " to %" PRId64 " by %" PRId64 "\n", a->low, a->high, a->step);
	}
}

static void print_plan(const struct call_plan *p)
{
	printf(" %s%s%s", p->name, p->inlined ? " inlined into " : "", p->inlined ? p->func.name : "");
	if (p->why) {
		printf(": refused: %s\n", p->why);
		return;
	}
	printf(": %zu entry sites, %zu return sites%s%s\n", join_point_probes(&p->at_entry),
	       join_point_probes(&p->at_return),
	       p->approximate ? ", approximate: " : "", p->approximate ? p->approximate : "");
	for (size_t i = 0; i < p->nshown; i++)
		print_shown("shows", &p->shown[i]);
	if (p->stack_slot >= 0)
		printf("  stack: slot %d\n", p->stack_slot);
	print_late(p->late, 0);
	print_program("entry", &p->entry);
	if (p->has_return) {
		print_program("return", &p->ret);
		print_ending("panicked", &p->panicked);
		print_ending("open", &p->open);
	}
	print_aggregates(p->counted ? p->counted : p->has_return ? &p->ret : &p->entry);
}

static int print_question(struct binary *b, const struct call_plan_options *o, const char *text, struct arena *arena,
			  struct err *err)
{
	struct question question;
	struct call_plans plans;
	int r = question_parse(text, arena, &question, err);

	if (!r)
		r = call_plans_make(b, &question, 1, o, &plans, err);
	if (r)
		return r;
	for (size_t i = 0; i < plans.len; i++)
		print_plan(&plans.data[i]);
	for (size_t i = 0; i < plans.nhooks; i++) {
		printf(" hook %s\n", plans.hooks[i].name);
		print_program("its program", &plans.hooks[i].program);
	}
	if (plans.hooks_why)
		printf(" without a hook: %s\n", plans.hooks_why);
	shape_table_free(plans.shapes);
	return 0;
}

void inspect_questions(struct binary *b, const pack_set *packs, const struct planter_ops *planter,
		       char *const *questions, size_t n)
{
	const struct call_plan_options options = {.packs = packs->data, .npacks = packs->len,
						  .limits = SHAPE_LIMITS_DEFAULT, .caps = &planter->caps,
						  .locate = planter->locate};

	for (size_t i = 0; i < n; i++) {
		struct arena arena = {0};
		struct err err = {0};

		printf("\n%s\n", questions[i]);
		if (print_question(b, &options, questions[i], &arena, &err))
			printf("refused (%d): %s\n", err.code, err.text);
		arena_done(&arena);
	}
}
