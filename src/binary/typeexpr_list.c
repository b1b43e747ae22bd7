/* Types with lists: parameters and results, fields, methods. */
#include "binary/typeexpr.h"

#include <string.h>

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
	const char *end = tx_skip_brackets(bracket);

	return end && !strchr(stops, end[strspn(end, " \t")]);
}

/* The name before the type at s: its length, 0 when there is none. */
static size_t name_before_type(const char *s, const char *stops)
{
	size_t n = tx_ident_length(s), blank = strspn(s + n, " \t\r\n");
	const char *next = s + n + blank;

	if (!n || tx_is_keyword(s, n) || !*next || strchr(stops, *next))
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
		s = strchr("([{", *s) ? tx_skip_brackets(s) : *s == '"' || *s == '`' ? tx_skip_string(s) : s + 1;
	return s;
}

/* Splits what is behind "(" and stands before ")"; *ret_named when entries have names. */
static const char *split_params(struct type_parser *p, entry_vec *ret, bool *ret_named)
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
			tx_fail(p, missing ? "a parameter" : "\")\"");
			return NULL;
		}
		e.type = s + n;
		e.name = n ? arena_strndup(&p->b->arena, s, n) : NULL;
		*ret_named |= n != 0;
		vec_push(ret, e);
		s = e.end + (*e.end == ',');
	}
}

static const struct type *parse_param(struct type_parser *p, const struct entry *e, bool last, bool *ret_variadic)
{
	const char *unknown;
	const struct type *t;

	p->p = e->type;
	*ret_variadic = tx_accept(p, "...");
	if (*ret_variadic && !last)
		return tx_fail_as(p, "only the last parameter may have \"...\"");
	t = tx_maybe_unknown(p, &unknown);
	if (!t && unknown && !p->failed)
		t = type_unknown(p->b);
	tx_skip_space(p);
	if (t && p->p < e->end)
		return tx_fail(p, "\",\" or \")\"");
	return t && *ret_variadic ? type_compose(p->b, KIND_SLICE, t, NULL, 0, NULL) : t;
}

/* In a list with names, a lone name takes the type that follows. */
static const struct entry *entry_with_type(struct type_parser *p, const entry_vec *entries, size_t i, bool named)
{
	size_t k = i;

	while (named && k < entries->len && !entries->data[k].name) {
		const char *s = entries->data[k].type;

		if (s + tx_ident_length(s) + strspn(s + tx_ident_length(s), " \t\r\n") != entries->data[k].end) {
			p->p = s;
			tx_fail_as(p, "a parameter has no name, and others have,");
			return NULL;
		}
		k++;
	}
	if (k < entries->len)
		return &entries->data[k];
	p->p = entries->data[i].end;
	tx_fail(p, "the type of the parameter");
	return NULL;
}

/* "(a, b int, c ...string)" or "(int, string)"; p is behind the opening bracket. */
static bool parse_params(struct type_parser *p, type_vec *ret, bool *ret_variadic)
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

static bool parse_results(struct type_parser *p, type_vec *ret)
{
	bool variadic = false;
	const char *unknown;
	const struct type *t;

	p->p += strspn(p->p, " \t");
	if (!*p->p || strchr(",;)]}\n\r\"`", *p->p))
		return true;
	if (tx_accept(p, "("))
		return parse_params(p, ret, &variadic) &&
		       (!variadic || (tx_fail_as(p, "a result has no \"...\""), false));
	t = tx_maybe_unknown(p, &unknown);
	if (!t && unknown && !p->failed)
		t = type_unknown(p->b);
	if (t)
		vec_push(ret, t);
	return t;
}

