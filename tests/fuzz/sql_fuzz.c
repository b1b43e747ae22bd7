/*
 * Whatever the bytes are: no read outside them, a summary of bounded length, and nothing of them is seen when they are
 * a literal.
 */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "span/sql_cache.h"

static const char *const systems[] = {NULL,	"postgresql",	       "mysql",	   "sqlite",
				      "microsoft.sql_server", "oracle.db", "cockroachdb"};

static void read_as_statement(struct sql_statement *q, const char *system, const char *s, size_t len)
{
	sql_read(q, system, s, len);
	if (q->summary.len > 255 || q->operation.len > len || q->text.len > 2 * len + 3)
		abort();
}

/* What is kept is what reading gives, also when it comes for the second time. */
static void read_cached(struct sql_cache *c, const struct sql_statement *want, const char *system, const char *s,
			size_t len)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct sql_statement *q = sql_cache_read(c, system, s, len);

		if (q->text.len != want->text.len || q->summary.len != want->summary.len ||
		    (q->text.len && memcmp(q->text.data, want->text.data, q->text.len)))
			abort();
	}
}

static void read_as_literal(struct sql_statement *q, const char *system, const char *s, size_t len)
{
	struct buf b = {0};

	buf_str(&b, "SELECT '");
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\'')
			buf_char(&b, '\'');
		buf_char(&b, s[i]);
	}
	buf_str(&b, "' FROM t");
	sql_read(q, system, b.data, b.len);
	if (strcmp(q->text.data, "SELECT ? FROM t") && strcmp(q->text.data, "SELECT ?..."))
		abort();
	buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sql_statement q = {0};
	struct sql_cache cache = {0};

	for (size_t i = 0; i < sizeof(systems) / sizeof(*systems); i++) {
		read_as_statement(&q, systems[i], (const char *)data, size);
		read_cached(&cache, &q, systems[i], (const char *)data, size);
		read_as_literal(&q, systems[i], (const char *)data, size);
	}
	sql_statement_done(&q);
	sql_cache_done(&cache);
	return 0;
}
