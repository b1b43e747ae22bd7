/*
 * Rules over whole spans: which traces are kept, when a recording is written out. A rule is a condition
 * (probe/pack/pack_condition.h) over attributes and over what each span has: `duration`, also called `latency` (ns;
 * `1s` is understood), `status` (unset, error), `kind` (server …), `name`, `pack`, `panicked`. An attribute is written
 * as its name, or attr["name"].
 */
#ifndef SPAN_RULES_H
#define SPAN_RULES_H

#include "probe/pack/pack_condition.h"
#include "span/attr_list.h"

/* The rule is the arena's. Errors: -EINVAL; the sentence shows the place with a caret line. */
int span_rule_parse(const char *text, struct arena *arena, const struct condition **ret, struct err *err);

/* status == error, latency > 1s, panicked, or an attribute alone. */
struct rule_term {
	unsigned char meaning;
	unsigned orders;
	int64_t number;
	const char *name;
};

struct span_rules {
	const struct condition *const *rules;
	size_t n;
	VEC(const char *) names; /* that rules name, each once */
	VEC(unsigned char) meanings; /* of these: rules.c's */
	VEC(struct rule_term) terms; /* what rules are alternatives of, where each can be told at once */
	bool has_others;             /* of them: all have to be evaluated */
	struct attr_list values; /* of these, of the span at hand */
};

/* The rules outlive it, as do their texts. */
void span_rules_init(struct span_rules *r, const struct condition *const *rules, size_t n);
void span_rules_done(struct span_rules *r);
/* Whether one of them is enough. */
bool span_rules_hold(struct span_rules *r, const struct span *s);
/* The same of something else than a span, which has these attributes and nothing more. */
bool span_rules_hold_of(struct span_rules *r, const struct attr *attrs, size_t n);
bool span_rules_name(const struct span_rules *r, const char *name);

#endif
