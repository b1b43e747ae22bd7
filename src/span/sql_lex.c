/*
 * Systems read the same bytes differently, and who takes the end of a literal for its middle shows the next one:
 *
 *   'a\'      a text (SQL), or the beginning of one (MySQL; and both have a setting for the other)
 *   "a"       a name (SQL), or a text (MySQL, and SQLite where no such name is)
 *   # a'      a comment (MySQL), or an operator and a text
 *   -- a'     a comment; for MySQL only because of the blank
 *   comments within comments: a level more (PostgreSQL, SQL Server), or nothing in particular
 *   $t$a$t$   a text (PostgreSQL)         q'[a]'   a text (Oracle)
 *   [a]       a name (SQL Server, SQLite), or an index
 *
 * Where the system is not known, or does not decide it, and readings differ in where a literal ends, the token is
 * SQL_UNCERTAIN.
 */
#include "span/sql_lex.h"

#include <string.h>
#include <strings.h>

#include "base/macro.h"

enum {
	HASH = 1,           /* begins a comment */
	DASH_BLANK = 2,     /* -- begins one only in front of white space */
	NESTED = 4,         /* comments nest */
	NAMES = 8,          /* double quotes are of names */
	BRACKETS = 16,      /* of names */
	DOLLARS = 32,       /* of texts */
	ALTERNATIVE = 64,   /* q'[…]' */
	COLON = 128,        /* :1 is a parameter */
	HASH_NAMES = 256,   /* # is a letter */
	UNKNOWN = 512,
};

struct sql_dialect {
	const char *system;
	int is;
};

static const struct sql_dialect dialects[] = {
	{"postgresql", NESTED | NAMES | DOLLARS},
	{"cockroachdb", NESTED | NAMES | DOLLARS},
	{"aws.redshift", NESTED | NAMES | DOLLARS},
	{"mysql", HASH | DASH_BLANK},
	{"mariadb", HASH | DASH_BLANK},
	{"sqlite", BRACKETS | COLON},
	{"microsoft.sql_server", NESTED | BRACKETS | HASH_NAMES},
	{"oracle.db", NAMES | ALTERNATIVE | COLON | HASH_NAMES},
};
static const struct sql_dialect unknown = {NULL, DOLLARS | ALTERNATIVE | COLON | UNKNOWN};

const struct sql_dialect *sql_dialect_find(const char *system, size_t len)
{
	for (size_t i = 0; system && i < ARRAY_SIZE(dialects); i++)
		if (strlen(dialects[i].system) == len && !memcmp(dialects[i].system, system, len))
			return &dialects[i];
	return &unknown;
}

/* ---- characters ---- */

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_quote(char c)
{
	return c == '\'' || c == '"' || c == '`';
}

static bool begins_word(const struct sql_lexer *l, char c)
{
	return is_letter(c) || c == '@' || (c == '#' && l->dialect->is & HASH_NAMES);
}

static bool in_word(const struct sql_lexer *l, char c)
{
	return begins_word(l, c) || is_digit(c) || c == '$';
}

/* The character at i from here; 0 behind the end. */
static char at(const struct sql_lexer *l, size_t i)
{
	return i < (size_t)(l->end - l->p) ? l->p[i] : 0;
}

static bool has_quote(const char *s, const char *end)
{
	for (; s < end; s++)
		if (is_quote(*s))
			return true;
	return false;
}

static struct sql_token token(struct sql_lexer *l, enum sql_token_kind kind, const char *end)
{
	struct sql_token t = {kind, l->p, (size_t)(end - l->p)};

	l->p = end;
	return t;
}

static struct sql_token uncertain(struct sql_lexer *l)
{
	return token(l, SQL_UNCERTAIN, l->end);
}

/* ---- comments ---- */

static struct sql_token line_comment(struct sql_lexer *l, bool certain)
{
	const char *end = memchr(l->p, '\n', (size_t)(l->end - l->p));

	if (!end)
		end = l->end;
	if (!certain && has_quote(l->p, end))
		return uncertain(l);
	return token(l, SQL_SPACE, end);
}

static struct sql_token block_comment(struct sql_lexer *l)
{
	const char *p = l->p + 2;

