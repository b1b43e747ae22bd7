#include "weave/source_types.h"

#include <errno.h>
#include <string.h>

#include "weave/source_types_internal.h"

static struct source_types *types_of(struct type_lookup *l)
{
	return (struct source_types *)l;
}

/* Of a struct that was read here; NULL: of another kind. */
static struct source_type *struct_of(const struct type *t)
{
	return t->kind == KIND_STRUCT && t->source == TYPE_COMPOSED ? (struct source_type *)t : NULL;
}

/* ---- what binding asks ---- */

static const struct type *parse(struct type_lookup *l, const char *package, const char *text, struct err *err)
{
	struct source_types *s = types_of(l);
	const char *path = !*package || !strcmp(package, "main") ? s->own->path : package;

	return source_type_parse(s, (struct source_place){source_package(s, path), NULL, NULL}, text, strlen(text),
	                         err);
}

static const struct type *named(struct type_lookup *l, const char *full_name)
{
	return parse(l, "", full_name, NULL);
}

static size_t field_count(struct type_lookup *l, const struct type *t)
{
	struct source_type *full = struct_of(t);

	if (full)
		source_type_fields(types_of(l), full);
	return full ? full->nfields : 0;
}

static bool field(struct type_lookup *l, const struct type *t, size_t i, struct type_field *ret)
{
	if (i >= field_count(l, t))
		return false;
	*ret = struct_of(t)->fields[i];
	return true;
}

/* A step ends where an embedded pointer is followed. Go's selector writes all of it as one. */
struct embedding {
	const struct type *t;
	struct field_path path;
	unsigned depth;
};

enum { EMBEDDINGS_MAX = 64 };

struct field_search {
	struct embedding queue[EMBEDDINGS_MAX];
	size_t len;
	bool full; /* more is embedded than is looked at */
};

static bool put(const struct field_path *path, const struct type_field *f, struct field_path *ret)
{
	if (path->n == ARRAY_SIZE(path->steps))
		return false;
	*ret = *path;
	ret->steps[ret->n++] = *f;
	return true;
}

static void add_embedding(struct field_search *fs, const struct embedding *in, const struct type_field *f)
{
	struct embedding e = {.t = f->type, .path = in->path, .depth = in->depth + 1};

	if (!f->type) {
		fs->full = true; /* nothing is known of what it has */
		return;
	}
	if (f->type->kind == KIND_POINTER) {
		fs->full |= !put(&in->path, f, &e.path);
		e.t = f->type->elem;
	}
	if (fs->len == EMBEDDINGS_MAX)
		fs->full = true;
	else if (e.t && e.t->kind != KIND_INTERFACE)
		fs->queue[fs->len++] = e;
}

static bool find_field(struct type_lookup *l, const struct type *t, const char *name, struct field_path *ret)
{
	_cleanup_(cleanup_free) struct field_search *fs = xcalloc(1, sizeof(*fs));
	struct field_path found = {0};
	unsigned depth = UINT32_MAX;
	size_t hits = 0;

	fs->queue[fs->len++].t = t;
	for (size_t i = 0; i < fs->len && fs->queue[i].depth <= depth; i++) {
		const struct embedding *e = &fs->queue[i];
		struct source_type *full = struct_of(e->t);
		struct type_field f;

		if (full)
			source_type_fields(types_of(l), full);
		fs->full |= full ? full->partial : e->t->kind == KIND_INVALID;
		for (size_t k = 0; field(l, e->t, k, &f); k++) {
			if (!strcmp(f.name, name) && put(&e->path, &f, &found)) {
				depth = e->depth;
				hits++;
			}
			if (f.embedded && !hits)
				add_embedding(fs, e, &f);
		}
	}
	/* A field may hide behind what could not be read, but none that is nearer than one at the top. */
	if (hits != 1 || (fs->full && depth > 0))
		return false;
	*ret = found;
	return true;
}

/* Any type can come to be held; of one that does not have the methods the compiler says so. */
static bool holdable(struct type_lookup *l, const struct type *t)
{
	return true;
}

static int global(struct type_lookup *l, const char *name, struct global *ret, struct err *err)
{
	return err_set(err, -ENOENT, "constants and variables of packages are not read from source");
}

static const struct type_lookup_ops ops = {
	.parse = parse,
	.named = named,
	.field_count = field_count,
	.field = field,
	.find_field = find_field,
	.holdable = holdable,
	.global = global,
};

/* ---- the types ---- */

struct source_types *source_types_new(const struct weave_package *p, const char *goroot, struct go_list *list)
{
	struct source_types *s = xcalloc(1, sizeof(*s));

	s->lookup.ops = &ops;
	s->home = p;
	s->goroot = goroot;
	s->list = list;
	source_packages_open(s);
	return s;
}

void source_types_free(struct source_types *s)
{
	if (!s)
		return;
	source_packages_done(s);
	strmap_done(&s->types);
	strmap_done(&s->declared);
	arena_done(&s->arena);
	free(s);
}

void source_types_declare(struct source_types *s, const struct declared_type *types, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(types[i].name);

		if (!strmap_get(&s->declared, types[i].name, len))
			strmap_set(&s->declared, types[i].name, len, (void *)&types[i]);
	}
}

struct type_lookup *source_types_lookup(struct source_types *s)
{
	return &s->lookup;
}

const struct type *source_type_at(struct source_types *s, const struct weave_file *f, struct go_span at,
                                  struct err *err)
{
	return source_type_parse(s, (struct source_place){s->own, f->source, NULL}, f->source->text + at.start,
	                         at.end - at.start, err);
}

const struct type *source_type_of(struct source_types *s, const struct weave_file *file, const struct go_function *f,
                                  const struct go_param *p, struct err *err)
{
	if (!go_function_is_parameter(file->source, f, p->type))
		return source_type_at(s, file, p->type, err);
	err_set(err, -ENODATA, "its type is a type argument of the call");
	return NULL;
}
