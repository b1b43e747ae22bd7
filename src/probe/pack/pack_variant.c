#include "probe/pack/pack_variant.h"

#include <string.h>

#include "base/vec.h"
#include "probe/ir.h"
#include "probe/lang/expr.h"

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

/* A type, and functions. */
static int read_copy(struct yaml *y, const yaml_node_t *node, void *into)
{
	const char *const *all;
	int r = yaml_texts(y, node, into);

	if (r)
		return r;
	all = *(const char *const **)into;
	if (!all[0] || !strchr(all[0], '.'))
		return yaml_fail(y, node, "a type, and functions that may copy it, are expected here: "
					  "[path/package.Type, …]");
	for (size_t k = 1; !r && all[k]; k++) {
		struct err why = {0};
		struct func_ref f;

		if (func_ref_parse(all[k], y->arena, &f, &why) < 0)
			r = yaml_fail(y, node, "%s", why.text);
	}
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
	FIELD("once_for", struct pack_capture, once_for, read_expr),
	FIELD("may_be_gone", struct pack_capture, may_be_gone, yaml_bool),
	FIELD("default", struct pack_capture, transform.default_value, yaml_text),
	FIELD("field", struct pack_capture, transform.field, yaml_text),
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
	FIELD("add", struct pack_capture, transform.add, yaml_bool),
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

/* ---- contexts and carriers: captures that are no attributes ---- */

static bool is_list_of_mappings(struct yaml *y, const yaml_node_t *node)
{
	return node->type == YAML_SEQUENCE_NODE &&
	       node->data.sequence.items.start < node->data.sequence.items.top &&
	       yaml_node(y, *node->data.sequence.items.start)->type == YAML_MAPPING_NODE;
}

/* One, or a list of mappings of which one should hold. */
static int read_address(struct yaml *y, const yaml_node_t *node, enum capture_use use, const char *name, void *into)
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
		r = one->type == YAML_MAPPING_NODE
			    ? yaml_map(y, one, use == USE_CARRIER ? "a carrier" : "a context", chosen_keys, c)
			    : read_exprs(y, one, &c->alternatives);
	}
	if (!r)
		add_captures(y->arena, into, &all);
	vec_done(&all);
	return r;
}

static int read_parent(struct yaml *y, const yaml_node_t *node, void *into)
{
	return read_address(y, node, USE_PARENT_CHAIN, "parent", into);
}

static int read_context(struct yaml *y, const yaml_node_t *node, void *into)
{
	return read_address(y, node, USE_OWN_CHAIN, "context", into);
}

static int read_carrier(struct yaml *y, const yaml_node_t *node, void *into)
{
	return read_address(y, node, USE_CARRIER, "carrier", into);
}

static int read_by(struct yaml *y, const yaml_node_t *node, void *into)
{
	return read_address(y, node, USE_BY, "by", into);
}

/* ---- lists of attributes ---- */

/* With its types a binary may lack what it takes: then the span does without. */
static int read_lists(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack_capture c = {.use = USE_LIST, .name = "attributes", .optional = true, .line = yaml_line(node)};
	capture_vec all = {0};
	int r = read_exprs(y, node, &c.alternatives);

	if (r)
		return r;
	vec_push(&all, c);
	add_captures(y->arena, into, &all);
	vec_done(&all);
	return 0;
}

/* ---- what is written ---- */

static int read_form(struct yaml *y, const yaml_node_t *node, void *into)
{
	static const char *const words[] = {"line", "field", "frame", "message", "record", NULL};
	int word = 0, r = yaml_word(y, node, words, &word);

	*(unsigned *)into = (unsigned)word;
	return r;
}
_Static_assert(INJECT_LINE == 0 && INJECT_FIELD == 1 && INJECT_FRAME == 2 && INJECT_MESSAGE == 3 &&
		       INJECT_RECORD == 4,
	       "the words are in their order");

