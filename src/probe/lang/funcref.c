/*
 * Function references: a name as pclntab spells it, optionally with a signature in Go syntax. Names hold
 * nearly any character (paths, "(*T)", "[...]", "·f-fm"), so the parameter list is found by shape: the
 * first "(" outside brackets that does not stand behind a dot, as a receiver's does.
 */
#include <errno.h>
#include <string.h>

#include "base/vec.h"
#include "binary/binary.h"
#include "probe/lang/expr.h"
#include "probe/lang/lexer.h"

struct cursor {
	const char *text;
	int pos;
	struct arena *arena;
	struct err *err;
	bool question; /* more may follow: see func_ref_parse_at */
};

struct entry { /* of a parameter list: "a, b int" is two, the first without a type yet */
	const char *name, *type;
	int column, type_column;
};
typedef VEC(struct entry) entries;

static int fail_at(struct cursor *c, int column, const char *sentence)
{
	return err_at_column(c->err, -EINVAL, c->text, column, "%s", sentence);
}

static void skip_blanks(struct cursor *c)
{
	while (c->text[c->pos] && strchr(" \t\r\n", c->text[c->pos]))
		c->pos++;
}

/* Stands on the quote of a struct's tag; moves behind it. */
static int skip_quoted(struct cursor *c)
{
	int opened = c->pos;
	char quote = c->text[c->pos++];

	for (; c->text[c->pos] && c->text[c->pos] != quote; c->pos++)
		if (quote == '"' && c->text[c->pos] == '\\' && c->text[c->pos + 1])
			c->pos++;
	if (!c->text[c->pos])
		return fail_at(c, opened, "the quote that closes this is missing");
	c->pos++;
	return 0;
}

/* Stands on a bracket; moves behind the one that closes it. */
static int skip_bracket(struct cursor *c)
{
	int opened = c->pos;
	char stack[32];
	unsigned depth = 0;

	do {
		char b = c->text[c->pos];

		if (!b && c->text[opened] == '(' && c->text[opened + 1] == '*' && opened && c->text[opened - 1] == '.')
			return fail_at(c, opened, "this receiver is not closed; all methods of a type are "
						  "main.(*Cart).*, of all types whose names begin so main.(*Ca*).*");
		if (!b)
			return fail_at(c, opened, "the bracket that closes this is missing");
		if (b == '"' || b == '`') {
			int r = skip_quoted(c);

			if (r)
				return r;
			continue;
		}
		if (strchr("([{", b)) {
			if (depth == sizeof(stack))
				return fail_at(c, c->pos, "the brackets are nested too deeply");
			stack[depth++] = b == '(' ? ')' : b == '[' ? ']' : '}';
		} else if (strchr(")]}", b)) {
			if (stack[--depth] != b)
				return fail_at(c, c->pos, "this bracket closes a different one");
		}
		c->pos++;
	} while (depth);
	return 0;
}

/* Stands on a "(": whether what is in the brackets is a receiver, as in main.(*Cart).Add, also without "main.". */
static bool is_receiver(struct cursor *c, int start)
{
	struct cursor ahead = *c;

	if (c->pos > start && c->text[c->pos - 1] == '.')
		return true;
	ahead.err = NULL;
	return !skip_bracket(&ahead) && ahead.text[ahead.pos] == '.' && ahead.text[ahead.pos + 1] != '.';
}

static int parse_name(struct cursor *c, const char **ret)
{
	int start = c->pos, r;

	for (;;) {
		char b = c->text[c->pos];

		if (b == '[' || (b == '(' && is_receiver(c, start))) {
			r = skip_bracket(c);
			if (r)
				return r;
			continue;
		}
		if (!b || strchr(" \t\r\n(){}],\"'`", b))
			break;
		c->pos++;
	}
	if (c->pos == start)
		return fail_at(c, start, "a function's name is expected, as in net/http.(*conn).serve");
	*ret = arena_strndup(c->arena, c->text + start, (size_t)(c->pos - start));
	return 0;
}

static bool is_type_word(const char *word, size_t n)
{
	static const char *const words[] = {"chan", "func", "map", "struct", "interface"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i]) == n && !strncmp(words[i], word, n))
			return true;
	return false;
}

/* "...T" is a []T inside the function; "?" is a type that nobody knows. */
static const char *type_text(struct cursor *c, const char *text)
{
	if (!strncmp(text, "...", 3))
		return arena_printf(c->arena, "[]%s", text + 3 + strspn(text + 3, " \t"));
	return text;
}

