/* What a pack's rules make of a captured value before it is an attribute. */
#ifndef SPAN_TRANSFORM_H
#define SPAN_TRANSFORM_H

#include "base/text_view.h"
#include "probe/pack/pack.h"
#include "span/attr_list.h"

struct captured_value {
	enum attr_kind kind;
	const char *s;
	size_t len, full_len;        /* full_len: of a string that was cut, else 0 */
	bool lost;                   /* the rest could not be read */
	int64_t i;
	double d;
	bool b;
	const char *title;
	const char *original;        /* what "other" replaced */
	size_t original_len;
	int port;                    /* -1: none */
	bool is_sql;                 /* the attributes' sql tells of it */
	char scratch[48];            /* a number's text, or an IP's (INET6_ADDRSTRLEN) */
};
void captured_set_text(struct captured_value *v, const char *s, size_t len);
/* A text of a pack. number: it stands for a number, and becomes one if it is. */
void captured_set_constant(struct captured_value *v, const char *text, bool number);

/* What the user decides of secrets. */
struct transform_wishes {
	const char *const *redact;   /* as in struct transform, or the user's own list */
	bool sql_full;               /* statements keep their literals */
};

/*
 * The value of the first field of that name among lines of HTTP (`Name: value`, each with its end), without the blanks
 * around it. False where there is none, or its line has no end.
 */
bool header_field(struct text_view lines, const char *name, struct text_view *ret);
/* False when no attribute is left. */
bool transform_apply(const struct transform *t, const struct transform_wishes *wishes, struct attr_list *l,
		     struct captured_value *v);

#endif
