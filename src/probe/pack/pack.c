#include "probe/pack/pack.h"

#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "base/vec.h"
#include "probe/ir.h"
#include "probe/lang/nearest.h"
#include "probe/pack/pack_names.h"
#include "probe/pack/pack_variant.h"
#include "probe/pack/pack_yaml.h"

const char *const span_kind_names[] = {"internal", "server", "client", "producer", "consumer", NULL};

const char *const point_role_names[] = {
	[POINT_START] = "start",   [POINT_END] = "end",	  [POINT_NOTE] = "note",
	[POINT_UNWIND] = "unwind", [POINT_EXIT] = "exit", [POINT_PANIC] = "panic",
	[POINT_JOIN] = "join",	   [POINT_TIE] = "tie",	  [POINT_DETACH] = "detach",
	[POINT_ARM] = "arm",	   [POINT_INJECT] = "inject", [POINT_RELEASE] = "release",
	[POINT_SDK] = "sdk",	   NULL};

/* ---- points ---- */

static int read_role(struct yaml *y, const yaml_node_t *node, void *into)
{
	int role = 0, r = yaml_word(y, node, point_role_names, &role);

	*(enum point_role *)into = (enum point_role)role;
	return r;
}

static int read_discard(struct yaml *y, const yaml_node_t *node, void *into)
{
	static const struct yaml_key keys[] = {
		NEEDED("attribute", struct pack_point, discard_attribute, yaml_text),
		NEEDED("equals", struct pack_point, discard_value, yaml_text),
		{0},
	};

	return yaml_map(y, node, "`discard`", keys, into);
}

static const struct yaml_key point_keys[] = {
	NEEDED("name", struct pack_point, name, yaml_text),
	NEEDED("role", struct pack_point, role, read_role),
	FIELD("optional", struct pack_point, optional, yaml_bool),
	FIELD("or_end", struct pack_point, or_end, yaml_bool),
	FIELD("recovers", struct pack_point, recovers, yaml_bool),
	FIELD("may_miss", struct pack_point, may_miss, yaml_bool),
	FIELD("by_lineage", struct pack_point, by_lineage, yaml_bool),
	{"discard", read_discard, 0, false},
	{"variants", pack_read_variants, 0, true},
	{0},
};

bool pack_lends(const struct pack_variant *v)
{
	for (size_t c = 0; c < v->ncaptures; c++)
		if (v->captures[c].use == USE_INJECT)
			return v->captures[c].inject->form >= INJECT_FORMS;
	return false;
}

bool pack_loan(const struct pack_point *p, const struct pack_variant *v)
{
	return p->role == POINT_RELEASE || pack_lends(v);
}

/* What is captured where it is not written belongs to a span, and these points to none. */
static int check_writing(struct yaml *y, const yaml_node_t *node, const struct pack_point *p)
{
	for (size_t v = 0; v < p->nvariants; v++) {
		bool injects = false, saves = false, asks = false, others = false;

		for (size_t c = 0; c < p->variants[v].ncaptures; c++) {
			enum capture_use use = p->variants[v].captures[c].use;

			injects |= use == USE_INJECT;
			saves |= use == USE_SAVED;
			asks |= use == USE_PRESENT;
			others |= use != USE_INJECT && use != USE_PRESENT && use != USE_ARMED && use != USE_SAVED &&
				  use != USE_CARRIER && use != USE_BY;
		}
		if (p->variants[v].refused && (p->role != POINT_INJECT || injects))
			return yaml_fail(y, node, "`refused` stands at a point with role inject, instead of `inject`");
		if (injects != (p->role == POINT_INJECT) && !p->variants[v].refused)
			return yaml_fail(y, node, injects ? "`inject` belongs to a point with role inject" :
							    "a point with role inject needs `inject` in each "
							    "variant");
		if (asks && p->role != POINT_ARM)
			return yaml_fail(y, node, "`present` beside `save` belongs to a point with role arm");
		if (p->role == POINT_ARM && !saves)
			return yaml_fail(y, node, "a point with role arm needs `save` in each variant");
		if (point_writes(p) && others)
			return yaml_fail(y, node, "a point with role arm or inject captures nothing");
		if (p->role == POINT_RELEASE &&
		    (p->variants[v].ncaptures || p->variants[v].when || !p->variants[v].at_return))
			return yaml_fail(y, node, "a point with role release is `at: return`, and has nothing else");
		if (pack_lends(&p->variants[v]) && p->variants[v].at_return)
			return yaml_fail(y, node, "what a function is given is written at its entry");
	}
	return 0;
}

