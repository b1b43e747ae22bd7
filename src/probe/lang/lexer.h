/* Text → tokens of the expression language. Strings are unescaped into the arena. */
#ifndef PROBE_LEXER_H
#define PROBE_LEXER_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"

enum token_kind { TOKEN_END, TOKEN_NAME, TOKEN_INT, TOKEN_FLOAT, TOKEN_STRING, TOKEN_OPERATOR };

struct token {
	enum token_kind kind;
	int column;
	const char *text; /* names, strings; operators by their spelling */
	size_t len;
	int64_t number;
	bool big;         /* number is the bits of a uint64 above the largest int64 */
	double real;
};

struct lexer {
	const char *text;
	int pos;
	struct arena *arena;
	struct token token; /* the current one */
};

/* These make the next token the current one. Errors: -EINVAL, with the column shown. */
/* Begins at byte pos; columns count from the beginning of text. */
int lexer_init_at(struct lexer *l, const char *text, int pos, struct arena *arena, struct err *err);
int lexer_next(struct lexer *l, struct err *err);
bool lexer_is(const struct lexer *l, const char *operator);
/* From the current position to the bracket that closes an already opened `(`; stands behind it. */
int lexer_raw_until_paren(struct lexer *l, const char **ret_text, struct err *err);

bool name_part(char c);

#endif
