#include "base/wide.h"

#include <string.h>

char *wide_text(int128 v, char ret[WIDE_TEXT])
{
	unsigned __int128 left = v < 0 ? -(unsigned __int128)v : (unsigned __int128)v;
	char *at = ret + WIDE_TEXT - 1;

	*at = '\0';
	do
		*--at = (char)('0' + (int)(left % 10));
	while (left /= 10);
	if (v < 0)
		*--at = '-';
	memmove(ret, at, (size_t)(ret + WIDE_TEXT - at));
	return ret;
}
