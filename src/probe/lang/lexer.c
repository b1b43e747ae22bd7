#include "probe/lang/lexer.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text_view.h"
#include "probe/lang/expr.h"

static bool name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool name_part(char c)
{
	return name_start(c) || is_digit(c);
}

static int bad(const struct lexer *l, int column, struct err *err, const char *sentence)
{
	return err_at_column(err, -EINVAL, l->text, column, "%s", sentence);
}

/* ---- strings and characters ---- */

static size_t utf8_encode(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* n digits of the base at p; false when there are fewer. */
static bool read_digits(const char *p, unsigned n, unsigned base, uint32_t *ret)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < n; i++) {
		int d = hex_digit(p[i]);

		if (d < 0 || d >= (int)base)
			return false;
		v = v * base + (uint32_t)d;
	}
	*ret = v;
	return true;
}

/*
 * The escape sequence behind a backslash at p. Returns how many bytes it takes, 0 if it is none. \x and
 * octal are a byte, \u and \U a code point (*ret_wide).
 */
static size_t read_escape(const char *p, uint32_t *ret, bool *ret_wide)
{
	static const char letters[] = "abfnrtv\\'\"", values[] = "\a\b\f\n\r\t\v\\'\"";
	const char *hit = *p ? strchr(letters, *p) : NULL;
	uint32_t v;

	*ret_wide = *p == 'u' || *p == 'U';
	if (hit) {
		*ret = (unsigned char)values[hit - letters];
		return 1;
	}
	if (*p == 'x')
		return read_digits(p + 1, 2, 16, ret) ? 3 : 0;
	if (*p == 'u')
		return read_digits(p + 1, 4, 16, ret) ? 5 : 0;
	if (*p == 'U')
		return read_digits(p + 1, 8, 16, &v) && v <= 0x10ffff ? (*ret = v, 9) : 0;
	return read_digits(p, 3, 8, &v) && v < 256 ? (*ret = v, 3) : 0;
}

static int lex_quoted(struct lexer *l, struct err *err)
{
	const char *start = l->text + l->pos, *p = start + 1;
	char *out = arena_alloc(l->arena, strlen(start) + 1);
	size_t n = 0;

	while (*p != '"') {
		uint32_t v;
		bool wide;
		size_t used;

		if (!*p)
			return bad(l, l->pos, err, "this string has no closing \"");
		if (*p != '\\') {
			out[n++] = *p++;
			continue;
		}
		used = read_escape(p + 1, &v, &wide);
		if (!used)
			return bad(l, (int)(p - l->text), err,
				   "unknown escape; Go has \\n \\t \\\" \\\\ \\x41 \\u00e9 and the like");
		if (wide)
			n += utf8_encode(v, out + n);
		else
			out[n++] = (char)v;
		p += 1 + used;
	}
	l->token.kind = TOKEN_STRING;
	l->token.text = out;
	l->token.len = n;
	l->pos = (int)(p + 1 - l->text);
	return 0;
}

static int lex_raw_string(struct lexer *l, struct err *err)
{
	const char *start = l->text + l->pos + 1, *end = strchr(start, '`');

	if (!end)
		return bad(l, l->pos, err, "this string has no closing `");
	l->token.kind = TOKEN_STRING;
	l->token.len = (size_t)(end - start);
	l->token.text = arena_strndup(l->arena, start, l->token.len);
	l->pos = (int)(end + 1 - l->text);
	return 0;
}

/* The code point of the UTF-8 sequence at p and its length, 0 if it is broken. */
static size_t utf8_decode(const char *p, uint32_t *ret)
{
	unsigned char c = (unsigned char)*p;
	size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 0;
	uint32_t v = n < 2 ? c : c & (0xffu >> (n + 1));

	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | ((unsigned char)p[i] & 0x3f);
	}
	*ret = v;
	return n;
}

static int lex_character(struct lexer *l, struct err *err)
{
	const char *p = l->text + l->pos + 1;
	uint32_t v = 0;
	bool wide;
	size_t n = 0;

	if (*p == '\\')
		n = read_escape(p + 1, &v, &wide), n += n > 0;
	else if (*p && *p != '\'')
		n = utf8_decode(p, &v);
	if (!n || p[n] != '\'')
		return bad(l, l->pos, err, "a character is written like 'c' or '\\n'; text goes in \"…\"");
	l->token.kind = TOKEN_INT;
	l->token.number = v;
	l->pos += (int)n + 2;
	return 0;
}

/* ---- numbers ---- */

/* The digits of [p, end) with Go's underscores dropped. */
static char *plain_digits(struct lexer *l, const char *p, const char *end)
{
	char *out = arena_alloc(l->arena, (size_t)(end - p) + 1), *o = out;

	for (; p < end; p++)
		if (*p != '_')
			*o++ = *p;
	return out;
}

static int set_integer(struct lexer *l, const char *digits, int base, struct err *err)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(digits, &end, base);
	if (*end || end == digits)
		return bad(l, l->token.column, err, "this is not a number as Go writes them");
	if (errno)
		return bad(l, l->token.column, err, "this number does not fit into 64 bits");
	l->token.kind = TOKEN_INT;
	l->token.number = (int64_t)v;
	l->token.big = v > INT64_MAX;
	return 0;
}

