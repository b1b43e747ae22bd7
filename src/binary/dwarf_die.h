/*
 * What the readers of DWARF share: the opened file with its index, and attributes of DIEs. Apart
 * from dwarf.h so that only they see libdw.
 */
#ifndef BINARY_DWARF_DIE_H
#define BINARY_DWARF_DIE_H

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <libelf.h>

#include "base/vec.h"
#include "binary/internal.h"

#define DIE_DEPTH 64

enum {
	AT_GO_KIND = 0x2900,
	AT_GO_KEY,
	AT_GO_ELEM,
	AT_GO_EMBEDDED,
	AT_GO_RUNTIME_TYPE,
	AT_GO_DICT_INDEX = 0x2906,
	AT_GO_CLOSURE_OFFSET,
};

struct func_die {
	uint64_t pc;
	Dwarf_Off off;
};
struct inline_die {
	Dwarf_Off origin;
	uint64_t entry;
	Dwarf_Off off;
};

/* A function that was inlined somewhere. */
struct abstract_die {
	const char *name;
	Dwarf_Off off;
	size_t next; /* the one before it with the same plain name, index + 1 */
};

/* A constant or a variable of a package. */
struct global_die {
	const char *name;
	Dwarf_Off off;
	size_t next; /* the one before it whose name has the same last path element, index + 1 */
};

struct dwarf {
	Elf *elf;
	Dwarf *dw;
	VEC(struct func_die) funcs;     /* by pc */
	VEC(struct inline_die) inlines; /* by origin */
	struct strmap types;            /* name -> offset + 1 */
	VEC(struct abstract_die) abstracts;
	struct strmap by_plain_name;    /* without brackets -> index in abstracts + 1 */
	VEC(Dwarf_Off) global_offs;     /* of all constants and variables; what follows is made of them at
					 * the first need */
	VEC(struct global_die) globals;
	struct strmap globals_by_name;  /* "http.StatusOK" -> index in globals + 1 */
	struct strmap constant_names;   /* type, NUL, value -> name */
	bool globals_read;
	struct arena names;
	struct map by_offset;           /* type DIE offset + 1 -> struct type_full * */
	uint64_t steps;                 /* DIEs that may still be looked at */
	unsigned depth;
};

/* Opens and indexes at the first call; NULL without DWARF. */
struct dwarf *dwarf_get(struct binary *b);

const struct func_die *dwarf_find_function(const struct dwarf *d, uint64_t pc);

/* The newest abstract function with the plain name of name: index + 1, 0 if there is none. */
size_t dwarf_find_abstract(const struct dwarf *d, const char *name);

/* ---- parameters (dwarf_param.c) ---- */

struct dwarf_param;
/*
 * A variable's name, type and place at pc. described is the DIE with the name and the type, located
 * the one with the location: the same, or an inlined instance's; NULL when that has none.
 */
void die_param(struct binary *b, Dwarf_Die *described, Dwarf_Die *located, uint64_t pc,
	       struct dwarf_param *ret);

/* ---- attributes (dwarf.c) ---- */

bool attr_number(Dwarf_Die *die, unsigned at, uint64_t *ret);
bool attr_die(Dwarf_Die *die, unsigned at, Dwarf_Die *ret);
bool attr_flag(Dwarf_Die *die, unsigned at);
/* The name on the DIE itself: the pass over everything must not follow references. */
const char *own_name(Dwarf_Die *die);

/* ---- types (dwarf_type.c) ---- */

/* What a DIE stands for: the binary's descriptor if it has one; NULL when it cannot be read. */
const struct type *die_type(struct binary *b, Dwarf_Die *die);

#endif
