/* Names of types: in the binary, of type parameters, as declared with a question or by packs. */
#include "binary/typeexpr.h"

#include <errno.h>
#include <string.h>

/* ---- names ---- */

static bool is_qualified(const char *name)
{
	return memchr(name, '.', strcspn(name, "[")) != NULL;
}

static const struct type *ambiguous(struct type_parser *p, const char *name,
				    const struct type *const *found)
{
	if (!p->failed)
		err_set(p->err, -EINVAL,
			"\"%.100s\" in \"%.100s\" may mean %s or %s: write the full import path",
			name, p->text, found[0]->name, found[1]->name);
	p->failed = true;
	return NULL;
}

static const struct type *find_qualified(struct type_parser *p, const char *name)
{
	const struct type *t = rtype_by_name(p->b, name), *found[2];
	size_t n;

	if (t)
		return t;
	n = memchr(name, '/', strcspn(name, "[")) ? 0 : rtype_by_short_name(p->b, name, found, 2);
	if (n > 1)
		return ambiguous(p, name, found);
	return n ? found[0] : binary_type(p->b, name);
}

static const struct type *find_unqualified(struct type_parser *p, const char *name, const char *full)
{
	const struct type *t = *p->package ? rtype_by_name(p->b, full) : NULL;

	if (!t)
		t = type_builtin(p->b, name);
	return t || !*p->package ? t : binary_type(p->b, full);
}

/* ---- declared types ---- */

/* Whether a declaration's name means the one asked for; full has its package where it was written without one. */
static bool declares(const char *declared, const char *name, const char *full)
{
	size_t all = strlen(declared), n = strlen(name);

	if (!strcmp(declared, name) || !strcmp(declared, full))
		return true;
	return is_qualified(name) && all > n && declared[all - n - 1] == '/' && !strcmp(declared + all - n, name);
}

static const struct declared_type *find_declared(const struct declared_type *types, size_t n, const char *name,
						 const char *full)
{
	for (size_t i = 0; i < n; i++)
		if (declares(types[i].name, name, full))
			return &types[i];
	return NULL;
}

/* The package in which a declaration's text is read: its name's. */
static const char *package_of(struct type_parser *p, const char *full)
{
	const char *slash = strrchr(full, '/'), *dot = strchr(slash ? slash : full, '.');

	return dot ? arena_strndup(&p->b->arena, full, (size_t)(dot - full)) : p->package;
}

/* A defined type: the underlying one's parts under a name of its own. */
static void define(struct binary *b, struct type_full *f, const struct type *underlying)
{
	struct type own = f->t;

	*f = *type_full(b, underlying);
	f->t.name = own.name;
	f->t.package = own.package;
	f->t.source = TYPE_COMPOSED;
	f->t.named = true;
	f->t.rtype = 0;
	f->pointer_to = NULL;
}

static const struct type *fail_itself(struct type_parser *p)
{
	return tx_fail_as(p, "it contains itself, without a pointer between,");
}

static const struct type *parse_declared(struct type_parser *p, const struct declared_type *d, struct type_full *f)
{
	struct type_parser outer = *p;
	struct pending here = {.declared = d, .f = f, .indirect = p->indirect, .up = p->pending};
	const struct type *t;
	bool alias;

	p->text = p->p = d->type;
	p->package = f->t.package;
	p->pending = &here;
	alias = tx_accept(p, "=");
	t = tx_type(p);
	tx_skip_space(p);
	if (t && *p->p)
		t = tx_fail(p, "the end of the type");
	if (t && !t->kind)
		t = fail_itself(p);
	p->text = outer.text;
	p->p = outer.p;
	p->package = outer.package;
	p->pending = outer.pending;
	if (t && !alias)
		define(p->b, f, t);
	return alias ? t : t ? &f->t : NULL;
}

/* No type is named so. What a declaration means depends on those that were made with it. */
static const char *declaration_key(struct type_parser *p, const struct declared_type *d, const char *full)
{
	const struct type_scope *s = p->scope;
	struct buf key = {0};
	const char *text;

	buf_printf(&key, "%s %s", full, d->type);
	for (size_t i = 0; s && d >= s->types && d < s->types + s->ntypes && i < s->ntypes; i++)
		buf_printf(&key, "; type %s %s", s->types[i].name, s->types[i].type);
	text = arena_strdup(&p->b->arena, key.data);
	buf_done(&key);
	return text;
}