static int set_float(struct lexer *l, const char *digits, struct err *err)
{
	char *end;

	l->token.kind = TOKEN_FLOAT;
	l->token.real = strtod(digits, &end);
	if (*end || !isfinite(l->token.real))
		return bad(l, l->token.column, err, "this is not a number as Go writes them");
	return 0;
}

static int set_duration(struct lexer *l, const char *text, struct err *err)
{
	struct err why = {0};
	uint64_t ns;

	if (duration_parse(text, &ns, &why) < 0)
		return bad(l, l->token.column, err, why.text);
	l->token.kind = TOKEN_INT;
	l->token.number = (int64_t)ns;
	return 0;
}

static int lex_number(struct lexer *l, struct err *err)
{
	const char *start = l->text + l->pos, *p = start;
	int base = 10;
	bool fraction = false, letters = false;

	if (*p == '0' && p[1] && strchr("xXbBoO", p[1])) {
		base = (p[1] | 0x20) == 'x' ? 16 : (p[1] | 0x20) == 'b' ? 2 : 8;
		start += 2;
	}
	/* "µ" of a duration is two bytes above 0x7f, which name_part takes as letters */
	for (p = start; name_part(*p) || (base == 10 && *p == '.' && is_digit(p[1])); p++) {
		fraction |= *p == '.';
		letters |= !is_digit(*p) && *p != '_' && *p != '.';
		if (base == 10 && (*p | 0x20) == 'e' && p[1] && strchr("+-", p[1]))
			p++;
	}
	l->pos = (int)(p - l->text);
	if (base != 10)
		return set_integer(l, plain_digits(l, start, p), base, err);
	if (letters && (p[-1] == 's' || p[-1] == 'm' || p[-1] == 'h'))
		return set_duration(l, plain_digits(l, start, p), err);
	if (fraction || letters)
		return set_float(l, plain_digits(l, start, p), err);
	/* 010 is octal in Go, too */
	return set_integer(l, plain_digits(l, start, p), *start == '0' ? 8 : 10, err);
}

/* ---- the rest ---- */

static int lex_operator(struct lexer *l, struct err *err)
{
	static const char *const operators[] = {"&&", "||", "==", "!=", "<=", ">=", "<<", ">>", "&^",
						"+",  "-",  "*",  "/",  "%",  "&",  "|",  "^",  "<",
						">",  "!",  "(",  ")",  "[",  "]",  ".",  ",",  ":",
						"=",  "{",  "}",  ";"};
	const char *p = l->text + l->pos;

	for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
		size_t n = strlen(operators[i]);

		if (strncmp(p, operators[i], n))
			continue;
		l->token.kind = TOKEN_OPERATOR;
		l->token.text = operators[i];
		l->token.len = n;
		l->pos += (int)n;
		return 0;
	}
	return bad(l, l->pos, err, "this character has no meaning in an expression");
}

int lexer_next(struct lexer *l, struct err *err)
{
	char c;

	while (l->text[l->pos] && strchr(" \t\r\n", l->text[l->pos]))
		l->pos++;
	l->token = (struct token){.column = l->pos};
	c = l->text[l->pos];
	if (!c)
		return 0;
	if (name_start(c)) {
		int start = l->pos;

		while (name_part(l->text[l->pos]))
			l->pos++;
		l->token.kind = TOKEN_NAME;
		l->token.len = (size_t)(l->pos - start);
		l->token.text = arena_strndup(l->arena, l->text + start, l->token.len);
		return 0;
	}
	if (is_digit(c) || (c == '.' && is_digit(l->text[l->pos + 1])))
		return lex_number(l, err);
	if (c == '"')
		return lex_quoted(l, err);
	if (c == '`')
		return lex_raw_string(l, err);
	if (c == '\'')
		return lex_character(l, err);
	return lex_operator(l, err);
}

int lexer_init_at(struct lexer *l, const char *text, int pos, struct arena *arena, struct err *err)
{
	*l = (struct lexer){.text = text, .pos = pos, .arena = arena};
	return lexer_next(l, err);
}

bool lexer_is(const struct lexer *l, const char *operator)
{
	return l->token.kind == TOKEN_OPERATOR && !strcmp(l->token.text, operator);
}

int lexer_raw_until_paren(struct lexer *l, const char **ret_text, struct err *err)
{
	const char *start = l->text + l->token.column, *p = start, *end;
	int depth = 1;

	for (; *p; p++) {
		if (*p == '(')
			depth++;
		else if (*p == ')' && --depth == 0)
			break;
	}
	if (!*p)
		return bad(l, l->token.column, err, "the ) that closes this is missing");
	for (end = p; end > start && (end[-1] == ' ' || end[-1] == '\t'); end--)
		;
	*ret_text = arena_strndup(l->arena, start, (size_t)(end - start));
	l->pos = (int)(p + 1 - l->text);
	return lexer_next(l, err);
}
