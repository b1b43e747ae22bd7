#include "cmd/call_options.h"

#include <errno.h>

#include "cmd/budget.h"
#include "event/event.h"

const struct option_def call_value_defs[] = {
	{0, "depth", "N", "pointers followed within a value (default 1)", OPT_UINT,
	 offsetof(struct call_options, depth)},
	{0, "max-string", "N", "bytes shown of a string (default 256, at most 4096)", OPT_UINT,
	 offsetof(struct call_options, max_string)},
	{0, "max-items", "N", "elements shown of a slice, an array, a map (default 16)", OPT_UINT,
	 offsetof(struct call_options, max_items)},
	{0},
};

const struct option_def call_bound_defs[] = {
	{0, "every", "N", "take every Nth of the calls that pass the condition", OPT_UINT,
	 offsetof(struct call_options, every)},
	{0, "rate", "N", "take at most N calls a second of each function", OPT_UINT,
	 offsetof(struct call_options, rate)},
	{0, "yes", NULL, "allow more than 1,000 sites", OPT_FLAG,
	 offsetof(struct call_options, yes)},
	{0},
};

const struct option_def call_limit_defs[] = {
	{0, "limit", "N", "stop after N calls", OPT_UINT, offsetof(struct call_options, limit)},
	{0, "budget", "PERCENT", "keep what the probes cost below this share of the program's CPU time: 5%", OPT_STRING,
	 offsetof(struct call_options, budget)},
	{0},
};

const struct option_def call_follow_defs[] = {
	{0, "follow", "N", "with --graph: also what the functions call, found in their code, N levels down", OPT_UINT,
	 offsetof(struct call_options, follow)},
	{0},
};

const struct option_def call_interval_defs[] = {
	{0, "interval", "DURATION", "print aggregates at this interval, each time from zero", OPT_DURATION,
	 offsetof(struct call_options, interval_ns)},
	{0},
};

static int at_most(const char *name, uint64_t value, uint64_t low, uint64_t high, struct err *err)
{
	if (value >= low && value <= high)
		return 0;
	return err_set(err, -EINVAL, "--%s expects a number from %llu to %llu, not %llu", name, (unsigned long long)low,
		       (unsigned long long)high, (unsigned long long)value);
}

int call_options_check(const struct call_options *o, struct err *err)
{
	double share;
	int r = at_most("depth", o->depth, 0, 64, err);

	if (r == 0)
		r = at_most("max-string", o->max_string, 1, EVENT_MAX_STRING, err);
	if (r == 0)
		r = at_most("max-items", o->max_items, 1, 4096, err);
	if (r == 0 && o->budget)
		r = budget_parse(o->budget, &share, err);
	if (r == 0)
		r = at_most("follow", o->follow, 0, 64, err);
	return r;
}

int questions_parse(const char *const *texts, size_t n, struct arena *arena, const struct question **ret,
		    struct err *err)
{
	struct question *all = arena_array(arena, struct question, n);

	for (size_t i = 0; i < n; i++) {
		int r = question_parse(texts[i], arena, &all[i], err);

		if (r < 0)
			return r;
	}
	*ret = all;
	return 0;
}

int span_questions_parse(const char *const *texts, size_t n, struct arena *arena, const struct span_question **ret,
			 struct err *err)
{
	struct span_question *all = arena_array(arena, struct span_question, n);

	for (size_t i = 0; i < n; i++) {
		struct err why = {0};
		int r = span_question_parse(texts[i], arena, &all[i], &why);

		if (r < 0)
			return err_set(err, r, "--span: %s", why.text);
	}
	*ret = all;
	return 0;
}