static int read_inject(struct yaml *y, const yaml_node_t *node, void *into)
{
	static const struct yaml_key keys[] = {
		NEEDED("form", struct inject_item, form, read_form),
		FIELD("carrier", struct inject_item, carrier, read_expr),
		FIELD("needs", struct inject_item, needs, read_expr),
		FIELD("armed", struct inject_item, armed, read_expr),
		FIELD("present", struct inject_item, present, read_expr),
		FIELD("limited", struct inject_item, limited, read_expr),
		FIELD("split", struct inject_item, split, read_expr),
		FIELD("state_present", struct inject_item, state_present, read_expr),
		NEEDED("buffer", struct inject_item, buffer, read_expr),
		FIELD("filled", struct inject_item, filled, read_expr),
		FIELD("block", struct inject_item, block, read_expr),
		FIELD("stream", struct inject_item, stream, read_expr),
		FIELD("list", struct inject_item, list, yaml_text),
		{0},
	};
	struct inject_item *item = arena_new(y->arena, struct inject_item);
	static const char *const none[] = {NULL};
	capture_vec all = {0};
	int r = yaml_map(y, node, "`inject`", keys, item);

	if (!r && (item->form == INJECT_FRAME) != (item->block && item->stream))
		r = yaml_fail(y, node, "`block` and `stream` belong to the form frame, which needs both");
	if (!r && item->form != INJECT_MESSAGE && !item->carrier)
		r = yaml_fail(y, node, "`inject` needs the key `carrier`, but for the form message");
	if (!r && item->needs && !item->carrier)
		r = yaml_fail(y, node, "`needs` stands beside a `carrier`");
	if (!r && (item->form == INJECT_RECORD) != (item->list != NULL))
		r = yaml_fail(y, node, "`list` belongs to the form record, which needs it");
	if (!r && (item->form == INJECT_LINE || item->form == INJECT_FRAME) != (item->filled != NULL))
		r = yaml_fail(y, node, "`filled` belongs to the forms line and frame, which need it");
	vec_push(&all, ((struct pack_capture){.use = USE_ARMED, .name = "armed", .alternatives = none,
					      .when = item->armed, .transform.hidden = true, .line = yaml_line(node)}));
	vec_push(&all, ((struct pack_capture){.use = USE_INJECT, .name = "propagated", .alternatives = none,
					      .inject = item, .when = item->armed, .transform.hidden = true,
					      .line = yaml_line(node)}));
	if (!r)
		add_captures(y->arena, into, &all);
	vec_done(&all);
	return r;
}

static int read_present(struct yaml *y, const yaml_node_t *node, void *into)
{
	static const char *const none[] = {NULL};
	struct pack_capture c = {.use = USE_PRESENT, .name = "present", .alternatives = none,
				 .transform.hidden = true, .line = yaml_line(node)};
	capture_vec all = {0};
	int r = read_expr(y, node, &c.when);

	vec_push(&all, c);
	if (!r)
		add_captures(y->arena, into, &all);
	vec_done(&all);
	return r;
}

/* ---- variants ---- */

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
	FIELD("refused", struct pack_variant, refused, yaml_text),
	FIELD("needs_absent", struct pack_variant, needs_absent, read_field_name),
	FIELD("needs_present", struct pack_variant, needs_present, read_field_name),
	FIELD("needs_func", struct pack_variant, needs_func, read_func),
	FIELD("needs_no_func", struct pack_variant, needs_no_func, read_func),
	FIELD("needs_copy", struct pack_variant, needs_copy, read_copy),
	FIELD("needs_no_copy", struct pack_variant, needs_no_copy, read_copy),
	FIELD("needs_run", struct pack_variant, needs_run, read_func),
	FIELD("not_inlined", struct pack_variant, not_inlined, yaml_bool),
	FIELD("needs_call", struct pack_variant, needs_call, read_call),
	FIELD("needs_no_call", struct pack_variant, needs_no_call, read_call),
	{"capture", read_captures, 0, false},
	{"save", read_save, 0, false},
	{"parent", read_parent, 0, false},
	{"context", read_context, 0, false},
	{"inject", read_inject, 0, false},
	{"present", read_present, 0, false},
	{"carrier", read_carrier, 0, false},
	{"by", read_by, 0, false},
	{"attributes", read_lists, 0, false},
	{0},
};

static int read_variant(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack_variant *v = into;

	v->line = yaml_line(node);
	return yaml_map(y, node, "a variant", variant_keys, v);
}

int pack_read_variants(struct yaml *y, const yaml_node_t *node, void *into)
{
	struct pack_point *p = into;
	int r = yaml_list(y, node, "variants", sizeof(*p->variants), read_variant,
			  (void **)&p->variants, &p->nvariants);

	if (!r && !p->nvariants)
		r = yaml_fail(y, node, "a point needs at least one variant");
	return r;
}

bool point_captures(const struct pack_point *p, enum capture_use use)
{
	for (size_t v = 0; v < p->nvariants; v++)
		for (size_t c = 0; c < p->variants[v].ncaptures; c++)
			if (p->variants[v].captures[c].use == use)
				return true;
	return false;
}

/* ---- lineage: captures that no pack writes ---- */

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

void point_add_creator(struct arena *arena, const struct pack_point *p)
{
	for (size_t i = 0; i < p->nvariants; i++)
		add_lineage(arena, (struct pack_variant *)&p->variants[i], USE_CREATOR, USE_GOIDGEN);
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

			if (!v->goroutine &&
			    (s->kind == SPAN_INTERNAL || point_captures(&s->points[i], USE_PARENT_CHAIN)))
				add_lineage(arena, v, USE_CREATOR, USE_GOIDGEN);
			if (!v->goroutine && works)
				add_lineage(arena, v, USE_GOIDGEN, USE_GOID_CACHE_END + 1);
		}
}
