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

enum { AT_GO_KIND = 0x2900, AT_GO_KEY, AT_GO_ELEM, AT_GO_EMBEDDED, AT_GO_RUNTIME_TYPE };

struct func_die {
	uint64_t pc;
	Dwarf_Off off;
};
struct inline_die {
	Dwarf_Off origin;
	uint64_t entry;
};

struct dwarf {
	Elf *elf;
	Dwarf *dw;
	VEC(struct func_die) funcs;     /* by pc */
	VEC(struct inline_die) inlines; /* by origin */
	struct strmap types;            /* name -> offset + 1 */
	struct strmap abstracts;        /* name -> offset + 1 */
	struct map by_offset;           /* type DIE offset + 1 -> struct type_full * */
	uint64_t steps;                 /* DIEs that may still be looked at */
	unsigned depth;
};

/* Opens and indexes at the first call; NULL without DWARF. */
struct dwarf *dwarf_get(struct binary *b);

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
