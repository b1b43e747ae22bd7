#include "span/rules.h"

#include <string.h>

#include "span/condition.h"

static const char *const statuses[] = {"error", "unset", NULL};
static const struct condition_domain domains[] = {
	{"status", statuses}, {"kind", span_kind_names}, {"duration", NULL}, {"latency", NULL}, {0}};

int span_rule_parse(const char *text, struct arena *arena, const struct condition **ret, struct err *err)
{
	return condition_parse(text, domains, arena, ret, err);
}

bool span_rules_name(const struct span_rules *r, const char *name)
{
	for (size_t i = 0; i < r->names.len; i++)
		if (!strcmp(r->names.data[i], name))
			return true;
	return false;
}

enum meaning {
	MEANS_ATTRIBUTE, MEANS_STATUS, MEANS_KIND, MEANS_NAME, MEANS_PACK, MEANS_DURATION, MEANS_PANICKED
};

static enum meaning meaning_of(const char *name)
{
	static const struct {
		const char *name;
		enum meaning meaning;
	} all[] = {{"status", MEANS_STATUS}, {"kind", MEANS_KIND},	  {"name", MEANS_NAME},
		   {"pack", MEANS_PACK},     {"duration", MEANS_DURATION}, {"latency", MEANS_DURATION},
		   {"panicked", MEANS_PANICKED}};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (!strcmp(name, all[i].name))
			return all[i].meaning;
	return MEANS_ATTRIBUTE;
}

static void add_names(struct span_rules *r, const struct condition *c)
{
	if (!c)
		return;
	add_names(r, c->a);
	add_names(r, c->b);
	if (c->op != CONDITION_ATTRIBUTE || span_rules_name(r, c->text))
		return;
	vec_push(&r->names, c->text);
	vec_push(&r->meanings, meaning_of(c->text));
}

static void set_text(struct span_rules *r, const char *name, const char *text)
{
	attr_list_set_string(&r->values, name, text, strlen(text));
}

static void set_value(struct span_rules *r, const char *name, const struct attr *a)
{
	struct attr_value *v;

	if (a->kind == ATTR_STRING) {
		attr_list_set_string(&r->values, name, a->s, a->len);
		return;
	}
	v = attr_list_set(&r->values, name, a->kind);
	if (a->kind == ATTR_INT)
		v->i = a->i;
	else if (a->kind == ATTR_DOUBLE)
		v->d = a->d;
	else
		v->b = a->b;
}

static void set_of_span(struct span_rules *r, const char *name, enum meaning meaning, const struct span *s)
{
	const struct attr *a;

	switch (meaning) {
	case MEANS_STATUS:
		set_text(r, name, span_status_text(s->status));
		break;
	case MEANS_KIND:
		set_text(r, name, span_kind_text(s->kind));
		break;
	case MEANS_NAME:
		set_text(r, name, s->name);
		break;
	case MEANS_PACK:
		set_text(r, name, s->pack);
		break;
	case MEANS_DURATION:
		attr_list_set(&r->values, name, ATTR_INT)->i = (int64_t)s->duration_ns;
		break;
	case MEANS_PANICKED:
		attr_list_set(&r->values, name, ATTR_BOOL)->b = s->panicked;
		break;
	case MEANS_ATTRIBUTE:
		a = span_attr(s, name);
		if (a)
			set_value(r, name, a);
	}
}

static bool any_holds(struct span_rules *r)
{
	const struct attr_value *cause;

	for (size_t i = 0; i < r->n; i++)
		if (condition_holds(r->rules[i], &r->values, &cause))
			return true;
	return false;
}

/* ---- the short way ---- */

/* Where a rule has it beside others that may hold, or in a negation, it is none of these. */
static bool term_of(const struct condition *c, struct rule_term *ret)
{
	const struct condition *name = c->op == CONDITION_COMPARE ? c->a : c;

	if (name->op != CONDITION_ATTRIBUTE)
		return false;
	*ret = (struct rule_term){.meaning = meaning_of(name->text), .orders = c->orders, .name = name->text};
	if (c->op == CONDITION_ATTRIBUTE)
		return ret->meaning == MEANS_ATTRIBUTE || ret->meaning == MEANS_PANICKED;
	ret->number = c->b->number;
	if (ret->meaning == MEANS_STATUS && c->b->op == CONDITION_TEXT && c->orders == ORDER_EQUAL) {
		ret->number = strcmp(c->b->text, statuses[0]) ? SPAN_STATUS_UNSET : SPAN_STATUS_ERROR;
		return true;
	}
	return ret->meaning == MEANS_DURATION && c->b->op == CONDITION_INT;
}

static void add_terms(struct span_rules *r, const struct condition *c)
{
	struct rule_term t;

	if (c->op == CONDITION_OR) {
		add_terms(r, c->a);
		add_terms(r, c->b);
	} else if (term_of(c, &t)) {
		vec_push(&r->terms, t);
	} else {
		r->has_others = true;
	}
}

static bool is_allowed(unsigned orders, int64_t a, int64_t b)
{
	return orders & (a < b ? ORDER_LESS : a > b ? ORDER_GREATER : ORDER_EQUAL);
}

enum answer { NO, YES, NOT_SURE /* all has to be evaluated */ };

static enum answer short_answer(const struct span_rules *r, const struct span *s)
{
	enum answer none = r->has_others ? NOT_SURE : NO;

	for (size_t i = 0; i < r->terms.len; i++) {
		const struct rule_term *t = &r->terms.data[i];

		if ((t->meaning == MEANS_STATUS && s->status == (enum span_status)t->number) ||
		    (t->meaning == MEANS_PANICKED && s->panicked) ||
		    (t->meaning == MEANS_DURATION && is_allowed(t->orders, (int64_t)s->duration_ns, t->number)))
			return YES;
		if (t->meaning == MEANS_ATTRIBUTE && span_attr(s, t->name)) /* which may be false */
			none = NOT_SURE;
	}
	return none;
}

bool span_rules_hold(struct span_rules *r, const struct span *s)
{
	const enum answer a = short_answer(r, s);

	if (a != NOT_SURE)
		return a == YES;
	attr_list_reset(&r->values);
	for (size_t i = 0; i < r->names.len; i++)
		set_of_span(r, r->names.data[i], r->meanings.data[i], s);
	return any_holds(r);
}

bool span_rules_hold_of(struct span_rules *r, const struct attr *attrs, size_t n)
{
	attr_list_reset(&r->values);
	for (size_t i = 0; i < r->names.len; i++)
		for (size_t j = 0; j < n; j++)
			if (!strcmp(r->names.data[i], attrs[j].key))
				set_value(r, r->names.data[i], &attrs[j]);
	return any_holds(r);
}

void span_rules_init(struct span_rules *r, const struct condition *const *rules, size_t n)
{
	*r = (struct span_rules){.rules = rules, .n = n};
	for (size_t i = 0; i < n; i++) {
		add_names(r, rules[i]);
		add_terms(r, rules[i]);
	}
}

void span_rules_done(struct span_rules *r)
{
	attr_list_done(&r->values);
	vec_done(&r->names);
	vec_done(&r->meanings);
	vec_done(&r->terms);
}
