/*
 * Runtime type descriptors: the types of a Go program, stripped or not.
 *
 * A descriptor starts with 48 bytes that have not changed since Go 1.18 (internal/abi.Type, before
 * that runtime._type): size, ptrdata (8 each), hash (4), tflag, align, fieldAlign, kind (1 each),
 * equal, gcdata (8 each), str, ptrToThis (4 each, offsets from moduledata.types). Its own layout is
 * verified against the descriptor of that very struct when the binary has one (rtype_index.c).
 * Bits 5 to 7 of kind were flags until Go 1.25 (5: held directly in an interface); the flag then
 * moved to bit 5 of tflag. tflag: 1 an uncommon part follows, 2 the name has a star too many, 4
 * named.
 *
 * Then by kind: pointer, slice: elem. array: elem, slice, len. chan: elem, dir. map: key, elem,
 * bucket or group, … . struct: pkgPath, fields (slice of name, type, offset). interface: pkgPath,
 * methods (slice of nameOff, typeOff). func: inCount, outCount (u16, top bit: variadic), and after
 * the uncommon part the parameters and results. The uncommon part: pkgPath (nameOff), mcount,
 * xcount (u16), moff (from its own start) to methods of (name, mtyp, ifn, tfn), -1 or 0 where the
 * linker dropped one. Only the length of a map descriptor drifts; there the uncommon part is
 * recognised by its pkgPath.
 *
 * A name: flags (1 exported, 2 tag, 4 pkgPath, 8 embedded), varint length, text, varint length,
 * tag. Descriptors call types by package name; the full path comes from the uncommon part.
 *
 * This file reads the bytes and makes nothing of them: rtype_index.c finds descriptors by name,
 * rtype_object.c makes types of them. Source: internal/abi/type.go,
 * cmd/compile/internal/reflectdata/reflect.go.
 */
#include <string.h>

#include "binary/rtype.h"

#define TFLAG_STAR     2
#define TFLAG_DIRECT   32
#define KIND_DIRECT    32
#define NAME_TAG       2
#define NAME_MAX_BYTES 65535

/* ---- names ---- */

static bool read_text(const uint8_t **p, uint64_t *left, struct text *ret)
{
	uint64_t n = 0;
	uint8_t byte = 0x80;

	for (unsigned shift = 0; byte & 0x80; shift += 7) {
		if (shift > 14 || !*left)
			return false;
		byte = *(*p)++;
		--*left;
		n |= (uint64_t)(byte & 0x7f) << shift;
	}
	if (n > *left || n > NAME_MAX_BYTES)
		return false;
	*ret = (struct text){(const char *)*p, n};
	*p += n;
	*left -= n;
	return true;
}

static bool read_name(const uint8_t *p, uint64_t left, uint8_t *ret_flags, struct text *ret,
                      struct text *ret_tag)
{
	if (!p || !left || *p >= 16)
		return false;
	*ret_flags = *p++;
	left--;
	*ret_tag = (struct text){0};
	return read_text(&p, &left, ret) &&
	       (!(*ret_flags & NAME_TAG) || read_text(&p, &left, ret_tag));
}

bool rtype_name_at(const struct binary *b, uint64_t addr, uint8_t *ret_flags, struct text *ret,
                   struct text *ret_tag)
{
	return read_name(image_at(&b->img, addr, 1), image_extent(&b->img, addr), ret_flags, ret,
	                 ret_tag);
}

bool rtype_name_off(const struct binary *b, uint32_t off, struct text *ret)
{
	struct text tag;
	uint8_t flags;

	return off < b->md.etypes - b->md.types &&
	       rtype_name_at(b, b->md.types + off, &flags, ret, &tag);
}

/* ---- the shape test ---- */

