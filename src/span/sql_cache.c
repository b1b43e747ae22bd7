#include "span/sql_cache.h"

#include <string.h>

#define BYTES_MAX (256u << 10)

struct cached {
	struct sql_statement read;
	char key[];
};

static void forget_all(struct sql_cache *c)
{
	for (size_t i = 0; i < c->statements.cap; i++) {
		struct cached *s = c->statements.entries[i].key ? c->statements.entries[i].value : NULL;

		if (s)
			sql_statement_done(&s->read);
		free(s);
	}
	strmap_done(&c->statements);
	c->bytes = 0;
}

void sql_cache_done(struct sql_cache *c)
{
	forget_all(c);
	buf_done(&c->key);
}

const struct sql_statement *sql_cache_read(struct sql_cache *c, const char *system, const char *s, size_t len)
{
	struct cached *found;

	buf_reset(&c->key);
	buf_append(&c->key, system ? system : "", system ? strlen(system) + 1 : 1);
	buf_append(&c->key, s, len);
	found = strmap_get(&c->statements, c->key.data, c->key.len);
	if (found)
		return &found->read;
	if (c->bytes > BYTES_MAX)
		forget_all(c);
	found = xcalloc(1, sizeof(*found) + c->key.len);
	memcpy(found->key, c->key.data, c->key.len);
	sql_read(&found->read, system, s, len);
	c->bytes += sizeof(*found) + c->key.len + found->read.text.cap + found->read.summary.cap +
		    found->read.operation.cap + found->read.collection.cap;
	strmap_set(&c->statements, found->key, c->key.len, found);
	return &found->read;
}
