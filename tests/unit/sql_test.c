/* What is shown of a statement: never a literal, whatever the dialect and wherever it was cut; operation and tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "span/sql_cache.h"

struct statement {
	const char *system, *text, *shown, *summary, *operation, *collection;
};

static void check(const char *what, const char *text, const struct buf *got, const char *want)
{
	const char *s = got->len ? got->data : "";

	if (want && strcmp(s, want))
		fail_msg("%s of %s: \"%s\" instead of \"%s\"", what, text, s, want);
}

static void check_all(const struct statement *s, const struct sql_statement *q)
{
	check("the text", s->text, &q->text, s->shown);
	check("the summary", s->text, &q->summary, s->summary);
	check("the operation", s->text, &q->operation, s->operation);
	check("the table", s->text, &q->collection, s->collection);
}

/* Each at first, and again from a cache. */
static void read_all(const struct statement *all, size_t n)
{
	struct sql_statement q = {0};
	struct sql_cache cache = {0};

	for (size_t i = 0; i < n; i++) {
		sql_read(&q, all[i].system, all[i].text, strlen(all[i].text));
		check_all(&all[i], &q);
	}
	for (size_t i = 0; i < 2 * n; i++) {
		const struct statement *s = &all[i % n];

		check_all(s, sql_cache_read(&cache, s->system, s->text, strlen(s->text)));
	}
	sql_statement_done(&q);
	sql_cache_done(&cache);
}

/* However many different statements come. */
static void test_cache_is_bounded(void **state)
{
	struct sql_cache cache = {0};
	char text[64];
	size_t most = 0;

	for (int i = 0; i < 20000; i++) {
		const struct sql_statement *q;
		int n = snprintf(text, sizeof(text), "SELECT a%d FROM t WHERE b = %d", i, i);

		q = sql_cache_read(&cache, "postgresql", text, (size_t)n);
		assert_string_equal(q->collection.data, "t");
		most = MAX(most, cache.bytes);
	}
	assert_true(most < 300000);
	sql_cache_done(&cache);
}
#define READ_ALL(all) read_all(all, ARRAY_SIZE(all))

#define PG "postgresql"
#define MY "mysql"
#define LITE "sqlite"
#define MS "microsoft.sql_server"
#define ORA "oracle.db"