/* Splits "name Type" at the blank; a lone word is taken as a type, the list decides what it is. */
static struct entry split_entry(struct cursor *c, const char *text, int column)
{
	struct entry e = {.column = column, .type = text, .type_column = column};
	size_t n = 0;

	while (name_part(text[n]))
		n++;
	if (!n || (text[n] != ' ' && text[n] != '\t') || is_type_word(text, n))
		return e;
	e.name = arena_strndup(c->arena, text, n);
	e.type = text + n + strspn(text + n, " \t");
	e.type_column += (int)(e.type - text);
	return e;
}

static int parse_entry(struct cursor *c, entries *list)
{
	int start, end, r;

	skip_blanks(c);
	start = c->pos;
	while (c->text[c->pos] && !strchr(",)", c->text[c->pos])) {
		if (strchr("]}", c->text[c->pos]))
			return fail_at(c, c->pos, "this bracket closes nothing");
		if (!strchr("([{", c->text[c->pos])) {
			c->pos++;
			continue;
		}
		r = skip_bracket(c);
		if (r)
			return r;
	}
	for (end = c->pos; end > start && strchr(" \t\r\n", c->text[end - 1]); end--)
		;
	if (end == start)
		return fail_at(c, start, "a parameter is expected here, as in `user string`");
	vec_push(list, split_entry(c, arena_strndup(c->arena, c->text + start,
						    (size_t)(end - start)), start));
	return 0;
}

/* Go's rule: when one entry has a name, all have, and a lone word takes the type that follows. */
static int name_entries(struct cursor *c, entries *list)
{
	const char *type = NULL;
	bool named = false;

	for (size_t i = 0; i < list->len; i++)
		named |= list->data[i].name != NULL;
	for (size_t i = list->len; i-- > 0;) {
		struct entry *e = &list->data[i];

		if (named && !e->name && strcmp(e->type, "?")) {
			if (!type)
				return fail_at(c, e->column, "this parameter has no type, or the others "
							     "should have no names");
			e->name = e->type;
			if (strspn(e->name, "?*[].,(/ "))
				return fail_at(c, e->column, "this parameter has a type but no name; the "
							     "others have names");
			e->type = type;
		} else {
			e->type = type = type_text(c, e->type);
		}
	}
	return 0;
}

/* A type that is no type at all is refused here, without a binary. */
static int check_type(struct cursor *c, const char *text, int column)
{
	struct err why = {0};
	size_t at;

	if (!strcmp(text, "?") || !type_syntax_check(text, &at, &why))
		return 0;
	return fail_at(c, column + (int)at, why.text);
}

/* The lists of parameters may end in "...T", those of results may not. */
static int check_types(struct cursor *c, const entries *list, bool results)
{
	for (size_t i = 0; i < list->len; i++) {
		const struct entry *e = &list->data[i];
		bool dots = !strncmp(e->type, "...", 3);
		size_t skip = dots ? 3 + strspn(e->type + 3, " \t") : 0;
		int r;

		if (dots && (results || i + 1 < list->len))
			return fail_at(c, e->type_column, results ? "a result has no \"...\""
								   : "only the last parameter may have \"...\"");
		r = check_type(c, e->type + skip, e->type_column + (int)skip);
		if (r)
			return r;
	}
	return 0;
}

static const struct declared_param *declared(struct cursor *c, const entries *list)
{
	struct declared_param *params = arena_array(c->arena, struct declared_param, list->len + 1);

	for (size_t i = 0; i < list->len; i++) {
		const char *name = list->data[i].name;

		params[i].name = name && strcmp(name, "_") ? name : "";
		params[i].type = strcmp(list->data[i].type, "?") ? list->data[i].type : NULL;
	}
	return params;
}

static int parse_entries(struct cursor *c, entries *list, bool results)
{
	int opened = c->pos++, r = 0;

	skip_blanks(c);
	while (!r && c->text[c->pos] != ')') {
		r = parse_entry(c, list);
		if (!r && !c->text[c->pos])
			r = fail_at(c, opened, "the ) that closes this is missing");
		if (!r && c->text[c->pos] == ',')
			c->pos++;
		if (!r)
			skip_blanks(c);
	}
	if (!r)
		c->pos++;
	if (!r)
		r = check_types(c, list, results);
	return r ? r : name_entries(c, list);
}

static int parse_list(struct cursor *c, bool results, const struct declared_param **ret, size_t *ret_n)
{
	entries list = {0};
	int r = parse_entries(c, &list, results);

	if (!r) {
		*ret = declared(c, &list);
		*ret_n = list.len;
	}
	vec_done(&list);
	return r;
}