static bool may_carry(enum point_role role)
{
	return role == POINT_START || role == POINT_NOTE || role == POINT_JOIN || role == POINT_TIE ||
	       role == POINT_ARM;
}

static int read_point(struct yaml *y, const yaml_node_t *node, struct pack_point *p)
{
	int r;

	p->line = yaml_line(node);
	r = yaml_map(y, node, "a point", point_keys, p);
	if (!r && p->recovers && p->role != POINT_START)
		r = yaml_fail(y, node, "`recovers` belongs to a point with role start");
	if (!r && p->or_end && p->role != POINT_DETACH)
		r = yaml_fail(y, node, "`or_end` belongs to a point with role detach");
	if (!r && ((p->discard_attribute && !p->or_end) || p->may_miss) && p->role != POINT_END)
		r = yaml_fail(y, node, "`discard` and `may_miss` belong to a point with role end");
	if (!r && p->role != POINT_START && p->role != POINT_SDK && point_captures(p, USE_PARENT_CHAIN))
		r = yaml_fail(y, node, "`parent` belongs to a point with role start or sdk");
	if (!r && p->role != POINT_START && p->role != POINT_DETACH && point_captures(p, USE_OWN_CHAIN))
		r = yaml_fail(y, node, "`context` belongs to a point with role start or detach");
	if (!r && p->role != POINT_ARM && point_captures(p, USE_BY))
		r = yaml_fail(y, node, "`by` belongs to a point with role arm");
	if (!r && !may_carry(p->role) && point_captures(p, USE_CARRIER))
		r = yaml_fail(y, node, "`carrier` belongs to a point with role start, note, join, tie or arm");
	if (!r && p->by_lineage && p->role != POINT_NOTE)
		r = yaml_fail(y, node, "`by_lineage` belongs to a point with role note");
	if (!r)
		r = check_writing(y, node, p);
	if (!r && p->by_lineage)
		point_add_creator(y->arena, p);
	return r;
}

static bool is_hook(enum point_role role)
{
	return role == POINT_UNWIND || role == POINT_EXIT || role == POINT_PANIC || role == POINT_SDK;
}

static int read_span_point(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack_point *p = into;
	int r = read_point(y, node, p);

	if (!r && is_hook(p->role))
		r = yaml_fail(y, node, "a point of a span is a start, an end, a note, a join, a tie, a detach, an "
				       "arm, an inject or a release; this role belongs under `hooks`");
	return r;
}

/* A hook has no span that could have attributes: what it captures is for the assembler, under names of its own. */
static int name_hook_captures(struct yaml *y, const yaml_node_t *node, const struct pack_point *p)
{
	static const char *const names[] = {[POINT_PANIC] = "type", [POINT_UNWIND] = "pc", [POINT_EXIT] = NULL,
						 [POINT_SDK] = NULL};
	const char *name = names[p->role];

	for (size_t v = 0; v < p->nvariants; v++)
		for (size_t i = 0; i < p->variants[v].ncaptures; i++) {
			struct pack_capture *c = (struct pack_capture *)&p->variants[v].captures[i];

			if (c->use == USE_PARENT_CHAIN)
				continue;
			if (!name)
				return yaml_fail(y, node, "a hook with role exit or sdk captures nothing");
			if (strcmp(c->name, name))
				return yaml_fail(y, node, "a hook with this role captures `%s` only, not `%.60s`", name,
						 c->name);
			c->use = p->role == POINT_PANIC ? USE_PANIC_TYPE : USE_RECOVERY_PC;
		}
	return 0;
}

