/*
 * Runtime type descriptors: the types of a Go program, stripped or not.
 *
 * A descriptor starts with 48 bytes that have not changed since Go 1.18 (internal/abi.Type, before
 * that runtime._type): size, ptrdata (8 each), hash (4), tflag, align, fieldAlign, kind (1 each),
 * equal, gcdata (8 each), str, ptrToThis (4 each, offsets from moduledata.types). Its own layout is
 * verified against the descriptor of that very struct when the binary has one (type_index_build).
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
 * Go 1.18 kept a struct field's offset shifted left over an embedded bit; 1.19 moved the bit into
 * the name. Read the wrong way a struct's fields do not fit in it, so each struct shows which it
 * is.
 *
 * Descriptors are found by shape at every 8-aligned address of [types, etypes): against the closure
 * by reachability that finds neither more nor less. Only hashes are kept; objects are made on
 * demand. Source: internal/abi/type.go, cmd/compile/internal/reflectdata/reflect.go.
 */
#include <string.h>

#include "base/buf.h"
#include "base/vec.h"
#include "binary/internal.h"

#define HEADER	       48
#define TFLAG_UNCOMMON 1
#define TFLAG_STAR     2
#define TFLAG_NAMED    4
#define TFLAG_DIRECT   32
#define KIND_DIRECT    32
#define NAME_TAG       2
#define NAME_EMBEDDED  8
#define VARIADIC       0x8000
#define DEPTH_MAX      64
#define NAME_MAX_BYTES 65535
#define TRIM_BYTES     (8 << 20) /* read of the file before its memory is given back */
#define LITERAL_MAX    4096 /* of a composed name: hostile descriptors double it at each level */

struct text {
	const char *p;
	size_t n;
};

struct header { /* a descriptor that passed the shape test */
	uint64_t addr, size;
	const uint8_t *p;
	enum type_kind kind;
	uint8_t tflag, align;
	bool direct;
	struct text string; /* without the extra star */
};

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

static bool name_at(const struct binary *b, uint64_t addr, uint8_t *ret_flags, struct text *ret,
		    struct text *ret_tag)
{
	return read_name(image_at(&b->img, addr, 1), image_extent(&b->img, addr), ret_flags, ret,
			 ret_tag);
}

/* The name at an offset from types; false when it is none. */
static bool name_off(const struct binary *b, uint32_t off, struct text *ret)
{
	struct text tag;
	uint8_t flags;

	return off < b->md.etypes - b->md.types && name_at(b, b->md.types + off, &flags, ret, &tag);
}

/* ---- the shape test ---- */

/* Sizes a kind always has; 0: any. */
static const uint8_t kind_size[] = {
	[KIND_BOOL] = 1,    [KIND_INT] = 8,	[KIND_INT8] = 1,       [KIND_INT16] = 2,
	[KIND_INT32] = 4,   [KIND_INT64] = 8,	[KIND_UINT] = 8,       [KIND_UINT8] = 1,
	[KIND_UINT16] = 2,  [KIND_UINT32] = 4,	[KIND_UINT64] = 8,     [KIND_UINTPTR] = 8,
	[KIND_FLOAT32] = 4, [KIND_FLOAT64] = 8, [KIND_COMPLEX64] = 8,  [KIND_COMPLEX128] = 16,
	[KIND_CHAN] = 8,    [KIND_FUNC] = 8,	[KIND_INTERFACE] = 16, [KIND_MAP] = 8,
	[KIND_POINTER] = 8, [KIND_SLICE] = 24,	[KIND_STRING] = 16,    [KIND_UNSAFE_POINTER] = 8,
};

/* Where the uncommon part follows; a map's is found by content. */
static const uint8_t kind_length[] = {
	[KIND_ARRAY] = 72, [KIND_CHAN] = 64,	[KIND_FUNC] = 56,  [KIND_INTERFACE] = 80,
	[KIND_MAP] = 72,   [KIND_POINTER] = 56, [KIND_SLICE] = 56, [KIND_STRUCT] = 80,
};

