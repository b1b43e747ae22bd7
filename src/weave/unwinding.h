/*
 * What is told of a span when a panic or Goexit ends it. Packs capture it at the functions of the runtime where that
 * begins, by what the span's start has kept (`save`), since nothing else leads to it there. Woven code captures it
 * where the start's own function is unwound: there it still has what it would have kept.
 */
#ifndef WEAVE_UNWINDING_H
#define WEAVE_UNWINDING_H

#include "probe/bind/bind.h"
#include "weave/points.h"

/* Whether a panic begins, or a goroutine ends, in that function: packs have a hook there. */
bool unwinding_begins(const struct weave_wanted *wanted, const char *func);
/*
 * v, which uses what a start keeps, as a variant for the start's own function, whose entry is the scope. Captures of
 * what is not kept, or does not bind, stay as they are, and will not bind. In arena.
 */
const struct pack_variant *unwinding_variant(struct arena *arena, const struct pack_variant *start,
                                             const struct bind_scope *scope, const struct pack_variant *v);

#endif
