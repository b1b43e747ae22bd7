/*
 * The shapes of a binary's types. shape_of only notes a type; what it leads to is worked out by
 * shape_table_finish, breadth first by the number of pointers followed, because only what the depth limit lets a
 * planter reach needs a shape. That keeps the table small where an `any` may hold every type of the program.
 *
 * A shape's edges are those of its parts, fields and elements, put at their offsets. Two liberties:
 *   - an interface that holds a pointer costs one step of the depth, not two: the pointer lies in the interface's
 *     own data word (variant IN_INTERFACE)
 *   - the location of a time.Time leads to its name and to the zone that it has in its cache only, at no cost
 *   - a pointer to C's char is a text, of which nobody knows how long it is: so much as a text may have is copied, and
 *     a little beside it, in case memory ends before that
 */
#include "probe/shape.h"

#include <errno.h>
#include <string.h>

#include "base/map.h"
#include "probe/shape_index.h"

enum { EDGES_MAX = 1024 }; /* of one shape: arrays of arrays of pointers end there */

/* ---- looking up ---- */

/* Types are larger than there are variants: no two keys meet. */
static uint64_t key_of(const struct type *type, unsigned variant)
{
	_Static_assert(sizeof(struct type) > SHAPE_VARIANTS, "keys of neighbours are apart");
	return (uintptr_t)type + variant;
}

uint32_t shape_find(const struct shape_table *t, const struct type *type, unsigned variant)
{
	return (uint32_t)(uintptr_t)map_get(&t->index->ids, key_of(type, variant));
}

static uint32_t intern(struct shape_table *t, const struct type *type, unsigned variant, uint64_t size)
{
	uint32_t id = shape_find(t, type, variant);
	struct shape *s;

	if (id || !size || size > UINT32_MAX)
		return id;
	id = (uint32_t)t->shapes.len;
	s = vec_add(&t->shapes);
	s->size = (uint32_t)size;
	s->type = type;
	s->role = variant >= SHAPE_IN_INTERFACE ? SHAPE_VALUE : (enum shape_role)variant;
	vec_push(&t->index->states, ((struct shape_state){.variant = (uint8_t)variant}));
	map_set(&t->index->ids, key_of(type, variant), (void *)(uintptr_t)id);
	return id;
}

/* ---- edges ---- */

struct expansion {
	struct shape_table *t;
	unsigned level;      /* pointers that lead to the shape at least */
	size_t first;
};

static void reach(struct shape_table *t, uint32_t shape, unsigned level)
{
	struct shape_state *s = &t->index->states.data[shape];

	if (s->expanded || (s->reached && s->level <= level))
		return;
	s->reached = true;
	s->level = (uint8_t)level;
	vec_push(&t->index->levels[level], shape);
}

/* Past the depth limit nothing is followed, so no edge is needed. */
static struct shape_edge *add_edge(struct expansion *x, enum edge_kind kind, uint64_t offset, unsigned costs)
{
	struct shape_edge *e;

	if (x->level + costs > x->t->limits.depth || x->t->edges.len - x->first >= EDGES_MAX)
		return NULL;
	e = vec_add(&x->t->edges);
	e->kind = (uint8_t)kind;
	e->offset = (uint32_t)offset;
	e->costs = (uint8_t)costs;
	e->max = 1;
	return e;
}

static struct shape_edge *add_pointer(struct expansion *x, uint64_t offset, unsigned costs, uint32_t shape)
{
	struct shape_edge *e = shape ? add_edge(x, EDGE_POINTER, offset, costs) : NULL;

	if (e) {
		e->shape = shape;
		reach(x->t, shape, x->level + costs);
	}
	return e;
}

static void add_counted(struct expansion *x, uint64_t offset, uint32_t shape, enum edge_count count, uint64_t count_off,
			unsigned max)
{
	struct shape_edge *e = add_pointer(x, offset, 0, shape);

	if (!e)
		return;
	e->count = (uint8_t)count;
	e->count_off = (uint32_t)count_off;
	e->max = max;
}

static void add_bytes(struct expansion *x, uint64_t offset)
{
	add_counted(x, offset, intern(x->t, NULL, SHAPE_BYTES, 1), COUNT_WORD, offset + 8,
		    MAX(x->t->limits.max_string, 1u));
}

