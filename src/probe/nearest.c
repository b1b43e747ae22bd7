#include "probe/nearest.h"

#include <ctype.h>
#include <string.h>

#include "base/macro.h"

enum { LONGEST = 64 };

/* Levenshtein distance, case apart; longer words are cut. */
static unsigned edit_distance(const char *a, const char *b)
{
	size_t na = strnlen(a, LONGEST), nb = strnlen(b, LONGEST);
	unsigned row[LONGEST + 1];

	for (size_t j = 0; j <= nb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned differ = tolower((unsigned char)a[i - 1]) !=
					  tolower((unsigned char)b[j - 1]);
			unsigned best = MIN(MIN(row[j], row[j - 1]) + 1, diagonal + differ);

			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[nb];
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
