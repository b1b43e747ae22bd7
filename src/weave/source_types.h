/*
 * Go types by their declarations in source, for binding (struct type_lookup): those of the package that is being built,
 * and of packages whose folder can be told: the standard library's, those of the same module, and those that the go
 * command knows the folder of.
 *
 * What cannot be told is never guessed: of a type of a package without source it is known that there is one and nothing
 * more (KIND_INVALID; a pointer to one is a pointer), and likewise where several files declare a type in different
 * ways. Sizes are those of 64-bit machines for what has one by itself, else 8: nothing here computes a layout.
 */
#ifndef WEAVE_SOURCE_TYPES_H
#define WEAVE_SOURCE_TYPES_H

#include "probe/bind/type_lookup.h"
#include "weave/go_list.h"
#include "weave/package.h"

struct source_types;

/* p is the package at work; goroot: NULL: the standard library has no source; list: NULL: nobody can be asked. All
 * outlive it. */
struct source_types *source_types_new(const struct weave_package *p, const char *goroot, struct go_list *list);
void source_types_free(struct source_types *s); /* NULL ok */
/* What packs say of types, for those whose package has no source. They outlive s; of two of a name the first counts. */
void source_types_declare(struct source_types *s, const struct declared_type *types, size_t n);
struct type_lookup *source_types_lookup(struct source_types *s);
/* The type that stands in a file of the package. NULL with a sentence: it is not known. */
const struct type *source_type_at(struct source_types *s, const struct weave_file *f, struct go_span at,
                                  struct err *err);
/* That of a parameter or a result of f, which the file has; of a variadic one its elements'. Likewise. */
const struct type *source_type_of(struct source_types *s, const struct weave_file *file, const struct go_function *f,
                                  const struct go_param *p, struct err *err);
/* Whether a file of the package imports that one. */
bool source_types_imported(const struct source_types *s, const char *path);

#endif
