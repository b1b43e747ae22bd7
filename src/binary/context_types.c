/*
 * Where a context keeps its parent. A type says so by what it is made of: it embeds Context, so that it has its methods
 * (as Go finds them: the least deep one), or has one field of that type. An object that handles an HTTP request answers
 * with the request's (gin.Context), and is mostly used for the next request afterwards. Whoever has several candidates,
 * or none but pointers that may lead to one, is not known. What has no pointers has no parent.
 */
#include "binary/context_types.h"

#include <errno.h>
#include <string.h>

#include "binary/internal.h"

enum { DEPTH_MAX = 4, FIELDS_MAX = 20000, INTERFACE_BYTES = 16, DESCRIPTOR_POINTERS = 8 };

static const char context_name[] = "context.Context", request_name[] = "*net/http.Request";
static const char value_name[] = "context.valueCtx";
/* Of go.opentelemetry.io/otel. */
static const char span_name[] = "go.opentelemetry.io/otel/trace.Span",
		  span_key_name[] = "go.opentelemetry.io/otel/trace.traceContextKeyType",
		  span_context_name[] = "go.opentelemetry.io/otel/trace.SpanContext";

/*
 * From a value's first byte to its parent: over a pointer at via, if there is one. Of a struct that is a pointer the
 * data word is that pointer, so the first one is taken already: pointers begins with -1.
 */
struct way {
	uint64_t offset, via;
	int pointers;
	bool is_pooled;
};

struct search {
	struct binary *b;
	unsigned fields;         /* looked at: bounds the work on hostile input */
	size_t found;            /* ways; more than one are none */
	struct way way;
};

bool type_is_context(struct binary *b, const struct type *t)
{
	static const char *const methods[] = {"Deadline", "Done", "Err", "Value"};
	struct type_method m;
	size_t found = 0;

	if (t->kind != KIND_INTERFACE)
		return false;
	for (size_t i = 0; found < ARRAY_SIZE(methods) && type_method(b, t, i, &m); i++)
		found += !strcmp(m.name, methods[found]);
	return found == ARRAY_SIZE(methods);
}

/* ---- the ways from a struct to its parent ---- */

static bool next_field(struct search *s, const struct type *t, size_t i, struct type_field *ret)
{
	return s->fields++ < FIELDS_MAX && type_field(s->b, t, i, ret) && ret->type &&
	       ret->offset <= t->size && ret->type->size <= t->size - ret->offset;
}

static bool is_struct_pointer(const struct type *t)
{
	return t->kind == KIND_POINTER && t->elem && t->elem->kind == KIND_STRUCT;
}

static void add_way(struct search *s, const struct way *from, uint64_t offset)
{
	s->found++;
	s->way = *from;
	s->way.offset += offset;
}

static struct way over_pointer(const struct way *from, uint64_t offset)
{
	return (struct way){.via = from->pointers < 0 ? 0 : from->offset + offset, .pointers = from->pointers + 1,
			    .is_pooled = from->is_pooled};
}

/* The struct that is embedded, or whose pointer is, and the way to it; NULL: it is something else. */
static const struct type *embedded_struct(const struct type_field *f, const struct way *from, struct way *ret)
{
	if (!f->embedded || (f->type->kind != KIND_STRUCT && !is_struct_pointer(f->type)))
		return NULL;
	if (f->type->kind == KIND_POINTER) {
		*ret = over_pointer(from, f->offset);
		return f->type->elem;
	}
	*ret = *from;
	ret->offset += f->offset;
	return f->type;
}

/* The contexts that are embedded so deep, where 0 is t itself. */
static void find_embedded(struct search *s, const struct type *t, const struct way *from, unsigned depth)
{
	struct type_field f;
	struct way way;

	for (size_t i = 0; next_field(s, t, i, &f); i++) {
		const struct type *inner = depth ? embedded_struct(&f, from, &way) : NULL;

		if (inner)
			find_embedded(s, inner, &way, depth - 1);
		else if (!depth && f.embedded && type_is_context(s->b, f.type))
			add_way(s, from, f.offset);
	}
}

static void find_named(struct search *s, const struct type *t, const struct way *from)
{
	struct type_field f;

	for (size_t i = 0; next_field(s, t, i, &f); i++)
		if (type_is_context(s->b, f.type))
			add_way(s, from, f.offset);
}

static void find_request(struct search *s, const struct type *t, const struct way *from)
{
	struct type_field f;

	for (size_t i = 0; next_field(s, t, i, &f); i++) {
		struct way way = over_pointer(from, f.offset);

		way.is_pooled = true;
		if (is_struct_pointer(f.type) && !strcmp(f.type->name, request_name))
			find_named(s, f.type->elem, &way);
	}
}