	for (size_t depth = 1; depth && p < l->end; p++) {
		if (p + 1 == l->end)
			continue;
		if (p[0] == '*' && p[1] == '/') {
			depth--;
			p++;
		} else if (p[0] == '/' && p[1] == '*') {
			if (l->dialect->is & UNKNOWN)
				return uncertain(l);
			if (l->dialect->is & NESTED) {
				depth++;
				p++;
			}
		}
	}
	return token(l, SQL_SPACE, p);
}

/* ---- quotes ---- */

/* From the text's quote, behind `prefix` bytes; escapes: backslashes are escapes here, whatever the settings. */
static struct sql_token text(struct sql_lexer *l, size_t prefix, bool escapes, enum sql_token_kind kind)
{
	char quote = l->p[prefix];
	bool odd = false; /* an odd number of backslashes before */

	if (l->dialect->is & UNKNOWN && at(l, prefix + 1) == quote && at(l, prefix + 2) == quote)
		return uncertain(l); /* the system's long quotes, or a text that begins with a quote */
	for (const char *p = l->p + prefix + 1; p < l->end; p++) {
		if (*p != quote) {
			odd = *p == '\\' && !odd;
			continue;
		}
		if (odd && !escapes)
			return uncertain(l);
		if (!odd && (p + 1 == l->end || p[1] != quote))
			return token(l, kind, p + 1);
		p += !odd;
		odd = false;
	}
	return token(l, SQL_LITERAL, l->end);
}

/* A name's quotes, the closing one doubled within. Where that is cut off it could be anything. */
static struct sql_token quoted(struct sql_lexer *l, char close)
{
	for (const char *p = l->p + 1; p < l->end; p++) {
		if (*p != close)
			continue;
		if (p + 1 == l->end || p[1] != close)
			return token(l, SQL_QUOTED, p + 1);
		p++;
	}
	return token(l, SQL_LITERAL, l->end);
}

static struct sql_token bracket(struct sql_lexer *l)
{
	const char *close;

	if (l->dialect->is & BRACKETS)
		return quoted(l, ']');
	close = memchr(l->p, ']', (size_t)(l->end - l->p));
	if (l->dialect->is & UNKNOWN && is_letter(at(l, 1)) && has_quote(l->p, close ? close : l->end))
		return uncertain(l);
	return token(l, SQL_SIGN, l->p + 1);
}

static bool is_alternative(const struct sql_lexer *l, size_t word)
{
	const char *q = l->p + word - 1;

	if (!(l->dialect->is & ALTERNATIVE) || (*q | 0x20) != 'q')
		return false;
	return word == 1 || (word == 2 && (*l->p | 0x20) == 'n');
}

/* q'[…]': up to the closing bracket, or the same character, with a quote behind it. */
static struct sql_token alternative(struct sql_lexer *l, size_t word)
{
	static const char open[] = "[({<", closing[] = "])}>";
	char c = at(l, word + 1);
	const char *pair = c ? strchr(open, c) : NULL;

	if (pair)
		c = closing[pair - open];
	for (const char *p = l->p + word + 2; p + 1 < l->end; p++)
		if (p[0] == c && p[1] == '\'')
			return token(l, SQL_LITERAL, p + 2);
	return token(l, SQL_LITERAL, l->end);
}

/* $tag$…$tag$, or a name or a parameter that begins with a dollar. */
static struct sql_token dollar(struct sql_lexer *l)
{
	size_t n = 1;

	while (is_digit(at(l, n)))
		n++;
	if (n > 1)
		return token(l, SQL_PARAMETER, l->p + n);
	while (is_letter(at(l, n)) || (n > 1 && is_digit(at(l, n))))
		n++;
	if (at(l, n) == '$' && l->dialect->is & DOLLARS) {
		const char *from = l->p + n + 1;
		const char *close = memmem(from, (size_t)(l->end - from), l->p, n + 1);

		return token(l, SQL_LITERAL, close ? close + n + 1 : l->end);
	}
	return token(l, n > 1 ? SQL_PARAMETER : SQL_SIGN, l->p + n);
}

