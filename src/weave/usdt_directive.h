/*
 * A USDT probe that source asks for: `//earshot:usdt PROVIDER:NAME EXPRESSION, …` above a function, or where a
 * statement may stand. An expression is one that Earshot reads (parameters, and what they lead to), or makes a plain
 * value of any variable: string(x), int64(x), []byte(x), len(x). Those are Go's to look up, so they take names alone:
 * nothing in them can fail.
 */
#ifndef WEAVE_USDT_DIRECTIVE_H
#define WEAVE_USDT_DIRECTIVE_H

#include "base/arena.h"
#include "base/err.h"
#include "weave/usdt.h"

struct usdt_expression {
	const char *text;
	const char *type; /* of what Go looks up; NULL: it is earshot's to read */
};

struct usdt_asked {
	const char *provider, *name;
	struct usdt_expression expressions[USDT_ARGUMENTS_MAX];
	size_t n;
};

/* text: behind the directive's word. In arena. -EINVAL with a sentence. */
int usdt_directive_read(const char *text, struct arena *arena, struct usdt_asked *ret, struct err *err);

#endif