/* Where the rest of a question begins; the braces of struct{…} and interface{…} are a type's. */
static bool at_rest(const struct cursor *c)
{
	const char *s = c->text + c->pos;
	int k = c->pos;

	if (!*s)
		return true;
	if (!c->question)
		return false;
	if (*s == '{') {
		while (k > 0 && strchr(" \t", c->text[k - 1]))
			k--;
		return !((k >= 6 && !strncmp(c->text + k - 6, "struct", 6)) ||
			 (k >= 9 && !strncmp(c->text + k - 9, "interface", 9)));
	}
	return !strncmp(s, "if", 2) && !name_part(s[2]) && c->pos > 0 && !name_part(s[-1]);
}

/* `(list)`, one type without brackets, or nothing (then results are not declared). */
static int parse_results(struct cursor *c, struct declared_signature *s)
{
	struct declared_param *one;
	const char *rest;
	int start, end;

	skip_blanks(c);
	start = c->pos;
	if (at_rest(c))
		return 0;
	s->has_results = true;
	if (c->text[start] == '(')
		return parse_list(c, true, &s->results, &s->nresults);
	while (!at_rest(c) && c->text[c->pos] != ',' && c->text[c->pos] != ')') {
		int r = strchr("([{", c->text[c->pos]) ? skip_bracket(c) : (c->pos++, 0);

		if (r)
			return r;
	}
	for (end = c->pos; end > start && strchr(" \t\r\n", c->text[end - 1]); end--)
		;
	rest = arena_strndup(c->arena, c->text + start, (size_t)(end - start));
	one = arena_new(c->arena, struct declared_param);
	one->name = "";
	one->type = strcmp(rest, "?") ? rest : NULL;
	s->results = one;
	s->nresults = 1;
	return check_type(c, rest, start);
}

/* ---- type parameters ---- */

static bool is_builtin(const char *name)
{
	static const char *const others[] = {"byte", "rune", "error", "any"};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (!strcmp(others[i], name))
			return true;
	for (enum type_kind k = KIND_BOOL; k <= KIND_STRING; k++)
		if ((k <= KIND_COMPLEX128 || k == KIND_STRING) && !strcmp(type_kind_name(k), name))
			return true;
	return false;
}

/* A type parameter's name, maybe with its constraint; NULL for a type argument. */
static const char *type_parameter(struct cursor *c, const char *s, size_t n)
{
	const char *name;
	size_t len = 0;

	while (n && strchr(" \t\r\n", *s))
		s++, n--;
	while (len < n && name_part(s[len]))
		len++;
	if (!len || (len < n && !strchr(" \t\r\n", s[len])) || (*s >= '0' && *s <= '9'))
		return NULL;
	name = arena_strndup(c->arena, s, len);
	return is_builtin(name) ? NULL : name;
}

/*
 * "main.Map[K, V any]" with a declaration: the names in the brackets are type parameters, unless they are types: then
 * it is that one instance. Instances are named by shapes, so of named types there are only builtin ones.
 */
static void take_type_parameters(struct cursor *c, struct func_ref *ret)
{
	const char *open = strchr(ret->name, '['), *s = open ? open + 1 : NULL;
	VEC(const char *) names = {0};
	unsigned depth = 1;

	while (s && depth) {
		const char *from = s, *name;

		for (; *s && (depth > 1 || (*s != ',' && *s != ']')); s++)
			depth += (strchr("[({", *s) != NULL) - (strchr("])}", *s) != NULL);
		name = *s ? type_parameter(c, from, (size_t)(s - from)) : NULL;
		if (!name)
			break;
		vec_push(&names, name);
		depth -= *s++ == ']';
	}
	if (s && !depth) {
		ret->name = arena_printf(c->arena, "%.*s%s", (int)(open - ret->name), ret->name, s);
		ret->signature.type_params = arena_memdup(c->arena, names.data, names.len * sizeof(*names.data));
		ret->signature.ntype_params = names.len;
	} else {
		ret->signature.instance = open && strncmp(open, "[...]", 5);
	}
	vec_done(&names);
}

/* usdt:PROVIDER:NAME. Its names may have any characters but blanks and braces. */
static int parse_usdt(struct cursor *c, struct func_ref *ret)
{
	int start = c->pos;
	const char *colon;

	while (c->text[c->pos] && !strchr(" \t\r\n{", c->text[c->pos]))
		c->pos++;
	ret->name = arena_strndup(c->arena, c->text + start, (size_t)(c->pos - start));
	colon = strchr(ret->name + strlen(USDT_PREFIX), ':');
	if (!colon || !colon[1] || colon == ret->name + strlen(USDT_PREFIX) || strchr(colon + 1, ':'))
		return fail_at(c, start, "a USDT probe is usdt:PROVIDER:NAME, either of which may be a glob, as in "
					 "usdt:postgresql:query__*");
	skip_blanks(c);
	return 0;
}