static int read_hook(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack_point *p = into;
	int r = read_point(y, node, p);

	if (!r && !is_hook(p->role))
		r = yaml_fail(y, node, "a hook's role is unwind, exit, panic or sdk; this one belongs to a "
				       "span's `points`");
	return r ? r : name_hook_captures(y, node, p);
}

/* ---- spans ---- */

static int read_points(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack_span *s = into;

	return yaml_list(y, node, "points", sizeof(*s->points), read_span_point,
			 (void **)&s->points, &s->npoints);
}

static int read_kind(struct yaml *y, const yaml_node_t *node, void *into)
{
	int word = 0, r = yaml_word(y, node, span_kind_names, &word);

	*(enum span_kind *)into = (enum span_kind)(SPAN_INTERNAL + word);
	return r;
}

static int read_nested(struct yaml *y, const yaml_node_t *node, void *into)
{
	static const char *const words[] = {"new", "same", NULL};
	int word = 0, r = yaml_word(y, node, words, &word);

	*(bool *)into = word;
	return r;
}

static int read_error(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct err why = {0};
	const char *text;
	int r = yaml_text(y, node, &text);

	if (!r && condition_parse(text, NULL, y->arena, into, &why) < 0)
		r = yaml_fail(y, node, "%s", why.text);
	return r;
}

static int read_summary(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct err why = {0};
	const char *const *texts;
	int r = yaml_text_or_texts(y, node, &texts);

	if (!r && summary_parse(texts, y->arena, into, &why) < 0)
		r = yaml_fail(y, node, "%s", why.text);
	return r;
}

/* A form is written as a part of a summary is, without what is for the terminal only. */
static bool is_form(const struct summary *s)
{
	bool plain = !s->status;

	for (size_t i = 0; i < s->n; i++) {
		plain &= !s->parts[i].is_error;
		for (size_t k = 0; k < s->parts[i].n; k++)
			plain &= s->parts[i].items[k].op != SUMMARY_SIZE;
	}
	return plain && s->n;
}

static int read_composed(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack_span *s = into;
	size_t n = yaml_pair_count(node);
	struct pack_composed *all;
	int r = yaml_mapping(y, node, "`attribute: form`");

	if (r)
		return r;
	s->composed = all = arena_array(y->arena, struct pack_composed, n + 1);
	for (size_t i = 0; !r && i < n; i++) {
		const yaml_node_t *value;
		const char *name;

		r = yaml_pair(y, node, i, &name, &value);
		if (!r)
			r = read_summary(y, value, &all[i].forms);
		if (!r)
			all[i].name = arena_strdup(y->arena, name);
		if (!r && !is_form(all[i].forms))
			r = yaml_fail(y, value, "an attribute is composed of {attributes} and texts only");
	}
	s->ncomposed = n;
	return r;
}

static int read_endpoint(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack_endpoint *e = into;
	const char *const *names;
	int r = yaml_text_or_texts(y, node, &names);

	if (!r && (!names[0] || (names[1] && names[2])))
		r = yaml_fail(y, node, "an end of a connection is [IP, PORT], two attributes, or the one that has "
				       "both as \"host:port\"");
	if (!r)
		*e = (struct pack_endpoint){.address = names[0], .port = names[1]};
	return r;
}

static int read_connection(struct yaml *y, const yaml_node_t *node, void *into)
{
	static const struct yaml_key keys[] = {
		NEEDED("local", struct pack_connection, local, read_endpoint),
		NEEDED("remote", struct pack_connection, remote, read_endpoint),
		FIELD("stream", struct pack_connection, stream, yaml_text),
		{0},
	};
	struct pack_connection *c = arena_new(y->arena, struct pack_connection);

	*(const struct pack_connection **)into = c;
	return yaml_map(y, node, "`connection`", keys, c);
}

