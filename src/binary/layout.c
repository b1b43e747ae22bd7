/*
 * Where the runtime keeps things that probes read: the entries of a map, a goroutine's identity.
 *
 * A map descriptor leads to the type of its bucket (until Go 1.23, and later with
 * GOEXPERIMENT=noswissmap) or of its group, whose fields bear the compiler's names:
 *   bucket  topbits [8]uint8, keys [8]K, elems [8]E, overflow
 *   group   ctrl uint64, slots [8]struct{key K; elem E}
 *   group   ctrl uint64, keys [8]K, elems [8]E           (since Go 1.27)
 * where K or E is a pointer when the map's key or element is too large to be kept in place. The
 * header is the runtime's own struct, described in every binary: runtime.hmap or
 * internal/runtime/maps.Map. Sources: cmd/compile/internal/reflectdata/map.go,
 * internal/runtime/maps.
 */
#include <errno.h>
#include <string.h>

#include "binary/internal.h"

static bool field_named(struct binary *b, const struct type *t, const char *name,
			struct type_field *ret)
{
	for (size_t i = 0; type_field(b, t, i, ret); i++)
		if (!strcmp(ret->name, name))
			return true;
	return false;
}

int binary_check_runtime(const struct binary *b, struct err *err)
{
	if (binary_func_find(b, "runtime.main", NULL, 0))
		return 0;
	return err_set(err, -ENODATA,
		       "%s has no runtime.main: its Go runtime lies in a shared library (go build -linkshared, or it "
		       "is a plugin), where probes are not put; expected a program built without that",
		       b->name);
}

int read_offsets(struct binary *b, const struct type *t, const char *type_name, const struct wanted_field *want,
		 size_t n, struct err *err)
{
	struct type_field f;

	if (!t && binary_check_runtime(b, err) < 0) {
		err_prefix(err, "the runtime's %s", type_name);
		return -ENODATA;
	}
	if (!t || t->kind != KIND_STRUCT)
		return err_set(err, -ENODATA, "%s does not describe the runtime's %s", b->name,
			       type_name);
	for (size_t i = 0; i < n; i++) {
		if (!field_named(b, t, want[i].name, &f))
			return err_set(err, -ENODATA, "%s in %s has no field %s", type_name,
				       b->name, want[i].name);
		if (want[i].size && f.type->size != want[i].size)
			return err_set(
				err, -ENODATA, "field %s of %s in %s has %llu bytes, expected %llu",
				want[i].name, type_name, b->name, (unsigned long long)f.type->size,
				(unsigned long long)want[i].size);
		*want[i].ret = (uint32_t)f.offset;
	}
	return 0;
}

/* ---- maps ---- */

/* An array of slots: its stride; false when f is something else. */
static bool array_field(struct binary *b, const struct type *t, const char *name,
			struct type_field *ret)
{
	return field_named(b, t, name, ret) && ret->type->kind == KIND_ARRAY && ret->type->elem;
}

/* Whether have is what a map keeps in place of want: itself or a pointer to it. */
static bool kept(const struct type *have, const struct type *want, bool *ret_indirect)
{
	*ret_indirect = have != want;
	return have == want || (have->kind == KIND_POINTER && have->elem == want);
}

static bool split_entries(struct binary *b, const struct type *t, const struct type *holder,
			  struct map_layout *l)
{
	struct type_field keys, elems;

	if (!array_field(b, holder, "keys", &keys) || !array_field(b, holder, "elems", &elems) ||
	    keys.type->len != elems.type->len || keys.offset > elems.offset ||
	    !kept(keys.type->elem, t->key, &l->key_indirect) ||
	    !kept(elems.type->elem, t->elem, &l->elem_indirect))
		return false;
	l->slots = (uint32_t)keys.type->len;
	l->group_slots_off = l->swiss ? (uint32_t)keys.offset : 0;
	l->key_off = (uint32_t)keys.offset - l->group_slots_off;
	l->elem_off = (uint32_t)elems.offset - l->group_slots_off;
	l->key_stride = (uint32_t)keys.type->elem->size;
	l->elem_stride = (uint32_t)elems.type->elem->size;
	return true;
}

static bool slot_entries(struct binary *b, const struct type *t, const struct type *group,
			 struct map_layout *l)
{
	struct type_field slots, key, elem;

