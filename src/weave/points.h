/*
 * The points of packs that lie in a package, woven into it: each function gets a call at its beginning, or a deferred
 * one for its return, and a file is added with what these calls capture (probe/bind/print_point.h).
 *
 * Functions are found by import path and name, signatures are the declarations' own, types those of source_types.h.
 * What cannot be bound, printed or woven without harm is refused for that point alone. Where a span cannot do without
 * it that is a warning of the package.
 */
#ifndef WEAVE_POINTS_H
#define WEAVE_POINTS_H

#include "probe/lang/question.h"
#include "probe/pack/pack.h"
#include "weave/package.h"

struct weave_wanted {
	struct pack *const *packs;
	size_t npacks;
	const struct span_question *spans; /* functions of --span */
	size_t nspans;
	const struct span_question *calls; /* functions of --trace */
	size_t ncalls;
	const char *goroot; /* as in source_types_new */
	struct go_list *list;
	bool usdt; /* points are USDT probes, too */
};

/* 0, or -errno with a sentence: nothing was changed. */
int weave_points(struct weave_package *p, const struct weave_wanted *wanted, struct err *err);

#endif
