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
	return (struct context_type){.rtype = t->rtype,
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
	return k;
}

static void table_free(void *data)
{
	struct kept_table *k = data;

	vec_done(&k->table.types);
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
