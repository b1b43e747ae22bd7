/*
 * Types read from DWARF, for what the program holds no descriptor of. Apart from dwarf.c because
 * this makes struct type objects, where that one finds DIEs.
 *
 * A type DIE has DW_AT_go_kind (reflect's kinds), DW_AT_go_elem and DW_AT_go_key, and, when the
 * program holds a descriptor of it, that one's place in DW_AT_go_runtime_type (an address or an
 * offset into the types): the descriptor of the same name is used then, so that a type has one
 * identity whatever it was read from. A defined type that is no struct is a chain of typedefs, of
 * which one bears the attributes. Alignment is not recorded and is computed.
 */
#include <string.h>

#include "binary/dwarf_die.h"
#include "binary/symbol.h"

#define ALIGN_STEPS 2000

/* Through typedefs to the DIE that says what the type is. */
static bool die_resolve(Dwarf_Die *die, Dwarf_Die *ret)
{
	Dwarf_Die next;

	*ret = *die;
	for (unsigned i = 0; i < 16; i++) {
		if (dwarf_tag(ret) != DW_TAG_typedef)
			return true;
		if (!attr_die(ret, DW_AT_type, &next))
			return false;
		*ret = next;
	}
	return false;
}

/* A number on the DIE or the next typedef in its chain that has it; not 0. */
static bool chain_number(Dwarf_Die *die, unsigned at, uint64_t *ret)
{
	Dwarf_Die d = *die, next;
	uint64_t v;

	for (unsigned i = 0; i < 16; i++) {
		if (attr_number(&d, at, &v) && v) {
			*ret = v;
			return true;
		}
		if (dwarf_tag(&d) != DW_TAG_typedef || !attr_die(&d, DW_AT_type, &next))
			return false;
		d = next;
	}
	return false;
}

static enum type_kind die_kind(Dwarf_Die *die, Dwarf_Die *target)
{
	const char *name = own_name(target);
	uint64_t k;

	if (chain_number(die, AT_GO_KIND, &k))
		return (k & 31) <= KIND_UNSAFE_POINTER ? (enum type_kind)(k & 31) : KIND_INVALID;
	if (dwarf_tag(target) == DW_TAG_pointer_type)
		return name && !strcmp(name, "unsafe.Pointer") ? KIND_UNSAFE_POINTER : KIND_POINTER;
	return dwarf_tag(target) == DW_TAG_structure_type ? KIND_STRUCT : KIND_INVALID;
}

static uint64_t array_length(Dwarf_Die *die)
{
	Dwarf_Die child;
	uint64_t n;

	if (dwarf_child(die, &child))
		return 0;
	for (unsigned i = 0; i < 4; i++) {
		if (attr_number(&child, DW_AT_count, &n))
			return n;
		if (attr_number(&child, DW_AT_upper_bound, &n))
			return n + 1;
		if (dwarf_siblingof(&child, &child))
			break;
	}
	return 0;
}

static uint64_t kind_size(enum type_kind k)
{
	switch (k) {
	case KIND_POINTER:
	case KIND_CHAN:
	case KIND_FUNC:
	case KIND_MAP:
	case KIND_UNSAFE_POINTER:
		return 8;
	case KIND_INTERFACE:
	case KIND_STRING:
		return 16;
	case KIND_SLICE:
		return 24;
	default:
		return 0;
	}
}

static uint64_t die_size(Dwarf_Die *die, enum type_kind kind)
{
	uint64_t n;

	if (kind_size(kind))
		return kind_size(kind);
	return attr_number(die, DW_AT_byte_size, &n) ? n : 0;
}

static uint32_t die_align(Dwarf_Die *die, unsigned depth, unsigned *steps);

static uint32_t struct_align(Dwarf_Die *die, unsigned depth, unsigned *steps)
{
	uint32_t align = 1;
	Dwarf_Die m, t;

	if (dwarf_child(die, &m))
		return 1;
	do {
		if (dwarf_tag(&m) == DW_TAG_member && attr_die(&m, DW_AT_type, &t))
			align = MAX(align, die_align(&t, depth + 1, steps));
	} while (*steps && !dwarf_siblingof(&m, &m));
	return align;
}

static uint32_t die_align(Dwarf_Die *die, unsigned depth, unsigned *steps)
{
	enum type_kind kind;
	Dwarf_Die t, elem;
	uint64_t size;

	if (depth > 16 || !*steps || !die_resolve(die, &t))
		return 1;
	--*steps;
	kind = die_kind(die, &t);
	if (kind == KIND_STRUCT)
		return struct_align(&t, depth, steps);
	if (kind == KIND_ARRAY)
		return attr_die(&t, DW_AT_type, &elem) ? die_align(&elem, depth + 1, steps) : 1;
	if (kind_size(kind))
		return 8;
	size = die_size(&t, kind);
	if (kind == KIND_COMPLEX64 || kind == KIND_COMPLEX128)
		size /= 2;
	return size == 2 || size == 4 || size == 8 ? (uint32_t)size : 1;
}

