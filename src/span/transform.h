/* What a pack's rules make of a captured value before it is an attribute. */
#ifndef SPAN_TRANSFORM_H
#define SPAN_TRANSFORM_H

#include "base/text_view.h"
#include "probe/pack/pack.h"
#include "span/attr_list.h"
#include "span/sql_cache.h"

struct captured_value {
	enum attr_kind kind;
	const char *s;
	size_t len, full_len;        /* full_len: of a string that was cut, else 0 */
	bool lost;                   /* the rest could not be read */
	union {                      /* by kind, of what is no string */
		int64_t i;
		double d;
		bool b;
	};
	const char *title;
	const char *original;        /* what "other" replaced */
	size_t original_len;
	int port;                    /* -1: none */
	bool is_sql;                 /* the attributes' sql tells of it */
	char scratch[48];            /* a number's text, or an IP's (INET6_ADDRSTRLEN) */
};

/* Nothing captured yet. There is one for each value: what is of one kind alone is not set, nor the scratch memory. */
static inline void captured_begin(struct captured_value *v)
{
	v->kind = ATTR_STRING;
	v->s = "";
	v->len = v->full_len = 0;
	v->lost = false;
	v->title = v->original = NULL;
	v->original_len = 0;
	v->port = -1;
	v->is_sql = false;
}

void captured_set_text(struct captured_value *v, const char *s, size_t len);
/* A text of a pack. number: it stands for a number, and becomes one if it is. */
void captured_set_constant(struct captured_value *v, const char *text, bool number);

/* Whether it is an attribute: "" is none. */
static inline bool captured_is_something(const struct captured_value *v, bool keep_empty)
{
	return v->kind != ATTR_STRING || v->len > 0 || v->full_len || keep_empty;
}

/* What the user decides of secrets, and what is known already. */
struct transform_wishes {
	const char *const *redact;   /* as in struct transform, or the user's own list */
	bool sql_full;               /* statements keep their literals */
	struct sql_cache *statements; /* that were read; NULL: they are read each time */
};

/* What it does, of all that one can do: a bit each. None: it leaves every value as it is. */
uint32_t transform_steps(const struct transform *t, const struct transform_wishes *wishes);
/*
 * The value of the first field of that name among lines of HTTP (`Name: value`, each with its end), without the blanks
 * around it. False where there is none, or its line has no end.
 */
bool header_field(struct text_view lines, const char *name, struct text_view *ret);
/* steps: transform_steps of the same two. False when no attribute is left. */
bool transform_apply(const struct transform *t, uint32_t steps, const struct transform_wishes *wishes,
		     struct attr_list *l, struct captured_value *v);

#endif