static void test_literals(void **state)
{
	static const struct statement all[] = {
		{PG, "SELECT 'a', 'it''s', '' FROM t", "SELECT ?, ?, ? FROM t", 0, 0, 0},
		{PG, "SELECT E'a\\'b', e'\\\\', N'x', X'1F', B'01'", "SELECT ?, ?, ?, ?, ?", 0, 0, 0},
		{PG, "SELECT $$a 'b$$, $t$ $$ $ t$ $t$, $1, $23", "SELECT ?, ?, $1, $23", 0, 0, 0},
		{PG, "SELECT U&'d\\0061t', date '2020-01-01'", "SELECT U&?, date ?", 0, 0, 0},
		{PG, "SELECT 1, 2.5, .5, 1e-5, 0x1F, -7, 5-3, 1_000, a1, t2.c3",
		 "SELECT ?, ?, ?, ?, ?, -?, ?-?, ?, a1, t2.c3", 0, 0, 0},
		{PG, "SELECT true, NULL, x::int, a[1:2], a[:5]", "SELECT true, NULL, x::int, a[?:?], a[:?]", 0, 0, 0},
		{PG, "SELECT \"Name\", \"a\"\"b\" FROM \"s\".\"T\"", "SELECT \"Name\", \"a\"\"b\" FROM \"s\".\"T\"",
		 0, 0, "s.T"},
		{ORA, "ALTER USER bob IDENTIFIED BY secret REPLACE \"old secret\" ACCOUNT UNLOCK",
		 "ALTER USER bob IDENTIFIED BY ? REPLACE ? ACCOUNT UNLOCK", 0, "ALTER USER", 0},
		{ORA, "CREATE USER bob identified /* by */ by \"secret\"", "CREATE USER bob identified by ?", 0, 0, 0},
		{MY, "SET PASSWORD = 'secret'; CREATE USER b IDENTIFIED BY 'secret', c IDENTIFIED WITH p BY 'secret'",
		 "SET PASSWORD = ?; CREATE USER b IDENTIFIED BY ?, c IDENTIFIED WITH p BY ?", 0, 0, 0},
		{MY, "SELECT \"secret\", `a``b` FROM `t` WHERE x = \"it's\"", "SELECT ?, `a``b` FROM `t` WHERE x = ?",
		 0, 0, "t"},
		{MY, "SELECT \"a\".\"b\", x FROM \"t\" WHERE y = \"z\"",
		 "SELECT \"a\".\"b\", x FROM \"t\" WHERE y = ?", 0, 0, "t"},
		{LITE, "SELECT [a b], ?1, :1, @x FROM t WHERE n = \"bob\"",
		 "SELECT [a b], ?1, :1, @x FROM t WHERE n = ?", 0, 0, 0},
		{MS, "SELECT [it's], N'x' FROM #tmp", "SELECT [it's], ? FROM #tmp", 0, 0, "#tmp"},
		{ORA, "SELECT q'[it's]', nq'!a'b!', :1, :name FROM dual", "SELECT ?, ?, :1, :name FROM dual", 0, 0,
		 "dual"},
		{NULL, "SELECT 'a', \"b\", c FROM t WHERE d = :1", "SELECT ?, ?, c FROM t WHERE d = :1", 0, 0, 0},
		{PG, "SELECT 'tenant' 'two', 'x'", "SELECT ? ?, ?", 0, 0, 0},
		{PG, "a=$1 AND b ? 'k' AND c @> '{\"x\":1}'", "a=$1 AND b ? ? AND c @> ?", 0, 0, 0},
	};

	READ_ALL(all);
}

/* Readings that differ: the rest is left out rather than shown. */
static void test_uncertain(void **state)
{
	static const struct statement all[] = {
		{PG, "SELECT 'a\\' , 'secret'", "SELECT ?...", 0, 0, 0},
		{MY, "SELECT 'a\\' , 'secret'", "SELECT ?...", 0, 0, 0},
		{PG, "SELECT 'a\\\\', b", "SELECT ?, b", 0, 0, 0},
		{NULL, "SELECT '''it's'''", "SELECT ?...", 0, 0, 0},
		{NULL, "SELECT a --it's\n secret", "SELECT a ?...", 0, 0, 0},
		{NULL, "SELECT a # it's\n secret", "SELECT a ?...", 0, 0, 0},
		{NULL, "SELECT a /* x /* y */ 'secret' */ b", "SELECT a ?...", 0, 0, 0},
		{NULL, "SELECT [it's], secret'", "SELECT ?...", 0, 0, 0},
		{NULL, "SELECT a[1], b['k']", "SELECT a[?], b[?]", 0, 0, 0},
	};

	READ_ALL(all);
}

static void test_comments(void **state)
{
	static const struct statement all[] = {
		{PG, "/* a /* 'b */ c */ SELECT\n\t1 -- it's\n, 2", "SELECT ? , ?", "SELECT", "SELECT", ""},
		{MY, "/* a /* b */ SELECT 5--3, 'x' # it's\n FROM t -- y", "SELECT ?--?, ? FROM t", "SELECT t", 0, 0},
		{PG, "SELECT a#b, c #> '{x}' FROM t /*traceparent='00-1'*/", "SELECT a#b, c #> ? FROM t", 0, 0, "t"},
		{PG, "SELECT 1 /* never closed 'x", "SELECT ?", 0, 0, 0},
	};

	READ_ALL(all);
}

