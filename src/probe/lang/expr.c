#include "probe/lang/expr.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "probe/lang/lexer.h"

enum {
	MAX_NODES = 400, /* bounds the recursion of everything that walks a tree */
	MAX_NESTING = 100,
	MAX_TEXT = 4096,
};

struct parser {
	struct lexer lexer;
	struct arena *arena;
	struct err *err;
	int nodes, nesting;
	int brackets; /* open ones: within them, a { behind a name begins a literal's values, as in Go */
};

static const struct {
	const char *text;
	int level;
} binaries[] = {{"||", 1}, {"&&", 2}, {"==", 3}, {"!=", 3}, {"<", 3}, {"<=", 3}, {">", 3}, {">=", 3},
		{"+", 4},  {"-", 4},  {"|", 4},  {"^", 4},  {"*", 5}, {"/", 5}, {"%", 5}, {"<<", 5},
		{">>", 5}, {"&", 5},  {"&^", 5}};

enum { LEVEL_UNARY = 6, LEVEL_PRIMARY = 7 };

/* ---- pointing at a column ---- */

/* Copies one line of text around the column, tabs and other control characters as blanks. */
static size_t excerpt(const char *text, int column, char *out, size_t size)
{
	size_t len = strlen(text), at = MIN((size_t)MAX(column, 0), len);
	size_t start = at > 60 ? at - 50 : 0, n = 0, caret;

	while (start && ((unsigned char)text[start] & 0xc0) == 0x80)
		start--;
	if (start)
		n = (size_t)snprintf(out, size, "...");
	caret = n;
	for (size_t i = start; i < len && i < start + 100 && n + 8 < size; i++) {
		out[n++] = (unsigned char)text[i] < ' ' ? ' ' : text[i];
		caret += i < at && ((unsigned char)text[i] & 0xc0) != 0x80;
	}
	if (len > start + 100)
		n += (size_t)snprintf(out + n, size - n, "...");
	out[n] = '\0';
	return caret;
}

int err_at_column(struct err *err, int code, const char *text, int column, const char *fmt, ...)
{
	char sentence[360], line[160];
	va_list ap;
	size_t caret;

	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	caret = excerpt(text, column, line, sizeof(line));
	return err_set(err, code, "%s\n  %s\n  %*s^", sentence, line, (int)caret, "");
}

static int fail_at(struct parser *p, int column, const char *sentence)
{
	return err_at_column(p->err, -EINVAL, p->lexer.text, column, "%s", sentence);
}

/* ---- parsing ---- */

static int parse_level(struct parser *p, int level, struct expr **ret);

static int advance(struct parser *p)
{
	return lexer_next(&p->lexer, p->err);
}

static struct expr *node_new(struct parser *p, enum expr_op op, int column)
{
	struct expr *e = arena_new(p->arena, struct expr);

	p->nodes++;
	e->op = op;
	e->column = column;
	return e;
}

static int expect(struct parser *p, const char *operator, int opened_at)
{
	char sentence[64];

	if (lexer_is(&p->lexer, operator))
		return advance(p);
	snprintf(sentence, sizeof(sentence), "the %s that closes this is missing", operator);
	return fail_at(p, opened_at, sentence);
}

static int parse_name(struct parser *p, struct expr **ret)
{
	struct token t = p->lexer.token;
	enum expr_op op = !strcmp(t.text, "nil") ? EXPR_NIL
			  : !strcmp(t.text, "true") || !strcmp(t.text, "false") ? EXPR_BOOL
										: EXPR_NAME;
	struct expr *e = node_new(p, op, t.column);

	e->text = t.text;
	e->len = t.len;
	e->number = op == EXPR_BOOL && *t.text == 't';
	*ret = e;
	return advance(p);
}

static int parse_literal(struct parser *p, enum expr_op op, struct expr **ret)
{
	struct token t = p->lexer.token;
	struct expr *e = node_new(p, op, t.column);

	e->text = t.text;
	e->len = t.len;
	e->number = t.number;
	e->big = t.big;
	e->real = t.real;
	*ret = e;
	return advance(p);
}

/* Within brackets: `{` may only be a literal's. Returns how many were open. */
static int open_bracket(struct parser *p)
{
	return p->brackets++;
}

