#include "probe/lang/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/macro.h"

enum { LONGEST = 64 };

static bool same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* How many letters are wrong, missing, too many or swapped with their neighbour; case apart. */
static unsigned edit_distance(const char *a, const char *b)
{
	size_t na = strnlen(a, LONGEST), nb = strnlen(b, LONGEST);
	unsigned rows[3][LONGEST + 1];

	for (size_t i = 0; i <= na; i++) {
		unsigned *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			bool same = i && same_letter(a[i - 1], b[j - 1]);

			row[j] = i ? MIN(MIN(up[j], row[j - 1]) + 1, up[j - 1] + !same) : (unsigned)j;
			if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
			    same_letter(a[i - 2], b[j - 1]))
				row[j] = MIN(row[j], up2[j - 2] + 1);
		}
	}
	return rows[na % 3][nb];
}

const char *nearest_name(const char *word, const char *const *names, size_t n)
{
	unsigned best = (unsigned)(strnlen(word, LONGEST) / 3 + 2);
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		unsigned d = names[i] ? edit_distance(word, names[i]) : best;

		if (d < best && d < strnlen(names[i], LONGEST)) {
			best = d;
			found = names[i];
		}
	}
	return found;
}
