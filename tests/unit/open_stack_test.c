/* event/open_stack: what is open by goroutine, against a plain list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/macro.h"
#include "event/open_stack.h"

struct goroutine { /* with something of the user's */
	struct open_goroutine open;
	int seen;
};

static void test_one_goroutine(void **state)
{
	struct open_stacks o = {.goroutine_size = sizeof(struct goroutine)};
	struct open_item a, b, c;

	assert_null(open_stacks_find(&o, 7));
	open_stacks_push(&o, 7, &a, 10);
	assert_int_equal(((struct goroutine *)open_stacks_find(&o, 7))->seen, 0);
	((struct goroutine *)open_stacks_find(&o, 7))->seen = 1;
	open_stacks_push(&o, 7, &b, 20);
	open_stacks_push(&o, 7, &c, 20);
	assert_ptr_equal(open_stacks_find(&o, 7)->innermost, &c);
	assert_ptr_equal(c.outer, &b);
	open_stacks_remove(&o, &b); /* from between */
	assert_null(b.goroutine);
	assert_ptr_equal(c.outer, &a);
	assert_ptr_equal(a.inner, &c);
	open_stacks_remove(&o, &c);
	assert_ptr_equal(open_stacks_find(&o, 7)->innermost, &a);
	open_stacks_remove(&o, &a);
	assert_null(open_stacks_find(&o, 7)); /* the goroutine went with its last */
	assert_int_equal(o.len, 0);
	assert_int_equal(o.goroutines.len, 0);
	open_stacks_push(&o, 9, &a, 1); /* and comes again as another, with nothing of the first */
	assert_int_equal(((struct goroutine *)open_stacks_find(&o, 9))->seen, 0);
	open_stacks_remove(&o, &a);
	open_stacks_done(&o);
}

#define ITEMS 64

struct model {
	struct open_item *items[ITEMS]; /* in the order in which they were pushed */
	uint64_t keys[ITEMS];
	size_t len;
};

static void compare(const struct open_stacks *o, const struct model *m)
{
	assert_int_equal(o->len, m->len);
	for (uint64_t key = 1; key <= 4; key++) {
		const struct open_goroutine *g = open_stacks_find(o, key);
		const struct open_item *at = g ? g->innermost : NULL;

		for (size_t i = m->len; i--;) {
			if (m->keys[i] != key)
				continue;
			assert_ptr_equal(at, m->items[i]);
			at = at->outer;
		}
		assert_null(at);
	}
}

static void test_any_order(void **state)
{
	static struct open_item items[ITEMS];
	struct open_stacks o = {.goroutine_size = sizeof(struct open_goroutine)};
	struct model m = {0};

	srand(1);
	for (int step = 0; step < 20000; step++) {
		struct open_item *item = &items[rand() % ITEMS];
		uint64_t key = (uint64_t)rand() % 4 + 1;
		size_t i = 0;

		if (!item->goroutine) {
			open_stacks_push(&o, key, item, (uint64_t)step);
			m.items[m.len] = item;
			m.keys[m.len++] = key;
		} else {
			open_stacks_remove(&o, item);
			while (m.items[i] != item)
				i++;
			for (m.len--; i < m.len; i++) {
				m.items[i] = m.items[i + 1];
				m.keys[i] = m.keys[i + 1];
			}
		}
		compare(&o, &m);
	}
	while (m.len)
		open_stacks_remove(&o, m.items[--m.len]);
	assert_int_equal(o.goroutines.len, 0);
	open_stacks_done(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_goroutine),
		cmocka_unit_test(test_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
