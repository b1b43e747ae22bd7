/* Types as they are written, in source or in a pack. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/vec.h"
#include "probe/bind/bound.h"
#include "weave/go_params.h"
#include "weave/source_types_internal.h"

enum {
	WORD = 8,
	NEST_MAX = 40,
	DEPTH_MAX = 200, /* of types that lead to each other: a source that Go refuses may have a circle of them … */
	INSTANCES_MAX = 4096, /* … or a generic type that grows for ever */
	NAME_MAX_BYTES = 1000
};

struct type_reading {
	struct source_types *s;
	struct source_place at;
	struct go_scan g;
	struct err *err;
	int nest;
};

static const struct type *read_type(struct type_reading *r, size_t *i);

static const struct type *refuse(struct type_reading *r, size_t from)
{
	size_t n = MIN(r->g.n - MIN(from, r->g.n), 60);

	err_set(r->err, -EINVAL, "the type %.*s is not one that can be read from source", (int)n, r->g.text + from);
	return NULL;
}

/* ---- made of others ---- */

static uint64_t size_of(enum type_kind kind)
{
	return kind == KIND_STRING || kind == KIND_INTERFACE ? 2 * WORD : kind == KIND_SLICE ? 3 * WORD : WORD;
}

static struct source_type *new_type(struct source_types *s, enum type_kind kind, const char *name)
{
	struct source_type *t = arena_new(&s->arena, struct source_type);

	t->type =
	    (struct type){.name = name, .kind = kind, .source = TYPE_COMPOSED, .size = size_of(kind), .align = WORD};
	return t;
}

/* One for each name, so that equal types are one. */
static const struct type *composite(struct source_types *s, enum type_kind kind, const char *name,
                                    const struct type *elem, const struct type *key)
{
	struct source_type *t = strmap_get(&s->types, name, strlen(name));

	if (t)
		return &t->type;
	t = new_type(s, kind, name);
	t->type.elem = elem;
	t->type.key = key;
	strmap_set(&s->types, t->type.name, strlen(t->type.name), t);
	return &t->type;
}

static const struct type *pointer_to(struct type_reading *r, const struct type *elem)
{
	return composite(r->s, KIND_POINTER, arena_printf(&r->s->arena, "*%s", elem->name), elem, NULL);
}

/* []T, [N]T with N in digits: what a constant's name stands for is not looked up. */
static const struct type *read_list(struct type_reading *r, size_t *i)
{
	size_t from = *i, digit = go_scan_space(&r->g, from + 1), close = go_scan_brackets(&r->g, from);
	const struct type *elem;
	struct type *array;
	uint64_t len = 0;

	if (!close)
		return refuse(r, from);
	*i = close--;
	elem = read_type(r, i);
	if (!elem || digit == close)
		return elem ? composite(r->s, KIND_SLICE, arena_printf(&r->s->arena, "[]%s", elem->name), elem, NULL)
		            : NULL;
	while (digit < close && isdigit((unsigned char)r->g.text[digit]) && len < 1u << 30)
		len = len * 10 + (uint64_t)(r->g.text[digit++] - '0');
	if (digit != close)
		return refuse(r, from);
	array = (struct type *)composite(r->s, KIND_ARRAY,
	                                 arena_printf(&r->s->arena, "[%u]%s", (unsigned)len, elem->name), elem, NULL);
	array->len = len;
	array->size = len ? WORD : 0;
	return array;
}

static const struct type *read_map(struct type_reading *r, size_t *i)
{
	size_t from = *i, open = go_scan_space(&r->g, from + strlen("map")), close = go_scan_brackets(&r->g, open);
	struct type_reading inner = *r;
	const struct type *key, *elem;

	if (!go_scan_is(&r->g, open, "[") || !close)
		return refuse(r, from);
	inner.g.n = close - 1;
	open++;
	key = read_type(&inner, &open);
	*i = close;
	elem = key ? read_type(r, i) : NULL;
	if (!elem)
		return NULL;
	return composite(r->s, KIND_MAP, arena_printf(&r->s->arena, "map[%s]%s", key->name, elem->name), elem, key);
}

