/*
 * Go types as Earshot sees them, whatever they were read from (runtime type descriptors, DWARF, or
 * composed from Go syntax). Owned by the binary they came from; pointers stay valid until it is freed.
 */
#ifndef BINARY_TYPE_H
#define BINARY_TYPE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <stddef.h>

/* The values are those of Go's internal/abi.Kind (reflect.Kind), which descriptors store. */
enum type_kind {
	KIND_INVALID,
	KIND_BOOL, KIND_INT, KIND_INT8, KIND_INT16, KIND_INT32, KIND_INT64,
	KIND_UINT, KIND_UINT8, KIND_UINT16, KIND_UINT32, KIND_UINT64, KIND_UINTPTR,
	KIND_FLOAT32, KIND_FLOAT64, KIND_COMPLEX64, KIND_COMPLEX128,
	KIND_ARRAY, KIND_CHAN, KIND_FUNC, KIND_INTERFACE, KIND_MAP, KIND_POINTER, KIND_SLICE,
	KIND_STRING, KIND_STRUCT, KIND_UNSAFE_POINTER,
};

enum type_origin { TYPE_FROM_RTYPE, TYPE_FROM_DWARF, TYPE_COMPOSED };

struct type;

struct type_field {
	const char *name;
	const struct type *type;
	uint64_t offset;
	bool embedded;
};

/* By name, through embedded structs as Go's selector does; offset is from t, pointers are not crossed:
 * *ret_path lists the steps when an embedded pointer lies between (usually one step). */
struct field_path {
	struct type_field steps[4];
	size_t n;
};

struct global {              /* a constant or a variable of a package */
	bool is_variable;
	const struct type *type; /* NULL if unknown: a variable that only the symbol table names */
	int64_t number;          /* of a constant: its bits */
	uint64_t addr, size;     /* of a variable, in the image */
};

struct type_method {        /* of a named type (concrete) or of an interface */
	const char *name;
	const struct type *type; /* KIND_FUNC without receiver, or NULL when the linker dropped it */
	uint64_t ifn, tfn;       /* code addresses, 0 when dropped or for interfaces */
};

/*
 * How a map keeps its entries. Offsets are in bytes. Read from the map type's own descriptors
 * (bucket or group type, hmap or internal/runtime/maps.Map), never assumed by version.
 * In either kind, with base = group + group_slots_off (swiss) or = bucket (old), entry i has
 *   key at base + key_off + i * key_stride, elem at base + elem_off + i * elem_stride.
 * (Swiss groups come with keys and elements interleaved or in two arrays.)
 */
struct map_layout {
	bool swiss;
	uint32_t slots;            /* entries in a bucket or group: 8 */
	uint32_t key_off, elem_off;
	uint32_t key_stride, elem_stride;
	uint32_t slot_size;        /* swiss, interleaved: both strides; otherwise 0 */
	uint32_t key_size, elem_size; /* of the types themselves, even when kept by pointer */
	bool key_indirect, elem_indirect; /* kept by pointer */
	uint32_t count_off;        /* number of entries, in the map header (int or uint64: 8 bytes) */
	/* swiss (internal/runtime/maps.Map, .table, .groupsReference) */
	uint32_t dir_ptr_off, dir_len_off; /* dirLen == 0: dir_ptr is the one group */
	uint32_t table_groups_off;         /* table.groups.data */
	uint32_t table_mask_off;           /* table.groups.lengthMask */
	uint32_t table_index_off;          /* table.index: skip a directory entry that repeats a table */
	uint32_t group_slots_off;          /* first slot or key within a group; ctrl word at 0 */
	uint32_t group_size;
	/* old (runtime.hmap, bmap) */
	uint32_t b_off, buckets_off, oldbuckets_off, nevacuate_off, flags_off;
	uint32_t overflow_off, bucket_size; /* tophash[8] at 0 of a bucket */
};
enum {
	MAP_SLOTS = 8,          /* entries in a bucket or group, in every Go so far: others are refused */
	MAP_CTRL_FREE = 0x80,   /* swiss: set in the control byte of a slot without an entry */
	MAP_TOPHASH_MOVED_FIRST = 2, MAP_TOPHASH_MOVED_LAST = 4, /* old: evacuatedX … evacuatedEmpty */
	MAP_TOPHASH_USED = 5,   /* old: tophash of a full slot, or more (minTopHash) */
	MAP_SAME_SIZE_GROW = 8, /* old: in the header's flags (sameSizeGrow) */
};

/* A bucket or a group, to be searched: its size in bytes, and where its first key and its first element lie. */
struct map_block {
	uint32_t size, key_off, elem_off;
};

struct type {
	const char *name;    /* full: "*net/url.URL", "map[string][]string", "net/http.Request" */
	const char *package; /* import path for named types, else NULL */
	enum type_kind kind;
	enum type_origin source;
	bool named;
	bool direct_iface;   /* held directly in an interface's data word; read from source: certainly so */
	bool has_methods;    /* an interface, read from source: so its first word is no type */
	uint32_t align;
	uint64_t size;
	uint64_t rtype;      /* address of the descriptor in the image, 0 when there is none */
	const struct type *elem;  /* pointer, slice, array, chan, map value */
	const struct type *key;   /* map */
	uint64_t len;             /* array */
};

static inline bool type_is_integer(const struct type *t)
{
	return t->kind >= KIND_INT && t->kind <= KIND_UINTPTR;
}
/* C's char as cgo names it: a pointer to one is a text. */
static inline bool type_is_c_char(const struct type *t)
{
	const char *name = t->name ? strrchr(t->name, '.') : NULL;

	return t->size == 1 && type_is_integer(t) && name && !strcmp(name, "._Ctype_char");
}
static inline bool type_is_signed(const struct type *t)
{
	return t->kind >= KIND_INT && t->kind <= KIND_INT64;
}
static inline bool type_is_float(const struct type *t)
{
	return t->kind == KIND_FLOAT32 || t->kind == KIND_FLOAT64;
}
/* Laid out as its kind says, whatever it is called. */
static inline bool type_is_basic(const struct type *t)
{
	return t->kind == KIND_BOOL || t->kind == KIND_STRING || type_is_integer(t) || type_is_float(t);
}

/*
 * What a type's name means that no binary describes, as a pack or a user declares it: {"time.Duration", "int64"}. The
 * type is in Go syntax, written in the package of the name; with "=" before it the name is an alias.
 */
struct declared_type {
	const char *name, *type;
};
/* A signature as a pack or a user declares it, in Go syntax. */
struct declared_param {
	const char *name, *type; /* type as text; NULL: unknown, position only */
};
struct declared_signature {
	const struct declared_param *params; /* without the receiver */
	size_t nparams;
	const struct declared_param *results;
	size_t nresults;
	bool has_results; /* results were declared (possibly none) */
	const struct declared_type *types; /* declared with it, as in struct type_scope */
	size_t ntypes;
	/*
	 * Of a generic function. One body serves all type arguments of a shape, so a declaration either names the type
	 * parameters, which then stand for what the instance's shapes tell, or it is of one instance, named by its type
	 * arguments, none of which may be a pointer.
	 */
	const char *const *type_params;
	size_t ntype_params;
	bool instance;
};

const char *type_kind_name(enum type_kind k); /* "int", "ptr", "struct" … */

#endif
