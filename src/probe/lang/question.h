/*
 * A question of `earshot trace`, as text:
 *
 *   [type NAME TYPE; …] FUNCTION[(params) [results]] [if CONDITION] [{ ACTION; … }]
 *
 *   main.SetInfo
 *   main.(*Cart).Add if user.Name == "alice" && len(items) > 3
 *   net/http.(*Transport).roundTrip { hist(latency) by req.URL.Host }
 *   main.SetInfo(user string, addr *Address, vip bool) (id int, err error)
 *   main.* { count() by func }
 *   type Order struct { ID int; Name string }; main.(*Cart).Add(o Order) (err error)
 *   main.Map[K, V](m map[K]V) (n int)
 *   main.Login if err != nil { print(user, err); stack }
 *   usdt:postgresql:query__start if hasprefix(text(arg0), "SELECT") { count() by pid }
 *
 * A USDT probe, usdt:PROVIDER:NAME, stands where a function does: either part may be a glob. It has arg0, arg1, …,
 * which are numbers, text(x) for the C string at address x, pid and tid, and no end.
 *
 * FUNCTION may be a glob: * matches within and across path elements, ? one character; a * right behind "(" is
 * the pointer receiver's star. Actions: print(expr, …), stack, count(), sum(x), min(x), max(x), avg(x), hist(x) (log2),
 * hist(x, low, high, step) (linear); each aggregate may be followed by `by expr, …` (at most AGG_MAX_KEYS). Separated
 * by ; or a newline. Without actions all arguments and results are printed.
 *
 * Conditions are Go's expressions (expr.h). What asks for the text of an error (err == "x") is tested on the call's
 * record.
 *
 * A name that is no glob may leave out its package (SetInfo, Cart.Add), where only one function's name ends so. Names
 * in expressions: parameters, the receiver, results, a closure's variables, arg0…, ret0…, recv, and goid, caller,
 * latency, err, func, stack, pid (printed or grouped by only), panicked (printed, or a part of && and || in a
 * condition: calls that panic are reported whatever is tested at the return).
 */
#ifndef PROBE_QUESTION_H
#define PROBE_QUESTION_H

#include "probe/lang/expr.h"
#include "probe/ir.h"

enum action_kind { ACTION_PRINT, ACTION_STACK, ACTION_AGGREGATE };

struct action {
	enum action_kind kind;
	int column;                  /* in the question's text */
	const char *text;            /* as written: "hist(latency) by req.URL.Host" */
	const struct expr **args;    /* PRINT: what to print; AGGREGATE: the value, none for count */
	const char **arg_texts;      /* each as written: what it is called in outputs */
	size_t nargs;
	enum aggregate_kind aggregate;
	const struct expr *by[AGG_MAX_KEYS];
	const char *by_texts[AGG_MAX_KEYS];
	size_t nby;
	int64_t low, high, step;     /* AGG_LINEAR */
};

struct question {
	const char *text;            /* the whole, as written: columns in messages point into it */
	const char *pattern;         /* the function's name or glob */
	bool glob;
	bool usdt;                   /* pattern is usdt:PROVIDER:NAME, of whatever program */
	struct func_ref ref;         /* declared signature, if one was written */
	const struct expr *condition;/* NULL: none. Columns count from the question's beginning */
	const struct action *actions;
	size_t nactions;
};

/* Whether a function's name has wildcards: not the star of a receiver. */
bool name_is_glob(const char *pattern);
/* Whether the function of that full name is one that the pattern means: the name as it reads, or a glob. */
bool name_matches(const char *pattern, const char *name);
/* Everything lives in arena. Errors: -EINVAL, a sentence with a caret under the column. */
int question_parse(const char *text, struct arena *arena, struct question *ret, struct err *err);

/*
 * A function as a span, as --span says it:
 *
 *   [type NAME TYPE; …] FUNCTION[(params) [results]] [if CONDITION] [{ ATTRIBUTES }]
 *
 *   main.(*Svc).Charge
 *   main.(*Svc).Charge if amount > 100 { amount, order.id: o.ID, ret0 }
 *
 * Attributes are expressions, each called as it is written or by the name before its colon.
 */
struct span_attribute {
	const char *name;            /* of the attribute */
	const char *text;            /* the expression as written */
	const struct expr *expr;
};

struct span_question {
	struct question function;    /* text, pattern, ref and condition; no actions */
	const char *when;            /* the condition as written; NULL: none */
	bool chosen;                 /* braces were written: these attributes, and not the arguments */
	const struct span_attribute *attributes;
	size_t nattributes;
};
/* As question_parse. */
int span_question_parse(const char *text, struct arena *arena, struct span_question *ret, struct err *err);

#endif
