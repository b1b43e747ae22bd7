/* Integers of 128 bits: what sums of 64-bit integers, signed or not, do not overflow. */
#ifndef BASE_WIDE_H
#define BASE_WIDE_H

#include <stdbool.h>
#include <stdint.h>

typedef __int128 int128;
#define WIDE_MAX ((int128)(~(unsigned __int128)0 >> 1))
#define WIDE_MIN (-WIDE_MAX - 1)
#define WIDE_TEXT 48 /* bytes of the longest one as text */

/* v in decimal digits, in ret, which is returned. */
char *wide_text(int128 v, char ret[WIDE_TEXT]);
/* The 64 bits as what they mean. */
static inline int128 wide_of(uint64_t bits, bool is_unsigned)
{
	return is_unsigned ? (int128)bits : (int128)(int64_t)bits;
}

#endif
