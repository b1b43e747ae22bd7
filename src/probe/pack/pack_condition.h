/*
 * A condition over a span's attributes, as a pack's `error` says it:
 *
 *   http.response.status_code >= 500 || error.type       !ok && (rows < 1 || state == "failed")
 *
 * Comparisons hold at least one attribute; a name alone holds when the attribute is there and is not empty, false
 * or 0. A name that is no word of dots and letters is written attr["name"]. span/condition.h evaluates it.
 */
#ifndef PROBE_PACK_CONDITION_H
#define PROBE_PACK_CONDITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum condition_op {
	CONDITION_OR,        /* a || b */
	CONDITION_AND,       /* a && b */
	CONDITION_NOT,       /* !a */
	CONDITION_COMPARE,   /* a and b, which are none of the above: see orders */
	CONDITION_ATTRIBUTE, /* text: its name */
	CONDITION_TEXT,      /* text, len */
	CONDITION_INT,       /* number */
	CONDITION_REAL,      /* real */
	CONDITION_BOOL,      /* number */
};

/* How a may stand to b. A comparison is the set of those that it allows: <= is LESS | EQUAL. */
enum condition_order { ORDER_LESS = 1, ORDER_EQUAL = 2, ORDER_GREATER = 4 };

struct condition {
	enum condition_op op;
	unsigned orders;
	const char *text;
	size_t len;
	int64_t number;
	double real;
	const struct condition *a, *b;
};

/*
 * An attribute whose values are known: one of these words (the last is NULL), which stand for themselves beside it,
 * as in status == error; with words NULL a duration, which is written with its unit.
 */
struct condition_domain {
	const char *attribute;
	const char *const *words;
};

/*
 * The condition is the arena's. domains, or NULL: the last has no attribute; a comparison that could never hold for one
 * of them is refused. Errors: -EINVAL; the sentence shows the place with a caret line.
 */
int condition_parse(const char *text, const struct condition_domain *domains, struct arena *arena,
		    const struct condition **ret, struct err *err);

#endif