/* The ways of t, or else of what it embeds: it has their methods. More than one are found as two. */
static void find_ways(struct search *s, const struct type *t, const struct way *from, unsigned depth)
{
	size_t before = s->found;
	struct type_field f;
	struct way way;

	for (unsigned d = 0; s->found == before && d <= DEPTH_MAX; d++)
		find_embedded(s, t, from, d);
	if (s->found == before)
		find_named(s, t, from);
	if (s->found == before)
		find_request(s, t, from);
	if (s->found > before || !depth)
		return;
	for (size_t i = 0; next_field(s, t, i, &f); i++) {
		const struct type *inner = embedded_struct(&f, from, &way);

		if (inner)
			find_ways(s, inner, &way, depth - 1);
	}
}

/* ---- what an interface holds ---- */

/* Whether a value of t has pointers in it: its descriptor says up to where. True where that is not known. */
static bool has_pointers(struct binary *b, const struct type *t)
{
	uint64_t bytes;

	return !t->rtype || !image_u64(&b->img, t->rtype + DESCRIPTOR_POINTERS, &bytes) || bytes;
}

static bool is_usable(const struct search *s)
{
	const struct way *w = &s->way;

	return s->found == 1 && s->fields < FIELDS_MAX && w->pointers >= 0 && w->pointers <= 1 &&
	       w->offset <= INT32_MAX - INTERFACE_BYTES && w->via <= INT32_MAX - 8;
}

static bool is_any(struct binary *b, const struct type *t)
{
	struct type_method m;

	return t->kind == KIND_INTERFACE && t->size == INTERFACE_BYTES && !type_method(b, t, 0, &m);
}

/* A key and a value lie behind the parent. */
static bool is_value(struct binary *b, const struct type *held, const struct way *parent)
{
	struct type_field key, val;

	return !strcmp(held->name, value_name) && type_field_count(b, held) == 3 && type_field(b, held, 1, &key) &&
	       type_field(b, held, 2, &val) && key.type && val.type && !strcmp(key.name, "key") &&
	       !strcmp(val.name, "val") && key.offset == parent->offset + INTERFACE_BYTES &&
	       val.offset == key.offset + INTERFACE_BYTES && is_any(b, key.type) && is_any(b, val.type);
}

struct context_type context_type_of(struct binary *b, const struct type *t)
{
	struct context_type c = {.rtype = t->rtype, .parent = CONTEXT_UNKNOWN};
	const struct type *held = t->kind == KIND_POINTER ? t->elem : t;
	struct way from = {.pointers = t->kind == KIND_STRUCT && t->direct_iface ? -1 : 0};
	struct search s = {.b = b};

	if (!held)
		return c;
	if (!has_pointers(b, held))
		c.parent = CONTEXT_ROOT;
	c.is_link = c.is_pooled = t->kind == KIND_POINTER && held->kind == KIND_STRUCT && held->size;
	if (c.parent == CONTEXT_ROOT || held->kind != KIND_STRUCT)
		return c;
	find_ways(&s, held, &from, DEPTH_MAX);
	if (!is_usable(&s))
		return c;
	return (struct context_type){.rtype = t->rtype, .is_value = !s.way.pointers && is_value(b, held, &s.way),
				     .parent = s.way.pointers ? CONTEXT_VIA : CONTEXT_FIELD,
				     .offset = (uint32_t)s.way.offset,
				     .via = (uint32_t)s.way.via,
				     .is_link = true,
				     .is_pooled = s.way.is_pooled};
}

/* ---- the table ---- */

struct kept_table {
	struct context_table table;
	struct err err;
};

static int by_rtype(const void *a, const void *b)
{
	uint64_t x = ((const struct context_type *)a)->rtype, y = ((const struct context_type *)b)->rtype;

	return x < y ? -1 : x > y;
}

/* ---- spans of an SDK ---- */

static bool named_field(struct binary *b, const struct type *t, const char *name, struct type_field *ret)
{
	for (size_t i = 0; i < FIELDS_MAX && type_field(b, t, i, ret); i++)
		if (!strcmp(ret->name, name) && ret->type && ret->offset < INT32_MAX)
			return true;
	return false;
}

/* The ids and the flags lie one behind the other, so that they are read at once. */
static bool ids_of(struct binary *b, const struct type *context, uint32_t *ret_remote)
{
	struct type_field trace, span, flags, remote;

	if (!named_field(b, context, "traceID", &trace) || !named_field(b, context, "spanID", &span) ||
	    !named_field(b, context, "traceFlags", &flags) || !named_field(b, context, "remote", &remote))
		return false;
	*ret_remote = (uint32_t)remote.offset;
	return trace.offset == 0 && trace.type->size == 16 && span.offset == 16 && span.type->size == 8 &&
	       flags.offset == 24 && flags.type->size == 1 && remote.type->kind == KIND_BOOL && context->size >= 32;
}