static void add_interface(struct expansion *x, const struct type *type, uint64_t offset)
{
	struct shape_table *t = x->t;
	bool methods = type_method_count(t->binary, type) > 0;

	if (type->source == TYPE_FROM_DWARF) /* which of the two kinds it is cannot be told */
		return;
	if (!add_edge(x, methods ? EDGE_IFACE : EDGE_EFACE, offset, 1))
		return;
	if (methods)
		add_pointer(x, offset, 0, intern(t, NULL, SHAPE_ITAB, t->itab_type_off + 8));
	shape_want_dynamic(t, type, x->level + 1);
}

static void add_value(struct expansion *x, const struct type *type, uint64_t offset, unsigned costs);

static bool is_time(const struct type *type)
{
	return type->kind == KIND_STRUCT && !strcmp(type->name, "time.Time");
}

static void add_field(struct expansion *x, const struct type *owner, const struct type_field *f, uint64_t offset)
{
	if (is_time(owner) && !strcmp(f->name, "loc") && f->type->kind == KIND_POINTER && f->type->elem)
		add_pointer(x, offset + f->offset, 0,
			    intern(x->t, f->type->elem, SHAPE_LOCATION, f->type->elem->size));
	else
		add_value(x, f->type, offset + f->offset, 1);
}

static void add_fields(struct expansion *x, const struct type *type, uint64_t offset)
{
	struct type_field f;

	for (size_t i = 0; type_field(x->t->binary, type, i, &f); i++)
		add_field(x, type, &f, offset);
}

static void add_elements(struct expansion *x, const struct type *type, uint64_t offset)
{
	size_t before = x->t->edges.len;

	for (uint64_t i = 0; type->elem && i < MIN(type->len, x->t->limits.max_items); i++) {
		add_value(x, type->elem, offset + i * type->elem->size, 1);
		if (x->t->edges.len == before)
			return;
	}
}

static void add_slice(struct expansion *x, const struct type *type, uint64_t offset)
{
	if (type->elem && type->elem->kind == KIND_UINT8)
		add_bytes(x, offset);
	else if (type->elem)
		add_counted(x, offset, shape_of(x->t, type->elem), COUNT_WORD, offset + 8,
			    MAX(x->t->limits.max_items, 1u));
}

static void add_c_text(struct expansion *x, const struct type *type, uint64_t offset)
{
	unsigned max = MAX(x->t->limits.max_string, 1u);

	add_pointer(x, offset, 0, intern(x->t, type, SHAPE_C_TEXT, max));
	add_pointer(x, offset, 0, intern(x->t, type, SHAPE_C_TEXT_START, MIN(max, 16u)));
}

/* A value of the type at the offset; costs: of a plain pointer. */
static void add_value(struct expansion *x, const struct type *type, uint64_t offset, unsigned costs)
{
	struct shape_table *t = x->t;

	switch (type->kind) {
	case KIND_STRING:
		add_bytes(x, offset);
		break;
	case KIND_SLICE:
		add_slice(x, type, offset);
		break;
	case KIND_POINTER:
		if (type->elem && type_is_c_char(type->elem))
			add_c_text(x, type->elem, offset);
		else if (type->elem)
			add_pointer(x, offset, costs, shape_of(t, type->elem));
		break;
	case KIND_INTERFACE:
		add_interface(x, type, offset);
		break;
	case KIND_MAP:
		add_pointer(x, offset, 0, shape_map_header(t, type));
		break;
	case KIND_CHAN:
		add_pointer(x, offset, 0, t->index->chan_size ? intern(t, type, SHAPE_CHAN, t->index->chan_size) : 0);
		break;
	case KIND_FUNC:
		add_pointer(x, offset, 0, intern(t, type, SHAPE_FUNC, 8 * MAX(t->limits.closure_words, 1u)));
		break;
	case KIND_ARRAY:
		add_elements(x, type, offset);
		break;
	case KIND_STRUCT:
		add_fields(x, type, offset);
		break;
	default:
		break;
	}
}

static void add_location(struct expansion *x, const struct type *type)
{
	struct type_field f;

	for (size_t i = 0; type_field(x->t->binary, type, i, &f); i++) {
		if (!strcmp(f.name, "name") && f.type->kind == KIND_STRING)
			add_bytes(x, f.offset);
		else if (!strcmp(f.name, "cacheZone") && f.type->kind == KIND_POINTER && f.type->elem)
			add_pointer(x, f.offset, 0, intern(x->t, f.type->elem, SHAPE_ZONE, f.type->elem->size));
	}
}

