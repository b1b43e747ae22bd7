/*
 * Type descriptors as they lie in the binary: what rtype.c reads for rtype_index.c, which finds
 * them, and rtype_object.c, which makes struct type of them.
 */
#ifndef BINARY_RTYPE_H
#define BINARY_RTYPE_H

#include "binary/internal.h"

#define RTYPE_HEADER   48 /* bytes that every descriptor begins with */
#define TFLAG_UNCOMMON 1
#define TFLAG_NAMED    4
#define NAME_EMBEDDED  8

struct text { /* in the image, not terminated */
	const char *p;
	size_t n;
};

struct rtype_header { /* a descriptor that passed the shape test */
	uint64_t addr, size;
	const uint8_t *p;
	enum type_kind kind;
	uint8_t tflag, align;
	bool direct;
	struct text string; /* without the extra star */
};

bool rtype_header_at(const struct binary *b, uint64_t addr, struct rtype_header *ret);
/* The first descriptor from *pos to end (offsets into the types); *pos moves behind its header. */
bool rtype_header_before(const struct binary *b, uint64_t end, uint64_t *pos,
                         struct rtype_header *ret);
/* Bytes of a descriptor before its uncommon part; of a map's at least. */
uint64_t rtype_length(enum type_kind kind);
/* Address of the uncommon part, 0 for none. */
uint64_t rtype_uncommon(const struct binary *b, const struct rtype_header *h);

bool rtype_name_at(const struct binary *b, uint64_t addr, uint8_t *ret_flags, struct text *ret,
                   struct text *ret_tag);
/* The name at an offset from types; false when it is none. */
bool rtype_name_off(const struct binary *b, uint32_t off, struct text *ret);

/* A named type's full name is path + "." + rest, or rest alone when path is empty. */
struct full_name {
	struct text path, rest;
};

struct full_name rtype_full_name(const struct binary *b, const struct rtype_header *h);
bool full_name_is(const struct full_name *n, const char *s, size_t len);
/* What follows the last dot that is not within type arguments: "Request" of "net/http.Request". */
struct text name_without_package(struct text name);

#endif