static int read_b3multi(struct yaml *y, const yaml_node_t *node, void *into)
{
	static const struct yaml_key keys[] = {
		NEEDED("trace", struct pack_b3_headers, trace, yaml_text),
		NEEDED("span", struct pack_b3_headers, span, yaml_text),
		FIELD("sampled", struct pack_b3_headers, sampled, yaml_text),
		FIELD("flags", struct pack_b3_headers, flags, yaml_text),
		{0},
	};
	struct pack_b3_headers *h = arena_new(y->arena, struct pack_b3_headers);

	*(const struct pack_b3_headers **)into = h;
	return yaml_map(y, node, "`b3multi`", keys, h);
}

static int read_datadog(struct yaml *y, const yaml_node_t *node, void *into)
{
	static const struct yaml_key keys[] = {
		NEEDED("trace", struct pack_datadog_headers, trace, yaml_text),
		NEEDED("parent", struct pack_datadog_headers, parent, yaml_text),
		FIELD("priority", struct pack_datadog_headers, priority, yaml_text),
		FIELD("tags", struct pack_datadog_headers, tags, yaml_text),
		{0},
	};
	struct pack_datadog_headers *h = arena_new(y->arena, struct pack_datadog_headers);

	*(const struct pack_datadog_headers **)into = h;
	return yaml_map(y, node, "`datadog`", keys, h);
}

static int read_sdk(struct yaml *y, const yaml_node_t *node, void *into)
{
	static const struct yaml_key keys[] = {
		FIELD("outside", struct pack_sdk, outside, yaml_texts),
		FIELD("inside", struct pack_sdk, inside, yaml_texts),
		{0},
	};
	struct pack_sdk *s = arena_new(y->arena, struct pack_sdk);

	*(const struct pack_sdk **)into = s;
	return yaml_map(y, node, "`sdk`", keys, s);
}

static int read_list_value(struct yaml *y, const yaml_node_t *node, const char *text, struct pack_list_value *v)
{
	static const char *const forms[] = {[LIST_BOOL] = "bool", [LIST_INT] = "int", [LIST_FLOAT] = "float",
					    [LIST_TEXT] = "text", [LIST_ITEMS] = "list", NULL};
	size_t n = strcspn(text, " ");

	v->field = text + n + strspn(text + n, " ");
	for (size_t i = 0; *v->field && forms[i]; i++)
		if (strlen(forms[i]) == n && !memcmp(forms[i], text, n)) {
			v->form = (enum list_form)i;
			return 0;
		}
	return yaml_fail(y, node, "\"%.60s\" is no value; it is written as what it is and the field that has it: bool, "
				  "int, float, text or list, as in `int Value.numeric`", text);
}

static int read_list_values(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack_lists *l = into;
	struct pack_list_value *values;
	const char *const *pairs;
	int r = yaml_text_pairs(y, node, &pairs);

	if (r)
		return r;
	l->nvalues = yaml_pair_count(node);
	l->values = values = arena_array(y->arena, struct pack_list_value, l->nvalues + 1);
	for (size_t i = 0; !r && i < l->nvalues; i++) {
		values[i].number = pairs[2 * i];
		r = read_list_value(y, node, pairs[2 * i + 1], &values[i]);
	}
	return r;
}

static int read_lists(struct yaml *y, const yaml_node_t *node, void *into)
{
	static const struct yaml_key keys[] = {
		NEEDED("each", struct pack_lists, each, yaml_text),
		NEEDED("name", struct pack_lists, name, yaml_text),
		NEEDED("type", struct pack_lists, type, yaml_text),
		{"values", read_list_values, 0, true},
		FIELD("closures", struct pack_lists, closures, yaml_text_pairs),
		{0},
	};
	struct pack_lists *l = arena_new(y->arena, struct pack_lists);

	*(const struct pack_lists **)into = l;
	return yaml_map(y, node, "`lists`", keys, l);
}

