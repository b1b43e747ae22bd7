/*
 * What the files of the points' weaver share: points.c (binding, calls, the package's file), point_needs.c,
 * point_text.c and points_usdt.c.
 */
#ifndef WEAVE_POINTS_INTERNAL_H
#define WEAVE_POINTS_INTERNAL_H

#include "base/vec.h"
#include "probe/bind/print_point.h"
#include "weave/kept.h"
#include "weave/points.h"
#include "weave/source_types.h"
#include "weave/spans.h"
#include "weave/woven_function.h"

#define POINT_NOT_WANTED "no later point needs it" /* why a value is not kept: nobody is told */

/* A point on its way into the package. */
struct weaving_point {
	const struct pack *pack;
	const struct pack_span *span, *part; /* as in struct join */
	const struct pack_point *point;
	const struct pack_variant *variant;
	size_t function;  /* its place among the weaver's */
	const char *func; /* full name */
	struct bound_variables variables;
	struct bound_program program;
	struct kept_values kept;
	struct go_point printed;
	enum go_probe probe;
	/* GO_PROBE_ALONE: what the source asks for, and where its statement goes. Its variables are the function's
	 * parameters, and what Go looks up. */
	const struct usdt_asked *asked;
	uint32_t at;
	/* The point before them puts these in, with a defer of its own, where its record was written: */
	bool ends_pair;  /* its return */
	bool at_unwinding; /* what is told of it when a panic or Goexit unwinds it */
};

/* A point that could not be woven, and why. */
struct refused_point {
	const struct pack *pack;
	const char *span; /* as pack_woven_span has it */
	const char *point, *func, *why;
};

struct points_weaver {
	struct weave_package *package;
	const struct weave_wanted *wanted;
	struct source_types *types;
	struct go_points *printed;
	VEC(struct woven_function) functions;
	struct buf variables;             /* the earshotPoint of each point */
	struct woven_spans spans;         /* functions that are spans */
	struct pack calls;                /* functions of which questions are asked */
	VEC(struct weaving_point) points; /* what is woven, by the numbers of their functions */
	VEC(struct refused_point) refused;
};

/* points.c */
/* The parameters and results of a function of the package, and what the reference declares of them. */
int points_read_signature(struct points_weaver *w, const struct woven_function *fn, const struct func_ref *ref,
                          struct bound_variables *ret, struct err *err);
/* Its place among w's functions; it is put there if it is not. */
size_t points_function(struct points_weaver *w, const struct woven_function *found);

/* point_needs.c */
/*
 * Whether v can be used here: 0. 1: in case that it is needed, which whoever listens knows, as what all of the program
 * does or has (needs_copy, needs_run, functions of other packages). -ENOENT: it is not needed. -ENODATA: that cannot be
 * told.
 */
int point_check_needs(struct points_weaver *w, const struct pack_variant *v, struct err *err);

/* point_text.c */
/* The variable of a point: w's number of it, and the text by which a reader knows it (plant/woven.h). */
void point_print_variable(struct points_weaver *w, const struct weaving_point *wp, size_t number);

/* points_usdt.c */
/* The probe that a point is as well: its stub is the package's, its declaration goes to w's variables. */
void point_add_probe(struct points_weaver *w, const struct weaving_point *wp, size_t number);
/* Points where the source asks for probes (//earshot:usdt). What is none is a warning of the package. */
void points_weave_asked(struct points_weaver *w);

#endif
