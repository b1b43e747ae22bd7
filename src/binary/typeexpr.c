/*
 * Types written in Go syntax, looked up or composed in a binary, and the names of composites.
 *
 *   Type  = "*" Type | "[" [int] "]" Type | "map" "[" Type "]" Type | "chan" ["<-"] Type
 *         | "<-" "chan" Type | "func" "(" … ")" [results] | "struct" "{" … "}" | "interface" "{" …
 * "}" | "(" Type ")" | Name Name  = [path "."] ident ["[" type arguments "]"]
 *
 * A Name is looked up as it stands (full import path), then in the package the type is written in,
 * then as a builtin, then as package-name.Name when only one package fits. A pointer and a func
 * value are one word whatever they lead to, so they may name types that the binary does not
 * describe.
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

struct parser {
	struct binary *b;
	const char *package, *text, *p;
	struct err *err;
	unsigned nest;
	bool failed;	  /* the sentence is set */
	const char *name; /* of the last Name that was not found, NULL otherwise */
};

static const struct type *parse_type(struct parser *p);

static const struct type *fail(struct parser *p, const char *expected)
{
	if (!p->failed)
		err_set(p->err, -EINVAL, "\"%.100s\" is not a Go type: expected %s at \"%.20s\"",
			p->text, expected, *p->p ? p->p : "the end");
	p->failed = true;
	return NULL;
}

static void skip_space(struct parser *p)
{
	p->p += strspn(p->p, " \t\n");
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

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("_./-~%@+$", c)) || (unsigned char)c >= 0x80;
}

/* A keyword not followed by more of a name. */
static bool accept_word(struct parser *p, const char *word)
{
	size_t n = strlen(word);

	skip_space(p);
	return !strncmp(p->p, word, n) && !is_name_char(p->p[n]) && accept(p, word);
}

/* Moves behind the bracket that closes the one at s; NULL when there is none. */
static const char *skip_brackets(const char *s)
{
	unsigned depth = 0;

	for (; *s; s++) {
		if (strchr("([{", *s))
			depth++;
		else if (strchr(")]}", *s) && --depth == 0)
			return s + 1;
	}
	return NULL;
}

/* Type arguments as descriptors write them: no space between them. */
static void append_arguments(struct buf *s, const char *from, const char *to)
{
	for (; from < to; from++)
		if (*from != ' ' || from[-1] != ',')
			buf_char(s, *from);
}

static const char *read_name(struct parser *p)
{
	struct buf s = {0};
	const char *start = p->p, *end;

	while (is_name_char(*p->p))
		p->p++;
	buf_append(&s, start, (size_t)(p->p - start));
	if (s.len && *p->p == '[' && (end = skip_brackets(p->p))) {
		append_arguments(&s, p->p, end);
		p->p = end;
	}
	buf_reserve(&s, 0);
	return take_name(p->b, &s);
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

static bool is_qualified(const char *name)
{
	return memchr(name, '.', strcspn(name, "[")) != NULL;
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

static const struct type *parse_name(struct parser *p)
{
	const char *name = read_name(p), *full = name;
	const struct type *t;

	if (!*name)
		return fail(p, "a type");
	if (is_qualified(name)) {
		t = find_qualified(p, name);
	} else {
		if (*p->package)
			full = arena_printf(&p->b->arena, "%s.%s", p->package, name);
		t = find_unqualified(p, name, full);
	}
	if (t || p->failed)
		return t;
	p->name = full;
	if (!p->err || !p->err->code)
		err_set(p->err, -ENOENT,
			"\"%.100s\" names a type that the program does not describe: no \"%.200s\" "
			"is among its "
			"type descriptors or in its DWARF",
			p->text, full);
	return NULL;
}

/* A type that may be one the binary does not describe, then NULL with *ret_name its name. */
static const struct type *parse_maybe_unknown(struct parser *p, const char **ret_name)
{
	struct err saved = p->err ? *p->err : (struct err){0};
	const struct type *t;

	p->name = NULL;
	t = parse_type(p);
	*ret_name = t ? NULL : p->name;
	if (!t && p->name && !p->failed && p->err)
		*p->err = saved;
	p->name = NULL;
	return t;
}

static const struct type *parse_pointer(struct parser *p)
{
	const char *unknown;
	const struct type *elem = parse_maybe_unknown(p, &unknown);

	if (elem)
		return binary_type_pointer_to(p->b, elem);
	if (!unknown || p->failed)
		return NULL;
	return type_compose(p->b, KIND_POINTER, NULL, NULL, 0,
			    arena_printf(&p->b->arena, "*%s", unknown));
}

static const struct type *parse_array(struct parser *p)
{
	const struct type *elem;
	uint64_t len;
	char *end;

	if (accept(p, "]")) {
		elem = parse_type(p);
		return elem ? type_compose(p->b, KIND_SLICE, elem, NULL, 0, NULL) : NULL;
	}
	skip_space(p);
	if (*p->p < '0' || *p->p > '9')
		return fail(p, "an array length or \"]\"");
	errno = 0;
	len = strtoull(p->p, &end, 0);
	if (errno || len > UINT32_MAX)
		return fail(p, "a smaller array length");
	p->p = end;
	if (!accept(p, "]"))
		return fail(p, "\"]\"");
	elem = parse_type(p);
	if (elem && elem->size > (1ull << 40) / MAX(len, 1))
		return fail(p, "a smaller array");
	return elem ? type_compose(p->b, KIND_ARRAY, elem, NULL, len, NULL) : NULL;
}

static const struct type *parse_map(struct parser *p)
{
	const struct type *key, *elem;

	if (!accept(p, "["))
		return fail(p, "\"[\"");
	key = parse_type(p);
	if (!key)
		return NULL;
	if (!accept(p, "]"))
		return fail(p, "\"]\"");
	elem = parse_type(p);
	return elem ? type_compose(p->b, KIND_MAP, elem, key, 0, NULL) : NULL;
}

static const struct type *parse_chan(struct parser *p, unsigned dir)
{
	const struct type *elem;

	if (dir == 3 && accept(p, "<-"))
		dir = 2;
	elem = parse_type(p);
	return elem ? type_compose(p->b, KIND_CHAN, elem, NULL, dir, NULL) : NULL;
}

/* ---- lists: parameters and struct fields ---- */

struct entry {
	const char *name; /* NULL when there is none */
	const char *type; /* where its type starts */
};
typedef VEC(struct entry) entry_vec;
typedef VEC(const struct type *) type_vec;

static bool is_keyword(const char *s, size_t n)
{
	static const char *const words[] = {"chan", "map", "func", "struct", "interface"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i]) == n && !strncmp(s, words[i], n))
			return true;
	return false;
}

