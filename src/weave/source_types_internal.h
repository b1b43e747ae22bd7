/* Inside the types of source (source_*.c): nothing else includes this. */
#ifndef WEAVE_SOURCE_TYPES_INTERNAL_H
#define WEAVE_SOURCE_TYPES_INTERNAL_H

#include "base/map.h"
#include "weave/go_scan.h"
#include "weave/source_types.h"

/* A package's source: of files that are of no other machine or system than the one that is built for. */
struct source_package {
	const char *path, *name;
	const struct go_source **files;
	size_t nfiles;
	bool known;            /* its source is there */
	bool listed;           /* its files are those that the go command has chosen */
	VEC(struct buf) texts; /* of those that were read here */
	VEC(struct go_source *) owned;
	VEC(const char *) names; /* of their files */
};

/* What the type parameters of an instance stand for. */
struct source_args {
	const char *const *names;
	const struct type *const *types;
	size_t n;
};

/* Where a type is written: names in it mean what they mean there. */
struct source_place {
	struct source_package *package;
	const struct go_source *file;   /* NULL: in a pack, with full import paths */
	const struct source_args *args; /* of a generic type's instance; or NULL */
};

struct source_type {
	struct type type;          /* first */
	struct source_place place; /* of the struct's fields */
	const char *text;          /* KIND_STRUCT: what stands between the braces */
	size_t len;
	struct type_field *fields;
	size_t nfields;
	bool read, partial; /* fields were read; there are more, which could not be */
};

struct source_types {
	struct type_lookup lookup; /* first */
	const struct weave_package *home;
	const char *goroot, *root, *module; /* of the module that home is in; NULL: not known */
	struct go_list *list;
	struct source_package *own;
	struct strmap packages, types, declared; /* declared: struct declared_type, by full name */
	VEC(struct source_package *) all;
	unsigned depth, ninstances; /* types that are being read, within each other; instances of generic types */
	struct arena arena;
};

/* ---- source_packages.c ---- */

void source_packages_open(struct source_types *s);
void source_packages_done(struct source_types *s);
/* Never NULL: what has no source is not known. */
struct source_package *source_package(struct source_types *s, const char *path);
/* Its files are those alone that the build has, if anybody knows: false: there is no more to be known than before. */
bool source_package_choose(struct source_types *s, struct source_package *p);
/* The import path that a name before a dot stands for; NULL: no import of the file is called so. */
const char *source_import(struct source_types *s, const struct go_source *file, const char *name);

/* ---- source_type_text.c ---- */

/* NULL: it is no type, or one that is not read (err). */
const struct type *source_type_parse(struct source_types *s, struct source_place at, const char *text, size_t len,
                                     struct err *err);
/* A type that a package declares. -ENOENT only where its source is there and has none of that name. */
const struct type *source_type_named(struct source_types *s, struct source_package *p, const char *name,
                                     struct err *err);
void source_type_fields(struct source_types *s, struct source_type *t);

#endif