static uint64_t length_of(enum type_kind kind)
{
	return kind < ARRAY_SIZE(kind_length) && kind_length[kind] ? kind_length[kind] : HEADER;
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
			 struct header *ret)
{
	uint8_t align = p[21], kind = p[23] & 31;
	struct header h = {addr, u64_at(p), p, kind, p[20], align, false, {0}};
	uint64_t ptrdata = u64_at(p + 8);

	if (!kind || kind > KIND_UNSAFE_POINTER || p[22] != align || !align || align > 8 ||
	    (align & (align - 1)) || h.tflag >= 64)
		return false;
	if (h.size % align || ptrdata > h.size || ptrdata % 8 || h.size >> 40 ||
	    (kind < ARRAY_SIZE(kind_size) && kind_size[kind] && h.size != kind_size[kind]))
		return false;
	if (!name_off(b, u32_at(p + 40), &h.string) || !is_name(h.string))
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

static bool header_at(const struct binary *b, uint64_t addr, struct header *ret)
{
	const struct moduledata *md = &b->md;
	struct header h;

	if (addr % 8 || addr < md->types || addr >= md->etypes || md->etypes - addr < HEADER)
		return false;
	if (!header_parse(b, addr, image_at(&b->img, addr, HEADER), &h) ||
	    md->etypes - addr < length_of(h.kind))
		return false;
	*ret = h;
	return true;
}

/* The first descriptor from *pos to end (offsets into the types); *pos moves behind its header. */
static bool header_before(const struct binary *b, uint64_t end, uint64_t *pos, struct header *ret)
{
	const struct moduledata *md = &b->md;
	uint64_t size = md->etypes - md->types;
	const uint8_t *base = image_at(&b->img, md->types, size);
	uint64_t off = *pos + (-(md->types + *pos) & 7);

	for (; base && off < end && size - off >= HEADER; off += 8) {
		if (base[off + 21] != base[off + 22] || !base[off + 21] || !(base[off + 23] & 31) ||
		    !header_at(b, md->types + off, ret))
			continue;
		*pos = off + HEADER;
		return true;
	}
	*pos = MAX(*pos, end);
	return false;
}

static bool header_next(const struct binary *b, uint64_t *pos, struct header *ret)
{
	return header_before(b, b->md.etypes - b->md.types, pos, ret);
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

/* What follows the last dot that is not within type arguments: "Request" of "net/http.Request". */
static struct text without_package(struct text name)
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

	return image_u32(&b->img, uncommon, &off) && off && name_off(b, off, ret) && ret->n;
}

/* A map descriptor ends after its flags; what follows is an uncommon part if its path fits the
 * name. */
static uint64_t map_uncommon(const struct binary *b, const struct header *h)
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

static uint64_t uncommon_of(const struct binary *b, const struct header *h)
{
	if (!(h->tflag & TFLAG_UNCOMMON))
		return 0;
	return h->kind == KIND_MAP ? map_uncommon(b, h) : h->addr + length_of(h->kind);
}

/* A named type's full name is path + "." + rest, or rest alone when path is empty. */
struct full_name {
	struct text path, rest;
};

static struct full_name full_name_of(const struct binary *b, const struct header *h)
{
	struct full_name n = {{0}, h->string};
	size_t prefix = package_name(h->string).n;
	uint64_t uncommon = uncommon_of(b, h);

