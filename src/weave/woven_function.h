/* Functions of a package, found by the names that packs write, and what is put into them. */
#ifndef WEAVE_WOVEN_FUNCTION_H
#define WEAVE_WOVEN_FUNCTION_H

#include "weave/package.h"

/* A function with what has been done to it, which several points share. */
struct woven_function {
	struct weave_file *file;
	const struct go_function *function;
	const struct go_function *outer; /* of a literal: whose; NULL: it is none */
	bool receiver_named, params_named, results_named; /* those without a name were given one */
	unsigned defers;                                  /* woven ones */
	bool wrapped; /* what is woven stands in a function around it, which calls its body */
};

/*
 * The function of a full name ("net/http.(*conn).serve.func1"). -ESRCH: the name is of another package; -ENOENT: the
 * package has none of that name; -EINVAL with a sentence: there is one that is better left alone.
 */
int woven_function_find(struct weave_package *p, const char *full_name, struct woven_function *ret, struct err *err);
/*
 * Makes sure that one more deferred call can be woven, and counts it. Where it would turn all deferred calls of the
 * function into records, many times dearer, the body becomes a function of its own, with a wrapper around it. -EINVAL
 * with a sentence: that cannot be done without being seen.
 */
int woven_function_defer(struct woven_function *w, struct err *err);
/* The end of a wrapped function's wrapper, to be put in behind all that is woven, and the head of its body's. */
void woven_function_wrap(struct weave_package *p, struct woven_function *w, size_t number);

/* What parameter i, or result i, is called in the body; it is given a name where it has none. */
const char *woven_param(struct weave_package *p, struct woven_function *w, size_t i);
const char *woven_result(struct weave_package *p, struct woven_function *w, size_t i);

#endif
