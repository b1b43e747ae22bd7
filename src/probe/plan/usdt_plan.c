#include "probe/plan/usdt_plan.h"

#include <string.h>

#include "probe/plan/call_plan_internal.h"

static const char *const no_end = "a USDT probe is a point: it has no end and no results";

bool usdt_question_matches(const struct question *q, const struct usdt_site *s)
{
	return q->usdt && usdt_site_matches(s, q->pattern + strlen(USDT_PREFIX));
}

static const struct type *type_of(const struct usdt_arg *a)
{
	bool is_signed = a->size < 0;

	if (a->place == USDT_REFUSED)
		return NULL;
	if (a->is_float)
		return basic_type(a->size == 4 || a->size == -4 ? KIND_FLOAT32 : KIND_FLOAT64);
	switch (is_signed ? -a->size : a->size) {
	case 1: return basic_type(is_signed ? KIND_INT8 : KIND_UINT8);
	case 2: return basic_type(is_signed ? KIND_INT16 : KIND_UINT16);
	case 4: return basic_type(is_signed ? KIND_INT32 : KIND_UINT32);
	default: return basic_type(is_signed ? KIND_INT64 : KIND_UINT64);
	}
}

/* Its arguments as parameters without names. */
static struct signature signature_of(const struct usdt_site *s, struct arena *arena)
{
	struct param *params = arena_array(arena, struct param, s->n_args + 1);

	for (size_t i = 0; i < s->n_args; i++) {
		const struct usdt_arg *a = &s->args[i];

		params[i] = (struct param){.type = type_of(a), .why = a->why};
	}
	return (struct signature){.params = params, .nparams = s->n_args};
}

void usdt_plan_make(const struct question *q, const struct usdt_site *s, const struct call_plan_options *o,
		    struct arena *arena, struct call_plan *ret)
{
	struct question_compiler qc = {.arena = arena, .o = o};
	const char *name = arena_printf(arena, USDT_PREFIX "%s:%s", s->provider, s->name);
	struct call_plan plan = {.question = q, .name = name, .func = {.name = name, .symbol = name}, .usdt = s,
				 .pc = s->address, .stack_slot = -1};
	struct err err = {0};
	int r;

	plan.signature = signature_of(s, arena);
	if (s->why)
		plan.why = s->why;
	else if ((r = plan_compile(&qc, &plan, no_end, &err)) < 0)
		plan.why = arena_strdup(arena, err.text);
	*ret = plan;
}
