/*
 * Functions that the user wants as spans × a binary → a pack, made for that binary: a span definition for each
 * function, which starts at its entry and ends at its return. Everything behind that is as of any other pack.
 *
 * A span is of kind internal and named after the function, without the path of its package; code.function.name has all
 * of the name. Its attributes are the arguments that one slot can hold (numbers, bools, texts), or what the user chose
 * instead. A call that returns an error has its type as error.type, and is an error. The context that the span begins
 * under is the first argument that is a context.Context, or has one as *http.Request does.
 */
#ifndef PROBE_SPAN_PLAN_H
#define PROBE_SPAN_PLAN_H

#include "base/vec.h"
#include "probe/lang/question.h"
#include "probe/pack/pack.h"

#define SPAN_MAX_FUNCTIONS 100 /* of one question */

struct span_plan {
	struct pack *pack;                 /* NULL: there is no function to be had. The caller's (pack_free) */
	/* Sentences for the user, in the binary's arena: what is refused; what is known of a function in part only. */
	VEC(const char *) refused, partial;
};

/*
 * A function that more than one question names is the first one's. The pack refers to the questions, and once b is gone
 * it is of use only to whoever has spans of it. A question that matches no function, or too many, is refused.
 */
void span_plan_make(struct binary *b, const struct span_question *questions, size_t n, struct span_plan *ret);
void span_plan_done(struct span_plan *p); /* but for the pack */

#endif
