/*
 * Functions that the user wants as spans (--span; //earshot:span above a function, with a condition or attributes
 * behind it as there), in a package that is being built → a pack made for it, as probe/plan/span_plan.h makes one for a
 * binary: a span of each function, from its entry to its return, with the
 * arguments that one slot can hold, or what the user chose instead, and the type of the error that it returns.
 *
 * Likewise functions of which questions are to be asked (--trace): what each call of them is given, and what it
 * returns, as far as one slot can hold it; of errors the type.
 */
#ifndef WEAVE_SPANS_H
#define WEAVE_SPANS_H

#include "probe/lang/question.h"
#include "probe/pack/pack.h"
#include "weave/package.h"
#include "weave/source_types.h"

#define SPANS_PACK "functions" /* as of span_plan.h */
#define CALLS_PACK "calls"

struct woven_spans {
	struct pack pack;
	const char *const *directives; /* of each span of it: what --span would say, where its source asks for it; or
	                                * NULL */
};

/*
 * All of it in p's arena. The function of a question's own name that cannot be one is a warning of p, and so is a
 * directive (//earshot:span) that cannot be read.
 */
void weave_spans(struct weave_package *p, struct source_types *types, const struct span_question *questions, size_t n,
                 struct woven_spans *ret);
/* A package as the linker has it before a name: in the path's last element a dot is %2e. */
const char *span_symbol_prefix(const struct weave_package *p, struct arena *a);
/* The questions are names and patterns alone. All of it in p's arena. */
void weave_calls(struct weave_package *p, struct source_types *types, const struct span_question *questions, size_t n,
                 struct pack *ret);
/* What a variable of that type is made of, as a point's text has it (plant/woven.h). NULL: no slot can hold it. */
const char *woven_form(const struct type *t);
/* Whether a question may mean a function of the package of that import path. */
bool span_concerns(const struct span_question *q, const char *path);

#endif
