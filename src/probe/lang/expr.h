/*
 * The expression language: Go's selector, index, type assertion, comparison and logic syntax. Parsed
 * into a tree that an arena owns; bind/ resolves its names, lower/ finds where they lie.
 *
 *   req.URL.Path   rw.(*response).status   len(items) > 3   h["User-Agent"][0]   *p   x.y[2].z
 *   a == "x" && !b || n >= 10   hasprefix(s, "GET ")   nil true false 0x1f -1 'c' 10ms
 *   n % 8 == 0   s[:3] == t[1:4]   m[id]   m[Point{1, 2}]   http.StatusOK
 *
 * Columns are 0-based byte offsets into the source text; the column of an operator node is the operator's.
 */
#ifndef PROBE_EXPR_H
#define PROBE_EXPR_H

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "binary/type.h"

enum expr_op {
	EXPR_NAME,    /* text */
	EXPR_INT,     /* number; also characters and durations (in ns) */
	EXPR_FLOAT,   /* real */
	EXPR_STRING,  /* text, len */
	EXPR_BOOL,    /* number */
	EXPR_NIL,
	EXPR_FIELD,   /* a.text */
	EXPR_ASSERT,  /* a.(text): text is a type in Go syntax */
	EXPR_INDEX,   /* a[b] */
	EXPR_SLICE,   /* a[args[0]:args[1]], either may be NULL */
	EXPR_CALL,    /* text(args…): len, hasprefix, uintptr, … */
	EXPR_LITERAL, /* text{a}: text is a type, a the first EXPR_ELEMENT or NULL */
	EXPR_ELEMENT, /* text: a, text the field's name or NULL; b the next one or NULL */
	EXPR_NOT, EXPR_NEG, EXPR_POS, EXPR_COMPLEMENT, EXPR_DEREF, /* !a -a +a ^a *a */
	EXPR_BINARY,  /* a text b, text one of + - * / % & | ^ &^ << >> == != < <= > >= && || */
};

struct expr {
	enum expr_op op;
	int column;             /* 0-based byte column in the source text */
	const char *text;
	size_t len;
	int64_t number;
	bool big;               /* EXPR_INT: number is the bits of a uint64 above the largest int64 */
	double real;
	struct expr *a, *b;
	struct expr *args[4];
	size_t nargs;
};

/* Parses all of text. Errors: -EINVAL; the sentence names the column and shows a caret line. */
int expr_parse(const char *text, struct arena *arena, struct expr **ret, struct err *err);
/*
 * Parses the expression that begins at byte *pos, for texts that hold more than one: *pos becomes the column
 * of the first token that does not belong to it. Columns count from the beginning of text.
 */
int expr_parse_at(const char *text, int *pos, struct arena *arena, struct expr **ret, struct err *err);
bool expr_equal(const struct expr *a, const struct expr *b); /* the same tree, columns apart */
/* Back to Go syntax, fully parenthesised only where needed. */
void expr_print(const struct expr *e, struct buf *out);

/*
 * A function as packs and users write it: a name, optionally with a declared signature:
 *   net/http.(*response).finishRequest
 *   main.SetInfo(user string, addr *Address, vip bool) (id int, err error)
 *   main.Log(format string, args ...any) ()
 * As in Go, all of a list have names or none has; `a, b int` and `...T` (a []T) work. A type that is not
 * known is written `?`: it keeps the position only. Results are declared when a result list is written:
 * () declares that there are none.
 */
struct func_ref {
	const char *name;       /* "net/http.(*response).finishRequest" */
	bool declared;          /* a parameter list was written */
	struct declared_signature signature;
};
int func_ref_parse(const char *text, struct arena *arena, struct func_ref *ret, struct err *err);
/* In a question the name may be that of a USDT probe: usdt:PROVIDER:NAME, globs (fnmatch). */
#define USDT_PREFIX "usdt:"
static inline bool is_usdt_name(const char *name)
{
	return !strncmp(name, USDT_PREFIX, sizeof(USDT_PREFIX) - 1);
}
/*
 * A func_ref in a question, from byte *pos on: it ends at the word `if`, a `{` or the end, and the name may hold * and
 * ?. *pos becomes where it ended.
 */
int func_ref_parse_at(const char *text, int *pos, struct arena *arena, struct func_ref *ret, struct err *err);
/*
 * What stands before the function: "type NAME TYPE;", any number of them, each ended by a semicolon or a line's end.
 * *ret_pos is behind them. TYPE is not read further here (binary_type_parse_in does).
 */
int declared_types_parse(const char *text, struct arena *arena, const struct declared_type **ret, size_t *ret_n,
			 int *ret_pos, struct err *err);

/* Writes "sentence\n  text\n     ^" into err: the one way columns are pointed at. Returns code. */
int err_at_column(struct err *err, int code, const char *text, int column, const char *fmt, ...)
	PRINTF_LIKE(5, 6);

#endif
