/* The types of a program that is not Go's, for binding: none but those that need no source. */
#ifndef PROBE_NO_TYPES_H
#define PROBE_NO_TYPES_H

#include "probe/bind/type_lookup.h"

extern struct type_lookup no_types;

#endif
