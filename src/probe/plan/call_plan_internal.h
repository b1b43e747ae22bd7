/*
 * Inside the planning of calls (call_plan.c, plan_match.c, plan_split.c, plan_program.c): nothing else includes this.
 */
#ifndef PROBE_CALL_PLAN_INTERNAL_H
#define PROBE_CALL_PLAN_INTERNAL_H

#include "base/vec.h"
#include "probe/plan/call_plan.h"

/* ---- plan_match.c: names ---- */

/* A copy as people read it: dots instead of %2e, [int] instead of [go.shape.int]. */
const char *name_readable(struct arena *arena, const char *name);
/* The sentence for a pattern that matches no function, with names that are close. Returns -ENOENT. */
int match_nothing(struct binary *b, const struct question *q, struct err *err);
/* As the program itself calls it (runtime.Func.Name, panics): type arguments are [...]. */
const char *name_as_go(struct arena *arena, const char *name);
/* More than one name ends like the pattern: the sentence lists them. Returns -EINVAL. */
int match_ambiguous(struct binary *b, const struct question *q, const char *const *names, size_t n, struct err *err);
/* Whether the names differ in more than their type arguments. */
bool match_differs(const char *const *names, size_t n);
/* As functions_match, of functions that were inlined somewhere: their names. None without DWARF. */
void inlined_match(struct binary *b, const char *pattern, struct arena *arena, const char *const **ret, size_t *ret_n);

/* ---- plan_split.c: what belongs to the entry and what to the return ---- */

/* `func`, `pid`, `panicked`, the `caller` of an inlined call, standing alone: known of a call without a slot. */
bool is_of_record(const struct call_plan *p, const struct expr *e);
bool is_panicked(const struct call_plan *p, const struct expr *e); /* the name alone */
bool mentions_panicked(const struct call_plan *p, const struct expr *e);
/* Where e can be evaluated; SIDE_RETURN when any part of it needs the return. */
enum call_side expr_side(const struct call_plan *p, const struct expr *e);

struct split_end {
	enum plan_end is;
	const struct expr *test;                    /* END_TESTED: of `latency` and what the entry knows */
};
struct split {
	const struct expr *entry, *ret;             /* conditions; NULL: none */
	const struct expr *late;                    /* the condition of what asks for an error's text; NULL: none */
	const struct expr *carried[IR_MAX_SAVED];   /* parts of ret that the entry evaluates and saves */
	size_t ncarried;
	struct split_end panicked, open;            /* what ret says of calls that end so */
	const struct expr *parts[IR_MAX_SAVED];     /* of their tests, which the entry evaluates */
	size_t nparts;
};
/* Errors: -EINVAL when more than IR_MAX_SAVED values would have to be carried; misuse of `panicked`. */
int condition_split(const struct call_plan *p, const struct expr *condition, const char *text, struct arena *arena,
		    struct split *ret, struct err *err);

/* ---- plan_late.c: what is tested where records are read ---- */

/* Whether e is of type error, as far as it is known. */
bool is_error_value(const struct call_plan *p, const struct expr *e, struct arena *arena);
/* Whether any part of e asks for the text of an error. */
bool asks_for_text(const struct call_plan *p, const struct expr *e, struct arena *arena);
/* e asks for the text of the error *ret_error and nothing else: the operation, and the constant text that it takes. */
bool is_text_of_error(const struct call_plan *p, const struct expr *e, struct arena *arena, enum late_op *ret,
		      const struct expr **ret_error, const struct expr **ret_text);

/* ---- plan_program.c: capture programs ---- */

struct question_compiler {
	struct binary *binary;
	struct arena *arena;
	const struct call_plan_options *o;
	struct shape_table *shapes; /* NULL: see shapes_why */
	const char *shapes_why;
	uint32_t next_group;
	size_t unrecorded;   /* as in struct call_plans */
	unsigned late_depth; /* how deep errors are followed whose text is asked for */
	VEC(struct call_plan) plans;
};

/* What plan->question asks, as programs; func, signature, sites are set. return_why: why there are no return sites. */
int plan_compile(struct question_compiler *qc, struct call_plan *plan, const char *return_why, struct err *err);
/* Whether anything that is asked needs the return; soft: only because everything is printed. */
bool plan_needs_return(const struct question_compiler *qc, const struct call_plan *plan, bool *ret_soft);

/* ---- plan_recorded.c: calls that the program records itself ---- */

/* What the program records of the calls of that function; NULL: nothing. */
const struct recorded_call *recorded_call_of(const struct question_compiler *qc, const char *name);
/*
 * What plan->question asks, as programs for those records. -EINVAL, -ENODATA with a sentence: they lack something of
 * what is asked.
 */
int plan_recorded(struct question_compiler *qc, struct call_plan *plan, const struct recorded_call *c,
		  struct err *err);
/* What it shows is all there. */
bool plan_is_whole(const struct call_plan *plan);

/* ---- plan_follow.c: calls of calls ---- */

/* Plans what the functions that are planned call, and so on. */
void plan_follow(struct question_compiler *qc, unsigned levels, struct call_follow *report);
/* call_plan.c: plans a function that was found so; one that cannot be observed is refused like any other. */
void plan_found(struct question_compiler *qc, const struct question *q, const struct func *f, unsigned level);

#endif