/* Splits what lies between two brackets at separators; *ret_named when entries have names. */
static const char *split_list(struct parser *p, const char *separators, char close, entry_vec *ret,
			      bool *ret_named)
{
	const char *s = p->p;

	*ret_named = false;
	for (;;) {
		struct entry *e;
		size_t word;

		s += strspn(s, " \t\n;");
		if (*s == close)
			return s + 1;
		word = strcspn(s, " \t\n.,;*()[]{}<>\"`");
		e = vec_add(ret);
		e->type = s;
		if (word && (s[word] == ' ' || s[word] == '\t') && !is_keyword(s, word) &&
		    !strchr(",;)}", s[word + strspn(s + word, " \t")])) {
			e->name = arena_strndup(&p->b->arena, s, word);
			e->type = s + word;
			*ret_named = true;
		}
		while (*s && !strchr(separators, *s) && *s != close) {
			const char *end = strchr("([{", *s) ? skip_brackets(s) : s + 1;

			if (!end || strchr(")]}", *s))
				return NULL;
			s = end;
		}
		if (!*s)
			return NULL;
		s += *s != close;
	}
}

static const struct type *parse_at(struct parser *p, const char *at, bool *ret_variadic)
{
	const char *saved = p->p, *unknown;
	const struct type *t;

	p->p = at;
	*ret_variadic = accept(p, "...");
	t = parse_maybe_unknown(p, &unknown);
	if (t && *ret_variadic)
		t = type_compose(p->b, KIND_SLICE, t, NULL, 0, NULL);
	if (!t && unknown && !p->failed)
		t = type_unknown(p->b);
	p->p = saved;
	return t;
}

/* "(a, b int, c ...string)" or "(int, string)"; p is behind the opening bracket. */
static bool parse_params(struct parser *p, type_vec *ret, bool *ret_variadic)
{
	entry_vec entries = {0};
	bool named, ok = true;
	const char *end = split_list(p, ",", ')', &entries, &named);

	if (!end)
		fail(p, "\")\"");
	for (size_t i = 0; end && ok && i < entries.len; i++) {
		size_t k = i;

		while (named && k + 1 < entries.len && !entries.data[k].name)
			k++;
		vec_push(ret, parse_at(p, entries.data[k].type, ret_variadic));
		ok = ret->data[ret->len - 1];
	}
	vec_done(&entries);
	p->p = end ? end : p->p;
	return end && ok;
}

