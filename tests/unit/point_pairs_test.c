/* Points that go together become spans: by names, on threads, by arguments, and what is left open. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "span/point_pairs.h"

static struct buf said; /* "NAME PARENT_NAME? DURATION[!]" a span */
static struct {
	uint8_t id[8], trace[16];
	char name[40];
} spans[64];
static size_t nspans;

static const char *name_of(const uint8_t *id)
{
	for (size_t i = 0; i < nspans; i++)
		if (!memcmp(spans[i].id, id, 8))
			return spans[i].name;
	return "?";
}

static void on_span(void *arg, const struct span *s)
{
	(void)arg;
	snprintf(spans[nspans].name, sizeof(spans[0].name), "%s", s->name);
	memcpy(spans[nspans].id, s->span_id, 8);
	memcpy(spans[nspans++].trace, s->trace_id, 16);
	buf_printf(&said, "%s%s %llu%s", said.len ? "; " : "", s->name, (unsigned long long)s->duration_ns,
		   span_attr(s, "usdt.end_missing") ? "!" : "");
	if (s->parent == SPAN_PARENT_LOCAL)
		buf_printf(&said, " in %s", name_of(s->parent_id));
	else
		assert_int_equal(s->parent, SPAN_PARENT_UNKNOWN);
}

static struct point_pairs *made(const struct point_pair *pairs, size_t n)
{
	said.len = 0;
	nspans = 0;
	return point_pairs_new(&(struct point_pairs_options){.pairs = pairs, .npairs = n, .emit = on_span});
}

static void know(struct point_pairs *p, const char *const *names)
{
	for (; *names; names++)
		point_pairs_know(p, "db", *names);
}

static const struct resource process = {.pid = 7, .name = "db"}, other = {.pid = 8, .name = "db"};

struct step {
	const char *name;
	uint64_t tid, depth, time;
	uint64_t arg;
};

static bool hit(struct point_pairs *p, const struct step *s, const struct resource *r)
{
	const struct attr attr = {.key = "arg0", .kind = ATTR_INT, .i = (int64_t)s->arg};
	const struct point_hit h = {.provider = "db", .name = s->name, .resource = r, .tid = s->tid, .depth = s->depth,
				    .time_ns = s->time, .unix_ns = s->time, .attrs = &attr, .nattrs = 1,
				    .args = &s->arg, .has_arg = 1};

	return point_pairs_hit(p, &h);
}

static void hits(struct point_pairs *p, const struct step *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_true(hit(p, &s[i], &process));
}

static void expect(const char *want)
{
	assert_string_equal(said.len ? said.data : "", want);
}

static const char *const database[] = {"query__start", "query__done", "execute__start", "execute__done",
				       "commit", "call__entry", "call__return", NULL};

