/*
 * A list of parameters or results as it is written in Go, with its parentheses. It is read here and not by the grammar,
 * which takes the first ones of many names before one type for types, and map[K]V without a name for an array called
 * map.
 */
#ifndef WEAVE_GO_PARAMS_H
#define WEAVE_GO_PARAMS_H

#include "base/arena.h"
#include "weave/go_source.h"

/* False where the text between the parentheses is no such list. ret is in arena. */
bool go_params_read(const char *text, struct go_span list, struct arena *arena, struct go_param **ret, size_t *ret_n);

#endif