static const struct type *declared_type(struct type_parser *p, const struct declared_type *d, const char *full)
{
	const char *key = declaration_key(p, d, full);
	const struct type *t = type_cached(p->b, key);
	struct type_full *f;

	if (t)
		return t;
	for (const struct pending *x = p->pending; x; x = x->up)
		if (x->declared == d)
			return p->indirect > x->indirect ? &x->f->t : fail_itself(p);
	f = type_full_new(p->b);
	f->t = (struct type){.name = full, .package = package_of(p, full), .source = TYPE_COMPOSED, .named = true};
	t = parse_declared(p, d, f);
	if (t)
		strmap_set(&p->b->named, key, strlen(key), (void *)t);
	return t;
}

/* A declaration of what the binary describes itself must be the same. */
static const struct type *check_declared(struct type_parser *p, const struct type *known, const struct declared_type *d)
{
	const struct type *t = declared_type(p, d, known->name);
	struct type_field a, b;
	struct type_method m, n;
	bool same = t && (t == known || (t->kind == known->kind && t->size == known->size));

	for (size_t i = 0; same && type_field(p->b, known, i, &a); i++)
		same = type_field(p->b, t, i, &b) && a.offset == b.offset && !strcmp(a.name, b.name) &&
		       a.type->kind == b.type->kind && a.type->size == b.type->size;
	for (size_t i = 0; same && known->kind == KIND_INTERFACE && type_method(p->b, known, i, &m); i++)
		same = type_method(p->b, t, i, &n) && !strcmp(m.name, n.name);
	if (t && !same && !p->failed)
		err_set(p->err, -EPROTO,
			"type %s was declared as %.200s, but the binary describes it differently (%s, %llu bytes): "
			"leave the declaration out",
			known->name, d->type, type_kind_name(known->kind), (unsigned long long)known->size);
	p->failed |= t && !same;
	return same ? known : NULL;
}

/* ---- a Name ---- */

static const struct type *type_argument(const struct type_parser *p, const char *name)
{
	const struct type_scope *s = p->scope;

	for (size_t i = 0; s && i < s->nparams; i++)
		if (!strcmp(s->params[i], name))
			return s->args[i];
	return NULL;
}

static const struct type *unknown_name(struct type_parser *p, const char *full)
{
	const char *short_name = full;

	if (*p->package && !strncmp(full, p->package, strlen(p->package)) && full[strlen(p->package)] == '.')
		short_name += strlen(p->package) + 1;
	p->name = full;
	if (!p->err->code && strchr(full, '['))
		err_set(p->err, -ENOENT,
			"\"%.100s\" names an instance of a generic type that the program does not describe: no "
			"\"%.200s\" is among its type descriptors or in its DWARF; write the struct instead",
			p->text, full);
	else if (!p->err->code)
		err_set(p->err, -ENOENT,
			"\"%.100s\" names a type that the program does not describe: no \"%.200s\" is among its type "
			"descriptors or in its DWARF; write before the function what it is, as in `type %.200s int32; "
			"…` or `type %.200s struct { … }; …`",
			p->text, full, short_name, short_name);
	return NULL;
}

/* Builtin types matter to the syntax of a few: what can be embedded, a map's key. */
static const struct type *syntax_name(struct type_parser *p, const char *name)
{
	const struct type *t = is_qualified(name) ? NULL : type_builtin(p->b, name);

	if (t)
		return t;
	t = type_cached(p->b, "a name");
	if (!t) {
		struct type_full *f = type_full_new(p->b);

		f->t = (struct type){.name = "a name", .kind = KIND_INTERFACE, .source = TYPE_COMPOSED, .named = true,
				     .align = 1}; /* without a size, so that no array of it is too large */
		type_cache(p->b, &f->t);
		t = &f->t;
	}
	return t;
}