/* Sizes a kind always has; 0: any. */
static const uint8_t kind_size[] = {
    [KIND_BOOL] = 1,    [KIND_INT] = 8,     [KIND_INT8] = 1,       [KIND_INT16] = 2,
    [KIND_INT32] = 4,   [KIND_INT64] = 8,   [KIND_UINT] = 8,       [KIND_UINT8] = 1,
    [KIND_UINT16] = 2,  [KIND_UINT32] = 4,  [KIND_UINT64] = 8,     [KIND_UINTPTR] = 8,
    [KIND_FLOAT32] = 4, [KIND_FLOAT64] = 8, [KIND_COMPLEX64] = 8,  [KIND_COMPLEX128] = 16,
    [KIND_CHAN] = 8,    [KIND_FUNC] = 8,    [KIND_INTERFACE] = 16, [KIND_MAP] = 8,
    [KIND_POINTER] = 8, [KIND_SLICE] = 24,  [KIND_STRING] = 16,    [KIND_UNSAFE_POINTER] = 8,
};

/* Where the uncommon part follows; a map's is found by content. */
static const uint8_t kind_length[] = {
    [KIND_ARRAY] = 72, [KIND_CHAN] = 64,    [KIND_FUNC] = 56,  [KIND_INTERFACE] = 80,
    [KIND_MAP] = 72,   [KIND_POINTER] = 56, [KIND_SLICE] = 56, [KIND_STRUCT] = 80,
};

uint64_t rtype_length(enum type_kind kind)
{
	return kind < ARRAY_SIZE(kind_length) && kind_length[kind] ? kind_length[kind]
	                                                           : RTYPE_HEADER;
}

static bool starts(struct text t, const char *prefix)
{
	size_t n = strlen(prefix);

	return t.n >= n && !memcmp(t.p, prefix, n);
}

/* How the names of unnamed types begin; "map." are the buckets and groups of maps. */
static bool is_literal(enum type_kind kind, struct text t)
{
	if (starts(t, "noalg."))
		t = (struct text){t.p + 6, t.n - 6};
	switch (kind) {
	case KIND_ARRAY:
		return starts(t, "[");
	case KIND_CHAN:
		return starts(t, "chan") || starts(t, "<-chan");
	case KIND_FUNC:
		return starts(t, "func(");
	case KIND_INTERFACE:
		return starts(t, "interface {");
	case KIND_MAP:
		return starts(t, "map[");
	case KIND_POINTER:
		return starts(t, "*");
	case KIND_SLICE:
		return starts(t, "[]");
	case KIND_STRUCT:
		return starts(t, "struct {") || starts(t, "map.");
	default:
		return false;
	}
}

static bool is_name(struct text t)
{
	for (size_t i = 0; i < t.n; i++)
		if ((unsigned char)t.p[i] < ' ' || t.p[i] == 0x7f)
			return false;
	return t.n > 0;
}

static bool header_parse(const struct binary *b, uint64_t addr, const uint8_t *p,
                         struct rtype_header *ret)
{
	uint8_t align = p[21], kind = p[23] & 31;
	struct rtype_header h = {addr, u64_at(p), p, kind, p[20], align, false, {0}};
	uint64_t ptrdata = u64_at(p + 8);

	if (!kind || kind > KIND_UNSAFE_POINTER || p[22] != align || !align || align > 8 ||
	    (align & (align - 1)) || h.tflag >= 64)
		return false;
	if (h.size % align || ptrdata > h.size || ptrdata % 8 || h.size >> 40 ||
	    (kind < ARRAY_SIZE(kind_size) && kind_size[kind] && h.size != kind_size[kind]))
		return false;
	if (!rtype_name_off(b, u32_at(p + 40), &h.string) || !is_name(h.string))
		return false;
	if (h.tflag & TFLAG_STAR) {
		if (*h.string.p != '*' || h.string.n < 2)
			return false;
		h.string = (struct text){h.string.p + 1, h.string.n - 1};
	}
	if (!(h.tflag & TFLAG_NAMED) && !is_literal(h.kind, h.string))
		return false;
	h.direct = (p[23] & KIND_DIRECT) || (h.tflag & TFLAG_DIRECT);
	*ret = h;
	return true;
}

