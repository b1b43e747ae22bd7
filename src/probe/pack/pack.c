#include "probe/pack/pack.h"

#include <errno.h>
#include <string.h>

#include "base/vec.h"
#include "probe/lang/expr.h"
#include "probe/lang/nearest.h"
#include "probe/pack/pack_yaml.h"

#define FIELD(key, T, field, read) {key, read, offsetof(T, field), false}
#define NEEDED(key, T, field, read) {key, read, offsetof(T, field), true}

/* ---- expressions and function references, checked for their syntax ---- */

static int check_expr(struct yaml *y, const yaml_node_t *node, const char *text)
{
	struct err why = {0};
	struct expr *e;
	int r = expr_parse(text, y->arena, &e, &why);

	return r ? yaml_fail(y, node, "%s", why.text) : 0;
}

static int read_expr(struct yaml *y, const yaml_node_t *node, void *into)
{
	int r = yaml_text(y, node, into);

	return r ? r : check_expr(y, node, *(const char **)into);
}

static int read_exprs(struct yaml *y, const yaml_node_t *node, void *into)
{
	int r = yaml_text_or_texts(y, node, into);
	const char *const *all = r ? NULL : *(const char *const **)into;

	if (!r && !*all)
		r = yaml_fail(y, node, "an expression is expected here, but the list is empty");
	for (; !r && *all; all++)
		r = check_expr(y, node, *all);
	return r;
}

static int read_func(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct err why = {0};
	struct func_ref f;
	int r = yaml_text(y, node, into);

	if (!r && func_ref_parse(*(const char **)into, y->arena, &f, &why) < 0)
		r = yaml_fail(y, node, "%s", why.text);
	return r;
}

/* A function, and at least one other. */
static int read_call(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct err why = {0};
	struct func_ref f;
	const char *const *all;
	size_t n = 0;
	int r = yaml_texts(y, node, into);

	for (all = r ? NULL : *(const char *const **)into; !r && all[n]; n++)
		if (func_ref_parse(all[n], y->arena, &f, &why) < 0)
			r = yaml_fail(y, node, "%s", why.text);
	if (!r && n < 2)
		r = yaml_fail(y, node, "a function and those that it may call are expected here: [caller, called]");
	return r;
}

/* "pkg/path.Type.field" */
static int read_field_name(struct yaml *y, const yaml_node_t *node, void *into)
{
	const char *s, *base;
	int r = yaml_text(y, node, into);

	if (r)
		return r;
	s = *(const char **)into;
	base = strrchr(s, '/');
	base = strchr(base ? base : s, '.');
	if (!base || base == s || !strchr(base + 1, '.') || strchr(s, ' '))
		return yaml_fail(y, node, "\"%.80s\" is no field's name; it is written "
					  "path/package.Type.field", s);
	return 0;
}

/* ---- captures ---- */

static int read_min(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct transform *t = into;
	int r = yaml_int(y, node, &t->min);

	t->min_set = !r;
	return r;
}

static int read_sql(struct yaml *y, const yaml_node_t *node, void *into)
{
	static const struct yaml_key keys[] = {
		FIELD("system", struct sql_attributes, system, yaml_text),
		FIELD("operation", struct sql_attributes, operation, yaml_text),
		FIELD("collection", struct sql_attributes, collection, yaml_text),
		FIELD("summary", struct sql_attributes, summary, yaml_text),
		{0},
	};
	struct sql_attributes *sql = arena_new(y->arena, struct sql_attributes);

	*(const struct sql_attributes **)into = sql;
	return yaml_map(y, node, "`sql`", keys, sql);
}