/* {x, y} or {Field: x}; the brace is the current token. */
static int parse_elements(struct parser *p, struct expr *literal)
{
	int opened = p->lexer.token.column, r = advance(p);
	struct expr **end = &literal->a;

	while (!r && !lexer_is(&p->lexer, "}")) {
		struct expr *n = node_new(p, EXPR_ELEMENT, p->lexer.token.column);

		*end = n;
		end = &n->b;
		if (p->nodes >= MAX_NODES)
			return fail_at(p, p->lexer.token.column, "the expression is too large");
		r = parse_level(p, 1, &n->a);
		if (!r && lexer_is(&p->lexer, ":")) {
			if (n->a->op != EXPR_NAME)
				return fail_at(p, n->a->column,
					       "only fields are named in a literal, as in Point{X: 1}");
			n->text = n->a->text;
			n->len = n->a->len;
			r = advance(p);
			if (!r)
				r = parse_level(p, 1, &n->a);
		}
		if (r || !lexer_is(&p->lexer, ","))
			break;
		r = advance(p);
	}
	return r ? r : expect(p, "}", opened);
}

static int parse_values(struct parser *p, const char *type, int column, struct expr **ret)
{
	struct expr *e = node_new(p, EXPR_LITERAL, column);
	int before = open_bracket(p), r;

	e->text = type;
	e->len = strlen(type);
	r = parse_elements(p, e);
	p->brackets = before;
	*ret = e;
	return r;
}

/* [2]int{1, 2}: the text up to the brace is the type. */
static int parse_array_literal(struct parser *p, struct expr **ret)
{
	int column = p->lexer.token.column, r = 0;
	const char *text = p->lexer.text + column;
	size_t n = strcspn(text, "{=!<>&|+-,;\"`'");

	if (text[n] != '{')
		return fail_at(p, column, "a value is expected here; an array is written with its type, as in "
					  "[2]int{1, 2}");
	while (!r && !lexer_is(&p->lexer, "{") && p->lexer.token.kind != TOKEN_END)
		r = advance(p);
	while (n && strchr(" \t", text[n - 1]))
		n--;
	return r ? r : parse_values(p, arena_strndup(p->arena, text, n), column, ret);
}

static int parse_operand(struct parser *p, struct expr **ret)
{
	int column = p->lexer.token.column, before, r;

	switch (p->lexer.token.kind) {
	case TOKEN_NAME:
		return parse_name(p, ret);
	case TOKEN_INT:
		return parse_literal(p, EXPR_INT, ret);
	case TOKEN_FLOAT:
		return parse_literal(p, EXPR_FLOAT, ret);
	case TOKEN_STRING:
		return parse_literal(p, EXPR_STRING, ret);
	case TOKEN_END:
		return fail_at(p, column, "a value is expected here, but the expression ends");
	case TOKEN_OPERATOR:
		break;
	}
	if (lexer_is(&p->lexer, "["))
		return parse_array_literal(p, ret);
	if (!lexer_is(&p->lexer, "("))
		return fail_at(p, column, "a value is expected here");
	before = open_bracket(p);
	r = advance(p);
	if (!r)
		r = parse_level(p, 1, ret);
	p->brackets = before;
	return r ? r : expect(p, ")", column);
}

/* len, hasprefix … by their names; those of package strings by Go's. NULL: it cannot be called. */
static const char *called_name(struct parser *p, const struct expr *e)
{
	static const char *const of_strings[][2] = {
		{"HasPrefix", "hasprefix"}, {"HasSuffix", "hassuffix"}, {"Contains", "contains"}};

	if (e->op == EXPR_NAME)
		return e->text;
	if (e->op != EXPR_FIELD || e->a->op != EXPR_NAME)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(of_strings); i++)
		if (!strcmp(e->a->text, "strings") && !strcmp(e->text, of_strings[i][0]))
			return of_strings[i][1];
	return NULL;
}