/* The one that is not its parent's. */
static bool own_context(struct binary *b, const struct type *held, struct type_field *ret)
{
	struct type_field f;
	size_t found = 0;

	for (size_t i = 0; i < FIELDS_MAX && type_field(b, held, i, &f); i++)
		if (f.type && !strcmp(f.type->name, span_context_name) && strcmp(f.name, "parent")) {
			*ret = f;
			found++;
		}
	return found == 1 && ret->offset < INT32_MAX;
}

static void find_scope(struct binary *b, const struct type *held, struct span_type *s)
{
	struct type_field tracer, scope, name;

	if (!named_field(b, held, "tracer", &tracer) || !is_struct_pointer(tracer.type) ||
	    !named_field(b, tracer.type->elem, "instrumentationScope", &scope) || scope.type->kind != KIND_STRUCT ||
	    !named_field(b, scope.type, "Name", &name) || name.type->kind != KIND_STRING)
		return;
	s->tracer = (uint32_t)tracer.offset;
	s->scope = (uint32_t)(scope.offset + name.offset);
}

static bool span_type_of(struct binary *b, const struct type *t, struct span_type *ret)
{
	const struct type *held = t->kind == KIND_POINTER ? t->elem : t;
	struct type_field own = {0}, kind;
	uint32_t remote;

	if (!held || held->kind != KIND_STRUCT || (held == t && t->direct_iface) || !own_context(b, held, &own) ||
	    !ids_of(b, own.type, &remote))
		return false;
	*ret = (struct span_type){.rtype = t->rtype, .ids = (uint32_t)own.offset,
				  .remote = (uint32_t)own.offset + remote};
	if (named_field(b, held, "spanKind", &kind) && kind.type->size == 8)
		ret->kind = (uint32_t)kind.offset;
	find_scope(b, held, ret);
	return true;
}

static int by_span_rtype(const void *a, const void *b)
{
	uint64_t x = ((const struct span_type *)a)->rtype, y = ((const struct span_type *)b)->rtype;

	return x < y ? -1 : x > y;
}

static void find_spans(struct binary *b, struct context_table *t)
{
	const struct type *span = binary_type(b, span_name), *key = binary_type(b, span_key_name), *type;
	struct span_type row;
	size_t pos = 0;

	if (!key || !key->rtype || !span || span->kind != KIND_INTERFACE)
		return;
	while (binary_type_holdable_next(b, span, &pos, &type))
		if (span_type_of(b, type, &row))
			vec_push(&t->spans, row);
	if (!t->spans.len)
		return;
	qsort(t->spans.data, t->spans.len, sizeof(*t->spans.data), by_span_rtype);
	t->span_key = key->rtype;
}

static void fill(struct binary *b, const struct type *context, struct context_table *t)
{
	const struct type *type;
	size_t pos = 0;

	while (binary_type_holdable_next(b, context, &pos, &type))
		vec_push(&t->types, context_type_of(b, type));
	if (t->types.len)
		qsort(t->types.data, t->types.len, sizeof(*t->types.data), by_rtype);
}

static void *table_new(struct binary *b)
{
	struct kept_table *k = xcalloc(1, sizeof(*k));
	const struct type *context = binary_type(b, context_name);

	if (!context || !type_is_context(b, context))
		err_set(&k->err, -ENODATA, "%s does not describe context.Context: it passes no contexts", b->name);
	else if (!binary_itab_type_offset(b, &k->table.itab_type_off, &k->err))
		fill(b, context, &k->table);
	if (!k->err.code)
		find_spans(b, &k->table);
	return k;
}

static void table_free(void *data)
{
	struct kept_table *k = data;

	vec_done(&k->table.types);
	vec_done(&k->table.spans);
	free(k);
}

int binary_contexts(struct binary *b, const struct context_table **ret, struct err *err)
{
	static const char key;
	const struct kept_table *k = binary_keep(b, &key, table_new, table_free);

	if (k->err.code)
		return err_set(err, k->err.code, "%s", k->err.text);
	*ret = &k->table;
	return 0;
}

const struct context_type *context_type_find(const struct context_table *t, uint64_t rtype)
{
	const struct context_type wanted = {.rtype = rtype};

	return t->types.len ? bsearch(&wanted, t->types.data, t->types.len, sizeof(wanted), by_rtype) : NULL;
}

const struct span_type *span_type_find(const struct context_table *t, uint64_t rtype)
{
	const struct span_type wanted = {.rtype = rtype};

	return t->spans.len ? bsearch(&wanted, t->spans.data, t->spans.len, sizeof(wanted), by_span_rtype) : NULL;
}
