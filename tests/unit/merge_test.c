/* Samples of several sources come in the order of time, and none before an older one that another source still has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "plant/merge.h"

enum { MAX = 16 };

/* Hands over what it has at each drain. */
struct stub {
	struct event_source source;
	uint64_t times[MAX];
	size_t n;
	uint32_t probe;
	uint64_t complete_ns;
	bool idle;
	int fails;
};

static struct stub *stub_of(struct event_source *s)
{
	return (struct stub *)s;
}

static int drain(struct event_source *s, plant_event_fn fn, void *arg)
{
	struct stub *st = stub_of(s);
	size_t n = st->n;

	if (st->fails)
		return st->fails;
	for (size_t i = 0; i < n; i++) {
		struct event_header h = {.size = sizeof(h), .version = EVENT_VERSION, .probe = st->probe};

		h.time_ns = st->times[i];
		fn(arg, &h, sizeof(h));
	}
	st->n = 0;
	return (int)n;
}

static bool idle(struct event_source *s)
{
	return stub_of(s)->idle;
}

static uint64_t complete_ns(struct event_source *s)
{
	return stub_of(s)->complete_ns;
}

static const struct event_source_ops ops = {.drain = drain, .idle = idle, .complete_ns = complete_ns};

static void put(struct stub *s, uint64_t time_ns)
{
	assert_true(s->n < MAX);
	s->times[s->n++] = time_ns;
}

struct seen {
	struct event_header all[MAX];
	size_t n;
	struct merge *again; /* to be drained from within */
	const source_list *sources;
};

static void on_sample(void *arg, const void *sample, size_t size)
{
	struct seen *seen = arg;

	assert_int_equal(size, sizeof(struct event_header));
	assert_true(seen->n < MAX);
	memcpy(&seen->all[seen->n++], sample, size);
	if (seen->again)
		merge_drain(seen->again, seen->sources, on_sample, seen);
}

static void check(const struct seen *seen, const char *want)
{
	char got[MAX + 1] = "";

	for (size_t i = 0; i < seen->n; i++) {
		got[i] = (char)seen->all[i].probe;
		if (i)
			assert_true(seen->all[i - 1].time_ns <= seen->all[i].time_ns);
	}
	assert_string_equal(got, want);
}

struct two {
	struct stub a, b;
	source_list list;
	struct merge merge;
	struct seen seen;
};

static void two_new(struct two *t)
{
	*t = (struct two){.a = {.source.ops = &ops, .probe = 'a', .complete_ns = UINT64_MAX},
			  .b = {.source.ops = &ops, .probe = 'b', .complete_ns = UINT64_MAX}};
	vec_push(&t->list, &t->a.source);
	vec_push(&t->list, &t->b.source);
}

static int drain_two(struct two *t)
{
	return merge_drain(&t->merge, &t->list, on_sample, &t->seen);
}

static void two_done(struct two *t)
{
	vec_done(&t->list);
	merge_done(&t->merge);
}

static void test_in_order_of_time(void **state)
{
	struct two t;

	(void)state;
	two_new(&t);
	for (uint64_t i = 0; i < 3; i++) {
		put(&t.a, 10 * i + 1);
		put(&t.b, 10 * i);
		put(&t.b, 10 * i + 1); /* one of the first source comes first where times are equal */
	}
	assert_int_equal(drain_two(&t), 9);
	check(&t.seen, "babbabbab");
	assert_int_equal(drain_two(&t), 0);
	two_done(&t);
}

/* What was written while the sources were asked, one after the other: the first one may have more by now. */
static void test_what_is_new_waits(void **state)
{
	const uint64_t later = clock_monotonic_ns() + 20000000;
	struct two t;

	(void)state;
	two_new(&t);
	put(&t.b, later);
	put(&t.b, 5);
	assert_int_equal(drain_two(&t), 2); /* one waits: there is a reason to ask again */
	check(&t.seen, "b");
	put(&t.a, later - 1);
	while (clock_monotonic_ns() <= later)
		;
	assert_int_equal(drain_two(&t), 2);
	check(&t.seen, "bab");
	assert_int_equal(drain_two(&t), 0);
	two_done(&t);
}

/* One has left a part of what it has: the other's newer samples wait for that. */
static void test_a_flood(void **state)
{
	struct two t;

	(void)state;
	two_new(&t);
	put(&t.a, 1);
	put(&t.a, 7);
	t.a.complete_ns = 7;
	put(&t.b, 3);
	put(&t.b, 8);
	drain_two(&t);
	check(&t.seen, "ab");
	t.a.complete_ns = UINT64_MAX;
	put(&t.a, 7);
	drain_two(&t);
	check(&t.seen, "abaab");
	two_done(&t);
}

static void test_one_alone(void **state)
{
	struct two t;

	(void)state;
	two_new(&t);
	t.b.idle = true;
	put(&t.a, UINT64_MAX);
	put(&t.a, 1);
	assert_int_equal(drain_two(&t), 2);
	assert_int_equal(t.seen.n, 2); /* as it has them, at once */
	assert_int_equal(t.seen.all[1].time_ns, 1);
	t.a.fails = -EIO;
	assert_int_equal(drain_two(&t), -EIO);
	two_done(&t);
}

/* Whoever takes a sample may drain. */
static void test_within_itself(void **state)
{
	struct two t;

	(void)state;
	two_new(&t);
	t.seen.again = &t.merge;
	t.seen.sources = &t.list;
	put(&t.a, 1);
	put(&t.b, 2);
	drain_two(&t);
	check(&t.seen, "ab");
	t.a.fails = t.b.fails = -EIO;
	assert_int_equal(drain_two(&t), -EIO);
	two_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order_of_time), cmocka_unit_test(test_what_is_new_waits),
		cmocka_unit_test(test_a_flood),          cmocka_unit_test(test_one_alone),
		cmocka_unit_test(test_within_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
