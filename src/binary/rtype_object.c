/*
 * Type objects made from descriptors, on demand: parts, fields, methods, parameters, and names with
 * full package paths. Apart from reading descriptors because this is where memory is spent and
 * where types refer to each other: hostile descriptors meet their bounds here.
 *
 * Go 1.18 kept a struct field's offset shifted left over an embedded bit; 1.19 moved the bit into
 * the name. Read the wrong way a struct's fields do not fit in it, so each struct shows which it
 * is.
 */
#include <string.h>

#include "base/buf.h"
#include "binary/rtype.h"

#define VARIADIC    0x8000
#define DEPTH_MAX   64
#define LITERAL_MAX 4096 /* of a composed name: hostile descriptors double it at each level */

static const struct type *type_new(struct binary *b, const struct rtype_header *h);

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

		if (!rtype_name_at(b, u64_at(p + i * 24), &flags, &name, &tag))
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

		if (!rtype_name_off(b, u32_at(p + i * 8), &name))
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

		if (!rtype_name_off(b, u32_at(p + i * 16), &name))
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
	struct rtype_header h;
	uint64_t uncommon;

	if (!rtype_header_at(b, f->t.rtype, &h))
		return;
	if (h.kind == KIND_STRUCT && !f->fields)
		load_fields(b, f);
	if (h.kind == KIND_INTERFACE) {
		load_interface(b, f);
		return;
	}
	uncommon = rtype_uncommon(b, &h);
	if (uncommon)
		load_methods(b, f, uncommon);
}

/* Parameters are read at once: a func type's name is made of them. */
static void load_params(struct binary *b, struct type_full *f, const struct rtype_header *h)
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

static void read_parts(struct binary *b, struct type_full *f, const struct rtype_header *h)
{
	struct type *t = &f->t;
	uint64_t word = rtype_length(h->kind) > RTYPE_HEADER ? u64_at(h->p + RTYPE_HEADER) : 0;

	switch (h->kind) {
	case KIND_POINTER:
		t->elem = t->named && shape_is_any_pointer(t->name) ? NULL : binary_type_at(b, word);
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
	    image_u64(&b->img, fields + i * 24, &at) && rtype_name_at(b, at, &flags, &name, &tag) &&
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

static void name_type(struct binary *b, struct type_full *f, const struct rtype_header *h)
{
	struct full_name n = rtype_full_name(b, h);

	if (!(h->tflag & TFLAG_NAMED) || !n.path.n) {
		f->t.name = spend_text(b, h->string);
		return;
	}
	f->t.package = spend_text(b, n.path);
	f->t.name =
	    arena_printf(&b->arena, "%.*s.%.*s", (int)n.path.n, n.path.p, (int)n.rest.n, n.rest.p);
	b->type_bytes += n.path.n + n.rest.n;
}

static const struct type *type_new(struct binary *b, const struct rtype_header *h)
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
	if (b->checked)
		vec_push(&b->fresh, h->addr);
	b->depth++;
	read_parts(b, f, h);
	if (!f->t.named)
		f->t.name = composite_name(b, f);
	b->depth--;
	return &f->t;
}

/* What was read while the file changed is forgotten. */
static bool keep_fresh(struct binary *b)
{
	bool intact = image_intact(&b->img);

	for (size_t i = 0; i < b->fresh.len && !intact; i++)
		map_del(&b->types, b->fresh.data[i]);
	b->fresh.len = 0;
	return intact;
}

const struct type *binary_type_at(struct binary *b, uint64_t rtype_addr)
{
	const struct type_full *f = map_get(&b->types, rtype_addr);
	const struct type *t;
	struct rtype_header h;

	if (f)
		return &f->t;
	t = rtype_header_at(b, rtype_addr, &h) ? type_new(b, &h) : NULL;
	return !t || !b->checked || b->depth || keep_fresh(b) ? t : NULL;
}

bool binary_type_next(struct binary *b, size_t *pos, const struct type **ret)
{
	struct rtype_header h;
	uint64_t at = *pos;

	while (rtype_header_before(b, b->md.etypes - b->md.types, &at, &h)) {
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
