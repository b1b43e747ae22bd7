/*
 * Types written in Go syntax, looked up or composed in a binary, and the names of composites.
 *
 * All of the specification's Type, with two liberties: a Name may be written with its full import path, and "*T" and
 * "func(T)" may name types that nothing describes, because a pointer and a func value are one word whatever they lead
 * to. A Name is looked up as a type parameter, then in the binary as it stands (full import path), in the package the
 * type is written in, as a builtin, as package-name.Name when only one package fits, and last among the types that
 * were declared, with the question or by packs (struct declared_type).
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/vec.h"
#include "binary/internal.h"

#define NEST_MAX     64
#define NAME_MAX_LEN 4096 /* of a composite: hostile descriptors double it at each level */

/* ---- names ---- */

static const char *take_name(struct binary *b, struct buf *s)
{
	const char *name = arena_strndup(&b->arena, s->data, MIN(s->len, NAME_MAX_LEN));

	buf_done(s);
	return name;
}

const char *type_composite_name(struct binary *b, enum type_kind kind, const struct type *elem,
				const struct type *key, uint64_t extra)
{
	static const char *const chans[] = {"chan ", "<-chan ", "chan<- ", "chan "};
	bool nested =
		extra == 3 && kind == KIND_CHAN && elem->kind == KIND_CHAN && elem->name[0] == '<';
	struct buf s = {0};

	if (kind == KIND_POINTER)
		buf_char(&s, '*');
	else if (kind == KIND_SLICE)
		buf_str(&s, "[]");
	else if (kind == KIND_ARRAY)
		buf_printf(&s, "[%" PRIu64 "]", extra);
	else if (kind == KIND_CHAN)
		buf_str(&s, chans[extra & 3]);
	else if (kind == KIND_MAP)
		buf_printf(&s, "map[%s]", key->name);
	buf_printf(&s, nested ? "(%s)" : "%s", elem->name);
	return take_name(b, &s);
}

static void print_types(struct buf *s, const struct type *const *types, size_t n, bool variadic)
{
	for (size_t i = 0; i < n; i++) {
		const char *name = types[i]->name;
		bool dots = variadic && i == n - 1 && !strncmp(name, "[]", 2);

		buf_printf(s, "%s%s%s", i ? ", " : "", dots ? "..." : "", dots ? name + 2 : name);
	}
}

const char *type_func_name(struct binary *b, const struct type_full *f)
{
	struct buf s = {0};

	buf_str(&s, "func(");
	print_types(&s, f->params, f->nparams, f->variadic);
	buf_str(&s, ")");
	if (f->nresults)
		buf_str(&s, f->nresults > 1 ? " (" : " ");
	print_types(&s, f->results, f->nresults, false);
	if (f->nresults > 1)
		buf_str(&s, ")");
	return take_name(b, &s);
}

/* ---- the parser ---- */

struct pending { /* a declared type whose text is being read: it may refer to itself behind a pointer */
	const struct declared_type *declared;
	struct type_full *f;
	unsigned indirect; /* the parser's, when it began */
	const struct pending *up;
};

struct parser {
	struct binary *b;
	const struct type_scope *scope;
	const char *package, *text, *p;
	struct err *err;
	unsigned nest;
	unsigned indirect; /* pointers, slices, maps, channels and funcs around: what lies in them needs no size */
	const struct pending *pending;
	bool syntax_only; /* any name is a type */
	bool failed;	  /* the sentence is set */
	size_t failed_at; /* in the text */
	const char *name; /* of the last Name that was not found, NULL otherwise */
};

static const struct type *parse_type(struct parser *p);

static const struct type *fail_as(struct parser *p, const char *sentence)
{
	if (!p->failed)
		err_set(p->err, -EINVAL, "\"%.100s\" is not a Go type: %s at \"%.20s\"", p->text, sentence,
			*p->p ? p->p : "the end");
	if (!p->failed)
		p->failed_at = (size_t)(p->p - p->text);
	p->failed = true;
	return NULL;
}

static const struct type *fail(struct parser *p, const char *expected)
{
	return fail_as(p, arena_printf(&p->b->arena, "expected %s", expected));
}

static void skip_space(struct parser *p)
{
	p->p += strspn(p->p, " \t\r\n");
}

static bool accept(struct parser *p, const char *token)
{
	size_t n = strlen(token);

	skip_space(p);
	if (strncmp(p->p, token, n) != 0)
		return false;
	p->p += n;
	return true;
}

static bool is_ident_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       (unsigned char)c >= 0x80;
}

static bool is_name_char(char c)
{
	return is_ident_char(c) || (c && strchr("./-~%@+$", c));
}

static size_t ident_length(const char *s)
{
	size_t n = 0;

	while (is_ident_char(s[n]))
		n++;
	return *s >= '0' && *s <= '9' ? 0 : n;
}

