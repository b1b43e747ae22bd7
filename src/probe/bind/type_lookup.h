/*
 * What binding asks of types: of a binary (lower/binary_types.h: descriptors, DWARF), or of whatever else knows Go
 * types by name. A source may leave sizes and offsets 0: nothing of bind/ looks at them but for the range of constants
 * and for what has no bytes.
 */
#ifndef PROBE_TYPE_LOOKUP_H
#define PROBE_TYPE_LOOKUP_H

#include <stddef.h>

#include "base/err.h"
#include "binary/type.h"

struct type_lookup {
	const struct type_lookup_ops *ops;
};

struct type_lookup_ops {
	/* A type in Go syntax, as package pkg writes it. NULL: err says why (-ENOENT: nothing describes it). */
	const struct type *(*parse)(struct type_lookup *s, const char *pkg, const char *go_syntax, struct err *err);
	/* By full name, "net/http.Request"; NULL: not known. */
	const struct type *(*named)(struct type_lookup *s, const char *full_name);
	/* The fields of a struct, in its order. */
	size_t (*field_count)(struct type_lookup *s, const struct type *t);
	bool (*field)(struct type_lookup *s, const struct type *t, size_t i, struct type_field *ret);
	/* A field by name, through embedded structs as Go's selectors go: a step for each embedded pointer on the way.
	 */
	bool (*find_field)(struct type_lookup *s, const struct type *t, const char *name, struct field_path *ret);
	/* Whether an interface of the program can hold it. */
	bool (*holdable)(struct type_lookup *s, const struct type *t);
	/* A constant or variable of a package: "net/http.StatusOK", "http.StatusOK". -ENOENT: none; others as told. */
	int (*global)(struct type_lookup *s, const char *name, struct global *ret, struct err *err);
};

#endif