static void test_names(void **state)
{
	static const struct {
		const char *start, *end;
		bool pair;
	} cases[] = {{"a__start", "a__done", true}, {"a__start", "a__stop", true}, {"a-begin", "a-end", true},
		     {"a_entry", "a_exit", true}, {"a__entry", "a__return", true}, {"a__start", "b__done", false},
		     {"a__start", "a_done", false}, {"a__begin", "a__return", false},
		     {"start", "done", false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct point_pairs *p = made(NULL, 0);
		const char *const names[] = {cases[i].start, cases[i].end, NULL};

		know(p, names);
		assert_int_equal(hit(p, &(struct step){cases[i].start, 1, 1, 1, 0}, &process), cases[i].pair);
		assert_int_equal(hit(p, &(struct step){cases[i].end, 1, 1, 3, 0}, &process), cases[i].pair);
		expect(cases[i].pair ? "db:a 2" : "");
		point_pairs_free(p);
	}
}

/* Proven by the outer one's own end; by a call at once; each thread by itself. */
static void test_within(void **state)
{
	static const struct step steps[] = {
		{"query__start", 1, 10, 100, 0}, {"execute__start", 1, 20, 110, 0}, {"execute__start", 2, 20, 111, 0},
		{"execute__start", 1, 30, 112, 0}, {"execute__done", 1, 30, 113, 0}, {"execute__done", 1, 20, 120, 0},
		{"query__done", 1, 10, 150, 0}, {"execute__done", 2, 20, 160, 0},
		{"call__entry", 1, 5, 200, 0}, {"call__entry", 1, 5, 210, 0}, {"query__start", 1, 9, 220, 0},
		{"query__done", 1, 9, 230, 0}, {"call__return", 1, 5, 240, 0}, {"call__return", 1, 5, 250, 0}};
	struct point_pairs *p = made(NULL, 0);
	struct run_summary sum = {0};

	(void)state;
	know(p, database);
	assert_false(hit(p, &(struct step){"commit", 1, 1, 1, 0}, &process));
	hits(p, steps, ARRAY_SIZE(steps));
	/* What a call has within it comes before it, so its name is not known here yet. */
	expect("db:query 50; db:execute 10 in db:query; db:execute 1 in db:execute; db:execute 49; "
	       "db:query 10 in ?; db:call 30 in ?; db:call 50");
	assert_memory_equal(spans[0].trace, spans[2].trace, 16);
	assert_memory_not_equal(spans[0].trace, spans[3].trace, 16);
	assert_memory_equal(spans[4].trace, spans[6].trace, 16);
	point_pairs_summary(p, &sum);
	assert_int_equal(sum.open, 0);
	assert_int_equal(sum.spans, 7);
	point_pairs_free(p);
}

/* An error leaves a query; what comes then is not its child, though it is told as open until the next one. */
static void test_left(void **state)
{
	static const struct step steps[] = {
		{"query__start", 1, 10, 100, 0}, {"execute__start", 1, 20, 110, 0}, {"query__start", 1, 10, 150, 0},
		{"query__done", 1, 10, 160, 0}, {"query__start", 1, 10, 200, 0}, {"execute__start", 1, 20, 210, 0},
		{"execute__done", 1, 20, 220, 0}, {"query__start", 1, 10, 300, 0}};
	struct point_pairs *p = made(NULL, 0);
	struct run_summary sum = {0};

	(void)state;
	know(p, database);
	hits(p, steps, ARRAY_SIZE(steps));
	expect("db:query 50!; db:query 10; db:execute 100!; db:execute 10; db:query 100!");
	assert_false(hit(p, &(struct step){"none", 1, 1, 1, 0}, &process));
	assert_true(hit(p, &(struct step){"execute__done", 3, 1, 400, 0}, &process));
	point_pairs_summary(p, &sum);
	assert_int_equal(sum.open, 1);
	assert_int_equal(sum.losses.count[LOSS_UNPAIRED_END], 1);
	point_pairs_free(p);
}

/* A call that longjmp has left is around nothing that is called from where the stack is less deep. */
static void test_left_call(void **state)
{
	static const struct step steps[] = {{"call__entry", 1, 30, 100, 0},  {"call__entry", 1, 10, 200, 0},
					    {"query__start", 1, 20, 210, 0}, {"query__done", 1, 20, 220, 0},
					    {"call__return", 1, 10, 250, 0}};
	struct point_pairs *p = made(NULL, 0);
	struct run_summary sum = {0};

	(void)state;
	know(p, database);
	hits(p, steps, ARRAY_SIZE(steps));
	expect("db:query 10 in ?; db:call 50");
	assert_memory_equal(spans[0].trace, spans[1].trace, 16);
	point_pairs_summary(p, &sum);
	assert_int_equal(sum.open, 1);
	point_pairs_free(p);
}

/* It does not wait for an end for ever. */
static void test_waits(void **state)
{
	static const struct step steps[] = {{"query__start", 1, 10, 100, 0}, {"execute__start", 1, 20, 110, 0},
					    {"execute__done", 1, 20, 120, 0}};
	struct point_pairs *p = made(NULL, 0);

	(void)state;
	know(p, database);
	hits(p, steps, ARRAY_SIZE(steps));
	point_pairs_tick(p, 119);
	expect("");
	point_pairs_tick(p, 120);
	expect("db:execute 10");
	assert_true(hit(p, &(struct step){"query__done", 1, 10, 130, 0}, &process));
	expect("db:execute 10; db:query 30");
	point_pairs_free(p);
}

/* With its process; what had ended is told. */
static void test_gone(void **state)
{
	static const struct step steps[] = {{"query__start", 1, 10, 100, 0}, {"execute__start", 1, 20, 110, 0},
					    {"execute__done", 1, 20, 120, 0}, {"query__start", 2, 10, 100, 0}};
	struct point_pairs *p = made(NULL, 0);
	struct run_summary sum = {0};

	(void)state;
	know(p, database);
	hits(p, steps, ARRAY_SIZE(steps));
	assert_true(hit(p, &steps[0], &other));
	point_pairs_gone(p, 7);
	expect("db:execute 10");
	point_pairs_summary(p, &sum);
	assert_int_equal(sum.open, 1);
	assert_int_equal(sum.losses.count[LOSS_UNPAIRED_START], 2);
	point_pairs_free(p);
}

/* What goes by an argument goes with its process, too: another one may have its number. */
static void test_gone_by_argument(void **state)
{
	const struct point_pair pair = {"take", "give", 0};
	struct point_pairs *p = made(&pair, 1);
	struct run_summary sum = {0};

	(void)state;
	know(p, (const char *const[]){"take", "give", NULL});
	assert_true(hit(p, &(struct step){"take", 1, 1, 100, 5}, &process));
	assert_true(hit(p, &(struct step){"take", 1, 1, 101, 6}, &process));
	assert_true(hit(p, &(struct step){"take", 1, 1, 102, 5}, &other));
	point_pairs_gone(p, 7);
	assert_true(hit(p, &(struct step){"give", 1, 1, 110, 5}, &process));
	assert_true(hit(p, &(struct step){"give", 1, 1, 112, 5}, &other));
	expect("db:take 10");
	point_pairs_summary(p, &sum);
	assert_int_equal(sum.open, 0);
	assert_int_equal(sum.losses.count[LOSS_UNPAIRED_START], 2);
	assert_int_equal(sum.losses.count[LOSS_UNPAIRED_END], 1);
	point_pairs_free(p);
}

enum { DEEP = 3000, SMALL_STACK = 256 << 10 };

static void count_within(void *arg, const struct span *s)
{
	*(unsigned *)arg += s->parent == SPAN_PARENT_LOCAL;
}

static void *recurse(void *ret)
{
	struct point_pairs *p = point_pairs_new(&(struct point_pairs_options){.emit = count_within, .arg = ret});

	know(p, database);
	for (uint64_t i = 0; i < DEEP; i++)
		hit(p, &(struct step){"query__start", 1, i, i, 0}, &process);
	for (uint64_t i = DEEP; i-- > 0;)
		hit(p, &(struct step){"query__done", 1, i, 2 * DEEP - i, 0}, &process);
	point_pairs_free(p);
	return NULL;
}

/* A program's recursion is none of ours. */
static void test_deep(void **state)
{
	unsigned within = 0;
	pthread_attr_t attr;
	pthread_t t;

	(void)state;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, SMALL_STACK);
	assert_int_equal(pthread_create(&t, &attr, recurse, &within), 0);
	pthread_join(t, NULL);
	pthread_attr_destroy(&attr);
	assert_int_equal(within, DEEP - 1);
}