/* A keyword not followed by more of a name. */
static bool accept_word(struct parser *p, const char *word)
{
	size_t n = strlen(word);

	skip_space(p);
	return !strncmp(p->p, word, n) && !is_name_char(p->p[n]) && accept(p, word);
}

static bool is_keyword(const char *s, size_t n)
{
	static const char *const words[] = {"chan", "map", "func", "struct", "interface"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i]) == n && !strncmp(s, words[i], n))
			return true;
	return false;
}

/* Moves behind the string at s; NULL when it has no end. */
static const char *skip_string(const char *s)
{
	char quote = *s++;

	for (; *s && *s != quote; s++)
		if (*s == '\\' && quote == '"' && s[1])
			s++;
	return *s ? s + 1 : NULL;
}

/* Moves behind the bracket that closes the one at s; NULL when there is none, or another is in its place. */
static const char *skip_brackets(const char *s)
{
	char open[NEST_MAX];
	unsigned depth = 0;

	while (*s) {
		if (*s == '"' || *s == '`') {
			s = skip_string(s);
			if (!s)
				return NULL;
			continue;
		}
		if (strchr("([{", *s)) {
			if (depth == NEST_MAX)
				return NULL;
			open[depth++] = *s == '(' ? ')' : *s == '[' ? ']' : '}';
		} else if (strchr(")]}", *s)) {
			if (open[--depth] != *s)
				return NULL;
			if (!depth)
				return s + 1;
		}
		s++;
	}
	return NULL;
}

/* ---- names ---- */

static bool is_qualified(const char *name)
{
	return memchr(name, '.', strcspn(name, "[")) != NULL;
}

static const struct type *ambiguous(struct parser *p, const char *name,
				    const struct type *const *found)
{
	if (!p->failed)
		err_set(p->err, -EINVAL,
			"\"%.100s\" in \"%.100s\" may mean %s or %s: write the full import path",
			name, p->text, found[0]->name, found[1]->name);
	p->failed = true;
	return NULL;
}

static const struct type *find_qualified(struct parser *p, const char *name)
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

static const struct type *find_unqualified(struct parser *p, const char *name, const char *full)
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
static const char *package_of(struct parser *p, const char *full)
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

static const struct type *parse_declared(struct parser *p, const struct declared_type *d, struct type_full *f)
{
	struct parser outer = *p;
	struct pending here = {.declared = d, .f = f, .indirect = p->indirect, .up = p->pending};
	const struct type *t;
	bool alias;

	p->text = p->p = d->type;
	p->package = f->t.package;
	p->pending = &here;
	alias = accept(p, "=");
	t = parse_type(p);
	skip_space(p);
	if (t && *p->p)
		t = fail(p, "the end of the type");
	if (t && !t->kind)
		t = fail_as(p, "it contains itself, without a pointer between,");
	p->text = outer.text;
	p->p = outer.p;
	p->package = outer.package;
	p->pending = outer.pending;
	if (t && !alias)
		define(p->b, f, t);
	return alias ? t : t ? &f->t : NULL;
}

/* No type is named so. What a declaration means depends on those that were made with it. */
static const char *declaration_key(struct parser *p, const struct declared_type *d, const char *full)
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

static const struct type *declared_type(struct parser *p, const struct declared_type *d, const char *full)
{
	const char *key = declaration_key(p, d, full);
	const struct type *t = type_cached(p->b, key);
	struct type_full *f;

	if (t)
		return t;
	for (const struct pending *x = p->pending; x; x = x->up)
		if (x->declared == d)
			return p->indirect > x->indirect ? &x->f->t
							 : fail_as(p, "it contains itself, without a pointer between,");
	f = type_full_new(p->b);
	f->t = (struct type){.name = full, .package = package_of(p, full), .source = TYPE_COMPOSED, .named = true};
	t = parse_declared(p, d, f);
	if (t)
		strmap_set(&p->b->named, key, strlen(key), (void *)t);
	return t;
}

/* A declaration of what the binary describes itself must be the same. */
static const struct type *check_declared(struct parser *p, const struct type *known, const struct declared_type *d)
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
		err_set(p->err, -EPROTO, "type %s was declared as %.200s, but the binary describes it, and otherwise (%s, "
					 "%llu bytes): leave the declaration out",
			known->name, d->type, type_kind_name(known->kind), (unsigned long long)known->size);
	p->failed |= t && !same;
	return same ? known : NULL;
}

/* ---- a Name ---- */

static const struct type *type_argument(const struct parser *p, const char *name)
{
	const struct type_scope *s = p->scope;

	for (size_t i = 0; s && i < s->nparams; i++)
		if (!strcmp(s->params[i], name))
			return s->args[i];
	return NULL;
}

