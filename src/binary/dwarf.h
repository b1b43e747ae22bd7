/*
 * What DWARF says of a function. Everything here is absent in stripped binaries; what is read from
 * DWARF is checked against the binary like any other source.
 */
#ifndef BINARY_DWARF_H
#define BINARY_DWARF_H

#include "binary/binary.h"

#define DWARF_PIECES 16

struct dwarf_param {
	const char *name;         /* "" if it has none, ".dict" for a generic function's dictionary */
	const struct type *type;  /* NULL if it cannot be read */
	unsigned dict_word;       /* as in struct param */
	bool result;
	bool located;             /* pieces say where it is */
	const char *why;          /* or why not */
	struct piece pieces[DWARF_PIECES];
	size_t npieces;
};
/* Parameters (receiver and dictionary included), then results, in order. -ENODATA without DWARF. */
int dwarf_function(struct binary *b, const struct func *f, const struct dwarf_param **ret, size_t *ret_n);

#endif
