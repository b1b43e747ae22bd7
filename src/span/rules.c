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

bool span_rules_hold(struct span_rules *r, const struct span *s)
{
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
	for (size_t i = 0; i < n; i++)
		add_names(r, rules[i]);
}

void span_rules_done(struct span_rules *r)
{
	attr_list_done(&r->values);
	vec_done(&r->names);
	vec_done(&r->meanings);
}
