/*
 * What a row of the terminal shows of a span, as a pack's `summary` says it: a list of parts, from left to right.
 *
 *   {http.response.status_code:status}   what the status column shows
 *   {url.path}[?{url.query:dim}]         attributes with text between them; in [ ] what may be left out
 *   ↑{http.request.body.size:size}       a number of bytes
 *   {error}                              where a row says what went wrong; first, if no part is that
 *
 * A part is shown when all its attributes outside of [ ] have something to say, what is in [ ] when its own have too.
 * sink/headline.h draws it.
 */
#ifndef PROBE_PACK_SUMMARY_H
#define PROBE_PACK_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

#define SUMMARY_GROUPS 4 /* [ ] of one part */

enum summary_op {
	SUMMARY_TEXT,      /* text, as it is */
	SUMMARY_ATTRIBUTE, /* text: its name */
	SUMMARY_SIZE,      /* text: the name of an attribute, shown as "1.2 kB"; 0 and less say nothing */
};

struct summary_item {
	enum summary_op op;
	const char *text;
	bool dim;          /* a text is like the attribute behind it, or else the one before it */
	unsigned group;    /* of [ ], counted from 1 to SUMMARY_GROUPS; 0: outside of them */
};

struct summary_part {
	const struct summary_item *items;
	size_t n;
	bool is_error;     /* {error}: no items */
};

struct summary {
	const char *status; /* the attribute of the status column, or NULL */
	const struct summary_part *parts;
	size_t n;
};

/*
 * texts: the parts, NULL-terminated. The summary is the arena's. Errors: -EINVAL; the sentence shows the place with a
 * caret line.
 */
int summary_parse(const char *const *texts, struct arena *arena, const struct summary **ret, struct err *err);

#endif
