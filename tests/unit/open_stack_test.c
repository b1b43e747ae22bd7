/* event/open_stack: what is open by goroutine and by age, against a plain list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/macro.h"
#include "event/open_stack.h"

static void test_one_goroutine(void **state)
{
	struct open_stacks o = {0};
	struct open_entry a, b, c;

	assert_null(open_stacks_innermost(&o, 7));
	open_stacks_push(&o, 7, &a, 10);
	open_stacks_push(&o, 7, &b, 20);
	open_stacks_push(&o, 7, &c, 20);
	assert_ptr_equal(open_stacks_innermost(&o, 7), &c);
	assert_ptr_equal(c.outer, &b);
	open_stacks_remove(&o, &b); /* from between */
	assert_null(b.goroutine);
	assert_ptr_equal(c.outer, &a);
	assert_ptr_equal(a.inner, &c);
	assert_ptr_equal(a.newer, &c);
	open_stacks_remove(&o, &c);
	assert_ptr_equal(open_stacks_innermost(&o, 7), &a);
	open_stacks_remove(&o, &a);
	assert_null(open_stacks_innermost(&o, 7)); /* the goroutine went with its last */
	assert_null(o.oldest);
	assert_null(o.newest);
	assert_int_equal(o.len, 0);
	assert_int_equal(o.goroutines.len, 0);
	open_stacks_done(&o);
}

/* What is detached is open, of no goroutine. */
static void test_detach(void **state)
{
	struct open_stacks o = {0};
	struct open_entry a, b, c;

	open_stacks_push(&o, 7, &a, 10);
	open_stacks_push(&o, 7, &b, 20);
	open_stacks_push(&o, 7, &c, 30);
	open_stacks_detach(&o, &b);
	assert_null(b.goroutine);
	assert_null(b.outer);
	assert_ptr_equal(c.outer, &a);
	assert_ptr_equal(a.inner, &c);
	assert_ptr_equal(a.newer, &b);
	assert_ptr_equal(b.newer, &c);
	assert_int_equal(o.len, 3);
	open_stacks_remove(&o, &c);
	open_stacks_detach(&o, &a);
	assert_int_equal(o.goroutines.len, 0);
	assert_ptr_equal(o.oldest, &a);
	open_stacks_remove(&o, &a);
	assert_ptr_equal(o.oldest, &b);
	open_stacks_remove(&o, &b);
	assert_null(o.newest);
	assert_int_equal(o.len, 0);
	open_stacks_done(&o);
}

/* Two processes' goroutines of one number are two. */
static void test_key(void **state)
{
	assert_true(open_goroutine_key(1, 5) != open_goroutine_key(2, 5));
	assert_true(open_goroutine_key(1, 5) != open_goroutine_key(1, 6));
	assert_int_equal(open_goroutine_key(0, 5), 5);
}

#define ENTRIES 64

struct model {
	struct open_entry *by_age[ENTRIES];
	uint64_t keys[ENTRIES];
	size_t len;
};

static void compare(const struct open_stacks *o, const struct model *m)
{
	const struct open_entry *e = o->oldest;

	assert_int_equal(o->len, m->len);
	for (size_t i = 0; i < m->len; i++, e = e->newer)
		assert_ptr_equal(e, m->by_age[i]);
	assert_null(e);
	for (uint64_t key = 1; key <= 4; key++) {
		const struct open_entry *at = open_stacks_innermost(o, key);

		for (size_t i = m->len; i--;) {
			if (m->keys[i] != key)
				continue;
			assert_ptr_equal(at, m->by_age[i]);
			at = at->outer;
		}
		assert_null(at);
	}
}

static void test_any_order(void **state)
{
	static struct open_entry entries[ENTRIES];
	struct open_stacks o = {0};
	struct model m = {0};

	srand(1);
	for (int step = 0; step < 20000; step++) {
		struct open_entry *e = &entries[rand() % ENTRIES];
		uint64_t key = (uint64_t)rand() % 4 + 1;
		size_t i = 0;

		if (!e->goroutine) {
			open_stacks_push(&o, key, e, (uint64_t)step);
			m.by_age[m.len] = e;
			m.keys[m.len++] = key;
		} else {
			open_stacks_remove(&o, e);
			while (m.by_age[i] != e)
				i++;
			for (m.len--; i < m.len; i++) {
				m.by_age[i] = m.by_age[i + 1];
				m.keys[i] = m.keys[i + 1];
			}
		}
		compare(&o, &m);
	}
	while (o.oldest)
		open_stacks_remove(&o, o.oldest);
	assert_int_equal(o.goroutines.len, 0);
	open_stacks_done(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_goroutine),
		cmocka_unit_test(test_detach),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