static const struct type *look_up(struct type_parser *p, const char *name, const char *full)
{
	const struct type_scope *s = p->scope;
	const struct declared_type *d = s ? find_declared(s->types, s->ntypes, name, full) : NULL;
	const struct type *t;

	if (p->syntax_only)
		return syntax_name(p, name);
	for (const struct pending *x = p->pending; d && x; x = x->up)
		if (x->declared == d)
			return declared_type(p, d, full);
	t = is_qualified(name) ? find_qualified(p, name) : find_unqualified(p, name, full);
	if (p->failed)
		return NULL;
	if (t && t->named && d && strcmp(d->name, t->name) && is_qualified(d->name))
		d = NULL;
	if (t)
		return d ? check_declared(p, t, d) : t;
	if (!d)
		d = find_declared(p->b->declared.data, p->b->declared.len, name, full);
	if (!d)
		return unknown_name(p, full);
	return declared_type(p, d, is_qualified(d->name) ? d->name : full);
}

/* One type argument as descriptors write it: by full name; as it stands when nothing describes it. */
static bool read_argument(struct type_parser *p, struct buf *s)
{
	const char *start, *missing = NULL;
	struct err saved = *p->err;
	const struct type *t;

	tx_skip_space(p);
	start = p->p;
	p->name = NULL;
	p->indirect++;
	t = tx_type(p);
	p->indirect--;
	if (!t)
		missing = p->name;
	if (!t && (!missing || p->failed))
		return false;
	if (!t)
		*p->err = saved;
	p->name = NULL;
	if (t && t->kind)
		buf_str(s, t->name);
	else
		buf_append(s, start, (size_t)(p->p - start));
	return true;
}

/* "[int,*main.deep]": no space between them. */
static bool read_arguments(struct type_parser *p, struct buf *s)
{
	buf_char(s, '[');
	p->p++;
	for (;;) {
		if (!read_argument(p, s))
			return false;
		if (tx_accept(p, "]"))
			break;
		if (!tx_accept(p, ",")) {
			tx_fail(p, "\",\" or \"]\" behind a type argument");
			return false;
		}
		buf_char(s, ',');
	}
	buf_char(s, ']');
	return true;
}

const struct type *tx_name(struct type_parser *p)
{
	struct buf s = {0};
	const char *start = p->p, *name, *full;
	const struct type *t;
	bool ok = true;

	while (tx_is_name_char(*p->p) && strncmp(p->p, "...", 3))
		p->p++;
	if (p->p == start)
		return tx_fail(p, "a type");
	buf_append(&s, start, (size_t)(p->p - start));
	if (tx_is_keyword(s.data, s.len) || strchr("0123456789./-~%@+$", *start)) {
		buf_done(&s);
		p->p = start;
		return tx_fail(p, "a type");
	}
	if (*p->p == '[')
		ok = read_arguments(p, &s);
	name = full = tx_take_name(p->b, &s);
	if (!ok)
		return NULL;
	t = type_argument(p, name);
	if (t)
		return t;
	if (!is_qualified(name) && *p->package)
		full = arena_printf(&p->b->arena, "%s.%s", p->package, name);
	return look_up(p, name, full);
}

const struct type *tx_maybe_unknown(struct type_parser *p, const char **ret_name)
{
	struct err saved = *p->err;
	const struct type *t;

	p->name = NULL;
	p->indirect++;
	t = tx_type(p);
	p->indirect--;
	*ret_name = t ? NULL : p->name;
	if (!t && p->name && !p->failed)
		*p->err = saved;
	p->name = NULL;
	return t;
}

const struct type *tx_sized(struct type_parser *p)
{
	const struct type *t = tx_type(p);

	if (!t || t->kind)
		return t;
	p->name = "";
	if (!p->err->code)
		err_set(p->err, -ENOENT,
			"the size of a type in \"%.100s\" is not known: the binary does not tell what it stands "
			"for", p->text);
	return NULL;
}

void binary_declare_types(struct binary *b, const struct declared_type *types, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!find_declared(b->declared.data, b->declared.len, types[i].name, types[i].name))
			vec_push(&b->declared, ((struct declared_type){arena_strdup(&b->arena, types[i].name),
								       arena_strdup(&b->arena, types[i].type)}));
}
