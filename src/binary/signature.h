/*
 * A signature while it is worked out: what its four files share. func_name.c takes the symbol's
 * name apart, signature.c tries the sources, signature_place.c lays their types out,
 * signature_check.c compares the layout with the binary.
 */
#ifndef BINARY_SIGNATURE_H
#define BINARY_SIGNATURE_H

#include "binary/abi.h"
#include "binary/internal.h"

#define SLOTS_MAX 64

struct slot { /* a parameter or a result while it is worked out */
	const char *name;
	const struct type *type; /* NULL: unknown */
	const char *text;        /* as declared, NULL */
	const char *untyped;     /* as in struct param */
	bool hidden;             /* the dictionary */
	unsigned dict_word;      /* as in struct param */
	bool shaped;             /* shape and place are known */
	const char *why;         /* … or why not */
	struct abi_shape shape;
	struct abi_place place;
};

struct slots {
	struct slot v[SLOTS_MAX];
	size_t n;
};

/* What the symbol's name says; strings in the arena. */
struct func_name {
	const char *package;  /* "net/http" */
	const char *receiver; /* "conn", NULL for none */
	const char *method;
	bool pointer;
	bool closure; /* a literal, a wrapper around one, or generated: no receiver */
	bool generic;
};

struct work {
	struct binary *b;
	const struct func *f;
	const struct declared_signature *decl;
	struct type_scope scope; /* of the declaration's types */
	struct func_name name;
	struct prologue prologue;
	struct arginfo info;
	struct ptrmap map;
	bool has_info, has_map;
	struct slots params, results;
	bool results_known;
	bool spill_base_known;
	uint64_t spill_base;
	uint32_t sources;
};

void func_name_split(struct arena *a, const char *name, struct func_name *ret);

/* ArgInfo's item for parameter i, NULL when it is not listed. */
const struct arg_item *slot_item(const struct work *w, size_t i);
/* Gives shape and place (or why not) to all parameters and results; finds the spill area. */
void signature_place(struct work *w);
/* Where a placed parameter lies in the argument area, spilled or passed there. */
uint64_t slot_offset(const struct work *w, const struct slot *s);

/* -EPROTO with the reason when the binary speaks against the places; else notes what agreed. */
int signature_check(struct work *w, struct err *err);

#endif