static const struct yaml_key span_keys[] = {
	NEEDED("name", struct pack_span, name, yaml_text),
	NEEDED("kind", struct pack_span, kind, read_kind),
	NEEDED("titles", struct pack_span, titles, yaml_texts),
	FIELD("error", struct pack_span, error, read_error),
	FIELD("summary", struct pack_span, summary, read_summary),
	FIELD("traceparent", struct pack_span, traceparent, yaml_text),
	FIELD("tracestate", struct pack_span, tracestate, yaml_text),
	{"compose", read_composed, 0, false},
	FIELD("b3", struct pack_span, b3, yaml_text),
	FIELD("b3multi", struct pack_span, b3multi, read_b3multi),
	FIELD("datadog", struct pack_span, datadog, read_datadog),
	FIELD("connection", struct pack_span, connection, read_connection),
	FIELD("sdk", struct pack_span, sdk, read_sdk),
	FIELD("key", struct pack_span, key, yaml_text),
	FIELD("detached", struct pack_span, detached, yaml_bool),
	FIELD("context_holds_key", struct pack_span, context_holds_key, yaml_bool),
	FIELD("lists", struct pack_span, lists, read_lists),
	FIELD("kind_from", struct pack_span, kind_from, yaml_text),
	FIELD("root", struct pack_span, root, yaml_text),
	FIELD("transparent", struct pack_span, transparent, yaml_text),
	FIELD("status_text", struct pack_span, status_text, yaml_text),
	FIELD("event_name", struct pack_span, event_name, yaml_text),
	FIELD("part_of", struct pack_span, part_of, yaml_texts),
	FIELD("nested", struct pack_span, nested_same, read_nested),
	FIELD("extended_with", struct pack_span, extended_with, yaml_texts),
	{"points", read_points, 0, true},
	{0},
};

/* "pack/span". The span's name is that of messages about the points, too. */
static int read_extends(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack_span *s = into;
	const char *slash;
	int r = yaml_text(y, node, &s->extends);

	if (r)
		return r;
	slash = strchr(s->extends, '/');
	if (!slash || slash == s->extends || !slash[1] || strchr(slash + 1, '/'))
		return yaml_fail(y, node, "`extends` names a span of another pack: pack/span, not \"%.80s\"",
				 s->extends);
	s->name = slash + 1;
	return 0;
}

static const struct yaml_key extension_keys[] = {
	{"extends", read_extends, 0, true},
	{"points", read_points, 0, true},
	{0},
};

static int check_points(struct yaml *y, const yaml_node_t *node, const char *what,
			const struct pack_point *points, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			if (!strcmp(points[i].name, points[j].name))
				return yaml_fail(y, node, "%s has two points named `%.60s` (lines %d "
							  "and %d)", what, points[i].name,
						 points[j].line, points[i].line);
	return 0;
}

static bool has_role(const struct pack_span *s, enum point_role role)
{
	for (size_t i = 0; i < s->npoints; i++)
		if (s->points[i].role == role)
			return true;
	return false;
}

static bool has_key(struct yaml *y, const yaml_node_t *map, const char *name)
{
	const yaml_node_t *value;
	const char *key;

	for (size_t i = 0; map->type == YAML_MAPPING_NODE && i < yaml_pair_count(map); i++)
		if (!yaml_pair(y, map, i, &key, &value) && !strcmp(key, name))
			return true;
	return false;
}

/* Points for another pack's span. Its attributes are checked when that pack is known (packs_resolve). */
static int read_extension(struct yaml *y, const yaml_node_t *node, struct pack_span *s)
{
	int r = yaml_map(y, node, "an extension", extension_keys, s);

	if (!r && !s->npoints)
		r = yaml_fail(y, node, "what extends %.80s needs at least one point", s->extends);
	for (size_t i = 0; !r && i < s->npoints; i++)
		if (s->points[i].role != POINT_NOTE && s->points[i].role != POINT_JOIN &&
		    !point_writes(&s->points[i]))
			r = yaml_fail(y, node, "what extends another pack's span has points with role note, join, "
					       "arm, inject or release; where it starts and ends is that pack's");
	return r ? r : check_points(y, node, "the extension", s->points, s->npoints);
}

