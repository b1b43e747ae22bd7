/*
 * The parser of types in Go syntax, in four files: typeexpr.c (all types, and those made of one or two others),
 * typeexpr_text.c (tokens, constants), typeexpr_name.c (names and what they mean), typeexpr_list.c (parameters, fields,
 * methods). Every function that gives NULL or false has set the sentence, or, where only a name is not known, p->name.
 */
#ifndef BINARY_TYPEEXPR_H
#define BINARY_TYPEEXPR_H

#include "base/buf.h"
#include "base/vec.h"
#include "binary/internal.h"

#define NEST_MAX     64
#define NAME_MAX_LEN 4096 /* of a composite: hostile descriptors double it at each level */

struct pending { /* a declared type whose text is being read: it may refer to itself behind a pointer */
	const struct declared_type *declared;
	struct type_full *f;
	unsigned indirect; /* the parser's, when it began */
	const struct pending *up;
};

struct type_parser {
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

/* ---- typeexpr.c ---- */

const struct type *tx_type(struct type_parser *p);
/* The text as a name in b's arena; s is done. */
const char *tx_take_name(struct binary *b, struct buf *s);

/* ---- typeexpr_text.c ---- */

/* Sets the sentence, unless there is one: NULL (false). fail: "expected …". */
const struct type *tx_fail_as(struct type_parser *p, const char *sentence);
const struct type *tx_fail(struct type_parser *p, const char *expected);
void tx_skip_space(struct type_parser *p);
bool tx_accept(struct type_parser *p, const char *token);
bool tx_accept_word(struct type_parser *p, const char *word); /* a keyword not followed by more of a name */
bool tx_is_name_char(char c);
size_t tx_ident_length(const char *s);
bool tx_is_keyword(const char *s, size_t n);
/* Moves behind the string, behind the bracket that closes the one at s; NULL when there is none, or another kind. */
const char *tx_skip_string(const char *s);
const char *tx_skip_brackets(const char *s);
/* An array's length; level 0. Not negative at any step: lengths have no use for that. */
bool tx_constant_expr(struct type_parser *p, unsigned level, int64_t *ret);

/* ---- typeexpr_name.c ---- */

const struct type *tx_name(struct type_parser *p);
/* A type that may be one that nothing describes, then NULL with *ret_name its name. */
const struct type *tx_maybe_unknown(struct type_parser *p, const char **ret_name);
/* What lies in a struct or an array, or stands for itself, needs a size. */
const struct type *tx_sized(struct type_parser *p);

/* ---- typeexpr_list.c: behind the keyword ---- */

const struct type *tx_signature(struct type_parser *p); /* or behind a method's name */
const struct type *tx_struct(struct type_parser *p);
const struct type *tx_interface(struct type_parser *p);

#endif