/* ---- maps (binary/layout.c explains them) ---- */

const struct shape_map *shape_map_of(const struct shape_table *t, const struct type *type)
{
	return map_get(&t->index->maps, (uintptr_t)type);
}

uint32_t shape_map_header(struct shape_table *t, const struct type *type)
{
	struct shape_map *m = map_get(&t->index->maps, (uintptr_t)type);

	if (!m) {
		struct err why = {0};

		m = arena_new(binary_arena(t->binary), struct shape_map);
		if (!type_map_layout(t->binary, type, &m->layout, &why)) {
			m->why = arena_strdup(binary_arena(t->binary), why.text);
			m->counted = type_map_count(t->binary, &m->layout);
		}
		map_set(&t->index->maps, (uintptr_t)type, m);
	}
	if (m->why && !m->counted)
		return 0;
	return intern(t, type, SHAPE_MAP, m->layout.swiss ? t->index->swiss_size : t->index->hmap_size);
}

static void add_entry(struct expansion *x, const struct type *type, bool indirect, uint64_t offset)
{
	if (indirect)
		add_pointer(x, offset, 0, shape_of(x->t, type));
	else
		add_value(x, type, offset, 1);
}

static void add_group(struct expansion *x, const struct type *type)
{
	const struct map_layout *l = &shape_map_of(x->t, type)->layout;
	uint64_t base = l->swiss ? l->group_slots_off : 0;

	for (uint64_t i = 0; i < l->slots; i++) {
		add_entry(x, type->key, l->key_indirect, base + l->key_off + i * l->key_stride);
		add_entry(x, type->elem, l->elem_indirect, base + l->elem_off + i * l->elem_stride);
	}
	if (!l->swiss)
		add_pointer(x, l->overflow_off, 0, intern(x->t, type, SHAPE_MAP_GROUP, l->bucket_size));
}

static void add_map(struct expansion *x, const struct type *type)
{
	const struct map_layout *l = &shape_map_of(x->t, type)->layout;
	unsigned max = MAX(x->t->limits.max_items, 1u);
	uint32_t group;

	if (shape_map_of(x->t, type)->why)
		return;
	group = intern(x->t, type, SHAPE_MAP_GROUP, l->swiss ? l->group_size : l->bucket_size);

	if (l->swiss) {
		add_counted(x, l->dir_ptr_off, group, COUNT_ONE_IF_ZERO, l->dir_len_off, 1);
		add_counted(x, l->dir_ptr_off, intern(x->t, type, SHAPE_MAP_TABLES, 8), COUNT_WORD, l->dir_len_off,
			    max);
		return;
	}
	add_counted(x, l->buckets_off, group, COUNT_SHIFT, l->b_off, max);
	add_counted(x, l->oldbuckets_off, group, COUNT_SHIFT, l->b_off, max);
}

static void add_table(struct expansion *x, const struct type *type)
{
	const struct map_layout *l = &shape_map_of(x->t, type)->layout;

	add_counted(x, l->table_groups_off, intern(x->t, type, SHAPE_MAP_GROUP, l->group_size), COUNT_MASK,
		    l->table_mask_off, MAX(x->t->limits.max_items, 1u));
}

/* ---- expansion ---- */

static void add_edges(struct expansion *x, const struct type *type, unsigned variant)
{
	switch (variant) {
	case SHAPE_VALUE:
		add_value(x, type, 0, 1);
		break;
	case SHAPE_IN_INTERFACE:
		add_value(x, type, 0, 0);
		break;
	case SHAPE_LOCATION:
		add_location(x, type);
		break;
	case SHAPE_MAP:
		add_map(x, type);
		break;
	case SHAPE_MAP_TABLES:
		add_pointer(x, 0, 0, intern(x->t, type, SHAPE_MAP_TABLE, x->t->index->table_size));
		break;
	case SHAPE_MAP_TABLE:
		add_table(x, type);
		break;
	case SHAPE_MAP_GROUP:
		add_group(x, type);
		break;
	default:
		break;
	}
}

static void expand(struct shape_table *t, uint32_t id, unsigned level)
{
	struct shape_state *s = &t->index->states.data[id];
	struct expansion x = {.t = t, .level = level, .first = t->edges.len};

	if (s->expanded || s->level != level)
		return;
	s->expanded = true;
	add_edges(&x, t->shapes.data[id].type, s->variant);
	t->shapes.data[id].first_edge = (uint32_t)x.first;
	t->shapes.data[id].nedges = (uint32_t)(t->edges.len - x.first);
}

