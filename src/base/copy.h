/* memcpy for what is nearly always short: names and values of attributes. To call it takes longer than to copy them. */
#ifndef BASE_COPY_H
#define BASE_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* n bytes, of which the first and the last of that type may overlap. */
#define COPY_ENDS(type, to, from, n)                                                               \
	do {                                                                                       \
		type first_, last_;                                                                \
		memcpy(&first_, (from), sizeof(type));                                             \
		memcpy(&last_, (const char *)(from) + (n) - sizeof(type), sizeof(type));           \
		memcpy((to), &first_, sizeof(type));                                               \
		memcpy((char *)(to) + (n) - sizeof(type), &last_, sizeof(type));                   \
	} while (0)

/* They do not overlap. from may be NULL where n is 0. */
static inline void copy_short(void *to, const void *from, size_t n)
{
	if (n > 2 * sizeof(unsigned __int128))
		memcpy(to, from, n);
	else if (n >= sizeof(unsigned __int128))
		COPY_ENDS(unsigned __int128, to, from, n);
	else if (n >= sizeof(uint64_t))
		COPY_ENDS(uint64_t, to, from, n);
	else if (n >= sizeof(uint32_t))
		COPY_ENDS(uint32_t, to, from, n);
	else if (n >= sizeof(uint16_t))
		COPY_ENDS(uint16_t, to, from, n);
	else if (n)
		*(char *)to = *(const char *)from;
}

#endif