static void load_struct(struct binary *b, struct type_full *f)
{
	VEC(struct type_field) v = {0};
	Dwarf_Die die, target, m, t;

	f->load = NULL;
	if (!b->dwarf || !dwarf_offdie(b->dwarf->dw, f->private_addr, &die) ||
	    !die_resolve(&die, &target) || dwarf_child(&target, &m))
		return;
	do {
		struct type_field x = {.name = own_name(&m)};

		if (dwarf_tag(&m) != DW_TAG_member || !x.name || !attr_die(&m, DW_AT_type, &t) ||
		    !attr_number(&m, DW_AT_data_member_location, &x.offset))
			continue;
		x.type = die_type(b, &t);
		x.embedded = attr_flag(&m, AT_GO_EMBEDDED);
		if (x.type && x.offset <= f->t.size && x.type->size <= f->t.size - x.offset)
			vec_push(&v, x);
	} while (v.len < 65536 && !dwarf_siblingof(&m, &m));
	if (v.len)
		f->fields = arena_memdup(&b->arena, v.data, v.len * sizeof(*v.data));
	f->nfields = v.len;
	vec_done(&v);
}

static bool chain_die(Dwarf_Die *die, unsigned at, Dwarf_Die *ret)
{
	Dwarf_Die d = *die, next;

	for (unsigned i = 0; i < 16; i++) {
		if (attr_die(&d, at, ret))
			return true;
		if (dwarf_tag(&d) != DW_TAG_typedef || !attr_die(&d, DW_AT_type, &next))
			return false;
		d = next;
	}
	return false;
}

/* What t is made of: go_elem where Go says so, DW_AT_type of pointers and arrays. */
static void fill_parts(struct binary *b, Dwarf_Die *die, Dwarf_Die *target, struct type *t)
{
	Dwarf_Die part;

	if (chain_die(die, AT_GO_KEY, &part))
		t->key = die_type(b, &part);
	if (t->kind == KIND_POINTER || t->kind == KIND_ARRAY) {
		if (attr_die(target, DW_AT_type, &part))
			t->elem = die_type(b, &part);
	} else if (chain_die(die, AT_GO_ELEM, &part)) {
		t->elem = die_type(b, &part);
	}
	if (t->kind == KIND_POINTER && shape_is_any_pointer(t->name))
		t->elem = NULL;
	if ((t->kind == KIND_ARRAY || t->kind == KIND_SLICE || t->kind == KIND_POINTER) && !t->elem)
		t->elem = type_unknown(b);
}

static void fill_name(struct binary *b, struct type *t)
{
	const char *slash = strrchr(t->name, '/'), *dot = strchr(slash ? slash : t->name, '.');

	if (!dot || dot == t->name || strpbrk(t->name, "*[(< {"))
		return;
	t->named = true;
	t->package = arena_strndup(&b->arena, t->name, (size_t)(dot - t->name));
}

/*
 * As descriptors and declarations have it: without the linker's words for dots of import paths. Tags of fields, which
 * stand in quotes, may have such characters of their own.
 */
static const char *type_name(struct binary *b, Dwarf_Die *die)
{
	const char *name = own_name(die);

	if (!name || !strstr(name, "%2e") || strchr(name, '"'))
		return name;
	return func_name_unescape(&b->arena, name, strlen(name));
}

static const struct type *new_type(struct binary *b, Dwarf_Die *die, Dwarf_Die *target)
{
	struct type_full *f = type_full_new(b);
	unsigned steps = ALIGN_STEPS;
	const char *name = type_name(b, die);

	map_set(&b->dwarf->by_offset, dwarf_dieoffset(die) + 1, f);
	f->t.name = arena_strdup(&b->arena, name ? name : "?");
	f->t.source = TYPE_FROM_DWARF;
	f->t.kind = die_kind(die, target);
	f->t.size = die_size(target, f->t.kind);
	f->t.align = die_align(die, 0, &steps);
	f->private_addr = dwarf_dieoffset(die);
	fill_name(b, &f->t);
	if (f->t.kind == KIND_ARRAY)
		f->t.len = array_length(target);
	if (f->t.kind == KIND_STRUCT)
		f->load = load_struct;
	f->t.direct_iface = kind_size(f->t.kind) == 8;
	fill_parts(b, die, target, &f->t);
	return &f->t;
}

static const struct type *die_descriptor(struct binary *b, Dwarf_Die *die)
{
	const char *name = type_name(b, die);
	const struct type *t;
	uint64_t at;

	if (!name || !chain_number(die, AT_GO_RUNTIME_TYPE, &at))
		return NULL;
	t = binary_type_at(b, at < b->md.types ? b->md.types + at : at);
	return t && !strcmp(t->name, name) ? t : NULL;
}

const struct type *die_type(struct binary *b, Dwarf_Die *die)
{
	struct dwarf *d = b->dwarf;
	struct type_full *f = map_get(&d->by_offset, dwarf_dieoffset(die) + 1);
	const struct type *t = NULL;
	Dwarf_Die target;

	if (f)
		return &f->t;
	if (d->depth == DIE_DEPTH || !die_resolve(die, &target))
		return NULL;
	d->depth++;
	t = die_descriptor(b, die);
	if (!t && own_name(die))
		t = shape_certain(b, own_name(die));
	if (!t)
		t = new_type(b, die, &target);
	d->depth--;
	return t;
}

const struct type *dwarf_type(struct binary *b, const char *full_name)
{
	struct dwarf *d = dwarf_get(b);
	uintptr_t off = d ? (uintptr_t)strmap_get(&d->types, full_name, strlen(full_name)) : 0;
	Dwarf_Die die;

	return off && dwarf_offdie(d->dw, off - 1, &die) ? die_type(b, &die) : NULL;
}