static void test_lists(void **state)
{
	static const struct statement all[] = {
		{PG, "a IN (1, 2,'x') AND b in (?) OR c IN (-1, +2)", "a IN (?) AND b in (?) OR c IN (?)", 0, 0, 0},
		{PG, "a IN ($1, $2) AND b IN (SELECT 1)", "a IN ($1, $2) AND b IN (SELECT ?)", 0, 0, 0},
		{PG, "a IN (f(1), 2)", "a IN (f(?), ?)", 0, 0, 0},
		{PG, "a IN (1", "a IN (?", 0, 0, 0},
	};

	READ_ALL(all);
}

static void test_tables(void **state)
{
	static const struct statement all[] = {
		{PG, "SELECT * FROM users WHERE id = $1", 0, "SELECT users", "SELECT", "users"},
		{PG, "select a from public.users u", 0, "select public.users", "select", "public.users"},
		{PG, "SELECT * FROM songs, artists a JOIN x.y ON a = b", 0, "SELECT songs artists x.y", "SELECT", ""},
		{PG, "SELECT * FROM (SELECT * FROM t) u", 0, "SELECT SELECT t", "SELECT", "t"},
		{PG, "SELECT * FROM (a LEFT JOIN b USING (id)) WHERE x", 0, "SELECT a b", "SELECT", ""},
		{PG, "SELECT * FROM t WHERE a IN (SELECT b FROM t)", 0, "SELECT t SELECT t", "SELECT", "t"},
		{PG, "SELECT extract(year FROM d), trim(both FROM x) FROM t WHERE a IS DISTINCT FROM b", 0,
		 "SELECT t", 0, "t"},
		{PG, "SELECT * FROM generate_series(1, 3), LATERAL f(x) y", 0, "SELECT", 0, ""},
		{PG, "SELECT * FROM t FOR UPDATE OF t", 0, "SELECT t", 0, "t"},
		{PG, "SELECT 1 FROM a UNION ALL SELECT 2 FROM b ORDER BY 1, x", 0, "SELECT a SELECT b", 0, ""},
		{PG, "(SELECT 1 FROM a)", 0, "SELECT a", "", "a"},
		{PG, "INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT (a) DO UPDATE SET b = 2 RETURNING id", 0,
		 "INSERT t", "INSERT", "t"},
		{PG, "INSERT INTO s SELECT a FROM o WHERE i = ?", 0, "INSERT s SELECT o", "INSERT", ""},
		{LITE, "INSERT OR REPLACE INTO t VALUES (1)", "INSERT OR REPLACE INTO t VALUES (?)", "INSERT t",
		 "INSERT", "t"},
		{MY, "REPLACE INTO `t` VALUES (1)", 0, "REPLACE t", "REPLACE", "t"},
		{MY, "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 1", 0, "INSERT t", 0, "t"},
		{PG, "UPDATE ONLY t SET a = 1 FROM u WHERE 1 = 1", 0, "UPDATE t u", "UPDATE", ""},
		{LITE, "UPDATE OR IGNORE t SET a = \"x\"", "UPDATE OR IGNORE t SET a = ?", "UPDATE t", "UPDATE", "t"},
		{PG, "DELETE FROM t USING u WHERE t.a = u.a", 0, "DELETE t u", "DELETE", ""},
		{MS, "DELETE TOP (5) FROM [dbo].[the orders]", "DELETE TOP (?) FROM [dbo].[the orders]", 0, "DELETE",
		 "dbo.[the orders]"},
		{PG, "MERGE INTO a USING b ON a.i = b.i WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT c", 0,
		 "MERGE a b", "MERGE", ""},
		{PG, "WITH x AS (SELECT * FROM a), y (c) AS (SELECT 1) SELECT * FROM x, y, z", 0,
		 "SELECT a SELECT SELECT z",
		 "SELECT", ""},
		{PG, "WITH RECURSIVE x AS (SELECT 1) INSERT INTO b SELECT * FROM x", 0, "SELECT INSERT b SELECT",
		 "INSERT", "b"},
		{PG, "CREATE TABLE IF NOT EXISTS t (a int, b text DEFAULT 'x')", 0, "CREATE TABLE t", "CREATE TABLE",
		 "t"},
		{PG, "CREATE UNIQUE INDEX i ON t (a)", 0, "CREATE INDEX", "CREATE INDEX", ""},
		{PG, "CREATE OR REPLACE VIEW v AS SELECT * FROM t", 0, "CREATE VIEW v SELECT t", "CREATE VIEW", ""},
		{PG, "DROP TABLE t; SELECT 1", 0, "DROP TABLE t SELECT", "DROP TABLE", "t"},
		{PG, "SELECT 1; CREATE TABLE t (a int)", 0, "SELECT CREATE TABLE t", "SELECT", "t"},
		{PG, "TRUNCATE TABLE t", 0, "TRUNCATE t", "TRUNCATE", "t"},
		{PG, "copy t (a) from stdin", 0, "copy t", "copy", "t"},
		{PG, "begin", "begin", "begin", "begin", ""},
		{PG, "EXPLAIN ANALYZE SELECT * FROM t", 0, "EXPLAIN ANALYZE SELECT t", "EXPLAIN", "t"},
		{MS, "EXEC dbo.proc @p = 'x'", "EXEC dbo.proc @p = ?", "EXEC dbo.proc", "EXEC", ""},
		{MY, "SET PASSWORD = 'x'", "SET PASSWORD = ?", "SET", "SET", ""},
		{NULL, "hello world", "hello world", "", "", ""},
		{NULL, "", "", "", "", ""},
		{PG, "SELECT * FROM \"Users\" u, \"odd name\"", 0, "SELECT Users \"odd name\"", 0, ""},
	};

	READ_ALL(all);
}