void shape_add_dynamic(struct shape_table *t, const struct type *type, unsigned level)
{
	unsigned variant = type->direct_iface && type->kind == KIND_POINTER ? (unsigned)SHAPE_IN_INTERFACE
										  : SHAPE_VALUE;
	uint32_t id = intern(t, type, variant, type->size);

	if (!id || t->index->states.data[id].dynamic) /* 0: a value without bytes needs no shape */
		return;
	t->index->states.data[id].dynamic = true;
	vec_push(&t->dynamic, ((struct shape_dynamic){type->rtype, id, type->direct_iface}));
	reach(t, id, level);
}

static int by_rtype(const void *a, const void *b)
{
	const struct shape_dynamic *x = a, *y = b;

	return x->rtype < y->rtype ? -1 : x->rtype > y->rtype;
}

void shape_table_finish(struct shape_table *t)
{
	for (uint32_t i = 1; i < t->shapes.len; i++)
		reach(t, i, 0);
	for (unsigned level = 0; level <= t->limits.depth; level++) {
		shape_add_wanted(t, level);
		for (size_t i = 0; i < t->index->levels[level].len; i++)
			expand(t, t->index->levels[level].data[i], level);
	}
	if (t->dynamic.len)
		qsort(t->dynamic.data, t->dynamic.len, sizeof(*t->dynamic.data), by_rtype);
}

const struct shape_dynamic *shape_dynamic_find(const struct shape_table *t, uint64_t rtype)
{
	struct shape_dynamic key = {.rtype = rtype};

	return t->dynamic.len ? bsearch(&key, t->dynamic.data, t->dynamic.len, sizeof(key), by_rtype) : NULL;
}

uint32_t shape_of(struct shape_table *t, const struct type *type)
{
	return type->kind == KIND_INVALID ? 0 : intern(t, type, SHAPE_VALUE, type->size);
}

/* ---- the table ---- */

static uint32_t size_of(struct binary *b, const char *type_name)
{
	const struct type *type = binary_type(b, type_name);

	return type && type->size <= UINT32_MAX ? (uint32_t)type->size : 0;
}

/* Where a channel's length and capacity are; without them channels are shown by their address only. */
static void read_chan(struct binary *b, struct shape_index *x)
{
	const struct type *type = binary_type(b, "runtime.hchan");
	struct field_path len, cap;

	if (!type || !type_field_find(b, type, "qcount", &len) || !type_field_find(b, type, "dataqsiz", &cap) ||
	    len.n != 1 || cap.n != 1 || len.steps[0].type->size != 8 || cap.steps[0].type->size != 8)
		return;
	x->chan_len_off = (uint32_t)len.steps[0].offset;
	x->chan_cap_off = (uint32_t)cap.steps[0].offset;
	x->chan_size = MAX(x->chan_len_off, x->chan_cap_off) + 8;
}

int shape_table_new(struct binary *b, const struct shape_limits *limits, struct shape_table **ret, struct err *err)
{
	struct shape_table *t;
	uint32_t itab_type_off;
	int r = binary_itab_type_offset(b, &itab_type_off, err);

	if (r)
		return r;
	if (limits->depth > SHAPE_DEPTH_MAX)
		return err_set(err, -EINVAL, "a depth of %u is more than the %d that are possible", limits->depth,
			       SHAPE_DEPTH_MAX);
	t = xcalloc(1, sizeof(*t));
	t->binary = b;
	t->limits = *limits;
	t->itab_type_off = itab_type_off;
	t->index = xcalloc(1, sizeof(*t->index));
	t->index->swiss_size = size_of(b, "internal/runtime/maps.Map");
	t->index->table_size = size_of(b, "internal/runtime/maps.table");
	t->index->hmap_size = size_of(b, "runtime.hmap");
	read_chan(b, t->index);
	vec_add(&t->shapes);
	vec_add(&t->index->states);
	*ret = t;
	return 0;
}

void shape_table_free(struct shape_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(t->index->levels); i++)
		vec_done(&t->index->levels[i]);
	vec_done(&t->index->states);
	vec_done(&t->index->wanted);
	map_done(&t->index->ids);
	map_done(&t->index->maps);
	free(t->index);
	vec_done(&t->shapes);
	vec_done(&t->edges);
	vec_done(&t->dynamic);
	free(t);
}
