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

/* What is worth leaving out for whoever reads the copy, in order: there is nothing in it. */
struct go_gap {
	uint32_t start, end;
};
typedef VEC(struct go_gap) go_gaps;

/* copy: n bytes. Any bytes will do. */
void go_mask(const char *text, size_t n, char *copy);
/*
 * Nor with most of what a parser takes its time for: comments, and where it is shorter than 64 KiB what stands in
 * bodies of functions and what variables and constants are. heads and gaps are appended to.
 */
void go_mask_outline(const char *text, size_t n, char *copy, go_heads *heads, go_gaps *gaps);

#endif
