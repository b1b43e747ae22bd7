/* Type objects whatever they were read from: their lazy parts, selectors, composites and look-up.
 */
#include "binary/type.h"

#include <string.h>

#include "binary/internal.h"

static const char *const kind_names[] = {
	"invalid", "bool",	"int",	      "int8",	"int16",  "int32",	    "int64",
	"uint",	   "uint8",	"uint16",     "uint32", "uint64", "uintptr",	    "float32",
	"float64", "complex64", "complex128", "array",	"chan",	  "func",	    "interface",
	"map",	   "ptr",	"slice",      "string", "struct", "unsafe.Pointer",
};
static const uint8_t kind_sizes[] = {
	0, 1, 8, 1, 2, 4, 8, 8, 1, 2, 4, 8, 8, 4, 8, 8, 16, 0, 8, 8, 16, 8, 8, 24, 16, 0, 8,
};
_Static_assert(ARRAY_SIZE(kind_names) == KIND_UNSAFE_POINTER + 1, "a name for each kind");
_Static_assert(ARRAY_SIZE(kind_sizes) == KIND_UNSAFE_POINTER + 1, "a size for each kind");

const char *type_kind_name(enum type_kind k)
{
	return kind_names[k <= KIND_UNSAFE_POINTER ? k : KIND_INVALID];
}

/* ---- objects ---- */

struct type_full *type_full_new(struct binary *b)
{
	return arena_new(&b->arena, struct type_full);
}

struct type_full *type_full(struct binary *b, const struct type *t)
{
	struct type_full *f = (struct type_full *)t;
	void (*load)(struct binary *, struct type_full *) = f->load;

	f->load = NULL;
	if (!load)
		return f;
	load(b, f);
	if (b->checked && !image_intact(&b->img)) /* then it says nothing of its parts */
		f->nfields = f->nmethods = f->nparams = f->nresults = 0;
	return f;
}

const struct type *type_unknown(struct binary *b)
{
	if (!b->unknown) {
		struct type_full *f = type_full_new(b);

		f->t.name = "unknown";
		f->t.align = 1;
		f->t.source = TYPE_COMPOSED;
		b->unknown = &f->t;
	}
	return b->unknown;
}

size_t type_field_count(struct binary *b, const struct type *t)
{
	return type_full(b, t)->nfields;
}

bool type_field(struct binary *b, const struct type *t, size_t i, struct type_field *ret)
{
	const struct type_full *f = type_full(b, t);

	if (i < f->nfields)
		*ret = f->fields[i];
	return i < f->nfields;
}

size_t type_method_count(struct binary *b, const struct type *t)
{
	return type_full(b, t)->nmethods;
}

bool type_method(struct binary *b, const struct type *t, size_t i, struct type_method *ret)
{
	const struct type_full *f = type_full(b, t);

	if (i < f->nmethods)
		*ret = f->methods[i];
	return i < f->nmethods;
}

size_t type_param_count(struct binary *b, const struct type *t)
{
	return type_full(b, t)->nparams;
}

const struct type *type_param(struct binary *b, const struct type *t, size_t i)
{
	const struct type_full *f = type_full(b, t);

	return i < f->nparams ? f->params[i] : NULL;
}

size_t type_result_count(struct binary *b, const struct type *t)
{
	return type_full(b, t)->nresults;
}

const struct type *type_result(struct binary *b, const struct type *t, size_t i)
{
	const struct type_full *f = type_full(b, t);

	return i < f->nresults ? f->results[i] : NULL;
}

/* ---- selectors ---- */

/*
 * Breadth first through embedded structs, as Go's selectors: the shallowest depth wins, two at the
 * same depth are ambiguous. A struct seen once is not entered again (embedding may be cyclic by
 * pointer).
 */
#define QUEUE_MAX 128
struct embedded {
	const struct type *t;
	struct field_path
		path; /* how to get to it; the last step is a struct or a pointer to one */
	unsigned depth;
};
struct selector {
	struct embedded queue[QUEUE_MAX];
	size_t len;
};