static const struct type *unknown_name(struct parser *p, const char *full)
{
	const char *short_name = full;

	if (*p->package && !strncmp(full, p->package, strlen(p->package)) && full[strlen(p->package)] == '.')
		short_name += strlen(p->package) + 1;
	p->name = full;
	if (!p->err->code && strchr(full, '['))
		err_set(p->err, -ENOENT,
			"\"%.100s\" names an instance of a generic type that the program does not describe: no \"%.200s\" is among "
			"its type descriptors or in its DWARF; write the struct instead", p->text, full);
	else if (!p->err->code)
		err_set(p->err, -ENOENT,
			"\"%.100s\" names a type that the program does not describe: no \"%.200s\" is among its type descriptors "
			"or in its DWARF; write before the function what it is, as in `type %.200s int32; …` or "
			"`type %.200s struct { … }; …`",
			p->text, full, short_name, short_name);
	return NULL;
}

/* Builtin types matter to the syntax of a few: what can be embedded, a map's key. */
static const struct type *syntax_name(struct parser *p, const char *name)
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

static const struct type *look_up(struct parser *p, const char *name, const char *full)
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
static bool read_argument(struct parser *p, struct buf *s)
{
	const char *start, *missing = NULL;
	struct err saved = *p->err;
	const struct type *t;

	skip_space(p);
	start = p->p;
	p->name = NULL;
	p->indirect++;
	t = parse_type(p);
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
static bool read_arguments(struct parser *p, struct buf *s)
{
	buf_char(s, '[');
	p->p++;
	for (;;) {
		if (!read_argument(p, s))
			return false;
		if (accept(p, "]"))
			break;
		if (!accept(p, ",")) {
			fail(p, "\",\" or \"]\" behind a type argument");
			return false;
		}
		buf_char(s, ',');
	}
	buf_char(s, ']');
	return true;
}

static const struct type *parse_name(struct parser *p)
{
	struct buf s = {0};
	const char *start = p->p, *name, *full;
	const struct type *t;
	bool ok = true;

	while (is_name_char(*p->p) && strncmp(p->p, "...", 3))
		p->p++;
	if (p->p == start)
		return fail(p, "a type");
	buf_append(&s, start, (size_t)(p->p - start));
	if (is_keyword(s.data, s.len) || strchr("0123456789./-~%@+$", *start)) {
		buf_done(&s);
		p->p = start;
		return fail(p, "a type");
	}
	if (*p->p == '[')
		ok = read_arguments(p, &s);
	name = full = take_name(p->b, &s);
	if (!ok)
		return NULL;
	t = type_argument(p, name);
	if (t)
		return t;
	if (!is_qualified(name) && *p->package)
		full = arena_printf(&p->b->arena, "%s.%s", p->package, name);
	return look_up(p, name, full);
}

/* A type that may be one that nothing describes, then NULL with *ret_name its name. */
static const struct type *parse_maybe_unknown(struct parser *p, const char **ret_name)
{
	struct err saved = *p->err;
	const struct type *t;

	p->name = NULL;
	p->indirect++;
	t = parse_type(p);
	p->indirect--;
	*ret_name = t ? NULL : p->name;
	if (!t && p->name && !p->failed)
		*p->err = saved;
	p->name = NULL;
	return t;
}

/* What lies in a struct or an array, or stands for itself, needs a size. */
static const struct type *parse_sized(struct parser *p)
{
	const struct type *t = parse_type(p);

	if (!t || t->kind)
		return t;
	p->name = "";
	if (!p->err->code)
		err_set(p->err, -ENOENT, "the size of a type in \"%.100s\" is not known: the binary does not tell what it "
					 "stands for", p->text);
	return NULL;
}

/* ---- composites ---- */

static const struct type *parse_pointer(struct parser *p)
{
	const char *unknown;
	const struct type *elem = parse_maybe_unknown(p, &unknown);

	if (elem)
		return elem->kind || p->pending ? binary_type_pointer_to(p->b, elem)
						: type_compose(p->b, KIND_POINTER, NULL, NULL, 0, "*unknown");
	if (!unknown || p->failed)
		return NULL;
	return type_compose(p->b, KIND_POINTER, NULL, NULL, 0,
			    arena_printf(&p->b->arena, "*%s", unknown));
}

static const struct type *parse_behind(struct parser *p)
{
	const struct type *t;

	p->indirect++;
	t = parse_type(p);
	p->indirect--;
	return t;
}

/* ---- constant expressions: the lengths of arrays ---- */

static bool constant_expr(struct parser *p, unsigned level, int64_t *ret);

static bool literal(struct parser *p, int64_t *ret)
{
	char digits[72];
	size_t n = 0;
	const char *s = p->p, *from = digits;
	int base = 10;
	char *end;

	for (; is_ident_char(*s); s++)
		if (*s != '_' && n + 1 < sizeof(digits))
			digits[n++] = *s;
	digits[n] = '\0';
	if (*from == '0' && n > 1) {
		base = strchr("xX", from[1]) ? 16 : strchr("bB", from[1]) ? 2 : 8;
		from += base != 8 || strchr("oO", from[1]) ? 2 : 1;
	}
	errno = 0;
	*ret = strtoll(from, &end, base);
	if (errno || *end || !*from)
		return fail(p, errno ? "a smaller array length" : "a number as an array's length"), false;
	p->p = s;
	return true;
}

static bool operand(struct parser *p, int64_t *ret)
{
	skip_space(p);
	if (accept(p, "(")) {
		if (++p->nest > NEST_MAX)
			return fail(p, "less nesting"), false;
		if (!constant_expr(p, 0, ret))
			return false;
		p->nest--;
		return accept(p, ")") || (fail(p, "\")\""), false);
	}
	if (*p->p >= '0' && *p->p <= '9')
		return literal(p, ret);
	if (ident_length(p->p))
		return fail_as(p, "an array's length is written as a number here (the binary does not tell a constant's value)"),
		       false;
	return fail(p, "an array length or \"]\""), false;
}

static bool apply(struct parser *p, const char *op, int64_t a, int64_t b, int64_t *ret)
{
	bool bad = false;

	switch (*op) {
	case '+':
		bad = __builtin_add_overflow(a, b, ret);
		break;
	case '-':
		bad = __builtin_sub_overflow(a, b, ret);
		break;
	case '*':
		bad = __builtin_mul_overflow(a, b, ret);
		break;
	case '/':
	case '%':
		bad = !b;
		*ret = bad ? 0 : *op == '/' ? a / b : a % b;
		break;
	case '<':
		bad = b < 0 || b > 40 || a > (1ll << 40) >> b;
		*ret = bad ? 0 : a << b;
		break;
	case '>':
		bad = b < 0;
		*ret = bad ? 0 : a >> MIN(b, 63);
		break;
	case '&':
		*ret = op[1] == '^' ? a & ~b : a & b;
		break;
	case '|':
		*ret = a | b;
		break;
	default:
		*ret = a ^ b;
		break;
	}
	return !bad || (fail(p, "a smaller array length"), false);
}

static const char *binary_operator(struct parser *p, unsigned level)
{
	static const char *const levels[][8] = {{"+", "-", "|", "^"}, {"<<", ">>", "&^", "&", "*", "/", "%"}};

	for (const char *const *op = levels[level]; *op; op++)
		if (accept(p, *op))
			return *op;
	return NULL;
}

/* Not negative at any step: lengths have no use for that. */
static bool constant_expr(struct parser *p, unsigned level, int64_t *ret)
{
	int64_t b;
	const char *op;
	bool ok = level == 2 ? operand(p, ret) : constant_expr(p, level + 1, ret);

	while (ok && level < 2 && (op = binary_operator(p, level))) {
		ok = constant_expr(p, level + 1, &b) && apply(p, op, *ret, b, ret);
		if (ok && *ret < 0)
			ok = fail(p, "an array length that is not negative") != NULL;
	}
	return ok;
}

static const struct type *parse_array(struct parser *p)
{
	const struct type *elem;
	int64_t len;

	if (accept(p, "]")) {
		elem = parse_behind(p);
		return elem ? type_compose(p->b, KIND_SLICE, elem, NULL, 0, NULL) : NULL;
	}
	if (!constant_expr(p, 0, &len))
		return NULL;
	if (len > UINT32_MAX)
		return fail(p, "a smaller array length");
	if (!accept(p, "]"))
		return fail(p, "\"]\"");
	elem = parse_sized(p);
	if (elem && elem->size > (1ull << 40) / (uint64_t)MAX(len, 1))
		return fail(p, "a smaller array");
	return elem ? type_compose(p->b, KIND_ARRAY, elem, NULL, (uint64_t)len, NULL) : NULL;
}

static const struct type *parse_map(struct parser *p)
{
	const struct type *key, *elem;

	if (!accept(p, "["))
		return fail(p, "\"[\"");
	key = parse_behind(p);
	if (!key)
		return NULL;
	if (key->kind == KIND_SLICE || key->kind == KIND_MAP || key->kind == KIND_FUNC)
		return fail_as(p, "a map's key cannot be a slice, a map or a func,");
	if (!accept(p, "]"))
		return fail(p, "\"]\"");
	elem = parse_behind(p);
	return elem ? type_compose(p->b, KIND_MAP, elem, key, 0, NULL) : NULL;
}

static const struct type *parse_chan(struct parser *p, unsigned dir)
{
	const struct type *elem;

	if (dir == 3 && accept(p, "<-"))
		dir = 2;
	elem = parse_behind(p);
	return elem ? type_compose(p->b, KIND_CHAN, elem, NULL, dir, NULL) : NULL;
}

/* ---- parameters ---- */

struct entry {
	const char *name; /* NULL when there is none, or it may be a type */
	const char *type; /* where its type starts */
	const char *end;
};
typedef VEC(struct entry) entry_vec;
typedef VEC(const struct type *) type_vec;

/* Whether a bracket behind a name belongs to the type that follows ("a []int") and not to the name ("List[int]"). */
static bool begins_type(const char *bracket, const char *stops)
{
	const char *end = skip_brackets(bracket);

	return end && !strchr(stops, end[strspn(end, " \t")]);
}

/* The name before the type at s: its length, 0 when there is none. */
static size_t name_before_type(const char *s, const char *stops)
{
	size_t n = ident_length(s), blank = strspn(s + n, " \t\r\n");
	const char *next = s + n + blank;

	if (!n || is_keyword(s, n) || !*next || strchr(stops, *next))
		return 0;
	if (*next == '[')
		return begins_type(next, stops) ? n : 0;
	if (!blank && *next != '*' && *next != '<' && strncmp(next, "...", 3))
		return *next == '(' ? n : 0;
	return n;
}

/* The end of the entry at s: where a comma or the closing bracket stands. NULL when brackets do not match. */
static const char *entry_end(const char *s)
{
	while (s && *s && !strchr(",)]}", *s))
		s = strchr("([{", *s) ? skip_brackets(s) : *s == '"' || *s == '`' ? skip_string(s) : s + 1;
	return s;
}

/* Splits what is behind "(" and stands before ")"; *ret_named when entries have names. */
static const char *split_params(struct parser *p, entry_vec *ret, bool *ret_named)
{
	const char *s = p->p;

	*ret_named = false;
	for (;;) {
		struct entry e = {0};
		size_t n;

		s += strspn(s, " \t\r\n");
		if (*s == ')')
			return s + 1;
		n = name_before_type(s, ",)");
		e.end = entry_end(s);
		if (!e.end || e.end == s || (*e.end != ',' && *e.end != ')')) {
			bool missing = e.end && *e.end && e.end == s;

			p->p = missing ? s : p->p;
			fail(p, missing ? "a parameter" : "\")\"");
			return NULL;
		}
		e.type = s + n;
		e.name = n ? arena_strndup(&p->b->arena, s, n) : NULL;
		*ret_named |= n != 0;
		vec_push(ret, e);
		s = e.end + (*e.end == ',');
	}
}

static const struct type *parse_param(struct parser *p, const struct entry *e, bool last, bool *ret_variadic)
{
	const char *unknown;
	const struct type *t;

	p->p = e->type;
	*ret_variadic = accept(p, "...");
	if (*ret_variadic && !last)
		return fail_as(p, "only the last parameter may have \"...\"");
	t = parse_maybe_unknown(p, &unknown);
	if (!t && unknown && !p->failed)
		t = type_unknown(p->b);
	skip_space(p);
	if (t && p->p < e->end)
		return fail(p, "\",\" or \")\"");
	return t && *ret_variadic ? type_compose(p->b, KIND_SLICE, t, NULL, 0, NULL) : t;
}

/* In a list with names, a lone name takes the type that follows. */
static const struct entry *entry_with_type(struct parser *p, const entry_vec *entries, size_t i, bool named)
{
	size_t k = i;

	while (named && k < entries->len && !entries->data[k].name) {
		const char *s = entries->data[k].type;

		if (s + ident_length(s) + strspn(s + ident_length(s), " \t\r\n") != entries->data[k].end) {
			p->p = s;
			fail_as(p, "a parameter has no name, and others have,");
			return NULL;
		}
		k++;
	}
	if (k < entries->len)
		return &entries->data[k];
	p->p = entries->data[i].end;
	fail(p, "the type of the parameter");
	return NULL;
}

/* "(a, b int, c ...string)" or "(int, string)"; p is behind the opening bracket. */
static bool parse_params(struct parser *p, type_vec *ret, bool *ret_variadic)
{
	entry_vec entries = {0};
	bool named, ok = true;
	const char *end = split_params(p, &entries, &named);

	for (size_t i = 0; end && ok && i < entries.len; i++) {
		const struct entry *e = entry_with_type(p, &entries, i, named);
		const struct type *t = e ? parse_param(p, e, i == entries.len - 1, ret_variadic) : NULL;

		ok = t;
		if (ok)
			vec_push(ret, t);
	}
	vec_done(&entries);
	p->p = end && ok ? end : p->p;
	return end && ok;
}

static bool parse_results(struct parser *p, type_vec *ret)
{
	bool variadic = false;
	const char *unknown;
	const struct type *t;

	p->p += strspn(p->p, " \t");
	if (!*p->p || strchr(",;)]}\n\r\"`", *p->p))
		return true;
	if (accept(p, "("))
		return parse_params(p, ret, &variadic) &&
		       (!variadic || (fail_as(p, "a result has no \"...\""), false));
	t = parse_maybe_unknown(p, &unknown);
	if (!t && unknown && !p->failed)
		t = type_unknown(p->b);
	if (t)
		vec_push(ret, t);
	return t;
}

/* What stands behind "func", or behind a method's name. */
static const struct type *parse_signature(struct parser *p)
{
	struct type_full *f = type_full_new(p->b);
	type_vec params = {0}, results = {0};
	bool ok = accept(p, "(");

	if (!ok)
		fail(p, "\"(\"");
	ok = ok && parse_params(p, &params, &f->variadic) && parse_results(p, &results);
	f->params = arena_memdup(&p->b->arena, params.data, params.len * sizeof(*params.data));
	f->nparams = params.len;
	f->results = arena_memdup(&p->b->arena, results.data, results.len * sizeof(*results.data));
	f->nresults = results.len;
	vec_done(&params);
	vec_done(&results);
	if (!ok)
		return NULL;
	f->t = (struct type){.kind = KIND_FUNC,
			     .source = TYPE_COMPOSED,
			     .direct_iface = true,
			     .align = 8,
			     .size = 8};
	f->t.name = type_func_name(p->b, f);
	return &f->t;
}

/* ---- structs ---- */

typedef VEC(struct type_field) field_vec;

struct struct_parser {
	struct parser *p;
	field_vec fields;
	struct buf name; /* as descriptors write it */
};

/*
 * Fields laid out as the compiler does: each aligned, the end padded, a last empty field given
 * room. False when it becomes larger than any.
 */
static bool lay_out(struct type_full *f, struct type_field *fields, size_t n)
{
	uint64_t size = 0;

	f->t.align = 1;
	for (size_t i = 0; i < n; i++) {
		const struct type *t = fields[i].type;

		size = ALIGN_UP(size, MAX(t->align, 1));
		fields[i].offset = size;
		size += t->size;
		if (size > 1ull << 40)
			return false;
		if (i == n - 1 && !t->size && size)
			size++;
		f->t.align = MAX(f->t.align, t->align);
	}
	f->t.size = ALIGN_UP(size, f->t.align);
	f->fields = fields;
	f->nfields = n;
	return true;
}

static void add_field(struct struct_parser *s, const char *name, const struct type *t, bool embedded)
{
	buf_str(&s->name, s->fields.len ? "; " : " ");
	if (!embedded)
		buf_printf(&s->name, "%s ", name);
	buf_str(&s->name, t->name);
	vec_push(&s->fields, ((struct type_field){.name = name, .type = t, .embedded = embedded}));
}

/* What a selector calls an embedded field: the type's name without package and type arguments. */
static const char *embedded_name(struct parser *p, const char *type)
{
	size_t n = strcspn(type, "[");
	size_t from = n;

	while (from && type[from - 1] != '.' && type[from - 1] != '/' && type[from - 1] != '*')
		from--;
	return arena_strndup(&p->b->arena, type + from, n - from);
}

static bool parse_embedded(struct struct_parser *s)
{
	struct parser *p = s->p;
	bool pointer = *p->p == '*';
	const struct type *t, *named;

	if (!pointer && !is_name_char(*p->p))
		return fail(p, "a field, as in \"a int\"");
	t = parse_sized(p);
	if (!t)
		return false;
	named = pointer ? t->elem : t;
	if ((named && (named->kind == KIND_POINTER || strpbrk(named->name, "*([{ ") == named->name)))
		return fail_as(p, "an embedded field is a type's name, or a pointer to one,");
	add_field(s, embedded_name(p, t->name), t, true);
	return true;
}

/* "i, j int": the names, and the type that follows. */
static bool parse_named_fields(struct struct_parser *s)
{
	struct parser *p = s->p;
	VEC(const char *) names = {0};
	const struct type *t;
	bool more = true;

	while (more) {
		size_t n;

		skip_space(p);
		n = ident_length(p->p);
		if (!n || is_keyword(p->p, n)) {
			vec_done(&names);
			return fail(p, "a field's name");
		}
		vec_push(&names, arena_strndup(&p->b->arena, p->p, n));
		p->p += n;
		more = accept(p, ",");
	}
	skip_space(p);
	t = !*p->p || strchr(";}\"`", *p->p) ? fail(p, "the type of the field") : parse_sized(p);
	for (size_t i = 0; t && i < names.len; i++)
		add_field(s, names.data[i], t, false);
	vec_done(&names);
	return t;
}

static bool is_embedded(const char *s)
{
	size_t n = ident_length(s);
	const char *next = s + n + strspn(s + n, " \t");

	if (*s == '*' || !n)
		return true;
	if (*next == '[')
		return !begins_type(next, ";}\"`\r\n");
	return !*next || strchr(";}\"`\r\n./-", *next);
}

/* A tag is a part of a type's name. */
static bool parse_tag(struct struct_parser *s)
{
	struct parser *p = s->p;
	const char *end;

	p->p += strspn(p->p, " \t");
	if (*p->p != '"' && *p->p != '`')
		return true;
	end = skip_string(p->p);
	if (!end)
		return fail(p, "the end of the tag");
	buf_str(&s->name, " \"");
	for (const char *c = p->p + 1; c < end - 1; c++) {
		if (*p->p == '`' && (*c == '"' || *c == '\\'))
			buf_char(&s->name, '\\');
		buf_char(&s->name, *c);
	}
	buf_char(&s->name, '"');
	p->p = end;
	return true;
}

/* Behind a field: a semicolon, a line's end, or the closing bracket. */
static bool parse_field_end(struct parser *p)
{
	p->p += strspn(p->p, " \t\r");
	if (*p->p == ',')
		return fail_as(p, "the fields of a struct are separated by \";\", not by \",\",");
	if (*p->p == '}' || *p->p == ';' || *p->p == '\n') {
		p->p += strspn(p->p, " \t\r\n;");
		return true;
	}
	return fail(p, "\";\" or \"}\"");
}

static bool parse_fields(struct struct_parser *s)
{
	struct parser *p = s->p;

	p->p += strspn(p->p, " \t\r\n;");
	while (*p->p != '}') {
		bool ok = is_embedded(p->p) ? parse_embedded(s) : parse_named_fields(s);

		if (!ok || !parse_tag(s) || !parse_field_end(p))
			return false;
	}
	p->p++;
	return true;
}

static const struct type *parse_struct(struct parser *p)
{
	struct struct_parser s = {.p = p};
	const struct type *t = NULL;
	struct type_full *f;

	if (!accept(p, "{"))
		return fail(p, "\"{\"");
	if (!skip_brackets(p->p - 1))
		return fail(p, "\"}\"");
	buf_str(&s.name, "struct {");
	if (parse_fields(&s)) {
		t = s.fields.len ? NULL : rtype_composite(p->b, KIND_STRUCT, NULL, NULL, 0);
		buf_str(&s.name, s.fields.len ? " }" : "}");
	}
	if (!p->failed && !p->err->code && !t) {
		f = type_full_new(p->b);
		f->t = (struct type){.kind = KIND_STRUCT, .source = TYPE_COMPOSED};
		f->t.name = arena_strndup(&p->b->arena, s.name.data, MIN(s.name.len, NAME_MAX_LEN));
		t = lay_out(f, arena_memdup(&p->b->arena, s.fields.data, s.fields.len * sizeof(*s.fields.data)),
			    s.fields.len)
			    ? &f->t
			    : fail(p, "a smaller struct");
	}
	vec_done(&s.fields);
	buf_done(&s.name);
	return t;
}

/* ---- interfaces ---- */

typedef VEC(struct type_method) method_vec;

static bool has_method(const method_vec *v, const char *name)
{
	for (size_t i = 0; i < v->len; i++)
		if (!strcmp(v->data[i].name, name))
			return true;
	return false;
}

static bool embed_interface(struct parser *p, method_vec *v)
{
	const struct type *t = parse_sized(p);
	struct type_method m;

	if (!t)
		return false;
	if (t->kind != KIND_INTERFACE)
		return fail_as(p, "an interface of types is a constraint, no value has it; expected methods");
	for (size_t i = 0; type_method(p->b, t, i, &m); i++)
		if (!has_method(v, m.name))
			vec_push(v, m);
	return true;
}

static bool parse_methods(struct parser *p, method_vec *v)
{
	p->p += strspn(p->p, " \t\r\n;");
	while (*p->p != '}') {
		size_t n = ident_length(p->p);
		bool ok;

		if (*p->p == '~' || *p->p == '|')
			return fail_as(p, "an interface of types is a constraint, no value has it; expected methods");
		if (n && p->p[n + strspn(p->p + n, " \t")] == '(') {
			struct type_method m = {.name = arena_strndup(&p->b->arena, p->p, n)};

			if (has_method(v, m.name))
				return fail_as(p, "this method is there twice,");
			p->p += n;
			m.type = parse_signature(p);
			ok = m.type;
			if (ok)
				vec_push(v, m);
		} else {
			ok = embed_interface(p, v);
		}
		if (ok && *p->p == '|')
			return fail_as(p, "an interface of types is a constraint, no value has it; expected methods");
		if (!ok || !parse_field_end(p))
			return false;
	}
	p->p++;
	return true;
}

/* As descriptors sort them: exported ones first, then by name. */
static int by_name(const void *a, const void *b)
{
	const struct type_method *x = a, *y = b;
	bool ex = *x->name >= 'A' && *x->name <= 'Z', ey = *y->name >= 'A' && *y->name <= 'Z';

	return ex != ey ? ey - ex : strcmp(x->name, y->name);
}

static const char *interface_name(struct parser *p, const method_vec *v)
{
	struct buf s = {0};

	buf_str(&s, "interface {");
	for (size_t i = 0; i < v->len; i++)
		buf_printf(&s, "%s%s%s", i ? "; " : " ", v->data[i].name,
			   v->data[i].type ? v->data[i].type->name + strlen("func") : "()");
	buf_str(&s, " }");
	return take_name(p->b, &s);
}

static const struct type *parse_interface(struct parser *p)
{
	method_vec v = {0};
	const struct type *t = NULL;
	struct type_full *f;

	if (!accept(p, "{"))
		return fail(p, "\"{\" and its \"}\"");
	if (!skip_brackets(p->p - 1)) {
		p->p--;
		return fail(p, "\"{\" and its \"}\"");
	}
	if (parse_methods(p, &v) && !v.len) {
		t = type_builtin(p->b, "any");
	} else if (!p->failed && !p->err->code) {
		qsort(v.data, v.len, sizeof(*v.data), by_name);
		f = type_full_new(p->b);
		f->t = (struct type){.kind = KIND_INTERFACE, .source = TYPE_COMPOSED, .align = 8, .size = 16};
		f->t.name = interface_name(p, &v);
		f->methods = arena_memdup(&p->b->arena, v.data, v.len * sizeof(*v.data));
		f->nmethods = v.len;
		t = &f->t;
	}
	vec_done(&v);
	return t;
}

/* ---- any type ---- */

static const struct type *parse_one(struct parser *p)
{
	const struct type *t;

	if (accept(p, "*"))
		return parse_pointer(p);
	if (accept(p, "[..."))
		return fail_as(p, "the length of an array type is written as a number,");
	if (accept(p, "["))
		return parse_array(p);
	if (accept(p, "<-"))
		return accept_word(p, "chan") ? parse_chan(p, 1) : fail(p, "\"chan\"");
	if (accept_word(p, "chan"))
		return parse_chan(p, 3);
	if (accept_word(p, "map"))
		return parse_map(p);
	if (accept_word(p, "func"))
		return parse_signature(p);
	if (accept_word(p, "struct"))
		return parse_struct(p);
	if (accept_word(p, "interface"))
		return parse_interface(p);
	if (!accept(p, "("))
		return parse_name(p);
	t = parse_type(p);
	return !t || accept(p, ")") ? t : fail(p, "\")\"");
}

static const struct type *parse_type(struct parser *p)
{
	const struct type *t;

	if (++p->nest > NEST_MAX)
		return fail(p, "less nesting");
	t = parse_one(p);
	p->nest--;
	return t;
}

const struct type *binary_type_parse_in(struct binary *b, const char *pkg, const struct type_scope *scope,
					const char *go_syntax, struct err *err)
{
	struct err local = {0};
	struct parser p = {.b = b,
			   .scope = scope,
			   .package = pkg ? pkg : "",
			   .text = go_syntax,
			   .p = go_syntax,
			   .err = &local};
	const struct type *t = parse_sized(&p);

	skip_space(&p);
	if (t && *p.p)
		t = fail(&p, "the end of the type");
	if (!t && err)
		*err = local;
	return t;
}

const struct type *binary_type_parse(struct binary *b, const char *pkg, const char *go_syntax, struct err *err)
{
	return binary_type_parse_in(b, pkg, NULL, go_syntax, err);
}

int type_syntax_check(const char *go_syntax, size_t *ret_at, struct err *err)
{
	struct binary b = {0}; /* without any type */
	struct err local = {0};
	struct parser p = {.b = &b, .package = "", .text = go_syntax, .p = go_syntax, .err = &local, .syntax_only = true};
	const struct type *t = parse_type(&p);

	skip_space(&p);
	if (t && *p.p)
		t = fail(&p, "the end of the type");
	type_index_free(b.index);
	strmap_done(&b.named);
	map_done(&b.types);
	arena_done(&b.arena);
	if (t)
		return 0;
	*ret_at = p.failed_at;
	return err_set(err, -EINVAL, "%s", local.text);
}

void binary_declare_types(struct binary *b, const struct declared_type *types, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!find_declared(b->declared.data, b->declared.len, types[i].name, types[i].name))
			vec_push(&b->declared, ((struct declared_type){arena_strdup(&b->arena, types[i].name),
								       arena_strdup(&b->arena, types[i].type)}));
}