/* ---- words and numbers ---- */

/* What begins with a digit is one for us to its end, since a name that does is not worth the risk. */
static struct sql_token number(struct sql_lexer *l)
{
	bool hex = at(l, 0) == '0' && (at(l, 1) | 0x20) == 'x';
	const char *p = l->p;

	for (; p < l->end; p++) {
		bool exponent = !hex && p > l->p && (p[-1] | 0x20) == 'e' && p + 1 < l->end && is_digit(p[1]);

		if (!is_digit(*p) && !is_letter(*p) && *p != '.' && !((*p == '-' || *p == '+') && exponent))
			break;
	}
	return token(l, SQL_LITERAL, p);
}

/* Letters in front of a quote belong to the text: E'…', N'…', X'…'. */
static struct sql_token word(struct sql_lexer *l)
{
	size_t n = 1;

	while (in_word(l, at(l, n)))
		n++;
	if (at(l, n) != '\'')
		return token(l, SQL_WORD, l->p + n);
	if (is_alternative(l, n))
		return alternative(l, n);
	if (n == 1 && memchr("eEnNbBxX", l->p[0], 8))
		return text(l, 1, (l->p[0] | 0x20) == 'e', SQL_LITERAL);
	return token(l, SQL_WORD, l->p + n);
}

static bool ends_operand(const struct sql_token *t)
{
	return t->kind == SQL_WORD || t->kind == SQL_QUOTED || t->kind == SQL_LITERAL ||
	       (t->kind == SQL_SIGN && (t->s[0] == ']' || t->s[0] == ')' || t->s[0] == '['));
}

/* ?, ?1 and :1; an array's slice has the colon behind its first index. */
static struct sql_token parameter(struct sql_lexer *l)
{
	size_t n = 1;

	if (l->p[0] == ':' && (!(l->dialect->is & COLON) || ends_operand(&l->last)))
		return token(l, SQL_SIGN, l->p + 1);
	while (is_digit(at(l, n)))
		n++;
	return token(l, l->p[0] == ':' && n == 1 ? SQL_SIGN : SQL_PARAMETER, l->p + n);
}

static struct sql_token space(struct sql_lexer *l)
{
	const char *p = l->p + 1;

	while (p < l->end && is_space(*p))
		p++;
	return token(l, SQL_SPACE, p);
}

static bool is_dash_comment(const struct sql_lexer *l)
{
	char next = at(l, 2);

	return at(l, 0) == '-' && at(l, 1) == '-' && (!(l->dialect->is & DASH_BLANK) || !next || is_space(next));
}

static struct sql_token next(struct sql_lexer *l)
{
	char c = at(l, 0);
	int is = l->dialect->is;

	if (l->p == l->end)
		return token(l, SQL_END, l->p);
	if (is_space(c))
		return space(l);
	if (is_dash_comment(l))
		return line_comment(l, !(is & UNKNOWN) || is_space(at(l, 2)));
	if (c == '/' && at(l, 1) == '*')
		return block_comment(l);
	if (c == '#' && is & HASH)
		return line_comment(l, true);
	if (c == '\'')
		return text(l, 0, false, SQL_LITERAL);
	if (c == '"')
		return is & NAMES ? quoted(l, '"') : text(l, 0, false, SQL_DOUBLE);
	if (c == '`')
		return quoted(l, '`');
	if (c == '[')
		return bracket(l);
	if (c == '$')
		return dollar(l);
	if (is_digit(c) || (c == '.' && is_digit(at(l, 1)) && !ends_operand(&l->last)))
		return number(l);
	if (c == '?' || c == ':')
		return parameter(l);
	if (begins_word(l, c))
		return word(l);
	if (c == '#' && is & UNKNOWN) {
		const char *line = memchr(l->p, '\n', (size_t)(l->end - l->p));

		if (has_quote(l->p, line ? line : l->end))
			return uncertain(l);
	}
	return token(l, SQL_SIGN, l->p + 1);
}

struct sql_token sql_next(struct sql_lexer *l)
{
	struct sql_token t = next(l);

	if (t.kind != SQL_SPACE)
		l->last = t;
	return t;
}