static int parse_call(struct parser *p, struct expr **e)
{
	const char *name = called_name(p, *e);
	struct expr *call;
	int opened = p->lexer.token.column, before, r;

	if (!name && (*e)->op == EXPR_FIELD)
		return fail_at(p, (*e)->column,
			       "functions and methods of the program cannot be called; there are len, cap, "
			       "hasprefix, hassuffix, contains, typeof and conversions such as uintptr");
	if (!name)
		return fail_at(p, opened, "only functions can be called: len(x), hasprefix(s, \"a\")");
	call = node_new(p, EXPR_CALL, (*e)->column);
	call->text = name;
	call->len = strlen(name);
	*e = call;
	before = open_bracket(p);
	r = advance(p);
	while (!r && !lexer_is(&p->lexer, ")")) {
		if (call->nargs == ARRAY_SIZE(call->args))
			return fail_at(p, p->lexer.token.column, "too many arguments");
		r = parse_level(p, 1, &call->args[call->nargs++]);
		if (r || !lexer_is(&p->lexer, ","))
			break;
		r = advance(p);
	}
	p->brackets = before;
	return r ? r : expect(p, ")", opened);
}

/* `.name` or `.(type)`; the dot is the current token. */
static int parse_selector(struct parser *p, struct expr **e)
{
	struct expr *n;
	int r = advance(p), column = p->lexer.token.column;

	if (r)
		return r;
	if (lexer_is(&p->lexer, "(")) {
		n = node_new(p, EXPR_ASSERT, column);
		n->a = *e;
		*e = n;
		r = advance(p);
		if (!r)
			r = lexer_raw_until_paren(&p->lexer, &n->text, p->err);
		if (!r && !*n->text)
			r = fail_at(p, column, "a type is expected here, as in x.(*T)");
		return r;
	}
	if (p->lexer.token.kind != TOKEN_NAME)
		return fail_at(p, column, "a field name is expected behind the dot");
	n = node_new(p, EXPR_FIELD, column);
	n->a = *e;
	n->text = p->lexer.token.text;
	n->len = p->lexer.token.len;
	*e = n;
	return advance(p);
}

/* a[i], or a[i:j], of which both may be missing. */
static int parse_index(struct parser *p, struct expr **e)
{
	int opened = p->lexer.token.column, before = open_bracket(p), r = advance(p);
	struct expr *n = node_new(p, EXPR_INDEX, opened);

	n->a = *e;
	*e = n;
	if (!r && !lexer_is(&p->lexer, ":"))
		r = parse_level(p, 1, &n->b);
	if (!r && lexer_is(&p->lexer, ":")) {
		n->op = EXPR_SLICE;
		n->args[0] = n->b;
		n->b = NULL;
		n->nargs = 2;
		r = advance(p);
		if (!r && !lexer_is(&p->lexer, "]"))
			r = parse_level(p, 1, &n->args[1]);
		if (!r && lexer_is(&p->lexer, ":"))
			r = fail_at(p, p->lexer.token.column, "a slice's capacity has no meaning here: s[low:high]");
	}
	p->brackets = before;
	return r ? r : expect(p, "]", opened);
}

/* Point{…} or pkg.Point{…} */
static bool begins_literal(const struct parser *p, const struct expr *e)
{
	return p->brackets && lexer_is(&p->lexer, "{") &&
	       (e->op == EXPR_NAME || (e->op == EXPR_FIELD && e->a->op == EXPR_NAME));
}

static int parse_struct_literal(struct parser *p, struct expr **e)
{
	const char *type = (*e)->op == EXPR_NAME ? (*e)->text
						 : arena_printf(p->arena, "%s.%s", (*e)->a->text, (*e)->text);

	return parse_values(p, type, (*e)->column, e);
}

static int parse_postfix(struct parser *p, struct expr **ret)
{
	int r = parse_operand(p, ret);

	while (!r && p->nodes < MAX_NODES) {
		if (lexer_is(&p->lexer, "."))
			r = parse_selector(p, ret);
		else if (lexer_is(&p->lexer, "["))
			r = parse_index(p, ret);
		else if (lexer_is(&p->lexer, "("))
			r = parse_call(p, ret);
		else if (begins_literal(p, *ret))
			r = parse_struct_literal(p, ret);
		else
			break;
	}
	return r;
}