	if (!array_field(b, group, "slots", &slots) ||
	    !field_named(b, slots.type->elem, "key", &key) ||
	    !field_named(b, slots.type->elem, "elem", &elem) ||
	    !kept(key.type, t->key, &l->key_indirect) ||
	    !kept(elem.type, t->elem, &l->elem_indirect))
		return false;
	l->slots = (uint32_t)slots.type->len;
	l->slot_size = l->key_stride = l->elem_stride = (uint32_t)slots.type->elem->size;
	l->group_slots_off = (uint32_t)slots.offset;
	l->key_off = (uint32_t)key.offset;
	l->elem_off = (uint32_t)elem.offset;
	return true;
}

static int swiss_header(struct binary *b, struct map_layout *l, struct err *err)
{
	const struct type *table = binary_type(b, "internal/runtime/maps.table");
	uint32_t groups = 0, data = 0, mask = 0;
	const struct wanted_field map[] = {{"used", &l->count_off, 8},
				     {"dirPtr", &l->dir_ptr_off, 8},
				     {"dirLen", &l->dir_len_off, 8}};
	const struct wanted_field in_table[] = {{"index", &l->table_index_off, 8},
					  {"groups", &groups, 16}};
	const struct wanted_field in_groups[] = {{"data", &data, 8}, {"lengthMask", &mask, 8}};
	struct type_field f;
	int r;

	r = read_offsets(b, binary_type(b, "internal/runtime/maps.Map"),
			 "internal/runtime/maps.Map", map, ARRAY_SIZE(map), err);
	if (r == 0)
		r = read_offsets(b, table, "internal/runtime/maps.table", in_table,
				 ARRAY_SIZE(in_table), err);
	if (r < 0)
		return r;
	if (!field_named(b, table, "groups", &f))
		return -ENODATA;
	r = read_offsets(b, f.type, "internal/runtime/maps.groupsReference", in_groups,
			 ARRAY_SIZE(in_groups), err);
	l->table_groups_off = groups + data;
	l->table_mask_off = groups + mask;
	return r;
}

static int old_header(struct binary *b, struct map_layout *l, struct err *err)
{
	const struct wanted_field want[] = {
		{"count", &l->count_off, 8},
		{"flags", &l->flags_off, 1},
		{"B", &l->b_off, 1},
		{"buckets", &l->buckets_off, 8},
		{"oldbuckets", &l->oldbuckets_off, 8},
		{"nevacuate", &l->nevacuate_off, 8},
	};

	return read_offsets(b, binary_type(b, "runtime.hmap"), "runtime.hmap", want,
			    ARRAY_SIZE(want), err);
}

static bool old_entries(struct binary *b, const struct type *t, const struct type *bucket,
			struct map_layout *l)
{
	struct type_field f;

	if (!array_field(b, bucket, "topbits", &f) || f.offset != 0 ||
	    !split_entries(b, t, bucket, l) || f.type->len != l->slots ||
	    !field_named(b, bucket, "overflow", &f) || f.type->size != 8)
		return false;
	l->overflow_off = (uint32_t)f.offset;
	l->bucket_size = (uint32_t)bucket->size;
	return true;
}

static bool read_entries(struct binary *b, const struct type *t, const struct type *holder,
			 struct map_layout *l)
{
	struct type_field ctrl;

	if (holder->size > UINT32_MAX || t->key->size > UINT32_MAX || t->elem->size > UINT32_MAX)
		return false;
	l->key_size = (uint32_t)t->key->size;
	l->elem_size = (uint32_t)t->elem->size;
	l->swiss = field_named(b, holder, "ctrl", &ctrl);
	if (!l->swiss)
		return old_entries(b, t, holder, l);
	l->group_size = (uint32_t)holder->size;
	return ctrl.offset == 0 && ctrl.type->size == 8 &&
	       (slot_entries(b, t, holder, l) || split_entries(b, t, holder, l));
}

bool type_map_layout(struct binary *b, const struct type *t, struct map_layout *ret,
		     struct err *err)
{
	struct map_layout l = {0};
	const struct type *holder;