static const struct type *read_chan(struct type_reading *r, size_t *i)
{
	const char *word = "chan";
	const struct type *elem;
	size_t at;

	if (go_scan_is(&r->g, *i, "<-")) {
		word = "<-chan";
		*i = go_scan_space(&r->g, *i + 2);
	}
	at = go_scan_space(&r->g, *i + strlen("chan"));
	if (go_scan_is(&r->g, at, "<-")) {
		word = "chan<-";
		at += 2;
	}
	*i = at;
	elem = read_type(r, i);
	return elem ? composite(r->s, KIND_CHAN, arena_printf(&r->s->arena, "%s %s", word, elem->name), elem, NULL)
	            : NULL;
}

/* Of what stands between an interface's braces: what is embedded there is not looked into. */
static bool names_method(const struct go_scan *g, size_t from, size_t end)
{
	for (size_t i = from, behind; i < end; i = behind) {
		behind = go_scan_name(g, i);
		if (behind > i && go_scan_is(g, behind, "("))
			return true;
		if (behind == i)
			behind = MAX(go_scan_opaque(g, i), i + 1);
	}
	return false;
}

/*
 * A func, an interface or a struct that has no name of its own: of what kind it is is known. Their names have a ?,
 * which nobody takes for Go.
 */
static const struct type *read_unnamed(struct type_reading *r, size_t *i, enum type_kind kind, const char *word)
{
	size_t open = go_scan_space(&r->g, *i + strlen(word)), close = go_scan_brackets(&r->g, open);
	struct source_type *t;
	bool empty;

	if (!close)
		return refuse(r, *i);
	empty = go_scan_space(&r->g, open + 1) == close - 1;
	*i = close;
	if (kind == KIND_FUNC)
		*i = r->g.n; /* the results are the rest of it */
	if (kind == KIND_INTERFACE && empty)
		return composite(r->s, kind, "interface {}", NULL, NULL);
	t = new_type(r->s, kind, arena_printf(&r->s->arena, kind == KIND_FUNC ? "func(?)" : "%s {?}", word));
	t->place = r->at;
	t->text = r->g.text + open + 1;
	t->len = close - 1 - (open + 1);
	t->type.size = kind == KIND_STRUCT && empty ? 0 : t->type.size;
	t->type.has_methods = kind == KIND_INTERFACE && names_method(&r->g, open + 1, close - 1);
	return &t->type;
}

/* ---- names ---- */

