/* "Did you mean …": the known word that is closest to what was written. */
#ifndef PROBE_NEAREST_H
#define PROBE_NEAREST_H

#include <stddef.h>

/* The closest of n names (NULLs are skipped), or NULL when none is close enough to offer. */
const char *nearest_name(const char *word, const char *const *names, size_t n);

#endif