static const struct yaml_key capture_keys[] = {
	FIELD("expr", struct pack_capture, alternatives, read_exprs),
	FIELD("const", struct pack_capture, constant, yaml_text),
	FIELD("number", struct pack_capture, number, yaml_bool),
	FIELD("when", struct pack_capture, when, read_expr),
	FIELD("optional", struct pack_capture, optional, yaml_bool),
	FIELD("may_be_gone", struct pack_capture, may_be_gone, yaml_bool),
	FIELD("default", struct pack_capture, transform.default_value, yaml_text),
	FIELD("ip", struct pack_capture, transform.ip, yaml_bool),
	FIELD("escape", struct pack_capture, transform.escape, yaml_bool),
	FIELD("unescape", struct pack_capture, transform.unescape, yaml_bool),
	FIELD("drop", struct pack_capture, transform.drop, yaml_texts),
	FIELD("from", struct pack_capture, transform.from, yaml_text),
	FIELD("after", struct pack_capture, transform.after, yaml_text),
	FIELD("until", struct pack_capture, transform.until, yaml_text),
	FIELD("upper", struct pack_capture, transform.upper, yaml_bool),
	FIELD("trailing_number", struct pack_capture, transform.trailing_number, yaml_bool),
	FIELD("append", struct pack_capture, transform.append, yaml_texts),
	FIELD("replace", struct pack_capture, transform.replace, yaml_text_pairs),
	FIELD("parameters", struct pack_capture, transform.parameters, yaml_text),
	FIELD("mounted", struct pack_capture, transform.mounted, yaml_texts),
	FIELD("prefix_of", struct pack_capture, transform.prefix_of, yaml_text),
	FIELD("same", struct pack_capture, transform.same, yaml_texts),
	FIELD("unless_known", struct pack_capture, transform.unless_known, yaml_bool),
	FIELD("redact", struct pack_capture, transform.redact, yaml_texts),
	FIELD("sql", struct pack_capture, transform.sql, read_sql),
	FIELD("map", struct pack_capture, transform.map, yaml_text_pairs),
	FIELD("known", struct pack_capture, transform.known, yaml_texts),
	FIELD("other", struct pack_capture, transform.other, yaml_text),
	FIELD("title_other", struct pack_capture, transform.title_other, yaml_text),
	FIELD("original", struct pack_capture, transform.original, yaml_text),
	FIELD("port", struct pack_capture, transform.port_attribute, yaml_text),
	FIELD("keep_empty", struct pack_capture, transform.keep_empty, yaml_bool),
	FIELD("min", struct pack_capture, transform, read_min),
	FIELD("hidden", struct pack_capture, transform.hidden, yaml_bool),
	{0},
};

static int check_capture(struct yaml *y, const yaml_node_t *node, struct pack_capture *c)
{
	static const char *const none[] = {NULL};
	const struct transform *t = &c->transform;

	if (!c->alternatives == !c->constant)
		return yaml_fail(y, node, "a capture needs either `expr` or `const`");
	if (c->number && !c->constant)
		return yaml_fail(y, node, "`number` belongs to a `const`; an expression has a type");
	if (!t->known != !t->other)
		return yaml_fail(y, node, "`known` and `other` belong together");
	if ((t->original || t->title_other) && !t->other)
		return yaml_fail(y, node, "`original` and `title_other` need `known` and `other`");
	if (t->escape && t->unescape)
		return yaml_fail(y, node, "`escape` and `unescape` undo one another");
	if (t->redact && (t->escape || t->unescape))
		return yaml_fail(y, node, "`redact` is for a query as it came, and `%s` changes it before",
				 t->escape ? "escape" : "unescape");
	if (t->same && (!t->same[0] || !t->same[1] || t->same[2]))
		return yaml_fail(y, node, "`same` names two attributes: [a, b]");
	if (t->mounted && (!t->mounted[0] || !t->mounted[1] || !t->mounted[2] || t->mounted[3]))
		return yaml_fail(y, node, "`mounted` names three attributes: [route, path, whole path]");
	if (!c->alternatives)
		c->alternatives = none;
	return 0;
}

static int read_capture(struct yaml *y, const yaml_node_t *node, struct pack_capture *c)
{
	int r;

	c->line = yaml_line(node);
	if (node->type == YAML_SCALAR_NODE)
		return read_exprs(y, node, &c->alternatives);
	r = yaml_map(y, node, "a capture", capture_keys, c);
	return r ? r : check_capture(y, node, c);
}

typedef VEC(struct pack_capture) capture_vec;