	if (!uncommon || !package_path(b, uncommon, &n.path) || !prefix)
		return (struct full_name){{0}, h->string};
	if (h->string.n > n.path.n && h->string.p[n.path.n] == '.' &&
	    !memcmp(h->string.p, n.path.p, n.path.n))
		prefix = n.path.n; /* go.shape.string */
	n.rest = (struct text){h->string.p + prefix + 1, h->string.n - prefix - 1};
	return n;
}

static bool full_name_is(const struct full_name *n, const char *s, size_t len)
{
	size_t path = n->path.n;

	if (!path)
		return n->rest.n == len && !memcmp(n->rest.p, s, len);
	return len == path + 1 + n->rest.n && !memcmp(s, n->path.p, path) && s[path] == '.' &&
	       !memcmp(s + path + 1, n->rest.p, n->rest.n);
}

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
static bool parts_of(const struct header *h, struct parts *ret)
{
	uint64_t word = length_of(h->kind) > HEADER ? u64_at(h->p + HEADER) : 0;

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

static bool hash_of(const struct header *h, uint32_t *ret)
{
	struct parts parts;
	struct text rest;

	if (!(h->tflag & TFLAG_NAMED)) {
		if (!parts_of(h, &parts))
			return false;
		*ret = hash_parts(h->kind, parts.elem, parts.key, parts.extra);
		return true;
	}
	rest = without_package(h->string);
	*ret = hash_bytes(rest.p, rest.n);
	return true;
}

static struct type_index *index_build(const struct binary *b)
{
	struct type_index *x = xcalloc(1, sizeof(*x));
	VEC(struct type_entry) entries = {0};
	struct header h;
	uint32_t hash;
	uint64_t size = MIN(b->md.etypes - b->md.types, image_extent(&b->img, b->md.types));

	x->base = ALIGN_UP(b->md.types, 8);
	for (uint64_t pos = 0; pos < size; image_trim(&b->img)) {
		uint64_t end = pos + MIN(TRIM_BYTES, size - pos);

		while (header_before(b, end, &pos, &h))
			if (hash_of(&h, &hash))
				vec_push(&entries, ((struct type_entry){
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
static bool index_next(const struct binary *b, uint32_t hash, uint32_t *pos, struct header *ret)
{
	const struct type_index *x = b->index;

	*pos = *pos == UINT32_MAX ? x->heads[hash & x->mask] : x->entries[*pos - 1].next;
	for (; *pos; *pos = x->entries[*pos - 1].next)
		if (x->entries[*pos - 1].hash == hash &&
		    header_at(b, x->base + 8 * (uint64_t)x->entries[*pos - 1].off8, ret))
			return true;
	return false;
}

static bool find_named(const struct binary *b, const char *name, struct header *ret)
{
	size_t len = strlen(name);
	struct text rest = without_package((struct text){name, len});
	uint32_t hash = hash_bytes(rest.p, rest.n), pos = UINT32_MAX;
	struct header h;

	while (index_next(b, hash, &pos, &h)) {
		struct full_name n;

		if (!(h.tflag & TFLAG_NAMED))
			continue;
		n = full_name_of(b, &h);
		if (!full_name_is(&n, name, len))
			continue;
		*ret = h;
		return true;
	}
	return false;
}

/* ---- type objects ---- */

static const struct type *type_new(struct binary *b, const struct header *h);

/* All memory of type objects is counted: an honest file needs a fraction of its size. */
static void *spend(struct binary *b, size_t n)
{
	if (b->type_bytes + n > 4 * b->img.size + (1 << 20))
		return NULL;
	b->type_bytes += n;
	return arena_alloc(&b->arena, n);
}

static const char *spend_text(struct binary *b, struct text t)
{
	char *s = spend(b, t.n + 1);

	return s ? memcpy(s, t.p, t.n) : "";
}

static const struct type *type_or_unknown(struct binary *b, uint64_t addr)
{
	const struct type *t = binary_type_at(b, addr);

	return t ? t : type_unknown(b);
}

/* The n records of size bytes that a slice header at addr refers to, NULL when they are not all
 * there. */
static const uint8_t *slice_at(const struct binary *b, uint64_t addr, size_t size, uint64_t *ret_n)
{
	uint64_t p, n;

	if (!image_u64(&b->img, addr, &p) || !image_u64(&b->img, addr + 8, &n) ||
	    n > b->img.size / size)
		return NULL;
	*ret_n = n;
	return image_at(&b->img, p, n * size);
}

static bool fields_fit(const struct type *t, const struct type_field *fields, size_t n,
		       unsigned shift)
{
	uint64_t last = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t off = fields[i].offset >> shift, size = fields[i].type->size;

		if (off < last || off > t->size || size > t->size - off ||
		    off % MAX(fields[i].type->align, 1))
			return false;
		last = off;
	}
	return true;
}

static void load_fields(struct binary *b, struct type_full *f)
{
	uint64_t n = 0;
	const uint8_t *p = slice_at(b, f->t.rtype + 56, 24, &n);
	struct type_field *fields = p ? spend(b, n * sizeof(*fields)) : NULL;

	for (uint64_t i = 0; fields && i < n; i++) {
		struct text name, tag;
		uint8_t flags;

		if (!name_at(b, u64_at(p + i * 24), &flags, &name, &tag))
			return;
		fields[i] = (struct type_field){
			.name = spend_text(b, name),
			.type = type_or_unknown(b, u64_at(p + i * 24 + 8)),
			.offset = u64_at(p + i * 24 + 16),
			.embedded = flags & NAME_EMBEDDED,
		};
	}
	if (!fields)
		return;
	if (!fields_fit(&f->t, fields, n, 0)) {
		if (!fields_fit(&f->t, fields, n, 1))
			return;
		for (uint64_t i = 0; i < n; i++) {
			fields[i].embedded = fields[i].offset & 1;
			fields[i].offset >>= 1;
		}
	}
	f->fields = fields;
	f->nfields = n;
}

static const struct type *func_type_off(struct binary *b, uint32_t off)
{
	const struct type *t =
		off && off != UINT32_MAX ? binary_type_at(b, b->md.types + off) : NULL;

	return t && t->kind == KIND_FUNC ? t : NULL;
}

static uint64_t code_off(const struct binary *b, uint32_t off)
{
	return off && off != UINT32_MAX && off < b->md.etext - b->md.text ? b->md.text + off : 0;
}

static void load_interface(struct binary *b, struct type_full *f)
{
	uint64_t n = 0;
	const uint8_t *p = slice_at(b, f->t.rtype + 56, 8, &n);
	struct type_method *methods = p ? spend(b, n * sizeof(*methods)) : NULL;

	for (uint64_t i = 0; methods && i < n; i++) {
		struct text name;

		if (!name_off(b, u32_at(p + i * 8), &name))
			return;
		methods[i].name = spend_text(b, name);
		methods[i].type = func_type_off(b, u32_at(p + i * 8 + 4));
	}
	f->methods = methods;
	f->nmethods = methods ? n : 0;
}

static void load_methods(struct binary *b, struct type_full *f, uint64_t uncommon)
{
	const uint8_t *u = image_at(&b->img, uncommon, 16), *p;
	size_t n = u ? u16_at(u + 4) : 0;
	struct type_method *methods;

	if (!n)
		return;
	p = image_at(&b->img, uncommon + u32_at(u + 8), n * 16);
	methods = p ? spend(b, n * sizeof(*methods)) : NULL;
	for (size_t i = 0; methods && i < n; i++) {
		struct text name;

		if (!name_off(b, u32_at(p + i * 16), &name))
			return;
		methods[i] = (struct type_method){
			.name = spend_text(b, name),
			.type = func_type_off(b, u32_at(p + i * 16 + 4)),
			.ifn = code_off(b, u32_at(p + i * 16 + 8)),
			.tfn = code_off(b, u32_at(p + i * 16 + 12)),
		};
	}
	f->methods = methods;
	f->nmethods = methods ? n : 0;
}

static void rtype_load(struct binary *b, struct type_full *f)
{
	struct header h;
	uint64_t uncommon;

	if (!header_at(b, f->t.rtype, &h))
		return;
	if (h.kind == KIND_STRUCT && !f->fields)
		load_fields(b, f);
	if (h.kind == KIND_INTERFACE) {
		load_interface(b, f);
		return;
	}
	uncommon = uncommon_of(b, &h);
	if (uncommon)
		load_methods(b, f, uncommon);
}

/* Parameters are read at once: a func type's name is made of them. */
static void load_params(struct binary *b, struct type_full *f, const struct header *h)
{
	size_t nin = u16_at(h->p + 48), nout = u16_at(h->p + 50) & (VARIADIC - 1);
	uint64_t at = h->addr + 56 + (h->tflag & TFLAG_UNCOMMON ? 16 : 0);
	const uint8_t *p = image_at(&b->img, at, (nin + nout) * 8);
	const struct type **types = p ? spend(b, (nin + nout) * sizeof(*types)) : NULL;

	if (!types)
		return;
	for (size_t i = 0; i < nin + nout; i++)
		types[i] = type_or_unknown(b, u64_at(p + i * 8));
	f->params = types;
	f->nparams = nin;
	f->results = types + nin;
	f->nresults = nout;
	f->variadic = u16_at(h->p + 50) & VARIADIC;
}

static void read_parts(struct binary *b, struct type_full *f, const struct header *h)
{
	struct type *t = &f->t;
	uint64_t word = length_of(h->kind) > HEADER ? u64_at(h->p + HEADER) : 0;

	switch (h->kind) {
	case KIND_POINTER:
		t->elem = binary_type_at(b, word);
		break;
	case KIND_ARRAY:
		t->len = u64_at(h->p + 64);
		t->elem = type_or_unknown(b, word);
		if (t->elem->size && t->len != t->size / t->elem->size)
			t->elem = type_unknown(b);
		break;
	case KIND_CHAN:
		f->chan_dir = u64_at(h->p + 56) & 3;
		t->elem = type_or_unknown(b, word);
		break;
	case KIND_SLICE:
		t->elem = type_or_unknown(b, word);
		break;
	case KIND_MAP:
		t->key = type_or_unknown(b, word);
		t->elem = type_or_unknown(b, u64_at(h->p + 56));
		f->private_addr = u64_at(h->p + 64);
		break;
	case KIND_FUNC:
		load_params(b, f, h);
		break;
	default:
		break;
	}
}

/* A quoted tag as in the source; only the two characters that need it are escaped. */
static void print_tag(struct buf *s, struct text tag)
{
	buf_str(s, " \"");
	for (size_t i = 0; i < tag.n; i++) {
		if (tag.p[i] == '"' || tag.p[i] == '\\')
			buf_char(s, '\\');
		buf_char(s, tag.p[i]);
	}
	buf_char(s, '"');
}

static void print_field(struct binary *b, struct buf *s, const struct type_full *f, size_t i)
{
	const struct type_field *field = &f->fields[i];
	struct text name, tag = {0};
	uint64_t fields = 0, at = 0;
	uint8_t flags;

	buf_str(s, i ? "; " : " ");
	if (!field->embedded)
		buf_printf(s, "%s ", field->name);
	buf_str(s, field->type->name);
	if (image_u64(&b->img, f->t.rtype + 56, &fields) &&
	    image_u64(&b->img, fields + i * 24, &at) && name_at(b, at, &flags, &name, &tag) &&
	    tag.n)
		print_tag(s, tag);
}

static void print_method(struct buf *s, const struct type_full *f, size_t i)
{
	const struct type_method *m = &f->methods[i];

	buf_printf(s, "%s%s%s", i ? "; " : " ", m->name,
		   m->type ? m->type->name + strlen("func") : "()");
}

/* "struct { … }" and "interface { … }" with full paths, where the descriptor's string has short
 * ones. */
static const char *literal_name(struct binary *b, struct type_full *f)
{
	bool is_struct = f->t.kind == KIND_STRUCT;
	struct buf s = {0};
	const char *name = f->t.name;

	if (strncmp(name, is_struct ? "struct {" : "interface {", is_struct ? 8 : 11) != 0 ||
	    !strchr(name, '.'))
		return name;
	type_full(b, &f->t);
	buf_str(&s, is_struct ? "struct {" : "interface {");
	for (size_t i = 0; i < (is_struct ? f->nfields : f->nmethods) && s.len < LITERAL_MAX; i++) {
		if (is_struct)
			print_field(b, &s, f, i);
		else
			print_method(&s, f, i);
	}
	if (s.len < LITERAL_MAX && (f->nfields || f->nmethods)) {
		buf_str(&s, " }");
		name = arena_strdup(&b->arena, s.data);
	}
	buf_done(&s);
	return name;
}

static const char *composite_name(struct binary *b, struct type_full *f)
{
	const struct type *t = &f->t;
	const char *name = t->name;

	if (t->kind == KIND_STRUCT || t->kind == KIND_INTERFACE)
		name = literal_name(b, f);
	else if (t->elem)
		name = type_composite_name(b, t->kind, t->elem, t->key,
					   t->kind == KIND_CHAN ? f->chan_dir : t->len);
	else if (t->kind == KIND_FUNC && (f->nparams || f->nresults))
		name = type_func_name(b, f);
	b->type_bytes += name == t->name ? 0 : strlen(name);
	return name;
}

static void name_type(struct binary *b, struct type_full *f, const struct header *h)
{
	struct full_name n = full_name_of(b, h);

	if (!(h->tflag & TFLAG_NAMED) || !n.path.n) {
		f->t.name = spend_text(b, h->string);
		return;
	}
	f->t.package = spend_text(b, n.path);
	f->t.name = arena_printf(&b->arena, "%.*s.%.*s", (int)n.path.n, n.path.p, (int)n.rest.n,
				 n.rest.p);
	b->type_bytes += n.path.n + n.rest.n;
}

static const struct type *type_new(struct binary *b, const struct header *h)
{
	struct type_full *f;

	if (b->depth >= DEPTH_MAX || !spend(b, sizeof(*f)))
		return NULL;
	f = type_full_new(b);
	f->load = rtype_load;
	f->t = (struct type){
		.kind = h->kind,
		.source = TYPE_FROM_RTYPE,
		.named = h->tflag & TFLAG_NAMED,
		.direct_iface = h->direct,
		.align = h->align,
		.size = h->size,
		.rtype = h->addr,
	};
	name_type(b, f, h);
	map_set(&b->types, h->addr, f);
	b->depth++;
	read_parts(b, f, h);
	if (!f->t.named)
		f->t.name = composite_name(b, f);
	b->depth--;
	return &f->t;
}

const struct type *binary_type_at(struct binary *b, uint64_t rtype_addr)
{
	const struct type_full *f = map_get(&b->types, rtype_addr);
	struct header h;

	if (f)
		return &f->t;
	return header_at(b, rtype_addr, &h) ? type_new(b, &h) : NULL;
}

bool binary_type_next(struct binary *b, size_t *pos, const struct type **ret)
{
	struct header h;
	uint64_t at = *pos;

	while (header_next(b, &at, &h)) {
		const struct type *t = binary_type_at(b, h.addr);

		*pos = at;
		if (!t)
			continue;
		*ret = t;
		return true;
	}
	*pos = at;
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
		    {"Kind_", "kind", 23}, {"Str", "str", 40},	   {"PtrToThis", "ptrToThis", 44}};
	struct type_field f;
	struct header h;
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
	return t && t->size == HEADER;
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
	struct header h;

	need_index(b);
	return find_named(b, full_name, &h) ? binary_type_at(b, h.addr) : NULL;
}

size_t rtype_by_short_name(struct binary *b, const char *name, const struct type **ret, size_t max)
{
	size_t len = strlen(name), n = 0;
	struct text rest = without_package((struct text){name, len});
	uint32_t hash = hash_bytes(rest.p, rest.n), pos = UINT32_MAX;
	struct header h;

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
	struct header h;

	need_index(b);
	while (index_next(b, hash, &pos, &h))
		if (h.kind == kind && !(h.tflag & TFLAG_NAMED) && parts_of(&h, &have) &&
		    have.elem == want.elem && have.key == want.key && have.extra == want.extra)
			return binary_type_at(b, h.addr);
	return NULL;
}

uint64_t rtype_pointer_to(const struct binary *b, uint64_t rtype)
{
	struct header h;
	uint32_t off;

	if (!rtype || !image_u32(&b->img, rtype + 44, &off) || !off ||
	    !header_at(b, b->md.types + off, &h) || h.kind != KIND_POINTER ||
	    u64_at(h.p + HEADER) != rtype)
		return 0;
	return h.addr;
}
