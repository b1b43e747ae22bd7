/*
 * Interfaces: which types one may hold, and where its itab says which one it holds. Works on the bytes of descriptors,
 * because a large program has tens of thousands of types and few have the methods.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "binary/rtype.h"

enum { METHODS_MAX = 64, ITABS_WANTED = 2, ITAB_TYPE = 8, ITAB_HASH = 16, ITAB_BYTES = 24, RTYPE_HASH = 16 };

/* ---- the methods of an interface, of a type ---- */

struct names {
	struct text v[METHODS_MAX];
	size_t n;
};

/* An interface's methods: (name, type) of 4 bytes each. False when there are too many or they cannot be read. */
static bool read_interface(const struct binary *b, uint64_t rtype, struct names *ret)
{
	const uint8_t *p;
	uint64_t at, n;

	if (!image_u64(&b->img, rtype + 56, &at) || !image_u64(&b->img, rtype + 64, &n) || n > METHODS_MAX)
		return false;
	p = image_at(&b->img, at, n * 8);
	for (ret->n = 0; p && ret->n < n; ret->n++)
		if (!rtype_name_off(b, u32_at(p + ret->n * 8), &ret->v[ret->n]))
			return false;
	return p;
}

/* The names of the methods of an interface that was composed. */
static bool read_composed(struct binary *b, const struct type *interface, struct names *ret)
{
	struct type_method m;

	for (ret->n = 0; type_method(b, interface, ret->n, &m); ret->n++) {
		if (ret->n == METHODS_MAX)
			return false;
		ret->v[ret->n] = (struct text){m.name, strlen(m.name)};
	}
	return true;
}

static bool text_is(struct text a, struct text b)
{
	return a.n == b.n && !memcmp(a.p, b.p, a.n);
}

/* Both lists are sorted by name. What the linker dropped of a method is its type and code; the name stays. */
static bool has_methods(const struct binary *b, const struct rtype_header *h, const struct names *want)
{
	uint64_t uncommon = rtype_uncommon(b, h);
	uint16_t count;
	uint32_t off;
	const uint8_t *p;
	size_t found = 0;

	if (!uncommon || !image_u16(&b->img, uncommon + 4, &count) || !image_u32(&b->img, uncommon + 8, &off) ||
	    count < want->n)
		return false;
	p = image_at(&b->img, uncommon + off, count * 16ull);
	for (size_t i = 0; p && i < count && found < want->n; i++) {
		struct text name;

		if (!rtype_name_off(b, u32_at(p + i * 16), &name))
			return false;
		found += text_is(name, want->v[found]);
	}
	return p && found == want->n;
}

/* Types of functions without a name: there is one for each method, and hardly a value of them in an interface. */
static bool is_left_out(const struct rtype_header *h)
{
	return h->kind == KIND_INTERFACE || (h->kind == KIND_FUNC && !(h->tflag & TFLAG_NAMED));
}

bool binary_type_holdable_next(struct binary *b, const struct type *interface, size_t *pos, const struct type **ret)
{
	struct names want = {.n = 0};
	struct rtype_header h;
	uint64_t at = *pos;

	if (interface->rtype ? !read_interface(b, interface->rtype, &want) : !read_composed(b, interface, &want))
		return false;
	while (rtype_header_before(b, b->md.etypes - b->md.types, &at, &h)) {
		*pos = at;
		if (is_left_out(&h) || (want.n && !has_methods(b, &h, &want)))
			continue;
		*ret = binary_type_at(b, h.addr);
		if (*ret)
			return true;
	}
	*pos = at;
	return false;
}

/* ---- itabs ---- */

/* The offset by the runtime's own description of the struct. */
static bool itab_by_name(struct binary *b, uint32_t *ret)
{
	static const char *const types[] = {"internal/abi.ITab", "runtime.itab"};
	static const char *const fields[] = {"Type", "_type"};
	struct field_path path;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const struct type *t = binary_type(b, types[i]);

		for (size_t k = 0; t && k < ARRAY_SIZE(fields); k++) {
			if (!type_field_find(b, t, fields[k], &path) || path.n != 1 || path.steps[0].type->size != 8)
				continue;
			*ret = (uint32_t)path.steps[0].offset;
			return true;
		}
	}
	return false;
}

/* An itab is an interface's descriptor, a type's, and that type's hash, which the type's descriptor has too. */
static bool is_itab(const struct binary *b, const uint8_t *p)
{
	struct rtype_header interface, type;

	return rtype_header_at(b, u64_at(p), &interface) && interface.kind == KIND_INTERFACE &&
	       rtype_header_at(b, u64_at(p + ITAB_TYPE), &type) && type.kind != KIND_INTERFACE &&
	       u32_at(p + ITAB_HASH) == u32_at(type.p + RTYPE_HASH);
}

/* The same offset by the itabs that the linker has made. */
static bool itab_by_content(const struct binary *b)
{
	unsigned found = 0;

	for (size_t i = 0; i < b->img.nsegments; i++) {
		const struct image_segment *s = &b->img.segments[i];
		const uint8_t *p = s->flags & PF_X ? NULL : image_at(&b->img, s->vaddr, s->filesz);
		uint64_t at = -s->vaddr & 7;

		for (; p && at + ITAB_BYTES <= s->filesz && found < ITABS_WANTED; at += 8) {
			uint64_t first = u64_at(p + at);

			found += first >= b->md.types && first < b->md.etypes && is_itab(b, p + at);
		}
		image_trim(&b->img);
	}
	return found == ITABS_WANTED;
}

int binary_itab_type_offset(struct binary *b, uint32_t *ret, struct err *err)
{
	if (!b->itab_type_end) {
		uint32_t at = ITAB_TYPE;

		if (!itab_by_name(b, &at) && !itab_by_content(b))
			return err_set(err, -ENODATA, "%s neither describes the runtime's itab nor has one, so that it "
						      "is not known how its interfaces say what they hold", b->name);
		b->itab_type_end = at + 8;
	}
	*ret = b->itab_type_end - 8;
	return 0;
}
