/* Statements of SQL that were read before: a program gives the same ones again and again, and reading takes long. */
#ifndef SPAN_SQL_CACHE_H
#define SPAN_SQL_CACHE_H

#include "base/map.h"
#include "span/sql.h"

/* Zero-initialised is empty. It takes some hundred KiB at most: what is in it goes when that is full. */
struct sql_cache {
	struct strmap statements; /* system, NUL, text → struct cached */
	struct buf key;
	size_t bytes;
};

/* As sql_read. What is returned is the cache's, and valid until the next call. */
const struct sql_statement *sql_cache_read(struct sql_cache *c, const char *system, const char *s, size_t len);
void sql_cache_done(struct sql_cache *c);

#endif
