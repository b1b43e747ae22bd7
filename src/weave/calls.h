/*
 * Whether a function's source calls another function of its package, for packs that say so (`needs_call`). A woven
 * function keeps its point wherever it is inlined, so what counts is that the call is written. What stands before a
 * method's name is looked up only if it is a parameter, or a variable that is declared as `x := ….(T)`.
 */
#ifndef WEAVE_CALLS_H
#define WEAVE_CALLS_H

#include "weave/source_types.h"
#include "weave/woven_function.h"

/* called: of the same package, without it: "f", "(*T).m", "T.m". 1, 0; -ENODATA with a sentence: it cannot be told. */
int source_calls(struct source_types *types, const struct woven_function *caller, const char *called, struct err *err);

#endif
