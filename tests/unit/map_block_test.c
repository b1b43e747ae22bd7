/* The blocks of maps: what of a layout both planters search, and which layouts they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "binary/binary.h"

/* A group of map[int32]int32 in Go 1.24: the last key is nearer to the end than a text would be. */
static const struct map_layout small_keys = {.swiss = true, .slots = 8, .key_size = 4, .elem_size = 4,
					     .key_stride = 8, .elem_stride = 8, .elem_off = 4, .group_slots_off = 8,
					     .group_size = 72};
/* A bucket of map[string]int in Go 1.23. */
static const struct map_layout texts = {.slots = 8, .key_size = 16, .elem_size = 8, .key_off = 8, .elem_off = 136,
					.key_stride = 16, .elem_stride = 8, .overflow_off = 200, .bucket_size = 208};

static void refused(struct map_layout l, uint32_t key_size, uint32_t max, const char *words)
{
	struct map_block b = {.size = 1};
	struct err err = {0};

	assert_int_equal(map_layout_block(&l, key_size, max, &b, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, words));
	assert_int_equal(b.size, 1);
}

static void test_blocks(void **state)
{
	struct map_block b;

	assert_int_equal(map_layout_block(&small_keys, 0, 4096, &b, NULL), 0);
	assert_int_equal(b.size, 72);
	assert_int_equal(b.key_off, 8);
	assert_int_equal(b.elem_off, 12);
	assert_int_equal(map_layout_block(&texts, 16, 208, &b, NULL), 0);
	assert_int_equal(b.size, 208);
	assert_int_equal(b.key_off, 8);
	assert_int_equal(b.elem_off, 136);
}

static void test_refused(void **state)
{
	struct map_layout l;

	refused(small_keys, 16, 4096, "4 bytes (expected 16)");
	refused(texts, 16, 207, "8 slots in 208 bytes");
	l = texts, l.key_indirect = true;
	refused(l, 16, 4096, "behind pointers");
	l = texts, l.slots = 9;
	refused(l, 16, 4096, "9 slots");
	l = texts, l.slots = 0;
	refused(l, 16, 4096, "0 slots");
}

static void test_beyond_the_end(void **state)
{
	struct map_layout l;

	l = small_keys, l.key_size = 5, l.key_off = 4;
	refused(l, 0, 4096, "layout");
	l = small_keys, l.elem_size = 5;
	refused(l, 0, 4096, "layout");
	l = small_keys, l.elem_indirect = true; /* a pointer does not fit there */
	refused(l, 0, 4096, "layout");
	l = small_keys, l.key_off = UINT32_MAX - 8;
	refused(l, 0, 4096, "layout");
	l = small_keys, l.key_stride = UINT32_MAX;
	refused(l, 0, 4096, "layout");
	l = texts, l.overflow_off = 208;
	refused(l, 16, 4096, "layout");
	l = texts, l.overflow_off = UINT32_MAX - 7; /* + 8 is 0 */
	refused(l, 16, 4096, "layout");
	l = texts, l.overflow_off = 196;
	refused(l, 16, 4096, "layout");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks), cmocka_unit_test(test_refused), cmocka_unit_test(test_beyond_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