/* The path one step further: merged into the last step unless that is a pointer. */
static bool path_extend(const struct field_path *path, const struct type_field *f,
			struct field_path *ret)
{
	struct field_path p = *path;
	struct type_field step = *f;

	if (p.n && p.steps[p.n - 1].type->kind != KIND_POINTER) {
		step.offset += p.steps[p.n - 1].offset;
		p.n--;
	}
	if (p.n == ARRAY_SIZE(p.steps))
		return false;
	p.steps[p.n++] = step;
	*ret = p;
	return true;
}

static void selector_add(struct selector *s, const struct embedded *from,
			 const struct type_field *f)
{
	const struct type *t = f->type->kind == KIND_POINTER ? f->type->elem : f->type;
	struct embedded *e = &s->queue[s->len];

	if (!t || t->kind != KIND_STRUCT || s->len == QUEUE_MAX)
		return;
	for (size_t i = 0; i < s->len; i++)
		if (s->queue[i].t == t && s->queue[i].depth <= from->depth)
			return;
	if (!path_extend(&from->path, f, &e->path))
		return;
	e->t = t;
	e->depth = from->depth + 1;
	s->len++;
}

bool type_field_find(struct binary *b, const struct type *t, const char *name,
		     struct field_path *ret)
{
	_cleanup_(cleanup_free) struct selector *s = xcalloc(1, sizeof(*s));
	struct field_path found;
	unsigned depth = UINT32_MAX;
	size_t hits = 0;

	s->queue[s->len++].t = t;
	for (size_t i = 0; i < s->len && s->queue[i].depth <= depth; i++) {
		const struct embedded *e = &s->queue[i];
		struct type_field f;

		for (size_t k = 0; type_field(b, e->t, k, &f); k++) {
			if (!strcmp(f.name, name) && path_extend(&e->path, &f, &found)) {
				depth = e->depth;
				hits++;
			}
			if (f.embedded && !hits)
				selector_add(s, e, &f);
		}
	}
	if (hits == 1)
		*ret = found;
	return hits == 1;
}

/* ---- composites ---- */

const struct type *type_cached(struct binary *b, const char *full_name)
{
	return strmap_get(&b->named, full_name, strlen(full_name));
}

void type_cache(struct binary *b, const struct type *t)
{
	strmap_set(&b->named, t->name, strlen(t->name), (void *)t);
}

static bool has_descriptor(const struct type *t)
{
	return !t || t->rtype;
}

const struct type *type_compose(struct binary *b, enum type_kind kind, const struct type *elem,
				const struct type *key, uint64_t len, const char *name_if_unknown)
{
	const struct type *t = NULL;
	struct type_full *f;
	const char *name;

	if (elem && has_descriptor(elem) && has_descriptor(key))
		t = rtype_composite(b, kind, elem, key, len);
	if (t)
		return t;
	name = elem ? type_composite_name(b, kind, elem, key, len) : name_if_unknown;
	t = type_cached(b, name);
	if (t && t->elem == elem && t->key == key)
		return t;
	f = type_full_new(b);
	f->chan_dir = kind == KIND_CHAN ? (uint8_t)len : 0;
	f->t = (struct type){
		.name = name,
		.kind = kind,
		.source = TYPE_COMPOSED,
		.direct_iface = kind == KIND_POINTER || kind == KIND_MAP || kind == KIND_CHAN,
		.align = kind == KIND_ARRAY ? elem->align : 8,
		.size = kind == KIND_ARRAY ? len * elem->size : kind_sizes[kind],
		.elem = elem,
		.key = key,
		.len = kind == KIND_ARRAY ? len : 0,
	};
	type_cache(b, &f->t);
	return &f->t;
}

const struct type *binary_type_pointer_to(struct binary *b, const struct type *t)
{
	struct type_full *f = (struct type_full *)t;
	uint64_t rtype;

	if (f->pointer_to)
		return f->pointer_to;
	rtype = rtype_pointer_to(b, t->rtype);
	f->pointer_to = rtype ? binary_type_at(b, rtype) : NULL;
	if (!f->pointer_to)
		f->pointer_to = type_compose(b, KIND_POINTER, t, NULL, 0, NULL);
	return f->pointer_to;
}

