/*
 * Finding type descriptors: by full or short name, and composites by their parts. Apart from
 * reading them because only this pays for a pass over all types, at the first question.
 *
 * Descriptors are found by shape at every 8-aligned address of [types, etypes): against the closure
 * by reachability that finds neither more nor less. Only hashes are kept.
 */
#include <string.h>

#include "base/vec.h"
#include "binary/rtype.h"

#define TRIM_BYTES (8 << 20) /* read of the file before its memory is given back */

/* ---- the index ---- */

/*
 * Chained hash over all descriptors: named ones by name without package (so that one index answers
 * for full and for short names), composites by their parts.
 */
struct type_index {
	struct type_entry {
		uint32_t hash, off8,
		    next; /* off8: (address - types rounded up) / 8; next: index + 1 */
	} * entries;
	uint32_t *heads, mask;
	uint64_t base;
};

static uint32_t hash_bytes(const char *p, size_t n)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)p[i]) * 0x01000193u;
	return h;
}

static uint32_t hash_parts(enum type_kind kind, uint64_t elem, uint64_t key, uint64_t extra)
{
	uint64_t parts[4] = {kind, elem, key, extra}, h = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		h = (h ^ parts[i]) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	return (uint32_t)h;
}

struct parts {
	uint64_t elem, key, extra;
};

/* What tells a composite from others of its kind; false for kinds that are not looked up this way.
 */
static bool parts_of(const struct rtype_header *h, struct parts *ret)
{
	uint64_t word = rtype_length(h->kind) > RTYPE_HEADER ? u64_at(h->p + RTYPE_HEADER) : 0;

	switch (h->kind) {
	case KIND_POINTER:
	case KIND_SLICE:
		*ret = (struct parts){word, 0, 0};
		return true;
	case KIND_ARRAY:
		*ret = (struct parts){word, 0, u64_at(h->p + 64)};
		return true;
	case KIND_CHAN:
		*ret = (struct parts){word, 0, u64_at(h->p + 56)};
		return true;
	case KIND_MAP:
		*ret = (struct parts){u64_at(h->p + 56), word, 0};
		return true;
	case KIND_STRUCT:
	case KIND_INTERFACE:
		*ret = (struct parts){0};
		return u64_at(h->p + 64) == 0;
	default:
		return false;
	}
}

static bool hash_of(const struct rtype_header *h, uint32_t *ret)
{
	struct parts parts;
	struct text rest;

	if (!(h->tflag & TFLAG_NAMED)) {
		if (!parts_of(h, &parts))
			return false;
		*ret = hash_parts(h->kind, parts.elem, parts.key, parts.extra);
		return true;
	}
	rest = name_without_package(h->string);
	*ret = hash_bytes(rest.p, rest.n);
	return true;
}

static struct type_index *index_build(const struct binary *b)
{
	struct type_index *x = xcalloc(1, sizeof(*x));
	VEC(struct type_entry) entries = {0};
	struct rtype_header h;
	uint32_t hash;
	uint64_t size = MIN(b->md.etypes - b->md.types, image_extent(&b->img, b->md.types));

	x->base = ALIGN_UP(b->md.types, 8);
	for (uint64_t pos = 0; pos < size; image_trim(&b->img)) {
		uint64_t end = pos + MIN(TRIM_BYTES, size - pos);

		while (rtype_header_before(b, end, &pos, &h))
			if (hash_of(&h, &hash))
				vec_push(&entries,
				         ((struct type_entry){
				             hash, (uint32_t)((h.addr - x->base) / 8), 0}));
	}
	x->mask = 1;
	while (x->mask < entries.len)
		x->mask = x->mask << 1 | 1;
	x->heads = xcalloc((size_t)x->mask + 1, sizeof(*x->heads));
	x->entries = entries.data;
	for (size_t i = 0; i < entries.len; i++) {
		uint32_t *head = &x->heads[x->entries[i].hash & x->mask];

		x->entries[i].next = *head;
		*head = (uint32_t)i + 1;
	}
	return x;
}

void type_index_free(struct type_index *x)
{
	if (!x)
		return;
	free(x->entries);
	free(x->heads);
	free(x);
}

/* The next descriptor with this hash; start with *pos = UINT32_MAX. */
static bool index_next(const struct binary *b, uint32_t hash, uint32_t *pos,
                       struct rtype_header *ret)
{
	const struct type_index *x = b->index;

