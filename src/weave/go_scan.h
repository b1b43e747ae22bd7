/* Steps through Go source that no grammar is needed for. Any bytes will do; nothing is read from n on. */
#ifndef WEAVE_GO_SCAN_H
#define WEAVE_GO_SCAN_H

#include <stdbool.h>

#include "base/macro.h"

struct go_scan {
	const char *text;
	size_t n;
};

/* Whether s stands at i. */
bool go_scan_is(const struct go_scan *g, size_t i, const char *s);
/* Whether the word s stands at i, and nothing more of a word. */
bool go_scan_is_word(const struct go_scan *g, size_t i, const char *s);
size_t go_scan_blanks(const struct go_scan *g, size_t i); /* behind spaces and tabs */
size_t go_scan_space(const struct go_scan *g, size_t i);  /* behind blanks, newlines and comments */
size_t go_scan_name(const struct go_scan *g, size_t i);   /* behind letters, digits, _ and what is beyond ASCII */
/* Behind what begins at i: a string, a rune or a comment, of which a part may be missing. i: it is none. */
size_t go_scan_opaque(const struct go_scan *g, size_t i);
/* Behind the bracket that closes the one at i; 0: there is none within 64 KiB. */
size_t go_scan_brackets(const struct go_scan *g, size_t i);

#endif