/* Several captures of one attribute: at most one of them should hold, so all but the last say when. */
static int read_capture_list(struct yaml *y, const yaml_node_t *node, const char *name,
			     capture_vec *out)
{
	const yaml_node_item_t *item = node->data.sequence.items.start;
	const yaml_node_item_t *end = node->data.sequence.items.top;
	int r = 0;

	if (item == end)
		return yaml_fail(y, node, "the list of captures is empty");
	for (; item < end && !r; item++) {
		const yaml_node_t *n = yaml_node(y, *item);
		struct pack_capture *c = vec_add(out);

		c->name = name;
		if (n->type != YAML_MAPPING_NODE)
			return yaml_fail(y, n, "each capture of a list is a mapping with `when`; "
					       "alternatives go into {expr: [a, b]}");
		r = read_capture(y, n, c);
		if (!r && !c->when && c->constant && item + 1 < end)
			r = yaml_fail(y, n, "this capture needs `when`: another one of `%.60s` follows",
				      name);
	}
	return r;
}

/* One that would silently be an attribute. */
static int check_capture_name(struct yaml *y, const yaml_node_t *node, const char *name)
{
	if (strncmp(name, "saved.", strlen("saved.")))
		return 0;
	return yaml_fail(y, node, "`%.60s` is no attribute's name; what is saved stands beside `capture`, "
				  "under `save`: {%.60s: …}", name, name + strlen("saved."));
}

static int read_capture_pairs(struct yaml *y, const yaml_node_t *node, capture_vec *out)
{
	int r = 0;

	for (size_t i = 0; i < yaml_pair_count(node) && !r; i++) {
		const yaml_node_t *value;
		const char *key;

		r = yaml_pair(y, node, i, &key, &value);
		if (!r)
			r = check_capture_name(y, value, key);
		if (r)
			break;
		key = arena_strdup(y->arena, key);
		if (value->type == YAML_SEQUENCE_NODE) {
			r = read_capture_list(y, value, key, out);
		} else {
			struct pack_capture *c = vec_add(out);

			c->name = key;
			r = read_capture(y, value, c);
		}
	}
	return r;
}

/* Adds them to those that the variant has. */
static void add_captures(struct arena *arena, struct pack_variant *v, const capture_vec *more)
{
	struct pack_capture *all = arena_array(arena, struct pack_capture, v->ncaptures + more->len);

	if (v->ncaptures)
		memcpy(all, v->captures, v->ncaptures * sizeof(*all));
	if (more->len)
		memcpy(all + v->ncaptures, more->data, more->len * sizeof(*all));
	v->captures = all;
	v->ncaptures += more->len;
}

static int read_captures(struct yaml *y, const yaml_node_t *node, void *into)
{
	capture_vec all = {0};
	int r = yaml_mapping(y, node, "`attribute: expression`");

	if (!r)
		r = read_capture_pairs(y, node, &all);
	if (!r)
		add_captures(y->arena, into, &all);
	vec_done(&all);
	return r;
}

static const struct yaml_key chosen_keys[] = {
	NEEDED("expr", struct pack_capture, alternatives, read_exprs),
	FIELD("when", struct pack_capture, when, read_expr),
	FIELD("optional", struct pack_capture, optional, yaml_bool),
	{0},
};

static int read_saved_value(struct yaml *y, size_t i, const yaml_node_t *map, struct pack_capture *c)
{
	const yaml_node_t *value;
	const char *name;
	int r = yaml_pair(y, map, i, &name, &value);

	if (r)
		return r;
	*c = (struct pack_capture){.use = USE_SAVED, .name = arena_printf(y->arena, "saved.%s", name),
				   .transform.hidden = true, .line = yaml_line(value)};
	c->saved_as = c->name + strlen("saved.");
	if (value->type == YAML_MAPPING_NODE)
		return yaml_map(y, value, "a saved value", chosen_keys, c);
	return read_exprs(y, value, &c->alternatives);
}

static int read_save(struct yaml *y, const yaml_node_t *node, void *into)
{
	capture_vec all = {0};
	int r = yaml_mapping(y, node, "`name: expression`");

	for (size_t i = 0; !r && i < yaml_pair_count(node); i++)
		r = read_saved_value(y, i, node, vec_add(&all));
	if (!r)
		add_captures(y->arena, into, &all);
	vec_done(&all);
	return r;
}

/* ---- contexts and lineage: captures that are no attributes ---- */

static bool is_list_of_mappings(struct yaml *y, const yaml_node_t *node)
{
	return node->type == YAML_SEQUENCE_NODE &&
	       node->data.sequence.items.start < node->data.sequence.items.top &&
	       yaml_node(y, *node->data.sequence.items.start)->type == YAML_MAPPING_NODE;
}

