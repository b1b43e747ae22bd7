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

const char *intern_at_most(struct interner *in, const char *s, size_t max)
{
	return in->keys.len < max || strmap_get(&in->keys, s, strlen(s)) ? intern(in, s) : NULL;
}

void interner_done(struct interner *in)
{
	strmap_done(&in->keys);
	arena_done(&in->arena);
}