static void test_by_argument(void **state)
{
	struct arena arena = {0};
	struct point_pair pair;
	struct point_pairs *p;
	struct err err = {0};

	(void)state;
	assert_int_equal(point_pair_parse("db:take , give by arg0", &arena, &pair, &err), 0);
	p = made(&pair, 1);
	know(p, (const char *const[]){"take", "give", NULL});
	assert_true(hit(p, &(struct step){"take", 1, 1, 100, 5}, &process));
	assert_true(hit(p, &(struct step){"take", 2, 1, 101, 6}, &process));
	assert_true(hit(p, &(struct step){"take", 2, 1, 102, 5}, &other));
	assert_true(hit(p, &(struct step){"give", 3, 1, 110, 6}, &process));
	assert_true(hit(p, &(struct step){"give", 3, 1, 130, 5}, &process));
	assert_true(hit(p, &(struct step){"give", 3, 1, 140, 5}, &process));
	expect("db:take 9; db:take 30");
	assert_true(hit(p, &(struct step){"take", 2, 1, 202, 5}, &other));
	expect("db:take 9; db:take 30; db:take 100!");
	point_pairs_free(p);
	arena_done(&arena);
}

static void test_parse(void **state)
{
	static const char *const bad[] = {"", "a", "a,", ",b", "a,b by", "a,b by argx", "a,b by arg64", "a,b by goid"};
	struct arena arena = {0};
	struct point_pair pair;
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(point_pair_parse(bad[i], &arena, &pair, &err), -EINVAL);
	assert_int_equal(point_pair_parse("a,p:b by thread", &arena, &pair, &err), 0);
	assert_string_equal(pair.end, "p:b");
	assert_int_equal(pair.arg, -1);
	assert_int_equal(point_pair_parse("a,b by arg63", &arena, &pair, &err), 0);
	assert_int_equal(pair.arg, 63);
	arena_done(&arena);
}

static int done(void **state)
{
	(void)state;
	buf_done(&said);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names), cmocka_unit_test(test_within),      cmocka_unit_test(test_left),
		cmocka_unit_test(test_waits), cmocka_unit_test(test_by_argument), cmocka_unit_test(test_parse),
		cmocka_unit_test(test_gone),  cmocka_unit_test(test_left_call),   cmocka_unit_test(test_deep),
		cmocka_unit_test(test_gone_by_argument),
	};

	return cmocka_run_group_tests(tests, NULL, done);
}
