/* Numbers that stand for bytes. They resist nobody. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* FNV-1a of 64 bits: the same wherever the bytes are met again. */
#define FNV1A_BASIS 14695981039346656037ull

/* hash: FNV1A_BASIS, or what the bytes before these gave. */
static inline uint64_t fnv1a(uint64_t hash, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * 1099511628211ull;
	return hash;
}

static inline uint64_t hash_next(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

/* For a table in memory: eight bytes at a time, of which each changes all that lie behind it. */
static inline uint64_t hash_of_bytes(const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	uint64_t hash = n, word;

	for (; n >= sizeof(word); p += sizeof(word), n -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		hash = hash_next(hash, word);
	}
	for (word = 0; n; n--)
		word = word << 8 | *p++;
	return hash_next(hash, word);
}

#endif