	if (t->kind != KIND_MAP || !t->key || !t->elem) {
		err_set(err, -EINVAL, "%s is not a map", t->name);
		return false;
	}
	/* a type that was declared as a map has its descriptor's address, too */
	holder = t->source == TYPE_FROM_DWARF ? NULL : binary_type_at(b, type_full(b, t)->private_addr);
	if (!holder || holder->kind != KIND_STRUCT) {
		err_set(err, -ENODATA,
			"%s has no descriptor of %s, which would say how it keeps its entries",
			b->name, t->name);
		return false;
	}
	if (!read_entries(b, t, holder, &l) || l.slots != MAP_SLOTS) {
		err_set(err, -ENODATA,
			"%s keeps the entries of %s in a way that is not known here (%s has "
			"unknown fields)",
			b->name, t->name, holder->name);
		return false;
	}
	if ((l.swiss ? swiss_header(b, &l, err) : old_header(b, &l, err)) < 0)
		return false;
	*ret = l;
	return true;
}

/* Whether size bytes at off, and as many of each further slot, lie within the block. */
static bool within(const struct map_layout *l, const struct map_block *b, uint32_t off, uint32_t stride, uint32_t size)
{
	return off <= b->size && (uint64_t)off + (uint64_t)stride * (l->slots - 1) + size <= b->size;
}

static bool can_be_searched(const struct map_layout *l, const struct map_block *b, uint32_t max)
{
	return b->size <= max && l->slots >= 1 && l->slots <= MAP_SLOTS &&
	       within(l, b, b->key_off, l->key_stride, l->key_size) &&
	       within(l, b, b->elem_off, l->elem_stride, l->elem_indirect ? 8 : l->elem_size) &&
	       (l->swiss || (!(l->overflow_off & 7) && within(l, b, l->overflow_off, 0, 8)));
}

int map_layout_block(const struct map_layout *l, uint32_t key_size, uint32_t max, struct map_block *ret,
		     struct err *err)
{
	uint32_t first = l->swiss ? l->group_slots_off : 0;
	struct map_block b = {.size = l->swiss ? l->group_size : l->bucket_size,
			      .key_off = first + l->key_off, .elem_off = first + l->elem_off};

	if (key_size && key_size != l->key_size)
		return err_set(err, -EOPNOTSUPP, "the map's keys have %u bytes (expected %u)", l->key_size, key_size);
	if (l->key_indirect)
		return err_set(err, -EOPNOTSUPP, "the map keeps its keys, of %u bytes, behind pointers", l->key_size);
	if (!can_be_searched(l, &b, max))
		return err_set(err, -EOPNOTSUPP,
			       "the map's layout is not one that can be searched (%u slots in %u bytes)", l->slots,
			       b.size);
	*ret = b;
	return 0;
}

bool type_map_count(struct binary *b, struct map_layout *ret)
{
	const struct type *swiss = binary_type(b, "internal/runtime/maps.Map");
	const struct wanted_field used = {"used", &ret->count_off, 8}, count = {"count", &ret->count_off, 8};

	ret->swiss = swiss;
	if (swiss)
		return !read_offsets(b, swiss, swiss->name, &used, 1, NULL);
	return !read_offsets(b, binary_type(b, "runtime.hmap"), "runtime.hmap", &count, 1, NULL);
}

/* ---- goroutines ---- */

int binary_goroutine_layout(struct binary *b, struct goroutine_layout *ret, struct err *err)
{
	const struct type *g = binary_type(b, "runtime.g");
	struct goroutine_layout l = {0};
	uint32_t stack = 0, lo = 0, hi = 0;
	const struct wanted_field in_g[] = {{"goid", &l.goid, 8},
				      {"stack", &stack, 16},
				      {"m", &l.m, 8},
				      {"stackguard0", &l.stackguard0, 8}};
	const struct wanted_field in_stack[] = {{"lo", &lo, 8}, {"hi", &hi, 8}};
	const struct wanted_field in_m[] = {{"curg", &l.m_curg, 8}};
	struct type_field f;
	int r;

	r = read_offsets(b, g, "runtime.g", in_g, ARRAY_SIZE(in_g), err);
	if (r == 0 && field_named(b, g, "stack", &f))
		r = read_offsets(b, f.type, "runtime.stack", in_stack, ARRAY_SIZE(in_stack), err);
	if (r == 0)
		r = read_offsets(b, binary_type(b, "runtime.m"), "runtime.m", in_m,
				 ARRAY_SIZE(in_m), err);
	if (r < 0)
		return r;
	l.stack_lo = stack + lo;
	l.stack_hi = stack + hi;
	*ret = l;
	return 0;
}