/* What stands behind "func", or behind a method's name. */
const struct type *tx_signature(struct type_parser *p)
{
	struct type_full *f = type_full_new(p->b);
	type_vec params = {0}, results = {0};
	bool ok = tx_accept(p, "(");

	if (!ok)
		tx_fail(p, "\"(\"");
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

struct fields {
	struct type_parser *p;
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

static void add_field(struct fields *s, const char *name, const struct type *t, bool embedded)
{
	buf_str(&s->name, s->fields.len ? "; " : " ");
	if (!embedded)
		buf_printf(&s->name, "%s ", name);
	buf_str(&s->name, t->name);
	vec_push(&s->fields, ((struct type_field){.name = name, .type = t, .embedded = embedded}));
}

/* What a selector calls an embedded field: the type's name without package and type arguments. */
static const char *embedded_name(struct type_parser *p, const char *type)
{
	size_t n = strcspn(type, "[");
	size_t from = n;

	while (from && type[from - 1] != '.' && type[from - 1] != '/' && type[from - 1] != '*')
		from--;
	return arena_strndup(&p->b->arena, type + from, n - from);
}

static bool parse_embedded(struct fields *s)
{
	struct type_parser *p = s->p;
	bool pointer = *p->p == '*';
	const struct type *t, *named;

	if (!pointer && !tx_is_name_char(*p->p))
		return tx_fail(p, "a field, as in \"a int\"");
	t = tx_sized(p);
	if (!t)
		return false;
	named = pointer ? t->elem : t;
	if ((named && (named->kind == KIND_POINTER || strpbrk(named->name, "*([{ ") == named->name)))
		return tx_fail_as(p, "an embedded field is a type's name, or a pointer to one,");
	add_field(s, embedded_name(p, t->name), t, true);
	return true;
}

/* "i, j int": the names, and the type that follows. */
static bool parse_named_fields(struct fields *s)
{
	struct type_parser *p = s->p;
	VEC(const char *) names = {0};
	const struct type *t;
	bool more = true;

	while (more) {
		size_t n;

		tx_skip_space(p);
		n = tx_ident_length(p->p);
		if (!n || tx_is_keyword(p->p, n)) {
			vec_done(&names);
			return tx_fail(p, "a field's name");
		}
		vec_push(&names, arena_strndup(&p->b->arena, p->p, n));
		p->p += n;
		more = tx_accept(p, ",");
	}
	tx_skip_space(p);
	t = !*p->p || strchr(";}\"`", *p->p) ? tx_fail(p, "the type of the field") : tx_sized(p);
	for (size_t i = 0; t && i < names.len; i++)
		add_field(s, names.data[i], t, false);
	vec_done(&names);
	return t;
}

static bool is_embedded(const char *s)
{
	size_t n = tx_ident_length(s);
	const char *next = s + n + strspn(s + n, " \t");

	if (*s == '*' || !n)
		return true;
	if (*next == '[')
		return !begins_type(next, ";}\"`\r\n");
	return !*next || strchr(";}\"`\r\n./-", *next);
}

/* A tag is a part of a type's name. */
static bool parse_tag(struct fields *s)
{
	struct type_parser *p = s->p;
	const char *end;

	p->p += strspn(p->p, " \t");
	if (*p->p != '"' && *p->p != '`')
		return true;
	end = tx_skip_string(p->p);
	if (!end)
		return tx_fail(p, "the end of the tag");
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
static bool parse_field_end(struct type_parser *p)
{
	p->p += strspn(p->p, " \t\r");
	if (*p->p == ',')
		return tx_fail_as(p, "the fields of a struct are separated by \";\", not by \",\",");
	if (*p->p == '}' || *p->p == ';' || *p->p == '\n') {
		p->p += strspn(p->p, " \t\r\n;");
		return true;
	}
	return tx_fail(p, "\";\" or \"}\"");
}

static bool parse_fields(struct fields *s)
{
	struct type_parser *p = s->p;

	p->p += strspn(p->p, " \t\r\n;");
	while (*p->p != '}') {
		bool ok = is_embedded(p->p) ? parse_embedded(s) : parse_named_fields(s);

		if (!ok || !parse_tag(s) || !parse_field_end(p))
			return false;
	}
	p->p++;
	return true;
}

const struct type *tx_struct(struct type_parser *p)
{
	struct fields s = {.p = p};
	const struct type *t = NULL;
	struct type_full *f;

	if (!tx_accept(p, "{"))
		return tx_fail(p, "\"{\"");
	if (!tx_skip_brackets(p->p - 1))
		return tx_fail(p, "\"}\"");
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
			    : tx_fail(p, "a smaller struct");
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

static const struct type *fail_constraint(struct type_parser *p)
{
	return tx_fail_as(p, "an interface of types is a constraint, no value has it; expected methods");
}

static bool embed_interface(struct type_parser *p, method_vec *v)
{
	const struct type *t = tx_sized(p);
	struct type_method m;

	if (!t)
		return false;
	if (t->kind != KIND_INTERFACE)
		return fail_constraint(p);
	for (size_t i = 0; type_method(p->b, t, i, &m); i++)
		if (!has_method(v, m.name))
			vec_push(v, m);
	return true;
}

static bool parse_methods(struct type_parser *p, method_vec *v)
{
	p->p += strspn(p->p, " \t\r\n;");
	while (*p->p != '}') {
		size_t n = tx_ident_length(p->p);
		bool ok;

		if (*p->p == '~' || *p->p == '|')
			return fail_constraint(p);
		if (n && p->p[n + strspn(p->p + n, " \t")] == '(') {
			struct type_method m = {.name = arena_strndup(&p->b->arena, p->p, n)};

			if (has_method(v, m.name))
				return tx_fail_as(p, "this method is there twice,");
			p->p += n;
			m.type = tx_signature(p);
			ok = m.type;
			if (ok)
				vec_push(v, m);
		} else {
			ok = embed_interface(p, v);
		}
		if (ok && *p->p == '|')
			return fail_constraint(p);
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

static const char *interface_name(struct type_parser *p, const method_vec *v)
{
	struct buf s = {0};

	buf_str(&s, "interface {");
	for (size_t i = 0; i < v->len; i++)
		buf_printf(&s, "%s%s%s", i ? "; " : " ", v->data[i].name,
			   v->data[i].type ? v->data[i].type->name + strlen("func") : "()");
	buf_str(&s, " }");
	return tx_take_name(p->b, &s);
}

const struct type *tx_interface(struct type_parser *p)
{
	method_vec v = {0};
	const struct type *t = NULL;
	struct type_full *f;

	if (!tx_accept(p, "{"))
		return tx_fail(p, "\"{\" and its \"}\"");
	if (!tx_skip_brackets(p->p - 1)) {
		p->p--;
		return tx_fail(p, "\"{\" and its \"}\"");
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
