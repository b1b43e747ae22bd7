/* How calls are traced, as the command line says it. */
#ifndef CMD_CALL_OPTIONS_H
#define CMD_CALL_OPTIONS_H

#include "base/options.h"
#include "probe/lang/question.h"

struct call_options {
	uint64_t depth, max_string, max_items; /* of values: struct shape_limits */
	uint64_t follow, limit, every, rate, interval_ns;
	const char *budget;  /* "5%" */
	bool yes;            /* any number of sites */
};
#define CALL_DEFAULTS {.depth = 1, .max_string = 256, .max_items = 16}
/* Those of every verb that traces calls: of values, of how many calls, of aggregates. And those of trace alone. */
extern const struct option_def call_value_defs[], call_bound_defs[], call_interval_defs[];
extern const struct option_def call_limit_defs[], call_follow_defs[];

/* -EINVAL: an option's value. */
int call_options_check(const struct call_options *o, struct err *err);
/* -EINVAL, with the question's text and a caret. Questions live in the arena. */
int questions_parse(const char *const *texts, size_t n, struct arena *arena, const struct question **ret,
		    struct err *err);
/* Those of --span, likewise. */
int span_questions_parse(const char *const *texts, size_t n, struct arena *arena, const struct span_question **ret,
			 struct err *err);

#endif
