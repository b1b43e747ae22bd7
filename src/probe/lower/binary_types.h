/* The types of a binary, for binding. */
#ifndef PROBE_BINARY_TYPES_H
#define PROBE_BINARY_TYPES_H

#include "binary/binary.h"
#include "probe/bind/type_lookup.h"

struct binary_types {
	struct type_lookup lookup;
	struct binary *binary;
};

struct binary_types binary_types(struct binary *b);

#endif
