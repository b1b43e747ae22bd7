/*
 * Inside bind/: nothing else includes this. Each bind_* gives a node for an expression, or an error at its column.
 */
#ifndef PROBE_BINDER_H
#define PROBE_BINDER_H

#include <string.h>

#include "base/buf.h"
#include "probe/bind/bind.h"

struct binder {
	const struct bind_scope *scope;
	struct type_lookup *types;
	struct arena *arena;
	struct err *err;
	const char *text;       /* the expression at work, for columns */
	const char *package;    /* of the function; found when it is needed */
	bool in_filter;
	bool images;
};

/* Reports at e's column; returns -EINVAL. */
int fail(struct binder *b, const struct expr *e, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Reports at e's column that nothing is wrong with the expression, but its value cannot be had; returns -ENODATA. */
int fail_unreadable(struct binder *b, const struct expr *e, const char *fmt, ...) PRINTF_LIKE(3, 4);
const char *text_of(struct binder *b, const struct bound *n);     /* its expression */
const char *type_text(const struct bound *n);
const char *type_with_article(struct binder *b, const struct bound *n);

/* ---- nodes ---- */

struct bound *bound_new(struct binder *b, enum bound_op op, const struct type *type, const struct expr *e);
struct bound *bound_two(struct binder *b, enum bound_op op, const struct type *type, const struct expr *e,
			const struct bound *x, const struct bound *y);
/* n, known to be that: k is copied. */
void set_constant(struct binder *b, struct bound *n, struct constant k);
struct bound *bound_constant(struct binder *b, const struct expr *e, struct constant k);
/* n with another type and constant. */
struct bound *retyped(struct binder *b, const struct bound *n, const struct type *t, struct constant k);
struct operand operand_of(const struct bound *n);
bool is_text(const struct bound *n);

/* ---- bind.c ---- */

int bind_node(struct binder *b, const struct expr *e, struct bound **ret);
int bind_bool(struct binder *b, const struct expr *e, struct bound **ret);

/* ---- inject.c ---- */

int bind_inject(struct binder *b, const struct inject_item *item, struct bound_inject *ret);

/* ---- program.c ---- */

int bind_text(struct binder *b, const char *text, struct bound_text *ret);
int bind_condition(struct binder *b, const char *text, struct bound_text *ret);

/* ---- names.c ---- */

int bind_name(struct binder *b, const struct expr *e, struct bound **ret);
/* e was carried here: its node, or NULL. */
struct bound *bind_carried(struct binder *b, const struct expr *e);
bool is_carried(struct binder *b, const struct expr *e);
/* Whether e is saved.NAME, and the error that nothing saves it. */
bool is_saved_name(struct binder *b, const struct expr *e);
int not_saved(struct binder *b, const struct expr *e);
const char *binder_package(struct binder *b); /* import path of the probed function */
bool name_is_known(struct binder *b, const char *name); /* a parameter, a result, a name of ours */

/* ---- path.c: steps ---- */

int bind_deref(struct binder *b, const struct bound *a, const struct expr *e, struct bound **ret);
int bind_field(struct binder *b, const struct bound *a, const struct expr *e, struct bound **ret);
int bind_index(struct binder *b, const struct bound *a, const struct bound *index, const struct expr *e,
	       struct bound **ret);
int bind_slice(struct binder *b, const struct expr *e, struct bound **ret);
/* A type that an interface may hold. */
int held_type(struct binder *b, const struct expr *e, const char *go_type, const struct type **ret);
int bind_assert(struct binder *b, const struct expr *e, struct bound **ret);
int must_be_interface(struct binder *b, const struct bound *a, const struct expr *e);

/* ---- literal.c, global.c, call.c ---- */

int bind_literal(struct binder *b, const struct expr *e, struct bound **ret);
bool is_global(struct binder *b, const struct expr *e);
int bind_global(struct binder *b, const struct expr *e, struct bound **ret);
int bind_call(struct binder *b, const struct expr *e, struct bound **ret);

/* ---- arithmetic.c ---- */

/* A constant as a value of type t: range and kind are checked. */
int const_convert(struct binder *b, const struct bound *n, const struct type *t, struct bound **ret);
int bind_arithmetic(struct binder *b, const struct expr *e, struct bound **ret);
int bind_negation(struct binder *b, const struct expr *e, struct bound **ret);
int bind_plus(struct binder *b, const struct expr *e, struct bound **ret);
int bind_complement(struct binder *b, const struct expr *e, struct bound **ret);

/* ---- compare.c ---- */

bool is_comparison(const struct expr *e);
int bind_compare(struct binder *b, const struct expr *e, struct bound **ret);
int text_constant(struct binder *b, const struct bound *n);
/* The type that Go gives a constant (not nil) where nothing else does. */
const struct type *default_type(const struct bound *n);

#endif