static int parse_unary(struct parser *p, struct expr **ret)
{
	static const struct {
		const char *text;
		enum expr_op op;
	} unary[] = {{"!", EXPR_NOT}, {"-", EXPR_NEG}, {"*", EXPR_DEREF}, {"+", EXPR_POS}, {"^", EXPR_COMPLEMENT}};

	for (size_t i = 0; i < ARRAY_SIZE(unary); i++) {
		struct expr *e;
		int r;

		if (!lexer_is(&p->lexer, unary[i].text))
			continue;
		e = node_new(p, unary[i].op, p->lexer.token.column);
		*ret = e;
		r = advance(p);
		return r ? r : parse_level(p, LEVEL_UNARY, &e->a);
	}
	if (lexer_is(&p->lexer, "&"))
		return fail_at(p, p->lexer.token.column,
			       "addresses cannot be taken; a pointer's value is uintptr(p)");
	return parse_postfix(p, ret);
}

static int binary_level(const struct lexer *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(binaries); i++)
		if (lexer_is(l, binaries[i].text))
			return binaries[i].level;
	return 0;
}

static int parse_binaries(struct parser *p, int level, struct expr **ret)
{
	int r = parse_unary(p, ret), found;

	while (!r && (found = binary_level(&p->lexer)) >= level) {
		struct expr *e = node_new(p, EXPR_BINARY, p->lexer.token.column);

		e->text = p->lexer.token.text;
		e->len = p->lexer.token.len;
		e->a = *ret;
		*ret = e;
		r = advance(p);
		if (!r)
			r = parse_level(p, found + 1, &e->b);
	}
	return r;
}

static int parse_level(struct parser *p, int level, struct expr **ret)
{
	int r;

	if (p->nesting >= MAX_NESTING || p->nodes >= MAX_NODES)
		return fail_at(p, p->lexer.token.column, "the expression is too large");
	p->nesting++;
	r = level == LEVEL_UNARY ? parse_unary(p, ret) : parse_binaries(p, level, ret);
	p->nesting--;
	return r;
}

static int unexpected(struct parser *p)
{
	int column = p->lexer.token.column;

	if (lexer_is(&p->lexer, "="))
		return fail_at(p, column, "= assigns in Go; to compare, write ==");
	if (lexer_is(&p->lexer, ")") || lexer_is(&p->lexer, "]"))
		return fail_at(p, column, "this bracket closes nothing");
	return fail_at(p, column, "an operator or the end of the expression is expected here");
}

static int parse_expression(struct parser *p, const char *text, int pos, struct expr **ret)
{
	int r;

	if (strnlen(text, MAX_TEXT + 1) > MAX_TEXT)
		return err_set(p->err, -EINVAL, "the expression is longer than %d bytes", MAX_TEXT);
	r = lexer_init_at(&p->lexer, text, pos, p->arena, p->err);
	if (!r)
		r = parse_level(p, 1, ret);
	if (!r && p->nodes >= MAX_NODES)
		r = fail_at(p, p->lexer.token.column, "the expression is too large");
	return r;
}

int expr_parse(const char *text, struct arena *arena, struct expr **ret, struct err *err)
{
	struct parser p = {.arena = arena, .err = err};
	struct expr *e;
	int r = parse_expression(&p, text, 0, &e);

	if (!r && p.lexer.token.kind != TOKEN_END)
		r = unexpected(&p);
	if (!r)
		*ret = e;
	return r;
}

int expr_parse_at(const char *text, int *pos, struct arena *arena, struct expr **ret, struct err *err)
{
	struct parser p = {.arena = arena, .err = err};
	struct expr *e;
	int r = parse_expression(&p, text, *pos, &e);

	if (r)
		return r;
	*ret = e;
	*pos = p.lexer.token.column;
	return 0;
}

bool expr_equal(const struct expr *a, const struct expr *b)
{
	if (!a || !b)
		return a == b;
	if (a->op != b->op || a->len != b->len || a->number != b->number || a->big != b->big ||
	    a->real != b->real || a->nargs != b->nargs || !a->text != !b->text ||
	    (a->text && a->len && memcmp(a->text, b->text, a->len)) ||
	    (a->op == EXPR_ASSERT && strcmp(a->text, b->text)))
		return false;
	for (size_t i = 0; i < a->nargs; i++)
		if (!expr_equal(a->args[i], b->args[i]))
			return false;
	return expr_equal(a->a, b->a) && expr_equal(a->b, b->b);
}

/* ---- printing ---- */

static int level_of(const struct expr *e)
{
	if (e->op == EXPR_BINARY)
		for (size_t i = 0; i < ARRAY_SIZE(binaries); i++)
			if (!strcmp(binaries[i].text, e->text))
				return binaries[i].level;
	return e->op >= EXPR_NOT && e->op <= EXPR_DEREF ? LEVEL_UNARY : LEVEL_PRIMARY;
}

