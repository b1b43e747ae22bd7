/* Names of functions as the linker writes them. */
#ifndef BINARY_SYMBOL_H
#define BINARY_SYMBOL_H

#include "base/arena.h"

/* A copy of the first n characters of a symbol, or of its package, without the linker's escapes: as people read it. */
char *func_name_unescape(struct arena *a, const char *name, size_t n);

#endif
