/* A part of a text, and a character's meaning. */
#ifndef BASE_TEXT_VIEW_H
#define BASE_TEXT_VIEW_H

#include <stddef.h>

/* Not terminated; s NULL: there is none. Whose memory it is, its user says. */
struct text_view {
	const char *s;
	size_t len;
};

/* The value of a hexadecimal digit, of either case; -1: it is none. */
static inline int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