/* One, or a list of mappings of which one should hold. */
static int read_chain(struct yaml *y, const yaml_node_t *node, enum capture_use use, const char *name, void *into)
{
	const yaml_node_item_t *item = &(yaml_node_item_t){0}, *end = item + 1;
	capture_vec all = {0};
	int r = 0;

	if (is_list_of_mappings(y, node)) {
		item = node->data.sequence.items.start;
		end = node->data.sequence.items.top;
	}
	for (; !r && item < end; item++) {
		const yaml_node_t *one = *item ? yaml_node(y, *item) : node;
		struct pack_capture *c = vec_add(&all);

		*c = (struct pack_capture){.use = use, .name = name, .line = yaml_line(one)};
		r = one->type == YAML_MAPPING_NODE ? yaml_map(y, one, "a context", chosen_keys, c)
						   : read_exprs(y, one, &c->alternatives);
	}
	if (!r)
		add_captures(y->arena, into, &all);
	vec_done(&all);
	return r;
}

static int read_parent(struct yaml *y, const yaml_node_t *node, void *into)
{
	return read_chain(y, node, USE_PARENT_CHAIN, "parent", into);
}

static int read_context(struct yaml *y, const yaml_node_t *node, void *into)
{
	return read_chain(y, node, USE_OWN_CHAIN, "context", into);
}

static const struct pack_capture lineage[] = {
	{.use = USE_CREATOR, .name = "lineage.creator"},
	{.use = USE_START_PC, .name = "lineage.function"},
	{.use = USE_GOIDGEN, .name = "epoch.counter"},
	{.use = USE_GOID_CACHE, .name = "epoch.cache"},
	{.use = USE_GOID_CACHE_END, .name = "epoch.cache_end"},
};

/* Those from the use `from` up to, without, the use `to` are captured, too. */
static void add_lineage(struct arena *arena, struct pack_variant *v, enum capture_use from, enum capture_use to)
{
	static const char *const none[] = {NULL};
	capture_vec all = {0};

	for (enum capture_use use = from; use < to; use++) {
		struct pack_capture c = lineage[use - USE_CREATOR];

		c.alternatives = none;
		c.optional = c.transform.hidden = true;
		c.line = v->line;
		vec_push(&all, c);
	}
	add_captures(arena, v, &all);
	vec_done(&all);
}

/* ---- variants and points ---- */

static int read_at(struct yaml *y, const yaml_node_t *node, void *into)
{
	static const char *const words[] = {"entry", "return", NULL};
	int word = 0, r = yaml_word(y, node, words, &word);

	*(bool *)into = word;
	return r;
}

static const struct yaml_key variant_keys[] = {
	NEEDED("func", struct pack_variant, func, read_func),
	FIELD("at", struct pack_variant, at_return, read_at),
	FIELD("when", struct pack_variant, when, read_expr),
	FIELD("goroutine", struct pack_variant, goroutine, read_expr),
	FIELD("sp", struct pack_variant, sp, read_expr),
	FIELD("needs_absent", struct pack_variant, needs_absent, read_field_name),
	FIELD("needs_present", struct pack_variant, needs_present, read_field_name),
	FIELD("needs_func", struct pack_variant, needs_func, read_func),
	FIELD("not_inlined", struct pack_variant, not_inlined, yaml_bool),
	FIELD("needs_call", struct pack_variant, needs_call, read_call),
	FIELD("needs_no_call", struct pack_variant, needs_no_call, read_call),
	{"capture", read_captures, 0, false},
	{"save", read_save, 0, false},
	{"parent", read_parent, 0, false},
	{"context", read_context, 0, false},
	{0},
};

static int read_variant(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack_variant *v = into;

	v->line = yaml_line(node);
	return yaml_map(y, node, "a variant", variant_keys, v);
}

static int read_variants(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack_point *p = into;
	int r = yaml_list(y, node, "variants", sizeof(*p->variants), read_variant,
			  (void **)&p->variants, &p->nvariants);

	if (!r && !p->nvariants)
		r = yaml_fail(y, node, "a point needs at least one variant");
	return r;
}