static bool saves_late(const struct pack_span *s)
{
	for (size_t i = 0; i < s->npoints; i++)
		if (s->points[i].role != POINT_START && !point_writes(&s->points[i]) &&
		    point_captures(&s->points[i], USE_SAVED))
			return true;
	return false;
}

/* Whether one of its points with that role captures that attribute. */
static bool role_captures(const struct pack_span *s, enum point_role role, const char *attribute)
{
	for (size_t i = 0; i < s->npoints; i++)
		for (size_t v = 0; s->points[i].role == role && v < s->points[i].nvariants; v++) {
			const struct pack_variant *variant = &s->points[i].variants[v];

			for (size_t c = 0; c < variant->ncaptures; c++)
				if (!strcmp(variant->captures[c].name, attribute))
					return true;
		}
	return false;
}

static int check_detached(struct yaml *y, const yaml_node_t *node, const struct pack_span *s)
{
	if (!s->detached)
		return has_role(s, POINT_DETACH) ?
			       yaml_fail(y, node, "a point with role detach needs the span's `detached: true`") : 0;
	if (!s->key)
		return yaml_fail(y, node, "`detached` needs the span's `key`");
	if (!role_captures(s, POINT_START, s->key) && !role_captures(s, POINT_DETACH, s->key))
		return yaml_fail(y, node, "a detached span's `key` is captured by a point with role start or detach; "
					  "none of these captures `%.80s`", s->key);
	return 0;
}

static bool captures(const struct pack_span *s, enum capture_use use)
{
	for (size_t i = 0; i < s->npoints; i++)
		if (point_captures(&s->points[i], use))
			return true;
	return false;
}

static int check_lists(struct yaml *y, const yaml_node_t *node, const struct pack_span *s)
{
	if (s->context_holds_key && (!s->key || !captures(s, USE_OWN_CHAIN)))
		return yaml_fail(y, node, "`context_holds_key` needs the span's `key`, and a `context`");
	if (!s->lists && captures(s, USE_LIST))
		return yaml_fail(y, node, "a variant's `attributes` need the span's `lists`, which says what they look "
				       "like");
	return 0;
}

static int read_span(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack_span *s = into;
	int r;

	s->line = yaml_line(node);
	if (has_key(y, node, "extends"))
		return read_extension(y, node, s);
	r = yaml_map(y, node, "a span", span_keys, s);
	if (!r && saves_late(s))
		r = yaml_fail(y, node, "`save` belongs to a point with role start, arm or inject, or to what extends "
				       "another pack's span");
	if (!r && !s->titles[0])
		r = yaml_fail(y, node, "a span needs at least one title");
	if (!r && (!has_role(s, POINT_START) || !has_role(s, POINT_END)))
		r = yaml_fail(y, node, "a span needs a point with role start and one with role end");
	if (!r && (has_role(s, POINT_JOIN) || has_role(s, POINT_TIE)) && !s->key)
		r = yaml_fail(y, node, "a point with role %s needs the span's `key`",
			      has_role(s, POINT_JOIN) ? "join" : "tie");
	if (!r && s->tracestate && !s->traceparent)
		r = yaml_fail(y, node, "`tracestate` belongs to a `traceparent`, which this span does not name");
	if (!r)
		r = check_detached(y, node, s);
	if (!r)
		r = check_lists(y, node, s);
	if (!r)
		r = check_points(y, node, "the span", s->points, s->npoints);
	if (!r)
		r = pack_check_names(y, node, s);
	if (!r)
		pack_add_lineage(y->arena, s);
	return r;
}

/* ---- the pack ---- */