static int parse_ref(struct cursor *c, struct func_ref *ret)
{
	int r;

	skip_blanks(c);
	if (c->question && is_usdt_name(c->text + c->pos))
		return parse_usdt(c, ret);
	r = parse_name(c, &ret->name);
	if (r)
		return r;
	if (c->text[c->pos] == '(') {
		ret->declared = true;
		take_type_parameters(c, ret);
		r = parse_list(c, false, &ret->signature.params, &ret->signature.nparams);
		if (!r)
			r = parse_results(c, &ret->signature);
	}
	skip_blanks(c);
	return r;
}

int func_ref_parse(const char *text, struct arena *arena, struct func_ref *ret, struct err *err)
{
	struct cursor c = {.text = text, .arena = arena, .err = err};
	struct func_ref f = {0};
	int r = parse_ref(&c, &f);

	if (!r && c.text[c.pos])
		r = fail_at(&c, c.pos, "the function reference should end here");
	if (!r)
		*ret = f;
	return r;
}

int func_ref_parse_at(const char *text, int *pos, struct arena *arena, struct func_ref *ret, struct err *err)
{
	struct cursor c = {.text = text, .pos = *pos, .arena = arena, .err = err, .question = true};
	struct func_ref f = {0};
	int r = parse_ref(&c, &f);

	if (r)
		return r;
	*ret = f;
	*pos = c.pos;
	return 0;
}

/* ---- declared types ---- */

static bool at_declaration(const struct cursor *c)
{
	return !strncmp(c->text + c->pos, "type", 4) && c->text[c->pos + 4] && strchr(" \t\r\n", c->text[c->pos + 4]);
}

/* To the semicolon or the line's end that is in no bracket. */
static int skip_type(struct cursor *c)
{
	while (c->text[c->pos] && !strchr(";\n", c->text[c->pos])) {
		char b = c->text[c->pos];
		int r = strchr("([{", b) ? skip_bracket(c) : b == '"' || b == '`' ? skip_quoted(c) : (c->pos++, 0);

		if (r)
			return r;
	}
	return 0;
}

static int check_declared(struct cursor *c, const char *type, int column)
{
	size_t skip = *type == '=' ? 1 + strspn(type + 1, " \t") : 0;

	return check_type(c, type + skip, column + (int)skip);
}

static int parse_declaration(struct cursor *c, struct declared_type *ret)
{
	int start, end, r;

	c->pos += 4;
	skip_blanks(c);
	start = c->pos;
	while (name_part(c->text[c->pos]) || (c->text[c->pos] && strchr("./-", c->text[c->pos])))
		c->pos++;
	if (c->text[c->pos] == '[')
		return fail_at(c, c->pos, "a declared type has no type parameters; write the struct of the instance");
	if (c->pos == start)
		return fail_at(c, start, "a type's name is expected, as in `type time.Duration int64; "
					 "main.F(d time.Duration)`");
	ret->name = arena_strndup(c->arena, c->text + start, (size_t)(c->pos - start));
	skip_blanks(c);
	start = c->pos;
	r = skip_type(c);
	if (r)
		return r;
	for (end = c->pos; end > start && strchr(" \t\r\n", c->text[end - 1]); end--)
		;
	if (end == start)
		return fail_at(c, start, "the type is missing, as in `type time.Duration int64; "
					 "main.F(d time.Duration)`");
	if (!c->text[c->pos])
		return fail_at(c, c->pos, "a ; and the function are expected behind a declared type");
	c->pos++;
	ret->type = arena_strndup(c->arena, c->text + start, (size_t)(end - start));
	return check_declared(c, ret->type, start);
}

int declared_types_parse(const char *text, struct arena *arena, const struct declared_type **ret, size_t *ret_n,
			 int *ret_pos, struct err *err)
{
	struct cursor c = {.text = text, .arena = arena, .err = err};
	VEC(struct declared_type) list = {0};
	int r = 0;

	skip_blanks(&c);
	while (!r && at_declaration(&c)) {
		struct declared_type d;

		r = parse_declaration(&c, &d);
		if (!r)
			vec_push(&list, d);
		while (c.text[c.pos] && strchr(" \t\r\n;", c.text[c.pos]))
			c.pos++;
	}
	if (!r) {
		*ret = arena_memdup(arena, list.data, list.len * sizeof(*list.data));
		*ret_n = list.len;
		*ret_pos = c.pos;
	}
	vec_done(&list);
	return r;
}