/* The summary ends with a whole name. */
static void test_long_summary(void **state)
{
	struct sql_statement q = {0};
	struct buf b = {0};

	buf_str(&b, "SELECT * FROM t0");
	for (int i = 1; i < 100; i++)
		buf_printf(&b, ", table%d", i);
	sql_read(&q, NULL, b.data, b.len);
	assert_in_range(q.summary.len, 240, 255);
	assert_string_equal(strrchr(q.summary.data, ' '), " table31");
	buf_done(&b);
	sql_statement_done(&q);
}

/* Wherever a statement is cut, none of its literals (they all have a Q) shows. */
static void test_cut(void **state)
{
	static const char *const texts[] = {
		"SELECT 'Q', E'Q\\'Q', \"aQ\", $q$Q$q$, $$Q$$, q'[Q'Q]', N'Q''Q', X'QQ' FROM t "
		"WHERE a = 'Q' -- Q\n AND b = '\xc3Q'",
		"SELECT a /* Q */, 'QQ' FROM \"t\" WHERE x IN ('Q', 'Q') AND y = 1Q AND z = 0xQ AND w = .5Q",
		"((((((((((((((((((((((((((((((((((((((((SELECT 'Q' FROM t WHERE 'Q'))))))))))))))))))))) AND 'Q'",
	};
	static const char *const systems[] = {NULL, MY, LITE, MS};
	struct sql_statement q = {0};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for (size_t k = 0; k < ARRAY_SIZE(systems); k++)
			for (size_t n = 0; n <= strlen(texts[i]); n++) {
				char *exact = malloc(n ? n : 1);

				if (k && strstr(texts[i],
				 "$q$")) { /* a dialect that has no such quotes shows what they hold */
					free(exact);
					break;
				}
				memcpy(exact, texts[i], n);
				sql_read(&q, systems[k], exact, n);
				if (q.text.len && memchr(q.text.data, 'Q', q.text.len))
					fail_msg("%zu bytes of %s: %s", n, texts[i], q.text.data);
				free(exact);
			}
	sql_statement_done(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cache_is_bounded),
		cmocka_unit_test(test_literals), cmocka_unit_test(test_uncertain), cmocka_unit_test(test_comments),
		cmocka_unit_test(test_lists),	 cmocka_unit_test(test_tables),	   cmocka_unit_test(test_long_summary),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