static int read_role(struct yaml *y, const yaml_node_t *node, void *into)
{
	static const char *const words[] = {
		[POINT_START] = "start",   [POINT_END] = "end",	  [POINT_NOTE] = "note",
		[POINT_UNWIND] = "unwind", [POINT_EXIT] = "exit", [POINT_PANIC] = "panic",
		[POINT_JOIN] = "join",	   [POINT_TIE] = "tie",	  [POINT_DETACH] = "detach", NULL};
	int role = 0, r = yaml_word(y, node, words, &role);

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
	{"variants", read_variants, 0, true},
	{0},
};

static bool captures(const struct pack_point *p, enum capture_use use)
{
	for (size_t v = 0; v < p->nvariants; v++)
		for (size_t c = 0; c < p->variants[v].ncaptures; c++)
			if (p->variants[v].captures[c].use == use)
				return true;
	return false;
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
	if (!r && p->role != POINT_START && (captures(p, USE_PARENT_CHAIN) || captures(p, USE_OWN_CHAIN)))
		r = yaml_fail(y, node, "`parent` and `context` belong to a point with role start");
	if (!r && p->by_lineage && p->role != POINT_NOTE)
		r = yaml_fail(y, node, "`by_lineage` belongs to a point with role note");
	for (size_t i = 0; !r && p->by_lineage && i < p->nvariants; i++)
		add_lineage(y->arena, (struct pack_variant *)&p->variants[i], USE_CREATOR, USE_GOIDGEN);
	return r;
}

static bool is_hook(enum point_role role)
{
	return role == POINT_UNWIND || role == POINT_EXIT || role == POINT_PANIC;
}

static int read_span_point(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack_point *p = into;
	int r = read_point(y, node, p);

	if (!r && is_hook(p->role))
		r = yaml_fail(y, node, "a point of a span is a start, an end, a note, a join, a tie or a detach; "
				       "this role belongs under `hooks`");
	return r;
}