static bool parse_results(struct parser *p, type_vec *ret)
{
	bool variadic;
	const char *unknown;
	const struct type *t;

	if (accept(p, "("))
		return parse_params(p, ret, &variadic);
	skip_space(p);
	if (!*p->p || strchr(",;)]}", *p->p))
		return true;
	t = parse_maybe_unknown(p, &unknown);
	if (!t && unknown && !p->failed)
		t = type_unknown(p->b);
	if (t)
		vec_push(ret, t);
	return t;
}

static const struct type *parse_func(struct parser *p)
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

/* Fields laid out as the compiler does: each aligned, the end padded, a last empty field given
 * room. */
static void lay_out(struct type_full *f, struct type_field *fields, size_t n)
{
	uint64_t size = 0;

	f->t.align = 1;
	for (size_t i = 0; i < n; i++) {
		const struct type *t = fields[i].type;

		size = ALIGN_UP(size, MAX(t->align, 1));
		fields[i].offset = size;
		size += t->size;
		if (i == n - 1 && !t->size && size)
			size++;
		f->t.align = MAX(f->t.align, t->align);
	}
	f->t.size = ALIGN_UP(size, f->t.align);
	f->fields = fields;
	f->nfields = n;
}

static bool parse_fields(struct parser *p, const entry_vec *entries, struct type_full *f)
{
	struct type_field *fields = arena_array(&p->b->arena, struct type_field, entries->len);
	struct buf name = {0};

	buf_str(&name, entries->len ? "struct { " : "struct {");
	for (size_t i = 0; i < entries->len; i++) {
		bool variadic;

		fields[i].name = entries->data[i].name;
		if (fields[i].name)
			fields[i].type = parse_at(p, entries->data[i].type, &variadic);
		if (!fields[i].type || variadic || !fields[i].type->kind) {
			buf_done(&name);
			return fail(p,
				    "names and described types for all fields (\"a int; b int\")");
		}
		buf_printf(&name, "%s%s %s", i ? "; " : "", fields[i].name, fields[i].type->name);
	}
	buf_str(&name, entries->len ? " }" : "}");
	lay_out(f, fields, entries->len);
	f->t.name = take_name(p->b, &name);
	return true;
}

static const struct type *parse_struct(struct parser *p)
{
	const struct type *empty;
	struct type_full *f;
	entry_vec entries = {0};
	bool named, ok;
	const char *end;

	if (!accept(p, "{"))
		return fail(p, "\"{\"");
	end = split_list(p, ";\n", '}', &entries, &named);
	if (!end) {
		vec_done(&entries);
		return fail(p, "\"}\"");
	}
	empty = entries.len ? NULL : rtype_composite(p->b, KIND_STRUCT, NULL, NULL, 0);
	f = type_full_new(p->b);
	f->t = (struct type){.kind = KIND_STRUCT, .source = TYPE_COMPOSED};
	ok = empty || parse_fields(p, &entries, f);
	vec_done(&entries);
	p->p = end;
	return empty ? empty : ok ? &f->t : NULL;
}

static const struct type *parse_interface(struct parser *p)
{
	struct type_full *f;
	const char *end;

	skip_space(p);
	end = *p->p == '{' ? skip_brackets(p->p) : NULL;
	if (!end)
		return fail(p, "\"{\" and its \"}\"");
	if (p->p[1 + strspn(p->p + 1, " \t\n")] == '}') {
		p->p = end;
		return type_builtin(p->b, "any");
	}
	f = type_full_new(p->b);
	f->t = (struct type){
		.kind = KIND_INTERFACE, .source = TYPE_COMPOSED, .align = 8, .size = 16};
	f->t.name = arena_printf(&p->b->arena, "interface %.*s", (int)MIN(end - p->p, NAME_MAX_LEN),
				 p->p);
	p->p = end;
	return &f->t;
}

static const struct type *parse_one(struct parser *p)
{
	const struct type *t;

	if (accept(p, "*"))
		return parse_pointer(p);
	if (accept(p, "["))
		return parse_array(p);
	if (accept(p, "<-"))
		return accept_word(p, "chan") ? parse_chan(p, 1) : fail(p, "\"chan\"");
	if (accept_word(p, "chan"))
		return parse_chan(p, 3);
	if (accept_word(p, "map"))
		return parse_map(p);
	if (accept_word(p, "func"))
		return parse_func(p);
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

const struct type *binary_type_parse(struct binary *b, const char *pkg, const char *go_syntax,
				     struct err *err)
{
	struct err local = {0};
	struct parser p = {.b = b,
			   .package = pkg ? pkg : "",
			   .text = go_syntax,
			   .p = go_syntax,
			   .err = &local};
	const struct type *t = parse_type(&p);

	skip_space(&p);
	if (t && *p.p)
		t = fail(&p, "the end of the type");
	if (!t && err)
		*err = local;
	return t;
}
