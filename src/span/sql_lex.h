/* SQL in tokens, as far as it can be told without knowing a grammar: what is a literal, what a name. */
#ifndef SPAN_SQL_LEX_H
#define SPAN_SQL_LEX_H

#include <stdbool.h>
#include <stddef.h>

enum sql_token_kind {
	SQL_END,
	SQL_SPACE,      /* white space and comments */
	SQL_WORD,       /* a keyword or a name without quotes */
	SQL_QUOTED,     /* a name in quotes */
	SQL_DOUBLE,     /* in double quotes where these may be a name's or a literal's */
	SQL_LITERAL,    /* a text or a number, also one that is not complete */
	SQL_PARAMETER,  /* ?, $1, :1 */
	SQL_SIGN,       /* one other character */
	SQL_UNCERTAIN,  /* a literal begins, or a comment, and systems differ about where it ends: the whole rest */
};

struct sql_token {
	enum sql_token_kind kind;
	const char *s;
	size_t len;
};

struct sql_dialect;
/* Of a db.system.name. NULL, or one without quotes of its own here: what any of them may mean. */
const struct sql_dialect *sql_dialect_find(const char *system, size_t len);

struct sql_lexer {
	const struct sql_dialect *dialect;
	const char *p, *end;
	struct sql_token last;  /* the last one that was no space */
};
struct sql_token sql_next(struct sql_lexer *l);

#endif
