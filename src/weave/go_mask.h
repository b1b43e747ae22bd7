/*
 * A copy of Go source for a parser whose grammar is older than the language. What the grammar cannot read is put in
 * other words of the same length, so that all that is found in the copy lies at the same place in the source:
 * - new(expression): `new` becomes a name that is no keyword of the grammar's. new(type) stays where it can be told.
 * - the type parameters of generic methods, of which one takes all functions behind it along: they become spaces.
 */
#ifndef WEAVE_GO_MASK_H
#define WEAVE_GO_MASK_H

#include "base/vec.h"

/* Where functions and methods are declared at the beginning of a line: offsets of their `func`. */
typedef VEC(uint32_t) go_heads;

/* copy: n bytes. Any bytes will do. */
void go_mask(const char *text, size_t n, char *copy);
/* Without what stands in the bodies of functions, as long as it is shorter than 64 KiB: most of a file, and of what a
 * parser takes. heads: appended to, NULL ok. */
void go_mask_outline(const char *text, size_t n, char *copy, go_heads *heads);

#endif