bool rtype_header_at(const struct binary *b, uint64_t addr, struct rtype_header *ret)
{
	const struct moduledata *md = &b->md;
	struct rtype_header h;

	if (addr % 8 || addr < md->types || addr >= md->etypes || md->etypes - addr < RTYPE_HEADER)
		return false;
	if (!header_parse(b, addr, image_at(&b->img, addr, RTYPE_HEADER), &h) ||
	    md->etypes - addr < rtype_length(h.kind))
		return false;
	*ret = h;
	return true;
}

bool rtype_header_before(const struct binary *b, uint64_t end, uint64_t *pos,
                         struct rtype_header *ret)
{
	const struct moduledata *md = &b->md;
	uint64_t size = md->etypes - md->types;
	const uint8_t *base = image_at(&b->img, md->types, size);
	uint64_t off = *pos + (-(md->types + *pos) & 7);

	for (; base && off < end && size - off >= RTYPE_HEADER; off += 8) {
		if (base[off + 21] != base[off + 22] || !base[off + 21] || !(base[off + 23] & 31) ||
		    !rtype_header_at(b, md->types + off, ret))
			continue;
		*pos = off + RTYPE_HEADER;
		return true;
	}
	*pos = MAX(*pos, end);
	return false;
}

/* ---- the uncommon part and full names ---- */

/* Package name as the descriptor's string has it: "url" of "url.URL". */
static struct text package_name(struct text string)
{
	for (size_t i = 0; i < string.n && string.p[i] != '['; i++)
		if (string.p[i] == '.')
			return (struct text){string.p, i};
	return (struct text){0};
}

struct text name_without_package(struct text name)
{
	const char *bracket = name.n ? memchr(name.p, '[', name.n) : NULL;
	size_t end = bracket ? (size_t)(bracket - name.p) : name.n;

	while (end && name.p[end - 1] != '.')
		end--;
	return (struct text){name.p + end, name.n - end};
}

static bool package_path(const struct binary *b, uint64_t uncommon, struct text *ret)
{
	uint32_t off;

	return image_u32(&b->img, uncommon, &off) && off && rtype_name_off(b, off, ret) && ret->n;
}

/* A map descriptor ends after its flags; what follows is an uncommon part if its path fits the
 * name. */
static uint64_t map_uncommon(const struct binary *b, const struct rtype_header *h)
{
	struct text package = package_name(h->string), path;

	for (uint64_t off = 80; package.n && off <= 144; off += 8)
		if (package_path(b, h->addr + off, &path) && path.n >= package.n &&
		    !memcmp(path.p + path.n - package.n, package.p, package.n))
			return h->addr + off;
	for (uint64_t off = 80; package.n && off <= 144; off += 8)
		if (package_path(b, h->addr + off, &path) && is_name(path) &&
		    !memchr(path.p, '*', path.n) && !memchr(path.p, ' ', path.n))
			return h->addr + off;
	return 0;
}

uint64_t rtype_uncommon(const struct binary *b, const struct rtype_header *h)
{
	if (!(h->tflag & TFLAG_UNCOMMON))
		return 0;
	return h->kind == KIND_MAP ? map_uncommon(b, h) : h->addr + rtype_length(h->kind);
}

struct full_name rtype_full_name(const struct binary *b, const struct rtype_header *h)
{
	struct full_name n = {{0}, h->string};
	size_t prefix = package_name(h->string).n;
	uint64_t uncommon = rtype_uncommon(b, h);

	if (!uncommon || !package_path(b, uncommon, &n.path) || !prefix)
		return (struct full_name){{0}, h->string};
	if (h->string.n > n.path.n && h->string.p[n.path.n] == '.' &&
	    !memcmp(h->string.p, n.path.p, n.path.n))
		prefix = n.path.n; /* go.shape.string */
	n.rest = (struct text){h->string.p + prefix + 1, h->string.n - prefix - 1};
	return n;
}

bool full_name_is(const struct full_name *n, const char *s, size_t len)
{
	size_t path = n->path.n;

	if (!path)
		return n->rest.n == len && !memcmp(n->rest.p, s, len);
	return len == path + 1 + n->rest.n && !memcmp(s, n->path.p, path) && s[path] == '.' &&
	       !memcmp(s + path + 1, n->rest.p, n->rest.n);
}
