/* FNV-1a of 64 bits: a number that stands for bytes wherever they are met again. It resists nobody. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define FNV1A_BASIS 14695981039346656037ull

/* hash: FNV1A_BASIS, or what the bytes before these gave. */
static inline uint64_t fnv1a(uint64_t hash, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * 1099511628211ull;
	return hash;
}

#endif