static int read_spans(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack *p = into;
	int r = yaml_list(y, node, "spans", sizeof(*p->spans), read_span, (void **)&p->spans, &p->nspans);

	for (size_t i = 0; !r && i < p->nspans; i++)
		for (size_t j = 0; j < i; j++)
			if (!strcmp(p->spans[i].name, p->spans[j].name) && !p->spans[i].extends && !p->spans[j].extends)
				return yaml_fail(y, node, "two spans are named `%.60s`",
						 p->spans[i].name);
	return r;
}

static int read_hooks(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack *p = into;
	int r = yaml_list(y, node, "hooks", sizeof(*p->hooks), read_hook, (void **)&p->hooks, &p->nhooks);

	return r ? r : check_points(y, node, "the pack", p->hooks, p->nhooks);
}

static int read_types(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack *p = into;
	const char *const *pairs;
	struct declared_type *types;
	struct err why = {0};
	size_t at;
	int r = yaml_text_pairs(y, node, &pairs);

	if (r)
		return r;
	p->ntypes = yaml_pair_count(node);
	p->types = types = arena_array(y->arena, struct declared_type, p->ntypes + 1);
	for (size_t i = 0; i < p->ntypes; i++) {
		types[i] = (struct declared_type){pairs[2 * i], pairs[2 * i + 1]};
		if (!strchr(types[i].name, '.'))
			return yaml_fail(y, node, "the type %.60s is written with its package, as in time.Duration",
					 types[i].name);
		if (type_syntax_check(types[i].type + strspn(types[i].type, "= "), &at, &why))
			return yaml_fail(y, node, "%.60s: %.200s", types[i].name, why.text);
	}
	return 0;
}

static const struct yaml_key pack_keys[] = {
	NEEDED("pack", struct pack, name, yaml_text),
	NEEDED("about", struct pack, about, yaml_text),
	NEEDED("packages", struct pack, packages, yaml_texts),
	{"on_request", yaml_bool, offsetof(struct pack, on_request), false},
	{"spans", read_spans, 0, false},
	{"hooks", read_hooks, 0, false},
	{"texts", yaml_text_pairs, offsetof(struct pack, texts), false},
	{"types", read_types, 0, false},
	{0},
};

static int read_pack(struct yaml *y, struct pack *p)
{
	const yaml_node_t *root = yaml_root(y);
	int r;

	if (!root)
		return err_set(y->err, -EINVAL, "%s:1:1: the file is empty; a pack begins with "
						"`pack: name`", y->file);
	r = yaml_map(y, root, "a pack", pack_keys, p);
	if (!r && !p->packages[0])
		r = yaml_fail(y, root, "`packages` names none; say which import path the pack is for");
	if (!r && !p->nspans && !p->nhooks && !p->texts && !p->ntypes)
		r = yaml_fail(y, root, "a pack needs `spans`, `hooks`, `texts` or `types`");
	return r;
}

int pack_parse(const char *file, const char *text, size_t len, struct pack **ret, struct err *err)
{
	struct pack *p = xcalloc(1, sizeof(*p));
	struct yaml y = {.arena = &p->arena, .err = err};
	int r;

	p->file = arena_strdup(&p->arena, file);
	p->hash = fnv1a(FNV1A_BASIS, text, len);
	r = yaml_load(&y, p->file, text, len);
	if (!r) {
		r = read_pack(&y, p);
		yaml_done(&y);
	}
	if (r)
		pack_free(p);
	else
		*ret = p;
	return r;
}

/* ---- packs together ---- */

static const struct pack *pack_named(struct pack *const *packs, size_t n, const char *name, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(packs[i]->name) == len && !memcmp(packs[i]->name, name, len))
			return packs[i];
	return NULL;
}

static const struct pack_span *span_named(const struct pack *p, const char *name)
{
	for (size_t i = 0; i < p->nspans; i++)
		if (!p->spans[i].extends && !strcmp(p->spans[i].name, name))
			return &p->spans[i];
	return NULL;
}