/* A hook has no span that could have attributes: what it captures is for the assembler, under names of its own. */
static int name_hook_captures(struct yaml *y, const yaml_node_t *node, const struct pack_point *p)
{
	static const char *const names[] = {[POINT_PANIC] = "type", [POINT_UNWIND] = "pc", [POINT_EXIT] = NULL};
	const char *name = names[p->role];

	for (size_t v = 0; v < p->nvariants; v++)
		for (size_t i = 0; i < p->variants[v].ncaptures; i++) {
			struct pack_capture *c = (struct pack_capture *)&p->variants[v].captures[i];

			if (!name)
				return yaml_fail(y, node, "a hook with role exit captures nothing");
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
		r = yaml_fail(y, node, "a hook's role is unwind, exit or panic; this one belongs to a "
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
	static const char *const words[] = {"internal", "server", "client", "producer", "consumer", NULL};
	int word = 0, r = yaml_word(y, node, words, &word);

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
	FIELD("key", struct pack_span, key, yaml_text),
	FIELD("detached", struct pack_span, detached, yaml_bool),
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

typedef VEC(const char *) name_vec;

static void names_of_sql(const struct sql_attributes *sql, name_vec *out)
{
	if (sql && sql->operation)
		vec_push(out, sql->operation);
	if (sql && sql->collection)
		vec_push(out, sql->collection);
	if (sql && sql->summary)
		vec_push(out, sql->summary);
}

static void names_of_point(const struct pack_point *p, name_vec *out)
{
	for (size_t v = 0; v < p->nvariants; v++) {
		for (size_t c = 0; c < p->variants[v].ncaptures; c++) {
			const struct pack_capture *cap = &p->variants[v].captures[c];

			if (cap->use == USE_ATTRIBUTE)
				vec_push(out, cap->name);
			if (cap->transform.port_attribute)
				vec_push(out, cap->transform.port_attribute);
			if (cap->transform.original)
				vec_push(out, cap->transform.original);
			names_of_sql(cap->transform.sql, out);
		}
	}
}

static void names_of_span(const struct pack_span *s, name_vec *out)
{
	for (size_t i = 0; i < s->npoints; i++)
		names_of_point(&s->points[i], out);
	for (const char *const *name = s->extended_with; name && *name; name++)
		vec_push(out, *name);
}

/* A rule that names an attribute which nothing captures is a slip of the pen. */
static int check_attribute(struct yaml *y, const yaml_node_t *node, const name_vec *names,
			   const char *where, const char *attribute)
{
	const char *near;

	if (!attribute)
		return 0;
	for (size_t i = 0; i < names->len; i++)
		if (!strcmp(names->data[i], attribute))
			return 0;
	near = nearest_name(attribute, names->data, names->len);
	if (near)
		return yaml_fail(y, node, "%s names `%.80s`, which no point captures; did you mean "
					  "`%.80s`?", where, attribute, near);
	return yaml_fail(y, node, "%s names `%.80s`, which no point of this span captures", where,
			 attribute);
}

static int check_title(struct yaml *y, const yaml_node_t *node, const name_vec *names,
		       const char *title)
{
	const char *open, *close;
	int r = 0;

	for (open = strchr(title, '{'); open && !r; open = strchr(close, '{')) {
		close = strchr(open, '}');
		if (!close)
			return yaml_fail(y, node, "the title \"%.80s\" has a { without its }", title);
		r = check_attribute(y, node, names, "a title",
				    arena_strndup(y->arena, open + 1, (size_t)(close - open - 1)));
	}
	return r;
}

static int check_list(struct yaml *y, const yaml_node_t *node, const name_vec *names, const char *where,
		      const char *const *list)
{
	int r = 0;

	for (; !r && list && *list; list++)
		r = check_attribute(y, node, names, where, *list);
	return r;
}

static int check_transforms(struct yaml *y, const yaml_node_t *node, const name_vec *names, const struct pack_point *p)
{
	int r = 0;

	for (size_t v = 0; v < p->nvariants; v++)
		for (size_t c = 0; !r && c < p->variants[v].ncaptures; c++) {
			const struct transform *t = &p->variants[v].captures[c].transform;

			r = check_list(y, node, names, "`same`", t->same);
			if (!r)
				r = check_list(y, node, names, "`append`", t->append);
			if (!r)
				r = check_list(y, node, names, "`mounted`", t->mounted);
			if (!r && t->sql)
				r = check_attribute(y, node, names, "`sql`", t->sql->system);
		}
	return r;
}

static int check_condition(struct yaml *y, const yaml_node_t *node, const name_vec *names, const char *where,
			   const struct condition *c)
{
	int r;

	if (!c)
		return 0;
	if (c->op == CONDITION_ATTRIBUTE)
		return check_attribute(y, node, names, where, c->text);
	r = check_condition(y, node, names, where, c->a);
	return r ? r : check_condition(y, node, names, where, c->b);
}

static int check_summary(struct yaml *y, const yaml_node_t *node, const name_vec *names, const char *where,
			 const struct summary *s)
{
	int r = s ? check_attribute(y, node, names, where, s->status) : 0;

	for (size_t i = 0; s && i < s->n; i++)
		for (size_t k = 0; !r && k < s->parts[i].n; k++) {
			const struct summary_item *item = &s->parts[i].items[k];

			if (item->op != SUMMARY_TEXT)
				r = check_attribute(y, node, names, where, item->text);
		}
	return r;
}

static int check_connection(struct yaml *y, const yaml_node_t *node, const name_vec *names,
			    const struct pack_connection *c)
{
	const char *const used[] = {c->local.address, c->local.port, c->remote.address, c->remote.port, c->stream};
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(used); i++)
		r = check_attribute(y, node, names, "`connection`", used[i]);
	return r;
}

static int check_headers(struct yaml *y, const yaml_node_t *node, const name_vec *names, const struct pack_span *s)
{
	const struct pack_b3_headers *b = s->b3multi;
	const struct pack_datadog_headers *d = s->datadog;
	const char *const multi[] = {b ? b->trace : NULL, b ? b->span : NULL, b ? b->sampled : NULL,
				     b ? b->flags : NULL};
	const char *const dog[] = {d ? d->trace : NULL, d ? d->parent : NULL, d ? d->priority : NULL,
				   d ? d->tags : NULL};
	int r = check_attribute(y, node, names, "`b3`", s->b3);

	for (size_t i = 0; !r && i < ARRAY_SIZE(multi); i++)
		r = check_attribute(y, node, names, "`b3multi`", multi[i]);
	for (size_t i = 0; !r && i < ARRAY_SIZE(dog); i++)
		r = check_attribute(y, node, names, "`datadog`", dog[i]);
	return r;
}

static int check_names(struct yaml *y, const yaml_node_t *node, const struct pack_span *s)
{
	name_vec names = {0};
	int r = 0;

	names_of_span(s, &names);
	for (size_t i = 0; !r && i < s->ncomposed; i++)
		r = check_summary(y, node, &names, "`compose`", s->composed[i].forms);
	for (size_t i = 0; i < s->ncomposed; i++)
		vec_push(&names, s->composed[i].name);
	if (!r)
		r = check_condition(y, node, &names, "`error`", s->error);
	if (!r)
		r = check_summary(y, node, &names, "`summary`", s->summary);
	if (!r)
		r = check_attribute(y, node, &names, "`traceparent`", s->traceparent);
	if (!r)
		r = check_attribute(y, node, &names, "`tracestate`", s->tracestate);
	if (!r)
		r = check_headers(y, node, &names, s);
	if (!r && s->connection)
		r = check_connection(y, node, &names, s->connection);
	if (!r)
		r = check_attribute(y, node, &names, "`key`", s->key);
	for (size_t i = 0; !r && i < s->npoints; i++)
		r = check_attribute(y, node, &names, "`discard`", s->points[i].discard_attribute);
	for (size_t i = 0; !r && i < s->npoints; i++)
		r = check_transforms(y, node, &names, &s->points[i]);
	for (size_t i = 0; !r && s->titles[i]; i++)
		r = check_title(y, node, &names, s->titles[i]);
	vec_done(&names);
	return r;
}

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
		if (s->points[i].role != POINT_NOTE && s->points[i].role != POINT_JOIN)
			r = yaml_fail(y, node, "what extends another pack's span has points with role note or join; "
					       "where it starts and ends is that pack's");
	return r ? r : check_points(y, node, "the extension", s->points, s->npoints);
}

static bool saves_late(const struct pack_span *s)
{
	for (size_t i = 0; i < s->npoints; i++)
		if (s->points[i].role != POINT_START && captures(&s->points[i], USE_SAVED))
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

/*
 * Spans of a server's work may have others below them, on goroutines that began meanwhile: so they have the epoch.
 * Which goroutine created its own is asked of what may have a parent by that: not of a request or a message, unless its
 * context may be a pooled one's. Of another goroutine nothing is known.
 */
void pack_add_lineage(struct arena *arena, const struct pack_span *s)
{
	bool works = s->kind == SPAN_SERVER || s->kind == SPAN_CONSUMER || s->kind == SPAN_INTERNAL;

	for (size_t i = 0; i < s->npoints; i++)
		for (size_t k = 0; s->points[i].role == POINT_START && k < s->points[i].nvariants; k++) {
			struct pack_variant *v = (struct pack_variant *)&s->points[i].variants[k];

			if (!v->goroutine && (s->kind == SPAN_INTERNAL || captures(&s->points[i], USE_PARENT_CHAIN)))
				add_lineage(arena, v, USE_CREATOR, USE_GOIDGEN);
			if (!v->goroutine && works)
				add_lineage(arena, v, USE_GOIDGEN, USE_GOID_CACHE_END + 1);
		}
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
		r = yaml_fail(y, node, "`save` belongs to a point with role start, or to what extends another pack's "
				       "span");
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
		r = check_points(y, node, "the span", s->points, s->npoints);
	if (!r)
		r = check_names(y, node, s);
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

/* What its points name is captured there or here. */
static int check_extension(struct yaml *y, const yaml_node_t *at, const struct pack_span *s)
{
	name_vec names = {0};
	int r = 0;

	names_of_span(s->of, &names);
	names_of_span(s, &names);
	if (has_role(s, POINT_JOIN) && !s->of->key)
		r = yaml_fail(y, at, "%.80s has no `key`, which a point with role join needs", s->extends);
	for (size_t i = 0; !r && i < s->npoints; i++)
		r = check_transforms(y, at, &names, &s->points[i]);
	vec_done(&names);
	return r;
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
	return check_extension(&y, &at, s);
}

int pack_resolve(struct pack *const *packs, size_t n, struct pack *p, struct err *err)
{
	int r = 0;

	for (size_t k = 0; !r && k < p->nspans; k++)
		if (p->spans[k].extends)
			r = resolve(packs, n, p, (struct pack_span *)&p->spans[k], err);
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