static void print_at(const struct expr *e, int level, struct buf *out)
{
	bool parens = level_of(e) < level;

	if (parens)
		buf_char(out, '(');
	expr_print(e, out);
	if (parens)
		buf_char(out, ')');
}

static void print_string(const struct expr *e, struct buf *out)
{
	buf_char(out, '"');
	for (size_t i = 0; i < e->len; i++) {
		unsigned char c = (unsigned char)e->text[i];
		size_t n = utf8_valid(e->text + i, e->len - i);

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < ' ' || c == 0x7f || !n)
			buf_printf(out, "\\x%02x", c);
		else
			buf_append(out, e->text + i, n), i += n - 1;
	}
	buf_char(out, '"');
}

static void print_float(double v, struct buf *out)
{
	char text[40];

	snprintf(text, sizeof(text), "%.17g", v);
	buf_str(out, text);
	if (!strpbrk(text, ".e"))
		buf_str(out, ".0");
}

static void print_call(const struct expr *e, struct buf *out)
{
	buf_printf(out, "%s(", e->text);
	for (size_t i = 0; i < e->nargs; i++) {
		if (i)
			buf_str(out, ", ");
		expr_print(e->args[i], out);
	}
	buf_char(out, ')');
}

static void print_slice(const struct expr *e, struct buf *out)
{
	print_at(e->a, LEVEL_PRIMARY, out);
	buf_char(out, '[');
	if (e->args[0])
		expr_print(e->args[0], out);
	buf_char(out, ':');
	if (e->args[1])
		expr_print(e->args[1], out);
	buf_char(out, ']');
}

/* A struct's literal stands in brackets, which a whole expression has to bring. */
static void print_literal(const struct expr *e, struct buf *out)
{
	bool brackets = *e->text != '[';

	buf_printf(out, "%s%s{", brackets ? "(" : "", e->text);
	for (const struct expr *n = e->a; n; n = n->b) {
		if (n->text)
			buf_printf(out, "%s: ", n->text);
		expr_print(n->a, out);
		buf_str(out, n->b ? ", " : "");
	}
	buf_str(out, brackets ? "})" : "}");
}

static void print_unary(char operator, const struct expr *e, struct buf *out)
{
	buf_char(out, operator);
	print_at(e->a, LEVEL_UNARY, out);
}

void expr_print(const struct expr *e, struct buf *out)
{
	switch (e->op) {
	case EXPR_NAME:
	case EXPR_BOOL:
	case EXPR_NIL:
		buf_str(out, e->text);
		break;
	case EXPR_INT:
		buf_printf(out, e->big ? "%llu" : "%lld", (long long)e->number);
		break;
	case EXPR_FLOAT:
		print_float(e->real, out);
		break;
	case EXPR_STRING:
		print_string(e, out);
		break;
	case EXPR_FIELD:
		print_at(e->a, LEVEL_PRIMARY, out);
		buf_printf(out, ".%s", e->text);
		break;
	case EXPR_ASSERT:
		print_at(e->a, LEVEL_PRIMARY, out);
		buf_printf(out, ".(%s)", e->text);
		break;
	case EXPR_INDEX:
		print_at(e->a, LEVEL_PRIMARY, out);
		buf_char(out, '[');
		expr_print(e->b, out);
		buf_char(out, ']');
		break;
	case EXPR_SLICE:
		print_slice(e, out);
		break;
	case EXPR_CALL:
		print_call(e, out);
		break;
	case EXPR_LITERAL:
		print_literal(e, out);
		break;
	case EXPR_ELEMENT:
		break;
	case EXPR_POS:
		print_unary('+', e, out);
		break;
	case EXPR_COMPLEMENT:
		print_unary('^', e, out);
		break;
	case EXPR_NOT:
		print_unary('!', e, out);
		break;
	case EXPR_NEG:
		print_unary('-', e, out);
		break;
	case EXPR_DEREF:
		print_unary('*', e, out);
		break;
	case EXPR_BINARY:
		print_at(e->a, level_of(e), out);
		buf_printf(out, " %s ", e->text);
		print_at(e->b, level_of(e) + 1, out);
		break;
	}
}