	*pos = *pos == UINT32_MAX ? x->heads[hash & x->mask] : x->entries[*pos - 1].next;
	for (; *pos; *pos = x->entries[*pos - 1].next)
		if (x->entries[*pos - 1].hash == hash &&
		    rtype_header_at(b, x->base + 8 * (uint64_t)x->entries[*pos - 1].off8, ret))
			return true;
	return false;
}

static bool find_named(const struct binary *b, const char *name, struct rtype_header *ret)
{
	size_t len = strlen(name);
	struct text rest = name_without_package((struct text){name, len});
	uint32_t hash = hash_bytes(rest.p, rest.n), pos = UINT32_MAX;
	struct rtype_header h;

	while (index_next(b, hash, &pos, &h)) {
		struct full_name n;

		if (!(h.tflag & TFLAG_NAMED))
			continue;
		n = rtype_full_name(b, &h);
		if (!full_name_is(&n, name, len))
			continue;
		*ret = h;
		return true;
	}
	return false;
}

/* ---- look-ups ---- */

/*
 * The header's layout read from the descriptor of the header's own struct. Binaries without one (or
 * where it agrees) are fine; where it disagrees no descriptor can be trusted.
 */
static bool header_agrees(struct binary *b)
{
	static const struct {
		const char *new_name, *old_name;
		uint64_t offset;
	} want[] = {{"Size_", "size", 0},  {"TFlag", "tflag", 20}, {"Align_", "align", 21},
	            {"Kind_", "kind", 23}, {"Str", "str", 40},     {"PtrToThis", "ptrToThis", 44}};
	struct type_field f;
	struct rtype_header h;
	const struct type *t;

	if (!find_named(b, "internal/abi.Type", &h) && !find_named(b, "runtime._type", &h))
		return true;
	t = binary_type_at(b, h.addr);
	for (size_t i = 0, k = 0; t && i < type_field_count(b, t); i++) {
		if (!type_field(b, t, i, &f))
			return false;
		for (k = 0; k < ARRAY_SIZE(want); k++)
			if ((!strcmp(f.name, want[k].new_name) ||
			     !strcmp(f.name, want[k].old_name)) &&
			    f.offset != want[k].offset)
				return false;
	}
	return t && t->size == RTYPE_HEADER;
}

static void need_index(struct binary *b)
{
	if (b->index)
		return;
	b->index = index_build(b);
	if (header_agrees(b))
		return;
	type_index_free(b->index);
	b->md.types = b->md.etypes = 0;
	b->index = index_build(b);
}

const struct type *rtype_by_name(struct binary *b, const char *full_name)
{
	struct rtype_header h;

	need_index(b);
	return find_named(b, full_name, &h) ? binary_type_at(b, h.addr) : NULL;
}

size_t rtype_by_short_name(struct binary *b, const char *name, const struct type **ret, size_t max)
{
	size_t len = strlen(name), n = 0;
	struct text rest = name_without_package((struct text){name, len});
	uint32_t hash = hash_bytes(rest.p, rest.n), pos = UINT32_MAX;
	struct rtype_header h;

	need_index(b);
	while (index_next(b, hash, &pos, &h)) {
		const struct type *t;

		if (!(h.tflag & TFLAG_NAMED) || h.string.n != len || memcmp(h.string.p, name, len))
			continue;
		t = binary_type_at(b, h.addr);
		if (t && n < max)
			ret[n] = t;
		n += t != NULL;
	}
	return n;
}

const struct type *rtype_composite(struct binary *b, enum type_kind kind, const struct type *elem,
                                   const struct type *key, uint64_t extra)
{
	struct parts want = {elem ? elem->rtype : 0, key ? key->rtype : 0, extra}, have;
	uint32_t hash = hash_parts(kind, want.elem, want.key, want.extra), pos = UINT32_MAX;
	struct rtype_header h;

	need_index(b);
	while (index_next(b, hash, &pos, &h))
		if (h.kind == kind && !(h.tflag & TFLAG_NAMED) && parts_of(&h, &have) &&
		    have.elem == want.elem && have.key == want.key && have.extra == want.extra)
			return binary_type_at(b, h.addr);
	return NULL;
}

uint64_t rtype_pointer_to(const struct binary *b, uint64_t rtype)
{
	struct rtype_header h;
	uint32_t off;

	if (!rtype || !image_u32(&b->img, rtype + 44, &off) || !off ||
	    !rtype_header_at(b, b->md.types + off, &h) || h.kind != KIND_POINTER ||
	    u64_at(h.p + RTYPE_HEADER) != rtype)
		return 0;
	return h.addr;
}