static int resolve(struct pack *const *packs, size_t n, struct pack *p, struct pack_span *s, struct err *err)
{
	struct yaml y = {.file = p->file, .arena = &p->arena, .err = err};
	const yaml_node_t at = {.start_mark.line = (size_t)s->line - 1};
	size_t len = strcspn(s->extends, "/");
	const struct pack *of = pack_named(packs, n, s->extends, len);

	if (!of)
		return err_set(err, -ENOENT, "the pack %s adds to spans of the pack %.*s, which is not selected; "
			       "select both (--packs %.*s --packs %s)", p->name, (int)len, s->extends, (int)len,
			       s->extends, p->name);
	s->of = span_named(of, s->name);
	if (!s->of)
		return yaml_fail(&y, &at, "`extends` names %.80s, but the pack %s has no such span", s->extends,
				 of->name);
	if (has_role(s, POINT_JOIN) && !s->of->key)
		return yaml_fail(&y, &at, "%.80s has no `key`, which a point with role join needs", s->extends);
	return pack_check_extension(&y, &at, s);
}

typedef VEC(const char *) name_vec;

/* What a span of p may be a part of, but for what is built in and not selected. */
static void names_of_wholes(struct pack *const *packs, size_t n, const struct pack *p, name_vec *ret)
{
	for (size_t i = 0; i < p->nspans; i++)
		if (!p->spans[i].extends)
			vec_push(ret, p->spans[i].name);
	for (size_t i = 0; i < n; i++)
		vec_push(ret, packs[i]->name);
}

static void names_built_in(struct arena *arena, name_vec *ret)
{
	for (const struct pack_source *s = pack_builtin; s->file; s++) {
		struct pack *built_in;

		if (pack_parse(s->file, s->text, s->len, &built_in, NULL))
			continue;
		vec_push(ret, arena_strdup(arena, built_in->name));
		pack_free(built_in);
	}
}

static bool is_listed(const name_vec *names, const char *name)
{
	for (size_t i = 0; i < names->len; i++)
		if (!strcmp(names->data[i], name))
			return true;
	return false;
}

/* A whole that nobody knows is a slip of the pen: the span would stand beside what it is a part of. */
static int check_parts(struct pack *const *packs, size_t n, struct pack *p, const struct pack_span *s, struct err *err)
{
	struct yaml y = {.file = p->file, .arena = &p->arena, .err = err};
	const yaml_node_t at = {.start_mark.line = (size_t)s->line - 1};
	name_vec names = {0};
	int r = 0;

	names_of_wholes(packs, n, p, &names);
	for (const char *const *name = s->part_of; !r && *name; name++) {
		const char *near;

		if (is_listed(&names, *name))
			continue;
		names_built_in(&p->arena, &names);
		near = is_listed(&names, *name) ? NULL : nearest_name(*name, names.data, names.len);
		if (!is_listed(&names, *name))
			r = yaml_fail(&y, &at, "`part_of` names `%.80s`, but there is no such pack, nor such a span in "
					       "this one%s%.80s%s", *name, near ? "; did you mean `" : "",
				      near ? near : "", near ? "`?" : "");
	}
	vec_done(&names);
	return r;
}

int pack_resolve(struct pack *const *packs, size_t n, struct pack *p, struct err *err)
{
	int r = 0;

	for (size_t k = 0; !r && k < p->nspans; k++) {
		if (p->spans[k].extends)
			r = resolve(packs, n, p, (struct pack_span *)&p->spans[k], err);
		else if (p->spans[k].part_of)
			r = check_parts(packs, n, p, &p->spans[k], err);
	}
	return r;
}

int packs_resolve(struct pack *const *packs, size_t n, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		r = pack_resolve(packs, n, packs[i], err);
	return r;
}

void pack_free(struct pack *p)
{
	if (!p)
		return;
	arena_done(&p->arena);
	free(p);
}