static const struct type *predeclared(struct source_types *s, const char *name, size_t n)
{
	static const struct {
		const char *name;
		enum type_kind kind;
	} all[] = {
	    {"bool", KIND_BOOL},           {"int", KIND_INT},
	    {"int8", KIND_INT8},           {"int16", KIND_INT16},
	    {"int32", KIND_INT32},         {"rune", KIND_INT32},
	    {"int64", KIND_INT64},         {"uint", KIND_UINT},
	    {"uint8", KIND_UINT8},         {"byte", KIND_UINT8},
	    {"uint16", KIND_UINT16},       {"uint32", KIND_UINT32},
	    {"uint64", KIND_UINT64},       {"uintptr", KIND_UINTPTR},
	    {"float32", KIND_FLOAT32},     {"float64", KIND_FLOAT64},
	    {"complex64", KIND_COMPLEX64}, {"complex128", KIND_COMPLEX128},
	    {"string", KIND_STRING},
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (strlen(all[i].name) == n && !memcmp(all[i].name, name, n))
			return basic_type(all[i].kind);
	if (n == 3 && !memcmp(name, "any", 3))
		return composite(s, KIND_INTERFACE, "interface {}", NULL, NULL);
	if (n == 5 && !memcmp(name, "error", 5))
		return composite(s, KIND_INTERFACE, "error", NULL, NULL);
	return NULL;
}

/* What is known of a type without its declaration: that it is one. */
static const struct type *unknown_type(struct source_types *s, const char *full_name, const char *package)
{
	struct type *t = (struct type *)composite(s, KIND_INVALID, full_name, NULL, NULL);

	t->named = true;
	t->package = package;
	return t;
}

/* What is written behind the name decides the kind; the rest is taken over from there. */
static void complete(struct source_types *s, struct source_type *t, const char *text, size_t len)
{
	const struct type *under = source_type_parse(s, t->place, text, len, NULL);

	if (!under)
		return;
	t->type.kind = under->kind;
	t->type.elem = under->elem;
	t->type.key = under->key;
	t->type.len = under->len;
	t->type.size = under->size;
	t->type.has_methods = under->has_methods;
	if (under->kind == KIND_STRUCT) {
		const struct source_type *full = (const struct source_type *)under;

		t->place = full->place;
		t->text = full->text;
		t->len = full->len;
	}
}

/* full, in the arena: its name. It is known before it is complete, since it may be part of itself. */
static const struct type *add_named(struct source_types *s, struct source_place at, const char *full,
                                    const char *package, const char *text, size_t len)
{
	struct source_type *t = new_type(s, KIND_INVALID, full);

	t->type.named = true;
	t->type.package = package;
	t->place = at;
	strmap_set(&s->types, full, strlen(full), t);
	complete(s, t, text, len);
	return &t->type;
}

/* Of a package without source: what a pack says of it. */
static const struct type *declared_type(struct source_types *s, struct source_package *p, const char *name)
{
	const char *full = arena_printf(&s->arena, "%s.%s", p->path, name);
	struct source_type *t = strmap_get(&s->types, full, strlen(full));
	const struct declared_type *d = strmap_get(&s->declared, full, strlen(full));
	const struct source_place at = {p, NULL, NULL};

	if (t)
		return &t->type;
	if (!d)
		return unknown_type(s, full, p->path);
	if (*d->type == '=')
		return source_type_parse(s, at, d->type + 1, strlen(d->type + 1), NULL);
	return add_named(s, at, full, p->path, d->type, strlen(d->type));
}

/* A name, with a package before it: that of an import or, in packs, a whole path. */
static size_t name_end(const struct type_reading *r, size_t i)
{
	while (i < r->g.n) {
		size_t behind = go_scan_name(&r->g, i);

		if (behind > i)
			i = behind;
		else if (r->g.text[i] == '.' || (!r->at.file && strchr("/-~", r->g.text[i]) && r->g.text[i]))
			i++;
		else
			break;
	}
	return i;
}

static const struct type *read_qualified(struct type_reading *r, const char *name, size_t n, const char *dot)
{
	struct source_types *s = r->s;
	const char *qualifier = arena_strndup(&s->arena, name, (size_t)(dot - name));
	const char *own = arena_strndup(&s->arena, dot + 1, n - (size_t)(dot - name) - 1);
	const char *path = r->at.file ? source_import(s, r->at.file, qualifier) : qualifier;
	struct source_package *p;

	if (!path) {
		err_set(r->err, -EINVAL, "no import is called %s", qualifier);
		return NULL;
	}
	if (!strcmp(path, "unsafe") && !strcmp(own, "Pointer"))
		return basic_type(KIND_UNSAFE_POINTER);
	p = source_package(s, path);
	return p->known ? source_type_named(s, p, own, r->err) : declared_type(s, p, own);
}

/* A name without a package: a type parameter, one of the package's own, one of Go's. */
static const struct type *read_own_name(struct type_reading *r, const char *name, size_t n)
{
	struct source_package *p = r->at.package;
	const char *own = arena_strndup(&r->s->arena, name, n);
	const struct type *t;
	struct err err = {0};

	for (size_t i = 0; r->at.args && i < r->at.args->n; i++)
		if (!strcmp(r->at.args->names[i], own))
			return r->at.args->types[i];
	if (!r->at.file && !p->known) {
		t = predeclared(r->s, name, n);
		return t ? t : declared_type(r->s, p, own);
	}
	t = source_type_named(r->s, p, own, &err);
	if (!t && err.code == -ENOENT)
		t = predeclared(r->s, name, n);
	if (!t && r->err)
		*r->err = err;
	return t;
}

/* ---- instances of generic types ---- */

struct declared {
	const struct go_source *file;
	const struct go_type_decl *decl;
	bool several; /* and they differ */
};

static bool same_text(const struct declared *d, const struct go_source *file, const struct go_type_decl *decl)
{
	size_t n = decl->type.end - decl->type.start;

	return d->decl->type.end - d->decl->type.start == n &&
	       !memcmp(d->file->text + d->decl->type.start, file->text + decl->type.start, n);
}

static struct declared find_declaration(const struct source_package *p, const char *name)
{
	struct declared d = {0};

	for (size_t i = 0; i < p->nfiles; i++)
		for (size_t k = 0; k < p->files[i]->ntypes; k++) {
			const struct go_type_decl *decl = &p->files[i]->types[k];

			if (strcmp(decl->name, name))
				continue;
			if (d.decl)
				d.several |= !same_text(&d, p->files[i], decl);
			else
				d = (struct declared){p->files[i], decl, false};
		}
	return d;
}

/* Where there are several, those that the go command takes. */
static struct declared choose_declaration(struct source_types *s, struct source_package *p, const char *name)
{
	struct declared d = find_declaration(p, name);

	return d.several && source_package_choose(s, p) ? find_declaration(p, name) : d;
}

/* As symbols have it. */
static const char *package_name(const struct source_types *s, const struct source_package *p)
{
	return s->own == p && p->name && !strcmp(p->name, "main") ? "main" : p->path;
}

static const char *full_name(struct source_types *s, const struct source_package *p, const char *name)
{
	return arena_printf(&s->arena, "%s.%s", package_name(s, p), name);
}

/* Behind what begins at i: a string, a comment, what is in brackets, a character. 0: brackets that nothing closes. */
static size_t skip_one(const struct go_scan *g, size_t i)
{
	size_t behind = go_scan_opaque(g, i);
	char c = g->text[i];

	if (behind > i)
		return behind;
	return c == '(' || c == '[' || c == '{' ? go_scan_brackets(g, i) : i + 1;
}

typedef VEC(const struct type *) type_list;

/* Those between brackets. False: not all are known. */
static bool read_args(struct type_reading *r, size_t *i, type_list *ret)
{
	size_t close = go_scan_brackets(&r->g, *i);
	struct type_reading inner = *r;
	bool more = close > 0;

	inner.g.n = close ? close - 1 : 0;
	while (more) {
		size_t at = go_scan_space(&r->g, *i + 1); /* behind the bracket, or a comma */
		const struct type *t = read_type(&inner, &at);

		if (!t || t->kind == KIND_INVALID)
			return false;
		vec_push(ret, t);
		at = go_scan_space(&inner.g, at);
		more = at < inner.g.n;
		if (more && !go_scan_is(&r->g, at, ","))
			return false;
		*i = at;
	}
	*i = close;
	return close;
}

static const char *instance_name(struct arena *arena, const char *full, const type_list *args)
{
	_cleanup_(buf_done) struct buf out = {0};

	buf_printf(&out, "%s[", full);
	for (size_t i = 0; i < args->len; i++)
		buf_printf(&out, "%s%s", i ? "," : "", args->data[i]->name);
	buf_char(&out, ']');
	return arena_strdup(arena, out.data);
}

/* "K, V any": each begins what is between commas. */
static const struct source_args *name_args(struct source_types *s, const struct declared *d, const type_list *types)
{
	const struct go_scan g = {d->file->text + d->decl->params.start,
	                          d->decl->params.end - d->decl->params.start};
	const char **names = arena_array(&s->arena, const char *, types->len);
	struct source_args *args = arena_new(&s->arena, struct source_args);
	size_t n = 0;

	for (size_t i = go_scan_space(&g, 0); i < g.n; n++) {
		size_t end = go_scan_name(&g, i);

		if (n == types->len || end == i)
			return NULL;
		names[n] = arena_strndup(&s->arena, g.text + i, end - i);
		for (i = end; i && i < g.n && g.text[i] != ',';)
			i = skip_one(&g, i);
		if (!i)
			return NULL;
		i = go_scan_space(&g, i + 1);
	}
	*args = (struct source_args){names, arena_memdup(&s->arena, types->data, types->len * sizeof(*types->data)), n};
	return n == types->len ? args : NULL;
}

/* As source_type_named. */
static const struct type *instance(struct source_types *s, struct source_package *p, const char *name,
                                   const type_list *types, struct err *err)
{
	const char *generic = full_name(s, p, name), *full = instance_name(&s->arena, generic, types);
	struct source_type *t = strmap_get(&s->types, full, strlen(full));
	const struct source_args *args;
	struct declared d;

	if (t)
		return &t->type;
	d = choose_declaration(s, p, name);
	args = d.decl && !d.several && strlen(full) < NAME_MAX_BYTES ? name_args(s, &d, types) : NULL;
	if (!args || d.decl->alias || s->ninstances == INSTANCES_MAX) {
		err_set(err, -ENODATA, "what %s is cannot be told from source", full);
		return NULL;
	}
	s->ninstances++;
	return add_named(s, (struct source_place){p, d.file, args}, full, package_name(s, p),
	                 d.file->text + d.decl->type.start, d.decl->type.end - d.decl->type.start);
}

static const struct type *read_instance(struct type_reading *r, size_t from, const char *dot, size_t *i)
{
	const char *name = r->g.text + from, *own = dot ? dot + 1 : name, *path = NULL;
	struct source_types *s = r->s;
	type_list types = {0};
	const struct type *t = NULL;
	size_t end = *i;

	if (dot)
		path = arena_strndup(&s->arena, name, (size_t)(dot - name));
	if (path && r->at.file)
		path = source_import(s, r->at.file, path);
	own = arena_strndup(&s->arena, own, (size_t)(r->g.text + end - own));
	if (read_args(r, i, &types) && (path || !dot))
		t = instance(s, dot ? source_package(s, path) : r->at.package, own, &types, r->err);
	else
		refuse(r, from);
	vec_done(&types);
	return t;
}

static const struct type *read_name(struct type_reading *r, size_t *i)
{
	size_t from = *i, end = name_end(r, from), n = end - from;
	const char *name = r->g.text + from, *dot = memrchr(name, '.', n);

	if (end == from)
		return refuse(r, from);
	*i = end;
	if (go_scan_is(&r->g, end, "["))
		return read_instance(r, from, dot, i);
	return dot ? read_qualified(r, name, n, dot) : read_own_name(r, name, n);
}

/* ---- any type ---- */

static const struct type *read_one(struct type_reading *r, size_t *i)
{
	const struct go_scan *g = &r->g;
	const struct type *elem;

	if (go_scan_is(g, *i, "*")) {
		(*i)++;
		elem = read_type(r, i);
		return elem ? pointer_to(r, elem) : NULL;
	}
	if (go_scan_is(g, *i, "["))
		return read_list(r, i);
	if (go_scan_is_word(g, *i, "map"))
		return read_map(r, i);
	if (go_scan_is_word(g, *i, "chan") || go_scan_is(g, *i, "<-"))
		return read_chan(r, i);
	if (go_scan_is_word(g, *i, "func"))
		return read_unnamed(r, i, KIND_FUNC, "func");
	if (go_scan_is_word(g, *i, "struct"))
		return read_unnamed(r, i, KIND_STRUCT, "struct");
	if (go_scan_is_word(g, *i, "interface"))
		return read_unnamed(r, i, KIND_INTERFACE, "interface");
	if (go_scan_is(g, *i, "(")) {
		size_t close = go_scan_brackets(g, *i);
		struct type_reading inner = *r;

		inner.g.n = close ? close - 1 : 0;
		(*i)++;
		elem = close ? read_type(&inner, i) : NULL;
		*i = close;
		return elem;
	}
	return read_name(r, i);
}

static const struct type *read_type(struct type_reading *r, size_t *i)
{
	const struct type *t = NULL;

	*i = go_scan_space(&r->g, *i);
	r->nest++;
	r->s->depth++;
	if (r->nest <= NEST_MAX && r->s->depth <= DEPTH_MAX)
		t = read_one(r, i);
	r->nest--;
	r->s->depth--;
	return t;
}

const struct type *source_type_parse(struct source_types *s, struct source_place at, const char *text, size_t len,
                                     struct err *err)
{
	struct type_reading r = {.s = s, .at = at, .g = {text, len}, .err = err};
	size_t i = 0;
	const struct type *t = read_type(&r, &i);

	if (t && go_scan_space(&r.g, i) != len)
		t = refuse(&r, 0);
	if (!t && err && !err->code)
		refuse(&r, 0);
	return t;
}

/* ---- declarations ---- */

const struct type *source_type_named(struct source_types *s, struct source_package *p, const char *name,
                                     struct err *err)
{
	const char *full = full_name(s, p, name);
	struct source_type *t = strmap_get(&s->types, full, strlen(full));
	struct declared d;

	if (t)
		return &t->type;
	d = choose_declaration(s, p, name);
	if (!d.decl) {
		err_set(err, p->known ? -ENOENT : -ENODATA, "package %s has no type %s", p->path, name);
		return NULL;
	}
	if (d.several || d.decl->params.end) {
		err_set(err, -ENODATA, "%s.%s is %s", p->path, name,
		        d.several ? "declared in several ways, for different builds" : "generic");
		return NULL;
	}
	if (d.decl->alias)
		return source_type_parse(s, (struct source_place){p, d.file, NULL}, d.file->text + d.decl->type.start,
		                         d.decl->type.end - d.decl->type.start, err);
	return add_named(s, (struct source_place){p, d.file, NULL}, full, package_name(s, p),
	                 d.file->text + d.decl->type.start, d.decl->type.end - d.decl->type.start);
}

/* ---- fields ---- */

typedef VEC(struct type_field) field_list;

struct field_reading {
	struct source_types *s;
	struct source_type *t;
	struct go_scan g;
	field_list out;
};

/* A field whose type cannot be read is there, with a type that is not known. */
static void add_field(struct field_reading *f, size_t name, size_t name_end, size_t type, size_t end, bool embedded)
{
	const char *text = f->g.text + name;
	const struct type *t = source_type_parse(f->s, f->t->place, f->g.text + type, end - type, NULL);

	vec_push(&f->out,
	         ((struct type_field){
	             .name = arena_strndup(&f->s->arena, text, name_end - name), .type = t, .embedded = embedded}));
}

/* T, *T, p.T, *p.T, T[A]: it is called T. */
static void add_embedded(struct field_reading *f, size_t from, size_t end)
{
	size_t type = from, name, name_end;

	if (go_scan_is(&f->g, from, "*"))
		from = go_scan_space(&f->g, from + 1);
	name = from;
	name_end = go_scan_name(&f->g, name);
	if (go_scan_is(&f->g, name_end, ".")) {
		name = name_end + 1;
		name_end = go_scan_name(&f->g, name);
	}
	add_field(f, name, name_end, type, end, true);
}

/* Where the type ends, behind which there may be a tag, which is a string. */
static size_t without_tag(const struct field_reading *f, size_t from, size_t end)
{
	size_t last = from;

	for (size_t i = from, behind; i < end; i = behind) {
		char c = f->g.text[i];

		behind = skip_one(&f->g, i);
		if (!behind || c == '"' || c == '`')
			break;
		if (c != '/' && !isspace((unsigned char)c))
			last = behind;
	}
	return last;
}

static bool is_embedded(const struct field_reading *f, size_t from, size_t end)
{
	size_t behind = go_scan_name(&f->g, from), next = go_scan_blanks(&f->g, behind);

	if (behind == from || next >= end || f->g.text[next] == '.')
		return true; /* *T, T, p.T */
	if (f->g.text[next] == '[' && next == behind) {
		size_t close = go_scan_brackets(&f->g, next);

		return close && go_scan_space(&f->g, close) >= end; /* T[A], but not names [N]T */
	}
	return false;
}

static void add_line(struct field_reading *f, size_t from, size_t end)
{
	size_t names[64], ends[64], n = 0, i = go_scan_space(&f->g, from);

	end = without_tag(f, i, end);
	if (i >= end)
		return;
	if (is_embedded(f, i, end)) {
		add_embedded(f, i, end);
		return;
	}
	for (;;) {
		if (n == ARRAY_SIZE(names) || go_scan_name(&f->g, i) == i) {
			f->t->partial = true;
			return;
		}
		names[n] = i;
		ends[n++] = go_scan_name(&f->g, i);
		i = go_scan_space(&f->g, ends[n - 1]);
		if (!go_scan_is(&f->g, i, ","))
			break;
		i = go_scan_space(&f->g, i + 1);
	}
	for (size_t k = 0; k < n; k++)
		add_field(f, names[k], ends[k], i, end, false);
}

/* A line, or what is before a semicolon, is one field or some of one type. */
static void read_lines(struct field_reading *f)
{
	size_t from = 0;
	char before = 0;

	for (size_t i = 0, behind; i < f->g.n; i = behind) {
		char c = f->g.text[i];

		behind = skip_one(&f->g, i);
		if (!behind) {
			f->t->partial = true;
			return;
		}
		if (c == ';' || (c == '\n' && before != ',')) {
			add_line(f, from, i);
			from = i + 1;
		}
		if (!isspace((unsigned char)c) && c != '/')
			before = c;
	}
	add_line(f, from, f->g.n);
}

void source_type_fields(struct source_types *s, struct source_type *t)
{
	struct field_reading f = {.s = s, .t = t, .g = {t->text, t->len}};

	if (t->read || !t->text)
		return;
	t->read = true;
	read_lines(&f);
	t->nfields = f.out.len;
	t->fields = f.out.len ? arena_memdup(&s->arena, f.out.data, f.out.len * sizeof(*f.out.data)) : NULL;
	/* Of several, newer versions of Go hold some so: that is left open. */
	t->type.direct_iface = t->nfields == 1 && !t->partial && t->fields->type && is_pointer_shaped(t->fields->type);
	vec_done(&f.out);
}
