#include "span/interner.h"

#include <string.h>

const char *intern(struct interner *in, const char *s)
{
	size_t len = strlen(s);
	char *copy = strmap_get(&in->keys, s, len);

	if (!copy) {
		copy = arena_strndup(&in->arena, s, len);
		strmap_set(&in->keys, copy, len, copy);
	}
	return copy;
}

void interner_done(struct interner *in)
{
	strmap_done(&in->keys);
	arena_done(&in->arena);
}