/* ---- builtin types ---- */

static const struct type *empty_interface(struct binary *b)
{
	const struct type *t = rtype_composite(b, KIND_INTERFACE, NULL, NULL, 0);
	struct type_full *f;

	if (!t)
		t = type_cached(b, "interface {}");
	if (t)
		return t;
	f = type_full_new(b);
	f->t = (struct type){
		.name = "interface {}",
		.kind = KIND_INTERFACE,
		.source = TYPE_COMPOSED,
		.align = 8,
		.size = 16,
	};
	type_cache(b, &f->t);
	return &f->t;
}

/* error, when the binary has no descriptor of it: interface { Error() string }. */
static void compose_error(struct binary *b, struct type_full *f)
{
	struct type_method *m = arena_new(&b->arena, struct type_method);
	struct type_full *sig = type_full_new(b);
	const struct type **result = arena_new(&b->arena, const struct type *);

	*result = type_builtin(b, "string");
	sig->t = (struct type){.name = "func() string",
			       .kind = KIND_FUNC,
			       .source = TYPE_COMPOSED,
			       .direct_iface = true,
			       .align = 8,
			       .size = 8};
	sig->results = result;
	sig->nresults = 1;
	*m = (struct type_method){.name = "Error", .type = &sig->t};
	f->methods = m;
	f->nmethods = 1;
}

static enum type_kind builtin_kind(const char *name)
{
	if (!strcmp(name, "error"))
		return KIND_INTERFACE;
	for (enum type_kind k = KIND_BOOL; k <= KIND_UNSAFE_POINTER; k++)
		if ((k <= KIND_COMPLEX128 || k == KIND_STRING || k == KIND_UNSAFE_POINTER) &&
		    !strcmp(name, kind_names[k]))
			return k;
	return KIND_INVALID;
}

const struct type *type_builtin(struct binary *b, const char *name)
{
	const struct type *t;
	struct type_full *f;
	enum type_kind kind;

	if (!strcmp(name, "any"))
		return empty_interface(b);
	name = !strcmp(name, "byte") ? "uint8" : !strcmp(name, "rune") ? "int32" : name;
	kind = builtin_kind(name);
	if (!kind)
		return NULL;
	t = rtype_by_name(b, name);
	if (!t)
		t = type_cached(b, name);
	if (t)
		return t;
	f = type_full_new(b);
	f->t = (struct type){
		.name = arena_strdup(&b->arena, name),
		.kind = kind,
		.source = TYPE_COMPOSED,
		.named = true,
		.direct_iface = kind == KIND_UNSAFE_POINTER,
		.align = MIN(kind_sizes[kind], 8),
		.size = kind_sizes[kind],
	};
	if (kind == KIND_COMPLEX64)
		f->t.align = 4;
	if (kind == KIND_INTERFACE)
		compose_error(b, f);
	type_cache(b, &f->t);
	return &f->t;
}

/* ---- by full name ---- */

static bool is_composite_name(const char *s)
{
	return *s == '*' || *s == '[' || *s == '<' || !strncmp(s, "map[", 4) ||
	       !strncmp(s, "chan ", 5) || !strncmp(s, "func(", 5) || !strncmp(s, "struct {", 8) ||
	       !strncmp(s, "interface {", 11) || !strncmp(s, "struct{", 7) ||
	       !strncmp(s, "interface{", 10);
}

const struct type *binary_type(struct binary *b, const char *full_name)
{
	const struct type *t = rtype_by_name(b, full_name);

	if (!t)
		t = type_cached(b, full_name);
	if (!t)
		t = type_builtin(b, full_name);
	if (t || !*full_name)
		return t;
	if (is_composite_name(full_name))
		return binary_type_parse(b, "", full_name, NULL);
	t = dwarf_type(b, full_name);
	if (t)
		type_cache(b, t);
	return t;
}
